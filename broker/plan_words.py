"""What a plan is made of: one change with its kind and its sentence, and how names, lists and settings are put."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from broker.agreements import WHOLE, Scope


class Kind(StrEnum):
    """Whether somebody may do or have more than before, or less; anything else is a change."""

    GAIN = "gain"
    LOSE = "lose"
    CHANGE = "change"


class Subject(StrEnum):
    """What a change is of."""

    ZONE = "zone"
    AGENT = "agent"
    AGREEMENT = "agreement"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would be otherwise.

    Attributes:
        name: Id of the agent or agreement; for the zone the setting.
        words: What is otherwise, to be read after the name, for example ``gains: may request SchoolInfo in
            SIF_Default``; of an agreement also who gains or loses by it what. Never a secret.
        warning: What stops or fails by it; empty for nothing.
        start: Whether it can only be in force from the zone's next start.
    """

    subject: Subject
    name: str
    kind: Kind
    words: str
    warning: str = ""
    start: bool = False


VERBS: Final = {Kind.GAIN: "gains", Kind.LOSE: "loses"}
SCOPES: Final = {
    Scope.ENROLLED: "learners enrolled at the recipient's schools",
    Scope.LOOKED_AFTER: "learners whom the recipient's authority looks after",
    Scope.RESIDENT: "learners who live in the recipient's authority",
    Scope.TRANSFERRING: "learners on their way to the recipient's schools, or to a school without an agent",
    Scope.ALL: "all learners",
}


def listed(words: Iterable[str]) -> str:
    """Return *words* in order, once each."""
    return ", ".join(sorted(set(words)))


def instead(after: object, before: object) -> str:
    """Return one value in the place of another."""
    return f"{_said(after)} instead of {_said(before)}"


def element(path: str) -> str:
    """Return a path of an agreement as people call it."""
    return "the whole object" if path == WHOLE else path


def _said(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
