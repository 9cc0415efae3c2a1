"""Whose record is it: what numbers decide, what people must decide, and what is nobody's."""

from dataclasses import replace
from datetime import date
from typing import Final

import pytest

from broker.identity import (
    DOUBTFUL,
    Candidate,
    How,
    Verdict,
    compare,
    explain,
    is_uln,
    is_upn,
    kept_keys,
    locate,
    search_keys,
    soundex,
    total,
)
from broker.protocol.identifiers import RefId
from broker.protocol.identity import Claim, Outcome

KEY: Final = RefId("A" * 32)
THERE: Final = "B" * 32
UPN: Final = "H801200001001"
OTHER_UPN: Final = "B801200005001"
TEMPORARY: Final = "X00180001701A"
ULN: Final = "9276308686"
BORN: Final = date(2012, 3, 4)
ANN: Final = Claim(KEY, UPN, (), "", "Madeup", "Ann", BORN, "F", "QA1 1AA")


def like(**changes: object) -> Claim:
    """Return Ann as somebody else has her: without her UPN unless it is given."""
    return replace(ANN, **({"upn": ""} | changes))  # type: ignore[arg-type]  # fields by name


def verdict(claim: Claim, *others: Claim, same_agent: bool = False) -> Verdict:
    """Return whose record *claim* is among learners described by *others*, the first of whom is THERE."""
    refs = (THERE, "C" * 32, "D" * 32)
    return locate(claim, [Candidate(ref, other, same_agent) for ref, other in zip(refs, others, strict=False)])


def outcome(claim: Claim, *others: Claim) -> tuple[Outcome, How | None]:
    found = verdict(claim, *others)
    match = found.match or (found.matches[0] if found.matches else None)
    return found.outcome, match.how if match else None


@pytest.mark.parametrize("text", [UPN, OTHER_UPN, TEMPORARY, "P207000016049", "J93899992301A"])
def test_a_upn_counts_when_its_check_letter_fits(text: str) -> None:
    assert is_upn(text)
    assert not is_upn("A" + text[1:])


@pytest.mark.parametrize("text", ["", "Q207000016049", "H80120000100", "I801200001001", "UN1", "H80120000100Ã"])
def test_what_is_no_upn_counts_for_nothing(text: str) -> None:
    assert not is_upn(text)


@pytest.mark.parametrize("text", [ULN, "1000000027", "1234567899"])
def test_a_uln_counts_when_its_check_digit_fits(text: str) -> None:
    assert is_uln(text)
    assert not is_uln(text[:-1] + str((int(text[-1]) + 1) % 10))
    assert not is_uln(text[:-1])


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_the_same_upn_is_sure_whatever_else_is_unknown() -> None:
    assert outcome(Claim(KEY, UPN), Claim(KEY, UPN)) == (Outcome.FOUND, How.UPN)


def test_a_learner_who_moved_and_took_another_family_name_is_sure_by_upn() -> None:
    assert outcome(ANN, replace(ANN, family_name="Otherwise", postcode="QA9 9AA")) == (Outcome.FOUND, How.UPN)


@pytest.mark.parametrize(
    "other",
    [
        replace(ANN, birth_date=date(2012, 3, 5)),
        replace(ANN, given_name="Boris"),
        replace(ANN, given_name="Boris", family_name="Otherwise", birth_date=date(2009, 1, 1)),
    ],
    ids=["birth date", "given name: a twin's number", "everything: a number used again"],
)
def test_a_upn_whose_learner_is_another_by_birth_date_or_given_name_waits(other: Claim) -> None:
    assert outcome(ANN, other) == (Outcome.WAITING, How.UPN)


def test_a_upn_with_a_wrong_check_letter_links_nobody() -> None:
    wrong = "A" + UPN[1:]

    assert outcome(Claim(KEY, wrong), Claim(KEY, wrong)) == (Outcome.NEW, None)
    assert not search_keys(Claim(KEY, wrong))


@pytest.mark.parametrize(
    ("claim", "other"),
    [
        (like(upn=OTHER_UPN, former_upns=(UPN,)), ANN),
        (ANN, like(upn=OTHER_UPN, former_upns=(UPN,))),
        (like(former_upns=(UPN,)), like(former_upns=(UPN,))),
    ],
    ids=["mine", "theirs", "both"],
)
def test_a_former_upn_is_sure_either_way_with_the_same_birth_date(claim: Claim, other: Claim) -> None:
    assert outcome(claim, other) == (Outcome.FOUND, How.FORMER_UPN)


def test_a_former_upn_without_a_birth_date_waits() -> None:
    assert outcome(Claim(KEY, former_upns=(UPN,)), ANN) == (Outcome.WAITING, How.FORMER_UPN)


@pytest.mark.parametrize(
    ("born", "expected"),
    [
        (BORN, (Outcome.FOUND, How.TEMPORARY_UPN)),
        (None, (Outcome.WAITING, How.TEMPORARY_UPN)),
        (date(2011, 7, 9), (Outcome.NEW, None)),
    ],
    ids=["the same", "unknown", "another"],
)
def test_a_temporary_upn_counts_with_the_same_birth_date_alone(
    born: date | None, expected: tuple[Outcome, How | None]
) -> None:
    assert outcome(Claim(KEY, TEMPORARY, birth_date=BORN), Claim(KEY, TEMPORARY, birth_date=born)) == expected


