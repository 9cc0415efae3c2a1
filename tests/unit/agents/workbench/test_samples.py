"""Sample files: which connector a file is for, by its content, and which fields its records have."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from agents.connectors.contract import SourceError
from agents.workbench.samples import parse_options, read_sample
from broker.protocol.errors import ConfigurationError

CTF = (
    "<CTfile><Header><CTFversion>25.0</CTFversion><SourceSchool><LEA>820</LEA><Estab>9903</Estab></SourceSchool></Header>"
    "<CTFpupilData><Pupil><UPN>J820990114021</UPN><Surname>Quillfeather</Surname><Contacts><Contact><Surname>Abernall"
    "</Surname></Contact></Contacts></Pupil></CTFpupilData></CTfile>"
)
PUPILS = (
    "<School><Name>Thornwick</Name><Pupils><Pupil id='1'><UPN>J820990114021</UPN><Tel><No>1</No></Tel><Tel><No>2</No>"
    "</Tel><Tel><No>3</No></Tel></Pupil><Pupil id='2'><UPN>K820990114022</UPN></Pupil></Pupils></School>"
)


def write(name: str, text: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(text, "utf-8")
        return folder / name

    return make


def encoded(encoding: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        text = f'<?xml version="1.0" encoding="{encoding}"?><S><P><N>\u00c9tienne</N></P><P><N>\u00c9</N></P></S>'
        (folder / "a.xml").write_bytes(text.encode(encoding))
        return folder / "a.xml"

    return make


def workbook(folder: Path) -> Path:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["UPN", "Surname"])
    sheet.append(["J820990114021", "Quillfeather"])
    book.save(folder / "pupils.xlsx")
    return folder / "pupils.xlsx"


@pytest.mark.parametrize(
    ("make", "options", "connector", "field"),
    [
        pytest.param(write("a.csv", "UPN,Surname\n1,2\n"), {}, "csv", "Surname", id="csv"),
        pytest.param(write("a.txt", "UPN\tSurname\n1\t2\n"), {}, "csv", "Surname", id="tabs in a .txt"),
        pytest.param(workbook, {}, "xlsx", "Surname", id="workbook"),
        pytest.param(write("a.xml", CTF), {}, "ctf", "Surname", id="CTF"),
        pytest.param(write("a.dat", PUPILS), {}, "xml", "UPN", id="other XML, by its most repeated element"),
        pytest.param(encoded("iso-8859-1"), {}, "xml", "N", id="XML of an old system"),
        pytest.param(encoded("utf-16"), {}, "xml", "N", id="XML in two bytes a character"),
        pytest.param(
            write("a.csv", "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\nMADEUP01,F,03/02/2013,WBRI,UN1,,\n"),
            {"authority": "820"},
            "ssda903",
            None,
            id="SSDA903, by its headings",
        ),
    ],
)
def test_the_connector_is_told_by_what_is_in_the_file(
    tmp_path: Path, make: Callable[[Path], Path], options: dict[str, str], connector: str, field: str | None
) -> None:
    path = make(tmp_path)
    if field is None:  # a return is read whole, and this is one file of it
        with pytest.raises(SourceError, match="there is no Episodes file"):
            read_sample(path, options=options)
        return

    sample = read_sample(path, options=options)

    assert sample.connector == connector
    assert field in [each.name for each in sample.fields]


def test_records_of_xml_are_the_outermost_elements_that_repeat(tmp_path: Path) -> None:
    sample = read_sample(write("a.xml", PUPILS)(tmp_path))

    assert sample.source.options == {"records": "/School/Pupils/Pupil"}
    assert len(sample.records) == 2


def test_fields_come_in_the_order_of_the_file_though_no_row_has_them_all(tmp_path: Path) -> None:
    path = write("a.csv", "A,B,C,D,E\n1,,3,,\n,2,3,,\n1,2,,4,\n")(tmp_path)

    sample = read_sample(path)

    assert [(each.name, each.filled, each.distinct) for each in sample.fields] == [
        ("A", 2, 1),
        ("B", 2, 1),
        ("C", 2, 1),
        ("D", 1, 1),
        ("E", 0, 0),
    ]


def test_fields_of_groups_are_counted_by_member(tmp_path: Path) -> None:
    sample = read_sample(write("a.xml", CTF)(tmp_path))

    surname = next(each for each in sample.fields if each.path == "Contacts/Contact/Surname")
    assert (surname.name, surname.group, surname.filled, surname.of) == ("Surname", "Contacts/Contact", 1, 1)


def test_no_more_records_are_read_than_the_limit_and_the_sample_says_so(tmp_path: Path) -> None:
    path = write("a.csv", "A\n1\n2\n3\n")(tmp_path)

    assert [len(read_sample(path, limit=limit).records) for limit in (2, 3)] == [2, 3]
    assert [read_sample(path, limit=limit).whole for limit in (2, 3)] == [False, True]


def test_values_are_in_no_representation(tmp_path: Path) -> None:
    sample = read_sample(write("a.csv", "Surname\nQuillfeather\n")(tmp_path))

    assert sample.fields[0].counts == {"Quillfeather": 1}
    assert "Quillfeather" not in repr(sample) + str(sample.fields) + repr(sample.records[0])


def damaged_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("users.csv", "sourcedId\n")
    whole = (folder / "a.zip").read_bytes()
    (folder / "a.zip").write_bytes(whole[:-10])
    return folder / "a.zip"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda folder: folder / "none.csv", "there is no such file", id="missing"),
        pytest.param(lambda folder: folder, "a folder without manifest.csv", id="folder"),
        pytest.param(write("a.csv", " \n"), "empty", id="empty"),
        pytest.param(damaged_zip, "damaged zip", id="damaged zip"),
        pytest.param(write("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a><d><e/></d></a>'), "DOCTYPE", id="DOCTYPE"),
        pytest.param(write("a.xls", "<!DOCTYPE html>\n<HTML><table>"), "a web page", id="HTML named as a workbook"),
        pytest.param(write("a.json", '[{"UPN": "1"}]'), "JSON", id="JSON"),
        pytest.param(write("a.xml", "<a><b></a>"), "not well-formed", id="not well-formed"),
        pytest.param(write("a.xml", "<a>1</a>"), "no element in it holds others", id="XML without records"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read_sample(make(tmp_path))


@pytest.mark.parametrize(
    ("connector", "options", "says"),
    [
        pytest.param("cvs", {}, "did you mean 'csv'", id="no such connector"),
        pytest.param("oneroster", {}, "reads no files", id="a target"),
        pytest.param("csv", {"delimeter": ";"}, "delimeter", id="no such option"),
        pytest.param("ssda903", {}, "--option key=value", id="an option is needed"),
    ],
)
def test_a_connector_that_cannot_be_made_is_a_matter_of_configuration(
    tmp_path: Path, connector: str, options: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        read_sample(write("a.csv", "A\n1\n")(tmp_path), connector, options)


def test_options_are_texts_unless_they_are_written_as_lists_or_tables() -> None:
    assert parse_options(["sheet=Pupils", "authority=820", 'areas={ QZ5 = "820" }', "odd=[1,"]) == {
        "sheet": "Pupils",
        "authority": "820",
        "areas": {"QZ5": "820"},
        "odd": "[1,",
    }


def test_an_option_without_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="key=value"):
        parse_options(["sheet"])
