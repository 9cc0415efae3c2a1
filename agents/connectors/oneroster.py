"""Writes OneRoster 1.1 CSV bulk files; which object fills which column is the mappings'.

The set is in ``<path>/current/``, a symbolic link to a folder that is written whole before the link is switched in one
step: a reader that resolves ``current`` once never sees half of a set. The folder before that is kept until the next
switch, for a reader that is still in it. Nothing is written when nothing has changed.

Two rules beyond the standard. A row whose reference is to nothing in the set is left out, and counted. A cell that
begins with one of ``= + - @`` or a tab would be run as a formula by a spreadsheet: such characters are taken off its
front (a plus before a telephone number stays), since no name, title or id of ours begins with one.
"""

import csv
import hashlib
import io
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel

from agents.connectors.contract import NoOptions, TargetError, Written
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping

_COMMON: Final = "sourcedId status dateLastModified "
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple((_COMMON + columns).split())
    for name, columns in {
        "academicSessions": "title type startDate endDate parentSourcedId schoolYear",
        "classes": "title grades courseSourcedId classCode classType location schoolSourcedId termSourcedIds subjects "
        "subjectCodes periods",
        "courses": "schoolYearSourcedId title courseCode grades orgSourcedId subjects subjectCodes",
        "enrollments": "classSourcedId schoolSourcedId userSourcedId role primary beginDate endDate",
        "orgs": "name type identifier parentSourcedId",
        "users": "enabledUser orgSourcedIds role username userIds givenName familyName middleName identifier email sms "
        "phone agentSourcedIds grades password",
    }.items()
}
"""Columns of OneRoster 1.1, in order, of the tables that can be written."""
FILES: Final = (
    "academicSessions",
    "categories",
    "classes",
    "classResources",
    "courses",
    "courseResources",
    "demographics",
    "enrollments",
    "lineItems",
    "orgs",
    "resources",
    "results",
    "users",
)
"""All files of OneRoster 1.1, each named in the manifest."""

# table, column, table it points at, whether the row can do without
_REFERENCES: Final = (
    ("academicSessions", "parentSourcedId", "academicSessions", True),
    ("orgs", "parentSourcedId", "orgs", True),
    ("courses", "schoolYearSourcedId", "academicSessions", True),
    ("courses", "orgSourcedId", "orgs", False),
    ("classes", "courseSourcedId", "courses", False),
    ("classes", "schoolSourcedId", "orgs", False),
    ("classes", "termSourcedIds", "academicSessions", False),
    ("users", "orgSourcedIds", "orgs", False),
    ("users", "agentSourcedIds", "users", True),
    ("enrollments", "classSourcedId", "classes", False),
    ("enrollments", "schoolSourcedId", "orgs", False),
    ("enrollments", "userSourcedId", "users", False),
)
_ID: Final = re.compile(r"[0-9A-Za-z./@_-]{1,255}")
_FORMULA: Final = "=+-@\t\r"
_PHONE: Final = re.compile(r"\+[0-9][0-9 ]*")
_PHONE_COLUMNS: Final = frozenset({"phone", "sms"})

Row = dict[str, str]


