"""Guesses which column of a sample goes where in an object, how sure that is, and why.

By the heading, by what the values look like, and by code lists; each column goes to one target. What becomes a mapping
file of it is written by `agents.workbench.draft`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any, Final

import schemas
from agents.workbench.forms import ANY, LOOKED_AT, MOST, Fit, fit_of, form_of
from agents.workbench.names import Meaning, Words, likeness, normalised, others, singular, vocabulary
from agents.workbench.samples import Field, Sample, fields_of

LEAST: Final = 50
"""Confidence below which nothing is guessed."""
SURE: Final = 75
"""Confidence from which a guess needs no look."""
_NOTHING_KNOWN: Final = 0.92
"""What is left of a heading's likeness where the column has no values."""
_TABLE: Final = "table"
"""The field by which a connector says which of several tables a record is of."""
_REMOVED: Final = "removed"
_MOST_SURE: Final = 99
_PROPOSED: Final = 85
"""Confidence of what an object is known by, from which it is proposed for a file."""
_OTHERS: Final = 3
"""How many next best columns are kept."""
_LEAST_OWN: Final = 80
"""The same where only the schema's own name of a part is known."""
_LEAST_LIKE: Final = 45
"""Likeness of headings below which values have to speak for themselves."""
_MANY_CODES: Final = 8
"""Codes of a list from which it says something that a column has no others."""
_ELSEWHERE: Final = 0.9
"""What is left for a column that is outside of where one is looked for: the group's, or the whole record's."""
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
_NOT_FOR_FIELDS: Final = frozenset({"SIF_Metadata", "SIF_ExtendedElements", "LocationContext", "GridLocation"})
_TOO_GENERAL: Final = frozenset(
    (
        *("code", "type", "name", "title", "description", "number", "value", "source", "id", "date", "start", "end"),
        *("status", "note", "comment", "reference", "list", "total", "reason"),
    )
)
"""Words that say nothing of an element without the name of the one around it."""
_OF_PEOPLE: Final = frozenset({"name", "title"})
"""Those of them that say enough once it is known whose they are."""
_ODD: Final = ("/", "#", "../")
"""How names of fields begin that mean something else in mappings."""
_REFERENCE: Final = re.compile(r"(?:Sourced)?(?:Ref)?I[dD]s?$")
"""How the name of a field ends that names something else by its id."""
_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_ATTRIBUTE: Final = re.compile(r"\[@(\w+)=[^\]]*\]")
_STEP: Final = re.compile(r"/(?![^\[]*\])")


_Headings = tuple[tuple[Words, float], ...]
_Fits = dict[tuple[str, str, str | None], Fit]


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
class Want:
    """What a column is looked for.

    Attributes:
        id: The meaning's, or the path.
        words: In plain language.
        paths: Where it goes in the object, as mappings write it; empty when it only serves keys.
        names: What it may be called.
        meaning: The vocabulary's, where it knows it.
        nodes: What the schema says of the paths.
        mandatory: Whether there is no object without it.
    """

    id: str
    words: str
    paths: tuple[str, ...]
    names: tuple[Words, ...]
    meaning: Meaning | None
    nodes: tuple[schemas.Node, ...] = field(repr=False)
    mandatory: bool = False

    @property
    def form(self) -> str:
        """What its values look like; empty where any will do, or a code list says it."""
        if self.meaning is not None and self.meaning.form:
            return self.meaning.form
        return form_of(self.nodes[0]) if self.nodes else ""

    @property
    def codes(self) -> str | None:
        """The code list of its values."""
        return self.nodes[0].codes if self.nodes else None


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


def guess(sample: Sample, object_type: str) -> Guesses:
    """Return the best guesses for an object: from the record, or from whichever of its groups gives more.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    return _best(tuple(_parts(sample)), object_type)


def _best(parts: Sequence["_Part"], object_type: str) -> Guesses:
    wants = wants_of(object_type)
    found = []
    for part in parts:
        for group in dict.fromkeys(["", *(each.group for each in part.sample.fields)]):
            guesses = _within(part, object_type, group, wants)
            found.append(replace(guesses, when=part.when | _roles(part.sample, guesses)))
    return max(found, key=_worth)


@dataclass(frozen=True, slots=True)
class _Part:
    """A sample, or one of its tables with what its records are known by; and what has been found out of its columns."""

    sample: Sample
    when: dict[str, Any]
    fits: _Fits = field(default_factory=dict)


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


def _roles(sample: Sample, found: "Guesses") -> dict[str, Any]:
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


def proposed(sample: Sample) -> tuple[str, ...]:
    """Return the objects that a sample has what it takes for, in the vocabulary's order."""
    found = []
    parts = tuple(_parts(sample))
    for object_type, subject in vocabulary().subjects.items():
        matches = _best(parts, object_type).found
        if all(need in matches and matches[need].confidence >= _PROPOSED for need in subject.needs):
            found.append(object_type)
    return tuple(found)


