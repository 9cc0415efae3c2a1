"""Reads a TOML file together with the place of every key, and lays one over another; what keys mean is the caller's.

``tomllib`` reads the values. It keeps no positions, so once it has accepted a text a second, small scan finds the keys:
that scan may rely on the text being correct TOML.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from mappings.problems import MappingError, Problem, nearest

Where = tuple[str | int, ...]  # keys, and indexes in arrays, from the top of the document

MAX_BYTES: Final = 1_000_000
MAX_DOTS: Final = 200  # in one line
_POSITION: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_UNSEEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x80-\x9f\u202a-\u202e\u2066-\u2069]")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\s#]+(?: \d[^,\]}\s#]*)?")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class Place(NamedTuple):
    """Where a key stands: the file, and line and column from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a TOML file (and of the files that it is laid over) and the place of each of its keys.

    Attributes:
        file: The file's path; of several, that of the uppermost.
        files: All of them, the uppermost first.
    """

    file: str
    values: dict[str, Any]
    positions: dict[Where, Place]
    files: tuple[str, ...] = ()

    def place(self, where: Where) -> Place:
        """Return the place of *where*, or the nearest above it that is written in a file."""
        while where and where not in self.positions:
            where = where[:-1]
        return self.positions.get(where, Place(self.file, 1, 1))

    def problem(self, where: Where, message: str, nearest: str | None = None) -> Problem:
        """Return a problem at *where*, or at the nearest place above it that is written in a file."""
        return Problem(*self.place(where), message, nearest)

    def over(self, base: "Document", merged: Callable[[Where], bool]) -> "Document":
        """Return this document laid over another.

        Args:
            base: What this one changes.
            merged: Whether the table at a place is merged entry by entry. Any other value replaces the base's, and
                the value ``false`` takes the base's away.

        Raises:
            MappingError: Something is taken away that is not there.
        """
        return _Merge(self, base, merged).document()


class _Merge:
    """Lays one document over another."""

    def __init__(self, upper: Document, base: Document, merged: Callable[[Where], bool]) -> None:
        self._upper, self._base, self._merged = upper, base, merged
        self._changed: set[Where] = set()  # replaced or taken away
        self._depth = 0
        self._problems: list[Problem] = []

    def document(self) -> Document:
        values = self._tables((), self._base.values, self._upper.values)
        if self._problems:
            raise MappingError(self._problems)
        positions = {where: place for where, place in self._base.positions.items() if not self._is_changed(where)}
        positions.update(self._upper.positions)  # of a table that both have, too: it is the one being written
        return Document(self._upper.file, values, positions, (*self._upper.files, *self._base.files))

    def _is_changed(self, where: Where) -> bool:
        return any(where[:length] in self._changed for length in range(1, min(len(where), self._depth) + 1))

    def _tables(self, where: Where, base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
        result = dict(base)
        for name, value in upper.items():
            here = (*where, name)
            if value is False:
                self._take_away(here, result)
            elif isinstance(value, dict) and isinstance(base.get(name), dict) and self._merged(here):
                result[name] = self._tables(here, base[name], value)
            else:
                result[name] = value
                self._change(here)
        return result

    def _take_away(self, where: Where, result: dict[str, Any]) -> None:
        name = str(where[-1])
        if name in result:
            del result[name]
            self._change(where)
            return
        message = f"false takes away a line of the base, and the base has no {name!r} here"
        self._problems.append(self._upper.problem(where, message, nearest(name, result)))

    def _change(self, where: Where) -> None:
        self._changed.add(where)
        self._depth = max(self._depth, len(where))


def read(path: Path) -> Document:
    """Read a TOML file.

    Raises:
        MappingError: It cannot be read, is larger than a megabyte, is not UTF-8 or not TOML.
    """
    file = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MappingError([Problem(file, 1, 1, "larger than a megabyte: this is not a mapping file")])
        text = path.read_text("utf-8")
    except OSError as error:
        raise MappingError([Problem(file, 1, 1, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise MappingError([Problem(file, 1, 1, "is not UTF-8: save it as UTF-8")]) from error
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Parse the text of a TOML file; *file* names it in problems.

    Raises:
        MappingError: The text is not TOML, or has control characters in its texts.
    """
    text = text.replace("\r\n", "\n")
    _refuse_long_keys(text, file)
    try:
        values = tomllib.loads(text)
        positions = _Scan(text, file).positions()
    except tomllib.TOMLDecodeError as error:
        place = _POSITION.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (max(1, text.count("\n")), 1)
        reason = _POSITION.sub("", str(error)).replace(" (at end of document)", "").strip()
        raise MappingError([Problem(file, line, column, f"not TOML: {reason}")]) from error
    except ValueError as error:  # Python's own limit on the digits of a number
        raise MappingError(
            [Problem(file, 1, 1, "a number with thousands of digits: this is not a mapping file")]
        ) from error
    except RecursionError as error:
        raise MappingError([Problem(file, 1, 1, "nested too deeply: this is not a mapping file")]) from error
    document = Document(file, values, positions, (file,))
    if "\\" in text:  # written as they are, TOML refuses them itself
        unseen = (where for where, found in _texts((), values) if _UNSEEN.search(found))
        message = "has a character that cannot be seen, and that screens may obey: take it out"
        problems = [document.problem(where, message) for where in unseen]
        if problems:
            raise MappingError(problems)
    return document


