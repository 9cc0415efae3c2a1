"""A move as a LearnerTransfer is valid and says what is known; an agent's tells what is new in it, and that once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import schemas
from broker.calendars import DayKind, parse_calendars
from broker.deadlines import Deadline, RuleId
from broker.protocol.envelope import LOOKED_AFTER, Action, EventObject
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import AgentId, Establishment, RefId
from broker.transfer_cases import (
    NOT_KNOWN,
    OUTSIDE,
    Cancelled,
    Care,
    CareChanged,
    ClockMoved,
    Ctf,
    CtfArrived,
    CtfDelivered,
    CtfLoaded,
    CtfPrepared,
    CtfSent,
    EnrolmentEnded,
    EnrolmentStarted,
    Event,
    LeftSector,
    MovePlanned,
    Note,
    Opening,
    Record,
    RecordPassed,
    Rejected,
    Shield,
    StatusChange,
    TransferCase,
)
from broker.transfer_documents import derived, told_by, transfer_object
from broker.transfers import MoveNotAllowed, open_or_join, step
from schemas.rules import NothingKnown, RuleSet
from tests.calendars import TERMS_OF_2025

CALENDARS: Final = parse_calendars({"820": TERMS_OF_2025})
CASE_REF, ALEX = RefId("C" * 32), RefId("5D315C31F8A15621F126C31154AF9665")
OLD, NEW, THIRD = Establishment("8209902"), Establishment("8209901"), Establishment("8209903")
LEFT, IN = date(2025, 10, 3), date(2025, 10, 6)
AT: Final = datetime(2025, 10, 6, 14, 22, 31, tzinfo=timezone(timedelta(hours=1)))
MIS, OTHER = AgentId("mis-8209901"), AgentId("ctf-out")
PLACES: Final = {"8209902": "0" * 31 + "2", "8209901": "0" * 31 + "1"}
SCHOOLS: Final = {ref: number for number, ref in PLACES.items()}
AUTHORITIES: Final = {"820": "A" * 32}
HASH: Final = "07" * 32
FILE: Final = Ctf("8209902_CTF_8209901_001.xml", NEW, HASH, "25.0", "full", 1)
LATER: Final = FILE._replace(file_name="8209902_CTF_8209901_002.xml", sha256="0a" * 32)
POOL: Final = Ctf("8209902_CTF_XXXXXXX_001.xml", NOT_KNOWN, HASH, "25.0", "full", 1)

FROM: Final = "<FromEstablishment><LAId>820</LAId><EstablishmentId>9902</EstablishmentId></FromEstablishment>"
TO: Final = "<ToEstablishment><LAId>820</LAId><EstablishmentId>9901</EstablishmentId></ToEstablishment>"
TO_NOBODY: Final = TO.replace("820", "XXX").replace("9901", "XXXX")
TO_OUTSIDE: Final = TO.replace("820", "MMM").replace("9901", "MMMM")


def ctf(file: Ctf = FILE) -> str:
    words = (("FileName", file.file_name), ("Version", "25.0"), ("Qualifier", "full"), ("SHA256", file.sha256))
    return "<CTF>" + "".join(f"<{name}>{word}</{name}>" for name, word in words) + "<PupilCount>1</PupilCount></CTF>"


def status(word: str, note: str = "") -> str:
    noted = f' Note="{note}"' if note else ""
    change = f'<StatusChange Status="{word}" DateTime="2025-10-06T14:00:00Z" Actor="x"{noted}/>'
    return f"<Status>{word}</Status><StatusHistoryList>{change}</StatusHistoryList>"


def transfer(inner: str, action: Action = Action.CHANGE, learner: str = ALEX, attributes: str = "") -> EventObject:
    about = f'LearnerPersonalRefId="{learner}" ' if learner else ""
    text = f'<LearnerTransfer xmlns="{LOOKED_AFTER}" RefId="{CASE_REF}" {about}{attributes}>{inner}</LearnerTransfer>'
    return EventObject("LearnerTransfer", action, etree.fromstring(text))


def told(event: EventObject, case: TransferCase | None = None, sender: AgentId = MIS) -> tuple[Event, ...]:
    return told_by(event, sender, AT, SCHOOLS, case)


def after(case: TransferCase | None, events: Sequence[Event]) -> TransferCase:
    """Return the case after events, opened by the first when there is none."""
    for event in events:
        if case is None:
            assert isinstance(event, Opening), "the first event opens a case"
            case = open_or_join((), event, CASE_REF)
        case = step(case, event, CALENDARS).case
    assert case is not None
    return case


def moving(*more: Event) -> TransferCase:
    """Return the case of a learner who has left and entered, and of whom *more* was told."""
    events: list[Event] = [
        EnrolmentEnded(at=AT, actor="mis-8209902", learner=ALEX, school=OLD, leaving=LEFT, reason="ST"),
        EnrolmentStarted(at=AT, actor="mis-8209901", learner=ALEX, school=NEW, entry=IN),
        *more,
    ]
    return after(None, events)


def leaving(*more: Event) -> TransferCase:
    """Return the case of a learner who has left for nobody knows where."""
    return after(None, [EnrolmentEnded(at=AT, actor="mis", learner=ALEX, school=OLD, leaving=LEFT), *more])


def sent(file: Ctf = FILE) -> CtfSent:
    return CtfSent(at=AT, actor="ctf-out", ctf=file)


def prepared(file: Ctf = FILE) -> CtfPrepared:
    return CtfPrepared(at=AT, actor="ctf-out", ctf=file)


def delivered() -> CtfDelivered:
    return CtfDelivered(at=AT, actor="ctf-out")


def loaded() -> CtfLoaded:
    return CtfLoaded(at=AT, actor="mis-8209901", school=NEW)


def rejected() -> Rejected:
    return Rejected(at=AT, actor="mis-8209901", school=NEW)


REFUSED: Final = moving(sent(), delivered(), rejected())
LATE: Final = AT + timedelta(days=60)
LOST: Final = leaving(prepared(POOL), ClockMoved(at=LATE, actor="zone"))
IN_POOL: Final = after(LOST, [sent(POOL)])
UNNAMED: Final = ctf(FILE._replace(file_name="export.xml"))


def document(case: TransferCase, *, shield: bool = False) -> etree._Element:
    """Return the object that the zone publishes, having found it valid and in keeping with every rule but dates'."""
    element = transfer_object(case, PLACES, AUTHORITIES, shield=shield)
    assert schemas.load().check(element, partial=False) == ()
    assert schemas.load().warnings(element) == ()
    findings = RuleSet().check("LearnerTransfer", element, NothingKnown(date(2026, 9, 15)))
    assert [finding.rule for finding in findings if finding.rule != "dates-in-order"] == []
    return element


