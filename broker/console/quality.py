"""The page of data quality: what is wrong in which school's records, and what to do about it.

A pupil is named by the id in the school's own system, never by name. Who may see the page is for its caller to say.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final, Literal

from broker.console import words
from broker.console.chart import stacked
from broker.console.pages import render

Severity = Literal["refuse", "warn", "shadow"]

_SEVERITIES: Final[dict[Severity, str]] = {"refuse": "Refused", "warn": "Warning", "shadow": "On trial"}
"""In words, worst first."""


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One thing that is wrong in one record.

    Attributes:
        school: The school's name or number, as its own office knows it.
        agent: The agent that sent the record.
        path: Path from the object's root; "" for the object itself.
        local_id: The pupil's id in the school's system, or the id of the record where that is not known.
        what_to_do: A sentence for the school's office. It quotes nothing of the record.
        first_seen: Day on which it was found first; ``last_seen`` most recently.
    """

    school: str
    agent: str
    object_type: str
    rule: str
    severity: Severity
    path: str
    local_id: str
    what_to_do: str
    first_seen: date
    last_seen: date


@dataclass(frozen=True, slots=True)
class QualityTrend:
    """How many faults were open at the end of a day: of records that were refused, and of such with a warning."""

    day: date
    refused: int
    warned: int


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What the page shows.

    Attributes:
        zone: Name of the zone.
        made: When it was made; aware.
        rows: In any order.
        trend: In any order, a day once; a day that is left out shows as a gap.
    """

    zone: str
    made: datetime
    rows: Sequence[QualityRow]
    trend: Sequence[QualityTrend]


@dataclass(frozen=True, slots=True)
class _RuleCount:
    name: str
    refused: int
    warned: int
    trial: int


@dataclass(frozen=True, slots=True)
class _School:
    anchor: str
    name: str
    agents: tuple[str, ...]
    counts: _RuleCount
    rules: tuple[_RuleCount, ...]
    rows: tuple[QualityRow, ...]


def quality_page(report: QualityReport) -> str:
    """Return the report as one HTML page that needs no other file: a summary, the trend by day, a table per school.

    Schools come in order of name; of a school, refusals come before warnings and these before rules on trial.
    """
    trend = sorted(report.trend, key=lambda one: one.day)
    values = {
        "title": f"Data quality in {report.zone}",
        "zone": report.zone,
        "made": words.moment(report.made),
        "total": _count("All schools", report.rows),
        "schools": _schools(report.rows),
        "trend": trend,
        "chart": stacked([(one.day, one.refused, one.warned) for one in trend]) if trend else None,
        "severities": _SEVERITIES,
    }
    return render("quality.html", values, inline_styles=True)


def _schools(rows: Iterable[QualityRow]) -> tuple[_School, ...]:
    by_school = groupby(sorted(rows, key=_order), key=lambda row: row.school)
    return tuple(_school(f"school-{number}", name, tuple(those)) for number, (name, those) in enumerate(by_school, 1))


def _school(anchor: str, name: str, rows: tuple[QualityRow, ...]) -> _School:
    agents = tuple(sorted({row.agent for row in rows}))
    rules = [_count(words.rule_name(rule), [r for r in rows if r.rule == rule]) for rule in {row.rule for row in rows}]
    rules.sort(key=lambda one: (-one.refused, -one.warned, -one.trial, one.name))
    return _School(anchor, name, agents, _count(name, rows), tuple(rules), rows)


def _count(name: str, rows: Sequence[QualityRow]) -> _RuleCount:
    counts = Counter(row.severity for row in rows)
    return _RuleCount(name, counts["refuse"], counts["warn"], counts["shadow"])


def _order(row: QualityRow) -> tuple[object, ...]:
    worst_first = tuple(_SEVERITIES).index(row.severity)
    return (row.school, worst_first, row.object_type, row.path, row.rule, row.local_id, row.first_seen, row.agent)
