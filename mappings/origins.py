"""Reads where the members of a list come from: ``each`` (a group), ``each`` with ``split``, or ``columns``."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mappings.document import Where
from mappings.selection import Cells, Column, Columns, Group, Origin
from mappings.spec import Reader, Table

MAX_SETS: Final = 100  # members of one list
MAX_FIELDS: Final = 100  # of one member
_RANGE: Final = re.compile(r"\{([0-9]{1,3})-([0-9]{1,3})\}")
_COLUMN: Final[Mapping[str, tuple[type, ...]]] = {"const": (str,)}


class OriginReader:
    """Reads origins; *field* is told each field of the record that one reads."""

    def __init__(self, reader: Reader, field: Callable[[Where, str], object]) -> None:
        self._reader, self._field = reader, field

    def origin(self, where: Where, given: Table, way: str) -> Origin | None:
        """Return the origin that a table spells; *way* is what names the group: ``each`` or ``from``.

        None where it is wrong, which is reported.
        """
        if (way in given) == ("columns" in given):
            self._reader.report(where, f"needs exactly one of {way!r} and 'columns'")
            return None
        if "columns" in given:
            if "split" in given:
                self._reader.report((*where, "split"), f"'split' goes with {way!r} only: remove it")
            return self._columns((*where, "columns"), given["columns"])
        name, from_top = given[way].removeprefix("/"), given[way].startswith("/")
        if not name:
            self._reader.report((*where, way), "the name is empty: name a group or a field of the source")
            return None
        if "split" not in given:
            return Group(name, from_top)
        self._field((*where, way), given[way])
        if not given["split"]:
            self._reader.report(
                (*where, "split"), "'split' is empty: write what stands between the parts, such as \";\""
            )
            return None
        return Cells(name, given["split"], from_top)

    def _columns(self, where: Where, spec: Sequence[object]) -> Columns | None:
        before = len(self._reader.problems)
        sets: list[tuple[Column, ...]] = []
        for index, part in enumerate(spec):
            sets += self._sets((*where, index), part)
            if len(sets) > MAX_SETS:
                self._reader.report((*where, index), f"more than {MAX_SETS} members: name fewer columns")
                break
        if not spec:
            self._reader.report(where, 'an empty list has no members: write [{ Number = "Tel 1" }, ...]')
        return Columns(tuple(sets)) if len(self._reader.problems) == before else None

    def _sets(self, where: Where, spec: object) -> list[tuple[Column, ...]]:
        """Return the sets of columns that one table stands for: one, or as many as its ranges have numbers."""
        if isinstance(spec, dict) and len(spec) > MAX_FIELDS:
            self._reader.report(where, f"a member of more than {MAX_FIELDS} fields: name fewer")
            return []
        if not isinstance(spec, dict) or not spec:
            self._reader.report(where, 'must be a table of fields and their columns, such as { Number = "Tel 1" }')
            return []
        ranges = {match[0] for name in spec.values() if isinstance(name, str) for match in _RANGE.finditer(name)}
        if len(ranges) > 1:
            self._reader.report(where, f"the ranges differ: write the same one in each ({', '.join(sorted(ranges))})")
            return []
        if not any(isinstance(name, str) for name in spec.values()):
            self._reader.report(where, "has constants alone: name at least one column")
            return []
        numbers = self._numbers(where, ranges.pop()) if ranges else [""]
        return [
            tuple(self._column((*where, field), field, name, number) for field, name in spec.items())
            for number in numbers
        ]

    def _numbers(self, where: Where, spelt: str) -> list[str]:
        match = _RANGE.fullmatch(spelt)
        low, high = (match[1], match[2]) if match else ("", "")
        if not low or not int(low) <= int(high) < int(low) + MAX_SETS:
            self._reader.report(
                where, f"{spelt} is not a range of at most {MAX_SETS} numbers: write one such as {{1-4}}"
            )
            return []
        width = len(low) if low.startswith("0") else 0  # {01-12} stands for 01, 02 ...
        return [f"{number:0{width}}" if width else str(number) for number in range(int(low), int(high) + 1)]

    def _column(self, where: Where, field: str, spec: Any, number: str) -> Column:
        if isinstance(spec, str):
            name = _RANGE.sub(number, spec)
            if not name.strip("/"):
                self._reader.report(where, "the name of a source field is empty")
            self._field(where, name)
            return Column(field, name.removeprefix("/"), name.startswith("/"))
        if not isinstance(spec, dict):
            self._reader.report(where, 'must be a column in quotes, or a constant such as { const = "H" }')
            return Column(field, "")
        return Column(field, "", const=self._reader.table(where, spec, _COLUMN, ["const"]).get("const", ""))
