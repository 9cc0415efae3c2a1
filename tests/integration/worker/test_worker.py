"""What the worker promises: durable before acknowledged, once, in order; refusals answered and kept."""

from datetime import date

import psutil
import pytest

from broker import quarantine
from broker.applied import apply_folder
from broker.protocol.envelope import Action, build_event, event_objects, new_header, parse_message
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.topology import BROKER_LOGIN, INTAKE, agent_queue, intake_key
from broker.registry import Unregistered
from broker.storage import Batch, LearnerRow, Store
from broker.transports import Outgoing
from broker.worker import Worker
from tests.faults.zones import RECIPIENTS, SENDER
from tests.integration.worker.conftest import Desk, in_memory

PLATFORM_A, PLATFORM_B, VIRTUAL_SCHOOL = RECIPIENTS
SECRET = "Unmistakable-Made-Up-Surname"


def learner(ref: str, *, care: str = "Yes", surname: str = SECRET) -> bytes:
    return (
        f'<LearnerPersonal RefId="{ref}"><LocalId>17</LocalId><PersonalInformation><Name Type="C">'
        f"<FamilyName>{surname}</FamilyName><GivenName>Pupil</GivenName></Name></PersonalInformation>"
        f"<InCare><Current>{care}</Current><LAId>820</LAId></InCare>"
        f'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ref[::-1]}"><LAId>820</LAId>'
        "<EstablishmentId>9901</EstablishmentId><NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment></LearnerPersonal>"
    ).encode()


def test_each_recipient_gets_its_own_view_under_the_original_message_id(desk: Desk) -> None:
    ref = new_ref_id()
    msg_id = desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref)

    for agent in RECIPIENTS:
        message = desk.take(agent)
        assert message.message_id == msg_id
        assert "BCC" not in message.headers
        (found,) = event_objects(parse_message(message.body))
        assert (b"InCare" in message.body) is (agent == VIRTUAL_SCHOOL)
        assert found.element.get("RefId") == ref


@in_memory
def test_learner_not_in_care_is_withheld_from_the_virtual_school_and_the_ledger_says_why(desk: Desk) -> None:
    ref = new_ref_id()
    msg_id = desk.send_event("LearnerPersonal", Action.ADD, learner(ref, care="No"), ref)
    desk.take(PLATFORM_A)
    desk.take(PLATFORM_B)

    assert desk.nothing_for(VIRTUAL_SCHOOL)
    rows = {row.outcome: row for row in desk.store.explain(msg_id)}
    assert rows["withheld"].audience == (VIRTUAL_SCHOOL,)
    assert rows["withheld"].reason == "learner-not-in-scope"
    assert rows["delivered"].audience == (PLATFORM_A, PLATFORM_B)
    assert rows["accepted"].considered == 3


def test_nothing_is_acknowledged_before_it_is_committed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = new_ref_id()

    class PowerCutError(Exception):
        pass

    def fail(_store: Store, _batch: Batch) -> None:
        raise PowerCutError

    desk.work()
    with monkeypatch.context() as broken:
        broken.setattr(Store, "commit", fail)
        msg_id = desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref)
        with pytest.raises(PowerCutError):
            desk.work()
    assert desk.store.explain(msg_id) == []
    desk.worker._transport.close()  # as a killed process would

    with desk.carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        desk.worker = Worker(transport, desk.store, desk.zone)
        desk.worker.open(range(4))
        desk.work()
        assert [row.outcome for row in desk.store.explain(msg_id)].count("accepted") == 1