def text(element: etree._Element, path: str) -> str:
    return element.findtext(f"{{{LOOKED_AFTER}}}" + path.replace("/", f"/{{{LOOKED_AFTER}}}"), "")


def test_a_move_of_which_all_is_known_is_published_with_all_of_it() -> None:
    case = moving(
        CareChanged(at=AT, actor="la", care=Care(date(2024, 1, 1), looked_after=True, authority="820")),
        sent(),
        delivered(),
        rejected(),
        RecordPassed(at=AT, actor="dt", record=Record.PEP_SENT, on=date(2025, 10, 8)),
    )

    moments = "2025-10-06T14:22:31+01:00"
    assert etree.tostring(document(case), encoding="unicode") == (
        f'<LearnerTransfer xmlns="urn:sifzone:looked-after:1.0" RefId="{CASE_REF}" LearnerPersonalRefId="{ALEX}"'
        f' FromSchoolInfoRefId="{PLACES[OLD]}" ToSchoolInfoRefId="{PLACES[NEW]}">{FROM}{TO}'
        "<TransferType>SC</TransferType><LeavingDate>2025-10-03</LeavingDate><LeavingReason>ST</LeavingReason>"
        "<EntryDate>2025-10-06</EntryDate><MembershipType>C</MembershipType>"
        f"<LookedAfterAtTransfer>Yes</LookedAfterAtTransfer><LAInfoRefId>{AUTHORITIES['820']}</LAInfoRefId>"
        f"<CTF><FileName>8209902_CTF_8209901_001.xml</FileName><Version>25.0</Version><Qualifier>full</Qualifier>"
        f"<SHA256>{HASH}</SHA256><PupilCount>1</PupilCount></CTF><Status>RJ</Status>"
        '<CTFDueDate DayKind="SchoolDay" Calendar="820">2025-10-24</CTFDueDate>'
        '<PEPRecordDueDate DayKind="WorkingDay" Calendar="England">2025-10-31</PEPRecordDueDate><StatusHistoryList>'
        f'<StatusChange Status="PL" DateTime="{moments}" Actor="mis-8209902"/>'
        f'<StatusChange Status="NT" DateTime="{moments}" Actor="mis-8209902"/>'
        f'<StatusChange Status="CP" DateTime="{moments}" Actor="ctf-out" Note="OC"/>'
        f'<StatusChange Status="SE" DateTime="{moments}" Actor="ctf-out"/>'
        f'<StatusChange Status="DE" DateTime="{moments}" Actor="ctf-out"/>'
        f'<StatusChange Status="RJ" DateTime="{moments}" Actor="mis-8209901" Note="RF"/>'
        '</StatusHistoryList><PEPRecordSent Date="2025-10-08">Yes</PEPRecordSent></LearnerTransfer>'
    )


