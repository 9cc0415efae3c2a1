"""Whose record is it: compares what an agent says of a learner with the learners that the zone knows; no I/O.

Numbers decide, people decide where numbers do not, and names alone never do. Our own rules, in the order of the numbers
that schools and authorities match by: UPN, former UPN, temporary UPN, ULN, then names with a person's word.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from rapidfuzz.distance import JaroWinkler
from stdnum.gb.upn import calc_check_digit

from broker.protocol.identity import Claim, Outcome

DOUBTFUL: Final = 75
"""Score, of 100, from which names and birth date are worth a person's look.

The same names and birth date at another address and with another UPN have exactly so many; twins whose given names are
unlike have 60 or less.

Source:
    Our own rule.
"""
ALIKE: Final = 0.75
"""Likeness of two names, of 1, below which they count as different; Jaro-Winkler, of whole names and of their words."""
MOST_CANDIDATES: Final = 10
"""Candidates that a person is shown for one learner, best first."""

_GIVEN, _FAMILY, _BORN, _HOME = 40, 25, 20, 15
_OTHER_GENDER, _OTHER_UPN, _OTHER_ULN = 10, 10, 20
_EXCHANGED: Final = 0.7
_ONE_DIGIT: Final = 0.5
_CROSSED: Final = 0.9

_UPN_FORM: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]")
_ULN_FORM: Final = re.compile(r"[1-9][0-9]{9}")
_NOT_LETTERS: Final = re.compile(r"[^A-Z ]+")
_NO_ACCENT: Final = str.maketrans({"ß": "SS", "Ø": "O", "Ł": "L", "Æ": "AE", "Œ": "OE", "Đ": "D", "Þ": "TH", "Ð": "D"})
_SOUNDS: Final = str.maketrans("BFPVCGJKQSXZDTLMNR", "111122222222334556")
_remembered: Final = lru_cache(maxsize=4096)
"""One claim is compared with many others, so that the same few texts are looked at again and again."""
_SEXES: Final = {"M": "M", "MALE": "M", "1": "M", "F": "F", "FEMALE": "F", "2": "F"}


class How(StrEnum):
    """By what a learner was found."""

    REF_ID = "ref-id"
    """Other agents already use the RefId that the agent asks with."""
    UPN = "upn"
    FORMER_UPN = "former-upn"
    TEMPORARY_UPN = "temporary-upn"
    ULN = "uln"
    NAMES = "names"


class Candidate(NamedTuple):
    """One description of a learner that the zone knows.

    Attributes:
        ref_id: The RefId in use for the learner.
        claim: What an agent said of the learner; where only a number is known, that.
        same_agent: The agent that asks has another record that is this learner already.
    """

    ref_id: str
    claim: Claim
    same_agent: bool = False


class Part(NamedTuple):
    """One line of an explained score; holds no value.

    Attributes:
        field: For example ``given name``.
        said: For example ``the same``, ``one digit differs``.
        points: What it adds, or takes away; ``most`` what it could add, 0 where one side does not know it.
    """

    field: str
    said: str
    points: float
    most: float


@dataclass(frozen=True, slots=True)
class Match:
    """A learner that the one asked about is, or may be.

    Attributes:
        sure: Whether no person needs to look.
        score: Names, birth date and address, 0 to 100, less what speaks against it.
        parts: The score explained, field by field.
    """

    ref_id: str
    how: How
    sure: bool
    score: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose record it is.

    Attributes:
        outcome: FOUND when *match* is the learner; WAITING for a person; NEW, or NONE for who makes no learners.
        matches: All that it may be, best first, without the one that it is.
    """

    outcome: Outcome
    match: Match | None = None
    matches: tuple[Match, ...] = ()


def locate(claim: Claim, candidates: Iterable[Candidate]) -> Verdict:
    """Return whose record *claim* is among *candidates*, of which one learner may have several.

    A learner whose RefId the agent asks with stays so. Otherwise one sure match is the learner; two different ones, or
    matches that are not sure, wait for a person.

    Source:
        Our own rule.
    """
    best: dict[str, Match] = {}
    for candidate in candidates:
        match = compare(claim, candidate)
        known = best.get(candidate.ref_id)
        if match is not None and (known is None or _rank(match) > _rank(known)):
            best[candidate.ref_id] = match
    matches = sorted(best.values(), key=lambda match: (_rank(match), match.ref_id), reverse=True)
    sure = [match for match in matches if match.sure]
    own = [match for match in sure if match.how is How.REF_ID]
    if len(sure) == 1 or own:
        found = (own or sure)[0]
        others = tuple(match for match in matches if match is not found)
        return Verdict(Outcome.FOUND, found, others[:MOST_CANDIDATES])
    if matches:
        return Verdict(Outcome.WAITING, None, tuple(matches[:MOST_CANDIDATES]))
    return Verdict(Outcome.NONE if claim.locate_only else Outcome.NEW)


