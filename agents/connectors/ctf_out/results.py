"""Results of assessments, as a transfer file has them: by key stage, each with what its component says of it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from agents.connectors.ctf_out.kept import KeptObject, KeptZone
from agents.connectors.ctf_out.tree import Element, group, leaf

RESULT: Final = "LearnerAssessmentResult"
_NEW_YEAR: Final = 9
"""Month in which a school year begins; results are named by the year in which it ends."""
_COLUMNS: Final = ("Year", "Subject", "Method", "ResultStatus", "ResultQualifier", "Result", "ResultDate")


def stage_assessments(results: Sequence[KeptObject], zone: KeptZone) -> Element | None:
    """Return the StageAssessments of a learner, sorted; None without any.

    What is assessed, a result says by reference alone; one whose component is not here, or has not exactly one key
    stage, is left out. A component has no code of its own that a file could name it by (Component).

    Source:
        DfE Common Transfer File as read in school systems' files; SIF UK 1.1 to 1.3, AssessmentResultComponent.
    """
    stages: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for one in results:
        component = zone.component(one.see("@AssessmentComponentRefId"))
        if component is None:
            one.leave("", "the AssessmentResultComponent that it refers to is not here: let an agreement share it")
            continue
        stage = _only(component, "StageList/Stage")
        if not stage:
            one.leave("", "its AssessmentResultComponent names no key stage, or several: a transfer file needs one")
            continue
        day = one.take("AchievementDate")[:10]
        stages[stage].append(
            (
                _only(component, "YearList/Year") or _year(day),
                _only(component, "AssessmentSubjectList/Subject"),
                component.see("AssessmentMethod"),
                one.take("ResultStatus"),
                component.see("ResultQualifier"),
                one.take("Result"),
                day,
            )
        )
    return group("StageAssessments", *(_key_stage(stage, stages[stage]) for stage in sorted(stages)))


def _key_stage(stage: str, rows: Sequence[tuple[str, ...]]) -> Element | None:
    found = (map(leaf, _COLUMNS, row) for row in sorted(rows))
    return group("KeyStage", leaf("Stage", stage), *(group("StageAssessment", *cells) for cells in found))


def _only(component: KeptObject, path: str) -> str:
    """Return the one text at a path; empty where there are several."""
    return component.see(path) if len(component.all(path)) == 1 else ""


def _year(day: str) -> str:
    """Return the year in which the school year of a day ends."""
    return str(int(day[:4]) + (int(day[5:7]) >= _NEW_YEAR)) if day else ""


__all__ = ["RESULT", "stage_assessments"]