def test_large_messages_are_decided_few_at_a_time_however_many_wait(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    commit = Store.commit

    def count(store: Store, batch: Batch) -> None:
        stored.append(sum(row.outcome == "accepted" for row in batch.ledger))
        commit(store, batch)

    desk.work()
    monkeypatch.setattr(Store, "commit", count)
    element = learner(ref := new_ref_id())
    monkeypatch.setattr("broker.worker.BATCH_BYTES", 3 * len(element))  # two events, with their envelopes
    monkeypatch.setattr("broker.worker.IN_HAND_BYTES", 6 * len(element))
    for _ in range(30):
        desk.send_event("LearnerPersonal", Action.ADD, element, ref)

    desk.work()

    assert sum(stored) == 30
    assert max(stored) <= 3 * 3


def test_message_sent_again_under_its_id_is_delivered_once(desk: Desk) -> None:
    ref = new_ref_id()
    header = new_header(SENDER)
    body = build_event(header, (("LearnerPersonal", Action.ADD, learner(ref)),))
    desk.send_body(body, ref, header.msg_id)
    desk.send_body(body, ref, header.msg_id)
    desk.take(PLATFORM_A)
    desk.work()
    desk.send_body(body, ref, header.msg_id)

    assert desk.nothing_for(PLATFORM_A)
    outcomes = [row.outcome for row in desk.store.explain(header.msg_id)]
    assert outcomes.count("accepted") == 1
    assert outcomes.count("duplicate") == 1


def test_refused_event_is_answered_kept_and_told_without_element_text(desk: Desk) -> None:
    ref = new_ref_id()
    broken = learner(ref).replace(b"<Current>Yes</Current>", b"<Current>Perhaps</Current>")
    msg_id = desk.send_event("LearnerPersonal", Action.ADD, broken, ref)
    ack = desk.ack()

    assert (ack.original_msg_id, ack.category, ack.code) == (msg_id, 1, 4)
    assert "InCare/Current" in ack.description
    (entry,) = desk.held()
    assert entry.msg_id == msg_id
    assert SECRET not in ack.description + entry.summary + str(entry.findings)
    assert desk.nothing_for(PLATFORM_A)


@in_memory
def test_unregistered_agent_is_refused_with_4_9(desk: Desk) -> None:
    desk.store.change_registry(lambda _live: (None, (Unregistered(SENDER),)))
    ref = new_ref_id()
    desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref)
    ack = desk.ack()

    assert (ack.category, ack.code) == (4, 9)


def test_recipient_whose_queue_vanished_gets_the_message_in_a_new_one(desk: Desk) -> None:
    desk.work()
    desk.carrier.delete_queue(agent_queue(VIRTUAL_SCHOOL))
    ref = new_ref_id()
    msg_id = desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref)
    desk.work()

    assert desk.take(VIRTUAL_SCHOOL).message_id == msg_id


def test_replay_applies_todays_agreements(desk: Desk) -> None:
    ref = new_ref_id()
    broken = learner(ref).replace(b"<Current>Yes</Current>", b"<Current>Perhaps</Current>")
    msg_id = desk.send_event("LearnerPersonal", Action.ADD, broken, ref)
    desk.ack()
    (entry,) = desk.held()
    original = desk.store.quarantine_body(entry.id)
    desk.store.quarantine_fix(entry.id, original.replace(b"Perhaps", b"Yes"))
    agreement = desk.zone.folder / "agreements" / "a.toml"
    agreement.write_text(agreement.read_text().replace('to = ["platform-*"]', 'to = ["platform-b"]'))
    apply_folder(desk.zone.folder)
    desk.worker._checked = 0.0  # as after the seconds between two looks
    desk.work()
    with desk.carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        quarantine.replay(desk.store, transport, desk.zone.validator, entry.id, by="tester")

    assert desk.take(PLATFORM_B).message_id == msg_id
    assert desk.nothing_for(PLATFORM_A)
    assert desk.held() == []


HOSTILE = {
    "doctype": b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>',
    "undefined-entity": b"<x>&secret;</x>",
    "deep-nesting": b"<x>" * 100_000,
    "huge-text": b"<x>" + b"a" * 50_000_000 + b"</x>",
    "wrong-encoding": '<?xml version="1.0" encoding="UTF-16"?><x/>'.encode("utf-16"),
    "garbage": bytes(range(256)) * 8,
    "empty": b"",
    "wrong-namespace": b'<SIF_Message xmlns="http://www.sifinfo.org/infrastructure/2.x" Version="2.4"/>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_and_kept_and_the_worker_lives(desk: Desk, name: str) -> None:
    body = HOSTILE[name]
    desk.send_body(body, "key", "0" * 32)
    ack = desk.ack()

    assert ack.category == 1
    (entry,) = desk.held()
    assert desk.store.quarantine_body(entry.id) == body
    ref = new_ref_id()
    assert desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref) == desk.take(PLATFORM_A).message_id


@in_memory
def test_each_kind_of_hostile_bytes_has_its_own_error(desk: Desk) -> None:
    descriptions = set()
    for name in HOSTILE:
        desk.send_body(HOSTILE[name], "key", new_ref_id())
        descriptions.add(desk.ack().description)
    # undefined entities and DOCTYPEs with and without entities are two kinds; garbage and empty are both no XML at all
    assert len(descriptions) >= len(HOSTILE) - 2


