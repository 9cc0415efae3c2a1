"""Writes a mapping file from guesses: lines, key, references, what needs no column, and comments for whoever reads it.

What cannot be filled is written as a comment that says what is needed. Guessing is others' work, and so is asking.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import schemas
from agents.workbench.forms import Fit
from agents.workbench.guess import Guesses, Match, Want, ends_with, key_ways, plain, steps
from agents.workbench.masks import printable
from agents.workbench.names import Filling, Meaning, vocabulary
from mappings import ConvertError
from mappings.converters import converter

SAID: Final = 90
"""Confidence below which a line of the file says how sure it is."""
_IN_CAPITALS: Final = frozenset({"name", "upn"})
"""Forms that are written in capitals in keys, so that a name spelt otherwise is the same person."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_MAX_UNUSED: Final = 60


@dataclass(frozen=True, slots=True)
class Missing:
    """What the object needs and no column gives.

    Attributes:
        path: Path in the object, as the mapping has to write it; ``key`` for what identifies it.
        words: What it is, in plain language.
        set: What ``--set`` calls it.
    """

    path: str
    words: str
    set: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An optional part that has columns but not all that it needs.

    Attributes:
        path: The part.
        needs: What is missing.
        sources: The columns that would have gone there.
    """

    path: str
    needs: Missing
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping file.

    Attributes:
        text: The TOML.
        missing: What it lacks; with none it can be loaded.
        left_out: Optional parts that could not be filled.
    """

    object_type: str
    text: str = field(repr=False)
    missing: tuple[Missing, ...]
    left_out: tuple[LeftOut, ...]


def draft(guesses: Guesses, constants: Mapping[str, str] | None = None, title: str = "") -> Draft:
    """Return the mapping file for what was guessed and accepted.

    Args:
        guesses: The columns; a guess without match was not found, or not accepted.
        constants: Texts for what no column gives, by what ``--set`` calls it: ``LAId``, ``EstablishmentId``, the last
            name of a path, or a whole path.
        title: First line of the file.
    """
    return _Drafter(guesses, constants or {}, title).draft()


def needs_column(object_type: str, want: Want) -> bool:
    """Tell whether an object cannot be made without a column, or a text that is set, for what is wanted."""
    if not want.mandatory or want.meaning is None:
        return False
    fillings = [filling for filling in vocabulary().fillings if filling.alone]
    return not any(ends_with(object_type, path, filling.path) for path in want.paths for filling in fillings)


