"""The commands ``sifzone schema ...`` as people and programs call them: what is printed where, and the exit codes."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import broker.cli
from broker.commands import schema_show
from broker.commands.schema_show import FileProgress
from broker.protocol.envelope import NAMESPACE
from broker.protocol.errors import ZoneError
from tests.instances import instance
from tests.integration.cli.conftest import make_small_zone, sentence_of, sifzone

XMLNS = f'xmlns="{NAMESPACE}"'
MARK = "Zebedee"
REF = "5D315C31F8A15621F126C31154AF9665"
COMMANDS = ("list", "codes", "rules", "show", "check", "sample", "diff", "docs")
VALID = instance("TermInfo")
WRONG = VALID.replace("2025-09-03", MARK)
WARNED = instance("LearnerSpecialNeeds").replace("<Provision>K<", f"<Provision>{MARK}<")
PART = f'<TermInfo {XMLNS} RefId="{REF}"><TermCode>AUT</TermCode></TermInfo>'
NEWER = instance("ContactPersonal")
BAD_UPN = instance("LearnerPersonal").replace(">K820990119017<", ">A820990119017<")
MESSAGE = (
    f'<SIF_Message {XMLNS} Version="2.4"><SIF_Event><SIF_Header>\n<SIF_MsgId>{MARK}</SIF_MsgId>'
    "<SIF_Timestamp>2026-01-05T09:00:00Z</SIF_Timestamp><SIF_SourceId>made-up-mis</SIF_SourceId></SIF_Header>"
    f'<SIF_ObjectData><SIF_EventObject ObjectName="TermInfo" Action="Change">{PART}</SIF_EventObject></SIF_ObjectData>'
    "</SIF_Event></SIF_Message>"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files to check."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in (
        ("valid", VALID),
        ("wrong", WRONG),
        ("warned", WARNED),
        ("part", PART),
        ("newer", NEWER),
        ("upn", BAD_UPN),
        ("message", MESSAGE),
        ("many", f"<w>{WRONG * 5}</w>"),
        ("cut", f"<w>{WRONG}<TermInfo>"),
        ("local", instance("LearnerSchoolEnrolment").replace('MembershipType="C"', 'MembershipType="LOCAL"')),
    ):
        (folder / f"{name}.xml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with zones that have rules of their own: one for each setting, and one with codes of its own."""
    folder = tmp_path_factory.mktemp("zones")
    for setting in ("refuse", "shadow", "off"):
        make_small_zone(folder / setting)
        with (folder / setting / "zone.toml").open("a") as file:
            file.write(f'[rules]\n"upn-check-letter" = "{setting}"\n')
    make_small_zone(folder / "codes")
    (folder / "codes" / "codes").mkdir()
    (folder / "codes" / "codes" / "ours.toml").write_text('[LearnerEnrolmentStatus.codes]\nLOCAL = "Our own status"\n')
    return folder


def called(*arguments: str | Path, code: int = 0) -> str:
    """Call a command in this process, which is quicker, and return what it printed; it must end with *code*."""
    done = CliRunner().invoke(
        broker.cli.app, ["schema", *map(str, arguments)], env={"SIFZONE_ZONE": "", "COLUMNS": "200"}
    )
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def failing(*arguments: str | Path) -> str:
    """Call a command in this process and return the sentence with which it fails."""
    done = CliRunner().invoke(broker.cli.app, ["schema", *map(str, arguments)], env={"SIFZONE_ZONE": ""})
    assert isinstance(done.exception, ZoneError), done.output
    assert done.stdout == ""
    return str(done.exception)


def lines_of(file: Path, printed: str) -> Iterator[str]:
    """Yield what was printed of a file."""
    for line in printed.splitlines():
        assert MARK not in line
        if line.startswith(f"{file}:"):
            yield line.removeprefix(f"{file}:")


def line_in(text: str, what: str) -> int:
    return text[: text.index(what)].count("\n") + 1


def parsed(printed: str) -> Any:
    return json.loads(printed)


# help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example(command: str) -> None:
    assert f"sifzone schema {command}" in called(command, "--help").partition("Example")[2]


def test_help_of_the_group_lists_every_command() -> None:
    printed = called("--help")

    assert {word for word in printed.split() if word in COMMANDS} == {*COMMANDS}
    assert "sifzone schema check" in printed.partition("Example")[2]


# looking


