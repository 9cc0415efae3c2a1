"""Moves between schools as the zone follows them: cases open, records go where they must, and each case ends."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import pairwise, permutations
from pathlib import Path
from typing import Final

import pytest

from broker.deadlines import RuleId
from broker.protocol.envelope import LOOKED_AFTER, Action
from broker.protocol.identifiers import Establishment, RefId
from broker.told import told
from broker.transfer_cases import (
    MOVES,
    NOT_KNOWN,
    OUTSIDE,
    Cancelled,
    ConfirmedByPeople,
    DestinationFound,
    Event,
    LeftSector,
    SchoolClosedOrRenumbered,
    Shield,
    Status,
    TransferCase,
)
from tests.integration.worker.stage import (
    AGREEMENTS,
    Recipient,
    Stage,
    agreement,
    care,
    contact,
    enrolment,
    link,
    open_stage,
    personal,
)

ADA: Final = "A1" * 16
STAY: Final = "E1" * 16
NEXT_STAY: Final = "E2" * 16
PERIOD: Final = "F1" * 16
CARER: Final = "D1" * 16
PERSONAL: Final = ("LearnerPersonal", ADA)
ENROLLED: Final = ("LearnerSchoolEnrolment", STAY)
LINKED: Final = ("LearnerContact", f"{ADA}|{CARER}")
PERSON: Final = ("ContactPersonal", CARER)
ADD, CHANGE, DELETE = Action.ADD, Action.CHANGE, Action.DELETE
ONE, TWO, THREE = "8209901", "8209902", "8209903"
LEFT: Final = "2026-09-30"
ON: Final = "2026-10-01"
NS: Final = f"{{{LOOKED_AFTER}}}"
MOVING: Final = {
    **AGREEMENTS,
    "files": agreement("files", ["mis-*", "social-care", "stage"], ["ctf-out"], "transferring"),
    "next": agreement("next", ["mis-*", "stage"], ["mis-2"], "transferring", more='leaving = "notice"'),
}
S = Status


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A zone in which a pupil of school 1, with a carer, is known."""
    with open_stage(tmp_path / "zone", MOVING) as found:
        begin(found)
        yield found


def begin(stage: Stage) -> None:
    stage.publish("mis-1", ADD, personal(ADA))
    stage.publish("mis-1", ADD, enrolment(STAY, ADA, ONE))
    stage.publish("mis-1", ADD, contact(CARER))
    stage.publish("mis-1", ADD, link(ADA, CARER))
    stage.settle()


def cases(stage: Stage) -> tuple[TransferCase, ...]:
    found = stage.store.transfers_of([ADA]).get(ADA, ())
    for case in found:
        assert all(after.status in MOVES[before.status] for before, after in pairwise(case.history))
    return tuple(sorted(found, key=lambda case: case.history[0].at))


def case_of(stage: Stage) -> TransferCase:
    (case,) = cases(stage)
    return case


def path(case: TransferCase) -> list[Status]:
    return [change.status for change in case.history]


def moves(stage: Stage, leaves: str = LEFT, to: str = "") -> None:
    """School 1 publishes when the learner leaves, and where to as it believes."""
    stage.publish("mis-1", CHANGE, leaver(leaves, to))
    stage.settle()


def leaver(leaves: str = LEFT, to: str = "") -> str:
    names = f"<Destination><LAId>{to[:3]}</LAId><EstablishmentId>{to[3:]}</EstablishmentId></Destination>"
    ended = f"<ExitType><Code>TF</Code>{names}</ExitType>" if to else ""
    return enrolment(STAY, ADA, ONE, leaves=leaves).replace("</ExitDate>", f"</ExitDate>{ended}")


def enters(stage: Stage, entry: str = ON) -> None:
    """School 2 publishes that the learner is on its register."""
    stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, TWO, entry=entry))
    stage.settle()


