"""Writes tables as CSV files; which object fills which column is the mappings'.

``<path>/current/`` has a file ``TABLE.csv`` for each table, all from the same moment; see ``sets``. Only the agent's
own account may read them, or its group, too.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from agents.connectors.contract import TargetError, Written, refused
from agents.connectors.sets import csv_text, guarded, switch
from agents.connectors.texts import check_encoding
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping

_TABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,99}")


class CsvOutOptions(BaseModel):
    """Options of ``connector = "csv-out"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Annotated[str, AfterValidator(check_encoding)] = Field(
        default="utf-8", description="Any that Python knows; utf-8-sig for Excel, which takes plain UTF-8 for cp1252."
    )
    delimiter: Annotated[str, StringConstraints(pattern=r"^([,;|]|\t)$", strip_whitespace=False)] = Field(
        default=",", description="Between cells."
    )
    guard: bool = Field(
        default=True,
        description="Put ' before a text that a spreadsheet would run as a formula; connector csv takes it off again.",
    )
    group: bool = Field(default=False, description="The group of the agent's account may read the files, too.")


class CsvTarget:
    """A folder with a CSV file for each table."""

    Options: ClassVar[type[BaseModel]] = CsvOutOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take the folder, the mappings, one or more for each table, and CsvOutOptions.

        Raises:
            ConfigurationError: No folder or mapping, a table whose name makes no file, or one with two sets of columns.
        """
        if path is None or not mappings:
            raise ConfigurationError('target: connector "csv-out" needs path = "FOLDER" and mapping = ["..."]')
        columns: dict[str, tuple[str, ...]] = {}
        for mapping in mappings:
            if not _TABLE.fullmatch(mapping.table):
                raise ConfigurationError(
                    f"mapping {mapping.name}: row = {mapping.table[:60]!r} makes no file name: use letters and digits"
                )
            if columns.setdefault(mapping.table, mapping.columns) != mapping.columns:
                raise ConfigurationError(
                    f"mapping {mapping.name}: {mapping.table} has other columns in another mapping: make them the same"
                )
        self._path, self._mappings = path, mappings
        self._options = options if isinstance(options, CsvOutOptions) else CsvOutOptions()

    def write(self, objects: Objects) -> Written:
        """Write the files, if they differ from those that are there.

        Rows are in the order of their keys. A character that the encoding does not have becomes ``?``, and is counted.

        Raises:
            TargetError: The folder cannot be written.

        Source:
            RFC 4180. The guard is OWASP's advice on CSV injection; that numbers need none is our own rule.
        """
        left_out: Counter[str] = Counter()
        files: dict[str, bytes] = {}
        counts: list[tuple[str, int]] = []
        for table, (columns, rows) in self._tables(objects, left_out).items():
            cells = ([self._cell(row.get(column, "")) for column in columns] for row in rows)
            text = csv_text(columns, cells, self._options.delimiter)
            files[f"{table}.csv"] = self._encoded(table, text, left_out)
            counts.append((table, len(rows)))
        mode, folder_mode = (0o640, 0o750) if self._options.group else (0o600, 0o700)
        try:
            changed = switch(self._path, files, mode, folder_mode)
        except OSError as error:
            raise TargetError(
                f"{self._path}: cannot be written ({error.strerror}): check its rights and space"
            ) from error
        return Written(changed, tuple(counts), tuple(sorted(left_out.items())))

    def _tables(
        self, objects: Objects, left_out: Counter[str]
    ) -> dict[str, tuple[tuple[str, ...], list[Mapping[str, str]]]]:
        """Return columns and rows by table; of several rows with one key, the first counts."""
        tables: dict[str, tuple[tuple[str, ...], dict[str, Mapping[str, str]]]] = {}
        for mapping in self._mappings:
            _, rows = tables.setdefault(mapping.table, (mapping.columns, {}))
            made = mapping.rows(objects)
            left_out.update(refused(mapping.table, made.problems))
            for row in made.rows:
                if rows.setdefault(row[mapping.key], row) is not row:
                    left_out[f"{mapping.table}: {mapping.key} twice"] += 1
        return {name: (columns, [rows[key] for key in sorted(rows)]) for name, (columns, rows) in tables.items()}

    def _cell(self, value: str) -> str:
        return guarded(value) if self._options.guard else value

    def _encoded(self, table: str, text: str, left_out: Counter[str]) -> bytes:
        encoding = self._options.encoding
        try:
            return text.encode(encoding)
        except UnicodeEncodeError:
            body = text.encode(encoding, "replace")
            left_out[f"{table}: characters that {encoding} does not have"] += _lost(text, encoding)
            return body


def _lost(text: str, encoding: str) -> int:
    """Return how many characters an encoding does not have."""
    return sum(len(character.encode(encoding, "ignore")) == 0 for character in text if not character.isascii())


__all__ = ["CsvOutOptions", "CsvTarget"]
