"""Agreements are read strictly: whoever writes one is told everything that is wrong, and how to put it right."""

from datetime import date, timedelta
from pathlib import Path

import pytest

import schemas
from broker.agreements import EXPIRY_WARNINGS, Scope, load_agreements, parse_agreement
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from tests.unit.broker.builders import agreement

GOOD = """
id = "learning-platform-accounts"
title = "Learner accounts on the learning platform"
from = ["mis-*"]
to = ["merlin"]
purpose = "Give each learner their own space"
lawful_basis = "UK GDPR Article 6(1)(e)"
starts = 2026-09-01
expires = 2027-08-31
learners = "enrolled"

[objects.LearnerPersonal]
share = ["@RefId", "LocalId", "PersonalInformation/Name", "CurrentSchoolEnrolment/@MembershipType"]
"""
FIRST, LAST = date(2026, 9, 1), date(2027, 8, 31)


def fault(old: str, new: str) -> str:
    """Return what is said about the good agreement with *old* replaced."""
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        parse_agreement(GOOD.replace(old, new).encode(), "agreements/a.toml")
    assert str(caught.value).startswith("agreements/a.toml: ")
    return str(caught.value)


def test_an_agreement_is_what_its_file_says() -> None:
    made = parse_agreement(GOOD.encode(), "a.toml")

    assert (made.id, made.senders, made.recipients) == ("learning-platform-accounts", ("mis-*",), ("merlin",))
    assert (made.starts, made.expires, made.scope, made.shielded) == (FIRST, LAST, Scope.ENROLLED, False)
    assert dict(made.shares) == {
        "LearnerPersonal": ("@RefId", "LocalId", "PersonalInformation/Name", "CurrentSchoolEnrolment/@MembershipType")
    }


def test_every_change_of_wording_has_its_own_digest() -> None:
    texts = [GOOD, GOOD + "\n", GOOD.replace("own space", "own room")]

    digests = {parse_agreement(text.encode(), "a.toml").digest for text in texts}

    assert len(digests) == 3
    assert all(len(digest) == 8 for digest in digests)


@pytest.mark.parametrize(
    "key", ["id", "title", "from", "to", "purpose", "lawful_basis", "starts", "expires", "learners"]
)
def test_each_key_is_required_and_named_when_missing(key: str) -> None:
    line = next(line for line in GOOD.splitlines() if line.startswith(f"{key} ="))

    assert f"{key}: " in fault(line + "\n", "\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param('id = "', 'id = "Not An Id', ["id: "], id="id"),
        pytest.param('"enrolled"', '"everybody"', ["learners: ", "'enrolled'", "'looked-after'"], id="scope"),
        pytest.param("2026-09-01", '"soon"', ["starts: "], id="date"),
        pytest.param('["mis-*"]', "[]", ["from: "], id="no sender"),
        pytest.param('["merlin"]', '"merlin"', ["to: "], id="recipient not in a list"),
        pytest.param("2027-08-31", "2026-08-31", ["expires (2026-08-31) is before starts (2026-09-01)"], id="order"),
        pytest.param("purpose =", "purpos =", ["purpos: ", "did you mean purpose?"], id="misspelt key"),
        pytest.param("share =", "shares =", ["objects.LearnerPersonal.shares: ", "did you mean share?"], id="share"),
        pytest.param(
            "objects.LearnerPersonal",
            "objects.LearnerPersonel",
            ["objects.LearnerPersonel: no schema has this object", "did you mean LearnerPersonal?"],
            id="object",
        ),
        pytest.param(
            "PersonalInformation/Name",
            "PersonalInformation/Nmae",
            ["LearnerPersonal has no PersonalInformation/Nmae", "did you mean PersonalInformation/Name?"],
            id="element",
        ),
        pytest.param(
            "@MembershipType",
            "MembershipType",
            ["did you mean CurrentSchoolEnrolment/@MembershipType?"],
            id="attribute",
        ),
        pytest.param(
            "PersonalInformation/Name",
            "PersonalInformation/Name[@Type='C']",
            ["LearnerPersonal has no PersonalInformation/Name[@Type='C']", "did you mean PersonalInformation/Name?"],
            id="condition",
        ),
        pytest.param('"@RefId", ', "", ["objects.LearnerPersonal.share: add @RefId"], id="key"),
        pytest.param('["mis-*"]', '["mis-*"', ["not a TOML file", "line"], id="syntax"),
        pytest.param("[objects.LearnerPersonal]", "[objects.LearnerPersonal]\n[other]", ["share"], id="no share"),
    ],
)
def test_what_is_wrong_is_named_with_where_and_the_nearest_right_name(old: str, new: str, says: list[str]) -> None:
    text = fault(old, new)

    assert [part for part in says if part not in text] == []