def says(stage: Stage, agent: str, status: str, file: str) -> None:
    """Let an agent publish how far a file has come, as the one that writes files does."""
    named = f"<CTF><FileName>{file}</FileName></CTF>"
    start = f'<LearnerTransfer RefId="{case_of(stage).ref_id}" LearnerPersonalRefId="{ADA}">'
    stage.publish(agent, CHANGE, f"{start}{named}<Status>{status}</Status></LearnerTransfer>")
    stage.settle()


def refuses(stage: Stage, agent: str, school: str, status: str = "RJ") -> None:
    """Let an agent say for a school that it refuses the record, or what else it says."""
    place = (
        f"<ToEstablishment><LAId>{school[:3]}</LAId><EstablishmentId>{school[3:]}</EstablishmentId></ToEstablishment>"
    )
    start = f'<LearnerTransfer RefId="{case_of(stage).ref_id}" LearnerPersonalRefId="{ADA}">'
    stage.publish(agent, CHANGE, f"{start}{place}<Status>{status}</Status></LearnerTransfer>")
    stage.settle()


def people_say(stage: Stage, kind: Callable[..., Event], **more: object) -> None:
    event = kind(at=stage.moment, actor="Person:made-up", **more)
    transport = stage.worker._transport  # the console publishes with the broker's login as well
    transport.publish(told(case_of(stage).ref_id, RefId(ADA), event))
    stage.settle()


def day_is(stage: Stage, day: str) -> None:
    """Let it be noon of *day*: the zone looks at everybody again."""
    stage.moment = datetime.fromisoformat(f"{day}T12:00").astimezone()
    stage.settle()
    stage.pass_time(seconds=10)
    stage.settle()


def transfer_at(recipient: Recipient, case: TransferCase, name: str) -> str:
    """Return the text of an element of a case's LearnerTransfer, as a recipient holds it."""
    found = recipient.held["LearnerTransfer", case.ref_id].find(f"{NS}{name}")
    return "" if found is None else "".join(str(text) for text in found.itertext())


def transfers(recipient: Recipient) -> list[tuple[Action, str]]:
    return [(action, key[1]) for action, key in recipient.log if key[0] == "LearnerTransfer"]


def assert_nothing_odd(stage: Stage) -> None:
    assert {name: found.odd for name, found in stage.recipients.items() if found.odd} == {}
    assert {name: found.refusals for name, found in stage.publishers.items() if found.refusals} == {}


# -- when a case opens ------------------------------------------------------------------------------------------------


def test_a_first_enrolment_opens_nothing(stage: Stage) -> None:
    assert cases(stage) == ()


def test_history_that_is_loaded_opens_nothing(tmp_path: Path) -> None:
    with open_stage(tmp_path / "zone", MOVING) as stage:
        stage.publish("mis-1", ADD, personal(ADA))
        stage.publish("mis-1", ADD, enrolment(STAY, ADA, ONE, entry="2022-09-01", leaves="2024-07-20"))
        stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, TWO, entry="2024-09-02"))
        stage.settle()

        assert cases(stage) == ()
        assert stage.recipients["ctf-out"].log == []


def test_an_enrolment_that_ends_opens_a_case_and_both_schools_join_it_when_the_next_starts(stage: Stage) -> None:
    moves(stage)
    opened = case_of(stage)
    assert (opened.from_school, opened.to_school, opened.status) == (ONE, None, S.NOTIFIED)

    enters(stage)

    case = case_of(stage)
    assert case.ref_id == opened.ref_id
    assert (case.from_school, case.to_school, case.leaving, case.entry) == (
        ONE,
        TWO,
        date.fromisoformat(LEFT),
        date.fromisoformat(ON),
    )
    assert_nothing_odd(stage)


def test_an_enrolment_that_starts_elsewhere_opens_a_case_that_the_end_joins(stage: Stage) -> None:
    enters(stage)
    opened = case_of(stage)
    assert (opened.from_school, opened.to_school, opened.leaving) == (ONE, TWO, None)

    moves(stage)

    assert case_of(stage).ref_id == opened.ref_id
    assert case_of(stage).leaving == date.fromisoformat(LEFT)
    assert_nothing_odd(stage)


