"""What is due about looked-after learners: education plans and transfers; pure decisions on facts and calendars."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from agents.virtual_school.facts import Facts, InCare, enrolments_on, in_care
from agents.virtual_school.records import Care, Learner, Plan, Transfer
from broker.calendars import Calendars
from broker.deadlines import RuleId, first_plan, next_review

YOUNGEST: Final = 2
OLDEST: Final = 18
"""Age in years of those who must have a plan: nursery to Year 13, a local choice."""

_NOT_SENT: Final = frozenset({"PL", "NT", "CP", "UN", "RJ"})
_ENDED: Final = frozenset({"CM", "CA"})
_UNKNOWN_SCHOOLS: Final = frozenset({"XXXXXXX", ""})
_PLAN_RULES: Final = {"IN": RuleId.L3, "TR": RuleId.L10}
_PLAN_WORDS: Final = {
    RuleId.L3: "have the first education plan ready",
    RuleId.L10: "have the education plan after the transfer ready",
    RuleId.L5: "have the education plan's review ready",
}


@dataclass(frozen=True, slots=True)
class Due:
    """Something that is to be done for a learner by a day.

    Attributes:
        kind: ``plan`` or ``transfer``.
        rule: The deadline's name in broker.deadlines.
        day: The last day on which it is in time; None when nobody can say, because a date is missing.
        late: Whether it should have been done by now.
        about: RefId of the plan or transfer; empty where there is no plan.
    """

    kind: str
    learner: Learner
    what: str
    rule: RuleId
    day: date | None
    late: bool
    about: str = ""

    def days_left(self, today: date) -> int | None:
        """Return the days until it is due, below zero when it is late."""
        return (self.day - today).days if self.day else None


def is_open(transfer: Transfer) -> bool:
    """Tell whether a transfer goes on."""
    return transfer.status not in _ENDED


def is_unsent(transfer: Transfer) -> bool:
    """Tell whether the file of a transfer is still to be sent."""
    return transfer.status in _NOT_SENT


def lacks_destination(transfer: Transfer) -> bool:
    """Tell whether nobody knows where the learner goes."""
    if not is_open(transfer):
        return False
    return transfer.status in ("UN", "LP") or (transfer.to_number in _UNKNOWN_SCHOOLS and not transfer.to_school_ref_id)


def all_due(facts: Facts, today: date, calendars: Calendars) -> tuple[Due, ...]:
    """Return all that is to be done about learners in care, in order of day; what has no day comes first."""
    found: list[Due] = []
    for one in in_care(facts, today):
        found += plans_due(facts, one, today, calendars)
        found += transfers_due(facts, one.learner, today)
    return tuple(sorted(found, key=lambda d: (d.day or date.min, d.learner.name.casefold(), d.rule, d.about)))


def transfers_due(facts: Facts, learner: Learner, today: date) -> tuple[Due, ...]:
    """Return the deadlines of a learner's open transfers that are not met."""
    found = []
    for one in facts.transfers.get(learner.ref_id, ()):
        if is_unsent(one) and one.file_due is not None:
            what = "send the transfer file"
            found.append(Due("transfer", learner, what, RuleId.T1, one.file_due, today > one.file_due, one.ref_id))
        if (
            is_open(one)
            and one.plan_record_due is not None
            and "Yes"
            not in (
                one.plan_record_sent,
                one.plan_record_received,
            )
        ):
            what, day = "pass the education plan's record to the new school", one.plan_record_due
            found.append(Due("transfer", learner, what, RuleId.L10, day, today > day, one.ref_id))
    return tuple(found)


