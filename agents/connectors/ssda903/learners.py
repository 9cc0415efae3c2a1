"""What social care knows of who a child is, and the one place where the zone's RefId of the learner comes in."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from stdnum.gb.upn import calc_check_digit

from agents.connectors.ssda903.codes import CODES

_FORM: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]")
_ULN: Final = re.compile(r"[1-9][0-9]{9}")


@dataclass(frozen=True, slots=True)
class Claim:
    """A child as social care knows it; the return has no names.

    Attributes:
        upn: None when there is none (UN1 to UN5 say why; none of them is anybody's number), or when it is wrong.
        sex: M, F or U.
    """

    upn: str | None = field(repr=False)
    uln: str | None = field(repr=False)
    born: date | None = field(repr=False)
    sex: str | None = field(repr=False)


Locate = Callable[[Claim], str | None]
"""Returns the RefId under which the zone knows the learner; None when it knows none, or more than one."""


def nobody(claim: Claim) -> str | None:
    """Return None: the zone has not been asked."""
    del claim
    return None


def usable_upn(text: str) -> bool:
    """Tell whether a UPN has the right form and check letter.

    An object about care holds no UPN, so that nobody after us could see that a mistyped one is another child's.

    Source:
        UPN: letter, 11 digits, digit or letter, without I, O and S; check letter by weights 2 to 13, modulo 23.
    """
    return bool(_FORM.fullmatch(text)) and calc_check_digit(text) == text[0]


def says_none(text: str) -> bool:
    """Tell whether what stands in place of a UPN says why there is none."""
    return text in CODES["CLANoUPN"]


def usable_uln(text: str) -> bool:
    """Tell whether a ULN has the right form and check digit."""
    return (
        bool(_ULN.fullmatch(text)) and sum(int(d) * w for d, w in zip(text, range(10, 0, -1), strict=True)) % 11 == 10
    )
