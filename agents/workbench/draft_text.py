"""Writes what a draft holds as TOML, with comments for whoever reads it; what that is, the drafter says."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import schemas
from agents.workbench.guess import Guesses
from agents.workbench.masks import printable
from agents.workbench.match import Match
from agents.workbench.paths import is_within, plain, steps
from agents.workbench.wants import node_of

_SAID: Final = 90
"""Confidence below which a line of the file says how sure it is."""
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
class Content:
    """What a mapping file is to hold.

    Attributes:
        guesses: What was guessed and accepted.
        title: Its first line; none when empty.
        key: What identifies the object; None when nobody knows.
        about: The key of the learner that it is about, where it is about one.
        lines: The right sides, by path.
        confidence: The column of each line that has one.
        words: What the lines are for, in plain language.
        lists: Groups, by path of the element of which there is one for each of their members.
        missing: What the object needs and no line gives, by path.
        left_out: Optional parts that could not be filled.
    """

    guesses: Guesses
    title: str
    key: list[Any] | None
    about: list[Any] | None
    lines: Mapping[str, Any]
    confidence: Mapping[str, Match]
    words: Mapping[str, str]
    lists: Mapping[str, str]
    missing: Mapping[str, Missing]
    left_out: tuple[LeftOut, ...]

    @property
    def kind(self) -> str:
        """The object's name."""
        return self.guesses.object_type

    def text(self) -> str:
        """Return the TOML."""
        out = [f"title = {_toml(self.title)}"] if self.title else []
        out.append(f"object = {_toml(self.kind)}   # {schemas.load().tree(self.kind).label}")
        if self.guesses.each:
            out.append(f"each = {_toml(self.guesses.each)}")
        out.append("# What identifies it: equal keys give equal RefIds. Keep it as it is once objects have been sent.")
        out.append(
            f"key = {_toml(self.key)}" if self.key is not None else '# key = ["..."]   # NEEDED: name the columns'
        )
        if self.guesses.when:
            out.append(f"when = {_toml(self.guesses.when)}")
        if self.about is not None:
            out.append(f"about = {_toml({'ref': 'LearnerPersonal', 'key': self.about})}")
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
            inside = sorted((p for p in self.lines if is_within(p, element)), key=lambda p: _place(p, order))
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
        return next((element for element in self.lists if is_within(path, element)), "")

    def _line(self, path: str, shown: str = "", value: Any = None) -> str:
        match, node = self.confidence.get(path), node_of(self.kind, path)
        words = self.words.get(path) or (node.label if node is not None else "")
        sure = f" ({match.confidence} % sure: {match.reason})" if match is not None and match.confidence < _SAID else ""
        if match is not None and match.fit.codes:
            sure += "; the codes are the sample's: add others when 'sifzone mapping check' names them"
        return f"{_toml(shown or path)} = {_toml(self.lines[path] if value is None else value)}   # {words}{sure}"

    def _missing_line(self, key: str) -> str:
        missing = self.missing[key]
        codes = node.codes if (node := node_of(self.kind, missing.path)) is not None and node.codes else None
        kind = f", a code of {schemas.codes(codes).title!r}" if codes else ""
        remedy = 'name the column, or write { const = "..." }'
        return f'# {_toml(missing.path)} = "..."   # NEEDED: {missing.words}{kind}: {remedy}'

    def _heading(self, path: str) -> str:
        parts = steps(plain(path))
        depth = 2 if parts[0] == "PersonalInformation" and len(parts) > 2 else 1
        around = node_of(self.kind, "/".join(parts[:depth])) if len(parts) > 1 else None
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


__all__ = ["Content", "LeftOut", "Missing"]