def plans_due(facts: Facts, one: InCare, today: date, calendars: Calendars) -> tuple[Due, ...]:
    """Return what is to be done about a learner's education plans; empty for short breaks, and outside the ages.

    Source:
        Rules L2, L3 and L5 of broker.deadlines; that a child with short breaks alone has none: Care Planning,
        Placement and Case Review (England) Regulations 2010, reg. 48.
    """
    care = one.care
    if care is None or one.is_short_breaks or not _has_the_age(one.learner, today):
        return ()
    plans = [plan for plan in facts.plans.get(one.learner.ref_id, ()) if _belongs(plan, care)]
    if not plans:
        return tuple(_without_a_plan(one.learner, care, today, calendars))
    unfinished = [plan for plan in plans if not _is_finished(plan)]
    if unfinished:
        school = _school_number(facts, one.learner, today)
        return tuple(
            due for plan in unfinished for due in _unfinished(one.learner, plan, care, today, calendars, school)
        )
    return tuple(_next(facts, one.learner, plans, today, calendars))


def _without_a_plan(learner: Learner, care: Care, today: date, calendars: Calendars) -> Iterator[Due]:
    if care.starts is None:
        yield Due("plan", learner, "begin the education plan", RuleId.L2, None, late=True)
        return
    dates = first_plan(care.starts, calendars)
    begin, ready = dates.initiate_by.due, dates.due.due
    yield Due("plan", learner, "begin the education plan", RuleId.L2, begin, today > begin)
    yield Due("plan", learner, _PLAN_WORDS[RuleId.L3], RuleId.L3, ready, today > ready)


def _unfinished(
    learner: Learner, plan: Plan, care: Care, today: date, calendars: Calendars, school: str
) -> Iterator[Due]:
    trigger = plan.trigger or (care.starts if plan.type in ("IN", "EY", "") else None)
    first = first_plan(trigger, calendars) if trigger else None
    if plan.status == "NS":
        begin = plan.initiate_by or (first.initiate_by.due if first and plan.type == "IN" else None)
        if begin is not None:
            yield Due("plan", learner, "begin the education plan", RuleId.L2, begin, today > begin, plan.ref_id)
    rule = _PLAN_RULES.get(plan.type, RuleId.L5)
    day = plan.due
    if day is None and first and trigger:
        day = first.due.due if rule is not RuleId.L5 else next_review(trigger, calendars, *filter(None, [school])).due
    late = plan.status == "OD" if day is None else today > day
    yield Due("plan", learner, _PLAN_WORDS[rule], rule, day, late, plan.ref_id)


def _next(facts: Facts, learner: Learner, plans: list[Plan], today: date, calendars: Calendars) -> Iterator[Due]:
    """Yield the review that follows the last plan: one in each term, or earlier where that was agreed."""
    days = [plan.meeting or plan.completed or plan.due or plan.trigger for plan in plans]
    last = max((day for day in days if day), default=None)
    if last is None:
        yield Due("plan", learner, "review the education plan", RuleId.L5, None, late=True)
        return
    school = _school_number(facts, learner, today)
    day = next_review(last, calendars, *filter(None, [school])).due
    day = min([day, *(plan.next_review for plan in plans if plan.next_review and plan.next_review > last)])
    yield Due("plan", learner, "review the education plan", RuleId.L5, day, today > day)


def _belongs(plan: Plan, care: Care) -> bool:
    """Tell whether a plan is of this period of care; one that does not say of which, by its days."""
    if plan.care_ref_id:
        return plan.care_ref_id == care.ref_id
    day = plan.due or plan.trigger or plan.meeting or plan.completed
    return care.starts is None or day is None or day >= care.starts


def _is_finished(plan: Plan) -> bool:
    return plan.status in ("CO", "QA") or (not plan.status and plan.completed is not None)


def _has_the_age(learner: Learner, today: date) -> bool:
    born = learner.birth_date
    if born is None:
        return True
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return YOUNGEST <= age <= OLDEST


def _school_number(facts: Facts, learner: Learner, today: date) -> str:
    present = enrolments_on(facts, learner.ref_id, today)
    return (facts.school_number(present[0].school_ref_id) if present else "") or learner.school_number


__all__ = [
    "OLDEST",
    "YOUNGEST",
    "Due",
    "all_due",
    "is_open",
    "is_unsent",
    "lacks_destination",
    "plans_due",
    "transfers_due",
]