@pytest.mark.parametrize(
    ("old", "new", "category", "code"),
    [
        pytest.param(SENDER.encode(), b"platform-a", 3, 1, id="another-agents-source"),
        pytest.param(b"LearnerPersonal", b"LearnerImpersonal", 9, 3, id="unknown-object"),
        pytest.param(b"SIF_Event>", b"SIF_Register>", 12, 2, id="of-no-kind-that-the-intake-takes"),
        pytest.param(b"SIF_Event>", b"SIF_Request>", 1, 3, id="a-request-that-is-none"),
        pytest.param(b'Version="2.4"', b'Version="9.9"', 12, 3, id="unknown-version"),
    ],
)
@in_memory
def test_lying_envelopes_are_refused_each_with_its_code(
    desk: Desk, old: bytes, new: bytes, category: int, code: int
) -> None:
    ref = new_ref_id()
    header = new_header(SENDER)
    body = build_event(header, (("LearnerPersonal", Action.ADD, learner(ref)),)).replace(old, new)
    desk.send_body(body, ref, header.msg_id)
    ack = desk.ack()

    assert (ack.category, ack.code) == (category, code)
    assert len(desk.held()) == 1


def test_memory_stays_flat_under_hostile_messages(desk: Desk) -> None:
    def send_all() -> None:
        for body in HOSTILE.values():
            desk.send_body(body, "key", new_ref_id())
            desk.ack()

    send_all()
    process = psutil.Process()
    before = process.memory_info().rss
    for _ in range(3):
        send_all()
    grown = process.memory_info().rss - before

    assert grown < 80 * 1024 * 1024, f"{grown:,} bytes more after 27 hostile messages of up to 50 MB"


@in_memory
def test_login_that_another_agent_names_as_source_is_the_one_answered(desk: Desk) -> None:
    ref = new_ref_id()
    header = new_header(PLATFORM_A)
    body = build_event(header, (("LearnerPersonal", Action.ADD, learner(ref)),))
    desk.send(Outgoing(INTAKE, intake_key(ref), body, header.msg_id, "SIF_Event", user_id=SENDER))

    assert desk.ack().category == 3
    assert desk.nothing_for(PLATFORM_A)


@in_memory
def test_what_is_wrong_with_a_record_is_kept_until_a_message_shows_it_mended(desk: Desk) -> None:
    ref = new_ref_id()
    wrong = learner(ref).replace(b"<InCare>", b"<UPN>A820990120001</UPN><InCare>")
    desk.send_event("LearnerPersonal", Action.ADD, wrong, ref)
    desk.work()
    (warned,) = desk.store.flaws()
    assert (warned.rule, warned.severity, warned.local_id, warned.key) == ("upn-check-letter", "warn", "17", ref)

    refused = wrong.replace(b"<Current>Yes<", b"<Current>Perhaps<")
    desk.send_event("LearnerPersonal", Action.CHANGE, refused, ref)
    desk.work()
    assert {(flaw.rule, flaw.severity) for flaw in desk.store.flaws()} == {
        ("unknown-code", "refuse"),
        ("upn-check-letter", "warn"),
    }
    assert SECRET not in repr(desk.store.flaws(since=warned.opened))

    desk.send_event("LearnerPersonal", Action.ADD, learner(ref), ref)
    desk.work()
    assert desk.store.flaws() == []


@in_memory
def test_what_is_known_of_a_learner_whose_messages_other_workers_have_is_never_old(desk: Desk) -> None:
    ref, sibling = new_ref_id(), new_ref_id()
    member = f"<LearnerPersonalRefId>{sibling}</LearnerPersonalRefId><UIPI>7</UIPI>"
    family = f"<SiblingList><Sibling>{member}</Sibling></SiblingList>".encode()
    body = learner(ref).replace(b"<CurrentSchoolEnrolment", family + b"<CurrentSchoolEnrolment")
    desk.store.commit(Batch(learners=[LearnerRow(sibling, home_authority="820")]))
    desk.send_event("LearnerPersonal", Action.ADD, body, ref)
    desk.work()

    desk.store.commit(Batch(learners=[LearnerRow(sibling, home_authority="820", shielded=True)]))
    desk.send_event("LearnerPersonal", Action.ADD, body, ref)
    desk.work()

    assert desk.held() == []
    assert desk.worker._index.standing(sibling, date.today()).shielded  # noqa: DTZ011  # the worker's own calendar
