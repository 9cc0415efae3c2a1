"""What a certification finds, as values: checks in stages; finding it is others' work."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: What is checked, as a sentence that is true when it passes.
        detail: What was counted; of a failure what to do, of what is not applicable why. Nothing personal.
    """

    name: str
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Checks of one kind."""

    id: str
    title: str
    checks: tuple[Check, ...]
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return it as the certificate has it."""
        return {"id": self.id, "title": self.title, "checks": [asdict(check) for check in self.checks]}


def judged(name: str, right: bool, good: str, bad: str) -> Check:  # what it was found to be
    """Return a check that passes or fails."""
    return Check(name, "pass" if right else "fail", good if right else bad)


def skipped(name: str, why: str) -> Check:
    """Return a check that does not apply."""
    return Check(name, "not applicable", why)


def count(number: int, what: str, several: str = "") -> str:
    """Return ``1 row`` or ``2 rows``."""
    return f"{number:,} {what if number == 1 else several or what + 's'}"


def some(names: Iterable[str], most: int = 5) -> str:
    """Return names in a row, of many the first few."""
    all_names: Sequence[str] = list(dict.fromkeys(names))
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more


__all__ = ["Check", "Outcome", "Stage", "count", "judged", "skipped", "some"]
