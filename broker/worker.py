"""The loop around decide(): take a batch, decide, publish, wait for confirms, commit, and only then acknowledge.

Killed anywhere it loses nothing: what is not acknowledged comes again, what was committed is recognised, and what was
published comes to the receivers under the same message id.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import islice
from typing import Final

import structlog

from broker.answers import objects_of
from broker.applied import applied_name, applied_zone
from broker.batches import Work, batch_of, judged_row, learner_of
from broker.cases import Cases, tells
from broker.control_desk import take_control
from broker.exchanges import CLOSING, Exchanges, closing
from broker.learners import Learner, LearnerIndex, unknown
from broker.letters import AT, ATTEMPT, REFUSED, Key, Letter, open_letter, source_of
from broker.log_entries import LogEntry, build_log_entry
from broker.patience import StorageGone
from broker.pipeline import Accepted, Decision, Inbound, decide, names_of
from broker.protocol.envelope import NAMESPACE, VERSION, Ack, build_ack, new_header
from broker.protocol.errors import SIF_ERRORS, ConfigurationError, NotRegistered
from broker.protocol.identifiers import AgentId, MsgId, RefId, is_guid
from broker.protocol.topology import (
    BROKER_LOGIN,
    CONTROL_QUEUE,
    DEAD_QUEUE,
    DELIVERY,
    agent_queue,
    intake_queue,
)
from broker.registry import Channel, Live, Registry
from broker.requests import Pending, Question, Removed, Reply, TimedOut
from broker.routing import Reason, Router, explain
from broker.scopes import LEARNER_HEADER, REVIEW, Scopes, Surroundings, due_of, hurries, review_of
from broker.settings import Zone
from broker.storage import (
    SEEN_AGAIN,
    LedgerRow,
    StorageError,
    Store,
)
from broker.told import TOLD, TRANSFER
from broker.transfer_codec import decode_event
from broker.transports.contract import NO_HEADERS, Incoming, Outgoing, Transport, TransportLost
from broker.validation import Refusal, refusal

log = structlog.get_logger(__name__)

BATCH: Final = 200
"""Messages decided at once; one look-up in storage and at most one commit each."""
BATCH_BYTES: Final = 2 * 1024 * 1024
"""The same, of large messages: what takes about a second to decide, since nothing is sent or heard meanwhile."""
IN_HAND_BYTES: Final = 2 * BATCH_BYTES
"""Bytes of messages that were decided and are not stored, from which on nothing more is decided before confirms."""
COMMIT: Final = 3
"""Batches stored together while more messages wait; with none waiting, what is done is stored at once."""
_RELOAD_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.5
_AGENT_QUEUES: Final = agent_queue(AgentId(""))
_EXPIRE_SECONDS: Final = 2.0
_CLAIM_SECONDS: Final = 60.0
_SETTLED_SECONDS: Final = 2 * _RELOAD_SECONDS
_REVIEWS: Final = 2_000
_OWN: Final = frozenset({CLOSING, REVIEW, TOLD})
"""Types of messages by which the zone tells itself what to do."""
_REPORTED: Final = frozenset({Reason.VERSION, Reason.TOO_LARGE, Reason.CHANNEL})
"""Reasons that are the receiver's to mend, and so are told to whoever subscribes to SIF_LogEntry."""
_MAX_CACHED: Final = 200_000
_UPN: Final = f"{{{NAMESPACE}}}UPN"