def _texts(where: Where, value: Any) -> Iterator[tuple[Where, str]]:
    """Yield all texts and keys in a value, with their places."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*where, key), key
            yield from _texts((*where, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts((*where, index), inner)


def _refuse_long_keys(text: str, file: str) -> None:
    """Refuse a key of thousands of parts such as ``a.a.a``, which takes tomllib the square of its length."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS:
            raise MappingError([Problem(file, number, 1, f"more than {MAX_DOTS} full stops in a line: break the line")])


class _Scan:
    """Finds the keys of a text that is known to be TOML."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at = text, file, 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._found: dict[Where, Place] = {}
        self._tables: dict[Where, int] = {}  # arrays of tables: index of the last one

    def positions(self) -> dict[Where, Place]:
        table: Where = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._found

    def _skip_blank(self) -> bool:
        """Move to the next thing that is neither blank nor comment; False at the end."""
        while self._at < len(self._text):
            if self._text[self._at] == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text[self._at].isspace():
                self._at += 1
            else:
                return True
        return False

    def _note(self, where: Where, start: int) -> None:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= start else (low, middle)
        self._found.setdefault(where, Place(self._file, low + 1, start - self._starts[low] + 1))

    def _header(self) -> Where:
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        start, keys = self._key()
        where = self._resolve(keys[:-1])
        if array:
            name = (*where, keys[-1])
            self._note(name, start)
            self._tables[name] = self._tables.get(name, -1) + 1
            where = (*name, self._tables[name])
        else:
            where = self._resolve(keys)
        self._note(where, start)
        self._at = self._text.index("]", self._at) + (2 if array else 1)
        return where

    def _resolve(self, keys: list[str]) -> Where:
        where: Where = ()
        for key in keys:
            where = (*where, key)
            if where in self._tables:
                where = (*where, self._tables[where])
        return where

    def _pair(self, table: Where) -> None:
        start, keys = self._key()
        where = table
        for key in keys:
            where = (*where, key)
            self._note(where, start)
        self._at = self._text.index("=", self._at) + 1
        self._value(where)

    def _key(self) -> tuple[int, list[str]]:
        self._skip_blank()
        start, keys = self._at, []
        while True:
            self._skip_blank()
            bare = _BARE.match(self._text, self._at)
            if bare:
                keys.append(bare[0])
                self._at = bare.end()
            else:
                keys.append(self._string())
            self._skip_blank()
            if self._at >= len(self._text) or self._text[self._at] != ".":
                return start, keys
            self._at += 1

    def _value(self, where: Where) -> None:
        self._skip_blank()
        opening = self._text[self._at]
        if opening in "\"'":
            self._string()
        elif opening == "[":
            self._array(where)
        elif opening == "{":
            self._inline_table(where)
        elif scalar := _SCALAR.match(self._text, self._at):
            self._at = scalar.end()

    def _array(self, where: Where) -> None:
        self._at += 1
        index = 0
        while self._skip_blank() and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._note((*where, index), self._at)
            self._value((*where, index))
            index += 1
        self._at += 1

    def _inline_table(self, where: Where) -> None:
        self._at += 1
        while self._skip_blank() and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._pair(where)
        self._at += 1

    def _string(self) -> str:
        quote = self._text[self._at]
        long = self._text.startswith(quote * 3, self._at)
        mark = quote * 3 if long else quote
        begin = end = self._at + len(mark)
        while not self._text.startswith(mark, end):
            end += 2 if quote == '"' and self._text[end] == "\\" else 1
        while long and self._text.startswith(quote, end + 3):  # up to two quotes may stand before the closing three
            end += 1
        self._at = end + len(mark)
        inner = self._text[begin:end]
        return inner if quote == "'" else _ESCAPE.sub(_unescape, inner)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if code[0] in "uU" and len(code) > 1 else _ESCAPES.get(code, code)