@cache
def wants_of(object_type: str) -> tuple[Want, ...]:
    """Return all that an object may hold, mandatory parts first, and what only its keys need.

    Raises:
        UnknownObject: No schema describes such an object.
    """
    tree = schemas.load().tree(object_type)
    wants: dict[str, Want] = {}
    leaves = tuple(_leaves(tree, mandatory=True))
    fixed = _fixed_attributes(object_type, leaves)
    for leaf in leaves:
        node, mandatory = leaf.node, leaf.mandatory
        meanings = _meanings_of(object_type, node.path)
        for meaning, path in meanings:
            known = wants.get(meaning.id)
            paths, nodes = ((*known.paths, path), (*known.nodes, node)) if known else ((path,), (node,))
            must = meaning.required or mandatory or (known is not None and known.mandatory)
            wants[meaning.id] = Want(meaning.id, meaning.words, paths, meaning.names, meaning, nodes, must)
        if not meanings and node.path not in fixed and not _is_skipped(object_type, node.path):
            names = _own_names(leaf)
            path = _with_attributes(node.path, fixed)
            wants[node.path] = Want(node.path, node.label or node.name, (path,), names, None, (node,), mandatory)
    without_path = (*_of_keys(object_type), *_needs(object_type))
    meant = [want.meaning for want in wants.values()] + [vocabulary().meanings[name] for name in without_path]
    needed = [name for each in meant if each is not None for name in (each.of, each.unless) if name]
    for name in (*without_path, *needed):
        meaning = vocabulary().meanings[name]
        wants.setdefault(name, Want(name, meaning.words, (), meaning.names, meaning, _own_nodes(meaning)))
    return tuple(sorted(wants.values(), key=lambda want: not want.mandatory))


def _own_nodes(meaning: Meaning) -> tuple[schemas.Node, ...]:
    """Return what the schema says of a meaning in the object that it is of, so that keys are alike in every mapping."""
    schema = schemas.load()
    for path in meaning.paths:
        first, _, rest = path.partition("/")
        node = schema.find(first, rest) if first in schema.objects else None
        if node is not None:
            return (node,)
    return ()


def _is_skipped(object_type: str, path: str) -> bool:
    subject = vocabulary().subjects.get(object_type)
    return subject is not None and any(f"{path}/".startswith(f"{skipped}/") for skipped in subject.skip)


@lru_cache(maxsize=8192)
def steps(path: str) -> tuple[str, ...]:
    """Return the steps of a path, with their predicates."""
    return tuple(_STEP.split(path))


@lru_cache(maxsize=8192)
def plain(path: str) -> str:
    """Return a path without predicates."""
    return _PREDICATE.sub("", path)


def ends_with(object_type: str, path: str, end: str) -> bool:
    """Tell whether a path of an object ends in that of the vocabulary, with the predicates that are there."""
    whole, last = steps(f"{object_type}/{path}"), steps(end)
    if len(last) > len(whole):
        return False
    pairs = zip(whole[-len(last) :], last, strict=True)
    return all(one == other if "[" in other else plain(one) == other for one, other in pairs)


def key_ways(object_type: str, other: str) -> tuple[tuple[str, ...], ...]:
    """Return the ways to identify an object of type *other* in a file about *object_type*; none when nobody knows."""
    subject = vocabulary().subjects.get(other)
    if subject is None:
        return ()
    return subject.key if other == object_type else subject.elsewhere


def _leaves(node: schemas.Node, *, mandatory: bool, listed: bool = False) -> Iterator["_Leaf"]:
    """Yield each part of an object that holds text, with whether it is mandatory and whether it stands in a list."""
    for child in node.children:
        if child.name in _NOT_FOR_FIELDS or child.path == "@RefId" or child.name == "SIF_Action":
            continue
        must, many = mandatory and child.mandatory, listed or child.repeatable
        if child.type:
            yield _Leaf(child, must, many)
        yield from _leaves(child, mandatory=must, listed=many)


@dataclass(frozen=True, slots=True)
class _Leaf:
    node: schemas.Node
    mandatory: bool
    listed: bool


def _meanings_of(object_type: str, path: str) -> list[tuple[Meaning, str]]:
    """Return the meanings that go to a path, with the path as the mapping writes it.

    Of several that write it alike, those count whose path is longest.
    """
    found: dict[str, tuple[int, list[Meaning]]] = {}
    for end, meaning in _ends().get(plain(steps(path)[-1]), ()):
        if not ends_with(object_type, path, plain(end)):
            continue
        last = steps(end)
        own = last[1:] if last[0] == object_type else last
        written = "/".join((*steps(path)[: len(steps(path)) - len(own)], *own))
        length, meanings = found.get(written, (0, []))
        if len(last) > length:
            found[written] = len(last), [meaning]
        elif len(last) == length:
            meanings.append(meaning)
    return [(meaning, written) for written, (_, meanings) in found.items() for meaning in meanings]


@cache
def _ends() -> Mapping[str, Sequence[tuple[str, Meaning]]]:
    """Return the vocabulary's paths with their meanings, by their last step."""
    found: dict[str, list[tuple[str, Meaning]]] = {}
    for meaning in vocabulary().meanings.values():
        for end in meaning.paths:
            found.setdefault(plain(steps(end)[-1]), []).append((end, meaning))
    return found