def test_list_has_every_object_for_people_and_for_programs(zones: Path) -> None:
    printed = called("list")
    facts = parsed(called("list", "--json", "--zone", zones / "codes"))

    assert "46 objects" in printed
    assert all(f" {row['object']} " in printed for row in facts)
    assert all(row["title"] for row in facts)
    assert len(facts) == 46
    (term,) = (row for row in facts if row["object"] == "TermInfo")
    assert term == {
        "object": "TermInfo",
        "since": "1.0",
        "namespace": NAMESPACE,
        "key": "@RefId",
        "learner": "",
        "title": term["title"],
    }
    (line,) = (line for line in printed.splitlines() if " LearnerLookedAfter " in line)
    assert "our own" in line
    assert "@LearnerPersonalRefId" in line


def test_codes_lists_the_lists_and_the_codes_of_one(zones: Path) -> None:
    every = parsed(called("codes", "--json"))
    one = called("codes", "LearnerEnrolmentStatus", "--zone", zones / "codes")

    (row,) = (row for row in every if row["list"] == "LearnerEnrolmentStatus")
    assert (row["codes"], row["open"]) == (8, False)
    assert "other codes are refused" in one
    assert "Our own status" in one


def test_list_of_codes_that_there_is_not_names_the_nearest() -> None:
    assert "did you mean EthnicityCodes?" in failing("codes", "EthnicityCode")


def test_show_draws_an_object_with_its_marks() -> None:
    printed = called("show", "LearnerSchoolEnrolment")
    lines = {line.strip("│├└─ ").split(" ")[0]: line for line in printed.splitlines()}

    assert "@LearnerPersonalRefId* → LearnerPersonal" in lines["@LearnerPersonalRefId*"]
    assert "EntryDate* xs:date" in lines["EntryDate*"]
    assert "codes:LearnerEnrolmentStatus" in lines["@MembershipType*"]
    assert any(name.endswith("~") for name in lines)
    assert "* must be there   + may be repeated   ~ may be emptied with xsi:nil" in printed


def test_show_tells_programs_every_node_in_order() -> None:
    facts = parsed(called("show", "ContactPersonal", "--json"))

    paths = [node["path"] for node in facts]
    assert paths[:4] == ["", "@RefId", "LocalId", "PersonalInformation"]
    assert facts[2] == {
        "path": "LocalId",
        "kind": "element",
        "type": "xs:normalizedString",
        "mandatory": False,
        "repeatable": False,
        "nillable": True,
        "codes": None,
        "refs": [],
        "since": "1.3",
        "label": "Identifier in the sending system",
    }
    (phone,) = (node for node in facts if node["path"] == "PersonalInformation/PhoneNumber/@Type")
    assert (phone["codes"], phone["mandatory"], phone["kind"]) == ("PhoneType", True, "attribute")


def test_object_that_there_is_not_names_the_nearest() -> None:
    says = "no schema describes an object named 'LearnerPersonnel': did you mean LearnerPersonal?"

    assert says in sentence_of(sifzone("schema", "show", "LearnerPersonnel", code=2))
    assert failing("sample", "LearnerPersonnel") == says


def test_samples_are_valid(tmp_path: Path) -> None:
    made = []
    for name in ("LearnerPersonal", "TermInfo", "Lesson", "LearnerTransfer"):
        for more in ([], ["--minimal"]):
            made.append(tmp_path / f"{name}{''.join(more)}.xml")
            made[-1].write_text(called("sample", name, *more))

    printed = called("check", *made)

    assert printed.splitlines() == [f"{path}: 1 object: 1 valid, 0 with warnings, 0 refused" for path in made]
    sizes = [path.stat().st_size for path in made]
    assert all(full > minimal for full, minimal in zip(sizes[::2], sizes[1::2], strict=True))


# checking


def test_valid_file_is_one_line_and_exit_code_0(files: Path) -> None:
    done = sifzone("schema", "check", files / "valid.xml")

    assert done.stdout == f"{files / 'valid.xml'}: 1 object: 1 valid, 0 with warnings, 0 refused\n"
    assert done.stderr == ""


def test_warning_is_printed_with_its_place_and_exit_code_0(files: Path) -> None:
    printed = called("check", files / "warned.xml")

    warning, total = lines_of(files / "warned.xml", printed)
    assert warning.startswith(f"{line_in(WARNED, MARK)}: warning [unknown-code] LearnerSpecialNeeds/Provision: ")
    assert total == " 1 object: 0 valid, 1 with warnings, 0 refused"


