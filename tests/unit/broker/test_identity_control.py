"""Locate on the control queue: who may ask, and what is said to whoever may not or asks badly."""

from dataclasses import replace
from typing import Final

import pytest

from broker.control import Answer, Desk, answer
from broker.protocol.envelope import build_message
from broker.protocol.errors import SIF_ERRORS
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import IDENTITY, Claim, Place, build_locate, build_relocated
from broker.protocol.identity import Outcome as Said
from broker.registry import Live, Registration, Registry, Role, Topic
from broker.zone_status import ZoneIdentity
from tests.unit.broker.builders import MERLIN, MIS, agent, header

CARE: Final = AgentId("social-care")
DESK: Final = Desk(ZoneIdentity(AgentId("quarrington"), "Quarrington"), now=1_790_000_000.0)
CLAIM: Final = Claim(RefId("A" * 32), "H801200001001", family_name="Madeup")
AGENTS: Final = (
    agent(MIS, rights=[(Role.PUBLISH_ADD, Topic("LearnerPersonal"))]),
    agent(CARE, rights=[(Role.PUBLISH_CHANGE, Topic("LearnerLookedAfter"))]),
    agent(MERLIN, rights=[(Role.PUBLISH_ADD, Topic("SchoolInfo")), (Role.SUBSCRIBE, Topic("LearnerPersonal"))]),
)
REGISTRY: Final = Registry.of(AGENTS, Live({one.id: Registration(one.id, one.id, "2.4", 1.0) for one in AGENTS}, {}))


def ask(body: bytes, login: AgentId = MIS, registry: Registry = REGISTRY, desk: Desk = DESK) -> Answer:
    return answer(body, login, registry, desk)


def locate(login: AgentId = MIS) -> bytes:
    return build_locate(header(login), [CLAIM])


def code(given: Answer) -> tuple[int | None, int | None]:
    assert given.claims == ()
    assert (given.ack.category, given.ack.code) in SIF_ERRORS
    return given.ack.category, given.ack.code


@pytest.mark.parametrize("login", [MIS, CARE])
def test_who_may_publish_about_learners_may_ask_whose_record_they_are(login: AgentId) -> None:
    given = ask(locate(login), login)

    assert (given.ack.status, given.claims, given.changes) == (0, (CLAIM,), ())


def test_who_may_publish_nothing_about_learners_is_refused() -> None:
    assert code(ask(locate(MERLIN), MERLIN)) == (4, 7)


def test_who_has_not_registered_is_refused() -> None:
    assert code(ask(locate(), registry=Registry.of(AGENTS))) == (4, 9)


def test_an_agent_at_the_gateway_is_told_to_ask_for_identity() -> None:
    given = ask(locate(), desk=replace(DESK, over_http=True))

    assert code(given) == (12, 2)
    assert "Identity" in given.ack.description


def test_no_agent_may_tell_the_zone_whose_record_it_is() -> None:
    assert code(ask(build_relocated(header(), [Place(CLAIM.key, Said.NEW, CLAIM.key)]))) == (12, 2)


@pytest.mark.parametrize(
    "inner",
    [
        f'<Locate xmlns="{IDENTITY}"/>',
        f'<Locate xmlns="{IDENTITY}">' + f'<Learner Key="{"A" * 32}"/>' * 2 + "</Locate>",
        f'<Locate xmlns="{IDENTITY}">'
        + "".join(f'<Learner Key="{number:032X}"/>' for number in range(501))
        + "</Locate>",
        f'<Locate xmlns="{IDENTITY}"><Learner Key="{"A" * 32}" BirthDate="Madeup"/></Locate>',
        f'<Locate xmlns="{IDENTITY}"><Learner Key="{"A" * 32}" FamilyName="{"Madeup" * 1000}"/></Locate>',
    ],
    ids=["nobody", "twice", "501", "date", "length"],
)
def test_a_question_that_is_not_as_it_should_be_is_refused_without_repeating_it(inner: str) -> None:
    content = f"<SIF_SystemControlData>{inner}</SIF_SystemControlData>".encode()

    given = ask(build_message("SIF_SystemControl", header(), content))

    assert code(given) == (1, 3)
    assert "Madeup" not in given.ack.description
