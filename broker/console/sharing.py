"""Who gets which element, by the agreements; values in, values out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.agreements import UNDELIVERED, WHOLE, Agreement


@dataclass(frozen=True, slots=True)
class Grant:
    """That an agreement lets its recipients have an element.

    Attributes:
        whole: Whether they get all of it; else only some of what is below it.
    """

    agreement: Agreement
    whole: bool


def grants(agreements: Sequence[Agreement], object_type: str, path: str) -> tuple[Grant, ...]:
    """Return which agreements share an element or attribute, ordered by id; whether they are live is not asked.

    Args:
        path: Path from the object's root, as in `schemas.Node`; "" for the object itself.
    """
    if path in UNDELIVERED.get(object_type, ()):
        return ()
    found = []
    for agreement in sorted(agreements, key=lambda one: one.id):
        shares = agreement.shares.get(object_type, ())
        if _covers(shares, path):
            found.append(Grant(agreement, whole=True))
        elif any(not path or share.startswith(f"{path}/") for share in shares):
            found.append(Grant(agreement, whole=False))
    return tuple(found)


def _covers(shares: Iterable[str], path: str) -> bool:
    return any(share in (WHOLE, path) or path.startswith(f"{share}/") for share in shares)
