"""Rules about references to other objects: learners, schools, contacts."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.rules.facts import Facts
from schemas.rules.rule import Fault, Rule, name_of, text_of

_LEARNER: Final = ("LearnerPersonalRefId", "LearnerPersonal")
_SCHOOL: Final = ("SchoolInfoRefId", "SchoolInfo")

# attribute of the object itself, and what it refers to
_REFERENCES: Final = MappingProxyType(
    {
        "LearnerAttendanceSummary": (_LEARNER, _SCHOOL),
        "LearnerContact": (_LEARNER, ("ContactPersonalRefId", "ContactPersonal")),
        "LearnerEducationPlan": (_LEARNER, ("LearnerLookedAfterRefId", "LearnerLookedAfter"), _SCHOOL),
        "LearnerExclusion": (_LEARNER,),
        "LearnerGroupEnrolment": (_LEARNER, ("SchoolGroupRefId", "SchoolGroup")),
        "LearnerLookedAfter": (_LEARNER, ("LAInfoRefId", "LAInfo")),
        "LearnerSchoolEnrolment": (_LEARNER, _SCHOOL),
        "LearnerSpecialNeeds": (_LEARNER, _SCHOOL),
        "LearnerTransfer": (_LEARNER, ("FromSchoolInfoRefId", "SchoolInfo"), ("ToSchoolInfoRefId", "SchoolInfo")),
        "SchoolGroup": (("SchoolGroupTypeRefId", "SchoolGroupType"),),
        "SchoolGroupType": (_SCHOOL,),
        "SchoolInfo": (("LAInfoRefId", "LAInfo"),),
        "TermInfo": (_SCHOOL,),
    }
)
_MESSAGE: Final = (
    "{0} refers to a {1} that the zone does not know: send that {1} first, or correct the reference in the record."
)


def unknown_reference(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find references to what the zone says it has never met.

    Brothers and sisters do not count, since they may well go to school elsewhere; nor does the enrolment that a
    LearnerPersonal names, since it is sent after the learner.
    """
    name = name_of(element)
    if name == "SIF_RefId":
        kind, ref_id = element.get("SIF_RefObject", "").strip(), text_of(element)
        if kind and ref_id and facts.is_known(kind, ref_id) is False:
            yield Fault(element, _MESSAGE.format("SIF_RefId", kind))
        return
    for attribute, kind in _REFERENCES[name]:
        ref_id = element.get(attribute, "").strip()
        if ref_id and facts.is_known(kind, ref_id) is False:
            yield Fault(element, _MESSAGE.format(attribute, kind), attribute)


RULES: Final = (
    Rule(
        "unknown-reference",
        "References to known objects",
        {
            **{name: (name,) for name in _REFERENCES},
            "LearnerPersonal": ("CurrentSchoolEnrolment/SIF_RefId",),
        },
        "warn",
        "Our own rule: SIF does not ask for an order of sending, so what is not known now may yet come.",
        unknown_reference,
    ),
)