class OneRosterTarget:
    """A folder with a OneRoster 1.1 bulk set."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Take the folder and the mappings, one or more for each table.

        Raises:
            ConfigurationError: No folder, no mapping, or a mapping whose table or columns are not OneRoster's.
        """
        del options
        if path is None or not mappings:
            raise ConfigurationError(
                'target: connector "oneroster" needs path = "FOLDER" and mapping = ["oneroster/..."]'
            )
        for mapping in mappings:
            _check_columns(mapping)
        self._path, self._mappings = path, mappings

    def write(self, objects: Objects) -> Written:
        """Write the set, if it differs from the one that is there.

        Raises:
            TargetError: The folder cannot be written.

        Source:
            1EdTech OneRoster 1.1 CSV binding: bulk files, manifest; RFC 4180.
        """
        left_out: Counter[str] = Counter()
        tables = self._tables(objects, left_out)
        _drop_dangling(tables, left_out)
        files = {f"{name}.csv": _csv(COLUMNS[name], rows.values()) for name, rows in tables.items()}
        files["manifest.csv"] = _manifest(tables)
        counts = tuple((name, len(rows)) for name, rows in tables.items())
        try:
            changed = _switch(self._path, files)
        except OSError as error:
            raise TargetError(
                f"{self._path}: cannot be written ({error.strerror}): check its rights and space"
            ) from error
        return Written(changed, counts, tuple(sorted(left_out.items())))

    def _tables(self, objects: Objects, left_out: Counter[str]) -> dict[str, dict[str, Row]]:
        tables: dict[str, dict[str, Row]] = {}
        for mapping in self._mappings:
            table = tables.setdefault(mapping.table, {})
            made = mapping.rows(objects)
            for problem in made.problems:
                if problem.severity == "refuse":
                    left_out[f"{mapping.table}: {problem.rule} {problem.target}"] += 1
            for values in made.rows:
                row = {column: _safe(column, values.get(column, "")) for column in COLUMNS[mapping.table]}
                if _ID.fullmatch(row["sourcedId"]) is None:
                    left_out[f"{mapping.table}: sourcedId not allowed"] += 1
                elif table.setdefault(row["sourcedId"], row) is not row:
                    left_out[f"{mapping.table}: sourcedId twice"] += 1
        return {name: dict(sorted(tables[name].items())) for name in FILES if name in tables}


def _check_columns(mapping: OutwardMapping) -> None:
    columns = COLUMNS.get(mapping.table)
    if columns is None:
        raise ConfigurationError(
            f"mapping {mapping.name}: OneRoster has no table {mapping.table!r}: use {', '.join(COLUMNS)}"
        )
    unknown = [column for column in mapping.columns if column not in columns]
    if unknown:
        raise ConfigurationError(
            f"mapping {mapping.name}: {mapping.table} has no column {', '.join(unknown)}: use {', '.join(columns)}"
        )


def _safe(column: str, value: str) -> str:
    text = " ".join(value.split())
    if column in _PHONE_COLUMNS and _PHONE.fullmatch(text):
        return text
    return text.lstrip(_FORMULA + " ")


def _drop_dangling(tables: dict[str, dict[str, Row]], left_out: Counter[str]) -> None:
    """Take out what points at rows that are not there, until nothing does."""
    again = True
    while again:
        again = False
        for table, column, target, optional in _REFERENCES:
            rows, known = tables.get(table, {}), tables.get(target, {})
            for key, row in list(rows.items()):
                if not row[column]:
                    continue
                found = [part for part in row[column].split(",") if part in known]
                if found or optional:
                    row[column] = ",".join(found)
                else:
                    del rows[key]
                    left_out[f"{table}: {column} not received"] += 1
                    again = True


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _manifest(tables: Mapping[str, object]) -> bytes:
    lines = [("propertyName", "value"), ("manifest.version", "1.0"), ("oneroster.version", "1.1")]
    lines += [(f"file.{name}", "bulk" if name in tables else "absent") for name in FILES]
    lines += [("source.systemName", "sifzone")]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()


def _switch(path: Path, files: Mapping[str, bytes]) -> bool:
    """Write the set to a folder of its own and point ``current`` at it; False when ``current`` is this set already."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode() + files[name])
    name = f"set-{digest.hexdigest()[:16]}"
    current = path / "current"
    path.mkdir(parents=True, exist_ok=True)
    before = current.readlink().name if current.is_symlink() else ""
    if before == name and _is_whole(path / name, files):
        return False
    folder = path / f".{name}-{secrets.token_hex(4)}"
    folder.mkdir()
    for file, content in files.items():
        with (folder / file).open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    _sync(folder)
    shutil.rmtree(path / name, ignore_errors=True)
    folder.rename(path / name)
    link = path / f".current-{secrets.token_hex(4)}"
    link.symlink_to(name)
    link.replace(current)
    _sync(path)
    for old in path.glob("*set-*"):
        if old.name not in (name, before):
            shutil.rmtree(old, ignore_errors=True)
    return True


def _is_whole(folder: Path, files: Mapping[str, bytes]) -> bool:
    return all((folder / name).is_file() and (folder / name).read_bytes() == files[name] for name in files)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["COLUMNS", "FILES", "OneRosterTarget"]
