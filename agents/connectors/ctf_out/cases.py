"""Which files the LearnerTransfers that an agent keeps ask for, what is remembered of them, and what is told; no I/O.

What is remembered are words: ``file KEY`` of each file written, by :attr:`Due.key`, and ``waits REFID`` of each
LearnerTransfer for which none can be written yet. Neither holds anything of a learner but RefIds.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

from lxml import etree

from agents.connectors.ctf_out.kept import KeptObject
from agents.connectors.ctf_out.outbox import Receipt
from agents.connectors.ctf_out.values import Due, Missing
from broker.protocol.envelope import LOOKED_AFTER, Action
from broker.protocol.identifiers import Establishment

OBJECT: Final = "LearnerTransfer"
SENT: Final = "SE"
DELIVERED: Final = "DE"
_REJECTED: Final = "RJ"
_ON_ITS_WAY: Final = frozenset({SENT, DELIVERED})
_OVER: Final = frozenset({"LD", "CM", "CA"})
_NO_FILE: Final = _OVER | {"PL"}
"""Also planned: a plan is told to no school, and may come to nothing."""
_FILE, _WAITS = "file ", "waits "


@dataclass(frozen=True, slots=True)
class Filed:
    """A file that was written for a LearnerTransfer.

    Attributes:
        due: What asked for it.
        written: Date and time in its header.
        taken: Whether somebody has moved it to the folder of what was sent.
    """

    due: Due
    file_name: str
    sha256: str
    pupils: int
    version: str
    qualifier: str
    written: str
    taken: bool = False

    @classmethod
    def of(cls, due: Due, receipt: Receipt) -> Self:
        """Return what a receipt says of one of those that asked for its file."""
        return cls(
            due,
            receipt.file_name,
            receipt.sha256,
            receipt.pupils,
            receipt.version,
            receipt.qualifier,
            receipt.written,
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """A LearnerTransfer for which no file can be written yet.

    Attributes:
        destination: Empty where the object does not say.
        reasons: Pairs of element and remedy; no values.
    """

    transfer: str
    destination: str
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Book:
    """What is remembered.

    Attributes:
        files: By key of what asked for them.
        waiting: By RefId of the LearnerTransfer.
    """

    files: Mapping[str, Filed]
    waiting: Mapping[str, Waiting]

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Self:
        """Return what words say."""
        files = {name.removeprefix(_FILE): _filed(text) for name, text in words.items() if name.startswith(_FILE)}
        waiting = [_waiting(text) for name, text in words.items() if name.startswith(_WAITS)]
        return cls(files, {each.transfer: each for each in waiting})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the LearnerTransfers ask for.

    Attributes:
        due: Every file that one of them asks for, whether or not it was written.
        waiting: Those that ask for a file and do not say what is needed for one.
    """

    due: tuple[Due, ...]
    waiting: tuple[Waiting, ...]


def asked(transfers: Iterable[etree._Element]) -> Asked:
    """Return what LearnerTransfers ask for, in their order.

    A file is asked for as soon as the destination is known, and until the case is over. No file is asked for where one
    that somebody else wrote is on its way to that destination. After each rejection it is another one.
    """
    due: list[Due] = []
    waiting: list[Waiting] = []
    for found in map(_asked, transfers):
        if isinstance(found, Due):
            due.append(found)
        elif found is not None:
            waiting.append(found)
    return Asked(tuple(due), tuple(waiting))


def is_foreign(transfer: etree._Element, book: Book) -> bool:
    """Tell whether a file that is not of this agent's making is on its way to the destination of a LearnerTransfer."""
    one = KeptObject(transfer)
    name = one.see("CTF/FileName").upper()
    if one.see("Status") not in _ON_ITS_WAY or f"_CTF_{_establishment(one, 'To')}_" not in name:
        return False
    return not any(filed.file_name.upper() == name for filed in book.files.values())


def waits(due: Due, missing: Iterable[Missing]) -> Waiting:
    """Return why a file that is asked for cannot be written."""
    return Waiting(due.transfer, due.destination, tuple((each.element, each.remedy) for each in missing))


