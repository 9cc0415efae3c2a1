"""Agents register, ping and take their leave; whoever is not known or not registered is told so."""

import pytest

from broker.control import DONE, Answer, answer
from broker.protocol.envelope import build_message, build_register, build_system_control
from broker.protocol.errors import SIF_ERRORS
from broker.protocol.identifiers import AgentId
from tests.unit.broker.builders import MERLIN, MIS, MSG_ID, add_personal, agent, header, registry

ZONE = registry(agent(MIS), agent(MERLIN))
REGISTER = build_register(header(), "Larkrise MIS")
UNREGISTER = build_message("SIF_Unregister", header())
PING = build_system_control(header(), "SIF_Ping")


def ask(body: bytes, login: AgentId = MIS, registered: frozenset[AgentId] = frozenset({MIS})) -> Answer:
    return answer(body, login, ZONE, registered)


def codes(given: Answer) -> tuple[int | None, int | None]:
    return given.ack.category, given.ack.code


def test_a_known_agent_registers_with_its_name_and_version() -> None:
    given = ask(REGISTER, registered=frozenset())

    assert (given.ack.status, given.registered, given.unregistered) == (DONE, ("Larkrise MIS", "2.4"), False)


def test_registering_again_is_no_error() -> None:
    assert ask(REGISTER).ack.status == DONE


def test_a_registered_agent_is_answered_when_it_pings() -> None:
    given = ask(PING)

    assert (given.ack.status, given.registered, given.unregistered) == (DONE, None, False)


def test_a_registered_agent_takes_its_leave() -> None:
    given = ask(UNREGISTER)

    assert (given.ack.status, given.unregistered) == (DONE, True)


def test_the_answer_names_whose_message_it_is_about_and_speaks_its_version() -> None:
    given = ask(PING.replace(b'Version="2.4"', b'Version="2.1"'))

    assert (given.ack.original_source_id, given.ack.original_msg_id, given.version) == (MIS, MSG_ID, "2.1")


def test_an_agent_that_the_zone_does_not_have_may_not_register() -> None:
    stranger = AgentId("stranger")

    given = ask(build_register(header(stranger), "?"), stranger, frozenset())

    assert codes(given) == (4, 2)
    assert given.registered is None
    assert "stranger" in given.ack.description
    assert "administrator" in given.ack.description


@pytest.mark.parametrize("body", [PING, UNREGISTER], ids=["ping", "unregister"])
def test_an_agent_that_has_not_registered_is_told_to(body: bytes) -> None:
    given = ask(body, registered=frozenset({MERLIN}))

    assert codes(given) == (4, 9)
    assert not given.unregistered
    assert "SIF_Register first" in given.ack.description


@pytest.mark.parametrize("body", [REGISTER, PING, UNREGISTER], ids=["register", "ping", "unregister"])
def test_nobody_speaks_for_another_agent(body: bytes) -> None:
    given = ask(body, MERLIN, frozenset({MIS, MERLIN}))

    assert codes(given) == (3, 1)
    assert (given.registered, given.unregistered) == (None, False)
    assert given.ack.original_source_id == MERLIN  # whoever sent it, not whom it names


@pytest.mark.parametrize(
    "body",
    [build_system_control(header(), "SIF_Sleep"), build_message("SIF_Provision", header()), add_personal()],
    ids=["sleep", "provision", "event"],
)
def test_what_the_zone_does_not_answer_is_refused(body: bytes) -> None:
    assert codes(ask(body)) == (12, 2)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"not XML", (1, 2)), (PING.replace(b'"2.4"', b'"1.1"'), (12, 3)), (b"<a/>", (1, 3))],
    ids=["garbage", "version", "another root"],
)
def test_what_cannot_be_read_is_answered_without_a_message_id(body: bytes, expected: tuple[int, int]) -> None:
    given = ask(body)

    assert codes(given) == expected
    assert given.ack.original_msg_id is None
    assert expected in SIF_ERRORS
