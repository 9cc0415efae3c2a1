"""How sure it is that one column of a sample is what is wanted, and why: by its heading, its values, and code lists.

Which column is taken in the end is `agents.workbench.guess`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import schemas
from agents.workbench.forms import ANY, LOOKED_AT, MOST, Fit, fit_of
from agents.workbench.names import Words, likeness, normalised, others
from agents.workbench.samples import Field
from agents.workbench.wants import TOO_GENERAL, Want

_LEAST: Final = 50
"""Confidence below which nothing is guessed."""
_LEAST_OWN: Final = 80
"""The same where only the schema's own name of a part is known."""
_NOTHING_KNOWN: Final = 0.92
"""What is left of a heading's likeness where the column has no values."""
_MOST_SURE: Final = 99
_LEAST_LIKE: Final = 45
"""Likeness of headings below which values have to speak for themselves."""
_MANY_CODES: Final = 8
"""Codes of a list from which it says something that a column has no others."""
_ALIKE: Final = 60
_WITHIN: Final = 0.985
"""What is left when only the last part of a path is like a name."""
_SAID: Final = 1.02
"""What becomes of the likeness where the heading says whose it is."""
_OF_ANOTHER: Final = 0.97
"""What is left for a column that a row has from another table."""
_PICKED: Final = 0.85
"""What is left for a column of a group of which one member has to be picked."""
_FORMS_ALONE: Final[Mapping[str, int]] = {"upn": 80, "uln": 78, "postcode": 70, "email": 66, "phone": 58}
"""Confidence from values alone, by form: such values can hardly be anything else."""
_OF_PEOPLE: Final = frozenset({"name", "title"})
"""Those of the words that are too general that say enough once it is known whose they are."""
_REFERENCE: Final = re.compile(r"(?:Sourced)?(?:Ref)?I[dD]s?$")
"""How the name of a field ends that names something else by its id."""
_Headings = tuple[tuple[Words, float], ...]
Fits = dict[tuple[str, str, str | None], Fit]
"""How the values of columns fit, by the column's path, the form and the code list."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the sample as one mapping reads it.

    Attributes:
        source: As the mapping spells it: ``Surname``, ``/UPN`` from within a group, ``pick:Surname``.
        field: What is in it.
        group: The group of which one member has to be picked, or empty.
        table: The table that it is of, where a sample has several.
    """

    source: str
    field: Field
    group: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A column for what is wanted.

    Attributes:
        reason: Why, in words, without any value.
        strength: How sure it is, from 0 to somewhat over 100.
    """

    column: Column
    reason: str
    fit: Fit
    strength: float

    @property
    def confidence(self) -> int:
        """How sure it is, in per cent."""
        return round(min(self.strength, _MOST_SURE))


@dataclass(frozen=True, slots=True)
class Where:
    """How the place of a column bears on its heading.

    Attributes:
        left: What is left of the likeness for a column outside of where it belongs.
        own: Words that the heading may have because the object is what it is: a contact's, a member of staff's.
        fits: What has been found out of columns already.
    """

    left: float
    own: frozenset[str]
    fits: Fits


def match_of(want: Want, column: Column, where: Where) -> Match | None:
    """Return how well a column is what is wanted; None when it is not sure enough to be guessed."""
    like, name = _likeness(want, column, where.own)
    like *= where.left * (_OF_ANOTHER if column.table and "/" in column.field.name else 1.0)
    alone = _FORMS_ALONE.get(want.form, 0) if not _is_of_others(column.field.name, where.own) else 0
    if like < _LEAST_LIKE and not alone:
        return None
    fit = _fit(want, column.field, where.fits)
    confidence, reason = _judge(like, name, fit, alone, telling=_is_telling(want))
    if column.group:
        confidence *= _PICKED
    if confidence < (_LEAST if want.meaning is not None else _LEAST_OWN):
        return None
    return Match(column, _in_words(reason, fit, want, column), fit, confidence)


def matched(want: Want, column: Column) -> Match:
    """Return a column as somebody chose it for a want, with what makes its values fit."""
    return Match(column, "chosen", _fit(want, column.field, {}), float(_MOST_SURE))


@lru_cache(maxsize=8192)
def _is_of_others(name: str, own: frozenset[str]) -> bool:
    return bool((others() - own) & set(normalised(name)))


def _judge(like: float, name: str, fit: Fit, alone: int, *, telling: bool) -> tuple[float, str]:
    """Return the confidence, and what the heading has to do with it; *telling* codes are hardly met by chance."""
    if fit.share is None:
        return like * (1.0 if fit is ANY else _NOTHING_KNOWN), name
    if fit.share < 0.5:
        return like * (0.6 if like >= 97 else 0.4), name
    if like >= _ALIKE:
        return like * 0.85 + 15 * fit.share, name
    if fit.share >= MOST and fit.certain and alone:
        return alone + like / 10, name if like >= _LEAST_LIKE else ""
    if fit.share >= MOST and telling and like >= _LEAST_LIKE:
        return _LEAST + (like - _LEAST_LIKE) / 2, name
    return like * 0.6, name


def _is_telling(want: Want) -> bool:
    return want.codes is not None and len(schemas.codes(want.codes).labels) > _MANY_CODES


def _likeness(want: Want, column: Column, own: frozenset[str]) -> tuple[float, str]:
    """Return how like a column's heading is to what is wanted, and in words how."""
    best, exact = _best_name(want.names, _headings(column.field.name, column.field.group, column.table), own)
    if want.meaning is None:
        best *= 0.95
    return best, "the heading is a usual one" if exact else "the heading is like a usual one"