def told(filed: Filed, status: str) -> tuple[Action, etree._Element]:
    """Return the Change of the LearnerTransfer that says how far its file has come."""
    root = etree.Element(
        f"{{{LOOKED_AFTER}}}{OBJECT}",
        {"RefId": filed.due.transfer, "LearnerPersonalRefId": filed.due.learner},
        nsmap={None: LOOKED_AFTER},  # type: ignore[dict-item]  # the stubs forget the default namespace
    )
    ctf = etree.SubElement(root, f"{{{LOOKED_AFTER}}}CTF")
    for name, text in (
        ("FileName", filed.file_name),
        ("Version", filed.version),
        ("Qualifier", filed.qualifier),
        ("SHA256", filed.sha256),
        ("PupilCount", str(filed.pupils)),
    ):
        etree.SubElement(ctf, f"{{{LOOKED_AFTER}}}{name}").text = text
    etree.SubElement(root, f"{{{LOOKED_AFTER}}}Status").text = status
    return Action.CHANGE, root


def filed_words(files: Iterable[Filed]) -> dict[str, str | None]:
    """Return the words to remember files by."""
    return {_FILE + filed.due.key: json.dumps(asdict(filed), separators=(",", ":")) for filed in files}


def waiting_words(before: Mapping[str, Waiting], now: Iterable[Waiting]) -> dict[str, str | None]:
    """Return the words to remember what waits now, and to forget what does not any more."""
    words: dict[str, str | None] = {_WAITS + transfer: None for transfer in before}
    for each in now:
        words[_WAITS + each.transfer] = json.dumps(asdict(each), separators=(",", ":"))
    return words


def taken(filed: Filed) -> Filed:
    """Return a file that somebody has taken."""
    return replace(filed, taken=True)


def _asked(transfer: etree._Element) -> Due | Waiting | None:
    one = KeptObject(transfer)
    ref_id, status = one.see("@RefId"), one.see("Status")
    destination, source = _establishment(one, "To"), _establishment(one, "From")
    if not destination or status in _NO_FILE:
        return None
    reasons = tuple(_lacking(status, one.see("@LearnerPersonalRefId"), source, destination))
    if reasons:
        return Waiting(ref_id, destination, reasons)
    attempt = 1 + max(_rejections(one), status == _REJECTED)
    return Due(ref_id, one.see("@LearnerPersonalRefId"), Establishment(source), Establishment(destination), attempt)


def _lacking(status: str, learner: str, source: str, destination: str) -> Iterator[tuple[str, str]]:
    if not status:
        yield f"{OBJECT}/Status", "is not here: let the agreement share it with this agent"
    if not learner:
        yield f"{OBJECT}/@LearnerPersonalRefId", "is not here: let the agreement share it with this agent"
    if not source:
        yield f"{OBJECT}/FromEstablishment", "is not here: nobody knows yet which school the learner has left"
    elif source == destination:
        yield f"{OBJECT}/ToEstablishment", "is the school that the learner leaves: correct the transfer"


def _establishment(one: KeptObject, end: str) -> str:
    """Return both numbers of a school as one word; empty unless both are there."""
    authority, number = one.see(f"{end}Establishment/LAId"), one.see(f"{end}Establishment/EstablishmentId")
    return authority + number if authority and number else ""


def _rejections(one: KeptObject) -> int:
    return sum(each.get("Status") == _REJECTED for each in one.all("StatusHistoryList/StatusChange"))


def _filed(text: str) -> Filed:
    values: dict[str, Any] = json.loads(text)
    return Filed(**{**values, "due": Due(**values["due"])})


def _waiting(text: str) -> Waiting:
    values: dict[str, Any] = json.loads(text)
    return Waiting(values["transfer"], values["destination"], tuple((each[0], each[1]) for each in values["reasons"]))


__all__ = [
    # what is asked for
    "Asked",
    "Due",
    "asked",
    "is_foreign",
    # what is remembered
    "Book",
    "Filed",
    "Waiting",
    "filed_words",
    "taken",
    "waiting_words",
    "waits",
    # what is told
    "DELIVERED",
    "OBJECT",
    "SENT",
    "told",
]
