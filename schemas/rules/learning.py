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
_SESSIONS: Final = {"LearnerAttendanceSummary": ("SessionsPossible",), "LearnerEducationPlan": ("Possible",)}


def one_main_enrolment(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find an enrolment that would be the learner's second main one.

    One to come does not count, nor one whose last day is entered, be it past or not: that school has done what it can,
    and the next one often has its enrolment in the zone before.
    """
    if element.get("MembershipType", "").strip() not in _MAIN:
        return ()
    entry, left = date_of(child_of(element, "EntryDate")), date_of(child_of(element, "ExitDate"))
    if (entry is not None and entry > facts.today) or left is not None:
        return ()
    own = element.get("RefId", "").strip()
    if not facts.main_enrolments(element.get("LearnerPersonalRefId", "").strip()) - {own}:
        return ()
    message = (
        "MembershipType makes this the learner's main enrolment (C or M), but there is another that has not ended: "
        "have the leaving date entered where the learner has left, or the status of one of the two corrected."
    )
    return (Fault(element, message, "MembershipType"),)


def attendance_sums(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find more sessions attended and missed than were possible."""
    possible, known = _number(text_of(element)), _parts_of(element)
    if possible is None or sum(known) <= possible:
        return ()
    *most, last = _PARTS_OF[name_of(element)]
    message = (
        f"{name_of(element)} is less than {', '.join(most)} and {last} taken together: correct the marks, or count the "
        "sessions again."
    )
    return (Fault(element, message),)


def attendance_gaps(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find possible sessions that were neither attended nor missed, where all three numbers are said."""
    possible, known = _number(text_of(element)), _parts_of(element)
    *most, last = names = _PARTS_OF[name_of(element)]
    if possible is None or len(known) < len(names) or sum(known) >= possible:
        return ()
    message = (
        f"{name_of(element)} is more than {', '.join(most)} and {last} taken together: enter the marks that are "
        "missing; sessions that the learner was unable or not required to attend (D, Q, X, Y, Z, #) do not count."
    )
    return (Fault(element, message),)


def _parts_of(possible: etree._Element) -> list[int]:
    """Return how many of the possible sessions were attended and missed, as far as it is said."""
    numbers = (_number(text_of(child_of(possible.getparent(), part))) for part in _PARTS_OF[name_of(possible)])
    return [number for number in numbers if number is not None]


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
        _SESSIONS,
        "warn",
        "School census: the sessions possible are those attended, those missed with leave and those missed without.",
        attendance_sums,
    ),
    Rule(
        "attendance-gaps",
        "Sessions not accounted for",
        _SESSIONS,
        "shadow",
        "School census, as for the sums; but systems count sessions without a mark, and some also those that a learner "
        "was unable to attend, so unless set otherwise the rule only counts.",
        attendance_gaps,
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
