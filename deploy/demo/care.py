"""Writes what the authority knows of children in care: social care's return (SSDA903) and the plan tool's export.

The return agrees with the schools' flags, except for one child of whom the school has not been told yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from deploy.demo.authority import AUTHORITY, ordinary
from deploy.demo.csv_reports import Row, csv_file
from deploy.demo.identifiers import SCHOOL_YEAR, TERM_STARTS, TODAY
from deploy.demo.people import Pupil, School

UNTOLD: Final = ("8209901", 55)
"""School, and place among its pupils who are in nobody's care, of the child whose school has not been told yet."""
_UNTOLD_SINCE: Final = date(2026, 11, 9)
_RECENTLY: Final = date(2026, 10, 1)
_FIRST_CHILD: Final = 820001
_DAYS_BETWEEN: Final = 67
_MOVED_EVERY: Final = 4
_PLACEMENTS: Final = ("U4", "U6", "U1", "K2", "U6")
_TERM_ENDS: Final = date(SCHOOL_YEAR, 12, 18)


@dataclass(frozen=True, slots=True)
class Child:
    """A child in the authority's care.

    Attributes:
        number: Social care's own.
        since: First day of the period of care; ``moved`` the day of another placement, None for the same all the time.
    """

    number: int
    pupil: Pupil
    since: date
    moved: date | None
    placement: str


def children(schools: Iterable[School]) -> tuple[Child, ...]:
    """Return the children whom the authority looks after, as social care knows them, in the order of its numbers."""
    pupils: list[tuple[Pupil, date | None]] = []
    for school in schools:
        pupils += [(pupil, None) for pupil in school.pupils if pupil.care_authority == AUTHORITY]
        if school.establishment == UNTOLD[0]:
            pupils.append((ordinary(school)[UNTOLD[1]], _UNTOLD_SINCE))
    return tuple(_child(place, pupil, since) for place, (pupil, since) in enumerate(pupils))


def care_files(known: Sequence[Child]) -> Mapping[str, bytes]:
    """Return the files that social care and the plan tool write, by their path in the zone's folder."""
    tables: Mapping[str, list[Row]] = {
        "social-care/authority.csv": [
            {"Authority": AUTHORITY, "Name": "Quarrington", "Full Name": "Quarrington Council (made up)"}
        ],
        "social-care/return/header.csv": list(map(_header, known)),
        "social-care/return/episodes.csv": [row for child in known for row in _episodes(child)],
        "plans/plans.csv": list(map(_plan, known)),
    }
    return {path: csv_file(rows, quoted=False) for path, rows in tables.items()}


def _child(place: int, pupil: Pupil, since: date | None) -> Child:
    began = since or _RECENTLY - timedelta(days=_DAYS_BETWEEN * (place % 11))
    moved = began + timedelta(days=_DAYS_BETWEEN // 2) if since is None and place % _MOVED_EVERY == 1 else None
    return Child(_FIRST_CHILD + place, pupil, began, moved, _PLACEMENTS[place % len(_PLACEMENTS)])


def _header(child: Child) -> Row:
    pupil = child.pupil
    return {
        "CHILD": str(child.number),
        "SEX": pupil.sex,
        "DOB": _date(pupil.birth),
        "ETHNIC": "NOBT",
        "UPN": pupil.upn,
        "MOTHER": "",
        "MC_DOB": "",
    }


def _episodes(child: Child) -> Iterator[Row]:
    """Yield one episode for each placement; where the child lives is nobody's business here."""
    if child.moved is None:
        yield _episode(child, child.since, "S", child.placement)
        return
    yield _episode(child, child.since, "S", "U3") | {
        "DEC": _date(child.moved),
        "REC": "X1",
        "REASON_PLACE_CHANGE": "CARPL",
    }
    yield _episode(child, child.moved, "P", child.placement)


def _episode(child: Child, starts: date, reason: str, placement: str) -> Row:
    return {
        "CHILD": str(child.number),
        "DECOM": _date(starts),
        "RNE": reason,
        "LS": "C2",
        "CIN": "N1",
        "PLACE": placement,
        "PLACE_PROVIDER": "PR1",
        "DEC": "",
        "REC": "",
        "REASON_PLACE_CHANGE": "",
        "HOME_POST": "",
        "PL_POST": "",
        "URN": "",
    }


def _plan(child: Child) -> Row:
    """Return the newest plan: the first one of who came into care this term, else this term's review."""
    new = child.since > TERM_STARTS
    met = None if new else TODAY - timedelta(weeks=1 + child.number % 6)
    return {
        "UPN": child.pupil.upn,
        "Plan ID": f"{child.number}-{1 if new else 2}",
        "Plan Type": "Initial" if new else "Termly review",
        "Academic Year": f"{SCHOOL_YEAR}/{SCHOOL_YEAR + 1}",
        "Term": "Autumn",
        "Trigger Date": _date(child.since if new else TERM_STARTS),
        "Due Date": _date(None if new else _TERM_ENDS),
        "Meeting Date": _date(met),
        "Completed Date": _date(met),
        "Status": "In progress" if new else "Completed",
        "Quality Rating": "" if new else "RAG"[child.number % 3],
        "Child View Recorded": "N" if new else "Y",
    }


def _date(day: date | None) -> str:
    return day.strftime("%d/%m/%Y") if day else ""
