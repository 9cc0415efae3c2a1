"""Writes OneRoster packages, 1.1 and 1.2, bulk and delta, folders and zips; the mappings say what fills which column.

A bulk package is in ``<path>/current/``, switched in one step (see ``sets``), or is ``<path>/current.zip``. A delta has
what is other than it was in the packages before it: these are ``<path>/delta-000001`` and so on, or such zips, and are
never changed: whoever takes them takes them away. What has been sent is remembered, as digests, in
``<path>/.sent.json``.

Two rules beyond the standard. A row whose reference is to nothing in the set is left out, and counted. A cell that
begins with one of ``= + - @`` or a tab would be run as a formula by a spreadsheet: such characters are taken off its
front (a plus before a telephone number stays), since no name, title or id of ours begins with one.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from agents.connectors.contract import TargetError, Written, refused
from agents.connectors.oneroster_files import COLUMNS, FILES, MANIFEST, REFERENCES, Version, manifest_table, zip_of
from agents.connectors.sets import csv_text, put_file, put_folder, switch
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping

_ID: Final = re.compile(r"[0-9A-Za-z./@_-]{1,255}")
_FORMULA: Final = "=+-@\t\r"
_PHONE: Final = re.compile(r"\+[0-9][0-9 ]*")
_PHONE_COLUMNS: Final = frozenset({"phone", "sms"})
_ROLES_1_2: Final = {"administrator": "siteAdministrator"}
"""Roles that 1.2 calls otherwise."""
_SENT: Final = ".sent.json"
_DELTA: Final = re.compile(r"delta-([0-9]{6,9})(?:\.zip)?")
_MAX_SENT: Final = 1 << 28
_PRIVATE: Final = 0o600

Row = dict[str, str]
Tables = dict[str, dict[str, Row]]
Sent = dict[str, dict[str, str]]
"""Digest of each row that has been sent, by table and id."""


class OneRosterOutOptions(BaseModel):
    """Options of ``connector = "oneroster"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Version = Field(default="1.1", description="1.1 or 1.2; the same mappings do for both.")
    delta: bool = Field(default=False, description="Write packages of what has changed since the one before.")
    zip: bool = Field(default=False, description="Write a zip instead of a folder.")