def test_a_file_that_an_agent_tells_of_opens_a_case(stage: Stage) -> None:
    told_of = f"{ONE}_CTF_{TWO}_001.xml"
    stage.publish("mis-1", ADD, own_transfer("9A" * 16, told_of))
    stage.settle()

    case = case_of(stage)
    assert (case.from_school, case.to_school, case.status) == (ONE, TWO, S.SENT)
    assert case.ctf is not None
    assert case.ctf.file_name == told_of


def own_transfer(ref: str, file: str, status: str = "SE", to: str = TWO) -> str:
    return (
        f'<LearnerTransfer RefId="{ref}" LearnerPersonalRefId="{ADA}" FromSchoolInfoRefId="{"C1" * 16}">'
        f"<FromEstablishment><LAId>820</LAId><EstablishmentId>{ONE[3:]}</EstablishmentId></FromEstablishment>"
        f"<ToEstablishment><LAId>{to[:3]}</LAId><EstablishmentId>{to[3:]}</EstablishmentId></ToEstablishment>"
        "<TransferType>SC</TransferType><LookedAfterAtTransfer>Unknown</LookedAfterAtTransfer>"
        f"<LAInfoRefId>{'1A' * 16}</LAInfoRefId><CTF><FileName>{file}</FileName></CTF><Status>{status}</Status>"
        f'<StatusHistoryList><StatusChange Status="{status}" DateTime="2026-10-01T09:00:00Z" Actor="mis-1"/>'
        "</StatusHistoryList></LearnerTransfer>"
    )


def test_a_subsidiary_stay_that_ends_while_the_learner_stays_elsewhere_is_no_move(stage: Stage) -> None:
    stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, TWO, entry="2026-09-15", membership="S"))
    stage.settle()
    before = cases(stage)

    stage.publish("mis-2", CHANGE, enrolment(NEXT_STAY, ADA, TWO, "2026-09-15", leaves=LEFT, membership="S"))
    stage.settle()

    assert cases(stage) == before


def test_a_stay_that_begins_and_ends_in_one_message_opens_two_cases_and_not_one_over_the_other(stage: Stage) -> None:
    stage.publish("mis-2", ADD, enrolment(NEXT_STAY, ADA, TWO, entry="2026-09-10", leaves=LEFT))
    stage.settle()

    assert {(case.from_school, case.to_school) for case in cases(stage)} == {(ONE, TWO), (TWO, None)}


def test_a_last_day_that_is_taken_back_ends_the_case(stage: Stage) -> None:
    moves(stage)

    empty = '<ExitDate xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>'
    stage.publish("mis-1", CHANGE, leaver().replace(f"<ExitDate>{LEFT}</ExitDate>", empty))
    stage.settle()

    assert case_of(stage).status is S.CANCELLED
    assert_nothing_odd(stage)


# -- a school with an agent -------------------------------------------------------------------------------------------


