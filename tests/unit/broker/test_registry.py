"""Who does what: by standing, or as an agent says and its rights cover."""

from dataclasses import replace
from typing import Final

import pytest

from broker.protocol.envelope import Action
from broker.protocol.errors import MayNotPublish, NotRegistered
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.registry import PUBLISHING, AgentRecord, Live, Provision, Registration, Registry, Role, Topic, grants
from tests.unit.broker.builders import MERLIN, MIS, VIRTUAL, agent

PERSONAL: Final = "LearnerPersonal"
EXAMS, SPORTS = Context("exams"), Context("sports")
HERE, THERE = Topic(PERSONAL), Topic(PERSONAL, EXAMS)


def record(name: AgentId, *rights: tuple[Role, Topic], standing: tuple[tuple[Role, Topic], ...] = ()) -> AgentRecord:
    return AgentRecord(name, name, rights=grants([*rights, *standing]), standing=grants(standing))


def provision(*entries: tuple[Role, Topic], extended: frozenset[Topic] = frozenset()) -> Provision:
    return Provision(grants(entries), extended)


def registry(*agents: AgentRecord, said: dict[AgentId, Provision] | None = None) -> Registry:
    registrations = {one.id: Registration(one.id, one.name, "2.4", 1.0) for one in agents}
    return Registry.of(agents, Live(registrations, said or {}))


def names(found: tuple[AgentRecord, ...]) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize("role", list(Role))
def test_what_an_agent_says_counts_as_far_as_a_right_covers_it(role: Role) -> None:
    zone = registry(record(MIS, (role, HERE)), said={MIS: provision((role, HERE), (role, THERE))})

    assert zone.topics(MIS, role) == {HERE}


def test_a_right_alone_subscribes_and_provides_nothing() -> None:
    zone = registry(record(MIS, (Role.SUBSCRIBE, HERE), (Role.PROVIDE, HERE), (Role.RESPOND, HERE)))

    assert zone.subscribers(PERSONAL) == ()
    assert zone.provider(HERE) is None
    assert not zone.is_responder(MIS, HERE)


def test_what_stands_need_not_be_said_and_is_not_lost_by_saying_less() -> None:
    zone = registry(record(MERLIN, standing=((Role.SUBSCRIBE, HERE), (Role.PROVIDE, HERE))), said={MERLIN: provision()})

    assert names(zone.subscribers(PERSONAL)) == [MERLIN]
    assert zone.provider(HERE) == MERLIN


def test_what_stands_and_what_is_said_go_together() -> None:
    one = record(MERLIN, (Role.SUBSCRIBE, THERE), standing=((Role.SUBSCRIBE, HERE),))

    assert registry(one, said={MERLIN: provision((Role.SUBSCRIBE, THERE))}).topics(MERLIN, Role.SUBSCRIBE) == {
        HERE,
        THERE,
    }


def test_subscribers_are_those_of_the_context_in_the_order_of_their_ids_and_once_each() -> None:
    zone = registry(
        record(VIRTUAL, standing=((Role.SUBSCRIBE, HERE), (Role.SUBSCRIBE, THERE))),
        record(MERLIN, standing=((Role.SUBSCRIBE, THERE),)),
        record(MIS, standing=((Role.SUBSCRIBE, HERE),)),
    )

    assert names(zone.subscribers(PERSONAL)) == [MIS, VIRTUAL]
    assert names(zone.subscribers(PERSONAL, (EXAMS,))) == [MERLIN, VIRTUAL]
    assert names(zone.subscribers(PERSONAL, (EXAMS, DEFAULT_CONTEXT))) == [MERLIN, MIS, VIRTUAL]
    assert zone.subscribers(PERSONAL, (SPORTS,)) == zone.subscribers("TermInfo") == ()


def test_who_provides_by_standing_goes_before_whoever_says_so() -> None:
    early, late = AgentId("a-first-in-the-alphabet"), AgentId("z-last")
    says = record(early, (Role.PROVIDE, HERE), (Role.PROVIDE, THERE))
    said = {early: provision((Role.PROVIDE, HERE), (Role.PROVIDE, THERE))}

    zone = registry(says, record(late, standing=((Role.PROVIDE, HERE),)), said=said)

    assert (zone.provider(HERE), zone.provider(THERE), zone.provider(Topic("TermInfo"))) == (late, early, None)


def test_a_provider_answers_and_so_does_who_says_it_responds() -> None:
    zone = registry(
        record(MIS, standing=((Role.PROVIDE, HERE),)),
        record(MERLIN, (Role.RESPOND, HERE), (Role.RESPOND, THERE)),
        said={MERLIN: provision((Role.RESPOND, HERE), extended=frozenset({HERE}))},
    )

    assert [zone.is_responder(one, HERE) for one in (MIS, MERLIN, AgentId("stranger"))] == [True, True, False]
    assert [zone.is_responder(one, THERE) for one in (MIS, MERLIN)] == [False, False]
    assert [zone.answers_extended(one, HERE) for one in (MIS, MERLIN)] == [False, True]


def test_contexts_are_those_that_some_right_is_about_and_the_default_one() -> None:
    assert registry(agent("nobody")).contexts == {DEFAULT_CONTEXT}
    assert registry(agent(MIS, rights=[(Role.REQUEST, THERE)])).contexts == {DEFAULT_CONTEXT, EXAMS}


def test_who_is_registered_is_in_the_zone_and_said_so() -> None:
    zone = registry(agent(MIS))
    former = Registry.of([agent(MERLIN)], zone.live)

    assert zone.is_registered(MIS)
    assert not zone.is_registered(MERLIN)
    assert not former.is_registered(MIS)
    assert not former.is_registered(MERLIN)


def test_the_smallest_buffer_is_that_of_whoever_takes_least() -> None:
    zone = registry(agent(MIS), agent(MERLIN))
    small = replace(zone.live.registrations[MIS], max_buffer=8_192)

    assert Registry.of([agent(MIS)]).smallest_buffer == 0xFFFF_FFFF
    assert zone.with_live(Live({MIS: small, MERLIN: zone.live.registrations[MERLIN]})).smallest_buffer == 8_192


@pytest.mark.parametrize(
    ("action", "code"), [(Action.ADD, 10), (Action.CHANGE, 11), (Action.DELETE, 12)], ids=lambda x: str(x)
)
def test_publishing_needs_the_right_to_the_action_in_each_context(action: Action, code: int) -> None:
    role = PUBLISHING[action]
    others = [(other, topic) for other in Role if other is not role for topic in (HERE, THERE)]
    zone = registry(agent(MIS, rights=[(role, HERE), (role, THERE)]), agent(MERLIN, rights=[(role, HERE), *others]))

    zone.check_may_publish(MIS, PERSONAL, action, (DEFAULT_CONTEXT, EXAMS))
    zone.check_may_publish(MERLIN, PERSONAL, action)
    with pytest.raises(MayNotPublish, match="in context exams") as caught:
        zone.check_may_publish(MERLIN, PERSONAL, action, (DEFAULT_CONTEXT, EXAMS))

    assert (caught.value.category, caught.value.code) == (4, code)


def test_who_is_not_in_the_zone_is_told_so_before_anything_else() -> None:
    with pytest.raises(NotRegistered, match=r"zone\.toml"):
        registry(agent(MIS)).check_may_publish(MERLIN, PERSONAL, Action.ADD)
