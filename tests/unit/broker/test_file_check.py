"""Checking files as the zone would: what is found in which object, what is counted, and which file cannot be used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from broker import file_check
from broker.commands.schema_show import tally_words
from broker.file_check import FileCheck, UnusableFile
from broker.protocol.envelope import LOOKED_AFTER, NAMESPACE
from broker.validation import Validator, load_validator, shipped
from schemas import Finding
from tests.instances import instance

XMLNS = f'xmlns="{NAMESPACE}"'
MARK = "Zebedee"
REF = "5D315C31F8A15621F126C31154AF9665"
HEADER = (
    f"<SIF_Header><SIF_MsgId>{REF}</SIF_MsgId><SIF_Timestamp>2026-01-05T09:00:00Z</SIF_Timestamp>"
    "<SIF_SourceId>made-up-mis</SIF_SourceId></SIF_Header>"
)
TERM = instance("TermInfo.minimal")
PART = f"<TermInfo {XMLNS} RefId='{REF}'><TermCode>AUT</TermCode></TermInfo>"
WRONG = TERM.replace("<SchoolYear>", f"<{MARK}/>\n<SchoolYear>")
UNKNOWN_CODE = instance("LearnerSpecialNeeds.minimal").replace("<Provision>K<", f"<Provision>{MARK}<")
NEWER = instance("ContactPersonal")
UPN = f"<LearnerPersonal {XMLNS} RefId='{REF}'>\n<UPN>{{}}</UPN></LearnerPersonal>"


def of_event(inside: str, action: str = "Add", version: str = "2.4", name: str = "TermInfo") -> str:
    objects = f'<SIF_EventObject ObjectName="{name}" Action="{action}">\n{inside}</SIF_EventObject>'
    event = f"<SIF_Event>{HEADER}\n<SIF_ObjectData>{objects}</SIF_ObjectData></SIF_Event>"
    return f'<SIF_Message {XMLNS} Version="{version}">{event}</SIF_Message>'


Check = Callable[..., FileCheck]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Make a check of a file with the content given."""

    def make(content: str | bytes, validator: Validator | None = None, **more: object) -> FileCheck:
        path = tmp_path / "file.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return FileCheck(path, validator or shipped(), **more)  # type: ignore[arg-type]  # whatever a test sets

    return make


def told(check: FileCheck) -> list[tuple[str, str, str, str]]:
    return [(name, f.path, f.rule, f.severity) for name, f in check.findings()]


def counted(check: FileCheck) -> tuple[int, int, int, int, int]:
    tally = check.tally
    return tally.objects, tally.valid, tally.warned, tally.refused, tally.around


def only(check: FileCheck) -> Finding:
    ((_, finding),) = check.findings()
    return finding


@pytest.mark.parametrize(
    ("content", "objects"),
    [
        pytest.param(TERM, 1, id="bare"),
        pytest.param(instance("LearnerLookedAfter"), 1, id="our own"),
        pytest.param(of_event(TERM), 1, id="event"),
        pytest.param(f"<w>{TERM * 3}{of_event(TERM)}</w>", 4, id="wrapper"),
        pytest.param(f'<SIF_Message {XMLNS} Version="2.4"><SIF_Unregister>{HEADER}</SIF_Unregister></SIF_Message>', 0),
    ],
)
def test_what_is_valid_has_no_finding(content: str, objects: int, check: Check) -> None:
    file = check(content)

    assert told(file) == []
    assert counted(file) == (objects, objects, 0, 0, 0)
    assert not file.tally.is_refused


def test_each_finding_has_the_name_of_its_object(check: Check) -> None:
    file = check(f"<w>{TERM}{WRONG}{UNKNOWN_CODE}{instance('SchoolInfo')}{WRONG}</w>")

    assert told(file) == [
        ("TermInfo", MARK, "unknown-element", "refuse"),
        ("LearnerSpecialNeeds", "Provision", "unknown-code", "warn"),
        ("TermInfo", MARK, "unknown-element", "refuse"),
    ]
    assert counted(file) == (5, 2, 1, 2, 0)
    assert file.tally.is_refused


def test_line_is_that_of_the_file(check: Check) -> None:
    text = f"<w>\n\n{TERM}\n{WRONG}</w>"

    assert only(check(text)).line == text[: text.index(f"<{MARK}")].count("\n") + 1


def test_warning_and_fault_of_one_object_count_once(check: Check) -> None:
    file = check(UNKNOWN_CODE.replace("<Provision>", "<Nonsense/><Nonsense/><Provision>"))

    assert {severity for *_, severity in told(file)} == {"refuse"}
    assert counted(file) == (1, 0, 0, 1, 0)


# whole and in part


