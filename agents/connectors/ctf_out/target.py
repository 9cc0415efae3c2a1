"""The target ``ctf-out``: writes the files that LearnerTransfers ask for into an outbox, and tells what became of them.

People, or a program of theirs, upload what is in the outbox and then move it to the folder ``taken`` in it. One file
holds all learners who are due from one school to another when the target is written; files for destinations that stand
for no school, ``XXXXXXX`` and ``MMMMMMM``, lie in the same folder.

Killed at any point, it neither loses a file nor writes one twice: the receipt of a file names what asked for it, and
what a receipt names that the agent's database does not is noted, and told, at the next start.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

import structlog
from pydantic import BaseModel

from agents.connectors.contract import Desk, NoOptions, TargetError, Written
from agents.connectors.ctf_out.cases import (
    DELIVERED,
    OBJECT,
    SENT,
    Asked,
    Book,
    Filed,
    Waiting,
    asked,
    filed_words,
    is_foreign,
    taken,
    told,
    waiting_words,
    waits,
)
from agents.connectors.ctf_out.document import make_ctf
from agents.connectors.ctf_out.held import Held
from agents.connectors.ctf_out.outbox import TAKEN, Receipt, put_ctf, receipts
from agents.connectors.ctf_out.values import CtfDocument, CtfError, CtfIncomplete, CtfWithheld, Due, Missing, Transfer
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping
from schemas import SchemaSet, load

log = structlog.get_logger(__name__)

NAME: Final = "ctf-out"
"""The connector's name, under which its words are kept."""
_ASK: Final = "no file may be made: ask the authority's care team what may go on, and how"


