"""Guesses which columns of a sample go where in an object: each goes to one target, the surest first.

How sure it is of one column and one target is said by `agents.workbench.match`, what an object may hold by
`agents.workbench.wants`. What becomes a mapping file of it is written by `agents.workbench.draft`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

import schemas
from agents.workbench.match import Column, Fits, Match, Where, match_of
from agents.workbench.names import normalised, singular, vocabulary
from agents.workbench.paths import plain
from agents.workbench.samples import Sample, fields_of
from agents.workbench.wants import Want, key_ways, needs, wants_of

SURE: Final = 75
"""Confidence from which a guess needs no look."""
_TABLE: Final = "table"
"""The field by which a connector says which of several tables a record is of."""
_REMOVED: Final = "removed"
_PROPOSED: Final = 85
"""Confidence of what an object is known by, from which it is proposed for a file."""
_OTHERS: Final = 3
"""How many next best columns are kept."""
_ELSEWHERE: Final = 0.9
"""What is left for a column that is outside of where one is looked for: the group's, or the whole record's."""
_ODD: Final = ("/", "#", "../")
"""How names of fields begin that mean something else in mappings."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What was found for one want: the best column that was left for it, and the next best; None when there is none."""

    want: Want
    match: Match | None
    others: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Guesses:
    """All that was found for an object.

    Attributes:
        object_type: The object.
        each: The group of the record whose members become objects; empty when the record itself does.
        when: Fields with the values that only the records for this object have, as mappings write it.
        guesses: Those of the object's paths and those that only serve keys, mandatory ones first, then in schema order.
        unused: Columns of the record, or of the group, that go nowhere.
    """

    object_type: str
    each: str
    guesses: tuple[Guess, ...]
    unused: tuple[Column, ...]
    when: Mapping[str, Any] = field(default_factory=dict)

    @property
    def found(self) -> dict[str, Match]:
        """Return the columns by what they are for."""
        return {guess.want.id: guess.match for guess in self.guesses if guess.match is not None}


@dataclass(frozen=True, slots=True)
class _Part:
    """A sample, or one of its tables with what its records are known by; and what has been found out of its columns."""

    sample: Sample
    when: dict[str, Any]
    fits: Fits = field(default_factory=dict)


def guess(sample: Sample, object_type: str) -> Guesses:
    """Return the best guesses for an object: from the record, or from whichever of its groups gives more.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    return _best(tuple(_parts(sample)), object_type)


def proposed(sample: Sample) -> tuple[str, ...]:
    """Return the objects that a sample has what it takes for, in the vocabulary's order."""
    found = []
    parts = tuple(_parts(sample))
    for object_type, subject in vocabulary().subjects.items():
        matches = _best(parts, object_type).found
        if all(need in matches and matches[need].confidence >= _PROPOSED for need in subject.needs):
            found.append(object_type)
    return tuple(found)


def with_choice(guesses: Guesses, want_id: str, match: Match | None) -> Guesses:
    """Return guesses with another column for a want, or none; what the column was for before has none then."""
    source = match.column.source if match is not None else None
    changed = []
    for each in guesses.guesses:
        if each.want.id == want_id:
            changed.append(replace(each, match=match))
        elif source is not None and each.match is not None and each.match.column.source == source:
            changed.append(replace(each, match=None))
        else:
            changed.append(each)
    used = {each.match.column.source for each in changed if each.match is not None}
    columns = [*guesses.unused, *(each.match.column for each in guesses.guesses if each.match is not None)]
    unused = tuple(c for c in columns if c.source not in used and c.field.group == guesses.each)
    return replace(guesses, guesses=tuple(changed), unused=unused)


def _best(parts: Sequence[_Part], object_type: str) -> Guesses:
    wants = wants_of(object_type)
    found = []
    for part in parts:
        for group in dict.fromkeys(["", *(each.group for each in part.sample.fields)]):
            guesses = _within(part, object_type, group, wants)
            found.append(replace(guesses, when=part.when | _roles(part.sample, guesses)))
    return max(found, key=_worth)


def _parts(sample: Sample) -> Iterator[_Part]:
    """Yield the tables of a sample that has several; else the sample."""
    tables = dict.fromkeys(record.fields.get(_TABLE, "") for record in sample.records)
    if not sample.has_tables or "" in tables:
        yield _Part(sample, {})
        return
    for table in tables:
        records = tuple(record for record in sample.records if record.fields[_TABLE] == table)
        fields = tuple(each for each in fields_of(records) if each.path not in (_TABLE, _REMOVED))
        yield _Part(replace(sample, records=records, fields=fields), {_TABLE: table, _REMOVED: False})


def _roles(sample: Sample, found: Guesses) -> dict[str, Any]:
    """Return which of a table of people an object is for, where a column says it in the usual words."""
    subject = vocabulary().subjects.get(found.object_type)
    roles = next((each for each in sample.fields if each.path.casefold() == "role"), None)
    if subject is None or not subject.roles or roles is None or found.each:
        return {}
    known = frozenset(role for each in vocabulary().subjects.values() for role in each.roles)
    if not all(role.casefold() in known for role in roles.counts):
        return {}  # job titles, more likely
    mine = [role for role in roles.counts if role.casefold() in subject.roles]
    return {roles.path: mine} if mine else {}


