"""Hostile XML at every entry point: one code each, nothing opened, no connection, little memory, nothing repeated."""

import re
import socket
from pathlib import Path

import pytest
from lxml import etree

from tests.hostile.conftest import Outcomes
from tests.hostile.corpus import CORPUS, FILE_CORPUS, REFUSED, TAKEN, Case
from tests.hostile.doors import DOORS, FILE_DOORS
from tests.hostile.measure import allowed_megabytes
from tests.hostile.traps import Traps

CASES = [
    pytest.param(door, case, id=f"{door}: {case.name}")
    for door in DOORS
    for case in CORPUS + (FILE_CORPUS if door in FILE_DOORS else ())
]


def expected(door: str, case: Case) -> tuple[str, str]:
    """Return the code that a case has at an entry point, and a pattern of the words."""
    if door == "ctf":
        if case.ctf == TAKEN or case.ctf.endswith(" pupils"):
            return case.ctf, ""
        return REFUSED, case.ctf
    if door == "agent":
        return case.agent, "" if case.agent == TAKEN else case.says
    if door == "schema check":
        return (case.rule, "") if case.rule else (case.code, case.says)
    return case.code, case.says


@pytest.mark.parametrize(("door", "case"), CASES)
def test_each_case_has_one_code_at_each_entry_point(door: str, case: Case, outcomes: Outcomes) -> None:
    code, says = expected(door, case)

    outcome = outcomes[door].result()[case.name]

    assert outcome.code == code, outcome.text
    assert re.search(says, outcome.text)


@pytest.mark.parametrize("door", DOORS)
def test_no_case_opens_a_file_or_a_connection(door: str, outcomes: Outcomes) -> None:
    touched = {outcome.case: outcome.touched for outcome in outcomes[door].result().values() if outcome.touched}

    assert touched == {}


@pytest.mark.parametrize("door", DOORS)
def test_no_case_takes_much_memory(door: str, outcomes: Outcomes) -> None:
    found = outcomes[door].result().values()

    assert {o.case: o.megabytes for o in found if o.megabytes > allowed_megabytes(o)} == {}


@pytest.mark.parametrize("door", DOORS)
def test_no_answer_repeats_what_the_document_holds(door: str, outcomes: Outcomes) -> None:
    assert [outcome.case for outcome in outcomes[door].result().values() if outcome.told] == []


def test_no_answer_is_longer_than_people_read(outcomes: Outcomes) -> None:
    found = [outcome for door in DOORS for outcome in outcomes[door].result().values()]

    assert [outcome.case for outcome in found if len(outcome.text) > 400] == []


def test_the_traps_catch_what_libxml2_opens_when_it_is_let(tmp_path: Path) -> None:
    open_to_all = etree.XMLParser(resolve_entities=True, load_dtd=True, no_network=False)
    with Traps(tmp_path / "bait") as traps:
        dtd = traps.bait.dtd.decode()
        etree.fromstring(f'<!DOCTYPE a SYSTEM "file://{dtd}"><a/>'.encode(), open_to_all)

        assert traps.sprung() == ["evil.dtd"]
        assert traps.sprung() == []


def test_the_traps_catch_a_connection(tmp_path: Path) -> None:
    with Traps(tmp_path / "bait") as traps, socket.create_connection(("127.0.0.1", traps.bait.port)):
        assert traps.sprung() == ["port"]
