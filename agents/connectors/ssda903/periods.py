"""Periods of care from the episodes of one child, and what is to be said of each; values in, values out.

An episode counts on its first day and no longer on its last, so that on the day of a change exactly one does. A period
of care is a chain of episodes, each starting on the day the one before ended, with X1 as reason; it starts with S.

A period of which something is doubtful is not made: that a child's care has ended, or goes on, is not to be guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, Literal

from agents.connectors.ssda903.codes import (
    ADOPTED,
    ANOTHER_AUTHORITY,
    GOES_ON,
    PREVIOUSLY_LOOKED_AFTER,
    REMAND,
    SHORT_BREAKS,
)
from agents.connectors.ssda903.rows import Report, Row

_EARLIEST: Final = date(1991, 10, 14)
_LAST_FREEING: Final = date(2005, 12, 30)
_ADULT: Final = 18
_LONGEST: Final = {"L1": timedelta(days=3), "L2": timedelta(days=21), "L3": timedelta(days=7)}
_MOVES: Final = frozenset("SPTBU")
_LEGAL_CHANGES: Final = frozenset("LBU")
_CARE_TYPES: Final = {"U": "FT", "K1": "CH", "K2": "CH", "P1": "WP", "A": "PA"}
_REMAND_AGE: Final = 10
Status = Literal["LA", "SB", "PL", "CE"]
Current = Literal["Yes", "No", "Unknown"]


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode, its values right by themselves.

    Attributes:
        reason: RNE, why it began.
        end: None while it is open.
        ended: REC, why it ended; empty when that is not known, or it is open.
        carer: What tells one placement from another of the same kind: provider, postcode, number.
    """

    row: Row
    start: date
    reason: str
    legal: str = field(repr=False)
    need: str = field(default="", repr=False)
    place: str = field(default="", repr=False)
    provider: str = field(default="", repr=False)
    postcode: str = field(default="", repr=False)
    carer: str = field(default="", repr=False)
    end: date | None = None
    ended: str = field(default="", repr=False)
    change: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a child was placed; legal changes meanwhile make no new one."""

    start: date
    end: date | None
    place: str = field(repr=False)
    provider: str = field(repr=False)
    postcode: str = field(repr=False)
    change: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Period:
    """One period of care, its episodes in order."""

    episodes: tuple[Episode, ...]

    @property
    def start(self) -> date:
        """The day on which care began."""
        return self.episodes[0].start

    @property
    def last(self) -> Episode:
        """The latest episode."""
        return self.episodes[-1]

    @property
    def end(self) -> date | None:
        """The day on which care ended; None while it goes on."""
        return self.last.end

    @property
    def status(self) -> Status:
        """CareStatus: looked after, short breaks, previously looked after (adopted, guardian and so on), ceased."""
        if self.end is not None:
            return "PL" if self.last.ended in PREVIOUSLY_LOOKED_AFTER else "CE"
        return "SB" if self.last.legal in SHORT_BREAKS else "LA"

    @property
    def current(self) -> Current:
        """Whether the child is in care: short breaks are not; what is under another authority is not ours to tell."""
        if self.moved:
            return "Unknown"
        return "Yes" if self.status == "LA" else "No"

    @property
    def moved(self) -> bool:
        """Whether care goes on under another authority."""
        return self.end is not None and self.last.ended == ANOTHER_AUTHORITY

    @property
    def adopted(self) -> bool:
        """Whether the child was adopted."""
        return self.end is not None and self.last.ended in ADOPTED

    @property
    def need(self) -> str:
        """Category of need, as it was when care began."""
        return next((episode.need for episode in self.episodes if episode.need), "")

    @property
    def placements(self) -> tuple[Placement, ...]:
        """The placements of a known kind, in order."""
        return tuple(placement for placement in _placements(self.episodes) if placement.place)

    @property
    def care_type(self) -> str:
        """SIF's kind of care, from the latest placement that is not a temporary one; empty when there is none."""
        places = [placement.place for placement in self.placements if not placement.place.startswith("T")]
        return _CARE_TYPES.get(places[-1], _CARE_TYPES.get(places[-1][0], "OT")) if places else ""

    def includes(self, day: date) -> bool:
        """Tell whether a day is in the period; the day on which it ended is, for what is dated on it."""
        return self.start <= day and (self.end is None or day <= self.end)


