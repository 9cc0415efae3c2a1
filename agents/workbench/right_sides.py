"""What stands on the right side of a draft's lines: columns as they are read, keys, references, what was set.

Which lines there are to be is `agents.workbench.draft`'s.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import schemas
from agents.workbench.forms import Fit
from agents.workbench.guess import Guesses
from agents.workbench.match import Match
from agents.workbench.names import Meaning, vocabulary
from agents.workbench.paths import ends_with, is_within, plain, steps
from agents.workbench.wants import Want, key_ways
from mappings import ConvertError
from mappings.converters import converter

_IN_CAPITALS: Final = frozenset({"name", "upn"})
"""Forms that are written in capitals in keys, so that a name spelt otherwise is the same person."""


@dataclass(frozen=True, slots=True)
class RightSides:
    """The right sides of one mapping's lines: a field in quotes, a table, or a list of these.

    Attributes:
        guesses: The columns.
        constants: What was set, by its name or path.
    """

    guesses: Guesses
    constants: Mapping[str, str]

    def of_column(self, meaning: Meaning | None, match: Match) -> Any:
        """Return the right side of a line: a field in quotes, or a table."""
        value = self._read(meaning, match)
        unless = self.guesses.found.get(meaning.unless) if meaning is not None else None
        if unless is not None:
            value["when"] = {unless.column.source: False}
        if meaning is not None and meaning.required:
            value["required"] = True
        if meaning is not None and meaning.default:
            value["default"] = meaning.default
        return value["from"] if list(value) == ["from"] else value

    def of_part(self, meaning: Meaning, then: Sequence[str] = ()) -> Any:
        """Return what cuts a meaning out of another one's column; None when there is no such column."""
        whole = self.guesses.found.get(meaning.of)
        if whole is None:
            return None
        convert = [*meaning.cut, *then]
        return {"from": whole.column.source, "convert": convert[0] if len(convert) == 1 else convert}

    def key(self, other: str, stand_ins: Mapping[str, Match] | None = None) -> list[Any] | None:
        """Return the key of an object as a mapping writes it; None when no way of it is whole."""
        ways = [self._way(way, stand_ins or {}) for way in key_ways(self.guesses.object_type, other)]
        whole = [way for way in ways if way is not None]
        if not whole:
            return None
        return whole[0] if len(whole) == 1 else whole

    def without_column(self, path: str, node: schemas.Node) -> Any:
        """Return what fills a path: what the vocabulary says, a reference, or what was set; None when nothing does."""
        for filling in vocabulary().fillings:
            if filling.alone and ends_with(self.guesses.object_type, path, filling.path):
                value = self.first(filling.values)
                if value is not None:
                    return value
        for other in node.refs:
            key = self.key(other)
            if key is not None:
                return {"ref": other, "key": key}
        return self._set(self.want_of(path), path)

    def first(self, given: Sequence[Mapping[str, Any]]) -> Any:
        """Return the alternatives that can be had: one, or a list; None when there is none."""
        found = [value for each in given if (value := self.filling(each)) is not None]
        return None if not found else found[0] if len(found) == 1 else found

    def filling(self, given: Mapping[str, Any]) -> Any:
        """Return an alternative of the vocabulary with the columns put in; None when one of them is not there."""
        value = dict(given)
        found = self.guesses.found
        if "when" in value:
            if not all(name in found for name in value["when"]):
                return None
            value["when"] = {found[name].column.source: test for name, test in value["when"].items()}
        if "field" in value:
            name = value.pop("field")
            part = self._part(name, {})
            if part is None:
                return None
            read = part if isinstance(part, dict) else {"from": part}
            whole = read | value
            return whole["from"] if list(whole) == ["from"] else whole
        if "ref" in value:
            key = self.key(value["ref"])
            return None if key is None else {"ref": value["ref"], "key": key}
        return value

    def lacking(self, other: str, seen: set[str]) -> Iterator[str]:
        """Yield the meanings that the key of an object lacks, in its first way."""
        ways = key_ways(self.guesses.object_type, other)
        seen.add(other)
        for part in ways[0] if ways else ():
            if part.startswith("@"):
                yield from self.lacking(part[1:], seen) if part[1:] not in seen else ()
            elif self._part(part, {}) is None:
                yield part

    def want_of(self, path: str) -> Want | None:
        """Return what is wanted for a path, or for the first mandatory thing within it."""
        wants = [guess.want for guess in self.guesses.guesses]
        same = (want for want in wants if any(plain(p) == plain(path) for p in want.paths))
        inside = (want for want in wants if any(is_within(plain(p), plain(path)) for p in want.paths))
        return next(same, None) or next(inside, None)

    def _read(self, meaning: Meaning | None, match: Match) -> dict[str, Any]:
        """Return how a column is read: field, converters, code table."""
        value: dict[str, Any] = {"from": match.column.source}
        convert = self._converters(meaning, match.fit)
        if convert:
            value["convert"] = convert[0] if len(convert) == 1 else convert
        if match.fit.table or match.fit.codes:
            value["codes"] = match.fit.table or dict(match.fit.codes)
        return value

    def _converters(self, meaning: Meaning | None, fit: Fit) -> list[str]:
        if meaning is not None and meaning.convert:
            return list(meaning.convert)
        if meaning is not None and meaning.form == "date" and fit.share is None:
            return [self._usual_date()] if self._usual_date() else []
        return [fit.convert] if ":" in fit.convert else fit.convert.split(",") if fit.convert else []

    def _usual_date(self) -> str:
        """Return the pattern that most dates of the sample have, for columns that are empty in it."""
        used = Counter(m.fit.convert for m in self.guesses.found.values() if m.fit.convert.startswith("date:"))
        return used.most_common(1)[0][0] if used else ""

    def _set(self, want: Want | None, path: str) -> Any:
        """Return a constant that was set for a path."""
        meaning = want.meaning if want is not None else None
        last = plain(steps(path)[-1]).lstrip("@")
        text = next(
            (self.constants[n] for n in (path, meaning.set if meaning else "", last) if n in self.constants), None
        )
        return None if text is None else {"const": _as_year(meaning, text)}

    def _way(self, way: Sequence[str], stand_ins: Mapping[str, Match]) -> list[Any] | None:
        parts: list[Any] = []
        for name in way:
            if name.startswith("@"):
                key = self.key(name[1:], stand_ins)
                part: Any = None if key is None else {"ref": name[1:], "key": key}
            else:
                part = self._part(name, stand_ins)
            if part is None:
                return None
            parts.append(part)
        return parts

    def _part(self, name: str, stand_ins: Mapping[str, Match]) -> Any:
        """Return a part of a key: a field, a table, or a constant that was set; None when there is nothing."""
        meaning = vocabulary().meanings[name]
        match = stand_ins.get(name) or self.guesses.found.get(name)
        if match is not None:
            value = self._read(meaning, match)
            if meaning.form in _IN_CAPITALS:
                value["convert"] = "upper"
            elif meaning.form == "date":
                value.setdefault("convert", "iso-date")
            return value["from"] if list(value) == ["from"] else value
        if meaning.set and meaning.set in self.constants:
            return {"const": _as_year(meaning, self.constants[meaning.set])}
        return self.of_part(meaning, [] if meaning.form not in _IN_CAPITALS else ["upper"])


def _as_year(meaning: Meaning | None, text: str) -> str:
    """Return a school year that was set as both years (2026/2027) as the one in which it ends."""
    if meaning is None or meaning.form != "school-year":
        return text
    try:
        return converter("school-year")(text)
    except ConvertError:
        return text


__all__ = ["RightSides"]