def test_what_the_zone_has_no_ref_id_of_has_one_that_is_always_the_same() -> None:
    element = transfer_object(moving(), {}, {})

    assert element.get("FromSchoolInfoRefId") == derived("SchoolInfo", "8209902")
    assert element.get("ToSchoolInfoRefId") == derived("SchoolInfo", "8209901")
    assert text(element, "LAInfoRefId") == derived("LAInfo", "820") == "D9880D762F4B51E6A073CCFE765F0DC5"
    assert schemas.load().check(element, partial=False) == ()


def test_the_authority_is_that_of_the_care_and_without_care_that_of_the_school() -> None:
    care = CareChanged(at=AT, actor="la", care=Care(date(2024, 1, 1), looked_after=True, authority="830"))
    over = CareChanged(at=AT, actor="la", care=Care(date(2024, 1, 1), looked_after=False))

    assert text(document(moving(care)), "LAInfoRefId") == derived("LAInfo", "830")
    assert text(document(moving(over)), "LAInfoRefId") == AUTHORITIES["820"]
    assert [text(document(case), "LookedAfterAtTransfer") for case in (moving(care), moving(over), moving())] == [
        "Yes",
        "No",
        "Unknown",
    ]


@pytest.mark.parametrize(
    ("case", "number"),
    [
        pytest.param(moving(), "8209901", id="a school"),
        pytest.param(leaving(), "", id="nobody knows"),
        pytest.param(replace(leaving(), issued=frozenset({"write:XXXXXXX:1"})), "XXXXXXX", id="a file was asked for"),
        pytest.param(leaving(prepared(POOL)), "XXXXXXX", id="a file is written"),
        pytest.param(leaving(LeftSector(at=AT, actor="x")), "MMMMMMM", id="outside"),
        pytest.param(replace(moving(), renumbered=((NEW, THIRD),)), "8209903", id="a school with a new number"),
    ],
)
def test_the_new_school_is_where_the_file_is_to_go(case: TransferCase, number: str) -> None:
    element = document(case)

    assert text(element, "ToEstablishment/LAId") + text(element, "ToEstablishment/EstablishmentId") == number
    assert bool(element.get("ToSchoolInfoRefId")) == number.isdecimal()


def test_a_school_that_has_another_number_now_is_known_by_either() -> None:
    renumbered = replace(moving(), renumbered=((OLD, THIRD),))

    element = transfer_object(renumbered, {THIRD: "3" * 32}, AUTHORITIES)
    assert element.get("FromSchoolInfoRefId") == "3" * 32
    assert text(element, "FromEstablishment/EstablishmentId") == "9902"


def test_a_shield_is_in_it_only_for_the_zones_own_use() -> None:
    shielded = replace(moving(), shield=Shield.PROTECTED_MOVE)

    assert text(document(shielded), "Shield") == ""
    assert text(document(shielded, shield=True), "Shield") == "P"


def test_what_a_person_did_is_told_as_a_persons_without_the_login() -> None:
    case = moving(Cancelled(at=AT, actor="Person:j.clerk"))

    changes = document(case).iter(f"{{{LOOKED_AFTER}}}StatusChange")
    assert [change.get("Actor") for change in changes][-1] == "Person"


