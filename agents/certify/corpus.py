"""Made-up records for a source, so that what its mappings make of them covers the schema: codes, lengths, absences.

Nothing of a school's own files is in them. Writing them down is ``written``'s; judging what becomes of them is others'.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from agents.certify.shape import Shape, texts_of
from agents.certify.uses import Use, best_text, numbered, plain_texts, uses_of
from agents.connectors.contract import Item
from agents.units import Unit, pieces
from agents.workbench.filled import Filler
from mappings import InwardMapping, Line, Record, RefIds, Translation
from mappings.document import Document

_QUICK_CODES: Final = 6
_APART: Final = 1_000
"""Distance of the numbers of two columns that are members of one list."""
_LONGEST: Final = 2_000
_UNICODE: Final = (
    "Zo\u00eb \u00d1and\u00fa-\u0141\u00f3d\u017a \u0153uvre \u03a9\u03bc\u03ad\u03b3\u03b1 "
    "\u65e5\u672c \U0001d11e e\u0301"
)
_HOSTILE: Final = 'O\'Brien & "Sons" <b>x</b> ]]> &amp; <!-- y --> %s ${x}'
_WRONG: Final = "\u00bf?not-right?!"
_NUMBER: Final = re.compile(r"\[\d+\]")
CANARY: Final = "Qzkestrel7Canary"
"""A text that is nowhere else: where it turns up, values of records do."""
_CONTROLS: Final = "a\x00b\x0bc\ufffed"


_Variant = tuple[str, dict[str, str], str, bool]
"""Name, texts by field, the wrong field if any, and whether the texts are odd."""


@dataclass(frozen=True, slots=True)
class Case:
    """One record.

    Attributes:
        name: What it is for.
        wrong: The field that holds what nobody can use; empty for a record that is right.
        text: The texts are odd (long, of other alphabets, of XML's own characters), so not every encoding has them.
    """

    name: str
    record: Record = field(repr=False)
    wrong: str = ""
    text: bool = False


@dataclass(frozen=True, slots=True)
class Corpus:
    """The records of one source.

    Attributes:
        fields: Names of all fields, in the order of the mappings' lines.
        is_flat: No record has groups, so that it can be a row of a table.
        canaries: Records with :data:`CANARY` in every field, where it is taken and where it is not.
    """

    mappings: tuple[InwardMapping, ...]
    cases: tuple[Case, ...] = field(repr=False)
    fields: tuple[str, ...]
    is_flat: bool
    canaries: tuple[Case, ...] = field(default=(), repr=False)

    @property
    def right(self) -> tuple[Case, ...]:
        """The cases whose records can all be used."""
        return tuple(case for case in self.cases if not case.wrong)

    @property
    def wrong(self) -> tuple[Case, ...]:
        """The cases with something that nobody can use."""
        return tuple(case for case in self.cases if case.wrong)


@dataclass(frozen=True, slots=True)
class Made:
    """What one mapping made of one record."""

    mapping: InwardMapping
    record: Record = field(repr=False)
    translation: Translation = field(repr=False)


def build(
    mappings: Sequence[InwardMapping],
    documents: Sequence[Document],
    keys: RefIds,
    *,
    known: dict[str, str] | None = None,
    fixed: Mapping[str, str] | None = None,
    first_number: int = 1,
    at_least: int = 0,
    quick: bool = False,
) -> Corpus:
    """Return records for the mappings of a source.

    Args:
        mappings: They are given the same records.
        documents: Their files.
        keys: Makes RefIds.
        known: Texts that have been chosen for fields of the agent's other sources; those chosen here are added.
        fixed: What each record has because the connector says so.
        first_number: By which its first record is told from others; those of another source should begin elsewhere.
        at_least: How many records there are to be, the last of them alike but for what they are about.
        quick: A few codes of each list only.
    """
    builder = _Builder(mappings, documents, keys, known if known is not None else {}, fixed or {}, quick=quick)
    return builder.corpus(first_number, at_least)


def learn(
    mappings: Sequence[InwardMapping],
    documents: Sequence[Document],
    keys: RefIds,
    known: dict[str, str],
    fixed: Mapping[str, str],
) -> None:
    """Add to *known* the texts that these mappings would be given, so that other sources of the agent use them too."""
    _Builder(mappings, documents, keys, known, fixed, quick=True)


def made_of(items: Iterable[Item], mappings: Sequence[InwardMapping], keys: RefIds) -> Iterator[Made]:
    """Yield what the mappings make of what a connector yields, in its order."""
    for piece in pieces(items, tuple(mappings)):
        if isinstance(piece, Unit):
            for mapping in piece.mappings:
                yield Made(mapping, piece.record, mapping.translate(piece.record, keys))


def reached(mapping: InwardMapping, made: Iterable[Made]) -> frozenset[tuple[str, int, int]]:
    """Return the places of the lines that fill something in at least one object: target, number and line of the file.

    What fills an element is told by its path, so that of several alternatives, and of numbered members, one will do.
    """
    filler = Filler(mapping.lines)
    found: set[str] = set()
    for each in made:
        for one in each.translation.objects if each.mapping is mapping else ():
            found.update(_NUMBER.sub("", part.line.target) for part in filler.filled(one.element) if part.line)
    fields = [line for line in mapping.lines if line.kind == "field"]
    return frozenset(target_key(line) for line in fields if _NUMBER.sub("", line.target) in found)


def target_key(line: Line) -> tuple[str, int, int]:
    """Return what tells a line from others."""
    return line.target, line.number, line.line


class _Builder:
    """Puts records together by trying them on the mappings."""

    def __init__(
        self,
        mappings: Sequence[InwardMapping],
        documents: Sequence[Document],
        keys: RefIds,
        known: dict[str, str],
        fixed: Mapping[str, str],
        *,
        quick: bool,
    ) -> None:
        self._mappings, self._keys, self._fixed, self._quick = tuple(mappings), keys, fixed, quick
        self._known_makes: dict[tuple[tuple[str, str], ...], list[bytes]] = {}
        self._shape = Shape()
        for document in documents:
            self._shape.add(document)
        self._uses: dict[str, list[Use]] = {}
        for mapping in self._mappings:
            for line in mapping.lines:
                for name in line.sources:
                    if name not in self._shape.groups or line.kind == "field":
                        self._uses.setdefault(name, [])
            for name, use in uses_of(mapping):
                self._uses[name].append(use)
        for name, _ in self._shape.wanted:
            self._uses.setdefault(name, [])
        for uses in self._uses.values():
            uses.sort(key=lambda use: use.node is None)
        self._apart = self._columns()
        self._varied: frozenset[str] = frozenset()
        self._base = self._texts(known)
        self._mend()
        self._varied = self._varying()

    def corpus(self, number: int, at_least: int) -> Corpus:
        variants = list(self._variants())
        variants += [("everything filled", dict(self._base), "", False)] * (at_least - len(variants))
        cases = tuple(self._case(count, number, variant) for count, variant in enumerate(variants))
        beyond = number + len(cases)
        canaries = tuple(self._case(count, beyond, variant) for count, variant in enumerate(self._canaries()))
        return Corpus(self._mappings, cases, tuple(self._uses), not self._shape.groups, canaries)

    def _case(self, count: int, number: int, variant: _Variant) -> Case:
        name, values, wrong, text = variant
        filled = self._with_number(values, number + count, wrong)
        copies = self._with_number(values, number + count + _APART * 50, wrong)
        return Case(name, self._shape.record(f"row {count + 2}", filled, copies), wrong, text)

    def _canaries(self) -> Iterator[_Variant]:
        """Yield records that hold the canary wherever it is taken, then in each field one after the other."""
        yield "canary", self._everywhere(_always(CANARY)), "", False
        for name in self._uses:
            if name not in self._fixed:
                yield f"canary in {name}", self._base | {name: CANARY}, name, False

    def _texts(self, known: dict[str, str]) -> dict[str, str]:
        texts = {}
        for name, uses in self._uses.items():
            first = [
                text for field_name, expected in self._shape.wanted if field_name == name for text in texts_of(expected)
            ]
            first += [known[name]] if name in known else []
            text = self._fixed.get(name) or best_text(uses, first) or next(iter(first), "Sample")
            texts[name] = text
            if any(use.node is not None for use in uses):
                known[name] = text
        for name, other in self._shape.equal.items():
            texts[name] = texts.get(other, texts.get(name, "Sample"))
        absent = {name for name, expected in self._shape.must.items() if expected is False}
        wanted = {name: next(texts_of(expected), "") for name, expected in self._shape.must.items()}
        texts |= {name: text for name, text in wanted.items() if text and name not in self._fixed}
        return {name: text for name, text in texts.items() if name not in absent}

    def _mend(self) -> None:
        """Try other texts in fields of which no line tells what they take, until each mapping makes an object."""
        blind = [
            name
            for name in self._base
            if name not in self._fixed and all(use.node is None for use in self._uses.get(name, ()))
        ]
        best = self._score(self._base)
        for name in blind:
            for text in plain_texts():
                if best[0] >= len(self._mappings):
                    return
                tried = self._base | {name: text}
                score = self._score(tried)
                if score > best:
                    self._base, best = tried, score

    def _score(self, values: Mapping[str, str]) -> tuple[int, int]:
        """Return how many of the mappings make something of a record, and less the more problems there are."""
        made = list(made_of([self._shape.record("row 2", values)], self._mappings, self._keys))
        return sum(bool(m.translation.objects) for m in made), -sum(len(m.translation.problems) for m in made)

    def _columns(self) -> dict[str, int]:
        """Return, for the columns of members of one list, which member each belongs to, from 0."""
        found: dict[str, int] = {}
        for uses in self._uses.values():
            for use in uses:
                if len(use.line.sources) > 1:
                    found |= {name: index for index, name in enumerate(use.line.sources) if name not in found}
        return found

    def _varying(self) -> frozenset[str]:
        """Return the fields that are made different in each record, so that the records are about different things."""
        found: set[str] = set()
        for mapping in self._mappings:
            names = [name for line in mapping.lines if line.kind == "key" for name in line.sources]
            can = [
                name
                for name in dict.fromkeys(names)
                if name not in self._fixed and numbered(self._base[name], self._uses[name], 1) is not None
            ]
            places = [name for name in can if self._is_place(name)]
            found.update([name for name in can if name not in places] or places[-1:])
        return frozenset(found)

    def _is_place(self, name: str) -> bool:
        spelt = name.casefold().replace(" ", "")
        return any(use.is_place for use in self._uses[name]) or spelt.startswith(("la", "estab"))

    def _with_number(self, values: Mapping[str, str], number: int, wrong: str) -> dict[str, str]:
        filled = dict(values)
        for name in self._varied & filled.keys() - {wrong}:
            text = numbered(filled[name], self._uses[name], number + _APART * self._apart.get(name, 0))
            filled[name] = filled[name] if text is None else text
        for name, other in self._shape.equal.items():
            if name in filled and other in filled:
                filled[name] = filled[other]
        return filled | {name: text for name, text in self._fixed.items() if name in filled}

    def _variants(self) -> Iterator[_Variant]:
        """Yield name, texts, the wrong field if any, and whether the texts are odd."""
        base = self._base
        yield "everything filled", dict(base), "", False
        yield "everything filled, another", dict(base), "", False
        needed, optional = self._needed()
        yield "only what must be there", {name: base[name] for name in needed}, "", False
        for name in optional:
            yield f"without {name}", _without(base, name), "", False
        yield from self._conditions()
        yield from self._alternatives()
        yield from self._coded()
        for name, text in (("unicode", _UNICODE), ("characters of XML", _HOSTILE)):
            yield name, self._everywhere(_always(text)), "", True
        yield "longest texts", self._everywhere(self._longest), "", True
        yield from self._unusable()
        yield "control characters", self._everywhere(_always(_CONTROLS), judged=False), "*", True

    def _unusable(self) -> Iterator[_Variant]:
        """Yield records with one text each that nobody can use, in a field that makes a difference there."""
        bases = self._bases()
        for name in self._uses:
            if name not in self._fixed and self._judges(name):
                values = next((values for values in bases if self._matters(name, values)), None)
                if values is not None:
                    yield f"wrong {name}", values | {name: _WRONG}, name, False

    def _makes(self, values: Mapping[str, str]) -> list[bytes]:
        known = tuple(values.items())
        if known not in self._known_makes:
            made = made_of([self._shape.record("row 2", values)], self._mappings, self._keys)
            self._known_makes[known] = [
                etree.tostring(one.element) for each in made for one in each.translation.objects
            ]
        return self._known_makes[known]

    def _needed(self) -> tuple[list[str], list[str]]:
        """Return the fields without which fewer objects are made, and those that each alone can be left out."""
        whole = self._count(self._base)
        left = dict(self._base)
        optional = []
        for name in self._base:
            if name in self._fixed:
                continue
            if self._count(_without(self._base, name)) == whole:
                optional.append(name)
                fewer = _without(left, name)
                if self._count(fewer) == whole:
                    left = fewer
        return list(left), optional

    def _count(self, values: Mapping[str, str]) -> int:
        record = self._shape.record("row 2", self._with_number(values, 7, ""))
        made = made_of([record], self._mappings, self._keys)
        return sum(len(each.translation.objects) for each in made)

    def _conditions(self) -> Iterator[_Variant]:
        for name, expected in self._shape.wanted:
            if expected is False:
                yield f"without {name}", _without(self._base, name), "", False
            for text in texts_of(expected):
                yield f"{name} as a condition wants it", self._base | {name: text}, "", False

    def _alternatives(self) -> Iterator[_Variant]:
        """Yield records in which the alternatives before one have nothing."""
        for mapping in self._mappings:
            lines = [line for line in mapping.lines if line.kind == "field"]
            for line in lines:
                before = {name for other in lines if _is_before(other, line) for name in other.sources}
                gone = before - set(line.sources) - set(line.when) - self._fixed.keys()
                if gone:
                    name = f"alternative {line.number} of {line.target}"
                    yield name, {n: text for n, text in self._base.items() if n not in gone}, "", False

    def _coded(self) -> Iterator[_Variant]:
        """Yield records that between them have each code of each list, where it makes a difference."""
        together: dict[int, dict[str, tuple[str, ...]]] = {}
        bases = self._bases()
        for name, uses in self._uses.items():
            found = tuple(dict.fromkeys(code for use in uses for code in use.codes_in()))
            if found and name not in self._varied and name not in self._fixed:
                base = next((n for n, values in enumerate(bases) if self._matters(name, values)), 0)
                together.setdefault(base, {})[name] = found[:_QUICK_CODES] if self._quick else found
        for base, codes in together.items():
            for number in range(max(map(len, codes.values()))):
                chosen = {name: found[number % len(found)] for name, found in codes.items()}
                yield f"codes {number + 1}", bases[base] | chosen, "", False

    def _bases(self) -> list[dict[str, str]]:
        """Return the texts of records that differ in what conditions see."""
        return [self._base, *(values for _, values, _, _ in (*self._alternatives(), *self._conditions()))]

    def _matters(self, name: str, values: Mapping[str, str]) -> bool:
        """Tell whether anything would be different without a field."""
        return name in values and self._makes(values) != self._makes(_without(values, name))

    def _everywhere(self, text_for: Callable[[str], str], *, judged: bool = True) -> dict[str, str]:
        """Return the texts with another one wherever the lines take it."""
        changed = dict(self._base)
        for name, uses in self._uses.items():
            filling = [use for use in uses if use.node is not None]
            text = text_for(name)
            if not filling or name in self._fixed or not text:
                continue
            if not judged or all(use.result(text) == text for use in filling):
                changed[name] = text
        return changed

    def _longest(self, name: str) -> str:
        """Return the longest text that the lines take, up to 2,000 characters; none where they take no free text."""
        filling = [use for use in self._uses[name] if use.node is not None]

        def fits(length: int) -> bool:
            text = "M" * length
            return all(use.result(text) == text for use in filling)

        low, high = 1, _LONGEST
        if not filling or not fits(2) or any(use.codes for use in filling):
            return ""
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        return "M" * low

    def _judges(self, name: str) -> bool:
        """Tell whether a line refuses what is no code, date or number."""
        uses = [use for use in self._uses[name] if use.node is not None]
        return bool(uses) and all(_refuses(use) for use in uses)


def _always(text: str) -> Callable[[str], str]:
    return lambda _name: text


def _without(values: Mapping[str, str], name: str) -> dict[str, str]:
    return {other: text for other, text in values.items() if other != name}


def _refuses(use: Use) -> bool:
    table = use.line.codes
    if table is not None and not table.passes:
        return table.default is None
    return use.result(_WRONG) is None and (use.node is None or not use.codes)


def _is_before(other: Line, line: Line) -> bool:
    return (other.target, other.group, other.line) == (
        line.target,
        line.group,
        line.line,
    ) and other.number < line.number


__all__ = ["CANARY", "Case", "Corpus", "Made", "build", "learn", "made_of", "reached", "target_key"]
