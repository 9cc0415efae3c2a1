"""What the virtual school's commands show, as rows of plain values; how they are laid out is show.py's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from agents.virtual_school.due import Due, all_due, is_open, is_unsent, lacks_destination, plans_due
from agents.virtual_school.facts import Facts, InCare, enrolments_on, in_care, newest, placement_on
from agents.virtual_school.records import Learner, Mark, Transfer
from agents.virtual_school.silence import WEEKDAYS, silent_on
from broker.calendars import Calendars
from schemas import codes

_NOT_A_NAME: Final = {"XXXXXXX": "not known", "MMMMMMM": "outside the maintained sector"}
_PRESENT: Final = frozenset("/\\LBPVWJK") | {"J1"}
"""Marks that count as attended by the DfE's codes of 2024; what is in no list here counts as no possible session."""
_AUTHORISED: Final = frozenset("CEFHIMRST") | {"C1", "C2"}
_UNAUTHORISED: Final = frozenset("GNOU")


@dataclass(frozen=True, slots=True)
class Report:
    """Rows by column.

    Attributes:
        columns: Name for programs, and heading for people, in order.
        notes: What people should know of it, in sentences.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()


def words(code_list: str, code: str) -> str:
    """Return what a code means; the code itself where it is not known."""
    return codes(code_list).labels.get(code, code)


def roll(facts: Facts, today: date, calendars: Calendars) -> Report:
    """Return one row for each learner in care on *today*."""
    columns = (
        ("name", "Name"),
        ("upn", "UPN"),
        ("year_group", "Year"),
        ("school", "School"),
        ("care_since", "In care since"),
        ("care", "Care"),
        ("placement", "Placement"),
        ("last_mark", "Last mark"),
        ("plan_due", "Plan due"),
        ("transfer", "Open transfer"),
        ("ref_id", "RefId"),
    )
    rows = tuple(_roll_row(facts, one, today, calendars) for one in in_care(facts, today))
    return Report(f"{len(rows)} learners in care on {today}", columns, rows)


def _roll_row(facts: Facts, one: InCare, today: date, calendars: Calendars) -> dict[str, Any]:
    learner, care = one.learner, one.care
    present = enrolments_on(facts, learner.ref_id, today)
    placement = placement_on(facts, care, today)
    mark = newest(m for (ref_id, _), m in facts.last_marks.items() if ref_id == learner.ref_id)
    due = [item for item in plans_due(facts, one, today, calendars) if item.day or item.late]
    first = min(due, key=lambda item: item.day or date.min, default=None)
    transfers = [t for t in facts.transfers.get(learner.ref_id, ()) if is_open(t)]
    return {
        "name": learner.name,
        "upn": learner.upn,
        "year_group": (present[0].year_group if present else "") or learner.year_group,
        "school": _school_words(facts, learner, today),
        "care_since": care.starts if care else None,
        "care": words("CareStatus", care.status) if care and care.status else "In care, as the school says",
        "placement": words("CLAPlacement", placement.type) if placement else _care_type(one),
        "last_mark": _mark_words(mark),
        "plan_due": _due_words(first, today) if first else "",
        "transfer": "; ".join(words("TransferStatus", t.status) or "open" for t in transfers),
        "ref_id": learner.ref_id,
    }


def find(facts: Facts, who: str) -> tuple[Learner, ...]:
    """Return the learners with this RefId or UPN, else those in whose name every word of *who* is; in order of name."""
    asked = who.strip().casefold()
    exact = [one for one in facts.learners.values() if asked and asked in (one.ref_id.casefold(), one.upn.casefold())]
    parts = asked.replace(",", " ").split()
    found = exact or [
        one
        for one in facts.learners.values()
        if parts and all(part in " ".join((one.name, one.given_name, one.family_name)).casefold() for part in parts)
    ]
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.ref_id)))


def matches(facts: Facts, learners: Iterable[Learner], today: date) -> Report:
    """Return the learners that a question could mean."""
    columns = (("name", "Name"), ("upn", "UPN"), ("born", "Born"), ("school", "School"), ("ref_id", "RefId"))
    rows = tuple(
        {
            "name": one.name,
            "upn": one.upn,
            "born": one.birth_date,
            "school": _school_words(facts, one, today),
            "ref_id": one.ref_id,
        }
        for one in learners
    )
    return Report(f"{len(rows)} learners match", columns, rows)


def timeline(facts: Facts, learner: Learner, today: date, calendars: Calendars) -> Report:
    """Return what is known of a learner, in order of date; what has no date comes last. *facts* have all its marks."""
    columns = (("date", "Date"), ("subject", "Subject"), ("what", "What"), ("detail", "Detail"))
    items = [*_care_items(facts, learner), *_school_items(facts, learner), *_transfer_items(facts, learner)]
    items += [*_plan_items(facts, learner, today, calendars), *_attendance_items(facts, learner)]
    items += [*_exclusion_items(facts, learner), *_need_items(facts, learner)]
    items.sort(key=lambda item: item[0] or date.max)
    rows = tuple(dict(zip(("date", "subject", "what", "detail"), item, strict=True)) for item in items)
    facts_of = ", ".join(filter(None, (learner.upn, f"born {learner.birth_date}" if learner.birth_date else "")))
    return Report(f"{learner.name} ({facts_of or learner.ref_id})", columns, rows)


_Item = tuple[date | None, str, str, str]


def _care_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for care in facts.care.get(learner.ref_id, ()):
        detail = _list(words("CareStatus", care.status), words("CLALegalStatus", care.legal_status))
        yield care.starts, "Care", "Care began", detail
        if care.ends:
            yield care.ends, "Care", "Care ended", words("CLAEpisodeCeased", care.end_reason)
        for one in facts.placements.get(care.ref_id, ()):
            outside = "outside the authority" if one.out_of_authority == "Yes" else ""
            kind = words("CLAPlacement", one.type)
            yield one.starts, "Placement", "Placed", _list(kind, words("CLAPlacementProvider", one.provider), outside)
            if one.ends:
                yield one.ends, "Placement", "Placement ended", _list(kind, words("CLAPlaceChange", one.change_reason))


def _school_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for one in facts.enrolments.get(learner.ref_id, ()):
        school = facts.school_words(one.school_ref_id)
        year = words("NCYear", one.year_group)
        yield one.entry, "School", "Enrolled", _list(school, year, words("LearnerEnrolmentStatus", one.membership))
        if one.exit:
            to = f"to {_number_words(facts, one.destination)}" if one.destination else ""
            yield one.exit, "School", "Left", _list(school, words("LeavingReason", one.exit_reason), to)


def _transfer_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for transfer in facts.transfers.get(learner.ref_id, ()):
        way = _way(facts, transfer)
        steps = facts.steps.get(transfer.ref_id, ())
        for step in steps:
            what = f"Transfer: {words('TransferStatus', step.status)}"
            yield _day(step.at), "Transfer", what, _list(way, step.actor, words("TransferNote", step.note))
        if not steps:
            yield (
                transfer.leaving or transfer.entry,
                "Transfer",
                f"Transfer: {words('TransferStatus', transfer.status)}",
                way,
            )
        if transfer.file_due and is_unsent(transfer):
            yield transfer.file_due, "Transfer", "Transfer file due", way


def _plan_items(facts: Facts, learner: Learner, today: date, calendars: Calendars) -> Iterator[_Item]:
    for plan in facts.plans.get(learner.ref_id, ()):
        kind = _list(words("EducationPlanType", plan.type), words("SchoolTerm", plan.term), plan.academic_year)
        for day, what in ((plan.meeting, "Plan meeting"), (plan.completed, "Plan completed")):
            if day:
                yield day, "Plan", what, kind
        if plan.due or not (plan.meeting or plan.completed):
            yield plan.due, "Plan", "Plan due", _list(kind, words("EducationPlanStatus", plan.status))
        if plan.next_review:
            yield plan.next_review, "Plan", "Next review", kind
    for one in in_care(facts, today):
        if one.learner.ref_id == learner.ref_id:
            for due in plans_due(facts, one, today, calendars):
                if not due.about:
                    yield due.day, "Plan", f"Due: {due.what}", "late" if due.late else ""


def _attendance_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for total in facts.totals.get(learner.ref_id, ()):
        since = f"from {total.starts}" if total.starts else ""
        numbers = (
            ("attended", total.attended),
            ("possible", total.possible),
            ("authorised absence", total.authorised),
            ("unauthorised absence", total.unauthorised),
        )
        counted = ", ".join(f"{number} {word}" for word, number in numbers if number is not None)
        detail = _list(since, counted, facts.school_words(total.school_ref_id))
        yield total.ends, "Attendance", "Sessions in total", detail
    months: dict[tuple[int, int, str], list[Mark]] = {}
    for mark in facts.marks:
        if mark.learner_ref_id == learner.ref_id and mark.domain != "Lesson" and mark.day:
            months.setdefault((mark.day.year, mark.day.month, mark.school_ref_id), []).append(mark)
    for (_, _, school), marks in months.items():
        last = newest(marks)
        yield (
            last.day if last else None,
            "Attendance",
            "Marks of the month",
            _list(_counted(marks), f"last: {_mark_words(last)}", facts.school_words(school)),
        )


def _counted(marks: list[Mark]) -> str:
    kinds = (("present", _PRESENT), ("authorised absence", _AUTHORISED), ("unauthorised absence", _UNAUTHORISED))
    counts = [(word, sum(1 for mark in marks if mark.code in kind)) for word, kind in kinds]
    other = len(marks) - sum(count for _, count in counts)
    return ", ".join(f"{count} {word}" for word, count in (*counts, ("other", other)) if count)


def _exclusion_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for one in facts.exclusions.get(learner.ref_id, ()):
        length = f"{one.sessions} sessions" if one.sessions is not None else ""
        until = f"until {one.ends}" if one.ends else ""
        reason = words("ExclusionReason", one.reason)
        yield (
            one.starts,
            "Exclusion",
            words("ExclusionCategory", one.category) or "Exclusion",
            _list(reason, length, until),
        )


def _need_items(facts: Facts, learner: Learner) -> Iterator[_Item]:
    for one in facts.needs.get(learner.ref_id, ()):
        what = words("SENProvision", one.provision) or "Special educational needs"
        kinds = ", ".join(words("SENTypeCode", code) for code in one.types.split())
        yield one.starts, "SEN", what, _list(kinds, facts.school_words(one.school_ref_id))
        if one.ends:
            yield one.ends, "SEN", f"Ended: {what}", ""
        if one.next_review:
            yield one.next_review, "SEN", "SEN review", what


def transfers(facts: Facts, today: date, *, everything: bool = False) -> Report:
    """Return the open transfers, or all; those whose file is late first, then by due date."""
    columns = (
        ("name", "Name"),
        ("upn", "UPN"),
        ("status", "Status"),
        ("from", "From"),
        ("to", "To"),
        ("leaving", "Leaving"),
        ("entry", "Entry"),
        ("file_due", "File due"),
        ("late", "Late"),
        ("destination_missing", "Destination missing"),
        ("ref_id", "RefId"),
    )
    shown = [one for some in facts.transfers.values() for one in some if everything or is_open(one)]
    shown.sort(key=lambda one: (not _is_late(one, today), one.file_due or date.max, one.ref_id))
    rows = tuple(
        {
            "name": facts.learners[one.learner_ref_id].name if one.learner_ref_id in facts.learners else "",
            "upn": facts.learners[one.learner_ref_id].upn if one.learner_ref_id in facts.learners else "",
            "status": words("TransferStatus", one.status),
            "from": _end(facts, one.from_school_ref_id, one.from_number),
            "to": _end(facts, one.to_school_ref_id, one.to_number),
            "leaving": one.leaving,
            "entry": one.entry,
            "file_due": one.file_due,
            "late": _is_late(one, today),
            "destination_missing": lacks_destination(one),
            "ref_id": one.ref_id,
        }
        for one in shown
    )
    which = "transfers" if everything else "open transfers"
    return Report(f"{len(rows)} {which} on {today}", columns, rows)


def due(facts: Facts, today: date, calendars: Calendars, within: timedelta) -> Report:
    """Return what is late or due within some days, in order of day."""
    columns = (
        ("name", "Name"),
        ("upn", "UPN"),
        ("school", "School"),
        ("kind", "Kind"),
        ("what", "To be done"),
        ("due", "Due"),
        ("late", "Late"),
        ("days", "Days left"),
        ("rule", "Rule"),
        ("ref_id", "RefId"),
    )
    shown = [one for one in all_due(facts, today, calendars) if one.late or (one.day and one.day <= today + within)]
    rows = tuple(
        {
            "name": one.learner.name,
            "upn": one.learner.upn,
            "school": _school_words(facts, one.learner, today),
            "kind": one.kind,
            "what": one.what,
            "due": one.day,
            "late": one.late,
            "days": one.days_left(today),
            "rule": str(one.rule),
            "ref_id": one.learner.ref_id,
        }
        for one in shown
    )
    late = sum(1 for one in shown if one.late)
    return Report(f"{late} late and {len(rows) - late} due within {within.days} days of {today}", columns, rows)


def silent(facts: Facts, day: date, calendars: Calendars) -> Report:
    """Return of whom no mark of *day* came, or a late one, by school; *facts* have the marks of the day."""
    columns = (
        ("school", "School"),
        ("whole_school", "Whole school"),
        ("name", "Name"),
        ("upn", "UPN"),
        ("missing", "Missing"),
        ("late", "Recorded late"),
        ("last_mark", "Last mark"),
        ("last_received", "Last received"),
        ("school_day_by", "School day by"),
        ("ref_id", "RefId"),
    )
    found = silent_on(facts, day, calendars)
    rows = tuple(
        {
            "school": facts.school_words(one.school_ref_id, one.school_number),
            "whole_school": one.whole_school,
            "name": one.learner.name,
            "upn": one.learner.upn,
            "missing": " ".join(one.missing),
            "late": " ".join(one.late),
            "last_mark": one.last_mark,
            "last_received": one.last_received,
            "school_day_by": one.by,
            "ref_id": one.learner.ref_id,
        }
        for one in found
    )
    notes = []
    if not facts.has_marks:
        notes.append("No daily mark has ever come: see that an agreement shares LearnerAttendance with this agent.")
    if any(one.by == WEEKDAYS for one in found):
        notes.append(
            "Of some schools no calendar or term is known: give the agent calendars, or weekdays count as school days."
        )
    schools = len({one.school_ref_id for one in found if one.missing})
    return Report(
        f"{day}: marks of {len(rows)} learners at {schools} schools are missing or late", columns, rows, tuple(notes)
    )


def _is_late(transfer: Transfer, today: date) -> bool:
    return is_unsent(transfer) and transfer.file_due is not None and today > transfer.file_due


def _school_words(facts: Facts, learner: Learner, day: date) -> str:
    present = enrolments_on(facts, learner.ref_id, day)
    number = "" if present else learner.school_number
    return facts.school_words(present[0].school_ref_id if present else "", number)


def _number_words(facts: Facts, number: str) -> str:
    return _NOT_A_NAME.get(number) or facts.school_words("", number)


def _end(facts: Facts, ref_id: str, number: str) -> str:
    return facts.school_words(ref_id) or _number_words(facts, number)


def _way(facts: Facts, one: Transfer) -> str:
    start, end = _end(facts, one.from_school_ref_id, one.from_number), _end(facts, one.to_school_ref_id, one.to_number)
    return f"{start or 'not known'} to {end or 'not known'}"


def _care_type(one: InCare) -> str:
    return words("InCareType", one.care.care_type) if one.care else ""


def _mark_words(mark: Mark | None) -> str:
    if mark is None or mark.day is None:
        return ""
    meaning = codes("AttendanceCodeType").labels.get(mark.code, "")
    session = mark.session if mark.session in ("AM", "PM") else ""
    return " ".join(filter(None, (str(mark.day), session, f"({meaning})" if meaning else mark.code)))


def _due_words(item: Due, today: date) -> str:
    if item.day is None:
        return "late"
    return f"{item.day} (late)" if today > item.day else str(item.day)


def _day(at: str) -> date | None:
    try:
        return date.fromisoformat(at[:10])
    except ValueError:
        return None


def _list(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


__all__ = ["Report", "due", "find", "matches", "roll", "silent", "timeline", "transfers", "words"]