ESTABLISHMENTS: Final = st.sampled_from((OLD, NEW, THIRD))
DAYS: Final = st.dates(date(2025, 1, 1), date(2026, 12, 31))
FILES: Final = st.builds(
    Ctf,
    st.sampled_from((FILE.file_name, "a file.xml")),
    st.sampled_from((NEW, NOT_KNOWN, OUTSIDE)),
    st.sampled_from(("", HASH, HASH.upper(), "abc")),
    st.sampled_from(("", "25.0", "25")),
    st.sampled_from(("", "full", "partial")),
    st.integers(0, 2000),
)
CHANGES: Final = st.builds(
    StatusChange,
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)),  # noqa: DTZ001  # gets one
    actor=st.just("x"),
    note=...,
)


@given(
    case=st.builds(
        TransferCase,
        ref_id=st.just(CASE_REF),
        learner=st.just(ALEX),
        history=st.lists(CHANGES, min_size=1, max_size=3).map(tuple),
        from_school=st.none() | ESTABLISHMENTS,
        to_school=st.none() | ESTABLISHMENTS,
        leaving=st.none() | DAYS,
        entry=st.none() | DAYS,
        reason=st.sampled_from(("", "ST", "PE", "FM")),
        membership=st.sampled_from(("", "C", "M", "S", "G")),
        alternative=...,
        dual_known=st.none() | DAYS,
        left_sector=...,
        care=st.lists(st.builds(Care, DAYS, st.booleans(), st.sampled_from(("820", "830"))), max_size=2).map(tuple),
        shield=...,
        ctf=st.none() | FILES,
        passed=st.dictionaries(st.sampled_from(Record), DAYS),
        deadlines=st.lists(
            st.builds(Deadline, st.sampled_from(RuleId), DAYS, DAYS, st.sampled_from(DayKind), st.just("820"))
        ).map(tuple),
    ),
)
def test_whatever_is_known_of_a_case_it_is_published_as_a_valid_object(case: TransferCase) -> None:
    document(case, shield=True)


# What an agent's LearnerTransfer tells.


def of(*kinds: type[Event]) -> list[type[Event]]:
    return list(kinds)


@pytest.mark.parametrize(
    ("inner", "kinds", "comes_to"),
    [
        pytest.param(FROM + TO + status("PL"), of(MovePlanned), "PL", id="planned"),
        pytest.param(FROM + TO + status("NT"), of(MovePlanned), "PL", id="told of"),
        pytest.param(FROM + TO_OUTSIDE + status("PL"), of(MovePlanned, LeftSector), "PL", id="planned to outside"),
        pytest.param(FROM + TO + ctf() + status("CP"), of(MovePlanned, CtfPrepared), "CP", id="prepared"),
        pytest.param(FROM + TO + ctf() + status("SE"), of(CtfArrived), "SE", id="sent"),
        pytest.param(FROM + TO + ctf() + status("DE"), of(CtfArrived, CtfDelivered), "DE", id="delivered"),
        pytest.param(FROM + TO + ctf() + status("LD"), of(CtfArrived, CtfLoaded), "LD", id="loaded"),
        pytest.param(FROM + TO + status("LD"), of(MovePlanned, CtfLoaded), "LD", id="loaded, the file not told of"),
        pytest.param(FROM + TO + ctf() + status("RJ"), of(CtfArrived, Rejected), "RJ", id="rejected"),
        pytest.param(ctf() + status("SE"), of(CtfArrived), "SE", id="schools in the file's name alone"),
        pytest.param(
            FROM + TO + status("PL") + '<PEPRecordSent Date="2025-10-01">Yes</PEPRecordSent>',
            of(MovePlanned, RecordPassed),
            "PL",
            id="a record passed on",
        ),
    ],
)
def test_an_add_about_a_move_that_is_new_opens_a_case_and_brings_it_as_far_as_it_says(
    inner: str, kinds: list[type[Event]], comes_to: str
) -> None:
    events = told(transfer(inner, Action.ADD))

    assert [type(event) for event in events] == kinds
    assert {(event.at, event.actor) for event in events} == {(AT, MIS)}
    case = after(None, events)
    assert (case.status, case.learner, case.from_school) == (comes_to, ALEX, OLD)
    assert told(transfer(inner, Action.ADD), case) == ()