def test_several_files_are_each_told_of_and_the_worst_is_the_exit_code(files: Path) -> None:
    names = [files / f"{name}.xml" for name in ("valid", "wrong", "warned")]
    done = sifzone("schema", "check", *names, code=1)

    assert len(done.stdout.splitlines()) == 5
    finding, total = lines_of(files / "wrong.xml", done.stdout)
    assert finding.startswith(f"{line_in(WRONG, MARK)}: refused [value] TermInfo/StartDate: ")
    assert total == " 1 object: 0 valid, 0 with warnings, 1 refused"
    assert done.stderr == ""


def test_file_that_cannot_be_used_is_exit_code_2_and_the_others_are_checked(files: Path) -> None:
    done = sifzone("schema", "check", files / "cut.xml", files / "none.xml", files / "wrong.xml", code=2)

    cut, none = done.stderr.splitlines()
    assert cut.startswith(f"sifzone: {files / 'cut.xml'}: line ")
    assert none.startswith(f"sifzone: {files / 'none.xml'}: cannot be read (No such file or directory)")
    assert len(list(lines_of(files / "wrong.xml", done.stdout))) == 2
    (before,) = lines_of(files / "cut.xml", done.stdout)
    assert "refused [value] TermInfo/StartDate" in before


def test_fault_of_the_envelope_is_refused(files: Path) -> None:
    printed = called("check", files / "message.xml", code=1)

    finding, total = lines_of(files / "message.xml", printed)
    assert finding.startswith("2: refused [value] SIF_Event/SIF_Header/SIF_MsgId: ")
    assert total == " 1 object: 1 valid, 0 with warnings, 0 refused; 1 fault in the message around"


def test_parts_and_editions_are_as_asked_for(files: Path) -> None:
    assert " [missing] TermInfo/" in called("check", files / "part.xml", code=1)
    printed = called("check", "--part", "--edition", "1.1", files / "part.xml", files / "newer.xml", code=1)

    (total,) = lines_of(files / "part.xml", printed)
    assert " 1 valid" in total
    finding, _ = lines_of(files / "newer.xml", printed)
    assert ' [edition] ContactPersonal/LocalId: LocalId came with UK 1.3: send it in a message with Version="2.4"' in (
        finding
    )


def test_limit_leaves_findings_out_and_counts_them(files: Path) -> None:
    printed = called("check", "--limit", "2", files / "many.xml", code=1)

    *findings, total = lines_of(files / "many.xml", printed)
    assert len(findings) == 2
    assert total == " 5 objects: 0 valid, 0 with warnings, 5 refused"
    none = called("check", "--limit", "0", files / "many.xml", code=1)
    assert len(none.splitlines()) == 1


def test_programs_get_one_document_of_all_files(files: Path) -> None:
    names = [files / f"{name}.xml" for name in ("valid", "wrong", "message", "cut")]
    done = sifzone("schema", "check", "--json", *names, code=2)
    valid, wrong, message, cut = parsed(done.stdout)

    assert MARK not in done.stdout
    assert done.stderr == ""
    assert valid == {
        "file": str(names[0]),
        "objects": 1,
        "valid": 1,
        "warned": 0,
        "refused": 0,
        "around": 0,
        "findings": [],
    }
    (finding,) = wrong["findings"]
    assert finding | {"object": "TermInfo", "path": "StartDate", "line": line_in(WRONG, MARK)} == finding
    assert finding | {"rule": "value", "severity": "refuse", "nearest": None} == finding
    assert "StartDate" in finding["message"]
    assert (message["around"], message["findings"][0]["object"]) == (1, "")
    assert cut.keys() == {"file", "unusable", "findings"}
    assert len(cut["findings"]) == 1


@pytest.mark.parametrize(
    ("setting", "code", "says"),
    [
        ("refuse", 1, ("refused [upn-check-letter] LearnerPersonal/UPN: ", "1 refused")),
        ("shadow", 0, ("on trial [upn-check-letter] LearnerPersonal/UPN: ", "1 valid")),
        ("off", 0, ("1 valid",)),
    ],
)
def test_rules_are_as_the_zone_sets_them(
    setting: str, code: int, says: tuple[str, ...], files: Path, zones: Path
) -> None:
    printed = called("check", files / "upn.xml", "--zone", zones / setting, code=code)

    assert [found in line for line, found in zip(printed.splitlines(), says, strict=True)] == [True] * len(says)
    assert "A820990119017" not in printed