@dataclass(slots=True)
class _Drafter:
    guesses: Guesses
    constants: Mapping[str, str]
    title: str
    lines: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, Match] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict)  # groups by path of the element of which there is one for each
    dropped: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """The object's name."""
        return self.guesses.object_type

    def draft(self) -> Draft:
        for guess in self.guesses.guesses:
            if guess.match is not None:
                self._add(guess.want, guess.match)
            elif guess.want.meaning is not None and guess.want.meaning.set not in self.constants:
                self._add_part(guess.want, guess.want.meaning)
        self._settle_variants()
        self._add_constants()
        while self._complete() or self._fill_always():
            pass
        self._add_second_best()
        key = self._key(self.kind, self.kind)
        if key is None:
            self.missing["key"] = Missing("key", "what identifies each of them: the columns, in square brackets", "")
        return Draft(self.kind, self._text(key), tuple(self.missing.values()), tuple(self.left_out))

    # ------------------------------------------------------------ lines

    def _add(self, want: Want, match: Match) -> None:
        for path in want.paths:
            if match.column.group and (listed := self._listed(path)):
                path = plain(listed) + path[len(listed) :]
                if self.lists.setdefault(plain(listed), match.column.group) != match.column.group:
                    continue
            if want.meaning is not None and want.meaning.ref:
                key = self._key(self.kind, want.meaning.ref, {want.meaning.stands_for: match})
                if key is None:
                    continue
                self.lines[path] = {"ref": want.meaning.ref, "key": key}
            else:
                self.lines[path] = self._value(want.meaning, match)
            self.confidence[path], self.words[path] = match, want.words

    def _add_part(self, want: Want, meaning: Meaning) -> None:
        """Add the lines of what has no column of its own and can be cut out of another one's."""
        value = self._cut(meaning)
        for path in want.paths if value is not None else ():
            self.lines[path] = value | {"required": True} if meaning.required else value
            self.confidence[path], self.words[path] = self.guesses.found[meaning.of], want.words

    def _listed(self, path: str) -> str:
        """Return the innermost element of a path of which there may be several, or an empty text."""
        many = [e for e in _elements(path) if (node := self._node(e)) is not None and node.repeatable]
        return many[-1] if many else ""

    def _value(self, meaning: Meaning | None, match: Match) -> Any:
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

    def _settle_variants(self) -> None:
        """Keep one of several elements that tell themselves apart by attributes, where there may be one alone.

        An element whose attribute is a column (``PhoneNumber/@Type``) takes the lines of the one where it is given.
        """
        variants: dict[tuple[str, str], set[str]] = {}
        for path in self.lines:
            for element in _elements(path):
                node = self._node(element)
                if node is not None and not node.repeatable:
                    variants.setdefault((_parent(element), node.name), set()).add(element)
        for same in variants.values():
            if len(same) > 1:
                self._keep_one(same)

    def _keep_one(self, same: set[str]) -> None:
        bare = next((e for e in same if "[" not in steps(e)[-1]), "")
        taking = any(path.startswith(f"{bare}/@") for path in self.lines) if bare else False
        keep = bare if taking else max(same, key=self._weight)
        for other in same - {keep}:
            for path in [path for path in self.lines if _is_within(path, other)]:
                moved = keep + path[len(other) :]
                if taking and moved not in self.lines:
                    self.lines[moved], self.confidence[moved] = self.lines[path], self.confidence[path]
                    self.words[moved] = self.words[path]
                del self.lines[path]

    def _weight(self, element: str) -> int:
        return sum(self.confidence[path].confidence for path in self.lines if _is_within(path, element))

    def _add_constants(self) -> None:
        """Add the lines that were set by their whole path."""
        for name, text in self.constants.items():
            if ("/" in name or name.startswith("@")) and self._node(name) is not None:
                self.lines[name] = {"const": text}

    def _add_second_best(self) -> None:
        """Add what the vocabulary has for records whose column is empty."""
        for filling in vocabulary().fillings:
            for path in self.confidence if filling.after else ():
                if path in self.lines and ends_with(self.kind, path, filling.path):
                    more = [value for given in filling.values if (value := self._filling(given)) is not None]
                    self.lines[path] = [self.lines[path], *more]

    # ------------------------------------------------------------ what the schema wants

    def _complete(self) -> bool:
        """Fill, leave out or note the first thing that is missing; return whether there was one."""
        for element in self._present():
            node = self._node(element)
            for child in node.children if node is not None else ():
                if not child.mandatory or child.path == "@RefId":
                    continue
                path = _below(element, child)
                if self._is_filled(element, child) or path in self.missing:
                    continue
                if not self._fill(path, child):
                    self._give_up(element, path, child)
                return True
        return False

    def _present(self) -> Iterator[str]:
        """Yield the elements that the lines make, outer ones first; the object itself is the empty text."""
        yield ""
        seen: set[str] = set()
        for path in list(self.lines):
            for element in _elements(path):
                if element not in seen:
                    seen.add(element)
                    yield element

    def _is_filled(self, element: str, child: schemas.Node) -> bool:
        name = f"@{child.name}" if child.kind == "attribute" else child.name
        if child.kind == "attribute" and f"[@{child.name}=" in steps(element)[-1]:
            return True
        inner = len(steps(element)) if element else 0
        return any(
            _is_within(path, element) and len(steps(path)) > inner and plain(steps(path)[inner]) == name
            for path in self.lines
        )

    def _fill(self, path: str, node: schemas.Node) -> bool:
        """Fill a path without column of its own; return whether that was possible."""
        value = self._without_column(path, node)
        if value is not None:
            self.lines[path] = value
            return True
        inner = [child for child in node.children if child.mandatory]
        if node.type or not inner:
            return any(self._fill_inside(path, filling) for filling in vocabulary().fillings if filling.always)
        return all(self._fill(_below(path, child), child) for child in inner)

    def _fill_inside(self, path: str, filling: Filling) -> bool:
        """Fill something optional within a mandatory element, so that it is there at all."""
        node = self._node(path)
        for child in node.children if node is not None else ():
            inside = _below(path, child)
            if ends_with(self.kind, inside, filling.path):
                value = self._first(filling.values)
                if value is not None:
                    self.lines[inside] = value
                    return True
        return False

    def _without_column(self, path: str, node: schemas.Node) -> Any:
        """Return what fills a path: what the vocabulary says, a reference, or what was set; None when nothing does."""
        for filling in vocabulary().fillings:
            if filling.alone and ends_with(self.kind, path, filling.path):
                value = self._first(filling.values)
                if value is not None:
                    return value
        for other in node.refs:
            key = self._key(self.kind, other)
            if key is not None:
                return {"ref": other, "key": key}
        return self._set(self._want_of(path), path)

    def _first(self, given: Sequence[Mapping[str, Any]]) -> Any:
        """Return the alternatives that can be had: one, or a list; None when there is none."""
        found = [value for each in given if (value := self._filling(each)) is not None]
        return None if not found else found[0] if len(found) == 1 else found

    def _filling(self, given: Mapping[str, Any]) -> Any:
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
            key = self._key(self.kind, value["ref"])
            return None if key is None else {"ref": value["ref"], "key": key}
        return value

    def _set(self, want: Want | None, path: str) -> Any:
        """Return a constant that was set for a path."""
        meaning = want.meaning if want is not None else None
        last = plain(steps(path)[-1]).lstrip("@")
        text = next(
            (self.constants[n] for n in (path, meaning.set if meaning else "", last) if n in self.constants), None
        )
        return None if text is None else {"const": _as_year(meaning, text)}

    def _give_up(self, element: str, path: str, node: schemas.Node) -> None:
        """Leave out the nearest optional part around a path that cannot be filled; without one, it is missing."""
        missing = self._missing(path, node)
        around = element
        while around:
            sole = [e for e in self._present() if e and _parent(e) == _parent(around) and plain(e) == plain(around)]
            around_node = self._node(around)
            if around_node is None or not around_node.mandatory or len(sole) > 1:
                lost = [line for line in self.lines if _is_within(line, around)]
                sources = tuple(self.confidence[line].column.source for line in lost if line in self.confidence)
                for line in lost:
                    del self.lines[line]
                if sources:
                    self.left_out.append(LeftOut(around, missing, tuple(dict.fromkeys(sources))))
                self.dropped.add(around)
                return
            around = _parent(around)
        self.missing[path] = missing

    def _missing(self, path: str, node: schemas.Node) -> Missing:
        """Return what to ask for: of an element that holds others the first of them that is known by a name."""
        if node.refs:
            for other in node.refs:
                part = next(self._lacking(other, set()), None)
                if part is not None:
                    meaning = vocabulary().meanings[part]
                    return Missing(path, meaning.words, meaning.set)
            return Missing(path, node.label, "")
        want = self._want_of(path)
        if want is not None and plain(want.paths[0]) != plain(path):
            path = want.paths[0]
        name = want.meaning.set if want is not None and want.meaning is not None and want.meaning.set else ""
        return Missing(path, want.words if want is not None else node.label, name or plain(steps(path)[-1]).lstrip("@"))

    def _lacking(self, other: str, seen: set[str]) -> Iterator[str]:
        """Yield the meanings that the key of an object lacks, in its first way."""
        ways = key_ways(self.kind, other)
        seen.add(other)
        for part in ways[0] if ways else ():
            if part.startswith("@"):
                yield from self._lacking(part[1:], seen) if part[1:] not in seen else ()
            elif self._part(part, {}) is None:
                yield part

    def _want_of(self, path: str) -> Want | None:
        """Return what is wanted for a path, or for the first mandatory thing within it."""
        wants = [guess.want for guess in self.guesses.guesses]
        same = (want for want in wants if any(plain(p) == plain(path) for p in want.paths))
        inside = (want for want in wants if any(_is_within(plain(p), plain(path)) for p in want.paths))
        return next(same, None) or next(inside, None)

    def _fill_always(self) -> bool:
        """Add what the vocabulary always adds to an element that is there; return whether something was added."""
        for element in self._present():
            node = self._node(element)
            for child in node.children if node is not None else ():
                path = _below(element, child)
                if path in self.lines or path in self.dropped or self._is_filled(element, child):
                    continue
                for filling in vocabulary().fillings:
                    if filling.always and ends_with(self.kind, path, filling.path):
                        value = self._first(filling.values)
                        if value is not None:
                            self.lines[path] = value
                            return True
        return False

    # ------------------------------------------------------------ keys

    def _key(self, about: str, other: str, stand_ins: Mapping[str, Match] | None = None) -> list[Any] | None:
        """Return the key of an object as a mapping writes it; None when no way of it is whole."""
        ways = [self._way(about, way, stand_ins or {}) for way in key_ways(about, other)]
        whole = [way for way in ways if way is not None]
        if not whole:
            return None
        return whole[0] if len(whole) == 1 else whole

    def _way(self, about: str, way: Sequence[str], stand_ins: Mapping[str, Match]) -> list[Any] | None:
        parts: list[Any] = []
        for name in way:
            if name.startswith("@"):
                key = self._key(about, name[1:], stand_ins)
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
        return self._cut(meaning, [] if meaning.form not in _IN_CAPITALS else ["upper"])

    def _cut(self, meaning: Meaning, then: Sequence[str] = ()) -> Any:
        """Return what cuts a meaning out of another one's column; None when there is no such column."""
        whole = self.guesses.found.get(meaning.of)
        if whole is None:
            return None
        convert = [*meaning.cut, *then]
        return {"from": whole.column.source, "convert": convert[0] if len(convert) == 1 else convert}

    # ------------------------------------------------------------ text

    def _node(self, path: str) -> schemas.Node | None:
        schema = schemas.load()
        return schema.tree(self.kind) if not path else schema.find(self.kind, path)

    def _text(self, key: list[Any] | None) -> str:
        out = [f"title = {_toml(self.title)}"] if self.title else []
        out.append(f"object = {_toml(self.kind)}   # {schemas.load().tree(self.kind).label}")
        if self.guesses.each:
            out.append(f"each = {_toml(self.guesses.each)}")
        out.append("# What identifies it: equal keys give equal RefIds. Keep it as it is once objects have been sent.")
        out.append(f"key = {_toml(key)}" if key is not None else '# key = ["..."]   # NEEDED: name the columns')
        if self.guesses.when:
            out.append(f"when = {_toml(self.guesses.when)}")
        subject = vocabulary().subjects.get(self.kind)
        about = self._key(self.kind, "LearnerPersonal") if subject is not None and subject.about else None
        if about is not None:
            out.append(f"about = {_toml({'ref': 'LearnerPersonal', 'key': about})}")
        out += [*self._picks(), "", "[fields]", *self._fields(), *self._lists(), *self._remarks()]
        return "\n".join(out) + "\n"

    def _picks(self) -> Iterator[str]:
        used = {
            match.column.source.partition(":")[0]: match.column.group
            for path, match in self.confidence.items()
            if match.column.group and path in self.lines and not self._list_of(path)
        }
        for alias, group in used.items():
            yield ""
            yield f"# Of several {group}, the first is used; 'order', 'where' and 'take' choose another."
            yield f"[pick.{alias if _BARE.fullmatch(alias) else _toml(alias)}]"
            yield f"from = {_toml(group)}"

    def _fields(self) -> Iterator[str]:
        order = {path: index for index, path in enumerate(_paths(schemas.load().tree(self.kind)))}
        written = [path for path in self.lines if not self._list_of(path)]
        written += [path for path in self.missing if path != "key"]
        heading = ""
        for path in sorted(written, key=lambda p: _place(p, order)):
            if (title := self._heading(path)) != heading:
                heading = title
                yield f"\n# {title}"
            yield self._missing_line(path) if path in self.missing else self._line(path)

    def _lists(self) -> Iterator[str]:
        order = {path: index for index, path in enumerate(_paths(schemas.load().tree(self.kind)))}
        for element, group in self.lists.items():
            inside = sorted((p for p in self.lines if _is_within(p, element)), key=lambda p: _place(p, order))
            if inside:
                yield f"\n# One for each of {group}"
                yield f"[lists.{_toml(element)}]"
                yield f"each = {_toml(group)}"
                yield f"[lists.{_toml(element)}.fields]"
                for path in inside:
                    value = _within_group(self.lines[path])
                    yield self._line(path, path[len(element) + 1 :] or ".", value)

    def _list_of(self, path: str) -> str:
        """Return the element of a list that a path is in, or an empty text."""
        return next((element for element in self.lists if _is_within(path, element)), "")

    def _line(self, path: str, shown: str = "", value: Any = None) -> str:
        match, node = self.confidence.get(path), self._node(path)
        words = self.words.get(path) or (node.label if node is not None else "")
        sure = f" ({match.confidence} % sure: {match.reason})" if match is not None and match.confidence < SAID else ""
        if match is not None and match.fit.codes:
            sure += "; the codes are the sample's: add others when 'sifzone mapping check' names them"
        return f"{_toml(shown or path)} = {_toml(self.lines[path] if value is None else value)}   # {words}{sure}"

    def _missing_line(self, key: str) -> str:
        missing = self.missing[key]
        codes = node.codes if (node := self._node(missing.path)) is not None and node.codes else None
        kind = f", a code of {schemas.codes(codes).title!r}" if codes else ""
        remedy = 'name the column, or write { const = "..." }'
        return f'# {_toml(missing.path)} = "..."   # NEEDED: {missing.words}{kind}: {remedy}'

    def _heading(self, path: str) -> str:
        parts = steps(plain(path))
        depth = 2 if parts[0] == "PersonalInformation" and len(parts) > 2 else 1
        around = self._node("/".join(parts[:depth])) if len(parts) > 1 else None
        return (around or schemas.load().tree(self.kind)).label.partition(":")[0]

    def _remarks(self) -> Iterator[str]:
        if self.left_out:
            yield ""
        for part in self.left_out:
            columns = ", ".join(part.sources)
            yield f"# {part.path} is left out ({printable(columns)}): {part.needs.path} needs the {part.needs.words}."
        unused = [column.source for column in self.guesses.unused]
        if unused:
            more = f" and {len(unused) - _MAX_UNUSED} more" if len(unused) > _MAX_UNUSED else ""
            yield f"\n# Not used: {printable(', '.join(unused[:_MAX_UNUSED]))}{more}."