@pytest.mark.parametrize(
    ("case", "inner", "events"),
    [
        pytest.param(moving(), ctf() + status("CP"), [prepared()], id="prepared"),
        pytest.param(moving(), ctf() + status("SE"), [sent()], id="sent"),
        pytest.param(moving(), ctf() + status("DE"), [sent(), delivered()], id="sent and delivered"),
        pytest.param(moving(sent()), ctf() + status("DE"), [delivered()], id="delivered"),
        pytest.param(moving(sent()), status("DE"), [delivered()], id="delivered, in few words"),
        pytest.param(
            moving(sent(), delivered()),
            TO + status("LD"),
            [CtfLoaded(at=AT, actor=OTHER, school=NEW)],
            id="loaded",
        ),
        pytest.param(
            moving(sent(), delivered()),
            TO + status("CM"),
            [CtfLoaded(at=AT, actor=OTHER, school=NEW)],
            id="complete, which the zone alone can say, so loaded",
        ),
        pytest.param(
            moving(sent(), delivered()),
            TO + status("RJ", "WR"),
            [Rejected(at=AT, actor=OTHER, school=NEW, note=Note.WRONG_LEARNER_OR_SCHOOL)],
            id="rejected",
        ),
        pytest.param(moving(), status("CA"), [Cancelled(at=AT, actor=OTHER)], id="cancelled"),
        pytest.param(
            moving(),
            status("CA", "SH"),
            [Cancelled(at=AT, actor=OTHER, note=Note.SHIELDED)],
            id="cancelled with a reason",
        ),
        pytest.param(
            moving(),
            '<PEPRecordReceived Date="2025-10-09">Yes</PEPRecordReceived><SafeguardingFileReceipt>Yes'
            "</SafeguardingFileReceipt><PEPRecordSent>No</PEPRecordSent>",
            [
                RecordPassed(at=AT, actor=OTHER, record=Record.PEP_RECEIVED, on=date(2025, 10, 9)),
                RecordPassed(at=AT, actor=OTHER, record=Record.SAFEGUARDING_RECEIPT, on=date(2025, 10, 6)),
            ],
            id="records passed on",
        ),
        pytest.param(
            REFUSED,
            ctf(LATER) + status("SE"),
            [prepared(LATER), sent(LATER)],
            id="another file sent, after one that was refused",
        ),
        pytest.param(
            moving(sent(), delivered(), rejected(), prepared(LATER), sent(LATER)),
            ctf(LATER) + status("DE"),
            [delivered()],
            id="another file delivered, after one that was too",
        ),
        pytest.param(
            moving(sent(), delivered(), rejected(), prepared(LATER), sent(LATER), delivered()),
            TO + ctf(LATER) + status("RJ"),
            [Rejected(at=AT, actor=OTHER, school=NEW)],
            id="another file refused, after one that was too",
        ),
        pytest.param(REFUSED, ctf() + status("SE"), [], id="the file that was refused, sent"),
        pytest.param(REFUSED, TO + ctf() + status("RJ"), [], id="refused again"),
        pytest.param(
            moving(sent(), delivered(), rejected(), prepared(LATER), sent(LATER)),
            TO + ctf() + status("RJ"),
            [],
            id="the earlier file refused, as was told",
        ),
        pytest.param(LOST, ctf(POOL) + status("SE"), [sent(POOL)], id="sent to the pool"),
        pytest.param(LOST, ctf(POOL) + status("DE"), [sent(POOL)], id="delivered to the pool, which takes nothing in"),
        pytest.param(IN_POOL, ctf(POOL) + status("DE"), [], id="delivered to the pool, where it is"),
        pytest.param(IN_POOL, ctf(POOL) + status("LP"), [], id="in the pool, where it is"),
        pytest.param(LOST, status("LP"), [sent(POOL)], id="in the pool"),
        pytest.param(
            moving(),
            FROM + TO + "<LeavingDate>2025-10-02</LeavingDate>" + status("PL"),
            [],
            id="a plan for what has happened",
        ),
        pytest.param(
            moving(sent(), delivered()),
            FROM + TO + ctf() + status("PL").replace("PL", "UN"),
            [],
            id="what the zone alone finds out",
        ),
    ],
)
def test_a_change_tells_what_is_new_in_it(case: TransferCase, inner: str, events: list[Event]) -> None:
    now = told(transfer(inner), case, OTHER)

    assert [replace(event, actor="") for event in now] == [replace(event, actor="") for event in events]
    assert {event.actor for event in now} <= {OTHER}
    assert told(transfer(inner), after(case, now), OTHER) == ()


