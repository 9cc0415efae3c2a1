"""The files of an SSDA903 return: which columns each has, what is in them, and how a file is known by its columns."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from agents.connectors.ssda903.codes import ACCOMMODATION_LIST

_DAY: Final = re.compile(r"(\d{2})/(\d{2})/(\d{4})", re.ASCII)
_ISO: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_MIDNIGHT: Final = re.compile(r"[T ]00:00(:00(\.0+)?)?")
_PART_DAY: Final = re.compile(r"ZZ/(?:ZZ/ZZZZ|(?:ZZ|(0[1-9]|1[0-2]))/(\d{4}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        kind: ``part-day`` is a date of which day, month and year may be unknown (``zz``).
        must: ``value``: a row without a right value is of no use. ``cell``: it may be empty, but a row that is too
            short to have it, or has what cannot be read in it, is of no use. A file is known by both.
        codes: The list that its codes are in.
    """

    name: str
    kind: Literal["text", "day", "part-day", "code"] = "text"
    must: Literal["value", "cell", ""] = ""
    codes: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One file of the return, by the name that the DfE gives it.

    Attributes:
        since: First collection year that it belongs to; 0 when that is long ago.
        dated: The column that says when, for what belongs to one period of care; empty for what belongs to the child.
    """

    name: str
    columns: tuple[Column, ...]
    since: int = 0
    dated: str = ""

    @property
    def marks(self) -> frozenset[str]:
        """The columns by which a file is known."""
        return frozenset(column.name for column in self.columns if column.must)

    @property
    def names(self) -> frozenset[str]:
        """All columns."""
        return frozenset(column.name for column in self.columns)


CHILD: Final = Column("CHILD", must="value")
_DOB: Final = Column("DOB", "day")


def _flags(names: str) -> tuple[Column, ...]:
    return tuple(Column(name, "code", codes="CLAFlag") for name in names.split())


ADOPTION: Final = (
    Column("DATE_MATCH", "day", "cell"),
    *_flags("FOSTER_CARE"),
    Column("NB_ADOPTR", "code", codes="CLAAdopters"),
    Column("SEX_ADOPTR", "code", codes="CLAAdopterSex"),
    Column("LS_ADOPTR", "code", codes="CLAAdopterLegalStatus"),
)
LEAVER: Final = (
    Column("IN_TOUCH", "code", "cell", codes="CLAInTouch"),
    Column("ACTIV", "code", "cell", codes="CLAActivity"),
    Column("ACCOM", "code", "cell", codes=ACCOMMODATION_LIST),
)
TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table(
            "Header",
            (
                CHILD,
                Column("SEX", "code", codes="CLASex"),
                Column("DOB", "day", "cell"),
                Column("ETHNIC", "code", codes="CLAEthnicity"),
                Column("UPN", must="cell"),
                Column("MOTHER", "code", codes="CLAFlag"),
                Column("MC_DOB", "day"),
                Column("ULN"),  # not of the return; some case systems add it
            ),
        ),
        Table(
            "Episodes",
            (
                CHILD,
                Column("DECOM", "day", "value"),
                Column("RNE", "code", "value", "CLANewEpisode"),
                Column("LS", "code", "value", "CLALegalStatus"),
                Column("CIN", "code", codes="CLACategoryOfNeed"),
                Column("PLACE", "code", "cell", "CLAPlacement"),
                Column("PLACE_PROVIDER", "code", codes="CLAPlacementProvider"),
                Column("DEC", "day", "cell"),
                Column("REC", "code", "cell", "CLAEpisodeCeased"),
                Column("REASON_PLACE_CHANGE", "code", codes="CLAPlaceChange"),
                Column("HOME_POST"),
                Column("PL_POST"),
                Column("URN"),
            ),
            dated="DECOM",
        ),
        Table("UASC", (CHILD, Column("SEX", "code", codes="CLASex"), _DOB, Column("DUC", "day", "cell"))),
        Table(
            "Reviews",
            (CHILD, _DOB, Column("REVIEW", "day", "value"), Column("REVIEW_CODE", "code", "cell", "CLAReview")),
            dated="REVIEW",
        ),
        Table(
            "Missing",
            (
                CHILD,
                _DOB,
                Column("MISSING", "code", "cell", "CLAMissing"),
                Column("MIS_START", "day", "value"),
                Column("MIS_END", "day", "cell"),
            ),
            dated="MIS_START",
        ),
        Table(
            "OC2",
            (
                CHILD,
                _DOB,
                Column("SDQ_SCORE", must="cell"),
                Column("SDQ_REASON", "code", "cell", codes="CLASDQReason"),
                *_flags(
                    "CONVICTED HEALTH_CHECK IMMUNISATIONS TEETH_CHECK HEALTH_ASSESSMENT SUBSTANCE_MISUSE "
                    "INTERVENTION_RECEIVED INTERVENTION_OFFERED"
                ),
            ),
        ),
        Table("OC3", (CHILD, _DOB, *LEAVER)),
        Table("AD1", (CHILD, _DOB, Column("DATE_INT", "day", "cell"), *ADOPTION)),
        Table(
            "PlacedAdoption",
            (
                CHILD,
                _DOB,
                Column("DATE_PLACED", "day", "cell"),
                Column("DATE_PLACED_CEASED", "day", "cell"),
                Column("REASON_PLACED_CEASED", "code", codes="CLAAdoptionReversed"),
            ),
            dated="DATE_PLACED",
        ),
        Table(
            "PrevPerm",
            (
                CHILD,
                _DOB,
                Column("PREV_PERM", "code", "cell", "CLAPreviousPermanence"),
                Column("LA_PERM"),
                Column("DATE_PERM", "part-day"),
            ),
        ),
        Table(
            "SWEpisodes",
            (
                CHILD,
                _DOB,
                Column("SW_ID", must="cell"),
                Column("SW_DECOM", "day", "value"),
                Column("SW_DEC", "day", "cell"),
                Column("SW_REASON", "code", codes="CLASocialWorkerChange"),
            ),
            since=2024,
            dated="SW_DECOM",
        ),
        Table(
            "DoLo",
            (CHILD, _DOB, Column("DOLO_START", "day", "value"), Column("DOLO_END", "day", "cell")),
            since=2027,
            dated="DOLO_START",
        ),
    )
}
"""All files, in the order in which they are spoken of.

Source:
    SSDA903, 2017-18 to 2026-27; a file is known by the set of its columns, never by its name or their order.
"""


def recognise(headings: Collection[str]) -> tuple[Table, ...]:
    """Return the tables whose columns are among *headings*: one for a file of the return, else none or several."""
    have = set(headings)
    return tuple(table for table in TABLES.values() if table.marks <= have)


def parse_day(text: str) -> date | None:
    """Return a date written dd/mm/yyyy or yyyy-mm-dd; None when it is none."""
    text = _MIDNIGHT.sub("", text)
    found = _DAY.fullmatch(text)
    day, month, year = found.groups() if found else ("", "", "")
    if found is None:
        iso = _ISO.fullmatch(text)
        if iso is None:
            return None
        year, month, day = iso.groups()
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def parse_part_day(text: str) -> str | None:
    """Return the known part of a date such as ``ZZ/05/2019``: ``2019-05``; empty when nothing is, None when wrong."""
    day = parse_day(text)
    if day is not None:
        return day.isoformat()
    found = _PART_DAY.fullmatch(text)
    return None if found is None else "-".join(part for part in (found[2], found[1]) if part)
