"""Rules about enrolment, attendance and special needs."""

from collections.abc import Iterable
from typing import Final

from lxml import etree

from schemas.rules.dates import date_of
from schemas.rules.facts import Facts
from schemas.rules.rule import Fault, Rule, child_of, name_of, text_of

_MAIN: Final = ("C", "M")

# by sessions possible: attended, authorised absence, unauthorised absence
_PARTS_OF: Final = {
    "SessionsPossible": ("SessionsAttendedTotal", "AuthorisedAbsences", "UnauthorisedAbsences"),
    "Possible": ("Attended", "Authorised", "Unauthorised"),
}


def one_main_enrolment(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find an enrolment that would be the learner's second main one; one to come or gone by does not count."""
    if element.get("MembershipType", "").strip() not in _MAIN:
        return ()
    entry, left = date_of(child_of(element, "EntryDate")), date_of(child_of(element, "ExitDate"))
    if (entry is not None and entry > facts.today) or (left is not None and left < facts.today):
        return ()
    own = element.get("RefId", "").strip()
    if not facts.main_enrolments(element.get("LearnerPersonalRefId", "").strip()) - {own}:
        return ()
    message = (
        "MembershipType makes this the learner's main school, but another school has a main enrolment that has not "
        "ended: ask that school to enter the leaving date, or correct the status of one of the two."
    )
    return (Fault(element, message, "MembershipType"),)


def attendance_sums(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a number of possible sessions that those attended and missed do not add up to."""
    possible, name = _number(text_of(element)), name_of(element)
    names = _PARTS_OF[name]
    numbers = [_number(text_of(child_of(element.getparent(), part))) for part in names]
    known = [number for number in numbers if number is not None]
    if possible is None or sum(known) == possible or (sum(known) < possible and len(known) < len(names)):
        return ()
    than = "less" if sum(known) > possible else "more"
    message = f"{name} is {than} than {', '.join(names)} taken together: count the sessions again, and send them anew."
    return (Fault(element, message),)


def sen_ranking(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find needs that are not ranked 1, 2, 3 and so on."""
    ranks = sorted(_number(need.get("Ranking", "")) or 0 for need in element)
    if ranks == list(range(1, len(ranks) + 1)):
        return ()
    message = (
        "SENTypeList is not ranked 1, 2, 3 and so on without gaps or repeats: put the needs in order again, the main "
        "one first."
    )
    return (Fault(element, message),)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


RULES: Final = (
    Rule(
        "one-main-enrolment",
        "One main school at a time",
        {"LearnerSchoolEnrolment": ("LearnerSchoolEnrolment",)},
        "warn",
        "School census: a pupil has one current (C) or main (M) registration; any other is subsidiary or a guest's.",
        one_main_enrolment,
    ),
    Rule(
        "attendance-sums",
        "Sums of sessions",
        {"LearnerAttendanceSummary": ("SessionsPossible",), "LearnerEducationPlan": ("Possible",)},
        "warn",
        "School census: the sessions possible are those attended, those missed with leave and those missed without.",
        attendance_sums,
    ),
    Rule(
        "sen-ranking",
        "Ranking of special needs",
        {"LearnerEducationPlan": ("SENTypeList",), "LearnerSpecialNeeds": ("SENTypeList",)},
        "warn",
        "SIF UK, LearnerSpecialNeeds: Ranking runs 1, 2, 3 and so on, with no gaps or repeats.",
        sen_ranking,
    ),
)
