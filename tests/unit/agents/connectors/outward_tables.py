"""Outward mappings with rows of their own, for targets that write whatever rows they are given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from lxml import etree

from mappings import OutwardMapping, Rows


@dataclass
class Table:
    """Stands where a mapping does."""

    table: str
    columns: tuple[str, ...]
    made: Sequence[tuple[str, ...]]
    name: str = "test"

    @property
    def key(self) -> str:
        return self.columns[0]

    def rows(self, _objects: object) -> Rows:
        return Rows(tuple(dict(zip(self.columns, row, strict=True)) for row in self.made), ())


class Nothing:
    """No objects."""

    def get(self, _object_type: str, _ref_id: str) -> etree._Element | None:
        return None

    def all(self, _object_type: str) -> Iterator[etree._Element]:
        return iter(())


def users(*made: tuple[str, ...]) -> list[OutwardMapping]:
    """Return a mapping that fills the table users."""
    return of(Table("users", ("sourcedId", "givenName", "phone"), made))


def of(*tables: Table) -> list[OutwardMapping]:
    """Return tables as mappings."""
    return cast("list[OutwardMapping]", list(tables))