def _as_year(meaning: Meaning | None, text: str) -> str:
    """Return a school year that was set as both years (2026/2027) as the one in which it ends."""
    if meaning is None or meaning.form != "school-year":
        return text
    try:
        return converter("school-year")(text)
    except ConvertError:
        return text


def _elements(path: str) -> Iterator[str]:
    """Yield the elements on the way of a path, outer ones first, the last one too unless it is an attribute."""
    parts = [part for part in steps(path) if not part.startswith("@")]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def _below(element: str, node: schemas.Node) -> str:
    name = f"@{node.name}" if node.kind == "attribute" else node.name
    return f"{element}/{name}" if element else name


def _parent(path: str) -> str:
    return "/".join(steps(path)[:-1])


def _is_within(path: str, element: str) -> bool:
    """Tell whether a path is an element, or in it."""
    return not element or path == element or path.startswith(f"{element}/")


def _paths(node: schemas.Node) -> Iterator[str]:
    for child in node.children:
        yield child.path
        yield from _paths(child)


def _place(path: str, order: Mapping[str, int]) -> tuple[tuple[int, str], ...]:
    """Return where a path comes in the schema, member by member of a list."""
    written = steps(path)
    parts = steps(plain(path))
    return tuple((order.get("/".join(parts[: n + 1]), 0), step) for n, step in enumerate(written))


def _within_group(value: Any) -> Any:
    """Return a value as a member of a group reads it: its own fields, and with a slash those of the record."""
    if isinstance(value, str):
        alias, colon, name = value.partition(":")
        return name if colon and alias.islower() else value if value[:1] in ("/", "#") else f"/{value}"
    if isinstance(value, list):
        return [_within_group(each) for each in value]
    inner = dict(value)
    for name in ("from", "key"):
        if name in inner:
            inner[name] = _within_group(inner[name])
    if "when" in inner:
        inner["when"] = {_within_group(name): test for name, test in inner["when"].items()}
    return inner


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        inner = (f"{k if _BARE.fullmatch(k) else _toml(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{ {', '.join(inner)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's escapes are TOML's, but for one character that JSON leaves as it is
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


__all__ = ["Draft", "LeftOut", "Missing", "draft", "needs_column"]