@lru_cache(maxsize=65536)
def _best_name(names: tuple[Words, ...], headings: _Headings, own: frozenset[str]) -> tuple[float, bool]:
    """Return how like a field is to the name that it is most like, and whether it is the same but for order."""
    best, exact = 0.0, False
    without = (tuple(word for word in words if word not in own) for words, _ in headings if own & set(words))
    telling = ((words, _SAID) for words in without if not set(words) <= TOO_GENERAL - _OF_PEOPLE)
    for heading, left in (*headings, *telling):
        for index, name in enumerate(names):
            like = likeness(name, heading)
            if like * left - index * 0.1 > best:
                best, exact = like * left - index * 0.1, like >= 97
    return best, exact


@lru_cache(maxsize=8192)
def _headings(name: str, group: str, table: str) -> _Headings:
    """Return what a field is called, normalised: a heading, alone and with its table; of a path also its last parts.

    A last part such as ``name`` says nothing without what it is the name of, unless the group says that.
    """
    if " " in name or ("/" not in name and not group):
        alone = normalised(name)
        return ((alone, 1.0), ((*normalised(table), *alone), 1.0)) if table else ((alone, 1.0),)
    *around, last = f"{group}/{name}".strip("/").split("/")
    parts = [*(_REFERENCE.sub("", part) for part in around), last]
    lengths = range(1, min(len(parts), 3) + 1)
    found = [(normalised(" ".join(parts[-n:])), _WITHIN if n == 1 else 1.0) for n in lengths]
    return tuple(found[1:] if "/" in name and set(found[0][0]) <= TOO_GENERAL else found)


def _fit(want: Want, column: Field, known: Fits) -> Fit:
    """Return how a column's values fit; each column is looked at once for each form and code list."""
    key = (column.path, want.form, want.codes)
    if key not in known:
        known[key] = fit_of(column.counts, want.form, want.codes)
    return known[key]


def _in_words(reason: str, fit: Fit, want: Want, column: Column) -> str:
    said = [reason] if reason else []
    if fit.share is None:
        said += ["the column is empty in the sample"] if not column.field.filled else []
    else:
        looked_at = "" if column.field.distinct <= LOOKED_AT else f"first {LOOKED_AT} "
        share = "all" if fit.share == 1 else f"{fit.share * 100:.0f} % of the"
        said.append(f"{share} {looked_at}values fit")
    if fit.table:
        said.append(f"by the code table {fit.table}")
    elif want.codes is not None and fit.share is not None:
        said.append(f"the code list {schemas.codes(want.codes).title!r}")
    elif fit.convert:
        said.append(fit.convert)
    return ", ".join(said)


__all__ = ["Column", "Fits", "Match", "Where", "match_of", "matched"]