def test_the_virtual_school_gets_a_looked_after_learners_transfer_at_once_and_the_whole_record(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    stage.settle()

    moves(stage)

    virtual = stage.recipients["virtual-school"]
    case = case_of(stage)
    assert set(virtual.held) == {
        PERSONAL,
        ENROLLED,
        LINKED,
        PERSON,
        ("LearnerLookedAfter", PERIOD),
        ("LearnerTransfer", case.ref_id),
    }
    assert transfers(virtual) == [(ADD, case.ref_id)]
    assert transfer_at(virtual, case, "LookedAfterAtTransfer") == "Yes"
    assert_nothing_odd(stage)


def test_a_new_school_whose_agent_may_have_it_gets_the_record_and_the_case_is_delivered_then(stage: Stage) -> None:
    moves(stage, to=TWO)

    new = stage.recipients["mis-2"]
    case = case_of(stage)
    assert case.status is S.DELIVERED
    assert new.of(ADA) | {PERSON} == set(new.held) - schools_of(new)
    assert new.of(ADA) == {PERSONAL, ENROLLED, LINKED, ("LearnerTransfer", case.ref_id)}
    assert transfers(new)[0] == (ADD, case.ref_id)
    assert stage.recipients["ctf-out"].held.keys() == schools_of(stage.recipients["ctf-out"])
    assert_nothing_odd(stage)


def schools_of(recipient: Recipient) -> set[tuple[str, str]]:
    return {key for key in recipient.held if key[0] == "SchoolInfo"}


def test_a_record_is_not_delivered_before_its_publisher_has_answered(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    moves(stage, to=TWO)
    assert case_of(stage).status is S.NOTIFIED
    assert stage.recipients["mis-2"].of(ADA) == set()

    stage.publishers["mis-1"].is_away = False
    stage.settle()

    assert case_of(stage).status is S.DELIVERED


def test_a_case_is_complete_when_the_new_schools_own_system_has_the_enrolment_and_not_before(stage: Stage) -> None:
    moves(stage, to=TWO)
    stage.publish("mis-1", ADD, enrolment("E8" * 16, ADA, TWO, entry=ON))  # the old school's word is not enough
    stage.settle()
    assert case_of(stage).status is S.DELIVERED

    enters(stage)

    case = case_of(stage)
    assert path(case) == [S.PLANNED, S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED, S.LOADED, S.COMPLETE]
    new = stage.recipients["mis-2"]
    assert transfer_at(new, case, "Status") == S.COMPLETE
    assert PERSONAL in new.held  # its agreement lets it keep what it has loaded
    assert_nothing_odd(stage)


def test_an_enrolment_announced_for_a_day_to_come_confirms_on_that_day(stage: Stage) -> None:
    moves(stage, leaves="2026-10-02")
    enters(stage, entry="2026-10-05")
    assert case_of(stage).status is S.DELIVERED

    day_is(stage, "2026-10-05")

    assert case_of(stage).status is S.COMPLETE


def test_a_new_school_that_publishes_the_learner_itself_gets_the_rest_of_the_record(stage: Stage) -> None:
    stage.publish("mis-2", ADD, personal(ADA, "At-School-Two"))
    enters(stage)
    moves(stage)

    assert case_of(stage).status is S.COMPLETE
    assert {ENROLLED, LINKED} <= stage.recipients["mis-2"].of(ADA)
    assert "ctf-out" not in {name for name, found in stage.recipients.items() if found.of(ADA)}
    assert_nothing_odd(stage)


def test_an_agent_cannot_say_for_another_school_that_a_record_is_loaded(stage: Stage) -> None:
    moves(stage, to=TWO)
    refuses(stage, "mis-1", TWO, "LD")
    assert case_of(stage).status is S.DELIVERED

    refuses(stage, "mis-2", TWO, "LD")
    assert case_of(stage).status is S.LOADED


def test_a_record_that_a_school_refuses_ends_when_its_system_says_that_it_is_loaded_after_all(stage: Stage) -> None:
    moves(stage, to=TWO)
    refuses(stage, "mis-2", TWO)
    assert case_of(stage).status is S.REJECTED
    enters(stage)
    assert case_of(stage).status is S.REJECTED  # that it has the learner is not that it took the record

    refuses(stage, "mis-2", TWO, "LD")

    assert case_of(stage).status is S.COMPLETE
    assert_nothing_odd(stage)


# -- a school without an agent ----------------------------------------------------------------------------------------


def file_to(destination: str, number: int = 1, source: str = ONE) -> str:
    return f"{source}_CTF_{destination}_{number:03d}.xml"


def test_a_school_without_an_agent_is_served_by_who_writes_files_the_transfer_last(stage: Stage) -> None:
    moves(stage, to=THREE)

    files = stage.recipients["ctf-out"]
    case = case_of(stage)
    about = [key for _, key in files.log if key[0] != "SchoolInfo"]
    assert about[:2] == [PERSONAL, PERSON]
    assert set(about[2:4]) == {ENROLLED, LINKED}
    assert about[4:] == [("LearnerTransfer", case.ref_id)]
    assert transfer_at(files, case, "ToEstablishment") == THREE
    assert stage.recipients["mis-2"].of(ADA) == set()

    says(stage, "ctf-out", "SE", file_to(THREE))
    assert case_of(stage).status is S.SENT
    assert transfer_at(files, case, "Status") == S.SENT

    says(stage, "ctf-out", "DE", file_to(THREE))
    assert case_of(stage).status is S.DELIVERED
    assert_nothing_odd(stage)


def test_people_confirm_where_no_system_can_and_who_writes_files_loses_everything(stage: Stage) -> None:
    moves(stage, to=THREE)
    says(stage, "ctf-out", "SE", file_to(THREE))
    says(stage, "ctf-out", "DE", file_to(THREE))

    people_say(stage, ConfirmedByPeople)

    assert case_of(stage).status is S.COMPLETE
    files = stage.recipients["ctf-out"]
    assert set(files.held) == schools_of(files)
    assert files.log[-1] == (DELETE, PERSONAL)
    assert_nothing_odd(stage)


def test_a_file_that_is_rejected_is_written_again(stage: Stage) -> None:
    moves(stage, to=THREE)
    says(stage, "ctf-out", "SE", file_to(THREE))
    says(stage, "ctf-out", "DE", file_to(THREE))
    refuses(stage, "ctf-out", THREE)
    files = stage.recipients["ctf-out"]
    assert transfer_at(files, case_of(stage), "Status") == S.REJECTED
    assert PERSONAL in files.held

    says(stage, "ctf-out", "SE", file_to(THREE, 2))
    says(stage, "ctf-out", "DE", file_to(THREE, 2))

    case = case_of(stage)
    assert path(case)[4:] == [S.DELIVERED, S.REJECTED, S.PREPARED, S.SENT, S.DELIVERED]
    assert case.ctf is not None
    assert case.ctf.file_name == file_to(THREE, 2)
    assert_nothing_odd(stage)


def test_nothing_is_written_for_an_unknown_destination_before_15_school_days_have_passed(stage: Stage) -> None:
    moves(stage)
    files = stage.recipients["ctf-out"]
    day_is(stage, "2026-10-21")  # the fifteenth school day
    assert files.of(ADA) == set()

    day_is(stage, "2026-10-22")

    case = case_of(stage)
    assert files.of(ADA) == {PERSONAL, ENROLLED, LINKED, ("LearnerTransfer", case.ref_id)}
    assert transfer_at(files, case, "ToEstablishment") == NOT_KNOWN
    says(stage, "ctf-out", "SE", file_to(NOT_KNOWN))
    assert case_of(stage).status is S.LOST_PUPILS
    assert_nothing_odd(stage)


def lost(stage: Stage) -> None:
    moves(stage)
    day_is(stage, "2026-10-22")
    says(stage, "ctf-out", "SE", file_to(NOT_KNOWN))
    assert case_of(stage).status is S.LOST_PUPILS


def test_a_lost_learner_who_is_found_gets_a_file_to_the_school(stage: Stage) -> None:
    lost(stage)

    people_say(stage, DestinationFound, school=Establishment(THREE))
    files = stage.recipients["ctf-out"]
    assert transfer_at(files, case_of(stage), "ToEstablishment") == THREE
    says(stage, "ctf-out", "SE", file_to(THREE))
    says(stage, "ctf-out", "DE", file_to(THREE))
    people_say(stage, ConfirmedByPeople)

    assert path(case_of(stage))[-4:] == [S.SENT, S.DELIVERED, S.LOADED, S.COMPLETE]
    assert files.of(ADA) == set()
    assert_nothing_odd(stage)


def test_a_lost_learner_who_is_found_at_a_school_with_an_agent_gets_there_as_objects(stage: Stage) -> None:
    lost(stage)

    enters(stage, entry="2026-10-20")

    assert case_of(stage).status is S.COMPLETE
    assert PERSONAL in stage.recipients["mis-2"].held
    assert stage.recipients["ctf-out"].of(ADA) == set()
    assert_nothing_odd(stage)


def test_who_has_left_the_sector_gets_a_file_addressed_to_no_school(stage: Stage) -> None:
    moves(stage)
    people_say(stage, LeftSector)
    files = stage.recipients["ctf-out"]
    assert transfer_at(files, case_of(stage), "ToEstablishment") == OUTSIDE

    says(stage, "ctf-out", "SE", file_to(OUTSIDE))

    assert case_of(stage).status is S.SENT
    assert not case_of(stage).is_open
    assert files.of(ADA) == set()
    assert_nothing_odd(stage)


def test_a_school_that_is_renumbered_gets_a_file_under_its_new_number(stage: Stage) -> None:
    moves(stage, to=THREE)
    says(stage, "ctf-out", "SE", file_to(THREE))

    people_say(stage, SchoolClosedOrRenumbered, school=Establishment(THREE), successor=Establishment("8209993"))
    files = stage.recipients["ctf-out"]
    assert transfer_at(files, case_of(stage), "ToEstablishment") == "8209993"
    says(stage, "ctf-out", "SE", file_to("8209993"))
    says(stage, "ctf-out", "DE", file_to("8209993"))

    case = case_of(stage)
    assert case.status is S.DELIVERED
    assert case.ctf is not None
    assert case.ctf.destination == "8209993"
    assert_nothing_odd(stage)


def test_a_case_that_is_called_off_ends_what_was_sent(stage: Stage) -> None:
    moves(stage, to=THREE)
    people_say(stage, Cancelled)

    assert case_of(stage).status is S.CANCELLED
    assert stage.recipients["ctf-out"].of(ADA) == set()
    assert_nothing_odd(stage)


# -- several moves ----------------------------------------------------------------------------------------------------


def test_who_returns_before_the_file_arrives_has_not_moved(stage: Stage) -> None:
    moves(stage, leaves="2026-09-15", to=THREE)
    stage.publish("mis-1", ADD, enrolment("E3" * 16, ADA, ONE, entry="2026-09-21"))
    stage.settle()

    case = case_of(stage)
    assert case.status is S.CANCELLED
    assert case.returned == date(2026, 9, 21)
    assert stage.recipients["ctf-out"].of(ADA) == set()
    assert_nothing_odd(stage)


def test_crossing_transfers_are_two_cases_and_each_ends(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    moves(stage, leaves="2026-09-15")
    enters(stage, entry="2026-09-16")
    stage.publish("mis-2", CHANGE, enrolment(NEXT_STAY, ADA, TWO, entry="2026-09-16", leaves="2026-09-25"))
    stage.publish("mis-1", ADD, enrolment("E3" * 16, ADA, ONE, entry="2026-09-28"))
    stage.settle()
    stage.publishers["mis-1"].is_away = False
    stage.settle()

    found = cases(stage)
    assert {(case.from_school, case.to_school) for case in found} == {(ONE, TWO), (TWO, ONE)}
    assert next(case for case in found if case.to_school == TWO).status is S.COMPLETE
    assert_nothing_odd(stage)


# -- care and shields -------------------------------------------------------------------------------------------------


def test_care_that_ends_in_the_middle_stays_so_at_the_transfer_and_leaves_the_virtual_school(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    moves(stage, to=THREE)
    day_is(stage, "2026-10-08")

    stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-10-07", status="CE"))
    stage.settle()

    case = case_of(stage)
    assert case.looked_after is True
    assert case.care[-1].looked_after is False
    assert stage.recipients["virtual-school"].of(ADA) == set()
    assert transfer_at(stage.recipients["ctf-out"], case, "LookedAfterAtTransfer") == "Yes"
    assert_nothing_odd(stage)


def test_responsibility_that_moves_in_the_middle_is_known_and_leaves_the_virtual_school(tmp_path: Path) -> None:
    other = '[agents.other-care]\nname = "Care"\nauthority = "830"\npublish = ["LearnerLookedAfter"]'
    with open_stage(tmp_path / "zone", MOVING, other) as stage:
        begin(stage)
        stage.publish("social-care", ADD, care(PERIOD, ADA))
        moves(stage, to=THREE)
        assert PERSONAL in stage.recipients["virtual-school"].held
        day_is(stage, "2026-10-08")

        stage.publish("social-care", CHANGE, care(PERIOD, ADA, end="2026-10-07", status="CE"))
        stage.publish("other-care", ADD, care("F2" * 16, ADA, start="2026-10-08").replace("1A" * 16, "2B" * 16))
        stage.settle()

        case = case_of(stage)
        assert case.responsible == "820"
        assert case.care[-1] == (date(2026, 10, 8), True, "830")
        assert stage.recipients["virtual-school"].of(ADA) == set()
        assert_nothing_odd(stage)


def test_a_care_record_that_was_wrong_is_put_right_in_the_case(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    moves(stage, to=THREE)
    assert case_of(stage).looked_after is True

    stage.publish("social-care", DELETE, care(PERIOD, ADA))
    stage.settle()

    assert case_of(stage).looked_after is False


def test_periods_of_care_that_follow_each_other_are_told_once(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA, start="2026-08-01", end="2026-08-31", status="CE"))
    stage.publish("social-care", ADD, care("F2" * 16, ADA))
    moves(stage, to=THREE)
    before = transfers(stage.recipients["virtual-school"])
    assert case_of(stage).looked_after is True

    stage.publish("mis-1", CHANGE, leaver(to=THREE))
    stage.settle()

    assert transfers(stage.recipients["virtual-school"]) == before


def test_a_flag_that_changes_in_the_middle_counts_from_then(stage: Stage) -> None:
    flag = "<InCare><Current>{}</Current><LAId>820</LAId></InCare>"
    stage.publish("mis-1", CHANGE, personal(ADA, more=flag.format("Yes")))
    moves(stage, to=THREE)
    day_is(stage, "2026-10-08")
    stage.publish("mis-1", CHANGE, personal(ADA, more=flag.format("No")))
    stage.settle()
    day_is(stage, "2026-10-09")

    case = case_of(stage)
    assert case.looked_after is True
    assert [(found.since, found.looked_after) for found in case.care] == [
        (date.fromisoformat(LEFT), True),
        (date(2026, 10, 9), False),
    ]


def test_of_a_shielded_learner_no_transfer_is_published_and_nothing_is_joined(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA, shield="P"))
    stage.settle()
    moves(stage, to=TWO)
    enters(stage)
    stage.publish("mis-1", ADD, own_transfer("9A" * 16, file_to(TWO)))
    stage.settle()

    case = case_of(stage)
    assert (case.from_school, case.to_school, case.shield) == (ONE, None, Shield.PROTECTED_MOVE)
    assert case.status is S.PLANNED
    assert [key for found in stage.recipients.values() for _, key in found.log if key[0] == "LearnerTransfer"] == []
    assert stage.recipients["mis-2"].of(ADA) == set()


def test_not_even_who_may_know_of_shielded_learners_gets_their_transfers(tmp_path: Path) -> None:
    covered = AGREEMENTS["virtual"].replace('learners = "looked-after"', 'learners = "looked-after"\nshielded = true')
    with open_stage(tmp_path / "zone", {**MOVING, "virtual": covered}) as stage:
        begin(stage)
        stage.publish("social-care", ADD, care(PERIOD, ADA, shield="P"))
        stage.settle()
        moves(stage, to=TWO)

        assert PERSONAL in stage.recipients["virtual-school"].held
        assert transfers(stage.recipients["virtual-school"]) == []


def test_a_shield_in_the_middle_ends_what_everybody_has_of_the_transfer(stage: Stage) -> None:
    stage.publish("social-care", ADD, care(PERIOD, ADA))
    moves(stage, to=THREE)
    assert transfers(stage.recipients["ctf-out"]) != []

    stage.publish("social-care", CHANGE, care(PERIOD, ADA, shield="A"))
    stage.settle()

    assert {name for name, found in stage.recipients.items() if found.of(ADA)} == set()
    case = case_of(stage)
    assert transfers(stage.recipients["ctf-out"])[-1] == (DELETE, case.ref_id)


# -- time, and workers that die ---------------------------------------------------------------------------------------


def test_what_is_overdue_is_raised_by_the_clock_once(stage: Stage) -> None:
    stage.publishers["mis-1"].is_away = True
    moves(stage, to=TWO)
    day_is(stage, "2026-10-21")
    assert overdue(case_of(stage)) == []

    day_is(stage, "2026-10-22")
    raised = case_of(stage)
    assert overdue(raised) == [f"overdue:{RuleId.T1}:2026-10-21"]

    day_is(stage, "2026-10-23")
    assert case_of(stage) == raised


def overdue(case: TransferCase) -> list[str]:
    return sorted(key for key in case.issued if key.startswith("overdue:"))


ENROLMENTS: Final = (
    ("mis-1", CHANGE, leaver()),
    ("mis-2", ADD, personal(ADA, "At-School-Two")),
    ("mis-2", ADD, enrolment(NEXT_STAY, ADA, TWO, entry=ON)),
)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_enrolments_of_both_schools_lead_to_the_same_in_any_order(stage: Stage, order: tuple[int, ...]) -> None:
    for number in order:
        stage.publish(*ENROLMENTS[number])
        stage.settle()

    case = case_of(stage)
    assert (case.from_school, case.to_school, case.status) == (ONE, TWO, S.COMPLETE)
    assert path(case) == [S.PLANNED, S.NOTIFIED, S.PREPARED, S.SENT, S.DELIVERED, S.LOADED, S.COMPLETE]
    assert stage.recipients["ctf-out"].of(ADA) == set()
    assert_nothing_odd(stage)


def test_a_school_heard_of_before_the_one_left_is_joined_all_the_same(tmp_path: Path) -> None:
    with open_stage(tmp_path / "zone", MOVING) as stage:
        enters(stage)
        assert cases(stage) == ()
        begin(stage)
        assert cases(stage) == ()

        moves(stage)

        case = case_of(stage)
        assert (case.from_school, case.to_school, case.status) == (ONE, TWO, S.COMPLETE)
        assert_nothing_odd(stage)


def test_a_worker_killed_at_any_step_brings_the_case_to_the_same_end_and_nothing_twice(stage: Stage) -> None:
    ids: set[str] = set()
    for change in ENROLMENTS:
        stage.publish(*change)
        for _ in range(8):
            stage.crash()
            stage.step()
            ids.update(case.ref_id for case in cases(stage))
            for name in list(stage.publishers):
                stage.answer(name)
        stage.settle()

    case = case_of(stage)
    assert ids == {case.ref_id}
    assert case.status is S.COMPLETE
    new = stage.recipients["mis-2"]
    assert transfers(new)[0] == (ADD, case.ref_id)
    assert {name: found.odd for name, found in stage.recipients.items() if found.odd} == {}


def test_what_an_agent_says_of_a_transfer_reaches_others_by_the_zones_word_alone(tmp_path: Path) -> None:
    agents = agreement("agents", ["mis-*"], ["virtual-school"], "looked-after", ["LearnerTransfer"])
    with open_stage(tmp_path / "zone", {**MOVING, "agents": agents}) as stage:
        begin(stage)
        stage.publish("social-care", ADD, care(PERIOD, ADA))
        stage.settle()

        stage.publish("mis-1", ADD, own_transfer("9A" * 16, f"{ONE}_CTF_{TWO}_001.xml"))
        stage.settle()

        told = {key for _, key in stage.recipients["virtual-school"].log if key[0] == "LearnerTransfer"}
        assert told == {("LearnerTransfer", case_of(stage).ref_id)}
