"""OneRoster packages as files: which tables and columns there are, folders and zips of them, read and written whole.

What the rows mean is others' work. :func:`read_tables` and :func:`write_tables` lose nothing: what is read can be
written back cell by cell.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Literal

from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.csv import read_cells
from agents.connectors.sets import csv_text, put_file, put_folder
from agents.connectors.tables import MAX_CELL, MAX_COLUMNS
from agents.connectors.texts import find_encoding, open_text, read_lines
from agents.connectors.zips import ZIP_FAULTS, check_packing, entries, open_entry

Version = Literal["1.1", "1.2"]
Mode = Literal["absent", "bulk", "delta"]
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Columns and rows of a table, cells as they are written."""

MANIFEST: Final = "manifest"
_COMMON: Final = "sourcedId status dateLastModified "
_BOTH: Final = {
    "academicSessions": "title type startDate endDate parentSourcedId schoolYear",
    "classes": "title grades courseSourcedId classCode classType location schoolSourcedId termSourcedIds subjects "
    "subjectCodes periods",
    "courses": "schoolYearSourcedId title courseCode grades orgSourcedId subjects subjectCodes",
    "demographics": "birthDate sex americanIndianOrAlaskaNative asian blackOrAfricanAmerican "
    "nativeHawaiianOrOtherPacificIslander white demographicRaceTwoOrMoreRaces hispanicOrLatinoEthnicity "
    "countryOfBirthCode stateOfBirthAbbreviation cityOfBirth publicSchoolResidenceStatus",
    "enrollments": "classSourcedId schoolSourcedId userSourcedId role primary beginDate endDate",
    "orgs": "name type identifier parentSourcedId",
}
_ONLY: Final[Mapping[Version, Mapping[str, str]]] = {
    "1.1": {
        "users": "enabledUser orgSourcedIds role username userIds givenName familyName middleName identifier email sms "
        "phone agentSourcedIds grades password",
    },
    "1.2": {
        "roles": "userSourcedId roleType role beginDate endDate orgSourcedId userProfileSourcedId",
        "userProfiles": "userSourcedId profileType vendorId applicationId description credentialType username password",
        "users": "enabledUser username userIds givenName familyName middleName identifier email sms phone "
        "agentSourcedIds grades password userMasterIdentifier preferredGivenName preferredMiddleName "
        "preferredFamilyName primaryOrgSourcedId pronouns",
    },
}
COLUMNS: Final[Mapping[Version, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {
        version: {
            name: tuple((_COMMON + columns).split()) for name, columns in sorted({**_BOTH, **_ONLY[version]}.items())
        }
        for version in ("1.1", "1.2")
    }
)
"""Columns, in order, of the tables that can be read and written, by version."""
_GRADEBOOK: Final = ("categories", "classResources", "courseResources", "lineItems", "resources", "results")
_NEW_IN_1_2: Final = (
    "lineItemLearningObjectiveIds",
    "lineItemScoreScales",
    "resultLearningObjectiveIds",
    "resultScoreScales",
    "roles",
    "scoreScales",
    "userProfiles",
    "userResources",
)
_FILES_1_1: Final = tuple(sorted((*_BOTH, "users", *_GRADEBOOK), key=str.lower))
FILES: Final[Mapping[Version, tuple[str, ...]]] = MappingProxyType(
    {"1.1": _FILES_1_1, "1.2": tuple(sorted((*_FILES_1_1, *_NEW_IN_1_2), key=str.lower))}
)
"""All tables of a version, each named in the manifest, in its order."""
ORDER: Final = (
    "orgs",
    "academicSessions",
    "courses",
    "users",
    "roles",
    "userProfiles",
    "demographics",
    "classes",
    "enrollments",
)
"""Tables in the order in which rows need those before them."""
REFERENCES: Final = (
    ("academicSessions", "parentSourcedId", "academicSessions", True),
    ("orgs", "parentSourcedId", "orgs", True),
    ("courses", "schoolYearSourcedId", "academicSessions", True),
    ("courses", "orgSourcedId", "orgs", False),
    ("classes", "courseSourcedId", "courses", False),
    ("classes", "schoolSourcedId", "orgs", False),
    ("classes", "termSourcedIds", "academicSessions", False),
    ("users", "orgSourcedIds", "orgs", False),
    ("users", "primaryOrgSourcedId", "orgs", True),
    ("users", "agentSourcedIds", "users", True),
    ("roles", "userSourcedId", "users", False),
    ("roles", "orgSourcedId", "orgs", False),
    ("roles", "userProfileSourcedId", "userProfiles", True),
    ("userProfiles", "userSourcedId", "users", False),
    ("demographics", "sourcedId", "users", False),
    ("enrollments", "classSourcedId", "classes", False),
    ("enrollments", "schoolSourcedId", "orgs", False),
    ("enrollments", "userSourcedId", "users", False),
)
"""Table, column, the table that its ids are of, and whether a row can do without."""
METADATA: Final = "metadata."
"""What the name of a column begins with that a system adds of its own."""
_OFFICIAL: Final = {name.casefold(): name for name in (*FILES["1.2"], MANIFEST)}
_FILE_NAME: Final = re.compile(r"([A-Za-z]{1,60})\.csv", re.IGNORECASE)
_MAX_FILES: Final = 100
_KNOWN_VERSIONS: Final = {"1.0": "1.1", "1.1": "1.1", "1.2": "1.2", "1.2.1": "1.2"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself.

    Attributes:
        version: 1.0 is read as 1.1.
        modes: By table, those alone that are not absent.
        problems: What is wrong with it, and can be lived with.
    """

    version: Version
    modes: Mapping[str, Mode]
    problems: tuple[SourceProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """The files of one package, none of them read yet.

    Attributes:
        openers: How each is opened anew, by table; the manifest is one of them.
        names: What each is called, by table.
    """

    openers: Mapping[str, Callable[[], BinaryIO]] = field(repr=False)
    names: Mapping[str, str]

    def rows(self, table: str) -> Iterator[tuple[int, list[str]]]:
        """Yield number and cells of each row that is not blank, the headings first, with cells as they are written.

        Raises:
            SourceError: Not text, or no CSV.
        """
        name, opener, line = self.names[table], self.openers[table], 1
        try:
            # UTF-8 by the standard, and Windows' by some systems; a mixture is neither.
            encoding = replace(find_encoding(opener, "auto"), is_damaged=False)
            with open_text(opener, encoding) as text:
                rows = read_cells(read_lines(text, name, as_they_are=True), name)
                for number, (line, cells) in enumerate(rows, start=1):
                    if len(cells) > MAX_COLUMNS or any(len(cell) > MAX_CELL for cell in cells):
                        message = f"{name}: more cells, or longer ones, than a row has: look for a quotation mark"
                        raise SourceError(message, line)
                    if cells:
                        yield number, cells
        except ZIP_FAULTS as error:
            raise SourceError(f"{name}: damaged in the zip: send it again", line) from error

    def manifest(self) -> Manifest:
        """Return what the package says of itself.

        Raises:
            SourceError: There is no manifest that can be read, or a table that it names is not there.
        """
        said: dict[str, str] = {}
        for number, cells in self.rows(MANIFEST):
            if number > 1 and len(cells) > 1:
                said.setdefault(cells[0].strip().casefold(), cells[1].strip())
        version = _KNOWN_VERSIONS.get(said.get("oneroster.version", ""))
        if version is None:
            raise SourceError(
                f"{self.names[MANIFEST]}: oneroster.version is none of {', '.join(_KNOWN_VERSIONS)}: export one of "
                "these, with its manifest",
                1,
            )
        modes, problems = self._modes(said)
        return Manifest("1.2" if version == "1.2" else "1.1", modes, tuple(problems))

    def _modes(self, said: Mapping[str, str]) -> tuple[dict[str, Mode], list[SourceProblem]]:
        modes: dict[str, Mode] = {}
        problems: list[SourceProblem] = []
        manifest = self.names[MANIFEST]
        for key, value in said.items():
            table = _OFFICIAL.get(key.removeprefix("file.")) if key.startswith("file.") else None
            if table is None:
                continue
            mode = value.lower()
            if mode not in ("absent", "bulk", "delta"):
                raise SourceError(f"{manifest}: file.{table} is none of absent, bulk and delta: correct it", 1)
            if mode == "absent":
                continue
            if table not in self.openers:
                raise SourceError(
                    f"{manifest}: file.{table} is {mode}, and there is no {table}.csv: send the package whole", 1
                )
            modes[table] = "bulk" if mode == "bulk" else "delta"
        for table in sorted(self.openers.keys() - modes.keys() - {MANIFEST}):
            message = f"is not read, since the manifest does not say that it is there: correct file.{table}"
            problems.append(SourceProblem(self.names[table], "absent", message))
        return modes, problems


def open_package(path: Path, max_bytes: int = 1 << 30) -> Package:
    """Return the package that a zip is, or that the folder of a manifest has.

    Args:
        path: A zip; a folder; or the ``manifest.csv`` in one.
        max_bytes: Most that all files have, unpacked.

    Raises:
        SourceError: No package, or one that is too large or not safe to unpack.
    """
    if path.is_dir() or path.suffix.lower() == ".csv":
        return _folder(path if path.is_dir() else path.parent, max_bytes)
    return _zip(path, max_bytes)


def package_files(path: Path) -> tuple[Path, ...]:
    """Return the files that make up a package: the zip alone, or those of the folder, sorted."""
    if path.suffix.lower() != ".csv" and not path.is_dir():
        return (path,)
    folder = path if path.is_dir() else path.parent
    return tuple(sorted(file for file in folder.iterdir() if _table(file.name) is not None and file.is_file()))


def read_tables(path: Path, max_bytes: int = 1 << 28) -> dict[str, Table]:
    """Return all tables of a package by name, the manifest one of them, with every cell as it is written.

    Raises:
        SourceError: See :func:`open_package`; a file that is no CSV.
    """
    package = open_package(path, max_bytes)
    tables: dict[str, Table] = {}
    for table in package.openers:
        rows = package.rows(table)
        columns = next(rows, (1, []))[1]
        tables[table] = (tuple(columns), [tuple(cells) for _, cells in rows])
    return tables


def write_tables(path: Path, tables: Mapping[str, Table]) -> None:
    """Write a package with just these tables, the manifest one of them, as a zip or, by any other name, as a folder.

    Raises:
        OSError: It cannot be written, or the folder is there already.
    """
    files = {f"{name}.csv": csv_text(columns, rows).encode() for name, (columns, rows) in tables.items()}
    if path.suffix.lower() == ".zip":
        put_file(path, zip_of(files))
    else:
        put_folder(path, files)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """Return a zip of files, the same for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def manifest_table(version: Version, modes: Mapping[str, str]) -> Table:
    """Return the manifest of a package with these tables; all others of the version are absent."""
    lines = [("manifest.version", "1.0"), ("oneroster.version", version)]
    lines += [(f"file.{name}", modes.get(name, "absent")) for name in FILES[version]]
    return ("propertyName", "value"), [*lines, ("source.systemName", "sifzone")]


def _folder(folder: Path, max_bytes: int) -> Package:
    openers: dict[str, Callable[[], BinaryIO]] = {}
    names: dict[str, str] = {}
    size = 0
    for file in package_files(folder):
        table = _table(file.name) or ""
        _add(table, file.name, _opener(file), openers, names)
        size += file.stat().st_size
    return _package(openers, names, size, max_bytes)


def _opener(file: Path) -> Callable[[], BinaryIO]:
    return lambda: file.open("rb")


def _zip(path: Path, max_bytes: int) -> Package:
    try:
        found = entries(path)
    except zipfile.BadZipFile as error:
        raise SourceError("not a zip of OneRoster files, or not whole: send it again", 1) from error
    check_packing(found, _MAX_FILES)
    openers: dict[str, Callable[[], BinaryIO]] = {}
    names: dict[str, str] = {}
    for entry in found:
        _check_entry(entry)
        table = _table(entry.filename)
        if table is not None:
            _add(table, entry.filename, _entry_opener(path, entry.filename), openers, names)
    return _package(openers, names, sum(entry.file_size for entry in found), max_bytes)


def _entry_opener(path: Path, name: str) -> Callable[[], BinaryIO]:
    return lambda: open_entry(path, name)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    """Refuse what has no place in a package, before any of it is unpacked."""
    if any(mark in entry.filename for mark in ("/", "\\", "\x00")) or entry.filename.startswith("."):
        raise SourceError("files in folders within the zip: zip the CSV files themselves", 1)
    if entry.flag_bits & 1:
        raise SourceError("a file in the zip is protected with a password: send it without one", 1)


def _add(
    table: str,
    name: str,
    opener: Callable[[], BinaryIO],
    openers: dict[str, Callable[[], BinaryIO]],
    names: dict[str, str],
) -> None:
    if table in openers:
        raise SourceError(f"{table}.csv is there twice: send one of it", 1)
    openers[table], names[table] = opener, name


def _package(
    openers: Mapping[str, Callable[[], BinaryIO]], names: Mapping[str, str], size: int, max_bytes: int
) -> Package:
    if MANIFEST not in openers:
        raise SourceError("there is no manifest.csv: export a OneRoster package, and keep its files together", 1)
    if size > max_bytes:
        raise SourceError(f"the files have more than {max_bytes:,} bytes: set max_bytes if this is right", 1)
    return Package(openers, names)


def _table(name: str) -> str | None:
    """Return which table a file is by its name; None when it is none."""
    found = _FILE_NAME.fullmatch(name)
    return None if found is None else _OFFICIAL.get(found[1].casefold())


__all__ = [
    # what there is
    "Version",
    "Mode",
    "COLUMNS",
    "FILES",
    "MANIFEST",
    "METADATA",
    "ORDER",
    "REFERENCES",
    # packages
    "Package",
    "Manifest",
    "open_package",
    "package_files",
    # whole tables
    "Table",
    "read_tables",
    "write_tables",
    "manifest_table",
    "zip_of",
]
