"""XML of any form as records: paths, groups, encodings, and what a hostile file may not do."""

import resource
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.connectors.contract import Item, SourceError, SourceProblem
from agents.connectors.xml import XmlOptions, XmlSource
from mappings import Record

SCHOOL = """<?xml version="1.0"?>
<School xmlns="urn:mis">
 <Staff><Person id="9"><Name>Not a pupil</Name></Person></Staff>
 <Pupils>
  <Pupil id="1" xmlns:x="http://www.w3.org/2001/XMLSchema-instance">
   <Name lang="en"><First> Zephyrine </First><Last>Quill</Last></Name>
   <Middle x:nil="true"/>
   <Contacts>
    <Contact rank="1"><Name>A</Name><Phones><Phone>01632 960101</Phone><Phone>07700 900102</Phone></Phones></Contact>
   </Contacts>
   <Needs><Need>SLCN</Need><Need>SEMH</Need></Needs>
  </Pupil>
  <Pupil id="2"><Pupil>inner</Pupil><Name><First>Ada</First></Name></Pupil>
 </Pupils>
</School>
"""
GROUPS = ["Contacts/Contact", "Contacts/Contact/Phones/Phone", "Needs/Need"]


def read(path: Path, content: bytes | str, **options: object) -> list[Item]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = {"records": "/School/Pupils/Pupil", **options}
    return list(XmlSource(XmlOptions.model_validate(given)).read(path))


def only_records(items: list[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pupils.xml"


def test_texts_and_attributes_are_fields_by_path_and_what_may_repeat_is_in_groups(path: Path) -> None:
    first, second = only_records(read(path, SCHOOL, groups=GROUPS))

    assert (first.position, second.position) == ("Pupil 1, line 5", "Pupil 2, line 13")
    assert first.fields == {"@id": "1", "Name/@lang": "en", "Name/First": "Zephyrine", "Name/Last": "Quill"}
    (contact,) = first.groups["Contacts/Contact"]
    assert (contact.position, contact.parent) == ("Pupil 1, line 5, Contact 1", first)
    assert contact.fields == {"@rank": "1", "Name": "A"}
    assert [phone.fields["."] for phone in contact.groups["Phones/Phone"]] == ["01632 960101", "07700 900102"]
    assert [need.fields for need in first.groups["Needs/Need"]] == [{".": "SLCN"}, {".": "SEMH"}]
    assert (second.fields, second.groups) == ({"@id": "2", "Pupil": "inner", "Name/First": "Ada"}, {})


def test_what_repeats_without_being_named_gives_its_first_and_a_group_and_is_reported_once(path: Path) -> None:
    pupil = "<Pupil><Need><Code>A</Code></Need><Need><Code>B</Code><Rank>2</Rank></Need></Pupil>"

    items = read(path, f"<School><Pupils>{pupil}{pupil}</Pupils></School>")

    records = only_records(items)
    assert [record.fields for record in records] == [{"Need/Code": "A"}] * 2
    assert [dict(one.fields) for one in records[0].groups["Need"]] == [{"Code": "A"}, {"Code": "B", "Rank": "2"}]
    assert [(item.position, item.rule) for item in items if isinstance(item, SourceProblem)] == [
        ("Pupil 1, line 1", "repeats")
    ]


def test_namespaces_count_only_where_they_are_named(path: Path) -> None:
    content = (
        '<a:School xmlns:a="urn:a" xmlns:b="urn:b"><Pupils>'
        "<a:Pupil><a:N>1</a:N><b:N>2</b:N></a:Pupil><b:Pupil/></Pupils></a:School>"
    )

    (record,) = only_records(
        read(path, content, records="/s:School/Pupils/s:Pupil", namespaces={"s": "urn:a"}, groups=["s:N"])
    )
    assert (record.fields, record.groups["s:N"][0].fields) == ({"N": "2"}, {".": "1"})
    assert len(only_records(read(path, content))) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "iso-8859-15", "cp1250"])