def compare(claim: Claim, candidate: Candidate) -> Match | None:
    """Return how *claim* matches *candidate*; None when it does not.

    A number is sure when neither the birth date nor the given name speaks against it: twins' numbers follow one
    another, and each has the other's birth date and family name. Family names change, and so say nothing against it.

    - UPN, permanent: sure unless contradicted, also by another ULN; then doubtful.
    - Former UPN, of either side: sure when the birth date is the same and nothing contradicts; else doubtful.
    - Temporary UPN: the same with the same birth date, doubtful where a birth date is not known, nothing where they
      differ, since schools give such numbers anew.
    - ULN: sure unless contradicted; then doubtful.
    - Names: with a birth date on both sides that is not another one altogether, doubtful from a score of DOUBTFUL.

    Never sure is what another record of the same agent already is: a duplicate, or a number copied to the wrong child.
    By names that is no match at all: who has two records has two children, and twins' names may be much alike.
    """
    ways = _ways(claim, candidate)
    if not ways and candidate.same_agent:
        return None
    parts = explain(claim, candidate.claim)
    score = total(parts)
    if not ways and is_doubtful(claim, candidate.claim, score):
        ways = [(How.NAMES, False)]
    if not ways:
        return None
    how, sure = next((way for way in ways if way[1]), ways[0])
    return Match(candidate.ref_id, how, sure and not candidate.same_agent, score, parts)


def _rank(match: Match) -> tuple[bool, bool, int]:
    return match.sure, match.how is not How.NAMES, match.score


def _ways(claim: Claim, candidate: Candidate) -> list[tuple[How, bool]]:
    """Return by which numbers they match, first those that count most, and whether each is sure."""
    other = candidate.claim
    born = likeness_of_dates(claim.birth_date, other.birth_date)
    against = (born is not None and born < 1) or given_names_differ(claim, other)
    mine, theirs = _upns(claim), _upns(other)
    ways: list[tuple[How, bool]] = []
    if claim.key == candidate.ref_id:
        ways.append((How.REF_ID, not against))
    same = mine.current & theirs.current
    if any(map(is_permanent, same)):
        ways.append((How.UPN, not against and _differ(_uln(claim), _uln(other)) is not True))
    former = ((mine.current | mine.former) & theirs.former) | (mine.former & theirs.current)
    if any(map(is_permanent, former)):
        ways.append((How.FORMER_UPN, born == 1 and not against))
    if any(not is_permanent(upn) for upn in same | former) and (born is None or born == 1):
        ways.append((How.TEMPORARY_UPN, born == 1 and not against))
    if _differ(_uln(claim), _uln(other)) is False:
        ways.append((How.ULN, not against))
    return ways


def is_doubtful(claim: Claim, other: Claim, score: int) -> bool:
    """Tell whether names and birth date make it worth a person's look; names alone never do more."""
    born = likeness_of_dates(claim.birth_date, other.birth_date)
    named = bool(claim.given_name and other.given_name and claim.family_name and other.family_name)
    return named and bool(born) and score >= DOUBTFUL


# -- the score --------------------------------------------------------------------------------------------------------


def explain(claim: Claim, other: Claim) -> tuple[Part, ...]:
    """Return the score field by field: given name 40, family name 25, birth date 20, postcode 15.

    Taken away are 10 for another gender, 10 for another permanent UPN, 20 for another ULN.

    Source:
        Our own rule.
    """
    given, family, crossed = _names(claim, other)
    born = likeness_of_dates(claim.birth_date, other.birth_date)
    home = _likeness(_compact(claim.postcode), _compact(other.postcode), lambda one, two: float(one == two))
    mine, theirs = _upns(claim), _upns(other)
    met = bool((mine.current | mine.former) & (theirs.current | theirs.former))
    permanent = [{upn for upn in upns.current if is_permanent(upn)} for upns in (mine, theirs)]
    return (
        _part("given name", given, _GIVEN, "exchanged with the family name" if crossed else ""),
        _part("family name", family, _FAMILY, "exchanged with the given name" if crossed else ""),
        _part("birth date", born, _BORN, {_EXCHANGED: "day and month exchanged", _ONE_DIGIT: "one digit differs"}),
        _part("postcode", home, _HOME),
        _against("gender", _differ(_sex(claim), _sex(other)), _OTHER_GENDER),
        _against("UPN", False if met else (True if all(permanent) else None), _OTHER_UPN),
        _against("ULN", _differ(_uln(claim), _uln(other)), _OTHER_ULN),
    )


