"""What rules may ask the zone about things outside the object; the answers are the broker's."""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol


class Care(NamedTuple):
    """What somebody says of a learner today.

    Attributes:
        in_care: Whether they are in care.
        authority: LA number of whoever looks after them; empty when not known, or when nobody does.
    """

    in_care: bool
    authority: str = ""


class TwoWords(NamedTuple):
    """What is said of a learner's care by the flag in LearnerPersonal, and by the authority's care records."""

    flag: Care
    records: Care

    @property
    def agree(self) -> bool:
        """Whether they say the same; an authority that one of them does not name is no difference."""
        if self.flag.in_care != self.records.in_care:
            return False
        authorities = {self.flag.authority, self.records.authority} - {""}
        return not self.records.in_care or len(authorities) < 2


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

    def care(self, learner_ref: str) -> TwoWords | None:
        """Return what the flag and the records say of a learner's care today; None where not both say something.

        They are as known with the object in hand, whether it is the flag's or one of the records.
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

    def care(self, learner_ref: str) -> TwoWords | None:  # noqa: ARG002 - nothing is known of any
        """Return None."""
        return None