class CtfOutTarget:
    """An outbox of Common Transfer Files."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take the outbox.

        Raises:
            ConfigurationError: No folder, or a mapping.
        """
        del options
        if path is None:
            raise ConfigurationError('target: connector "ctf-out" needs path = "FOLDER", its outbox')
        if mappings:
            raise ConfigurationError('target: connector "ctf-out" makes its files by itself: leave out mapping')
        self._outbox = path
        self._desk: Desk | None = None
        self._is_new = True
        self._not_taken: frozenset[str] = frozenset()

    def attach(self, desk: Desk) -> None:
        """Take where it remembers what it wrote, and publishes."""
        self._desk = desk

    def is_due(self) -> bool:
        """Tell whether a file was taken from the outbox."""
        return self._is_new or any((self._outbox / TAKEN / name).is_file() for name in self._not_taken)

    def write(self, objects: Objects) -> Written:
        """Write the files that are asked for and were not written yet, and tell of those, and of files taken.

        Raises:
            TargetError: The outbox cannot be written; what was written before that is noted and told.
            ConfigurationError: It has nowhere to remember what it writes.
        """
        if self._desk is None:
            raise ConfigurationError('connector "ctf-out" is run by an agent alone: sifzone agent run FILE')
        if self._is_new:
            self._make_folders()
            self._note(self._desk, *receipts(self._outbox))
            self._is_new = False
        transfers = list(objects.all(OBJECT))
        found = asked(transfers)
        self._tell_taken(self._desk, found)
        book = Book.of(self._desk.words())
        foreign = {one.get("RefId") for one in transfers if is_foreign(one, book)}
        waiting = list(found.waiting)
        written = []
        due = [each for each in found.due if each.key not in book.files and each.transfer not in foreign]
        held = Held(objects, {each.learner for each in due}, _schema())
        for batch in _batches(due):
            receipt = self._put(self._desk, batch, held, waiting)
            written += [receipt] if receipt is not None else []
        self._note_waiting(self._desk, book, waiting)
        files = Book.of(self._desk.words()).files.values()
        self._not_taken = frozenset(filed.file_name for filed in files if not filed.taken)
        counts = (("files", len(written)), ("pupils", sum(receipt.pupils for receipt in written)))
        left_out = Counter(f"{OBJECT}: {element}" for each in waiting for element, _ in each.reasons)
        return Written(bool(written), counts, tuple(sorted(left_out.items())))

    def _put(self, desk: Desk, due: Sequence[Due], held: Held, waiting: list[Waiting]) -> Receipt | None:
        """Write one file of those of *due* that can be in it; the others are added to what waits."""
        document, ready, not_ready = _document(due, held)
        waiting += not_ready
        if document is None:
            return None
        try:
            receipt = put_ctf(self._outbox, document, due=ready)
        except CtfError as error:  # there is no free number
            waiting += [waits(each, [Missing("", "FileName", str(error))]) for each in ready]
            return None
        self._note(desk, receipt)
        left = Counter(left.path for _, all_left in document.left_out for left in all_left)
        log.info("ctf_written", file=receipt.file_name, pupils=receipt.pupils, left_out=dict(left))
        return receipt

    def _note(self, desk: Desk, *made: Receipt) -> None:
        """Remember what receipts say that is not remembered yet, and tell that those files are there to be sent."""
        known = Book.of(desk.words()).files
        new = {each.key: Filed.of(each, receipt) for receipt in made for each in receipt.due if each.key not in known}
        if new:
            desk.keep(filed_words(new.values()), [told(filed, SENT) for filed in new.values()])

    def _tell_taken(self, desk: Desk, found: Asked) -> None:
        """Remember which files were taken; tell it where the file is still the one that is asked for."""
        current = {due.key for due in found.due}
        gone = [
            taken(filed)
            for filed in Book.of(desk.words()).files.values()
            if not filed.taken and (self._outbox / TAKEN / filed.file_name).is_file()
        ]
        if not gone:
            return
        desk.keep(filed_words(gone), [told(filed, DELIVERED) for filed in gone if filed.due.key in current])
        for name in sorted({filed.file_name for filed in gone}):
            log.info("ctf_taken", file=name)

    def _note_waiting(self, desk: Desk, book: Book, waiting: Sequence[Waiting]) -> None:
        now = {each.transfer: each for each in waiting}
        if now == book.waiting:
            return
        desk.keep(waiting_words(book.waiting, now.values()))
        for each in waiting:
            if book.waiting.get(each.transfer) != each:
                elements = [element for element, _ in each.reasons]
                log.warning("ctf_not_written", ref_id=each.transfer, destination=each.destination, missing=elements)

    def _make_folders(self) -> None:
        try:
            for folder in (self._outbox, self._outbox / TAKEN):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise TargetError(
                f"{self._outbox}: cannot be made ({error.strerror}): check the rights of the folder it is in"
            ) from error


def _batches(due: Iterable[Due]) -> list[list[Due]]:
    """Return what is due by school and destination, in order."""
    found: dict[tuple[str, str], list[Due]] = defaultdict(list)
    for each in due:
        found[each.source, each.destination].append(each)
    return [found[key] for key in sorted(found)]


def _document(due: Sequence[Due], held: Held) -> tuple[CtfDocument | None, list[Due], list[Waiting]]:
    """Return the file of those who can be in one, who they are, and why the others cannot."""
    ready, waiting = list(due), list[Waiting]()
    transfer = Transfer(due[0].source, due[0].destination, datetime.now(UTC))
    while ready:
        try:
            learners = list(dict.fromkeys(each.learner for each in ready))
            return make_ctf(transfer, held.of(learners), learners, _schema()), ready, waiting
        except CtfWithheld as error:
            missing: Sequence[Missing] = (Missing(error.learner, "Pupil", _ASK),)  # why, is for nobody's log
        except CtfIncomplete as error:
            missing = error.missing
        except CtfError as error:
            missing = (Missing("", "Header", str(error)),)
        concerned = {each.learner for each in missing}  # the header is everybody's
        for each in ready if "" in concerned else [one for one in ready if one.learner in concerned]:
            waiting.append(waits(each, [one for one in missing if one.learner in ("", each.learner)]))
        done = {each.transfer for each in waiting}
        ready = [each for each in ready if each.transfer not in done]
    return None, [], waiting


@cache
def _schema() -> SchemaSet:
    return load()


__all__ = ["NAME", "CtfOutTarget"]
