"""Writes many rows with one statement compiled once; what the rows mean is left to others."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

Row = tuple[object, ...]


class Insert:
    """INSERT of rows into *table*, idempotent: a row whose key is there is left alone, or overwritten.

    SQLAlchemy compiles an insert once for each call and takes a dictionary for each row, which costs as much as
    the database; here it compiles once, and rows are tuples in the order of *columns*.
    """

    def __init__(self, dialect: Dialect, table: Table, *, overwrite: Collection[str] = (), omit: str = "") -> None:
        self.columns: Final = tuple(column.name for column in table.columns if column.name != omit)
        make = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        statement: Any = make(table).values({name: bindparam(name) for name in self.columns})
        if overwrite:
            key = list(table.primary_key.columns)
            statement = statement.on_conflict_do_update(
                index_elements=key, set_={name: statement.excluded[name] for name in overwrite}
            )
        else:
            statement = statement.on_conflict_do_nothing()
        compiled = statement.compile(dialect=dialect)
        self._sql: Final = str(compiled)
        self._positional: Final = compiled.positional
        if self._positional and tuple(compiled.positiontup) != self.columns:
            raise AssertionError(f"{table.name}: columns are bound in another order than they are declared")

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Insert *rows* and return how many were written; none is a no-op."""
        if not rows:
            return 0
        values: Any = list(rows) if self._positional else [dict(zip(self.columns, row, strict=True)) for row in rows]
        return connection.exec_driver_sql(self._sql, values).rowcount