def derive(
    episodes: Sequence[Episode], as_at: date, born: date | None, spoilt: Sequence[date | None], report: Report
) -> list[Period]:
    """Return the periods of care of one child as they were on a day, in order; all else is reported.

    Args:
        episodes: Those that could be read, in any order.
        as_at: The day of which it is told; what came after it is not known yet.
        born: The child's birthday, where known.
        spoilt: When episodes that could not be read began, None where not even that is known.
        report: Is told of each row that is not used, and of what is wrong with others.

    Source:
        SSDA903 rules 142, 148, 352, 353, 355, 356, 358, 361 to 363, 380, 388, 431 to 437, 501, 504, 527 to 531. That
        a period is left out for what comes after its start and cannot be used is our own rule.
    """
    doubtful = [day or date.max for day in spoilt]
    kept = _in_turn(_known(episodes, as_at, report), report)
    kept_rows = {id(episode.row) for episode in kept}
    doubtful += [e.start for e in episodes if id(e.row) not in kept_rows and e.start <= as_at]
    chains = _chains(kept, report)
    reasons = [_unusable(chain, as_at, born) for chain in chains]
    doubtful += [chain[0].start for chain, reason in zip(chains, reasons, strict=True) if reason]
    found: list[Period] = []
    for chain, reason in zip(chains, reasons, strict=True):
        if reason is None and any(day >= chain[0].start for day in doubtful):
            reason = (
                "doubtful",
                "another episode of the child, of the same time or later, cannot be used, so that nobody can tell "
                "whether care went on: correct that one",
            )
        if reason is not None:
            for episode in chain:
                report.refuse(episode.row, *reason)
            continue
        _look(chain, born, report)
        found.append(Period(tuple(chain)))
    return found


def _known(episodes: Sequence[Episode], as_at: date, report: Report) -> list[Episode]:
    """Return the episodes as they were known on a day, in order."""
    known: list[Episode] = []
    for episode in sorted(episodes, key=lambda e: (e.start, e.end or date.max)):
        row = episode.row
        if episode.start < _EARLIEST:
            report.refuse(row, "too-early", "DECOM is before 14/10/1991, when these records begin: correct the year")
        elif episode.start > as_at:
            message = "the episode begins after the day that the return is of (as_at): it is not used yet"
            report.leave(row, "after-as-at", message)
        elif episode.end is not None and episode.end <= episode.start:
            report.refuse(row, "end-before-start", "DEC has to be at least a day after DECOM: correct one of them")
        elif episode.end is not None and episode.end > as_at:
            message = "DEC is after the day that the return is of (as_at): the episode is taken as open"
            report.warn(row, "after-as-at", message)
            known.append(replace(episode, end=None, ended="", change=""))
        else:
            known.append(episode)
    return known


def _in_turn(episodes: Sequence[Episode], report: Report) -> list[Episode]:
    """Return the episodes without those that are in the way of each other."""
    kept: list[Episode] = []
    for episode in episodes:
        last = kept[-1] if kept else None
        if last is not None and last.start == episode.start:
            message = "two episodes of the child begin on one day: remove one, or correct its DECOM"
            report.refuse(episode.row, "same-start", message)
            report.refuse(last.row, "same-start", message)
            kept.pop()
        elif last is not None and last.end is None:
            report.refuse(last.row, "not-closed", "is open though a later episode began: enter its DEC and REC")
            kept[-1] = episode
        elif last is not None and last.end is not None and episode.start < last.end:
            report.refuse(episode.row, "overlap", "begins before the episode before it ended: correct DECOM or DEC")
        else:
            kept.append(episode)
    return kept


def _chains(episodes: Sequence[Episode], report: Report) -> list[list[Episode]]:
    chains: list[list[Episode]] = []
    for episode in episodes:
        last = chains[-1][-1] if chains else None
        if last is None or last.end != episode.start:
            chains.append([episode])
        elif last.ended == GOES_ON:
            if episode.reason == "S":
                message = "RNE is S though care went on from the episode before (X1): it counts as one period of care"
                report.warn(episode.row, "start-in-care", message)
            chains[-1].append(episode)
        elif not last.ended and episode.reason != "S":
            message = "REC is not known, but the next episode goes on from it: taken as X1; enter it"
            report.warn(last.row, "no-reason", message)
            chains[-1].append(episode)
        else:
            if episode.reason == "S":
                message = "care begins (S) on the day it ended: if it went on, the REC before it is X1"
                report.warn(episode.row, "start-on-end", message)
            chains.append([episode])
    return chains


