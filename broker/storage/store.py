"""The store: every call the zone makes on its database, a transaction each; the SQL is in the modules beside."""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from broker.identity_links import Decided, Known, Link
from broker.protocol.identity import Claim
from broker.registry import Change, Live
from broker.requests import Pending, RequestState
from broker.storage import learners as learner_index
from broker.storage import ledger, quality, reconciliation, registry, reviews
from broker.storage import quarantine as quarantine_entries
from broker.storage import requests as request_rows
from broker.storage.engine import LOCK_WAIT, Database, open_database
from broker.storage.identity import Identities, take_turn
from broker.storage.learners import LearnerWriter
from broker.storage.ledger import LedgerWriter, MessageKey
from broker.storage.quarantine import Quarantine
from broker.storage.records import (
    Batch,
    Flaw,
    LearnerRow,
    LedgerRow,
    Outcome,
    QuarantineEntry,
    QuarantineState,
    RecipientRow,
    ReconcileRow,
    Review,
)
from broker.storage.requests import RequestWriter
from broker.storage.reviews import ReviewWriter
from broker.storage.transfers import Transfers, followed_learners
from broker.storage.vault import Vault
from broker.transfer_cases import Status, TransferCase

Result = TypeVar("Result")


def open_store(url: str, key_file: Path, *, lock_wait: float = LOCK_WAIT) -> "Store":
    """Open the database at *url*, migrated to this version; several processes may do so at once.

    Args:
        url: ``sqlite:///zone.db`` (four slashes for an absolute path) or ``postgresql+psycopg://user@host/name``.
        key_file: What :func:`broker.storage.make_key` wrote at set-up.
        lock_wait: Seconds to wait for another process's locks before StorageUnavailable.

    Raises:
        KeyFileError: The key file is missing, readable by others, or holds no key.
        DatabaseUrlError: The URL or its place cannot be used.
        DatabaseTooNew: A newer version of sifzone migrated the database.
        StorageError: The database refuses.
    """
    return Store(Vault.from_file(key_file), open_database(url, lock_wait))


