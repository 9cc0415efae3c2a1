"""What the ledger is told of a message: names and ids, and nothing that only looks like them."""

import pytest

from broker.letters import open_letter
from broker.protocol.envelope import Action
from broker.protocol.topology import intake_key
from broker.transports import Incoming
from tests.unit.broker.builders import ALEX, MIS, MSG_ID, event, personal


def incoming(body: bytes, key: str) -> Incoming:
    return Incoming("zone.intake.0", body, MSG_ID, "SIF_Event", MIS, intake_key(key), redelivered=False, tag=1)


def test_the_ledger_names_the_object_by_its_refid() -> None:
    row = open_letter(incoming(event(("LearnerPersonal", Action.ADD, personal())), ALEX)).row(0, "accepted")

    assert (row.object_type, row.action, row.ref_id) == ("LearnerPersonal", "Add", ALEX)


@pytest.mark.parametrize("ref", ["Zephyrine Smith", "1985-03-04"])
def test_a_refid_of_another_form_is_not_in_the_ledger(ref: str) -> None:
    row = open_letter(incoming(event(("LearnerPersonal", Action.ADD, personal(ref))), ref)).row(0, "refused")

    assert (row.object_type, row.ref_id) == ("LearnerPersonal", "")


def test_the_name_of_an_object_that_there_is_not_is_not_in_the_ledger() -> None:
    xml = f'<ZephyrineSmith RefId="{ALEX}"/>'

    row = open_letter(incoming(event(("ZephyrineSmith", Action.ADD, xml)), ALEX)).row(0, "refused")

    assert (row.object_type, row.ref_id) == ("", ALEX)
