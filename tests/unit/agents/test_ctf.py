"""Common Transfer Files as records: the quirks of real exports, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.ctf import CtfOptions, CtfSource
from mappings import Record
from tests.unit.agents.helpers import CTF_HEAD, CTF_TAIL, ctf, pupil

ROOT = Path(__file__).parents[3]
SOURCE = CtfSource(CtfOptions())

QUIRKS = """\ufeff<?xml version="1.0" encoding="utf-8"?>\r
<!-- written by hand -->\r
<CTfile>\r
\r
<Header>\r
<DocumentName>Common Transfer File</DocumentName>\r
<CTFVersion>19.0</CTFVersion>\r
<SourceSchool><LEA>820</LEA><Estab>9901</Estab><URN>XXXXXX</URN><AcademicYear>2026</AcademicYear></SourceSchool>\r
<DestSchool><LEA>820</LEA><Estab>9902</Estab></DestSchool>\r
</Header>\r
<CTFpupilData>\r
<Pupil>\r
<UPN>A820990100001</UPN>\r
<Surname>QUILL</Surname>\r
<DOB>2015-03-02</DOB>\r
<Gender>F</Gender>\r
<BasicDetails><Languages><Type><LanguageType>F</LanguageType><Language>ENG</Language></Type></Languages>\r
<Disabilities><Disability>HEAR</Disability><Disability>VIS</Disability></Disabilities></BasicDetails>\r
<Address><BS7666Address><PAON>  14</PAON></BS7666Address><Northing>1</Northing><Easting>2</Easting></Address>\r
<Contacts>\r
<Contact><Order>2</Order><Surname>B</Surname><Gender>M</Gender></Contact>\r
<Contact><Order>1</Order><Surname>A</Surname>\r
<Phones><Phone><TelephoneType>M</TelephoneType><PhoneNo> 07700 900101 </PhoneNo></Phone></Phones></Contact>\r
</Contacts>\r
<SENhistory><SEN><SENprovision>K</SENprovision></SEN><SENneeds><SENneed><SENtype>SLCN</SENtype></SENneed></SENneeds></SENhistory>\r
<SchoolHistory><School><LEA>820</LEA><LeavingDate></LeavingDate></School></SchoolHistory>\r
</Pupil>\r
</CTFpupilData>\r
</CTfile>\r
"""


def read(path: Path) -> list[Item]:
    return list(SOURCE.read(path))


def only(path: Path) -> Record:
    (record,) = (item for item in read(path) if isinstance(item, Record))
    return record


@pytest.fixture
def quirks(tmp_path: Path) -> Path:
    path = tmp_path / "8209901_CTF_8209902_001.xml"
    path.write_bytes(QUIRKS.encode())
    return path


def test_a_pupil_is_a_record_of_slash_paths_with_the_header_in_it(quirks: Path) -> None:
    record = only(quirks)

    assert record.position == "pupil 1, line 12"
    assert record.fields["UPN"] == "A820990100001"
    assert record.fields["Header/CTFversion"] == "19.0"
    assert record.fields["Header/SourceSchool/LEA"] == "820"
    assert record.fields["Address/BS7666Address/PAON"] == "14"


def test_gender_is_handed_on_as_sex_for_pupils_and_contacts(quirks: Path) -> None:
    record = only(quirks)

    assert record.fields["Sex"] == "F"
    assert record.groups["Contacts/Contact"][0].fields["Sex"] == "M"
    assert "Gender" not in record.fields


def test_what_repeats_is_in_groups_in_the_order_of_the_file_with_fields_relative_to_the_member(quirks: Path) -> None:
    record = only(quirks)
    contacts = record.groups["Contacts/Contact"]

    assert [contact.fields["Order"] for contact in contacts] == ["2", "1"]
    assert contacts[1].groups["Phones/Phone"][0].fields["PhoneNo"] == "07700 900101"
    assert contacts[0].parent is record
    assert record.groups["SENhistory/SENneeds/SENneed"][0].fields == {"SENtype": "SLCN"}
    assert [each.fields["."] for each in record.groups["BasicDetails/Disabilities/Disability"]] == ["HEAR", "VIS"]
    assert record.groups["BasicDetails/Languages/Type"][0].fields == {"LanguageType": "F", "Language": "ENG"}


def test_an_empty_element_is_absent(quirks: Path) -> None:
    assert "LeavingDate" not in only(quirks).groups["SchoolHistory/School"][0].fields


def test_a_record_shows_no_value_when_printed(quirks: Path) -> None:
    assert "QUILL" not in repr(only(quirks))


@pytest.mark.parametrize(
    ("before", "after", "name", "rule"),
    [
        ("25.0", "9.0", "x.xml", "version"),
        ("<CTFversion>25.0</CTFversion>", "", "x.xml", "version"),
        (">full<", ">partial<", "x.xml", "partial"),
        ("<LEA>820</LEA><Estab>9901</Estab><Aca", "<Aca", "x.xml", "source-school"),
        ("25.0", "25.0", "8209999_CTF_8209902_001.xml", "file-name"),
    ],
    ids=["old", "no-version", "partial", "no-school", "name"],
)
def test_a_header_that_is_not_as_it_should_be_is_reported_and_the_pupils_are_read(
    tmp_path: Path, before: str, after: str, name: str, rule: str
) -> None:
    path = tmp_path / name
    path.write_text((CTF_HEAD + pupil(1) + CTF_TAIL).replace(before, after))

    items = read(path)

    assert [item.rule for item in items if isinstance(item, SourceProblem)] == [rule]
    assert [item.incomplete for item in items if isinstance(item, SourceProblem)] == [rule == "partial"]
    assert sum(isinstance(item, Record) for item in items) == 1


def test_a_name_that_agrees_with_the_header_or_comes_from_an_authority_is_not_reported(tmp_path: Path) -> None:
    for name in ("8209901_CTF_8209902_001.xml", "820LLLL_CTF_8209902_001.xml", "export.xml"):
        assert not [item for item in read(ctf(tmp_path / name, pupil(1))) if isinstance(item, SourceProblem)]


WHOLE = CTF_HEAD + pupil(1) + pupil(2) + CTF_TAIL


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        (WHOLE[:-30], "cut short"),
        (WHOLE[:-600], "cut short"),
        (WHOLE.replace("?>", '?><!DOCTYPE CTfile [<!ENTITY a "aaaa">]>', 1), "DOCTYPE"),
        (WHOLE.replace("?>", "?><!-- a --><!DOCTYPE CTfile SYSTEM 'file:///etc/passwd'>", 1), "DOCTYPE"),
        (WHOLE.replace("Quill", "&secret;", 1), "well-formed"),
        (WHOLE.replace("CTfile", "ATfile"), "not a CTF"),
        (WHOLE.replace("<CTfile>", "<CTfile xmlns='urn:x'>"), "not a CTF"),
        ("<CTfile>" + pupil(1) + "</CTfile>", "before the Header"),
        ("UPN,Surname\nA,B\n", "not XML"),
        (WHOLE.encode("utf-16"), "UTF-16"),
        (CTF_HEAD + "<Pupil>" + "<a>" * 5000 + "</a>" * 5000 + "</Pupil>" + CTF_TAIL, "well-formed"),
    ],
    ids=[
        "empty", "cut-at-the-end", "cut-in-a-pupil", "entity", "external", "undeclared", "atf", "namespace", "headless",
        "csv", "utf-16", "deep",
    ],
)  # fmt: skip
def test_what_is_not_a_whole_ctf_gives_nothing_at_all(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    items = SOURCE.read(path)

    with pytest.raises(SourceError, match=words) as caught:
        next(items)

    assert "Quill" not in str(caught.value)


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="max_bytes"):
        list(CtfSource(CtfOptions(max_bytes=10)).read(ctf(tmp_path / "x.xml", pupil(1))))


MEASURE = """
import sys
from pathlib import Path
from agents.connectors.ctf import CtfOptions, CtfSource
count = sum(1 for _ in CtfSource(CtfOptions()).read(Path(sys.argv[1])))
print(count, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]))
"""


def peak(path: Path) -> tuple[int, int]:
    """Return how many records a process of its own read, and its peak memory in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    count, memory = done.stdout.split()
    return int(count), int(memory)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small = ctf(tmp_path / "small.xml", *(pupil(n) for n in range(100)))
    large = ctf(tmp_path / "large.xml", *(pupil(n, more="<SuppInfo>x</SuppInfo>" * 20) for n in range(20_000)))
    assert large.stat().st_size > 15_000_000

    (few, before), (many, after) = peak(small), peak(large)

    assert (few, many) == (100, 20_000)
    assert after - before < 8 * 1024