def test_the_same_uln_is_sure_unless_the_birth_date_speaks_against_it() -> None:
    assert outcome(Claim(KEY, uln=ULN, birth_date=BORN), Claim(KEY, uln=ULN)) == (Outcome.FOUND, How.ULN)
    other = Claim(KEY, uln=ULN, birth_date=date(2009, 1, 1))
    assert outcome(Claim(KEY, uln=ULN, birth_date=BORN), other) == (Outcome.WAITING, How.ULN)


def test_the_same_upn_with_another_uln_waits() -> None:
    assert outcome(replace(ANN, uln=ULN), replace(ANN, uln="1000000027")) == (Outcome.WAITING, How.UPN)


def test_two_learners_with_the_same_number_wait_for_a_person() -> None:
    found = verdict(ANN, ANN, ANN)

    assert found.outcome is Outcome.WAITING
    assert [match.ref_id for match in found.matches] == ["C" * 32, THERE]


def test_a_number_that_another_record_of_the_same_agent_has_waits() -> None:
    assert verdict(ANN, ANN, same_agent=True).outcome is Outcome.WAITING


def test_a_refid_that_others_use_already_stays_and_other_matches_are_a_question() -> None:
    found = locate(ANN, [Candidate(KEY, like(), False), Candidate(THERE, ANN, False)])

    assert found.match is not None
    assert (found.outcome, found.match.ref_id, found.match.how) == (Outcome.FOUND, KEY, How.REF_ID)
    assert [match.ref_id for match in found.matches] == [THERE]


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_and_birth_date_and_address_are_never_sure() -> None:
    found = verdict(like(), like())

    assert (found.outcome, found.match) == (Outcome.WAITING, None)
    assert [(match.how, match.sure, match.score) for match in found.matches] == [(How.NAMES, False, 100)]


@pytest.mark.parametrize(
    "other",
    [
        like(postcode="QA9 9AA"),
        like(postcode="QA9 9AA", upn=OTHER_UPN),
        like(postcode="", gender=""),
        like(birth_date=date(2012, 4, 3)),
        like(birth_date=date(2012, 3, 14)),
        like(family_name="Otherwise"),
        like(given_name="Anne", family_name="Made-Up"),
        like(given_name="Madeup", family_name="Ann"),
        like(given_name="ÁNN", family_name="madeup"),
        like(gender="M", postcode=""),
    ],
    ids=["moved", "moved, new UPN", "no address", "day and month", "one digit", "family name", "spelling", "exchanged",
         "accents", "gender"],
)  # fmt: skip
def test_what_is_mistyped_or_has_changed_waits_for_a_person(other: Claim) -> None:
    assert outcome(ANN, other) == (Outcome.WAITING, How.NAMES)
    assert kept_keys(other) & search_keys(ANN), "it would not even be looked at"


@pytest.mark.parametrize(
    "other",
    [
        like(given_name="Zed"),
        like(given_name="Zed Ruth", upn=OTHER_UPN),
        like(birth_date=date(2009, 11, 20)),
        like(family_name="Otherwise", postcode="QA9 9AA"),
        like(given_name="", postcode="QA1 1AA"),
        like(birth_date=None),
    ],
    ids=["twin", "twin with a UPN", "another age", "namesake", "no given name", "no birth date"],
)
def test_twins_and_namesakes_are_nobody_elses_record(other: Claim) -> None:
    assert outcome(ANN, other) == (Outcome.NEW, None)


def test_twins_who_share_a_second_name_are_told_apart_by_the_first() -> None:
    twin = like(given_name="Zed Ruth")

    assert outcome(replace(ANN, given_name="Ann Ruth"), replace(twin, upn=UPN)) == (Outcome.WAITING, How.UPN)


def test_two_records_of_one_agent_are_two_children_whatever_their_names() -> None:
    assert verdict(like(), like(), same_agent=True).outcome is Outcome.NEW


def test_who_makes_no_learners_is_told_that_there_is_none() -> None:
    assert outcome(replace(ANN, locate_only=True)) == (Outcome.NONE, None)


def test_the_score_is_explained_field_by_field_without_values() -> None:
    other = like(given_name="Anne", birth_date=date(2012, 4, 3), gender="M", upn=OTHER_UPN, uln=ULN)

    parts = {part.field: (part.said, part.most) for part in explain(ANN, other)}

    assert parts == {
        "given name": ("alike", 40),
        "family name": ("the same", 25),
        "birth date": ("day and month exchanged", 20),
        "postcode": ("the same", 15),
        "gender": ("different", 0),
        "UPN": ("different", 0),
        "ULN": ("not known on both sides", 0),
    }
    assert "Ann" not in repr(explain(ANN, other))
    assert DOUBTFUL > total(explain(ANN, other)) > 0


def test_a_score_is_of_what_both_sides_know() -> None:
    assert total(explain(Claim(KEY), ANN)) == 0
    assert total(explain(Claim(KEY, family_name="Madeup"), ANN)) == 100


def test_the_best_description_of_a_learner_counts() -> None:
    found = locate(ANN, [Candidate(THERE, like(given_name="Zed")), Candidate(THERE, ANN)])

    assert found.outcome is Outcome.FOUND


def test_no_match_says_who_somebody_is() -> None:
    match = compare(ANN, Candidate(THERE, ANN))

    assert match is not None
    assert UPN not in repr(match)


@pytest.mark.parametrize(
    ("one", "two"), [("MADEUP", "MADDUPP"), ("STONE", "STOAN"), ("WICKHAM", "WIKHAM"), ("O", "O")], ids=str
)
def test_names_that_sound_alike_are_found_together(one: str, two: str) -> None:
    assert soundex(one) == soundex(two)
    assert soundex("") == ""
