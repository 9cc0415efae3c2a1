"""Whose record is it, asked of a worker: the answer comes in the acknowledgement, a person's word in the queue."""

from broker import identity_desk
from broker.protocol.envelope import Ack, Action, new_header, parse_message
from broker.protocol.identifiers import AgentId, RefId, new_ref_id
from broker.protocol.identity import Claim, Outcome, Place, build_locate, parse_located, parse_relocated
from broker.protocol.topology import BROKER_LOGIN, CONTROL, CONTROL_QUEUE
from broker.transports import Outgoing
from tests.faults.zones import SENDER
from tests.integration.worker.conftest import Desk

UPN = "H801200001001"
LEARNER = (
    '<LearnerPersonal RefId="{ref}"><LocalId>412</LocalId><PersonalInformation><Name Type="C">'
    "<FamilyName>Madeup</FamilyName><GivenName>Ann</GivenName></Name></PersonalInformation>"
    "<UPN>{upn}</UPN>"
    '<InCare><Current>No</Current><LAId>820</LAId></InCare><CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ref}">'
    "<LAId>820</LAId><EstablishmentId>9901</EstablishmentId><NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>"
    "</LearnerPersonal>"
)


def locate(desk: Desk, *claims: Claim) -> Ack:
    header = new_header(SENDER)
    body = build_locate(header, claims)
    desk.send(Outgoing(CONTROL, CONTROL_QUEUE, body, header.msg_id, "SIF_SystemControl", user_id=SENDER))
    return desk.ack()


def test_an_agent_asks_and_hears_later_what_a_person_decided(desk: Desk) -> None:
    known, asked, waits = new_ref_id(), new_ref_id(), new_ref_id()
    element = LEARNER.format(ref=known, upn=UPN).encode()
    desk.send_event("LearnerPersonal", Action.ADD, element, known)
    assert desk.held() == []
    identity_desk.answer(desk.store, AgentId("mis-other"), [Claim(known, UPN, given_name="Boris")], 1.0)

    ack = locate(desk, Claim(asked), Claim(waits, UPN, given_name="Ann"))

    assert ack.status == 0
    assert parse_located(ack.data) == (Place(asked, Outcome.NEW, asked), Place(waits, Outcome.WAITING))

    (match,) = desk.store.waiting_links()
    told = identity_desk.accept(desk.store, match, 1, "made-up-person", 2.0)
    with desk.carrier.connect(AgentId(BROKER_LOGIN)) as transport:
        identity_desk.tell(transport, AgentId(desk.zone.id), told)

    message = parse_message(desk.take(SENDER).body)
    assert str(message.header.source_id) == str(desk.zone.id)
    assert parse_relocated(message) == (Place(waits, Outcome.FOUND, RefId(known)),)


def test_a_learner_published_before_anybody_asked_is_found_by_upn(desk: Desk) -> None:
    known = new_ref_id()
    desk.send_event("LearnerPersonal", Action.ADD, LEARNER.format(ref=known, upn=f" {UPN.lower()} ").encode(), known)
    assert desk.held() == []
    asked = new_ref_id()

    assert parse_located(locate(desk, Claim(asked, UPN)).data) == (Place(asked, Outcome.FOUND, known),)
