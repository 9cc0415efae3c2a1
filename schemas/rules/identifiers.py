"""Rules about pupil and learner numbers, whose check digits the official samples of SIF UK do not pass."""

import re
from collections.abc import Iterable
from operator import mul
from typing import Final

from lxml import etree
from stdnum.gb.upn import calc_check_digit

from schemas.rules.facts import Facts
from schemas.rules.rule import Fault, Rule, before, text_of

# I, O and S are never used, first or last; a letter at the end makes the number a temporary one
_FORM: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]").fullmatch

_ULN_FORM: Final = re.compile(r"[1-9][0-9]{9}").fullmatch
_ULN_WEIGHTS: Final = range(10, 0, -1)
_ULN_SUM: Final = 10

_UPN: Final = {
    "LearnerPersonal": ("LearnerPersonal/UPN",),
    "LearnerTransfer": ("PreviousUPN", "UPNAtNewSchool"),
}


def _numbers(*runs: tuple[int, int]) -> frozenset[str]:
    return frozenset(f"{number:03}" for first, last in runs for number in range(first, last + 1))


# python-stdnum's own list is of 2011 and refuses 001, 820 and the Welsh authorities, among others
_AUTHORITIES: Final = _numbers(
    *((1, 5), (201, 213), (301, 320), (330, 336), (340, 344), (350, 359), (370, 373), (380, 384), (390, 394)),
    *((420, 420), (660, 681), (701, 708), (800, 803), (805, 808), (810, 813), (815, 816), (820, 823), (825, 826)),
    *((830, 831), (835, 841), (845, 846), (850, 852), (855, 857), (860, 861), (865, 896), (908, 909), (916, 916)),
    *((919, 919), (921, 921), (925, 926), (928, 929), (931, 931), (933, 933), (935, 938), (940, 943)),
)


def upn_form(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a pupil number that is not in the form of one, permanent or temporary."""
    upn = text_of(element)
    if not upn or _FORM(upn):
        return ()
    message = (
        "UPN is not in the right form, a letter, eleven digits and a digit or letter, without I, O and S: "
        "correct it in the pupil's record."
    )
    return (Fault(element, message),)


def upn_check_letter(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a pupil number in the right form whose first letter does not fit the rest."""
    upn = text_of(element)
    if not _FORM(upn) or calc_check_digit(upn) == upn[0]:
        return ()
    message = (
        "UPN has a check letter that does not fit its digits: look the number up in the old school's file or ask the "
        "authority, and correct it in the pupil's record."
    )
    return (Fault(element, message),)


def upn_authority(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a pupil number that no authority can have issued: digits 2 to 4 are the authority's."""
    upn = text_of(element)
    if upn[1:4] in _AUTHORITIES or not _FORM(upn):
        return ()
    message = (
        "UPN has the number of an authority that is not on the list: look the number up in the old school's file, and "
        "correct it in the pupil's record if it differs."
    )
    return (Fault(element, message),)


def temporary_upn(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a pupil number that only stands in for the true one."""
    upn = text_of(element)
    if not upn[-1:].isalpha() or not _FORM(upn):
        return ()
    message = (
        "UPN is a temporary one: ask the old school or the authority for the permanent number, and enter it in the "
        "pupil's record."
    )
    return (Fault(element, message),)


def former_upn(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a former pupil number that is not in the form of one, or is the present one."""
    upn = text_of(element)
    if not upn:
        return ()
    if not _FORM(upn):
        message = (
            "A former UPN is not in the right form, a letter, eleven digits and a digit or letter, without I, O and S: "
            "correct it in the pupil's record, or take it off the list of former UPNs."
        )
        return (Fault(element, message),)
    former_list = element.getparent()
    if former_list is None or upn != text_of(before(former_list, "UPN")):
        return ()
    return (Fault(element, "A former UPN is the same as the present one: take it off the list of former UPNs."),)


def uln_check_digit(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a learner number whose last digit does not fit the others; its form is for the schema."""
    uln = text_of(element)
    # the code of a digit is 48 more than the digit: with these weights 11 * 240 more, which modulo 11 is nothing
    if sum(map(mul, _ULN_WEIGHTS, uln.encode())) % 11 == _ULN_SUM or not _ULN_FORM(uln):
        return ()
    message = (
        "ULN has a check digit that does not fit the other digits: look the number up with the Learning Records "
        "Service, and correct it in the learner's record."
    )
    return (Fault(element, message),)


RULES: Final = (
    Rule(
        "upn-form",
        "Form of the UPN",
        _UPN,
        "warn",
        "UK Government Data Standards Catalogue, unique pupil number; the schema of SIF UK has no pattern for it.",
        upn_form,
    ),
    Rule(
        "upn-check-letter",
        "Check letter of the UPN",
        _UPN,
        "warn",
        "UK Government Data Standards Catalogue, unique pupil number: the first letter is made from the other twelve "
        "characters, modulo 23.",
        upn_check_letter,
    ),
    Rule(
        "upn-authority",
        "Authority in the UPN",
        _UPN,
        "shadow",
        "Authority numbers in use since April 1999, as a supplier of school systems lists them, with those of 2019, "
        "2021 and 2023; such lists age, so unless set otherwise the rule only counts.",
        upn_authority,
    ),
    Rule(
        "temporary-upn",
        "Temporary UPN",
        {"LearnerPersonal": ("LearnerPersonal/UPN",)},
        "warn",
        "UK Government Data Standards Catalogue, unique pupil number: a letter at the end marks a number that is used "
        "until the permanent one is found.",
        temporary_upn,
    ),
    Rule(
        "former-upn",
        "Former UPNs",
        {"LearnerPersonal": ("FormerUPNList/UPN",)},
        "warn",
        "UK Government Data Standards Catalogue, unique pupil number; that none is the present one is our own rule.",
        former_upn,
    ),
    Rule(
        "uln-check-digit",
        "Check digit of the ULN",
        {"LearnerPersonal": ("ULN",)},
        "warn",
        "HESA's page on the unique learner number: the last digit is made from the other nine, modulo 11.",
        uln_check_digit,
    ),
)