def total(parts: Sequence[Part]) -> int:
    """Return the score of *parts*: 0 to 100, of what both sides know."""
    most = sum(part.most for part in parts)
    for_it = sum(part.points for part in parts if part.most)
    against = sum(part.points for part in parts if not part.most)
    return max(0, int(100 * for_it / most + against + 1e-9)) if most else 0


def _part(field: str, likeness: float | None, most: int, words: dict[float, str] | str = "") -> Part:
    if likeness is None:
        return Part(field, "not known on both sides", 0, 0)
    usual = "the same" if likeness == 1 else "alike" if likeness > 0 else "different"
    said = (words or usual) if isinstance(words, str) else words.get(likeness, usual)
    return Part(field, said, round(most * likeness, 1), most)


def _against(field: str, differ: bool | None, points: int) -> Part:
    if differ is None:
        return Part(field, "not known on both sides", 0, 0)
    return Part(field, "different", -points, 0) if differ else Part(field, "the same", 0, 0)


def _names(claim: Claim, other: Claim) -> tuple[float | None, float | None, bool]:
    """Return how alike given and family names are, and whether one side has them exchanged."""
    mine = _folded(claim.given_name), _folded(claim.family_name)
    theirs = _folded(other.given_name), _folded(other.family_name)
    given = _likeness(mine[0], theirs[0], _likeness_of_given)
    family = _likeness(mine[1], theirs[1], likeness_of_names)
    if all((*mine, *theirs)) and mine == theirs[::-1] and mine != theirs:
        return _CROSSED, _CROSSED, True
    return given, family, False


def _likeness(one: str, two: str, measure: Callable[[str, str], float]) -> float | None:
    return measure(one, two) if one and two else None


def _likeness_of_given(one: str, two: str) -> float:
    """Return how alike given names are; where both have several, by the first: twins may share the others."""
    if one != two and " " in one and " " in two:
        return likeness_of_names(one.split()[0], two.split()[0])
    return likeness_of_names(one, two)


def likeness_of_names(one: str, two: str) -> float:
    """Return how alike two folded names are: 1 the same, 0 below ALIKE; a name among several counts almost whole."""
    if one == two or one.replace(" ", "") == two.replace(" ", ""):
        return 1.0
    whole = JaroWinkler.similarity(one.replace(" ", ""), two.replace(" ", ""))
    shared = 0.95 if set(one.split()) & set(two.split()) else 0.0
    found = max(whole, shared)
    return float(found) if found >= ALIKE else 0.0


def likeness_of_dates(one: date | None, two: date | None) -> float | None:
    """Return how alike two birth dates are: 1 the same, 0.7 day and month exchanged, 0.5 one digit, else 0."""
    if one is None or two is None:
        return None
    if one == two:
        return 1.0
    if (one.year, one.month, one.day) == (two.year, two.day, two.month):
        return _EXCHANGED
    differing = sum(a != b for a, b in zip(one.isoformat(), two.isoformat(), strict=True))
    return _ONE_DIGIT if differing == 1 else 0.0


def given_names_differ(claim: Claim, other: Claim) -> bool:
    """Tell whether both have a given name, and these are unlike, exchanged with the family name or not."""
    given, _, crossed = _names(claim, other)
    return given == 0 and not crossed


# -- numbers ----------------------------------------------------------------------------------------------------------


class _Upns(NamedTuple):
    current: frozenset[str]
    former: frozenset[str]


def _upns(claim: Claim) -> _Upns:
    current = frozenset(upn for upn in (_compact(claim.upn),) if is_upn(upn))
    former = frozenset(upn for upn in map(_compact, claim.former_upns) if is_upn(upn))
    return _Upns(current, former - current)


@_remembered
def is_upn(text: str) -> bool:
    """Tell whether *text* has the form and check letter of a UPN; any other says nothing of whose it is.

    Source:
        UK Government Data Standards Catalogue, unique pupil number.
    """
    return bool(_UPN_FORM.fullmatch(text)) and calc_check_digit(text) == text[0]