@pytest.mark.parametrize(
    ("content", "objects_are_parts"),
    [
        pytest.param(PART, False, id="bare"),
        pytest.param(f"<w>{PART}</w>", False, id="in a wrapper"),
        pytest.param(of_event(PART, "Add"), False, id="add"),
        pytest.param(of_event(PART, "Change"), True, id="change"),
        pytest.param(of_event(PART, "Delete"), True, id="delete"),
    ],
)
def test_object_must_be_whole_unless_its_event_says_otherwise(
    content: str, objects_are_parts: bool, check: Check
) -> None:
    assert {rule for _, _, rule, _ in told(check(content))} == (set() if objects_are_parts else {"missing"})


@pytest.mark.parametrize("content", [PART, f"<w>{PART}</w>"], ids=["bare", "in a wrapper"])
def test_bare_object_may_be_a_part_where_that_is_said(content: str, check: Check) -> None:
    assert told(check(content, partial=True)) == []


def test_add_must_be_whole_whatever_is_said_of_bare_objects(check: Check) -> None:
    assert {rule for _, _, rule, _ in told(check(of_event(PART), partial=True))} == {"missing"}


def test_example_of_a_request_may_be_a_part(check: Check) -> None:
    query = f'<SIF_Query><SIF_QueryObject ObjectName="TermInfo"/><SIF_Example>{PART}</SIF_Example></SIF_Query>'
    asked = f"<SIF_Version>2.4</SIF_Version><SIF_MaxBufferSize>1048576</SIF_MaxBufferSize>{query}"
    file = check(
        f'<SIF_Message {XMLNS} Version="2.4"><SIF_Request>{HEADER}{asked}</SIF_Request></SIF_Message>',
    )

    assert told(file) == []
    assert file.tally.objects == 1


# editions


def test_bare_objects_are_checked_in_the_edition_asked_for(check: Check) -> None:
    assert told(check(NEWER)) == []
    assert ("ContactPersonal", "LocalId", "edition", "refuse") in told(check(NEWER, edition="1.1"))


@pytest.mark.parametrize(("version", "refused"), [("2.1", True), ("2.3", True), ("2.4", False), ("2.5", False)])
def test_message_names_its_own_edition(version: str, refused: bool, check: Check) -> None:
    for edition in ("1.1", "1.3"):
        found = told(check(of_event(NEWER, version=version, name="ContactPersonal"), edition=edition))
        assert (("ContactPersonal", "LocalId", "edition", "refuse") in found) is refused


# the message around


def test_fault_of_the_envelope_is_of_no_object(check: Check) -> None:
    file = check(of_event(WRONG).replace(REF + "</SIF_MsgId>", MARK + "</SIF_MsgId>"))

    assert told(file) == [
        ("", "SIF_Event/SIF_Header/SIF_MsgId", "value", "refuse"),
        ("TermInfo", MARK, "unknown-element", "refuse"),
    ]
    assert counted(file) == (1, 0, 0, 1, 1)


def test_faults_of_the_envelope_do_not_count_as_objects(check: Check) -> None:
    spoilt = of_event(TERM).replace(REF + "</SIF_MsgId>", "</SIF_MsgId>").replace("2026-01-05T", "")
    file = check(spoilt)

    assert len(told(file)) == 2
    assert counted(file) == (1, 1, 0, 0, 2)
    assert file.tally.is_refused
    assert tally_words(file.tally) == ("1 object: 1 valid, 0 with warnings, 0 refused; 2 faults in the message around")


def test_message_without_objects_has_its_envelope_checked(check: Check) -> None:
    file = check(f'<SIF_Message {XMLNS} Version="2.4"><SIF_Register/></SIF_Message>')

    assert told(file) == [("", "SIF_Register", "content", "refuse")]
    assert counted(file) == (0, 0, 0, 0, 1)
    assert tally_words(file.tally).endswith("; 1 fault in the message around")


def test_envelope_of_a_file_that_is_too_large_to_hold_is_left_aside(
    monkeypatch: pytest.MonkeyPatch, check: Check
) -> None:
    spoilt = of_event(WRONG).replace(REF + "</SIF_MsgId>", "</SIF_MsgId>")
    monkeypatch.setattr(file_check, "_MAX_ENVELOPE_BYTES", len(spoilt) - 1)

    assert told(check(spoilt)) == [("TermInfo", MARK, "unknown-element", "refuse")]