def _unusable(chain: Sequence[Episode], as_at: date, born: date | None) -> tuple[str, str] | None:
    """Return rule and reason why a chain is no period of care that can be told of."""
    last = chain[-1]
    if chain[0].reason != "S":
        return (
            "no-start",
            "care began before the first episode that is here (its RNE is not S): add the earlier returns (option "
            "earlier), or export all episodes",
        )
    if last.end is not None and not last.ended:
        return "no-reason", "DEC is filled and REC does not say why, so that care may have ended or not: enter REC"
    if last.ended == GOES_ON:
        return "no-next", "REC is X1 and no episode begins on that day: add it, or correct REC"
    if last.end is None and born is not None and _birthday(born, _ADULT) <= as_at:
        return "adult", "care is open past the 18th birthday: close the episode, or correct DOB"
    return None


def _look(chain: Sequence[Episode], born: date | None, report: Report) -> None:
    """Report what is odd in a period that is used."""
    if chain[0].place.startswith("T"):
        report.warn(chain[0].row, "temporary-first", "care cannot begin with a temporary placement: correct PLACE")
    if born is not None and _birthday(born, _ADULT) <= chain[0].start:
        report.warn(chain[0].row, "adult", "care begins at 18 or later: correct DECOM or DOB")
    if any((e.legal in SHORT_BREAKS) != (chain[0].legal in SHORT_BREAKS) for e in chain):
        message = "short breaks and other care in one period: end the one before the other begins"
        report.warn(chain[-1].row, "short-breaks", message)
    for episode in chain:
        _look_at(episode, born, report)
    for before, after in pairwise(chain):
        _look_between(before, after, report)


def _look_at(episode: Episode, born: date | None, report: Report) -> None:
    row, legal = episode.row, episode.legal
    if not episode.place:
        report.warn(row, "no-placement", "PLACE is empty or wrong, so that no placement is told: enter it")
    elif (episode.place == "P1") != (episode.provider == "PR0"):
        report.warn(row, "provider", "PR0, the parents, goes with placement P1, and P1 with PR0: correct one of them")
    elif episode.provider and episode.place[0] in "TZ":
        report.warn(row, "provider", "a temporary or other placement has no PLACE_PROVIDER: remove it")
    if legal == "D1" and episode.start > _LAST_FREEING:
        report.warn(row, "legal-status", "there are no freeing orders since December 2005: correct LS")
    limit = _LONGEST.get(legal)
    if limit is not None and episode.end is not None and episode.end - episode.start > limit:
        report.warn(row, "legal-status", f"LS holds for at most {limit.days} days: enter what came after it")
    if legal in REMAND and born is not None and episode.start < _birthday(born, _REMAND_AGE):
        report.warn(row, "legal-status", "LS is of remand or sentence, below the age of 10: correct LS or DOB")


def _look_between(before: Episode, after: Episode, report: Report) -> None:
    if before.need and after.need and before.need != after.need:
        report.warn(after.row, "need", "CIN differs within one period of care: the first counts; make them the same")
    if after.reason != "S" and (after.reason in _LEGAL_CHANGES) != (before.legal != after.legal):
        report.warn(after.row, "new-episode", "RNE does not agree with what changed in LS: correct RNE or LS")
    if after.reason == "L" and before.place != after.place:
        message = "RNE says that only LS changed, but PLACE differs: taken as a move; correct RNE or PLACE"
        report.warn(after.row, "new-episode", message)
    moved = (before.place, before.provider, before.carer) != (after.place, after.provider, after.carer)
    if after.reason in "PTBU" and not moved:
        message = "RNE says that the placement changed, but nothing of it did: taken as a move; correct RNE"
        report.warn(after.row, "new-episode", message)


def _placements(episodes: Sequence[Episode]) -> list[Placement]:
    found: list[Placement] = []
    place = ""
    for episode in episodes:
        if found and episode.reason not in _MOVES - {"S"} and episode.place == place:
            found[-1] = replace(found[-1], end=episode.end, change=episode.change)
            continue
        place = episode.place
        found.append(Placement(episode.start, episode.end, place, episode.provider, episode.postcode, episode.change))
    return found


def _birthday(born: date, age: int) -> date:
    """Return the day on which somebody is so old; who was born on 29 February is so on 1 March."""
    try:
        return born.replace(year=born.year + age)
    except ValueError:
        return date(born.year + age, 3, 1)
