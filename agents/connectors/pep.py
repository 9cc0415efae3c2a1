"""Reads education plans from CSV exports, works out deadlines that they lack, and says which plans are late.

What the columns mean is the mapping's. A deadline that the export has is never changed.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar, Final, NamedTuple

from pydantic import BaseModel, Field, StringConstraints

from agents.connectors.contract import Item, SourceFields, SourceProblem
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.days import CalendarFolder, Today, local_today, parse_day, read_calendars
from agents.connectors.ssda903.learners import Claim, Locate, nobody, usable_upn
from broker.calendars import Calendars, DayKind, Term
from broker.deadlines import RULES, Deadline, RuleId, due, first_plan
from mappings import Record

RefId = Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{32}$")]
_COMPUTED: Final = frozenset(
    {
        "Initiate By Day Kind",
        "Initiate By Calendar",
        "Due Day Kind",
        "Due Calendar",
        "SchoolInfoRefId",
        "LearnerPersonalRefId",
        "LearnerLookedAfterRefId",
    }
)
# As the code tables plan-type and plan-status of the mapping read them.
_INITIAL: Final = frozenset({"in", "initial"})
_TRANSFER: Final = frozenset({"tr", "transfer"})
_REVIEW: Final = frozenset({"rv", "review", "termly review"})
_DONE: Final = frozenset({"co", "completed", "complete", "qa", "quality assured"})
_NOT_BEGUN: Final = frozenset({"ns", "not started"})
_OPEN: Final = _NOT_BEGUN | {"ip", "in progress", "sc", "school complete", "od", "overdue"}
_OVERDUE: Final = "OD"


class PepOptions(CsvOptions):
    """Options of ``connector = "pep"``."""

    calendars: CalendarFolder = Field(
        default=None, description="Folder with calendars, as a zone has them: terms, for the deadlines of reviews."
    )
    schools: dict[Annotated[str, StringConstraints(pattern=r"^[0-9]{7}$")], RefId] = Field(
        default_factory=dict,
        description='RefIds that the zone has for the schools: { "8209901" = "0A2F..." }; plans of others name none.',
    )


class _Dates(NamedTuple):
    trigger: date
    initiate_by: Deadline
    due: Deadline


class PepSource:
    """Education plans as records, each with its deadlines and its school's RefId as far as they can be known."""

    Options: ClassVar[type[BaseModel]] = PepOptions

    def __init__(self, options: PepOptions, locate: Locate = nobody, today: Today = local_today) -> None:
        """Take options, and who is asked for the RefId of a learner.

        Args:
            options: The options.
            locate: Says who a learner is in the zone. Until somebody does, records have no LearnerPersonalRefId.
            today: Which day it is.
        """
        self._options, self._locate, self._today = options, locate, today

    def locate_with(self, locate: Locate) -> None:
        """Take who is asked for the RefId of a learner; see above."""
        self._locate = locate

    def read(self, path: Path) -> Iterator[Item]:
        """Yield a record for each plan.

        Added: ``LearnerPersonalRefId`` and ``SchoolInfoRefId``, as far as they are known; ``Trigger Date``, ``Initiate
        By Date`` and ``Due Date`` where they are empty, with how and by which calendar these count; the status OD of a
        plan that is past its due date and not completed.

        Raises:
            SourceError: Not a CSV report; the calendars cannot be used.

        Source:
            10 and 20 working days from the start of care, or from the move; a review each term: DfE's guidance on
            looked-after children's education. That a review is to be begun by the day it is due, and that early years
            and post-16 plans without a trigger are due as reviews are, is our own rule.
        """
        calendars, today = read_calendars(self._options.calendars), self._today()
        nameless: set[str] = set()
        unknown = 0
        for item in CsvSource(self._options).read(path):
            if isinstance(item, SourceFields):
                yield SourceFields(item.names | _COMPUTED)
            elif isinstance(item, SourceProblem):
                yield item
            else:
                plan, problems = self._plan(item, calendars, today, nameless)
                unknown += usable_upn(_upn(item)) and "LearnerPersonalRefId" not in plan.fields
                yield from problems
                yield plan
        if unknown:
            message = (
                f"the learners of {unknown} plans are not known by the RefId that the zone has for them, so that these "
                "become no objects: set locate_only = true for this source"
            )
            yield SourceProblem(path.name, "not-located", message)
        if nameless:
            message = (
                f"{len(nameless)} schools of these plans are not among the schools of the settings: the plans are sent "
                "without their school; add the RefIds that the zone has for them"
            )
            yield SourceProblem(path.name, "schools", message)

    def _plan(
        self, plan: Record, calendars: Calendars, today: date, nameless: set[str]
    ) -> tuple[Record, list[SourceProblem]]:
        # These are this connector's to say.
        fields = {name: value for name, value in plan.fields.items() if name not in _COMPUTED}
        problems: list[SourceProblem] = []
        upn = _upn(plan)
        if usable_upn(upn):
            learner = self._locate(Claim(upn, None, None, None))
            fields.update({"LearnerPersonalRefId": learner} if learner else {})
        elif upn:
            message = "UPN has a wrong form or check letter, so it may be another's: correct it"
            problems.append(SourceProblem(plan.position, "upn", message))
        school = fields.get("LA Number", "") + fields.get("Estab Number", "")
        if school in self._options.schools:
            fields["SchoolInfoRefId"] = self._options.schools[school]
        elif "Estab Number" in fields:
            nameless.add(school)
        dates = _dates(fields, school, calendars)
        if dates is not None:
            fields.setdefault("Trigger Date", dates.trigger.isoformat())
            _set(fields, "Initiate By", dates.initiate_by)
            _set(fields, "Due", dates.due)
        elif not (fields.get("Initiate By Date") and fields.get("Due Date")):
            message = (
                "its deadlines are not given and cannot be worked out: fill Trigger Date (or Care Start Date, for an "
                "initial plan), or have the term in calendars"
            )
            problems.append(SourceProblem(plan.position, "deadlines", message))
        problems += _late(plan.position, fields, today)
        return Record(plan.position, fields), problems


