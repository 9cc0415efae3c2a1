"""Records in a file of their own form, for sources whose own files nobody here can write: what a connector would yield.

A line of JSON for each record: position, fields, groups.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from agents.connectors.contract import Item, NoOptions, SourceError
from mappings import Record


class RecordFile:
    """Reads what :func:`write_records` wrote."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def read(self, path: Path) -> Iterator[Item]:
        """Yield the file's records.

        Raises:
            SourceError: A line is none of ours.
        """
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield _record(json.loads(line), None)
                except (ValueError, TypeError, KeyError) as error:
                    raise SourceError("not a record: write the file again", number) from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records to a file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(_plain(record)) + "\n" for record in records)


def _plain(record: Record) -> dict[str, Any]:
    groups = {name: [_plain(member) for member in members] for name, members in record.groups.items()}
    return {"position": record.position, "fields": dict(record.fields), "groups": groups}


def _record(given: Mapping[str, Any], parent: Record | None) -> Record:
    groups: dict[str, tuple[Record, ...]] = {}
    made = Record(str(given["position"]), given["fields"], groups, parent)
    groups.update({name: tuple(_record(each, made) for each in members) for name, members in given["groups"].items()})
    return made


__all__ = ["RecordFile", "write_records"]
