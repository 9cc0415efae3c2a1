"""What is found out about mappings without a zone: it fails what is wrong, and says why something does not apply."""

from pathlib import Path

import pytest
from lxml import etree

from agents.certify.offline import corpus_checks, object_checks, round_trip_checks, same, settings_checks
from agents.certify.outcomes import Check
from agents.certify.prepared import prepare
from agents.settings import read_settings

HEAD = 'object = "LearnerPersonal"\nkey = ["UPN"]\n[fields]\n"UPN" = { from = "UPN", convert = "upn" }\n'
NAMES = (
    '"PersonalInformation/Name[@Type=\'C\']/FamilyName" = { from = "Surname", required = true }\n'
    '"PersonalInformation/Name[@Type=\'C\']/GivenName" = "Forename"\n'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an agent that reads CSV files by a mapping of its own."""
    (tmp_path / "agent.toml").write_text(
        'id = "mis-1"\n[[source]]\nconnector = "csv"\npath = "exports/*.csv"\nmapping = ["own.toml"]\n'
    )
    (tmp_path / "own.toml").write_text(HEAD + NAMES)
    (tmp_path / "exports").mkdir()
    return tmp_path


def checks(folder: Path) -> list[Check]:
    """Return all that is found about the agent."""
    prepared = prepare(read_settings(folder / "agent.toml"))
    stages = (settings_checks(prepared), corpus_checks(prepared), object_checks(prepared), round_trip_checks(prepared))
    return [check for stage in stages for check in stage]


def the(found: list[Check], words: str) -> Check:
    """Return the one check whose name has these words."""
    (check,) = [each for each in found if words in each.name]
    return check


def test_a_mapping_that_is_right_passes_everything_that_applies(folder: Path) -> None:
    (folder / "exports" / "pupils.csv").write_text("UPN,Surname,Forename\nZ820990120001,Testperson,Ann\n")
    found = checks(folder)

    assert [check for check in found if check.outcome == "fail"] == []
    assert the(found, "own files can be read").detail == "1 record gave 1 object, all valid"
    assert the(found, "turned back").outcome == "pass"


def test_a_line_that_cannot_be_turned_back_is_named_with_its_place(folder: Path) -> None:
    (folder / "own.toml").write_text(HEAD + NAMES + '"LocalId" = { from = "No", convert = "match:([0-9]+)" }\n')

    check = the(checks(folder), "turned back")
    assert check.outcome == "not applicable"
    assert "own.toml:7" in check.detail
    assert "match" in check.detail


def test_a_line_that_made_up_records_cannot_reach_is_named_and_is_no_failure(folder: Path) -> None:
    (folder / "own.toml").write_text(HEAD + NAMES + '"LocalId" = { from = "No", convert = "match:^Q{7}$" }\n')

    check = the(checks(folder), "every line of own")
    assert check.outcome == "not applicable"
    assert "own.toml:7 (LocalId)" in check.detail


def test_files_that_cannot_be_read_fail(folder: Path) -> None:
    (folder / "exports" / "pupils.csv").write_bytes(b"")

    assert the(checks(folder), "own files can be read").outcome == "fail"


def test_objects_that_the_schema_refuses_fail_with_the_path(folder: Path) -> None:
    (folder / "own.toml").write_text(
        'object = "Identity"\nkey = ["Id"]\n[fields]\n"SIF_RefId" = { ref = "LearnerPersonal", key = ["Id"] }\n'
        '"SIF_RefId/@SIF_RefObject" = { const = "LearnerPersonal" }\n"AuthenticationSource" = { const = "Other" }\n'
        '"PasswordList/Password" = "Word"\n"PasswordList/Password/@Algorithm" = { const = "base64" }\n'
        '"PasswordList/Password/@KeyName" = { const = "x" }\n'
    )
    (folder / "exports" / "accounts.csv").write_text("Id,Word\n1,not base 64\n")

    check = the(checks(folder), "own files can be read")
    assert (check.outcome, "1 of 1 object" in check.detail) == ("fail", True)


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [("Z820990120001,,Ann\n", "fail"), ("", "not applicable")],
    ids=["all refused", "no rows"],
)
def test_own_files_of_which_nothing_is_made_do_not_pass(folder: Path, rows: str, outcome: str) -> None:
    (folder / "exports" / "pupils.csv").write_text(f"UPN,Surname,Forename\n{rows}")

    assert the(checks(folder), "own files can be read").outcome == outcome


@pytest.mark.parametrize(
    ("when", "outcome"), [("", "pass"), ('when = { Sex = ["Boy"] }\n', "fail")], ids=["all", "one"]
)
def test_codes_that_no_object_gets_fail_with_their_line(folder: Path, when: str, outcome: str) -> None:
    codes = 'codes = { Boy = "M", Girl = "F" }'
    gender = f'"PersonalInformation/Demographics/Gender" = {{ from = "Sex", {codes} }}\n'
    (folder / "own.toml").write_text(when + HEAD + NAMES + gender)

    check = the(checks(folder), "Every code that own")
    assert check.outcome == outcome
    if outcome == "fail":
        assert "own.toml:8 (PersonalInformation/Demographics/Gender): F" in check.detail


def test_the_comparison_sees_texts_attributes_order_and_names() -> None:
    one = etree.fromstring("<a x='1'><b>t</b><c/></a>")
    for other in ("<a x='2'><b>t</b><c/></a>", "<a x='1'><b>u</b><c/></a>", "<a x='1'><c/><b>t</b></a>", "<a x='1'/>"):
        assert not same(one, etree.fromstring(other)), other
    assert same(one, etree.fromstring("<a x='1'>\n <b> t </b>\n <c/></a>"))
    assert same(one, etree.fromstring("<a x='1'><b>t</b></a>"), without={"c"})