def test_a_plan_tells_what_was_not_known_of_it() -> None:
    case = after(None, told(transfer(FROM + status("PL"), Action.ADD)))

    dated = transfer(FROM + TO + status("PL").replace("<Status>", "<EntryDate>2025-10-06</EntryDate><Status>"))
    (event,) = told(dated, case)
    assert (after(case, [event]).to_school, after(case, [event]).entry) == (NEW, IN)


def test_a_file_that_comes_to_a_case_that_is_there_is_told_of_as_one_that_came() -> None:
    events = told(transfer(FROM + TO + ctf() + status("DE"), Action.ADD), moving())

    assert [type(event) for event in events] == [CtfArrived, CtfDelivered]


def test_the_schools_are_known_by_the_ref_ids_of_their_school_info_too() -> None:
    attributes = f'FromSchoolInfoRefId="{PLACES[OLD]}" ToSchoolInfoRefId="{PLACES[NEW]}"'

    (event,) = told(transfer(status("PL"), Action.ADD, attributes=attributes))
    assert isinstance(event, MovePlanned)
    assert (event.from_school, event.to_school) == (OLD, NEW)


@pytest.mark.parametrize(
    ("event", "case"),
    [
        pytest.param(transfer("", Action.DELETE), moving(), id="a delete"),
        pytest.param(transfer(status("CA"), Action.ADD), None, id="a move that is off before it was told of"),
        pytest.param(transfer(status("NT")), moving(), id="what the zone itself has told"),
        pytest.param(transfer(status("CA")), moving(Cancelled(at=AT, actor="x")), id="a cancelled move that is off"),
        pytest.param(
            transfer('<PEPRecordSent Date="2025-10-09">Yes</PEPRecordSent>'),
            replace(moving(), passed={Record.PEP_SENT: date(2025, 10, 8)}),
            id="a record that passed earlier",
        ),
    ],
)
def test_what_is_no_news_tells_nothing(event: EventObject, case: TransferCase | None) -> None:
    assert told(event, case) == ()


@pytest.mark.parametrize(
    ("event", "case", "add"),
    [
        pytest.param(transfer("", Action.CHANGE), None, "publish it whole", id="a change of nothing known"),
        pytest.param(transfer(status("PL"), Action.ADD), None, "FromEstablishment or ToEst", id="no school"),
        pytest.param(transfer(FROM + status("SE"), Action.ADD), None, "CTF with its FileName", id="sent, no file"),
        pytest.param(transfer(FROM + TO + status("CP"), Action.ADD), None, "CTF with its FileName", id="no file"),
        pytest.param(transfer(status("SE")), moving(), "CTF with its FileName", id="sent, no file known"),
        pytest.param(transfer(ctf()), moving(), "add Status", id="a file, no status"),
        pytest.param(transfer(FROM + TO + ctf() + status("PL")), moving(), "add Status", id="a file, planned"),
        pytest.param(transfer(status("LD")), moving(sent()), "add ToEstablishment", id="loaded, nobody says where"),
        pytest.param(transfer(TO_NOBODY + status("LD")), moving(sent()), "add ToEstablishment", id="loaded nowhere"),
        pytest.param(transfer(status("RJ")), moving(sent()), "add ToEstablishment", id="refused, nobody says where"),
        pytest.param(transfer(TO + ctf(LATER) + status("RJ")), moving(sent()), "FileName", id="another file refused"),
        pytest.param(transfer(status("PL"), learner="B" * 32), moving(), "leave that as it was", id="another learner"),
        pytest.param(transfer(FROM + status("PL"), Action.ADD, ""), None, "LearnerPersonalRefId", id="no learner"),
        pytest.param(
            transfer(TO + UNNAMED + status("SE"), Action.ADD),
            None,
            "add FromEstablishment",
            id="a file of no school",
        ),
        pytest.param(
            transfer(FROM + UNNAMED + status("SE"), Action.ADD), None, "add ToEstablishment", id="a file for no school"
        ),
    ],
)
def test_what_lacks_something_is_refused_with_what_to_add(
    event: EventObject, case: TransferCase | None, add: str
) -> None:
    with pytest.raises(NotValid, match=add):
        told(event, case)


def test_another_file_while_one_is_on_its_way_is_for_the_case_to_refuse() -> None:
    case = moving(sent(), delivered())

    with pytest.raises(MoveNotAllowed, match="another file is on its way"):
        after(case, told(transfer(ctf(LATER) + status("SE")), case))
