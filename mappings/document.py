"""Reads a TOML file together with the line and column of every key; what the keys mean is the caller's.

``tomllib`` reads the values. It keeps no positions, so once it has accepted a text a second, small scan finds the keys:
that scan may rely on the text being correct TOML.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mappings.problems import MappingError, Problem

Where = tuple[str | int, ...]  # keys, and indexes in arrays, from the top of the document

MAX_BYTES: Final = 1_000_000
_POSITION: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\s#]+(?: \d[^,\]}\s#]*)?")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file's values and the position of each of its keys."""

    file: str
    values: dict[str, Any]
    positions: dict[Where, tuple[int, int]]

    def problem(self, where: Where, message: str, nearest: str | None = None) -> Problem:
        """Return a problem at *where*, or at the nearest place above it that is written in the file."""
        while where and where not in self.positions:
            where = where[:-1]
        line, column = self.positions.get(where, (1, 1))
        return Problem(self.file, line, column, message, nearest)


def read(path: Path) -> Document:
    """Read a TOML file.

    Raises:
        MappingError: It cannot be read, is larger than a megabyte, is not UTF-8 or not TOML.
    """
    file = str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MappingError([Problem(file, 0, 0, "larger than a megabyte: this is not a mapping file")])
        text = path.read_text("utf-8")
    except OSError as error:
        raise MappingError([Problem(file, 0, 0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise MappingError([Problem(file, 0, 0, "is not UTF-8: save it as UTF-8")]) from error
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Parse the text of a TOML file; *file* names it in problems.

    Raises:
        MappingError: The text is not TOML.
    """
    text = text.replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _POSITION.search(str(error))
        line, column = (int(place[1]), int(place[2])) if place else (max(1, text.count("\n")), 1)
        reason = _POSITION.sub("", str(error)).replace(" (at end of document)", "").strip()
        raise MappingError([Problem(file, line, column, f"not TOML: {reason}")]) from error
    except RecursionError as error:
        raise MappingError([Problem(file, 0, 0, "nested too deeply: this is not a mapping file")]) from error
    return Document(file, values, _Scan(text).positions())


class _Scan:
    """Finds the keys of a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._found: dict[Where, tuple[int, int]] = {}
        self._tables: dict[Where, int] = {}  # arrays of tables: index of the last one

    def positions(self) -> dict[Where, tuple[int, int]]:
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
        self._found.setdefault(where, (low + 1, start - self._starts[low] + 1))

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