def test_a_file_is_read_in_the_encoding_that_it_says_it_is_in(path: Path, encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    content = (
        f'<?xml version="1.0" encoding="{declared}"?>\n<School><Pupils><Pupil>\n<N>Zoé</N></Pupil></Pupils></School>'
    )

    (record,) = only_records(read(path, content.encode(encoding)))

    assert (record.position, record.fields) == ("Pupil 1, line 2", {"N": "Zoé"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "^line 1: "),
        (b"UPN,Reg\nA1,9A\n", "line 1: not XML"),
        (SCHOOL[:-20].encode(), "^line 14: .*cut short.*when it is whole"),
        (SCHOOL.replace("</Last>", "</List>").encode(), "^line 6: .*does not match its start tag"),
        (
            b'<!DOCTYPE a [<!ENTITY e SYSTEM "/etc/passwd">]><School><Pupils><Pupil>&e;</Pupil></Pupils></School>',
            "DOCTYPE",
        ),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE School><School/>'.encode("utf-16"), "DOCTYPE"),
        (b"<School><Pupils><Pupil>&e;</Pupil></Pupils></School>", "XML that cannot be read|an entity"),
        (b"<Schule><Pupils/></Schule>", "its root element is Schule, not School"),
        (b"<School><Pupil/></School>", "no element /School/Pupils"),
        (b'<?xml version="1.0" encoding="rot13"?><School/>', "encoding that is not known"),
        (b'<?xml version="1.0" encoding="utf-16"?><School/>', "bytes that are not utf-16|UTF-16|not XML"),
        (b"<School><Pupils><Pupil>" + b"<a>" * 300, "nested more than 256 deep"),
        (b"<School><Pupils><Pupil>" + b"<a/>" * 21_000 + b"</Pupil></Pupils></School>", "more than 20,000 elements"),
        (b"<School><Pupils><Pupil>" + b"x" * 9_000_000, "a record has more than the 8,388,608 bytes"),
    ],
    ids=[
        "empty",
        "csv",
        "cut",
        "tags",
        "doctype",
        "utf-16-doctype",
        "entity",
        "root",
        "path",
        "rot13",
        "said-utf-16",
        "deep",
        "elements",
        "large",
    ],
)
def test_what_cannot_be_read_as_a_whole_gives_no_record_and_is_told_with_its_line(
    path: Path, content: bytes, words: str
) -> None:
    path.write_bytes(content)
    items = XmlSource(XmlOptions(records="/School/Pupils/Pupil")).read(path)

    with pytest.raises(SourceError, match=words) as refused:
        next(items)
    assert str(refused.value).startswith("line ")


def test_a_tag_with_more_attributes_than_one_needs_is_refused_since_each_is_looked_for_among_the_others(
    path: Path,
) -> None:
    many = " ".join(f'a{number}="1"' for number in range(300))

    with pytest.raises(SourceError, match="more than 256 attributes"):
        read(path, f"<School><Pupils><Pupil><Name {many}/></Pupil></Pupils></School>")


def test_a_school_without_pupils_is_whole_and_empty(path: Path) -> None:
    assert read(path, "<School><Pupils/></School>") == []


@pytest.mark.parametrize("records", ["School/Pupil", "/School//Pupil", "/School/Pupil[1]", "//Pupil", "/"])
def test_a_path_that_is_none_is_refused(records: str) -> None:
    with pytest.raises(ValidationError, match="records"):
        XmlOptions(records=records)


def test_reading_takes_no_more_memory_for_more_records_or_for_more_of_what_is_none(path: Path) -> None:
    with path.open("w") as file:
        file.write("<School><Other>")
        file.write(f"<Thing><A>{'x' * 900}</A></Thing>" * 20_000)
        file.write("</Other><Pupils>")
        for number in range(20_000):
            file.write(f"<Pupil><N>{number}</N><A>{'x' * 900}</A></Pupil>")
        file.write("</Pupils></School>")
    before = _memory()

    last = "", 0
    for item in XmlSource(XmlOptions(records="/School/Pupils/Pupil")).read(path):
        assert isinstance(item, Record)
        last = (
            item.fields["N"],
            _memory() if len(item.fields["N"]) == 5 and item.fields["N"].endswith("99") else last[1],
        )

    assert last[0] == "19999"
    assert last[1] - before < 16_000_000 < path.stat().st_size / 2


def _memory() -> int:
    """Return the memory that this process has, in bytes; what libxml2 has of it, no other count sees."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