@pytest.mark.parametrize("path", ["", "/LocalId", "LocalId/", "PersonalInformation//Name", ".", "..", "@", " LocalId"])
def test_a_path_that_leads_nowhere_is_refused(path: str) -> None:
    assert "objects.LearnerPersonal.share" in fault("LocalId", path)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = fault('"LocalId", "PersonalInformation/Name"', '"LokalId", "PersonalInformation/Nmae"')

    assert "LokalId" in text
    assert "Nmae" in text


def test_a_file_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"a\.toml: not a TOML file"):
        parse_agreement(GOOD.encode("utf-16"), "a.toml")


@pytest.mark.parametrize("object_type", schemas.load().objects)
def test_no_object_is_shared_without_all_that_identifies_it(object_type: str) -> None:
    keys = schemas.load().keys(object_type)
    without = "[objects.LearnerPersonal]\nshare = " + GOOD.partition("share = ")[2].strip()
    for left_out in keys:
        share = [key for key in keys if key != left_out] + ["SIF_Metadata"]
        text = fault(without, f"[objects.{object_type}]\nshare = {share}".replace("'", '"'))
        assert f"add {left_out}," in text


def test_the_whole_object_needs_no_keys_beside_it() -> None:
    made = parse_agreement(GOOD.replace('"@RefId", ', '"*", ').encode(), "a.toml")

    assert "*" in made.shares["LearnerPersonal"]


@pytest.mark.parametrize(
    ("day", "live"),
    [
        (FIRST - timedelta(days=1), False),
        (FIRST, True),
        (FIRST + timedelta(days=100), True),
        (LAST, True),
        (LAST + timedelta(days=1), False),
    ],
    ids=["the day before", "first day", "within", "last day", "the day after"],
)
def test_first_and_last_day_count(day: date, live: bool) -> None:
    assert parse_agreement(GOOD.encode(), "a.toml").is_live(day) is live


def test_expiry_is_warned_about_on_the_days_agreed_and_afterwards() -> None:
    made = parse_agreement(GOOD.encode(), "a.toml")

    warned = {days for days in range(-3, 60) if made.expiry_warning(LAST - timedelta(days=days)) is not None}

    assert warned == {*EXPIRY_WARNINGS, -1, -2, -3}
    assert EXPIRY_WARNINGS == (30, 14, 7, 1)


@pytest.mark.parametrize(("days", "says"), [(30, "in 30 days"), (1, "in 1 day,"), (-1, "expired on 2027-08-31")])
def test_a_warning_says_which_agreement_when_and_what_to_do(days: int, says: str) -> None:
    warning = parse_agreement(GOOD.encode(), "a.toml").expiry_warning(LAST - timedelta(days=days))

    assert warning is not None
    assert "learning-platform-accounts" in warning
    assert says in warning
    assert "renew it" in warning


@pytest.mark.parametrize(
    ("senders", "sender", "between"),
    [
        (("mis-*",), "mis-8209901", True),
        (("mis-*",), "mis", False),
        (("mis-*",), "xmis-8209901", False),
        (("mis-8209901",), "mis-82099011", False),
        (("mis.8209901",), "misx8209901", False),
        (("MIS-*",), "mis-8209901", False),
        (("social-care", "mis-*"), "social-care", True),
        (("*",), "anything", True),
    ],
)
def test_a_star_stands_for_any_text_and_nothing_else_is_special(
    senders: tuple[str, ...], sender: str, between: bool
) -> None:
    made = agreement("a", {}, senders=senders, to=("merlin",))

    assert made.is_between(AgentId(sender), AgentId("merlin")) is between
    assert not made.is_between(AgentId(sender), AgentId("other"))


def test_agreements_of_a_folder_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    (tmp_path / "1.toml").write_text(GOOD.replace('id = "learning-platform-accounts"', 'id = "b"'))
    (tmp_path / "2.toml").write_text(GOOD.replace('id = "learning-platform-accounts"', 'id = "a"'))
    (tmp_path / "notes.txt").write_text("not an agreement")

    assert [made.id for made in load_agreements(tmp_path)] == ["a", "b"]
    assert load_agreements(tmp_path / "missing") == ()


def test_two_agreements_with_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.toml").write_text(GOOD)
    (tmp_path / "2.toml").write_text(GOOD)

    with pytest.raises(ConfigurationError, match="learning-platform-accounts"):
        load_agreements(tmp_path)


def test_a_faulty_file_is_named_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("id = ")

    with pytest.raises(ConfigurationError, match=r"broken\.toml"):
        load_agreements(tmp_path)


@pytest.mark.parametrize(("object_type", "path"), [("LearnerLookedAfter", "ShieldCode"), ("LearnerTransfer", "Shield")])
def test_what_steers_the_zone_cannot_be_shared(object_type: str, path: str) -> None:
    without = "[objects.LearnerPersonal]\nshare = " + GOOD.partition("share = ")[2].strip()

    text = fault(without, f'[objects.{object_type}]\nshare = ["@RefId", "{path}"]')

    assert f"objects.{object_type}.share: {path} steers the zone and is delivered to nobody" in text
