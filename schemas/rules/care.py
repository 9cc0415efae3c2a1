"""Rules about learners in care and their moves between schools."""

from collections.abc import Iterable
from typing import Final

from lxml import etree

from schemas.rules.dates import date_of
from schemas.rules.facts import Facts
from schemas.rules.rule import MISSING, Fault, Rule, child_of, name_of, text_of

# what the schema makes mandatory: an object that has all of it is a whole one, not a part
WHOLE_CARE: Final = ("Current", "CareStatus", "CareStartDate", "AsAtDate", "SourceSystem")
WHOLE_TRANSFER: Final = ("TransferType", "LookedAfterAtTransfer", "LAInfoRefId", "Status", "StatusHistoryList")
FLAG_AGREES: Final = "care-flag-agrees"
"""Name of the rule that compares what the flag and the records say of care; its faults close when either is mended."""
_GOES_ON: Final = ("LA", "SB")  # looked after; short breaks
_ENDED: Final = ("PL", "CE")  # previously looked after; ceased
# what Current and CareStatus cannot say at once; of short breaks (SB), authorities differ in what they call in care
_CONTRADICTIONS: Final = frozenset({("Yes", "PL"), ("Yes", "CE"), ("No", "LA")})


def care_without_authority(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find care of which is not said whose it is; an authority that is not there at all may be known from before."""
    if text_of(element) != "Yes":
        return ()
    parent = element.getparent()
    name = name_of(element)
    if parent is not None and name_of(parent) == "LearnerLookedAfter":
        given = parent.get("LAInfoRefId")
        if given is None or given.strip():
            return ()
        return (Fault(parent, _no_authority(name, "LAInfoRefId"), "LAInfoRefId"),)
    authority_name = "LAId" if name == "Current" else "LAInfoRefId"
    authority = child_of(parent, authority_name)
    if authority is None or text_of(authority):
        return ()
    return (Fault(authority, _no_authority(name, authority_name)),)


def _no_authority(flag: str, authority: str) -> str:
    return f"{flag} says that the learner is in care, but {authority} is empty: enter the authority whose care it is."


def care_dates(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a period of care with an end and no reason for it, a reason and no end, or an end that should be there."""
    end, reason = child_of(element, "CareEndDate"), child_of(element, "CareEndReason")
    status = child_of(element, "CareStatus")
    is_whole = _has(element, WHOLE_CARE)
    # of what is not there in a part, the zone may know from before
    end_missing = not text_of(end) and (end is not None or is_whole)
    reason_missing = not text_of(reason) and (reason is not None or is_whole)
    if status is not None and end_missing and text_of(status) in _ENDED:
        message = (
            "CareStatus says that care has ended, but CareEndDate is missing: enter the day it ended, or correct the "
            "status."
        )
        yield Fault(status, message)
    if end is not None and text_of(end) and reason_missing:
        yield Fault(end, "CareEndDate has no CareEndReason with it: enter the reason why care ended.")
    if reason is not None and text_of(reason) and end_missing:
        message = "CareEndReason has no CareEndDate with it: enter the day care ended, or take the reason out."
        yield Fault(reason, message)


def care_status(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find a learner who is in care by one element and not by another."""
    status, end = child_of(element, "CareStatus"), child_of(element, "CareEndDate")
    if status is None:
        return
    if (text_of(child_of(element, "Current")), text_of(status)) in _CONTRADICTIONS:
        yield Fault(status, "CareStatus and Current say different things of whether care goes on: correct one of them.")
    ended = date_of(end)
    # a period of care does not count on its end date any more
    if end is not None and ended is not None and ended <= facts.today and text_of(status) in _GOES_ON:
        yield Fault(end, "CareEndDate is past, but CareStatus says that care goes on: correct one of them.")


def care_flag(element: etree._Element, facts: Facts) -> Iterable[Fault]:
    """Find a flag that differs from the authority's care records, or records that differ from it.

    A school must not learn from it what the records say, so it does not tell what differs, the status or the authority.
    """
    is_flag = name_of(element) == "InCare"
    learner = element.getparent() if is_flag else element
    if learner is None:
        return
    words = facts.care(learner.get("RefId" if is_flag else "LearnerPersonalRefId", "").strip())
    if words is None or words.agree:
        return
    if is_flag:
        message = (
            "InCare differs from the authority's care records, and the zone shares by those: ask the virtual school "
            "which of them is right, and correct InCare if it is not."
        )
    else:
        message = (
            "InCare, as the school says it in LearnerPersonal, differs from the care records, and the zone shares by "
            "these: correct this record if it is wrong, or have the school correct InCare."
        )
    yield Fault(element, message)


def transfer_sides(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a whole transfer that names neither school."""
    schools = element.get("FromSchoolInfoRefId", "").strip() + element.get("ToSchoolInfoRefId", "").strip()
    if schools or not _has(element, WHOLE_TRANSFER):
        return ()
    message = (
        "LearnerTransfer names neither the old school nor the new one: give FromSchoolInfoRefId or ToSchoolInfoRefId."
    )
    return (Fault(element, message),)


def _has(element: etree._Element, names: tuple[str, ...]) -> bool:
    return {name_of(child) for child in element}.issuperset(names)


RULES: Final = (
    Rule(
        "care-without-authority",
        "Authority of a learner in care",
        {
            "LearnerLookedAfter": ("LearnerLookedAfter/Current",),
            "LearnerPersonal": ("Current",),
            "LearnerTransfer": ("LookedAfterAtTransfer",),
        },
        "warn",
        "SIF UK: InCare/LAId, mandatory, is the authority that looks after the learner; the zone shares care data by "
        "it, and without it with nobody.",
        care_without_authority,
        MISSING,
    ),
    Rule(
        "care-dates",
        "End of a period of care",
        {"LearnerLookedAfter": ("LearnerLookedAfter",)},
        "warn",
        "SSDA903: an episode that has a day of end has a reason, and the other way round; for the care status it is "
        "our own rule.",
        care_dates,
        MISSING,
    ),
    Rule(
        "care-status",
        "Whether care goes on",
        {"LearnerLookedAfter": ("LearnerLookedAfter",)},
        "warn",
        "Our own rule: a school acts on Current or CareStatus alone, since an agreement need not share both.",
        care_status,
    ),
    Rule(
        FLAG_AGREES,
        "Care by a school's flag and by the authority's records",
        {"LearnerLookedAfter": ("LearnerLookedAfter",), "LearnerPersonal": ("InCare",)},
        "warn",
        "Our own rule: the authority's records outrank a school's flag, and neither overwrites the other, so people "
        "have to mend what differs.",
        care_flag,
    ),
    Rule(
        "transfer-sides",
        "Schools of a transfer",
        {"LearnerTransfer": ("LearnerTransfer",)},
        "warn",
        "Our own rule: a transfer without a school cannot be passed on to any.",
        transfer_sides,
        MISSING,
    ),
)