def test_codes_of_a_zone_are_valid_in_it(files: Path, zones: Path) -> None:
    assert "[unknown-code]" in sifzone("schema", "check", files / "local.xml", code=1).stdout
    sifzone("schema", "check", files / "local.xml", SIFZONE_ZONE=str(zones / "codes"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--official", "«files»"), "put SIF UK's SIF_Message.xsd there"),
        (("--official", "«files»", "--zone", "«files»"), "--official and --zone cannot go together"),
        (("--zone", "«files»"), "has no zone.toml"),
        (("--edition", "1.4"), "there is no edition 1.4: use one of 1.0, 1.1, 1.2, 1.3"),
    ],
    ids=["official", "official and zone", "zone", "edition"],
)
def test_what_cannot_be_checked_by_is_said_in_one_line(arguments: tuple[str, ...], says: str, files: Path) -> None:
    given = [argument.replace("«files»", str(files)) for argument in arguments]

    assert says in failing("check", files / "valid.xml", *given)


def test_folder_without_a_schema_is_said_in_one_line(files: Path) -> None:
    said = sentence_of(sifzone("schema", "check", files / "valid.xml", "--official", files, code=2))

    assert "put SIF UK's SIF_Message.xsd there" in said


def test_mistake_in_the_codes_of_a_zone_is_said_in_one_line(files: Path, tmp_path: Path) -> None:
    make_small_zone(tmp_path / "zone")
    (tmp_path / "zone" / "codes").mkdir()
    (tmp_path / "zone" / "codes" / "ours.toml").write_text('[YesNos.codes]\nM = "Maybe"\n')

    said = failing("check", files / "valid.xml", "--zone", tmp_path / "zone")

    assert "ours.toml: there is no code list 'YesNos': did you mean YesNo?" in said


# the bar


@pytest.mark.parametrize("is_terminal", [True, False])
def test_bar_is_for_terminals_alone(is_terminal: bool, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(schema_show, "errors", Console(file=shown, force_terminal=is_terminal, width=100))
    monkeypatch.setattr(schema_show, "_BAR_AFTER", 0.0)

    with FileProgress(files / "valid.xml") as progress:
        progress.advance(100)

    assert ("valid.xml" in shown.getvalue()) is is_terminal
    assert bool(shown.getvalue()) is is_terminal


def test_bar_is_not_shown_before_it_takes_a_while(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(schema_show, "errors", Console(file=shown, force_terminal=True, width=100))

    with FileProgress(files / "valid.xml") as progress:
        progress.advance(100)

    assert shown.getvalue() == ""


# comparing and documenting


def test_sets_that_are_alike_are_exit_code_0_and_others_1() -> None:
    assert called("diff", "ours", "1.3") == "ours and 1.3 are alike.\n"
    printed = called("diff", "1.1", "1.3", code=1)
    told = parsed(called("diff", "1.1", "1.3", "--json", code=1))

    assert f"From 1.1 to 1.3: {len(told)} differences" in " ".join(printed.split())
    assert {
        "object": "LearnerPersonal",
        "path": "InCare",
        "what": "mandatory",
        "before": "yes",
        "after": "no",
    } in told


@pytest.mark.parametrize(
    ("other", "says"),
    [("1.4", "1.4 is no folder: name one, an edition (1.0, 1.1, 1.2, 1.3), or 'ours'"), ("«files»", "SIF_Message.xsd")],
)
def test_what_cannot_be_compared_is_said_in_one_line(other: str, says: str, files: Path) -> None:
    assert says in failing("diff", "ours", other.replace("«files»", str(files)))


def test_docs_writes_a_dictionary_with_the_agreements_of_a_zone(tmp_path: Path, zones: Path) -> None:
    without = called("docs", tmp_path / "plain")
    called("docs", tmp_path / "zone", "--zone", zones / "codes")

    written = sum(1 for _ in (tmp_path / "plain").rglob("*.html"))
    assert f"{tmp_path / 'plain' / 'index.html'} in a browser" in without
    assert without.startswith(f"{written} pages. ")
    assert (tmp_path / "plain" / "objects" / "TermInfo.html").is_file()
    assert not (tmp_path / "plain" / "agreements").exists()
    assert {path.name for path in (tmp_path / "zone" / "agreements").iterdir()} == {"a.html", "b.html"}
    assert "Data dictionary of faults" in (tmp_path / "zone" / "index.html").read_text()
    assert "Our own status" in (tmp_path / "zone" / "code-lists" / "LearnerEnrolmentStatus.html").read_text()


def test_docs_that_cannot_be_written_are_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    assert "cannot be written" in failing("docs", tmp_path / "taken")
