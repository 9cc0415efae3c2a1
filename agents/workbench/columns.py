"""Compares the columns that a sample has with those that mappings read; what is in them is for others to judge."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from agents.workbench.findings import Finding
from agents.workbench.guess import SURE, guess
from agents.workbench.samples import Source, read_sample
from agents.workbench.tally import plain_path
from mappings import InwardMapping, Record
from mappings.lineage import Line
from mappings.problems import nearest
from mappings.selection import ROWS

_MAX_NAMES: Final = 2000
_MAX_SHOWN: Final = 20
_GUESSED_FROM: Final = 200
"""Records from whose values it is guessed what a column is for."""


class Columns:
    """The names of fields and groups that a source has, gathered while it is read."""

    def __init__(self) -> None:
        self._stated: set[str] = set()
        self._top: dict[str, None] = {}
        self._paths: dict[str, None] = {}
        self._inner: set[str] = set()

    @property
    def are_stated(self) -> bool:
        """Whether the source has said which fields it has, so that one which is not there is not merely empty."""
        return bool(self._stated)

    def state(self, names: Iterable[str]) -> None:
        """Note what the source says of itself."""
        self._stated |= set(names)

    def meet(self, record: Record) -> None:
        """Note what a record has."""
        if len(self._top) < _MAX_NAMES:
            self._top.update(dict.fromkeys(record.fields))
        for group, members in record.groups.items():
            if group != ROWS:  # gathered from rows whose fields are the record's
                self._meet_members(group, members)

    def _meet_members(self, path: str, members: Iterable[Record]) -> None:
        self._inner.add(path.rpartition("/")[2])
        self._paths.setdefault(path)
        for member in members:
            if len(self._paths) >= _MAX_NAMES:
                return
            self._inner.update(member.fields)
            self._paths.update(dict.fromkeys(f"{path}/{name}" for name in member.fields if name != "."))
            for group, inner in member.groups.items():
                self._inner.add(group)
                self._meet_members(f"{path}/{group}", inner)

    def all(self) -> tuple[str, ...]:
        """Return every field as a path from the record, those of the record itself first."""
        return tuple(dict.fromkeys([*self._top, *sorted(self._stated), *self._paths]))

    def has(self, name: str) -> bool:
        """Whether a mapping that reads *name*, in whatever scope, can find something."""
        bare = name.removeprefix("/")
        return bare in self._top or bare in self._stated or bare in self._paths or bare in self._inner

    def unread(self, sources: Iterable[str]) -> tuple[str, ...]:
        """Return the fields that none of these names reads; groups are read by their fields."""
        read = {name.removeprefix("/") for name in sources}
        groups = {path.rpartition("/")[0] for path in self._paths}
        return tuple(
            path
            for path in self.all()
            if path not in read and path not in groups and not (path in self._paths and path.rpartition("/")[2] in read)
        )


def compare_columns(mappings: Sequence[InwardMapping], columns: Columns, source: Source) -> Iterator[Finding]:
    """Yield the columns that mappings read and the sample has not, then those that no mapping reads."""
    read = [_bare(name) for mapping in mappings for line in mapping.lines for name in (*line.sources, *line.when)]
    unread = columns.unread([*read, *(name for mapping in mappings for name in mapping.sources)])
    meant: dict[str, str] = {}  # what unread columns are perhaps called in a mapping
    for mapping in mappings:
        yield from _missing(mapping, columns, unread, meant)
    yield from _unused(unread, meant, _guessed(mappings, source) if unread else {}, str(source.path))


def _missing(
    mapping: InwardMapping, columns: Columns, unread: Sequence[str], meant: dict[str, str]
) -> Iterator[Finding]:
    """Yield a finding for each column that is not there; one for all that are merely empty in every record."""
    empty: list[str] = []
    for name, lines in _readers(mapping).items():
        if columns.has(name):
            continue
        near = nearest(name, unread)
        if near is not None:
            meant.setdefault(near, name)
        elif not columns.are_stated:
            empty.append(name)
            continue
        line = min(lines, key=lambda line: line.kind != "field")
        needed = any(line.required and len(line.sources) == 1 for line in lines)
        has = "the sample has no column" if columns.are_stated else "no record of the sample has"
        yield Finding(
            "error" if needed else "warning",
            "column-missing",
            line.file,
            line.line,
            line.column,
            f"{has} {name!r}",
            near,
            names=(name,),
        )
    if empty:
        message = f"{mapping.name} reads {_listed(empty)}: no record of the sample has any"
        yield Finding("warning", "column-missing", mapping.lines[0].file, 0, 0, message, names=tuple(empty))


def _unused(
    unread: Sequence[str], meant: Mapping[str, str], guessed: Mapping[str, str], file: str
) -> Iterator[Finding]:
    """Yield a finding for each column that somebody may have wanted to map, then one for all the others."""
    for name in unread:
        if name in meant or name in guessed:
            purpose = f": it may be for {guessed[name]}" if name not in meant else ""
            message = f"no mapping reads the column {name[:60]!r}{purpose}"
            yield Finding("warning", "column-not-used", file, 0, 0, message, meant.get(name), names=(name,))
    others = tuple(name for name in unread if name not in meant and name not in guessed)
    if others:
        what = "the column" if len(others) == 1 else f"{len(others)} columns:"
        message = f"no mapping reads {what} {_listed(others)}"
        yield Finding("warning", "column-not-used", file, 0, 0, message, names=others)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(repr(name[:60]) for name in names[:_MAX_SHOWN]) + more


def _readers(mapping: InwardMapping) -> dict[str, list[Line]]:
    """Return the lines that read each source field, by its full name."""
    found: dict[str, list[Line]] = {}
    for line in mapping.lines:
        for name in line.sources:
            if name not in ("#", "."):
                found.setdefault(_bare(name), []).append(line)
    return found


def _guessed(mappings: Sequence[InwardMapping], source: Source) -> dict[str, str]:
    """Return for columns, by path, the targets that they are probably for and that no line fills."""
    sample = read_sample(source.path, source.connector, source.options, limit=_GUESSED_FROM)
    found: dict[str, str] = {}
    for mapping in mappings:
        filled = {plain_path(line.target) for line in mapping.lines}
        for one in guess(sample, mapping.object_type).guesses:
            free = [path for path in one.want.paths if plain_path(path) not in filled]
            if one.match is not None and one.match.confidence >= SURE and free:
                found.setdefault(one.match.column.field.path, f"{free[0]} ({one.want.words})")
    return found


def _bare(name: str) -> str:
    return name.removeprefix("/")


__all__ = ["Columns", "compare_columns"]