# what is no object


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        pytest.param(
            f"<w><TermInfos {XMLNS}/></w>",
            "TermInfos",
            "there is no object TermInfos: rename it to TermInfo.",
            id="near",
        ),
        pytest.param(
            f"<w><{MARK} {XMLNS}/></w>",
            MARK,
            f"there is no object {MARK}: 'sifzone schema list' has all that there are.",
            id="like no other",
        ),
        pytest.param(
            of_event("<TermInfo xmlns='urn:example'/>"),
            "TermInfo",
            f"TermInfo is in another namespace: use {NAMESPACE}.",
            id="another namespace",
        ),
        pytest.param(
            f"<TermInfo RefId='{REF}'><SchoolYear>2026</SchoolYear></TermInfo>",
            "TermInfo",
            f"TermInfo is in another namespace: use {NAMESPACE}.",
            id="no namespace",
        ),
        pytest.param(
            f"<TermInfo xmlns='{LOOKED_AFTER}'/>",
            "TermInfo",
            f"TermInfo is in another namespace: use {NAMESPACE}.",
            id="our own namespace",
        ),
        pytest.param(
            f"<LearnerLookedAfter {XMLNS}/>",
            "LearnerLookedAfter",
            f"LearnerLookedAfter is in another namespace: use {LOOKED_AFTER}.",
            id="SIF's namespace",
        ),
    ],
)
def test_what_is_no_object_of_the_zone_is_refused(content: str, name: str, says: str, check: Check) -> None:
    file = check(content)

    assert [(name, f.path, f.line, f.rule, f.message) for name, f in file.findings()] == [
        (name, "", content.count("\n") + 1, "unknown-object", says)
    ]
    assert counted(file) == (1, 0, 0, 1, 0)


def test_hostile_names_are_cut_short(check: Check) -> None:
    ((name, finding),) = check(f"<w><p:{MARK * 1_000} xmlns:p='urn:{MARK * 1_000}'/></w>").findings()

    assert name == (MARK * 1_000)[:60]
    assert len(finding.message) < 200


# rules


@pytest.mark.parametrize("setting", ["refuse", "warn", "shadow", "off"])
def test_rule_does_what_the_zone_has_set_it_to(setting: str, check: Check) -> None:
    validator = load_validator(None, None, {"upn-check-letter": setting})  # type: ignore[dict-item]  # one of them
    file = check(UPN.format("A820990119017"), validator, partial=True)

    expected = [] if setting == "off" else [("LearnerPersonal", "UPN", "upn-check-letter", setting)]
    assert told(file) == expected
    assert (
        counted(file)[1:]
        == {
            "refuse": (0, 0, 1, 0),
            "warn": (0, 1, 0, 0),
            "shadow": (1, 0, 0, 0),
            "off": (1, 0, 0, 0),
        }[setting]
    )
    assert file.tally.is_refused is (setting == "refuse")


# files that cannot be used


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "no XML at all", id="empty"),
        pytest.param(b"Dear zone", "cannot be read|no XML at all", id="text"),
        pytest.param(f"<!DOCTYPE w><w>{TERM}</w>", "has a DOCTYPE", id="doctype"),
        pytest.param(f"<w>{TERM}</w>".encode("utf-16"), "not UTF-8", id="utf-16"),
        pytest.param(
            "<w/>", "holds no object: its root must be an object, a SIF_Message, or an element around", id="w"
        ),
        pytest.param(f"<Nonsense {XMLNS}/>", "holds no object", id="unknown root"),
        pytest.param(f"<w>{'x' * 9_000_000}</w>", "more than the 8,388,608 bytes", id="no end of text"),
    ],
)
def test_file_that_cannot_be_used_is_told_with_its_name(content: str | bytes, says: str, check: Check) -> None:
    file = check(content)

    with pytest.raises(UnusableFile, match=says) as caught:
        list(file.findings())

    assert str(caught.value).startswith(f"{file.path}: ")


@pytest.mark.parametrize("filler", [0, 1024 * 1024], ids=["small", "large"])
def test_objects_before_a_fault_in_the_file_are_checked(filler: int, check: Check) -> None:
    file = check(f"<w>{WRONG}{TERM}{' ' * filler}<TermInfo>&{MARK};</w>")
    found: list[str] = []

    with pytest.raises(UnusableFile) as caught:
        found.extend(finding.rule for _, finding in file.findings())

    assert found == ["unknown-element"]
    assert counted(file)[:2] == (2, 1)
    assert "line " in str(caught.value)
    assert MARK not in str(caught.value)


def test_missing_file_and_folder_are_told_by_name(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.xml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UnusableFile) as caught:
            list(FileCheck(path, shipped()).findings())
        assert str(caught.value) == f"{path}: cannot be read ({why}): name a file that can"


def test_progress_adds_up_to_the_size_of_the_file(check: Check) -> None:
    read: list[int] = []
    file = check(f"<w>{TERM * 2_000}</w>", read=read.append)

    assert told(file) == []
    assert sum(read) == file.path.stat().st_size
    assert len(read) > 2


@pytest.mark.parametrize("content", [TERM, of_event(TERM), f"<w>{TERM}</w>"], ids=["bare", "event", "wrapper"])
def test_no_finding_repeats_a_value(content: str, check: Check) -> None:
    spoilt = content.replace(REF, MARK).replace("2025", MARK).replace("2026", MARK)

    findings = list(check(spoilt).findings())

    assert findings
    assert MARK not in repr(findings)
