"""Reads SSDA903 returns, all files of one together: a record for each period of care; the mapping says the rest."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.ssda903.codes import collection_year
from agents.connectors.ssda903.csv_files import Folder
from agents.connectors.ssda903.learners import Locate, nobody
from agents.connectors.ssda903.records import Frame, records_of
from agents.connectors.ssda903.rows import Child, Report, TableCount
from agents.connectors.ssda903.tables import parse_day
from agents.connectors.ssda903.xml_file import XmlReturn

_XML: Final = (b"<", b"\xef\xbb\xbf<")
_EPISODES: Final = frozenset({"Episodes"})


def _day(value: object) -> object:
    """Read a date as returns have it, too."""
    return parse_day(value) or value if isinstance(value, str) else value


Authority = Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")]
Area = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,2}[0-9][0-9A-Z]?( [0-9]([A-Z]{2})?)?$")]


class Ssda903Options(BaseModel):
    """Options of ``connector = "ssda903"``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authority: Authority = Field(description="Number of the authority whose return it is, for example 820.")
    authority_ref_id: Annotated[str, StringConstraints(pattern=r"^([0-9A-F]{32})?$")] = Field(
        default="", description="RefId that the authority's LAInfo has in the zone."
    )
    as_at: Annotated[date | None, BeforeValidator(_day)] = Field(
        default=None, description="Day that the return tells of; that of its newest file when left out."
    )
    year: Annotated[int, Field(ge=1992, le=2100)] | None = Field(
        default=None, description="Collection year, 2026 for 2025-26; that of as_at when left out."
    )
    source_system: str = Field(default="SSDA903", min_length=1, description="What SourceSystem says.")
    areas: dict[Area, Authority] = Field(
        default_factory=dict, description='Authorities by the beginning of postcodes: { QZ5 = "820", "QZ6 1" = "821" }.'
    )
    earlier: tuple[str, ...] = Field(
        default=(),
        description="Earlier returns, newest first, folders or XML files, relative to the folder of this one: what "
        "began before it is looked for there.",
    )
    max_bytes: Annotated[int, Field(ge=1)] = Field(
        default=1 << 26, description="Largest return that is read, in bytes."
    )
    max_rows: Annotated[int, Field(ge=1)] = Field(default=100_000, description="Most rows of one return.")


