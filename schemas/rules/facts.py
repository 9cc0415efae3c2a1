"""What rules may ask the zone about things outside the object; the answers are the broker's."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol


class Facts(Protocol):
    """What is known besides the object."""

    @property
    def today(self) -> date:
        """Today's date in London: every date in an object is a local one."""

    def is_known(self, object_type: str, ref_id: str) -> bool | None:
        """Tell whether the zone has met this object; None when it cannot tell."""

    def main_enrolments(self, learner_ref: str) -> frozenset[str]:
        """Return the RefIds of the learner's LearnerSchoolEnrolments that are current and main (status C or M).

        Current are those that have begun and not ended: on its first and last day an enrolment is current. They are as
        known before the object in hand, which may itself be one of them.
        """


@dataclass(frozen=True, slots=True)
class NothingKnown:
    """Facts of somebody who has the object and a calendar only, such as an agent that checks before it sends."""

    today: date

    def is_known(self, object_type: str, ref_id: str) -> bool | None:  # noqa: ARG002 - nothing is known of any
        """Return None."""
        return None

    def main_enrolments(self, learner_ref: str) -> frozenset[str]:  # noqa: ARG002 - nothing is known of any
        """Return nothing."""
        return frozenset()
