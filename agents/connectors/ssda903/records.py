"""One child of a return as records, one for each period of care; where rows come from and go to is others' work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from agents.connectors.contract import SourceProblem
from agents.connectors.ssda903.learners import Claim, Locate, says_none, usable_uln, usable_upn
from agents.connectors.ssda903.periods import Episode, Period, Placement, derive
from agents.connectors.ssda903.rows import Child, Report, Row, clean, day_of
from agents.connectors.ssda903.tables import TABLES, parse_day
from mappings import Record

_SEXES: Final = {"1": "M", "2": "F"}
_SIDE_TABLES: Final = tuple(name for name in TABLES if name not in ("Header", "Episodes"))


@dataclass(frozen=True, slots=True)
class Frame:
    """What holds for the whole return.

    Attributes:
        authority: Number of the authority whose return it is, and is responsible: no row says it.
        authority_ref_id: RefId of its LAInfo in the zone; empty when not given.
        as_at: The day of which the return tells.
        year: Collection year, whose code lists hold.
        areas: Number of an area's authority by the beginning of its postcodes, as :func:`area_of` reads it.
    """

    authority: str
    authority_ref_id: str
    as_at: date
    year: int
    system: str
    areas: Mapping[str, str]
    locate: Locate


def records_of(child: Child, frame: Frame, report: Report) -> list[Record]:
    """Return a record for each period of care; every row of the child is counted as used, or reported."""
    header = _header(child, frame, report)
    if header is None:
        _nothing_made(child, report)
        return []
    row, values = header
    born = day_of(values, "DOB")
    read: list[Episode] = []
    spoilt: list[date | None] = []
    for episode_row in child.rows.get("Episodes", ()):
        episode = None if episode_row.reported else _episode(episode_row, frame, report)
        if episode is None:
            spoilt.append(parse_day(episode_row.get("DECOM")))
        else:
            read.append(episode)
    periods = derive(read, frame.as_at, born, spoilt, report)
    if not periods:
        _nothing_made(child, report)
        return []
    who = _who(child, row, values, frame, report)
    sides = _sides(child, periods, values.get("DOB", ""), frame, report)
    report.used([row, *child.rows.get("Episodes", ())])
    return [_record(who, period, sides[number], child, frame, report) for number, period in enumerate(periods)]


def area_of(postcode: str, areas: Mapping[str, str]) -> str:
    """Return the authority in whose area a postcode is, by the longest beginning that is known; empty when none is.

    ``QZ5`` is a whole outward code (not QZ51), ``QZ5 1`` a sector, ``QZ5 1AB`` one postcode.
    """
    packed = "".join(postcode.split()).upper()
    outward, inward = packed[:-3], packed[-3:]
    for length in range(3, -1, -1):
        found = areas.get(f"{outward} {inward[:length]}".strip())
        if found:
            return found
    return ""


def _header(child: Child, frame: Frame, report: Report) -> tuple[Row, dict[str, str]] | None:
    """Return the one header of a child; of several that differ, none tells who the child is."""
    rows = child.of("Header")
    for twin in rows[1:]:
        report.refuse(twin, "child-twice", "the child is in the Header twice: remove one of the rows")
    if any(twin.cells != rows[0].cells for twin in rows[1:]):
        report.refuse(rows[0], "child-twice", "two rows of the Header have this CHILD and differ: correct one of them")
        return None
    if not rows:
        return None
    values = clean(rows[0], frame.year, report)
    return None if values is None else (rows[0], values)


def _nothing_made(child: Child, report: Report) -> None:
    """Report all rows of a child of whom there is no record."""
    rows = [row for rows in child.rows.values() for row in rows if not row.reported]
    if not child.of("Header"):
        for row in rows:
            report.refuse(row, "no-header", "the child has no row in the Header that can be used: add or correct it")
        return
    if child.rows.get("Episodes"):
        rule, message = "no-period", "no period of care of the child could be told: correct its episodes"
    else:
        rule, message = "no-episodes", "the child has no episode in this return, so that there is no care to tell of"
    for row in rows:
        report.leave(row, rule, message)


def _episode(row: Row, frame: Frame, report: Report) -> Episode | None:
    values = clean(row, frame.year, report)
    start = None if values is None else day_of(values, "DECOM")
    if values is None or start is None:
        return None
    end, ended = day_of(values, "DEC"), values.get("REC", "")
    if end is None and ended:
        report.warn(row, "open-with-reason", "REC is filled and DEC is not: taken as open; enter DEC, or clear REC")
        ended = ""
    return Episode(
        row=row,
        start=start,
        reason=values["RNE"],
        legal=values["LS"],
        need=values.get("CIN", ""),
        place=values.get("PLACE", ""),
        provider=values.get("PLACE_PROVIDER", ""),
        postcode=values.get("PL_POST", ""),
        carer="|".join(("".join(values.get("PL_POST", "").split()), values.get("URN", ""))),
        end=end,
        ended=ended,
        change=values.get("REASON_PLACE_CHANGE", "") if end is not None else "",
    )


def _who(child: Child, row: Row, values: Mapping[str, str], frame: Frame, report: Report) -> dict[str, str]:
    """Return the fields that say who the child is."""
    fields = {"Authority": frame.authority, "AuthorityRefId": frame.authority_ref_id, "CHILD": child.id}
    upn, uln = "".join(values.get("UPN", "").split()), values.get("ULN", "")
    if says_none(upn):
        fields["NoUPN"] = upn
    elif usable_upn(upn):
        fields["UPN"] = upn
    else:
        what = "has not the form or check letter of a UPN, nor is it UN1 to UN5: correct it" if upn else "is empty"
        report.warn(row, "upn", f"UPN {what}; until then the child is taken to have none")
    if uln and usable_uln(uln):
        fields["ULN"] = uln
    elif uln:
        report.warn(row, "uln", "ULN is not one (ten digits, the last a check digit): it is left out; correct it")
    if "DOB" not in values:
        report.warn(row, "no-birth-date", "DOB is empty: enter it")
    fields["BirthDate"] = values.get("DOB", "")
    fields["Sex"] = _SEXES.get(values.get("SEX", ""), values.get("SEX", ""))
    fields["Ethnicity"] = values.get("ETHNIC", "")
    claim = Claim(fields.get("UPN"), fields.get("ULN"), day_of(values, "DOB"), fields["Sex"] or None)
    fields["LearnerPersonalRefId"] = frame.locate(claim) or ""
    return fields


def _sides(
    child: Child, periods: Sequence[Period], born: str, frame: Frame, report: Report
) -> list[dict[str, list[tuple[Row, dict[str, str]]]]]:
    """Return, for each period, the rows of the other tables that belong to it; the child's own go with the last."""
    sides: list[dict[str, list[tuple[Row, dict[str, str]]]]] = [{} for _ in periods]
    for name in _SIDE_TABLES:
        for row in child.of(name):
            values = clean(row, frame.year, report)
            if values is None:
                continue
            if born and values.get("DOB", born) != born:
                report.refuse(row, "birth-date", "DOB is not that of the Header: correct one of them")
                continue
            number = _place_in(periods, day_of(values, row.table.dated) if row.table.dated else None)
            if number is None:
                message = "its date is in no period of care of the child that could be told: correct it"
                report.leave(row, "outside-care", message)
                continue
            sides[number].setdefault(name, []).append((row, values))
            report.used([row])
    return sides