class Ssda903Source:
    """Periods of care as records, from CSV files or the XML form.

    All CSV files of a folder are one return. It is read whole when any of them is new or has changed, and once only,
    whichever of its files the agent comes by next.
    """

    Options: ClassVar[type[BaseModel]] = Ssda903Options

    def __init__(self, options: Ssda903Options, locate: Locate = nobody) -> None:
        """Take options, and who is asked for the RefId of a learner.

        Args:
            options: The options.
            locate: Says who a child is in the zone. Until somebody does, records have no LearnerPersonalRefId.
        """
        self._options, self._locate = options, locate
        self._done: dict[Path, tuple[str, Path]] = {}
        self._report = Report(options.max_rows)

    def locate_with(self, locate: Locate) -> None:
        """Take who is asked for the RefId of a learner; see above."""
        self._locate = locate

    @property
    def counts(self) -> tuple[TableCount, ...]:
        """What became of the rows of the return that was read last."""
        return self._report.counts()

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each period of care, child by child, and what is wrong.

        Raises:
            SourceError: The file is no part of a return, or the return is not whole.
        """
        report = self._report = Report(self._options.max_rows)
        with path.open("rb") as file:
            is_xml = file.read(4096).lstrip().startswith(_XML)
        if is_xml:
            whole = XmlReturn(path, self._options.max_bytes)
            frame = self._frame(whole.newest)
            yield from self._records(path, whole.children(report), frame)
            return
        folder = Folder(path, self._options.max_bytes)
        digest, other = self._done.get(path.parent, ("", path))
        if digest == folder.digest and other != path:
            message = f"this return has been read already, with {other.name}: its records and problems are there"
            yield SourceProblem(path.name, "read-already", message, incomplete=True)
            return
        frame = self._frame(folder.newest)
        yield from self._records(path, folder.children(report, frame.year), frame)
        self._done[path.parent] = folder.digest, path

    def _frame(self, written: float) -> Frame:
        options = self._options
        as_at = options.as_at or datetime.fromtimestamp(written, UTC).astimezone().date()
        return Frame(
            options.authority,
            options.authority_ref_id,
            as_at,
            options.year or collection_year(as_at),
            options.source_system,
            options.areas,
            self._locate,
        )

    def _records(self, path: Path, children: Iterator[Child], frame: Frame) -> Iterator[Item]:
        report = self._report
        earlier = self._earlier(path)
        nameless = made = 0
        for child in children:
            _go_back(child, [returned.pop(child.id, None) for returned in earlier], report)
            records = records_of(child, frame, report)
            yield from report.take()
            yield from records
            made += bool(records)
            nameless += bool(records) and "LearnerPersonalRefId" not in records[0].fields
        for returned in earlier:
            for left in returned.values():
                for row in left.of("Episodes"):
                    report.repeated(row)
        yield from report.take()
        yield from self._summary(path, made, nameless)

    def _summary(self, path: Path, made: int, nameless: int) -> Iterator[SourceProblem]:
        """Yield what is to be said of the return as a whole."""
        if nameless:
            message = (
                f"of {made:,} children, {nameless:,} are not yet known by the RefId that the zone has for the learner: "
                "their records have none, and become no object until they do"
            )
            yield SourceProblem(path.name, "not-located", message)
        if made and not self._options.authority_ref_id:
            message = (
                "authority_ref_id is not set: objects name the authority by a RefId of this agent's own; set it to "
                "that of LAInfo"
            )
            yield SourceProblem(path.name, "authority", message)
        for count in self.counts:
            if count.reported:
                message = f"{count.table}: {count.rows:,} rows, {count.used:,} used, {count.reported:,} reported"
                also = f", {count.repeated:,} said again later" if count.repeated else ""
                yield SourceProblem(count.file, "rows", message + also)

    def _earlier(self, path: Path) -> list[dict[str, Child]]:
        """Return the children of earlier returns, with their episodes, newest return first."""
        found: list[dict[str, Child]] = []
        for name in self._options.earlier:
            place = path.parent / name
            try:
                found.append(self._episodes(place))
            except SourceError as error:
                raise SourceError(f"earlier return {name}: {error.reason}", error.line) from error
            except OSError as error:
                raise SourceError(
                    f"earlier return {name}: cannot be read ({error.strerror}): correct earlier"
                ) from error
        return found

    def _episodes(self, place: Path) -> dict[str, Child]:
        # the names of its files have its own before them, since they may be the same as those of this one
        report, limit = self._report, self._options.max_bytes
        if place.is_dir():
            children = Folder(place, limit, _EPISODES, f"{place.name}/").children(report, 0)
        else:
            children = XmlReturn(place, limit, f"{place.parent.name}/").children(report)
        found: dict[str, Child] = {}
        for child in children:
            found[child.id] = Child(child.id, {"Episodes": child.of("Episodes")})
            for name, rows in child.rows.items():
                for row in rows if name != "Episodes" else ():
                    report.repeated(row)
        return found


def _go_back(child: Child, earlier: list[Child | None], report: Report) -> None:
    """Add the episodes of earlier returns that began before all that later ones have of the child."""
    rows = child.rows.get("Episodes", [])
    for past in earlier:
        first = min((day for row in rows if (day := parse_day(row.get("DECOM"))) is not None), default=None)
        for row in past.of("Episodes") if past is not None else ():
            day = parse_day(row.get("DECOM"))
            if day is None:
                report.refuse(row, "date", "DECOM is not a date of the form dd/mm/yyyy: correct it")
            elif first is None or day >= first:
                report.repeated(row)
            else:
                rows.append(row)


__all__ = ["Ssda903Options", "Ssda903Source"]
