"""Rules about dates that do not go together."""

from collections.abc import Iterable
from datetime import date
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.rules.facts import Facts
from schemas.rules.rule import Fault, Rule, before, name_of, text_of

_MOST_YEARS: Final = 120

# the last day, and the first day that the schema has somewhere before it
_FIRST: Final = MappingProxyType(
    {
        "CareEndDate": "CareStartDate",
        "DueDate": "InitiateByDate",
        "EndDate": "StartDate",
        "ExitDate": "EntryDate",
        "InitiateByDate": "TriggerDate",
        "EntryDate": "LeavingDate",
    }
)

_DATES: Final = {
    "ContactPersonal": ("BirthDate",),
    "LearnerAttendanceSummary": ("EndDate",),
    "LearnerEducationPlan": ("InitiateByDate", "LearnerEducationPlan/DueDate", "AttendanceSummary/EndDate"),
    "LearnerEntitlement": ("EntitlementPeriod/EndDate",),
    "LearnerExclusion": ("EndDate",),
    "LearnerGroupEnrolment": ("ExitDate",),
    "LearnerLookedAfter": ("CareEndDate", "Placement/EndDate"),
    "LearnerPersonal": ("BirthDate", "ExitDate"),
    "LearnerSchoolEnrolment": ("ExitDate", "AlternativeTuition/EndDate"),
    "LearnerSpecialNeeds": ("EndDate",),
    "LearnerTransfer": ("EntryDate",),
    "TermInfo": ("EndDate",),
    "WorkforcePersonal": ("BirthDate",),
}

# after a transfer of these types the learner is at both schools, so the two stays overlap
_BOTH_SCHOOLS: Final = ("DR", "AP")


def dates_in_order(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find an end before its start, and a birth date that cannot be."""
    if element.tag.endswith("}BirthDate"):
        return _birth(element, facts.today)
    name = name_of(element)
    first = before(element, _FIRST[name])
    if first is None or not _is_earlier(element, first) or (name == "EntryDate" and not _changes_school(element)):
        return ()
    return (Fault(element, f"{name} is before {_FIRST[name]}: correct whichever of the two is wrong."),)


def _changes_school(entry: etree._Element) -> bool:
    """Tell whether the transfer is known to be of a type after which the learner is at one school only."""
    return text_of(before(entry, "TransferType")) not in ("", *_BOTH_SCHOOLS)


def _birth(element: etree._Element, today: date) -> Iterable[Fault]:
    born = date_of(element)
    if born is None:
        return ()
    faults = []
    if born > today:
        faults.append(Fault(element, "BirthDate is in the future: correct it in the person's record."))
    elif today.year - born.year > _MOST_YEARS:
        message = f"BirthDate is more than {_MOST_YEARS} years ago: correct it in the person's record."
        faults.append(Fault(element, message))
    for entry in _entries(element):
        if _is_earlier(entry, element):
            message = "EntryDate is before BirthDate: correct whichever is wrong in the learner's record."
            faults.append(Fault(entry, message))
    return faults


def _entries(birth: etree._Element) -> Iterable[etree._Element]:
    """Return the days on which the person of that birth date came to a school."""
    demographics = birth.getparent()
    information = None if demographics is None else demographics.getparent()
    person = None if information is None else information.getparent()
    return () if person is None else person.iter("{*}EntryDate")


def _is_earlier(one: etree._Element, other: etree._Element) -> bool:
    """Tell whether the first date is before the second; not when either is missing."""
    if text_of(one) >= text_of(other):  # nearly always: written as they are, dates are in order as texts too
        return False
    day, other_day = date_of(one), date_of(other)
    return day is not None and other_day is not None and day < other_day


def date_of(element: etree._Element | None) -> date | None:
    """Return the date in an element, its time zone aside; None when there is none that the calendar has."""
    text = text_of(element)
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:  # the schema allows years that the calendar has not, such as -0044
        return None


RULES: Final = (
    Rule(
        "dates-in-order",
        "Dates that go together",
        _DATES,
        "warn",
        "Our own rule: nothing ends before it starts, nobody is enrolled before birth, and a transfer leaves no "
        "overlap unless the learner is at both schools.",
        dates_in_order,
    ),
)
