"""A part of the corpus over a real RabbitMQ: the worker answers as it does in memory, and goes on."""

import pytest

from tests.hostile.corpus import CORPUS, Bait, Case
from tests.hostile.doors import at_desk
from tests.hostile.traps import Traps
from tests.integration.worker.conftest import Desk

SAMPLE = (
    "external DTD, SYSTEM file",
    "out of band, file into http",
    "billion laughs",
    "XInclude of a text, file",
    "cut at 6 of 12",
    "nothing",
    "every byte",
    "UTF-16 with mark",
    "lone surrogate",
    "100,000 deep",
    "1,000,000 empty elements",
    "100,000 attributes",
    "90,000 namespaces over nested elements",
    "text of 9 MB",
    "90,000 elements of different names",
    "nothing hostile",
)


@pytest.mark.parametrize("carrier", ["amqp"], indirect=True)
def test_a_worker_refuses_each_with_its_code_and_goes_on(desk: Desk) -> None:
    by_name = {case.name: case for case in CORPUS}
    with Traps(desk.zone.folder / "bait") as traps:
        found = {name: _code(desk, by_name[name], traps.bait) for name in SAMPLE}

        assert traps.sprung() == []
    assert found == {name: by_name[name].code for name in SAMPLE}


def _code(desk: Desk, case: Case, bait: Bait) -> str:
    return at_desk(desk, case, case.message(bait)).code