def _upn(plan: Record) -> str:
    return "".join(plan.fields.get("UPN", "").split()).upper()


def _set(fields: dict[str, str], name: str, deadline: Deadline) -> None:
    if f"{name} Date" not in fields:
        fields[f"{name} Date"] = deadline.due.isoformat()
        fields[f"{name} Day Kind"] = deadline.kind.value
        fields[f"{name} Calendar"] = deadline.calendar


def _dates(fields: dict[str, str], school: str, calendars: Calendars) -> _Dates | None:
    """Return trigger and deadlines by rule; None where the export and the calendars do not say enough."""
    kind, trigger = fields.get("Plan Type", "").casefold(), parse_day(fields.get("Trigger Date", ""))
    if kind in _INITIAL and "Trigger Date" not in fields:
        trigger = parse_day(fields.get("Care Start Date", ""))
    if kind in _INITIAL or kind in _TRANSFER or (trigger is not None and kind not in _REVIEW):
        return None if trigger is None else _Dates(trigger, *first_plan(trigger, calendars))
    term = _term(fields, school, calendars)
    if term is not None:
        trigger = trigger or term.starts
        ends = Deadline(RuleId.L5, trigger, term.ends, DayKind.TERM, calendars.of(school).name)
        return _Dates(trigger, ends, ends)
    if trigger is None:
        return None
    ends = due(RULES[RuleId.L5], trigger, calendars, school)
    return _Dates(trigger, ends, ends)


def _term(fields: dict[str, str], school: str, calendars: Calendars) -> Term | None:
    """Return the term that the plan is for, by its school's or its authority's calendar."""
    year, code = fields.get("Academic Year", "")[:4], fields.get("Term", "")[:3].upper()
    found = (term for term in calendars.of(school).terms if (str(term.academic_year), term.code) == (year, code))
    return next(found, None)


def _late(position: str, fields: dict[str, str], today: date) -> Iterator[SourceProblem]:
    """Yield what is late about a plan, and mark it overdue where it is."""
    status = fields.get("Status", "").casefold()
    due_day, completed = parse_day(fields.get("Due Date", "")), parse_day(fields.get("Completed Date", ""))
    initiate_by = parse_day(fields.get("Initiate By Date", ""))
    if status in _DONE:
        if due_day is not None and completed is not None and completed > due_day:
            yield SourceProblem(position, "completed-late", "the plan was completed after the day it was due")
    elif status in _OPEN and completed is None and due_day is not None and today > due_day:
        fields["Status"] = _OVERDUE
        message = "the plan is past the day it was due and not completed: complete it, or enter that it is"
        yield SourceProblem(position, "overdue", message)
    elif status in _NOT_BEGUN and initiate_by is not None and today > initiate_by:
        message = "the plan is past the day by which it had to be begun: begin it, or enter that it is"
        yield SourceProblem(position, "not-begun", message)


__all__ = ["PepOptions", "PepSource"]
