"""Writes made-up records as files that a source's own connector reads; others are given the records directly."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agents.certify.corpus import Case, Corpus
from agents.stand_in import write_records
from mappings import Record

_CSV: Final = "csv"
UNMAPPED: Final = "Certify Unmapped"
"""A column that no mapping reads."""


class Writer:
    """Writes the files of one source.

    Attributes:
        own: The files are the connector's own; else they are records, and its reading is not tried with them.
    """

    def __init__(self, connector: str, options: Mapping[str, Any], corpus: Corpus) -> None:
        self.own = connector == _CSV and corpus.is_flat
        self._options = options
        fixed = dict(options.get("constants", {}))
        named = tuple(options.get("columns", ()))
        self.columns = named or tuple(name for name in (*corpus.fields, UNMAPPED) if name not in fixed)
        encoding = str(options.get("encoding", "auto"))
        self._encoding = "utf-8" if encoding == "auto" else encoding
        delimiter = str(options.get("delimiter", "auto"))
        self._delimiter = "," if delimiter == "auto" else delimiter
        self._quoted = bool(options.get("quoted", True))
        self._never = "\x00" if self._quoted else f"\x00\r\n{self._delimiter}"

    @property
    def suffix(self) -> str:
        """How the files' names end."""
        return ".csv" if self.own else ".records"

    def takes(self, case: Case) -> bool:
        """Tell whether a case can be written: some encodings do not have all letters, some files no line ends."""
        if not self.own:
            return True
        text = "".join(case.record.fields.values())
        try:
            text.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return not any(character in text for character in self._never)

    def write(self, path: Path, records: Sequence[Record], unmapped: str = "") -> None:
        """Write records to a file, which only its owner can read; *unmapped* goes into a column that nobody reads."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.own:
            path.write_bytes(self._table(records, unmapped).encode(self._encoding, "replace"))
            return
        write_records(path, [_with(record, unmapped) for record in records])

    def _table(self, records: Iterable[Record], unmapped: str) -> str:
        text = io.StringIO(newline="")
        if self._quoted:
            rows = csv.writer(text, delimiter=self._delimiter, quoting=csv.QUOTE_ALL)
        else:
            rows = csv.writer(text, delimiter=self._delimiter, quoting=csv.QUOTE_NONE, quotechar=None)
        for number in range(1, int(self._options.get("headings_row") or 1)):
            rows.writerow([f"Title {number}"])
        if not self._options.get("columns"):
            rows.writerow(self.columns)
        for record in records:
            cells = {**record.fields, UNMAPPED: unmapped}
            rows.writerow([cells.get(name, "") for name in self.columns])
        return text.getvalue()


def _with(record: Record, unmapped: str) -> Record:
    if not unmapped:
        return record
    return Record(record.position, {**record.fields, UNMAPPED: unmapped}, record.groups)


__all__ = ["UNMAPPED", "Writer"]
