"""Made-up objects that a virtual school receives: two learners of authority 820, two schools."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from lxml import etree

from agents.virtual_school.facts import Facts, newest
from agents.virtual_school.reading import OBJECTS, rows_of
from agents.virtual_school.records import Mark
from broker.protocol.envelope import NAMESPACE

CARE_NAMESPACE = "urn:sifzone:looked-after:1.0"
ZED, YAR = "1" * 32, "2" * 32
PRIMARY, SECONDARY = "A" * 32, "B" * 32
AUTHORITY = "C" * 32
_OURS = {"LearnerLookedAfter", "LearnerEducationPlan", "LearnerTransfer"}


class Kept:
    """Objects as an agent keeps them, by type and key; yields them in order."""

    def __init__(self, *documents: str) -> None:
        self._objects: dict[tuple[str, str], etree._Element] = {}
        self.put(*documents)

    def put(self, *documents: str) -> None:
        for document in documents:
            name = document[1:].partition(" ")[0]
            namespace = CARE_NAMESPACE if name in _OURS else NAMESPACE
            element = etree.fromstring(document.replace(f"<{name} ", f'<{name} xmlns="{namespace}" ', 1))
            key = element.get("RefId") or "|".join(
                [*(str(value) for value in element.attrib.values()), *(child.text or "" for child in list(element)[:3])]
            )
            self._objects[name, key] = element

    def remove(self, object_type: str, ref_id: str) -> None:
        del self._objects[object_type, ref_id]

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        return self._objects.get((object_type, ref_id))

    def all(self, object_type: str) -> Iterator[etree._Element]:
        return iter([element for (name, _), element in sorted(self._objects.items()) if name == object_type])


def learner(
    ref_id: str = ZED, family: str = "Quill", given: str = "Zephyrine", upn: str = "A820990126001", more: str = ""
) -> str:
    return (
        f'<LearnerPersonal RefId="{ref_id}"><PersonalInformation><Name Type="C"><FamilyName>{family}</FamilyName>'
        f"<GivenName>{given}</GivenName></Name><Demographics><Gender>F</Gender><BirthDate>2015-03-02</BirthDate>"
        f"</Demographics></PersonalInformation><UPN>{upn}</UPN>{more}</LearnerPersonal>"
    )


def school(ref_id: str = PRIMARY, number: str = "9901", name: str = "Thornwick Primary School") -> str:
    return (
        f'<SchoolInfo RefId="{ref_id}"><EstablishmentId>{number}</EstablishmentId><LAId>820</LAId>'
        f"<SchoolName>{name}</SchoolName></SchoolInfo>"
    )


def enrolment(ref_id: str, who: str = ZED, where: str = PRIMARY, entry: str = "2020-09-03", more: str = "") -> str:
    return (
        f'<LearnerSchoolEnrolment RefId="{ref_id * 32}" LearnerPersonalRefId="{who}" SchoolInfoRefId="{where}" '
        f'MembershipType="C"><EntryDate>{entry}</EntryDate><NCYearGroupActual>6</NCYearGroupActual>{more}'
        "</LearnerSchoolEnrolment>"
    )


def care(
    ref_id: str = "D", who: str = ZED, since: str = "2026-11-02", status: str = "LA", ended: str = "", more: str = ""
) -> str:
    end = f"<CareEndDate>{ended}</CareEndDate>" if ended else ""
    return (
        f'<LearnerLookedAfter RefId="{ref_id * 32}" LearnerPersonalRefId="{who}" LAInfoRefId="{AUTHORITY}">'
        f"<Current>{'No' if ended else 'Yes'}</Current><CareStatus>{status}</CareStatus>"
        f"<CareStartDate>{since}</CareStartDate>{end}<PlacementList><Placement><StartDate>{since}</StartDate>"
        f"<Type>U6</Type></Placement></PlacementList>{more}</LearnerLookedAfter>"
    )


def plan(
    ref_id: str = "E", who: str = ZED, status: str = "CO", kind: str = "IN", more: str = "", period: str = "D"
) -> str:
    return (
        f'<LearnerEducationPlan RefId="{ref_id * 32}" LearnerPersonalRefId="{who}" '
        f'LearnerLookedAfterRefId="{period * 32}"><PlanType>{kind}</PlanType><AcademicYear>2026</AcademicYear>'
        f"<Term>AUT</Term>{more}<Status>{status}</Status></LearnerEducationPlan>"
    )


def transfer(
    ref_id: str = "F", who: str = ZED, status: str = "NT", due: str = "2026-11-20", to: str = "9902", more: str = ""
) -> str:
    end = f"<ToEstablishment><LAId>820</LAId><EstablishmentId>{to}</EstablishmentId></ToEstablishment>" if to else ""
    return (
        f'<LearnerTransfer RefId="{ref_id * 32}" LearnerPersonalRefId="{who}">'
        f"<FromEstablishment><LAId>820</LAId><EstablishmentId>9901</EstablishmentId></FromEstablishment>{end}"
        f"<TransferType>SC</TransferType><LeavingDate>2026-10-30</LeavingDate><Status>{status}</Status>"
        f'<CTFDueDate DayKind="SchoolDay">{due}</CTFDueDate><StatusHistoryList>'
        f'<StatusChange Status="PL" DateTime="2026-10-20T09:00:00+01:00" Actor="Zone"/>'
        f'<StatusChange Status="{status}" DateTime="2026-10-30T15:40:00+00:00" Actor="MIS:8209901"/>'
        f"</StatusHistoryList>{more}</LearnerTransfer>"
    )


def mark(
    day: str, session: str = "AM", who: str = ZED, where: str = PRIMARY, code: str = "/", recorded: str = "", n: int = 0
) -> str:
    at = f"<RecordTimestamp>{recorded}</RecordTimestamp>" if recorded else ""
    ref_id = f"{day.replace('-', '')}{'A' if session == 'AM' else 'B'}{who[:8]}{where[:8]}{n:07}"
    named = f"<Session>{session}</Session>" if session else ""
    return (
        f'<LearnerAttendance RefId="{ref_id}" LearnerPersonalRefId="{who}" SchoolInfoRefId="{where}">'
        f"<AttendanceDate>{day}</AttendanceDate>{named}<AttendanceDomain>Session</AttendanceDomain>"
        f"<AttendanceCode>{code}</AttendanceCode>{at}<InputSource>R</InputSource></LearnerAttendance>"
    )


def exclusion(ref_id: str = "7", who: str = ZED, starts: str = "2026-11-10") -> str:
    return (
        f'<LearnerExclusion RefId="{ref_id * 32}" LearnerPersonalRefId="{who}"><Category>SUSP</Category>'
        f"<Reason>DB</Reason><StartDate>{starts}</StartDate><ActualSessions>4</ActualSessions></LearnerExclusion>"
    )


def two_learners() -> Kept:
    """Return two learners in care at two schools, the one since 2 November 2026, the other for years."""
    return Kept(
        learner(),
        learner(YAR, "Yarrow", "Wilf", "B820990226002"),
        school(),
        school(SECONDARY, "9902", "Marrowfield School"),
        enrolment("3"),
        enrolment("4", YAR, SECONDARY, "2024-09-03"),
        care(),
        care("5", YAR, "2023-05-01"),
    )


def facts_of(objects: Kept, until: date, day: date | None = None, who: str = "") -> Facts:
    """Return what a database with these objects would say, without one; nothing was ever received."""
    rows: dict[str, list[Any]] = {}
    for object_type in OBJECTS:
        for row in rows_of(objects, object_type):
            rows.setdefault(type(row).__name__, []).append(row)

    def by(kind: str, name: str = "learner_ref_id") -> dict[str, tuple[Any, ...]]:
        keys = {getattr(row, name) for row in rows.get(kind, ())}
        return {key: tuple(row for row in rows[kind] if getattr(row, name) == key) for key in keys}

    marks: list[Mark] = rows.get("Mark", [])
    places = {(m.learner_ref_id, m.school_ref_id) for m in marks if m.day and m.day <= until}
    last = {
        place: newest(m for m in marks if (m.learner_ref_id, m.school_ref_id) == place and m.day and m.day <= until)
        for place in places
    }
    return Facts(
        learners={row.ref_id: row for row in rows.get("Learner", ())},
        schools={row.ref_id: row for row in rows.get("School", ())},
        terms=by("Term", "school_ref_id"),
        enrolments=by("Enrolment"),
        care=by("Care"),
        placements=by("Placement", "care_ref_id"),
        transfers=by("Transfer"),
        steps=by("Step", "transfer_ref_id"),
        plans=by("Plan"),
        exclusions=by("Exclusion"),
        needs=by("Need"),
        totals=by("Total"),
        last_marks={place: one for place, one in last.items() if one},
        marks=tuple(m for m in marks if (m.day == day if day else m.learner_ref_id == who)),
        has_marks=bool(marks),
    )


def agent_file(folder: Path, database: str = "sqlite:///state/virtual-school.db", more: str = "") -> Path:
    """Write the file of a virtual school's agent."""
    path = folder / "virtual-school.toml"
    path.write_text(
        f'id = "virtual-school"\n[target]\nconnector = "virtual-school"\ndatabase = "{database}"\n{more}', "utf-8"
    )
    return path
