"""Codes of the SSDA903 by collection year: what was right in one year need not be in another.

A collection year is named by the year in which it ends, on 31 March: 2026 for 2025-26. The lists have the names that
they have in ``schemas``, whose lists hold the codes of all years with what they mean.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

_FIRST, _LAST = 0, 9999
_ACCOMMODATION: Final = re.compile(r"[A-Z][12]|0")
Span = tuple[int, int]
Standing = Literal["valid", "other-year", "unknown"]


def _codes(spelt: str) -> Mapping[str, Span]:
    """Return the first and last collection year by code, from ``H5:-2024 K3:2025-``; without years: always."""
    found: dict[str, Span] = {}
    for word in spelt.split():
        code, _, years = word.partition(":")
        first, _, last = years.partition("-")
        found[code] = (int(first or _FIRST), int(last or _LAST))
    return found


CODES: Final[Mapping[str, Mapping[str, Span]]] = {
    name: _codes(spelt)
    for name, spelt in {
        "CLAAdopterLegalStatus": "L0 L11 L12 L2 L3 L4",
        "CLAAdopterSex": "M1 F1 MM FF MF",
        "CLAAdopters": "1 2",
        "CLAAdoptionReversed": "RD1 RD2 RD3 RD4",
        "CLAActivity": "F1 P1 F2 P2 F3:-2021 P3:-2021 F4:2022- P4:2022- F5:2022- P5:2022- G4 G5 G6 0",
        "CLACategoryOfNeed": "N1 N2 N3 N4 N5 N6 N7 N8",
        "CLAEpisodeCeased": "X1 E11 E12 E13 E14 E15 E16 E17 E2 E3 E41 E43:-2018 E44:-2018 E45:2019- E46:2019- "
        "E47:2019- E48:2019- E4A E4B E5 E6 E7 E8 E9",
        "CLAEthnicity": "WBRI WIRI WOTH WIRT WROM MWBC MWBA MWAS MOTH AIND APKN ABAN AOTH BCRB BAFR BOTH CHNE OOTH "
        "REFU NOBT",
        "CLAFlag": "0 1",
        "CLAInTouch": "YES NO DIED REFU NREQ RHOM",
        "CLALegalStatus": "C1 C2 D1 E1 V2 V3 V4 L1 L2 L3 J1 J2 J3",
        "CLAMissing": "M A",
        "CLANewEpisode": "S L P T B U",
        "CLANoUPN": "UN1 UN2 UN3 UN4 UN5",
        "CLAPlaceChange": "CARPL CLOSE ALLEG STAND APPRR CREQB CREQO CHILD LAREQ PLACE CUSTOD:2019- OTHER",
        "CLAPlacement": "A3 A4 A5 A6 H5:-2024 K1 K2 K3:2025- P1 P2:-2024 P3 R1 R2 R3 R5 S1 T0 T1 T2 T3 T4 U1 U2 U3 U4 "
        "U5 U6 Z1:-2025 Z11:2026- Z12:2026- Z13:2026- Z14:2026-",
        "CLAPlacementProvider": "PR0 PR1 PR2 PR3 PR4 PR5",
        "CLAPreviousPermanence": "P1 P2 P3 P4 Z1",
        "CLAReview": "PN0 PN1 PN2 PN3 PN4 PN5 PN6 PN7",
        "CLASDQReason": "SDQ1 SDQ2 SDQ3 SDQ4 SDQ5",
        "CLASex": "M:2025- F:2025- U:2025- 1:-2024 2:-2024",
        "CLASocialWorkerChange": "MANAGE FCONTA LEFTRL ORGRST TSPROC ABSENC CHCHAN PCCHAN SWDIED OTHERS",
    }.items()
}
ACCOMMODATION_LIST: Final = "CLAAccommodation"
"""The one list that is a pattern: a letter, then 1 suitable or 2 unsuitable."""

SHORT_BREAKS: Final = frozenset({"V3", "V4"})
REMAND: Final = frozenset({"J1", "J2", "J3"})
GOES_ON: Final = "X1"
ANOTHER_AUTHORITY: Final = "E3"
ADOPTED: Final = frozenset({"E11", "E12"})
PREVIOUSLY_LOOKED_AFTER: Final = ADOPTED | {"E41", "E43", "E44", "E45", "E46", "E47", "E48"}
"""Ends of care after which education still has duties: adoption, special guardianship, child arrangements order."""


def collection_year(day: date) -> int:
    """Return the collection year that a day is in: 2026 for 1 April 2025 to 31 March 2026."""
    return day.year + 1 if day >= date(day.year, 4, 1) else day.year


def standing(code_list: str, code: str, years: set[int]) -> Standing:
    """Tell whether a code is right in one of some collection years, only in others, or in none."""
    if code_list == ACCOMMODATION_LIST:
        return "valid" if _ACCOMMODATION.fullmatch(code) else "unknown"
    span = CODES[code_list].get(code)
    if span is None:
        return "unknown"
    return "valid" if any(span[0] <= year <= span[1] for year in years) else "other-year"