class Worker:
    """One process's share of the zone's work."""

    def __init__(self, transport: Transport, store: Store, zone: Zone, *, now: Callable[[], float] = time.time) -> None:
        self._transport = transport
        self._store = store
        self._now = now
        self._index = LearnerIndex()
        self._guests: set[str] = set()  # RefIds in the index of learners whose own messages are other workers'
        self._live = Live(version=-1)
        self._exchanges = Exchanges(store, self._publish, now)
        self._cases = Cases(store, now)
        self._scopes = Scopes(
            store,
            self._publish,
            self._exchanges.keep,
            now,
            lambda learner: self._cases.objects(learner, self._index.schools),
        )
        self._mark = ""
        self._expired = 0.0
        self._swept = -1
        self._at = 0
        self._backlog: deque[Incoming] = deque()
        self._works: deque[Work] = deque()
        self._pending: set[Key] = set()
        self._checked = 0.0
        self._bad_snapshot = ""
        self._schools_checked = 0.0
        self._use(zone)

    @property
    def snapshot(self) -> str:
        """Name of the snapshot by which it works."""
        return self._zone.snapshot

    def open(self, partitions: Sequence[int]) -> None:
        """Declare the zone and each agent's queue, and take the intake *partitions*, control and dead letters."""
        self._transport.declare(self._zone.topology)
        self._transport.consume([*(intake_queue(n) for n in partitions), CONTROL_QUEUE, DEAD_QUEUE])

    def stand_by(self, partitions: Sequence[int]) -> None:
        """Also wait for *partitions* of other workers: each has one active consumer, the next takes over from it."""
        self._transport.consume([intake_queue(n) for n in partitions])

    def step(self, timeout: float) -> bool:
        """Do what there is to do, waiting up to *timeout* seconds when there is nothing; tell whether there was."""
        busy = bool(self._works)
        try:
            self._reload()
            self._expire()
            self._backlog += self._transport.poll(0 if self._backlog else timeout)
            busy |= bool(self._backlog)
            while self._backlog:
                self._reload()  # under load this goes on and on
                chunk = self._next_batch()
                self._begin(chunk)
                for _ in chunk:
                    self._backlog.popleft()
                self._await_confirms()
                self._gather()
                self._finish(at_least=COMMIT)
            self._finish()
        except TransportLost as lost:
            log.warning("worker_lost_connection", reason=str(lost), in_hand=len(self._works))
            self._drop_all()
        except StorageError as error:
            if not error.retry:
                raise
            log.warning("storage_not_available", reason=type(error).__name__)
            time.sleep(min(timeout, 1.0))
        return busy

    def _next_batch(self) -> list[Incoming]:
        """Return the messages to decide at once: no more than RabbitMQ waits for, which takes silence for a loss."""
        chunk: list[Incoming] = []
        size = 0
        for incoming in islice(self._backlog, BATCH):
            size += len(incoming.body)
            if chunk and size > BATCH_BYTES:
                break
            chunk.append(incoming)
        return chunk

    def _await_confirms(self) -> None:
        """Let large messages be confirmed before more are decided.

        Confirms come behind all that RabbitMQ has begun to hand over, which may be a hundred megabytes. That is read
        here: a little after each batch would take longer than a publish may remain unconfirmed.
        """
        if sum(work.size for work in self._works) <= IN_HAND_BYTES:
            return
        last = max(work.last for work in self._works)
        while self._transport.confirmed < last:
            self._backlog += self._transport.poll(0.5)

    def _gather(self) -> None:
        """Send what was published, and take what has come meanwhile.

        Up to a batch: looking up ten messages costs as much as a hundred.
        """
        while True:
            more = self._transport.poll(0)
            self._backlog += more
            if not more or len(self._backlog) >= BATCH:
                return

    # -- a batch begins --------------------------------------------------------------------------------------------

    def _begin(self, chunk: Sequence[Incoming]) -> None:
        work = Work(chunk[-1].tag, sum(len(incoming.body) for incoming in chunk))
        own = [incoming for incoming in chunk if incoming.type in _OWN and incoming.user_id == BROKER_LOGIN]
        others = [incoming for incoming in chunk if incoming not in own] if own else chunk
        letters = {
            incoming.tag: open_letter(incoming)
            for incoming in others
            if incoming.queue not in (CONTROL_QUEUE, DEAD_QUEUE)
        }
        seen = self._load(list(letters.values()), own)
        for incoming in chunk:
            letter = letters.get(incoming.tag)
            if letter is not None:
                self._handle(letter, seen, work)
            elif incoming.queue == CONTROL_QUEUE:
                if take_control(incoming, self._zone, self._store, partial(self._publish, work=work), self._now()):
                    self._look()
            elif incoming.queue == DEAD_QUEUE:
                self._bury(incoming, work)
            else:
                self._do_own(incoming, work)
        self._pending |= work.keys
        self._works.append(work)

    def _handle(self, letter: Letter, seen: frozenset[Key], work: Work) -> None:
        if letter.key in seen or letter.key in self._pending or letter.key in work.keys:
            work.ledger.append(letter.row(self._now(), "duplicate", seq=SEEN_AGAIN))
            return
        work.keys.add(letter.key)
        content = letter.content
        refused: Refusal | None
        if isinstance(content, (Question, Reply)):
            refused = self._exchange(letter, content, work)
        else:
            own = content.own if isinstance(content, Inbound) and letter.only is None else ()
            before = {ref: self._index.learners.get(ref) for ref in own if ref}
            decision = self._decide(letter, content)
            refused = decision if isinstance(decision, Refusal) else None
            if isinstance(decision, Accepted):
                self._deliver(letter, decision, work)
                if before and isinstance(content, Inbound):
                    self._follow(letter, content, before, decision, work)
        if refused is not None:
            self._refuse(letter, refused, work)

    def _do_own(self, incoming: Incoming, work: Work) -> None:
        """Do what the zone has told itself to do; one that fails must not stop the others."""
        at, seed = self._surroundings(work), incoming.message_id
        try:
            if incoming.type == CLOSING:
                pending = self._exchanges.close(incoming, self._router, self._zone, work)
                if pending is not None and pending.about:
                    self._scopes.ended(pending, at)
            elif incoming.type == TOLD:
                ref_id, case = (str(incoming.headers.get(name, "")) for name in (LEARNER_HEADER, TRANSFER))
                self._cases.told(ref_id, RefId(case), decode_event(incoming.body), seed, self._scopes, at)
            else:
                ref_id, due = due_of(incoming)
                work.reviewed[ref_id] = due
                self._cases.look(ref_id, seed, self._scopes, at)
                self._scopes.look(ref_id, seed, at, hurry=hurries(incoming))
        except (StorageError, StorageGone, TransportLost):
            raise
        except Exception as error:  # noqa: BLE001  # as for an event
            log.error("own_message_not_done", type=incoming.type, msg_id=seed, error=type(error).__name__)

    def _surroundings(self, work: Work) -> Surroundings:
        return Surroundings(self._router, self._index, self._zone, work)

    def _follow(
        self, letter: Letter, content: Inbound, before: Mapping[str, Learner | None], decision: Accepted, work: Work
    ) -> None:
        """Do what an event leads to beside its delivery: end what must end, ask for what is missing, follow moves."""
        try:
            self._follow_each(letter, content, before, decision, work)
        except (StorageError, StorageGone, TransportLost):
            raise
        except Exception as error:  # noqa: BLE001  # the event itself is delivered: its learners are looked at again
            log.error("event_not_followed", msg_id=letter.msg_id, source=letter.login, error=type(error).__name__)
            work.reviews.update(dict.fromkeys(before, self._now() + _CLAIM_SECONDS))

    def _follow_each(
        self, letter: Letter, content: Inbound, before: Mapping[str, Learner | None], decision: Accepted, work: Work
    ) -> None:
        at, seed = self._surroundings(work), f"{letter.login}/{letter.msg_id}/{letter.attempt}"
        for ref_id, removal in decision.removals:
            self._scopes.carry(ref_id, [removal], seed, at)
        for ref_id, known in before.items():
            events = [event for event, own in zip(content.objects, content.own, strict=False) if own == ref_id]
            telling = [event for event in events if tells(event.object_type)]
            if telling:
                self._cases.heard(ref_id, telling, known, letter.login, seed, self._scopes, at)
            learner = self._index.learners.get(ref_id)
            if learner is not None and learner.fetches:
                self._scopes.go_on(ref_id, seed, at)

    def _exchange(self, letter: Letter, content: Question | Reply, work: Work) -> Refusal | None:
        try:
            if isinstance(content, Question):
                return self._exchanges.ask(letter, content, self._router, self._zone, work)
            pending = self._exchanges.own_request(content)
            if pending is not None:
                return self._take_record(letter, content, pending, work)
            return self._exchanges.answer(letter, content, self._router, self._index, self._zone, work)
        except (StorageError, StorageGone, TransportLost):
            raise
        except Exception as error:  # noqa: BLE001  # as for an event
            return _failed(letter, error)

    def _take_record(self, letter: Letter, reply: Reply, pending: Pending, work: Work) -> Refusal | None:
        """Take a packet that answers a request of the zone's own."""
        at = self._surroundings(work)
        refused = self._exchanges.note_answer(letter, reply, pending, self._router, self._zone, work)
        if refused is None:
            try:
                self._scopes.take(letter, reply, pending, at)
                self._cases.look(pending.about, letter.msg_id, self._scopes, at)
            except (StorageError, StorageGone, TransportLost):
                raise
            except Exception:
                self._scopes.ended(pending, at)  # or nobody would ask again
                raise
        elif not self._exchanges.is_open(pending.msg_id):
            self._scopes.ended(pending, at)
        return refused

    def _load(self, letters: Sequence[Letter], own: Sequence[Incoming]) -> frozenset[Key]:
        """Fetch what deciding needs; return the keys of those letters that the ledger already has a verdict on."""
        if self._store.registry_version() != self._live.version:
            self._look()
        self._exchanges.load(letters, [incoming for incoming in own if incoming.type == CLOSING])
        about = [str(incoming.headers.get(LEARNER_HEADER, "")) for incoming in own]
        about += self._exchanges.learners_of(letters, own)
        if not letters and not about:
            return frozenset()
        events = [letter.content for letter in letters if isinstance(letter.content, Inbound)]
        replies = [names_of(objects_of(letter.content)) for letter in letters if isinstance(letter.content, Reply)]
        index = self._index
        for ref in self._guests:  # they may have changed since
            index.learners.pop(ref, None)
        named = [(event.learners, event.contacts, event.schools) for event in events] + replies
        named.append((tuple(about), (), ()))
        learners = unknown((ref for names in named for ref in names[0]), index.learners)
        contacts = unknown((ref for names in named for ref in names[1]), index.contacts)
        if contacts:
            for ref, linked in self._store.contact_learners(contacts).items():
                index.contacts[ref] = frozenset(linked)
                learners += unknown(linked, index.learners)
        learners += unknown((ref for contact in contacts for ref in index.contacts.get(contact, ())), index.learners)
        self._guests = set(learners).difference(about, *(event.own for event in events))
        if learners:
            for ref, row in self._store.learners(learners).items():
                index.learners[ref] = learner_of(row)
        schools = unknown((ref for names in named for ref in names[2]), index.schools)
        if schools and self._now() - self._schools_checked > _RELOAD_SECONDS:
            self._schools_checked = self._now()
            index.schools.update(self._store.establishments())
        self._cases.load([*about, *(ref for event in events for ref in _moving(event))])
        return self._store.accepted([letter.key for letter in letters])

    def _decide(self, letter: Letter, content: Inbound | Refusal) -> Decision:
        if isinstance(content, Refusal):
            return content
        if not self._router.registry.is_registered(content.sender):
            return refusal(NotRegistered(f"agent {content.sender} is not registered: send SIF_Register first"))
        upn = content.objects[0].element.findtext(_UPN)
        try:
            key = self._store.upn_key(upn) if upn else None
            decision = decide(content, self._router, self._index, key, only=letter.only, validator=self._zone.validator)
        except Exception as error:  # noqa: BLE001  # one message must never stop the zone; it is kept, and said
            return _failed(letter, error)
        if isinstance(decision, Refusal):
            return decision
        if letter.refused is not None:  # the gateway has told its sender so: what is said, holds
            return Refusal(*letter.refused, "the gateway refused this message and said why: its sender must send again")
        for observed in decision.observed:
            self._index.apply(observed)
        return decision

    # -- what was decided is carried out ---------------------------------------------------------------------------

    def _deliver(self, letter: Letter, decision: Accepted, work: Work) -> None:
        considered = sum(len(delivery.recipients) for delivery in decision.deliveries)
        considered += sum(len(agents) for _, agents in decision.withheld)
        work.ledger.append(letter.row(self._now(), "accepted", considered=considered))
        seq = 0
        for seq, delivery in enumerate(decision.deliveries, start=1):
            self._publish(
                Outgoing(
                    DELIVERY,
                    delivery.recipients[0],
                    delivery.body,
                    letter.msg_id,
                    "SIF_Event",
                    {ATTEMPT: letter.attempt} if letter.attempt else NO_HEADERS,
                    bcc=delivery.recipients[1:],
                    user_id=BROKER_LOGIN,
                ),
                work,
            )
            digest = hashlib.sha256(delivery.body).hexdigest()
            work.ledger.append(
                letter.row(
                    self._now(), "delivered", seq=seq, audience=delivery.recipients, view=delivery.view, sha256=digest
                )
            )
        for number, (reason, agents) in enumerate(decision.withheld, start=seq + 1):
            work.ledger.append(
                letter.row(self._now(), "withheld", seq=number, audience=agents, reason=reason, sha256="")
            )
            if reason in _REPORTED and isinstance(letter.content, Inbound):
                self._report(letter, letter.content, reason, agents, work)
        for observed in decision.observed:
            work.note(observed)
        work.judged += (judged_row(judged, letter.login) for judged in decision.judged)

    def _report(self, letter: Letter, content: Inbound, reason: Reason, agents: Sequence[AgentId], work: Work) -> None:
        """Tell whoever subscribes to SIF_LogEntry that some could not be delivered to, and write that down."""
        zone = AgentId(self._zone.id)
        msg_id = _derived(f"{letter.login}/{letter.msg_id}/{letter.attempt}/{reason}")
        text = f"not delivered to {', '.join(agents)}: {explain(reason)}"
        entry = LogEntry(content.message.header, reason, text)
        body = build_log_entry(zone, entry, msg_id, content.message.version)
        named = tuple(agent.id for agent in self._router.registry.subscribers("SIF_LogEntry"))
        unfit = self._router.unfit(named, content.message.version, len(body), Channel())
        subscribers = tuple(agent for agent in named if agent not in unfit)
        if not subscribers:
            return
        self._publish(
            Outgoing(DELIVERY, subscribers[0], body, msg_id, "SIF_Event", bcc=subscribers[1:], user_id=BROKER_LOGIN),
            work,
        )
        row = LedgerRow(self._now(), msg_id, zone, "accepted", object_type="SIF_LogEntry", action="Add")
        digest = hashlib.sha256(body).hexdigest()
        work.ledger.append(replace(row, considered=len(subscribers), sha256=digest))
        work.ledger.append(replace(row, outcome="delivered", seq=1, audience=subscribers, sha256=digest))

    def _refuse(self, letter: Letter, why: Refusal, work: Work) -> None:
        log.info("message_refused", msg_id=letter.msg_id, source=letter.login, category=why.category, code=why.code)
        work.ledger.append(letter.row(self._now(), "refused", reason=why.reason, category=why.category, code=why.code))
        work.quarantine.append(letter.held(self._now(), "refused", why))
        work.judged += (judged_row(judged, letter.login) for judged in why.judged)
        record = self._router.registry.agents.get(letter.login)
        if not letter.reply_to and (record is None or record.gateway):  # who speaks HTTP is told there, at once
            if record is not None and isinstance(letter.content, Question) and letter.refused is None:
                self._exchanges.tell_refused(letter, letter.content, why, self._router, self._zone, work)
            return
        readable = not isinstance(letter.content, Refusal)
        ack = Ack(
            letter.login,
            letter.msg_id if readable or is_guid(letter.incoming.message_id) else None,
            category=why.category,
            code=why.code,
            description=why.summary,
        )
        # The same id each time, so that an agent that hears of one refusal twice can tell.
        header = new_header(AgentId(self._zone.id), _derived(f"{letter.login}/{letter.msg_id}/{letter.attempt}"))
        version = VERSION if isinstance(letter.content, Refusal) else letter.content.message.version
        body = build_ack(header, ack, version)
        key = letter.reply_to or letter.login
        self._publish(Outgoing(DELIVERY, key, body, header.msg_id, "SIF_Ack", user_id=BROKER_LOGIN), work)

    def _bury(self, incoming: Incoming, work: Work) -> None:
        """Keep a dead letter: what an agent could not take, or what brought workers down again and again."""
        queue = str(incoming.headers.get("x-first-death-queue", "a queue"))
        why = _why_dead(queue, str(incoming.headers.get(REFUSED, "")))
        recipient = queue.removeprefix(_AGENT_QUEUES) if queue.startswith(_AGENT_QUEUES) else ""
        letter = open_letter(incoming, source_of(incoming.body) if recipient else None)
        work.quarantine.append(letter.held(self._now(), "undeliverable", why, recipient))
        log.warning("message_undeliverable", msg_id=letter.msg_id, queue=queue)

    def _publish(self, message: Outgoing, work: Work) -> None:
        if self._gateway and message.exchange == DELIVERY and AT not in message.headers:
            self._at = max(self._at + 1, time.time_ns() // 1000)
            message = replace(message, headers={**message.headers, AT: self._at})
        work.last = self._transport.publish(message)
        work.published[work.last] = message

    # -- a batch ends ----------------------------------------------------------------------------------------------

    def _finish(self, at_least: int = 1) -> None:
        """Store and acknowledge the batches whose publishes are all confirmed, oldest first, in one transaction.

        Args:
            at_least: Leave it for later when fewer batches are done, since each commit waits for the disk.
        """
        self._publish_again()
        done: list[Work] = []
        confirmed = self._transport.confirmed
        for work in self._works:
            if work.last > confirmed:
                break
            done.append(work)
        if len(done) < at_least:
            return
        self._store.commit(batch_of(done, self._router.today))
        self._transport.ack(done[-1].tag)
        for work in done:
            self._works.popleft()
            self._pending -= work.keys
        if not self._works:
            self._exchanges.forget()
            self._cases.forget()
            self._index.contacts.clear()  # other workers link contacts too
            if len(self._index.learners) > _MAX_CACHED:
                self._index.learners.clear()

    def _publish_again(self) -> None:
        """Declare and publish again what was refused: a queue that vanished, or one that could not take it."""
        refusals = {refused.number: refused.reason for refused in self._transport.refusals()}
        if not refusals:
            return
        log.warning("publish_refused", reasons=sorted(set(refusals.values())), messages=len(refusals))
        self._transport.declare(self._zone.topology)
        for work in self._works:
            again = [(work.published.pop(n), reason) for n, reason in refusals.items() if n in work.published]
            for message, reason in again:
                if reason == "unroutable" and not self._has_queue(message):
                    log.warning("receiver_gone", msg_id=message.message_id, type=message.type)
                else:
                    self._publish(message, work)

    def _has_queue(self, message: Outgoing) -> bool:
        """Tell whether the zone declares a queue for *message*: none for a person, who may have stopped waiting."""
        bindings = self._zone.topology.bindings
        keys = {message.routing_key, *message.bcc}
        return any(binding.exchange == message.exchange and binding.key in keys for binding in bindings)

    def _drop_all(self) -> None:
        """Forget what is in hand: all that was not acknowledged comes again."""
        self._backlog.clear()
        self._works.clear()
        self._pending.clear()
        self._index = LearnerIndex()
        self._live = Live(version=-1)
        self._exchanges.forget()
        self._cases.forget()
        self._guests.clear()
        self._schools_checked = 0.0

    def _expire(self) -> None:
        """Ask, every few seconds, that requests end that nobody has answered for too long, or nobody can."""
        now = self._now()
        if now - self._expired < _EXPIRE_SECONDS:
            return
        self._expired = now
        for pending in self._store.open_requests(due_before=now):
            self._transport.publish(closing(pending.msg_id, *TimedOut.pair()))
        self._look_again(now)
        if self._swept != self._live.version:  # a request may have been on its way as its responder left
            self._swept = self._live.version
            for pending in self._store.open_requests():
                if not self._router.registry.is_registered(pending.responder):
                    self._transport.publish(closing(pending.msg_id, *Removed.pair()))

    def _look_again(self, now: float) -> None:
        """Have learners looked at who are due, and all of them on another day, or by other settings."""
        mark = f"{self._router.today}/{self._zone.snapshot}"
        if mark != self._mark:
            self._store.sweep(mark, now + _SETTLED_SECONDS)  # by then every worker has the settings
            self._mark = mark
        for review in self._store.claim_reviews(now, now + _CLAIM_SECONDS, _REVIEWS):
            self._transport.publish(review_of(review.ref_id, review.due_at))

    # -- settings --------------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Take up what was applied since, and the new day; keep the old rights and agreements where that fails."""
        now = self._now()
        if abs(now - self._checked) < _LOOK_SECONDS:
            return
        self._checked = now
        if self._today() != self._router.today:
            self._use(self._zone)
        name = applied_name(self._zone.folder)
        if name in (self._zone.snapshot, self._bad_snapshot):
            return
        try:
            self._use(applied_zone(self._zone.folder))
        except ConfigurationError as error:
            self._bad_snapshot = name
            log.error("configuration_not_used", reason=str(error))
            return
        self._transport.declare(self._zone.topology)
        log.info("configuration_loaded", agreements=len(self._zone.agreements), agents=len(self._zone.registry.agents))

    def _use(self, zone: Zone) -> None:
        self._zone, self._bad_snapshot = zone, ""
        self._gateway = any(agent.gateway for agent in zone.registry.agents.values())
        self._router = self._new_router(zone, self._live)

    def _look(self) -> None:
        """See what agents have said of themselves since."""
        begins = self._live.version < 0
        self._live = self._store.live()
        self._router = replace_registry(self._router, self._zone.registry.with_live(self._live))
        if begins:
            self._end_abandoned()

    def _end_abandoned(self) -> None:
        """Ask that requests end whose responder has left: whoever heard it say so may have been stopped before."""
        for pending in self._store.open_requests():
            if not self._router.registry.is_registered(pending.responder):
                self._transport.publish(closing(pending.msg_id, *Removed.pair()))

    def _today(self) -> date:
        return date.fromtimestamp(self._now())  # noqa: DTZ012  # agreements run by the zone's own calendar

    def _new_router(self, zone: Zone, live: Live) -> Router:
        today = self._today()
        for agreement in zone.agreements:
            warning = agreement.expiry_warning(today)
            if warning is not None:
                log.warning("agreement_expires", agreement=agreement.id, reason=warning)
        return Router(zone.registry.with_live(live), zone.agreements, today, zone.settings.transfers.enabled)


def _moving(event: Inbound) -> list[str]:
    """Return the learners of whose moves an event may tell."""
    return [ref for one, ref in zip(event.objects, event.own, strict=False) if ref and tells(one.object_type)]


def _why_dead(queue: str, refused: str) -> Refusal:
    """Return why a message is dead: refused by its receiver with SIF's category and code, or delivered in vain."""
    category, _, code = refused.partition("/")
    if not (category.isdecimal() and code.isdecimal()):
        return Refusal(10, 1, f"{queue} gave this message up after too many deliveries: mend its reader, then replay")
    error = int(category), int(code)
    said = SIF_ERRORS.get(error, "an error of its own")
    return Refusal(*error, f"its receiver refused this message ({said}): mend what it says, then replay")


def replace_registry(router: Router, registry: Registry) -> Router:
    """Return a router of the same agreements and day."""
    return Router(registry, router.agreements, router.today, router.follows_transfers)


def _failed(letter: Letter, error: Exception) -> Refusal:
    log.error("message_not_decided", msg_id=letter.msg_id, source=letter.login, error=type(error).__name__)
    return Refusal(11, 1, "the zone failed on this message: it is kept in quarantine, tell the administrator")


def _derived(text: str) -> MsgId:
    """Return a SIF_MsgId that is the same for the same *text*."""
    return MsgId(hashlib.sha256(text.encode()).hexdigest()[:32].upper())