class Store:
    """What the zone remembers. Use it in the process that opened it; every call may raise StorageError.

    What writes is durable on return, or raised and left no trace.
    """

    def __init__(self, vault: Vault, database: Database) -> None:
        self._vault, self._database = vault, database
        self._ledger = LedgerWriter(database.dialect)
        self._learners = LearnerWriter(database.dialect)
        self._quarantine = Quarantine(database.dialect, vault)
        self._requests = RequestWriter(database.dialect)
        self._identities = Identities(database.dialect, vault)
        self._transfers = Transfers(database.dialect, vault)
        self._reviews = ReviewWriter(database.dialect)

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # the worker's

    def commit(self, batch: Batch) -> None:
        """Keep all of *batch*, durable on return, or nothing of it; the same batch again changes nothing."""
        self._ledger.intern(self._database, batch.ledger)
        with self._database.write("commit a batch") as connection:
            self._learners.write(connection, batch)
            self._quarantine.hold(connection, batch.quarantine)
            quality.write(connection, batch.judged, batch.day)
            self._requests.write(connection, batch.requests)
            self._transfers.write(connection, batch.transfers)
            self._reviews.write(connection, batch.reviewed, batch.reviews)
            if batch.adopted:
                take_turn(connection)
                for ref_id in batch.adopted:
                    self._identities.seal(connection, ref_id)
            self._ledger.append(connection, batch.ledger)

    def accepted(self, keys: Sequence[MessageKey]) -> frozenset[MessageKey]:
        """Return those of *keys*, each (source, msg_id, attempt), that have a verdict: accepted or refused."""
        with self._database.read("look up messages") as connection:
            return ledger.verdicts(connection, keys)

    def learners(self, ref_ids: Sequence[str]) -> dict[str, LearnerRow]:
        """Return the learners of *ref_ids* that are known, by RefId."""
        with self._database.read("look up learners") as connection:
            return learner_index.learners(connection, ref_ids)

    def entering(self, *, after: str = "", limit: int = 100) -> list[LearnerRow]:
        """Return up to *limit* learners of whom something is asked for, or to be, in order of RefId after *after*."""
        with self._database.read("look up who enters scopes") as connection:
            return learner_index.entering(connection, after, limit)

    def contact_learners(self, contact_refs: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return, for each known contact of *contact_refs*, the RefIds of its learners, in order."""
        with self._database.read("look up contacts") as connection:
            return learner_index.contact_learners(connection, contact_refs)

    def establishments(self) -> dict[str, str]:
        """Return all known establishments, for example ``8209901``, by their SchoolInfo's RefId."""
        with self._database.read("read establishments") as connection:
            return learner_index.establishments(connection)

    def upn_key(self, upn: str) -> bytes:
        """Return the 32 bytes that stand for *upn* in this zone; without the key file they tell nothing.

        Blanks and small letters make no other UPN of it.
        """
        return self._vault.keyed_hash("".join(upn.split()).upper())

    # whom to look at again

    def claim_reviews(self, now: float, until: float, limit: int) -> list[Review]:
        """Return up to *limit* learners that are to be looked at, which nobody else is handed before *until*.

        Args:
            now: Seconds since 1970, UTC, as *until*.
        """
        with self._database.read("look for learners to look at") as connection:
            found = reviews.due(connection, now, limit)
        if found:
            with self._database.write("claim learners to look at") as connection:
                reviews.claim(connection, found, until)
        return found

    def sweep(self, mark: str, due_at: float) -> bool:
        """Have every learner looked at at *due_at* when *mark* is another than last time; tell whether it was.

        Args:
            mark: Stands for the day and the settings; the first one ever is only kept.
        """
        with self._database.write("have every learner looked at") as connection:
            return self._reviews.sweep(connection, mark, due_at)

    def reviews(self, *, limit: int = 100) -> list[Review]:
        """Return up to *limit* learners that are to be looked at, now or later, in the order of time."""
        with self._database.read("list learners to look at") as connection:
            return reviews.waiting(connection, limit)

    # the registry

    def live(self) -> Live:
        """Return what agents have said of themselves."""
        with self._database.read("read the registry") as connection:
            return registry.live(connection)

    def change_registry(self, decide: Callable[[Live], tuple[Result, Sequence[Change]]]) -> Result:
        """Let *decide* look at the registry, which nobody else changes meanwhile, and keep the changes that it wants.

        Args:
            decide: Returns what this method is to return, and the changes; does no I/O.
        """
        with self._database.write("change the registry") as connection:
            result, changes = decide(registry.locked(connection))
            registry.change(connection, changes)
        return result

    def block(self, agent_id: str, msg_id: str) -> None:
        """Note the event that *agent_id* is busy with (Selective Message Blocking); empty for none any more."""
        with self._database.write("note a blocked event") as connection:
            registry.block(connection, agent_id, msg_id)

    def blocked(self) -> dict[str, str]:
        """Return the event that an agent is busy with, by agent; who is busy with none is left out."""
        with self._database.read("read blocked events") as connection:
            return registry.blocked(connection)

    def registry_version(self) -> int:
        """Return a number that grows with each change of the registry, cheap to ask for."""
        with self._database.read("read the registry's version") as connection:
            return registry.version(connection)

    # whose record is whose

    def change_identity(
        self,
        agent: str,
        keys: Sequence[str],
        claims: Sequence[Claim],
        decide: Callable[[Known], tuple[Result, Decided]],
    ) -> Result:
        """Let *decide* look at what *agent*'s keys stand for, which nobody else changes meanwhile, and keep its word.

        Args:
            keys: The agent's own RefIds that are decided about.
            claims: What the agent says of some of these, so that learners like them are looked for.
            decide: Returns what this method is to return, and what to keep; does no I/O.
        """
        with self._database.write("decide whose record it is") as connection:
            take_turn(connection)
            result, decided = decide(self._identities.known(connection, agent, keys, claims))
            self._identities.write(connection, decided)
        return result

    def known_identity(self, agent: str, claims: Sequence[Claim]) -> Known:
        """Return what is known that matters to *claims* of *agent*, changing nothing."""
        with self._database.read("look up whose record it is") as connection:
            return self._identities.known(connection, agent, [claim.key for claim in claims], claims)

    def seal_identity(self, ref_id: str) -> None:
        """Never link this learner with anybody: what it is found by is removed, and what agents said of it.

        For a child who was adopted. Agents that know the learner keep its RefId for their own key; nobody else's record
        is this learner's any more, now or later. The same call again changes nothing.
        """
        with self._database.write("seal a learner's identity") as connection:
            take_turn(connection)
            self._identities.seal(connection, ref_id)

    def link(self, link_id: str) -> Link:
        """Return one link by its id, which may be cut to any length that is still its alone.

        Raises:
            NoSuchEntry: None has this id, or several begin so.
        """
        with self._database.read("look up a link") as connection:
            return self._identities.find(connection, link_id)

    def waiting_links(self, *, agent: str = "", limit: int = 100) -> list[Link]:
        """Return up to *limit* links about which people are asked, oldest first; of any agent when it is empty."""
        with self._database.read("list matches") as connection:
            return self._identities.waiting(connection, agent, limit)

    def links(self, *, agent: str = "", learner: str = "", limit: int = 100) -> list[Link]:
        """Return up to *limit* links, newest first.

        Args:
            learner: Only of this RefId, in use or an agent's own.
        """
        with self._database.read("list links") as connection:
            return self._identities.links(connection, agent, learner, limit)

    def links_of(self, learners: Sequence[str]) -> dict[str, list[Link]]:
        """Return all links that stand for *learners*, by RefId."""
        with self._database.read("look up links") as connection:
            return self._identities.of_learner(connection, learners)

    # requests

    def requests(self, msg_ids: Sequence[str]) -> dict[str, Pending]:
        """Return those of *msg_ids* that are requests, by id."""
        with self._database.read("look up requests") as connection:
            return request_rows.requests(connection, msg_ids)

    def open_requests(self, *, due_before: float | None = None, responder: str = "") -> list[Pending]:
        """Return requests that wait for an answer, oldest first: all, those due before a time, or one responder's."""
        with self._database.read("look up open requests") as connection:
            return request_rows.open_requests(connection, due_before=due_before, responder=responder)

    def list_requests(
        self, states: Collection[RequestState] = tuple(RequestState), *, agent: str = "", limit: int = 100
    ) -> list[Pending]:
        """Return up to *limit* requests in *states*, newest first; *agent* asked or answers them, unless empty."""
        with self._database.read("list requests") as connection:
            return request_rows.listed(connection, states, agent, limit)

    # transfers; all of these may raise WrongKey, or NotACase of a later version

    def transfers_of(self, learner_refs: Sequence[str]) -> dict[str, tuple[TransferCase, ...]]:
        """Return all moves of each of these learners that has any, closed ones too, the first opened first."""
        with self._database.read("look up transfers") as connection:
            return self._transfers.of_learners(connection, learner_refs)

    def transfer(self, ref_prefix: str) -> TransferCase:
        """Return the move with this RefId, or the only one whose RefId begins so.

        Raises:
            NoSuchTransfer: None has, or several have.
        """
        with self._database.read("look up a transfer") as connection:
            return self._transfers.find(connection, ref_prefix)

    def list_transfers(
        self,
        *,
        followed: bool | None = None,
        statuses: Collection[Status] = (),
        school: str = "",
        learner: str = "",
        late_on: date | None = None,
        limit: int = 100,
    ) -> list[TransferCase]:
        """Return up to *limit* moves, the last to have changed first.

        Args:
            followed: Only those that the clock may bring something about, or only the others.
            statuses: Only those in one of these.
            school: Only those from or to this establishment, by the number that it has now.
            learner: Only those of the learner with this RefId.
            late_on: Only those of which something was due before this day, the longest overdue first.
        """
        with self._database.read("list transfers") as connection:
            return self._transfers.listed(
                connection,
                followed=followed,
                statuses=statuses,
                school=school,
                learner=learner,
                late_on=late_on,
                limit=limit,
            )

    def followed_learners(self, after: str = "", limit: int = 1000) -> list[str]:
        """Return up to *limit* RefIds of learners with a move that is followed, in order, the first after *after*."""
        with self._database.read("look up whose transfers are followed") as connection:
            return followed_learners(connection, after, limit)

    # what gateway agents have acknowledged

    def hand(self, pairs: Collection[tuple[str, str]], at: float) -> None:
        """Note that agents have acknowledged messages, (agent, msg_id) each, so that none is handed out again."""
        with self._database.write("note acknowledgements") as connection:
            self._requests.hand(connection, pairs, at)

    def handed(self, agent_id: str) -> frozenset[str]:
        """Return the ids of the messages that *agent_id* has acknowledged and that are still remembered."""
        with self._database.read("read acknowledgements") as connection:
            return request_rows.handed(connection, agent_id)

    def forget_handed(self, agent_ids: Sequence[str], before: float) -> None:
        """Forget what these agents acknowledged before that time (seconds since 1970, UTC)."""
        with self._database.write("forget acknowledgements") as connection:
            request_rows.forget_handed(connection, agent_ids, before)

    # the ledger

    def explain(self, msg_id: str) -> list[LedgerRow]:
        """Return all that happened to messages with this id, by source, attempt and seq; empty when unknown."""
        with self._database.read("read the ledger") as connection:
            return ledger.of_message(connection, msg_id)

    def ledger(
        self,
        *,
        agent: str = "",
        object_type: str = "",
        outcome: Outcome | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
    ) -> list[LedgerRow]:
        """Return up to *limit* rows, newest first.

        Args:
            agent: Only rows with this agent as their source or in their audience.
            since: Only rows at this time or later.
            until: Only rows before this time.
        """
        with self._database.read("read the ledger") as connection:
            return ledger.newest(
                connection,
                agent=agent,
                object_type=object_type,
                outcome=outcome,
                since=since,
                until=until,
                limit=limit,
            )

    def reconcile(self, *, since: float | None = None, until: float | None = None) -> list[ReconcileRow]:
        """Return what was published and what became of it, by source and object type, in that order."""
        with self._database.read("reconcile the ledger") as connection:
            return reconciliation.reconcile(connection, since, until)

    def recipients(self, *, since: float | None = None, until: float | None = None) -> list[RecipientRow]:
        """Return what each agent was delivered and what withheld, by agent, source and object type, in that order."""
        with self._database.read("reconcile the ledger") as connection:
            return reconciliation.recipients(connection, since, until)

    # data quality

    def flaws(self, *, school: str = "", source: str = "", since: date | None = None) -> list[Flaw]:
        """Return the faults of records that are open, by school, object, rule and id.

        Args:
            school: Only this establishment.
            source: Only what this agent published.
            since: Also those that were closed on this day or later.
        """
        with self._database.read("read data quality") as connection:
            return quality.flaws(connection, school=school, source=source, since=since)

    # quarantine; an entry's id may be cut to any length that is still its alone

    def quarantine_list(
        self, state: QuarantineState | None = "held", *, source: str = "", limit: int = 100
    ) -> list[QuarantineEntry]:
        """Return up to *limit* entries, oldest first; None asks for every state, "" for every source."""
        with self._database.read("list quarantine") as connection:
            return quarantine_entries.entries(connection, state, source, limit)

    def quarantine_get(self, entry_id: str) -> QuarantineEntry:
        """Return one entry.

        Raises:
            NoSuchEntry: None has this id, or several begin so.
        """
        with self._database.read("read quarantine") as connection:
            return quarantine_entries.find(connection, entry_id)

    def quarantine_body(self, entry_id: str) -> bytes:
        """Return the mended copy if there is one, else the body as it came.

        Raises:
            NoSuchEntry: There is no such entry, or it was discarded.
            WrongKey: It was encrypted with another key, or altered.
        """
        with self._database.read("read quarantine") as connection:
            return self._quarantine.body(connection, entry_id)

    def quarantine_original(self, entry_id: str) -> bytes:
        """Return the body as it came; errors as for quarantine_body."""
        with self._database.read("read quarantine") as connection:
            return self._quarantine.original(connection, entry_id)

    def quarantine_fix(self, entry_id: str, body: bytes) -> None:
        """Keep *body* as the mended copy, in the place of an earlier one.

        Raises:
            NoSuchEntry: There is none.
            WrongState: It is not held any more.
        """
        with self._database.write("fix a message in quarantine") as connection:
            self._quarantine.fix(connection, entry_id, body)

    def quarantine_mark(self, entry_id: str, state: QuarantineState, *, by: str, at: float) -> None:
        """Bring an entry into *state*: who did so, and when. Discarding it removes its bodies.

        Raises:
            NoSuchEntry: There is none.
            WrongState: It may not follow: nothing follows discarded.
        """
        with self._database.write("mark a message in quarantine") as connection:
            quarantine_entries.mark(connection, entry_id, state, by, at)

    def quarantine_counts(self) -> dict[QuarantineState, int]:
        """Return how many entries are in each state; a state with none is 0."""
        with self._database.read("count quarantine") as connection:
            return quarantine_entries.counts(connection)