def is_permanent(upn: str) -> bool:
    """Tell whether a UPN is no temporary one, which has a letter at its end."""
    return upn[-1:].isdigit()


@_remembered
def is_uln(text: str) -> bool:
    """Tell whether *text* has the form and check digit of a ULN: weights 10 to 1 add to 10, modulo 11.

    Source:
        HESA's page on the unique learner number.
    """
    weighted = sum(
        int(digit) * weight for digit, weight in zip(text, range(10, 0, -1), strict=False) if digit.isdigit()
    )
    return bool(_ULN_FORM.fullmatch(text)) and weighted % 11 == 10


def _uln(claim: Claim) -> str:
    text = _compact(claim.uln)
    return text if is_uln(text) else ""


def _sex(claim: Claim) -> str:
    return _SEXES.get(claim.gender.strip().upper(), "")


def _differ(one: str, two: str) -> bool | None:
    return one != two if one and two else None


# -- how learners are found -------------------------------------------------------------------------------------------

SearchKey = tuple[str, str]
"""Kind and value, for example ``("upn", "X00180001701A")``; storage keeps a keyed hash of both."""
_NUMBERS: Final = frozenset({"upn", "former-upn", "uln"})


def is_pair(key: SearchKey) -> bool:
    """Tell whether *key* is of names, dates and places, which several learners may share, and no number."""
    return key[0] not in _NUMBERS


def kept_keys(claim: Claim) -> frozenset[SearchKey]:
    """Return by what a learner described so is found: numbers, and four pairs of what a mistyped record still shares.

    Birth date and sound of the family name; birth date and given initial; birth date and postcode; postcode, sound of
    the family name and given initial.
    """
    upns = _upns(claim)
    keys = {("upn", upn) for upn in upns.current} | {("former-upn", upn) for upn in upns.former}
    if _uln(claim):
        keys.add(("uln", _uln(claim)))
    return frozenset(keys | _pairs(claim, claim.birth_date))


def search_keys(claim: Claim) -> frozenset[SearchKey]:
    """Return by what to look for a learner described so: former numbers either way, day and month also exchanged."""
    upns = _upns(claim)
    keys = {(kind, upn) for kind in ("upn", "former-upn") for upn in upns.current | upns.former}
    return frozenset(kept_keys(claim) | keys | _pairs(claim, _exchanged(claim.birth_date)))


def upns_of(claim: Claim) -> frozenset[str]:
    """Return all usable UPNs of *claim*, former ones too."""
    upns = _upns(claim)
    return upns.current | upns.former


def _pairs(claim: Claim, born: date | None) -> set[SearchKey]:
    given, family = _folded(claim.given_name), _folded(claim.family_name)
    home, sound = _compact(claim.postcode), soundex(family)
    keys: set[SearchKey] = set()
    if born is not None:
        day = born.isoformat()
        # a name may be on either side, where somebody has exchanged them
        keys |= {("day+sound", f"{day} {soundex(name)}") for name in (family, given) if name}
        keys |= {("day+initial", f"{day} {given[0]}")} if given else set()
        keys |= {("day+home", f"{day} {home}")} if home else set()
    if home and sound and given:
        keys.add(("home+name", f"{home} {sound} {given[0]}"))
    return keys


def _exchanged(born: date | None) -> date | None:
    if born is None or born.day > 12:  # no such month
        return None
    return date(born.year, born.day, born.month)


def soundex(name: str) -> str:
    """Return the first letter of a folded name and up to three digits for what sounds alike; empty for no name.

    Source:
        Soundex, without its rule for H and W.
    """
    letters = name.replace(" ", "")
    if not letters:
        return ""
    codes = [letter if letter.isdigit() else "" for letter in letters.translate(_SOUNDS)]
    digits = "".join(code for before, code in pairwise(codes) if code and code != before)
    return f"{letters[0]}{digits[:3]:0<3}"


@_remembered
def _folded(name: str) -> str:
    """Return *name* without accents, marks and case, its words one blank apart."""
    upper = name.upper().translate(_NO_ACCENT).replace("'", "").replace("\u2019", "").replace("-", " ")
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", upper) if not unicodedata.combining(letter))
    return " ".join(_NOT_LETTERS.sub(" ", plain).split()) or " ".join(plain.split())


def _compact(text: str) -> str:
    return "".join(text.split()).upper()