def _place_in(periods: Sequence[Period], day: date | None) -> int | None:
    if day is None:
        return len(periods) - 1
    return next((n for n in range(len(periods) - 1, -1, -1) if periods[n].includes(day)), None)


def _record(
    who: Mapping[str, str],
    period: Period,
    sides: Mapping[str, list[tuple[Row, dict[str, str]]]],
    child: Child,
    frame: Frame,
    report: Report,
) -> Record:
    first = period.episodes[0].row
    if period.moved:
        message = (
            "another authority took over (E3): care goes on there, so that Current is Unknown; see that the other "
            "authority tells the zone"
        )
        report.note(SourceProblem(period.last.row.position, "responsibility-moved", message))
    fields = {
        **who,
        "Current": period.current,
        "CareStatus": period.status,
        "CareStartDate": period.start.isoformat(),
        "CareEndDate": period.end.isoformat() if period.end else "",
        "CareEndReason": period.last.ended if period.end else "",
        "ResponsibilityMoved": "Yes" if period.moved else "",
        "Adopted": "Yes" if period.adopted else "",
        "LegalStatus": period.last.legal,
        "CategoryOfNeed": period.need,
        "CareType": period.care_type,
        "UASC": _uasc(child, period, frame),
        "AsAtDate": frame.as_at.isoformat(),
        "SourceSystem": frame.system,
        "CollectionYear": str(frame.year),
    }
    groups: dict[str, tuple[Record, ...]] = {}
    record = Record(first.position, {name: value for name, value in fields.items() if value}, groups)
    members = [_placement(placement, frame) for placement in period.placements]
    groups["Placements"] = tuple(Record(first.position, member, parent=record) for member in members)
    for name, rows in sides.items():
        groups[name] = tuple(Record(row.position, _own(values), parent=record) for row, values in rows)
    return record


def _own(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in ("CHILD", "DOB", "SEX")}


def _placement(placement: Placement, frame: Frame) -> dict[str, str]:
    area = area_of(placement.postcode, frame.areas) if placement.postcode else ""
    fields = {
        "StartDate": placement.start.isoformat(),
        "EndDate": placement.end.isoformat() if placement.end else "",
        "Type": placement.place,
        "ProviderType": placement.provider,
        "PlacementLAId": area,
        "OutOfAuthority": ("No" if area == frame.authority else "Yes") if area else "",
        "ChangeReason": placement.change,
    }
    return {name: value for name, value in fields.items() if value}


def _uasc(child: Child, period: Period, frame: Frame) -> str:
    """Return Yes, No, or nothing where the return does not tell; it holds until DUC."""
    rows = child.of("UASC")
    if not rows:
        return "No" if child.says_uasc else ""
    day = min(frame.as_at, period.end or frame.as_at)
    ends = [parse_day(row.get("DUC")) for row in rows]
    return "Yes" if any(end is None or end > day for end in ends) else "No"
