"""What ``sifzone mapping check --from`` finds in a sample, and that it tells no more of it than it may."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agents.workbench.cli import app
from tests.unit.agents.helpers import ctf, pupil
from tests.unit.agents.workbench.pupils import HEADINGS, MAPPING, OTHO, WREN, write_mapping, write_rows

EPISODES = Path(__file__).parents[3] / "data" / "ssda903" / "2026" / "episodes.csv"


def check(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def findings(*arguments: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(check(*arguments, "--json").stdout)["findings"]
    return found


def only(rule: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    (one,) = [each for each in found if each["rule"] == rule]
    return one


def test_a_sample_that_fits_leaves_nothing_to_say(tmp_path: Path) -> None:
    result = check(write_mapping(tmp_path), "--from", write_rows(tmp_path, WREN, OTHO))

    assert result.exit_code == 0
    assert result.output == f"{tmp_path / 'ours.toml'}: right (LearnerPersonal)\n"


def test_codes_that_the_table_lacks_are_shown_with_their_counts_and_the_line(tmp_path: Path) -> None:
    rows = [WREN.replace(",F,", ",Femal,"), OTHO.replace(",M,", ",Femal,"), OTHO.replace(",M,", ",9,")]
    found = only("code", findings(write_mapping(tmp_path), "--from", write_rows(tmp_path, *rows)))

    assert (found["severity"], found["line"], found["count"]) == ("warning", 9, 3)
    assert found["codes"] == {"Femal": 2, "9": 1}
    assert found["positions"] == ["row 2", "row 3", "row 4"]


def test_codes_of_a_record_that_is_refused_for_something_else_are_shown_too(tmp_path: Path) -> None:
    refused = WREN.replace(",F,", ",Femal,").replace(",Quillfeather,", ",,")
    found = findings(write_mapping(tmp_path), "--from", write_rows(tmp_path, refused, OTHO))

    assert only("code", found)["codes"] == {"Femal": 1}
    assert only("mandatory", found)["severity"] == "error"


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["the mother does not want it to be told"], id="a sentence"),
        pytest.param([f"note {number}" for number in range(60)], id="very many"),
    ],
)
def test_what_is_no_list_of_codes_is_counted_and_not_shown(tmp_path: Path, texts: list[str]) -> None:
    sample = write_rows(tmp_path, *(WREN.replace(",F,", f",{text},") for text in texts))
    result = check(write_mapping(tmp_path), "--from", sample)

    assert "is this the right column?" in result.output
    assert not any(text in result.output for text in texts)


def test_codes_in_the_parts_of_a_cell_are_told_apart(tmp_path: Path) -> None:
    mapping = write_mapping(
        tmp_path,
        """\
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = "Surname"
[lists."AlertMsgList/AlertMsg"]
each = "Alerts"
split = ";"
fields = { "." = { const = "see the office" }, "@Type" = { from = ".", codes = { L = "Legal" } } }
""",
    )
    sample = write_rows(tmp_path, "H820990114001,Quillfeather,L;Q;L;R", headings="UPN,Surname,Alerts")

    assert only("code", findings(mapping, "--from", sample))["codes"] == {"Q": 1, "R": 1}


def test_values_that_a_converter_refuses_are_counted_with_their_rows_and_never_shown(tmp_path: Path) -> None:
    rows = [WREN.replace("30/05/2013", "31/02/2013"), OTHO, OTHO.replace("01/06/2013", "June 2013")]
    sample = write_rows(tmp_path, *rows)
    result = check(write_mapping(tmp_path), "--from", sample)
    found = only("date", findings(tmp_path / "ours.toml", "--from", sample))

    assert (found["line"], found["count"], found["positions"]) == (10, 2, ["row 2", "row 4"])
    assert "31/02" not in result.output
    assert "June" not in result.output


def test_a_column_that_is_read_and_not_there_is_told_with_the_heading_that_was_meant(tmp_path: Path) -> None:
    sample = write_rows(tmp_path, WREN, headings=HEADINGS.replace("Adno", "Adm no"))
    found = findings(write_mapping(tmp_path, MAPPING.replace('"Adno"', '"Admno"')), "--from", sample)

    missing, unused = only("column-missing", found), only("column-not-used", found)
    assert (missing["line"], missing["nearest"]) == (6, "Adm no")
    assert "'Adm no'" in unused["message"]
    assert unused["nearest"] == "Admno"


def test_a_required_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    sample = write_rows(tmp_path, WREN, headings=HEADINGS.replace("Surname", "Family"))
    found = only("column-missing", [f for f in findings(write_mapping(tmp_path), "--from", sample) if f["line"] == 7])

    assert found["severity"] == "error"


def test_a_column_that_nothing_reads_is_told_with_the_element_that_it_may_be_for(tmp_path: Path) -> None:
    sample = write_rows(tmp_path, f"{WREN},wren@example.org", f"{OTHO},otho@example.org", headings=f"{HEADINGS},Email")
    message = only("column-not-used", findings(write_mapping(tmp_path), "--from", sample))["message"]

    assert message.startswith("no mapping reads the column 'Email': it may be for PersonalInformation/Email")


def test_a_column_that_one_of_several_mappings_reads_is_used(tmp_path: Path) -> None:
    sample = write_rows(tmp_path, f"{WREN},9901,School A", headings=f"{HEADINGS},Estab,School")
    other = write_mapping(
        tmp_path,
        'object = "SchoolInfo"\nkey = ["Estab"]\n[fields]\n"SchoolName" = "School"\n"EstablishmentId" = "Estab"\n'
        '"LAId" = { const = "820" }\n',
        "school.toml",
    )
    found = findings(write_mapping(tmp_path), other, "--from", sample)

    assert [each for each in found if each["rule"] in ("column-not-used", "column-missing")] == []


def test_what_a_file_that_states_no_fields_may_merely_lack_is_told_once_and_is_no_error(tmp_path: Path) -> None:
    sample = ctf(tmp_path / "whole.xml", pupil(1), pupil(2))
    found = findings("ctf/learner", "ctf/contact", "--from", sample)

    learner, contact = [each for each in found if each["rule"] == "column-missing"]
    assert "BasicDetails/MiddleNames" in learner["names"]
    assert contact["names"][0] == "Contacts/Contact"
    assert only("nothing-made", found)["message"].endswith("the sample has nothing of the kind")
    assert {each["severity"] for each in found} == {"warning"}


def test_a_source_that_asks_whose_its_learners_are_gets_an_answer() -> None:
    found = findings("ssda903/looked-after", "--from", EPISODES, "--option", "authority=820")

    assert only("mandatory", found)["count"] == 3  # those without a UPN
    assert "nothing-made" not in {each["rule"] for each in found}


@pytest.mark.parametrize(
    ("second", "count"),
    [
        pytest.param(WREN, 0, id="the same again"),
        pytest.param(WREN.replace("Wren", "Otho"), 1, id="somebody else"),
    ],
)
def test_a_key_that_unlike_records_share_is_not_unique(tmp_path: Path, second: str, count: int) -> None:
    found = findings(write_mapping(tmp_path), "--from", write_rows(tmp_path, WREN, second))

    assert [f["positions"] for f in found if f["rule"] == "key-not-unique"] == [["row 3"]] * count


def test_a_mapping_that_rules_out_every_record_is_wrong(tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path, MAPPING.replace("\n[fields]", 'when = { "Sex" = "X" }\n\n[fields]', 1))
    result = check(mapping, "--from", write_rows(tmp_path, WREN))

    assert result.exit_code == 1
    assert "no LearnerPersonal is made of 1 record: look at 'when', 'gone' and 'each'" in result.output


def test_gathered_rows_are_checked_as_one_record(tmp_path: Path) -> None:
    mapping = write_mapping(tmp_path, MAPPING.replace("key =", 'rows = ["UPN"]\nkey =', 1))
    found = findings(mapping, "--from", write_rows(tmp_path, WREN, WREN.replace("30/05/2013", "never")))

    assert found == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--from", "none.csv"], "none.csv: there is no such file", id="no sample"),
        pytest.param(["--from", "empty.csv"], "empty.csv: empty", id="nothing in it"),
        pytest.param(["--from", "pupils.csv", "--connector", "nope"], "no connector 'nope'", id="connector"),
        pytest.param(["--from", "pupils.csv", "--option", "nope=1"], "nope: unknown setting", id="option"),
        pytest.param(["oneroster/users", "--from", "pupils.csv"], "it fills the table users", id="makes rows"),
    ],
)
def test_a_sample_that_cannot_be_read_ends_with_2_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    write_mapping(tmp_path)
    write_rows(tmp_path, WREN)
    (tmp_path / "empty.csv").touch()
    monkeypatch.chdir(tmp_path)
    result = check("ours.toml", *arguments)

    assert result.exit_code == 2
    assert message in result.output


def test_what_is_wrong_in_several_lines_is_told_in_as_many(tmp_path: Path) -> None:
    result = check(write_mapping(tmp_path), "--from", write_rows(tmp_path, WREN), "--option", "encodng=utf-8")

    assert result.exit_code == 2
    assert "\ufffd" not in result.output
    assert len(result.output.splitlines()) > 1