def _within(part: _Part, object_type: str, group: str, wants: Sequence[Want]) -> Guesses:
    columns = tuple(replace(column, table=part.when.get(_TABLE, "")) for column in _columns(part.sample, group))
    pairs = list(_pairs(object_type, group, wants, columns, part.fits))
    # One column for one target, the surest first; what is mandatory, then what stands in the object, goes before.
    pairs.sort(key=lambda pair: (-round(pair[1].strength, 1), not pair[0].mandatory, not pair[0].paths))
    taken: set[str] = set()
    chosen: dict[str, Match] = {}
    for want, match in pairs:
        if want.id in chosen or (match.column.source in taken and want.id not in _cut_up()):
            continue
        chosen[want.id] = match
        if want.id not in _cut_up():
            taken.add(match.column.source)
    guesses = []
    for want in wants:
        near = [match for other, match in pairs if other is want and match is not chosen.get(want.id)]
        guesses.append(Guess(want, chosen.get(want.id), tuple(near[:_OTHERS])))
    used = {match.column.source for match in chosen.values()}
    unused = tuple(c for c in columns if c.source not in used and c.field.group == group)
    return Guesses(object_type, group, tuple(guesses), unused)


def _pairs(
    object_type: str, group: str, wants: Sequence[Want], columns: Sequence[Column], fits: Fits
) -> Iterator[tuple[Want, Match]]:
    """Yield each column with what it may be."""
    around = _around(object_type)
    subject = vocabulary().subjects.get(object_type)
    own = subject.own if subject is not None else frozenset[str]()
    of_learner = schemas.load().find(object_type, "@LearnerPersonalRefId") is not None
    for want in wants:
        mine = frozenset[str]() if want.id in around else own
        for column in columns:
            # What the record says of a pupil is not said of somebody else in one of its groups.
            if not column.field.group and group and not (of_learner or want.id in around):
                continue
            if not _may_be_picked(object_type, want, column):
                continue
            match = match_of(want, column, Where(_elsewhere(want, column, around, group), mine, fits))
            if match is not None:
                yield want, match


@cache
def _cut_up() -> frozenset[str]:
    """Return the meanings that others are cut out of: their columns may serve something else, too."""
    return frozenset(meaning.of for meaning in vocabulary().meanings.values() if meaning.of)


def _around(object_type: str) -> frozenset[str]:
    """Return the meanings that are of the pupil and the school where the object is one of a group."""
    return frozenset(
        part
        for other in ("LearnerPersonal", "SchoolInfo")
        for way in key_ways(object_type, other)
        for part in way
        if other != object_type
    )


def _elsewhere(want: Want, column: Column, around: frozenset[str], group: str) -> float:
    """Return what is left of the likeness for a column outside of where it belongs."""
    if not group:
        return 1.0
    return 1.0 if (want.id in around) == (column.field.group != group) else _ELSEWHERE


def _may_be_picked(object_type: str, want: Want, column: Column) -> bool:
    """Tell whether one member of a column's group may stand for all: only where the group is about the target.

    Telephones are for a telephone, and the schools of a pupil's past for the stay at a school; a contact's title is not
    for the pupil.
    """
    if not column.group:
        return True
    about = {word for path in want.paths for word in _parts_of(f"{object_type}/{plain(path)}")}
    return any(singular(word) == singular(other) for word in _parts_of(column.group) for other in about)


@cache
def _parts_of(path: str) -> frozenset[str]:
    words = normalised(path.replace("/", " ").replace("@", " "))
    return frozenset(word for word in words if word not in ("pupil", "type", "list", "history", "data"))


def _worth(found: Guesses) -> tuple[int, int, bool]:
    """Return how much a group or table gives: what the object is known by, then the rest, then the record itself."""
    own = {each.want.id: each for each in found.guesses if each.match is not None and _is_own(each.match, found.each)}
    known = sum(need in own for need in needs(found.object_type))
    rest = sum(each.match.confidence for each in own.values() if each.match is not None and each.want.paths)
    return known, rest, not found.each


def _is_own(match: Match, group: str) -> bool:
    """Tell whether a column is the group's own, and not one that a row has from another table."""
    return match.column.field.group == group and not (match.column.table and "/" in match.column.field.name)


def _columns(sample: Sample, group: str) -> Iterator[Column]:
    """Yield the fields that a mapping can read: its own group's, those of the whole record, and groups to pick from."""
    for each in sample.fields:
        inner = each.group.removeprefix(f"{group}/") if group else each.group
        if each.group == group:
            # A heading that would be read as something else is named from the record.
            yield Column(f"/{each.name}" if not group and each.name.startswith(_ODD) else each.name, each)
        elif not each.group:
            yield Column(f"/{each.name}", each)
        elif not group or inner != each.group:
            yield Column(f"{_alias(inner)}:{each.name}", each, inner)


def _alias(group: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", group.rpartition("/")[2].casefold()).strip("-") or "group"


__all__ = ["SURE", "Guess", "Guesses", "guess", "proposed", "with_choice"]
