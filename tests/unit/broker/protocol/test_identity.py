"""Locate, Located and Relocated as they are written, and what of hostile ones is refused, and how."""

from datetime import date

import pytest

from broker.protocol.envelope import Ack, build_ack, build_message, build_system_control, new_header, parse_ack
from broker.protocol.envelope import parse_message as parse
from broker.protocol.errors import NotValid
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import (
    IDENTITY,
    LOCATE,
    MAX_FORMER_UPNS,
    MAX_LEARNERS,
    RELOCATED,
    Claim,
    Outcome,
    Place,
    build_locate,
    build_located,
    build_relocated,
    control_name,
    parse_locate,
    parse_located,
    parse_relocated,
)

HEADER = new_header(AgentId("mis-1"))
KEY = RefId("0A" * 16)
OTHER = RefId("0B" * 16)
SECRET = "Unmistakable-Made-Up-Name"
WHOLE = Claim(
    KEY,
    "A820990126001",
    ("B820990126001", "C820990126001"),
    "1234567890",
    'O"Quill & <Sons>',
    "Zephyrine",
    date(2015, 3, 2),
    "F",
    "QZ5 1AA",
    locate_only=True,
)


def locate(inner: str, attributes: str = "") -> bytes:
    content = f'<Locate xmlns="{IDENTITY}"{attributes}>{inner}</Locate>'
    return control(content)


def control(content: str) -> bytes:
    return build_message(
        "SIF_SystemControl", HEADER, f"<SIF_SystemControlData>{content}</SIF_SystemControlData>".encode()
    )


def learner(more: str = "", inner: str = "", key: str = KEY) -> str:
    return f'<Learner Key="{key}" {more}>{inner}</Learner>'


def test_what_is_asked_comes_back_as_it_was_built() -> None:
    claims = (WHOLE, Claim(OTHER))
    message = parse(build_locate(HEADER, claims))

    assert control_name(message) == LOCATE
    assert parse_locate(message) == claims


def test_what_is_answered_comes_back_through_an_acknowledgement_as_it_was_built() -> None:
    places = (
        Place(KEY, Outcome.FOUND, OTHER),
        Place(OTHER, Outcome.NEW, OTHER),
        Place(RefId("0C" * 16), Outcome.WAITING),
        Place(RefId("0D" * 16), Outcome.NONE),
    )
    ack = parse_ack(parse(build_ack(HEADER, Ack("mis-1", "0E" * 16, status=0, data=build_located(places)))))

    assert ack.status == 0
    assert parse_located(ack.data) == places


def test_what_is_decided_later_comes_back_as_it_was_built() -> None:
    places = (Place(KEY, Outcome.FOUND, OTHER), Place(OTHER, Outcome.NONE))
    message = parse(build_relocated(HEADER, places))

    assert control_name(message) == RELOCATED
    assert parse_relocated(message) == places


def test_new_without_a_ref_id_means_the_agents_own() -> None:
    new = learner('Outcome="new"')

    said = f'<Located xmlns="{IDENTITY}">{new}</Located>'.encode()

    assert parse_located(said) == (Place(KEY, Outcome.NEW, KEY),)


def test_no_ref_id_is_written_where_nobody_has_one() -> None:
    assert b"RefId" not in build_located([Place(KEY, Outcome.NONE, OTHER), Place(OTHER, Outcome.WAITING, KEY)])


def test_a_value_longer_than_any_true_one_is_left_out_so_that_it_does_not_hold_up_the_others() -> None:
    claim = Claim(KEY, "A" * 33, ("B" * 33, "C820990126001"), "1" * 33, "Q" * 257, "Zephyrine")

    assert parse_locate(parse(build_locate(HEADER, [claim]))) == (
        Claim(KEY, former_upns=("C820990126001",), given_name="Zephyrine"),
    )


def test_other_commands_are_neither() -> None:
    assert control_name(parse(build_system_control(HEADER, "SIF_Ping"))) == ""
    assert control_name(parse(control(""))) == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (build_system_control(HEADER, "SIF_Ping"), "must hold one Locate"),
        (control(f'<Locate xmlns="{IDENTITY}"/><Locate xmlns="{IDENTITY}"/>'), "must hold one Locate"),
        (locate(""), "1 to 500 learners"),
        (
            locate("".join(learner(key=f"{number:032X}") for number in range(MAX_LEARNERS + 1))),
            "send several messages",
        ),
        (locate(learner() * 2), "two learners with the same Key: send each once"),
        (locate(learner(), ' Zone="x"'), "Locate has an attribute"),
        (locate("<Pupil/>"), r"Locate/Learner\[1\] is no Learner"),
        (locate(learner(key="0a" * 16)), r"Learner\[1\]/@Key must be 32 upper-case"),
        (locate(learner(key="")), "@Key must be"),
        (locate(learner() + learner('Surname="x"', key=OTHER)), r"Learner\[2\] has an attribute that is none of"),
        (locate(learner('xmlns:x="urn:x" x:UPN="y"')), "has an attribute that is none of BirthDate"),
        (locate(learner(f'FamilyName="{SECRET * 20}"')), "@FamilyName has more than 256 characters"),
        (locate(learner(f'UPN="{"A" * 33}"')), "@UPN has more than 32"),
        (locate(learner('BirthDate="2015-02-30"')), "@BirthDate must be a date of the form yyyy-mm-dd"),
        (locate(learner('BirthDate="2015-W01-1"')), "@BirthDate must be"),
        (locate(learner('BirthDate=""')), "@BirthDate must be"),
        (locate(learner('LocateOnly="yes"')), '@LocateOnly must be "true" or left out'),
        (locate(learner(inner="<FormerUPN>A</FormerUPN>" * (MAX_FORMER_UPNS + 1))), "more than 20 former UPNs"),
        (locate(learner(inner=f"<FormerUPN>{'A' * 33}</FormerUPN>")), "FormerUPN has more than 32"),
        (locate(learner(inner="<FormerUPN><b/></FormerUPN>")), "other than FormerUPN with a text"),
        (locate(learner(inner="<UPN>A</UPN>")), "other than FormerUPN with a text"),
    ],
)
def test_what_is_wrong_with_a_locate_is_said_by_place_and_remedy_and_never_by_its_value(body: bytes, says: str) -> None:
    with pytest.raises(NotValid, match=says) as refused:
        parse_locate(parse(body))

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("inner", "says"),
    [
        (learner('Outcome="perhaps"'), "@Outcome must be one of found, new, waiting, none"),
        (learner(), "@Outcome must be"),
        (learner('Outcome="found"'), "@RefId must be 32 upper-case"),
        (learner('Outcome="new" RefId="x"'), "@RefId must be"),
        (learner(f'Outcome="waiting" RefId="{OTHER}"'), "@RefId: nobody has one while the outcome is waiting"),
        (learner('Outcome="none" Name="x"'), "has an attribute that is none of Key, Outcome, RefId"),
        (learner('Outcome="none"', "<x/>"), "holds an element: leave it out"),
        (learner('Outcome="none"') * 2, "same Key"),
    ],
)
def test_what_is_wrong_with_an_answer_is_refused(inner: str, says: str) -> None:
    with pytest.raises(NotValid, match=says):
        parse_located(f'<Located xmlns="{IDENTITY}">{inner}</Located>'.encode())
    with pytest.raises(NotValid, match=says):
        parse_relocated(parse(control(f'<Relocated xmlns="{IDENTITY}">{inner}</Relocated>')))


def test_another_answer_is_no_located() -> None:
    with pytest.raises(NotValid, match="does not hold Located"):
        parse_located(b"<SIF_Message/>")