class OneRosterTarget:
    """A folder with OneRoster packages."""

    Options: ClassVar[type[BaseModel]] = OneRosterOutOptions

    def __init__(
        self,
        path: Path | None,
        mappings: Sequence[OutwardMapping],
        options: BaseModel,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the folder, the mappings, one or more for each table, and OneRosterOutOptions.

        Raises:
            ConfigurationError: No folder, no mapping, or a mapping whose table or columns are not OneRoster's.
        """
        self._options = options if isinstance(options, OneRosterOutOptions) else OneRosterOutOptions()
        if path is None or not mappings:
            raise ConfigurationError(
                'target: connector "oneroster" needs path = "FOLDER" and mapping = ["oneroster/..."]'
            )
        for mapping in mappings:
            _check_columns(mapping, self._options.version)
        self._path, self._mappings, self._now = path, mappings, now

    def write(self, objects: Objects) -> Written:
        """Write a package, if there is anything to tell; the counts are of all rows, or of those that a delta has.

        Raises:
            TargetError: The folder cannot be written.

        Source:
            1EdTech OneRoster 1.1 and 1.2, CSV binding: files, manifest; RFC 4180. That a delta has only id, status and
            date of a row that is gone is our own rule.
        """
        left_out: Counter[str] = Counter()
        tables = self._tables(objects, left_out)
        if self._options.version == "1.2":
            _as_1_2(tables)
        _drop_dangling(tables, left_out)
        version = self._options.version
        tables = {name: dict(sorted(tables[name].items())) for name in FILES[version] if name in tables}
        try:
            changed, counts = self._write_delta(tables) if self._options.delta else self._write_bulk(tables)
        except OSError as error:
            raise TargetError(
                f"{self._path}: cannot be written ({error.strerror}): check its rights and space"
            ) from error
        return Written(changed, counts, tuple(sorted(left_out.items())))

    def _tables(self, objects: Objects, left_out: Counter[str]) -> Tables:
        tables: Tables = {}
        for mapping in self._mappings:
            table = tables.setdefault(mapping.table, {})
            made = mapping.rows(objects)
            left_out.update(refused(mapping.table, made.problems))
            for values in made.rows:
                row = {column: _safe(column, value) for column, value in values.items()}
                if _ID.fullmatch(row.get("sourcedId", "")) is None:
                    left_out[f"{mapping.table}: sourcedId not allowed"] += 1
                elif table.setdefault(row["sourcedId"], row) is not row:
                    left_out[f"{mapping.table}: sourcedId twice"] += 1
        return tables

    def _write_bulk(self, tables: Tables) -> tuple[bool, tuple[tuple[str, int], ...]]:
        counts = tuple((name, len(rows)) for name, rows in tables.items())
        files = self._files(tables, "bulk")
        if not self._options.zip:
            return switch(self._path, files), counts
        packed, place = zip_of(files), self._path / "current.zip"
        if place.is_file() and place.read_bytes() == packed:
            return False, counts
        self._path.mkdir(parents=True, exist_ok=True)
        put_file(place, packed)
        return True, counts

    def _write_delta(self, tables: Tables) -> tuple[bool, tuple[tuple[str, int], ...]]:
        self._path.mkdir(parents=True, exist_ok=True)
        sent = self._sent()
        digests: Sent = {name: {key: _digest(row) for key, row in rows.items()} for name, rows in tables.items()}
        changes = _changes(tables, digests, sent, f"{self._now():%Y-%m-%dT%H:%M:%S.000Z}")
        if changes:
            number = 1 + max((int(found[1]) for found in map(_DELTA.fullmatch, self._names()) if found), default=0)
            number = max(number, 1 + int(sent.get("", {}).get("number", "0")))
            place, files = self._path / f"delta-{number:06}", self._files(changes, "delta")
            if self._options.zip:
                put_file(place.with_suffix(".zip"), zip_of(files))
            else:
                put_folder(place, files)
            # After the package: if this is lost, the same is sent once more, which changes nothing.
            said = {"": {"version": self._options.version, "number": str(number)}, **digests}
            put_file(self._path / _SENT, json.dumps(said, sort_keys=True).encode(), _PRIVATE)
        return bool(changes), tuple((name, len(rows)) for name, rows in changes.items())

    def _names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]

    def _sent(self) -> Sent:
        """Return what has been sent; of another version, only the number of the last package."""
        place = self._path / _SENT
        try:
            if place.stat().st_size > _MAX_SENT:
                raise TargetError(f"{place}: larger than it can be: move it away, then all is sent again")
            said = json.loads(place.read_bytes())
            about = dict(said.get("", {}))
            tables = COLUMNS[self._options.version] if about.get("version") == self._options.version else ()
            return {"": about, **{name: dict(said[name]) for name in tables if name in said}}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError):
            raise TargetError(f"{place}: damaged: move it away, then all is sent again") from None

    def _files(self, tables: Tables, mode: str) -> dict[str, bytes]:
        """Return the files of a package, with the manifest."""
        version = self._options.version
        files = {}
        for name, rows in tables.items():
            columns = COLUMNS[version][name]
            cells = ([row.get(column, "") for column in columns] for row in rows.values())
            files[f"{name}.csv"] = csv_text(columns, cells).encode()
        headings, lines = manifest_table(version, dict.fromkeys(tables, mode))
        return {**files, f"{MANIFEST}.csv": csv_text(headings, lines).encode()}


def _check_columns(mapping: OutwardMapping, version: Version) -> None:
    columns = COLUMNS[version].get(mapping.table)
    if columns is None:
        raise ConfigurationError(
            f"mapping {mapping.name}: OneRoster {version} has no table {mapping.table!r}: "
            f"use {', '.join(COLUMNS[version])}"
        )
    allowed = {*columns, *(COLUMNS["1.1"].get(mapping.table, ()))}  # those of 1.1 are turned into 1.2's
    unknown = [column for column in mapping.columns if column not in allowed]
    if unknown:
        raise ConfigurationError(
            f"mapping {mapping.name}: {mapping.table} has no column {', '.join(unknown)}: use {', '.join(columns)}"
        )


def _safe(column: str, value: str) -> str:
    text = " ".join(value.split())
    if column in _PHONE_COLUMNS and _PHONE.fullmatch(text):
        return text
    return text.lstrip(_FORMULA + " ")


def _as_1_2(tables: Tables) -> None:
    """Put what 1.1 says of users' roles and schools where 1.2 has it, unless a mapping makes the roles itself."""
    makes_roles = "roles" in tables
    roles = tables.setdefault("roles", {}) if "users" in tables else {}
    for key, user in tables.get("users", {}).items():
        orgs = [org for org in user.pop("orgSourcedIds", "").split(",") if org]
        role = user.pop("role", "")
        if orgs and not user.get("primaryOrgSourcedId"):
            user["primaryOrgSourcedId"] = orgs[0]
        for org in orgs if role and not makes_roles else ():
            own = f"{key}-{org}"
            own = own if len(own) <= 255 else hashlib.sha256(own.encode()).hexdigest()
            roles[own] = {
                "sourcedId": own,
                "userSourcedId": key,
                "roleType": "primary" if org == orgs[0] else "secondary",
                "role": _ROLES_1_2.get(role, role),
                "orgSourcedId": org,
            }


def _drop_dangling(tables: Tables, left_out: Counter[str]) -> None:
    """Take out what points at rows that are not there, until nothing does."""
    again = True
    while again:
        again = False
        for table, column, target, optional in REFERENCES:
            rows, known = tables.get(table, {}), tables.get(target, {})
            for key, row in list(rows.items()):
                if not row.get(column):
                    continue
                found = [part for part in row[column].split(",") if part in known]
                if found or optional:
                    row[column] = ",".join(found)
                else:
                    del rows[key]
                    left_out[f"{table}: {column} not received"] += 1
                    again = True


def _changes(tables: Tables, digests: Sent, sent: Sent, now: str) -> Tables:
    """Return the rows of a delta: what is new or other, and what is gone; tables without any are left out."""
    changes: Tables = {}
    for name in [*tables, *(name for name in sent if name and name not in tables)]:
        before, rows = sent.get(name, {}), tables.get(name, {})
        changed = {
            key: {**row, "status": "active", "dateLastModified": now}
            for key, row in rows.items()
            if before.get(key) != digests[name][key]
        }
        gone = {
            key: {"sourcedId": key, "status": "tobedeleted", "dateLastModified": now}
            for key in before
            if key not in rows
        }
        if changed or gone:
            changes[name] = dict(sorted({**changed, **gone}.items()))
    return changes


def _digest(row: Row) -> str:
    text = "\x1f".join(f"{column}={row[column]}" for column in sorted(row) if row[column])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


__all__ = ["OneRosterOutOptions", "OneRosterTarget"]