def _fixed_attributes(object_type: str, leaves: Sequence["_Leaf"]) -> Mapping[str, str]:
    """Return the attributes that the vocabulary gives elements, with the path in which it does.

    ``Name/@Type`` gives ``Name[@Type='C']``; where it gives several, an empty text.
    """
    found: dict[str, str] = {}
    for leaf in leaves:
        for _, path in _meanings_of(object_type, leaf.node.path):
            for match in _ATTRIBUTE.finditer(path):
                attribute, written = f"{plain(path[: match.start()])}/@{match[1]}", path[: match.end()]
                found[attribute] = written if found.get(attribute, written) == written else ""
    return found


def _with_attributes(path: str, fixed: Mapping[str, str]) -> str:
    """Return a path with the attributes that its elements have in the vocabulary's paths."""
    for attribute, written in fixed.items():
        element = attribute.rpartition("/")[0]
        if written and path.startswith(f"{element}/"):
            return written + path[len(element) :]
    return path


def _own_names(leaf: "_Leaf") -> tuple[Words, ...]:
    """Return what a column for it may be called: its own name, where that says enough, and that with its parent's."""
    parts = leaf.node.path.replace("@", "").split("/")
    own = normalised(parts[-1])
    names = [own] if len(parts) == 1 or not (leaf.listed or set(own) <= _TOO_GENERAL) else []
    if len(parts) > 1:
        names.append((*normalised(parts[-2]), *own))
    return tuple(names)


def _of_keys(object_type: str) -> Iterator[str]:
    """Yield the meanings that an object's key, and those of the objects it refers to, are made of."""
    subject = vocabulary().subjects.get(object_type)
    others = ["LearnerPersonal"] if subject is not None and subject.about else []
    for node in schemas.load().tree(object_type).children:
        others.extend(node.refs if node.mandatory else ())
    pending, seen = [object_type, *others, "SchoolInfo"], set[str]()
    while pending:
        other = pending.pop()
        if other in seen:
            continue
        seen.add(other)
        for part in (part for way in key_ways(object_type, other) for part in way):
            if part.startswith("@"):
                pending.append(part[1:])
            else:
                yield part


def _needs(object_type: str) -> tuple[str, ...]:
    subject = vocabulary().subjects.get(object_type)
    return subject.needs if subject is not None else ()


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
    object_type: str, group: str, wants: Sequence[Want], columns: Sequence[Column], fits: _Fits
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
            match = _match(want, column, _Where(_elsewhere(want, column, around, group), mine, fits))
            if match is not None:
                yield want, match


@cache
def _cut_up() -> frozenset[str]:
    """Return the meanings that others are cut out of: their columns may serve something else, too."""
    return frozenset(meaning.of for meaning in vocabulary().meanings.values() if meaning.of)


@dataclass(frozen=True, slots=True)
class _Where:
    """How the place of a column bears on its heading.

    Attributes:
        left: What is left of the likeness for a column outside of where it belongs.
        own: Words that the heading may have because the object is what it is: a contact's, a member of staff's.
        fits: What has been found out of columns already.
    """

    left: float
    own: frozenset[str]
    fits: _Fits


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
    known = sum(need in own for need in _needs(found.object_type))
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


def _match(want: Want, column: Column, where: _Where) -> Match | None:
    like, name = _likeness(want, column, where.own)
    like *= where.left * (_OF_ANOTHER if column.table and "/" in column.field.name else 1.0)
    alone = _FORMS_ALONE.get(want.form, 0) if not _is_of_others(column.field.name, where.own) else 0
    if like < _LEAST_LIKE and not alone:
        return None
    fit = _fit(want, column.field, where.fits)
    confidence, reason = _judge(like, name, fit, alone, telling=_is_telling(want))
    if column.group:
        confidence *= _PICKED
    if confidence < (LEAST if want.meaning is not None else _LEAST_OWN):
        return None
    return Match(column, _in_words(reason, fit, want, column), fit, confidence)


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
        return LEAST + (like - _LEAST_LIKE) / 2, name
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
    telling = ((words, _SAID) for words in without if not set(words) <= _TOO_GENERAL - _OF_PEOPLE)
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
    return tuple(found[1:] if "/" in name and set(found[0][0]) <= _TOO_GENERAL else found)


def _fit(want: Want, column: Field, known: _Fits) -> Fit:
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


def matched(want: Want, column: Column) -> Match:
    """Return a column as somebody chose it for a want, with what makes its values fit."""
    return Match(column, "chosen", _fit(want, column.field, {}), float(_MOST_SURE))


__all__ = [
    # guesses
    "Guesses",
    "Guess",
    "Match",
    "Want",
    "Column",
    "guess",
    "proposed",
    "wants_of",
    # choices
    "with_choice",
    "matched",
    # confidence
    "LEAST",
    "SURE",
    # paths
    "ends_with",
    "key_ways",
    "plain",
    "steps",
]
