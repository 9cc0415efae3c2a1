"""A mapping laid over another: lines are replaced, added and taken away one by one, and each keeps its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mappings import InwardMapping, MappingError, Problem, load, open_document

NAME = "\"PersonalInformation/Name[@Type='C']/FamilyName\""
BASE = f"""\
title = "base"
object = "LearnerPersonal"
key = ["UPN"]
when = {{ "Status" = ["C"] }}

[pick.stay]
from = "School"
order = "Entry"

[fields]
{NAME} = {{ from = "Surname", required = true }}
"LocalId" = "Adno"
"UPN" = {{ from = "UPN", convert = "upn" }}

[lists."FormerUPNList/UPN"]
each = "Former"
fields = {{ "." = "UPN" }}
"""
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes a file of the site's folder."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return write


def _inward(name: str | Path, *library: Path) -> InwardMapping:
    mapping = load(name, library)
    assert isinstance(mapping, InwardMapping)
    return mapping


def _problems(name: str | Path, *library: Path) -> tuple[Problem, ...]:
    with pytest.raises(MappingError) as caught:
        load(name, library)
    return caught.value.problems


def test_lines_are_replaced_added_and_taken_away_one_by_one(write: Write) -> None:
    write("base", BASE)
    file = write(
        "ours",
        'base = "base"\ntitle = "ours"\nwhen = { "Year" = true }\n[pick]\nstay.order = "Left"\n[fields]\n"LocalId" = '
        '{ const = "7" }\n"UPN" = false\n"HomeLA" = "LA"\n[lists."FormerUPNList/UPN"]\neach = "Olds"\n',
    )

    values = open_document(file).values

    assert (values["title"], values["object"], values["when"]) == ("ours", "LearnerPersonal", {"Year": True})
    assert list(values["fields"]) == [NAME.strip('"'), "LocalId", "HomeLA"]
    assert values["fields"]["LocalId"] == {"const": "7"}
    assert values["pick"]["stay"] == {"from": "School", "order": "Left"}
    assert values["lists"] == {"FormerUPNList/UPN": {"each": "Olds", "fields": {".": "UPN"}}}
    assert "base" not in values


def test_what_a_replaced_line_had_in_the_base_has_no_place_any_more(write: Write) -> None:
    write("base", BASE)

    document = open_document(write("ours", 'base = "base"\n[fields]\n"UPN" = "Number"\n'))

    assert ("fields", "UPN", "convert") not in document.positions
    assert document.place(("fields", "UPN", "convert")).line == 3


def test_a_value_in_one_line_is_replaced_as_a_whole(write: Write) -> None:
    write("base", BASE)

    document = open_document(write("ours", f'base = "base"\n[fields]\n{NAME} = {{ from = "Last Name" }}\n'))

    assert document.values["fields"][NAME.strip('"')] == {"from": "Last Name"}


def test_a_site_s_own_file_can_be_laid_over_the_library_s_of_the_same_name(write: Write, tmp_path: Path) -> None:
    file = write("csv/learner", 'base = "csv/learner"\n[fields]\n"LocalId" = "Admission Number"\n')

    for mapping in (_inward("csv/learner", tmp_path), _inward(file), _inward(file, tmp_path)):
        assert {"Admission Number", "Legal Surname"} < mapping.sources
        assert "Adno" not in mapping.sources


def test_each_line_says_in_which_file_it_stands(write: Write) -> None:
    base = write("base", BASE)
    file = write("ours", 'base = "base"\n\n[fields]\n"LocalId" = "Number"\n')

    places = {line.target: (line.file, line.line) for line in _inward(file).lines if line.kind == "field"}

    assert places["LocalId"] == (str(file), 4)
    assert places["UPN"] == (str(base), 13)
    assert open_document(file).files == (str(file), str(base))


def test_problems_are_told_where_the_line_really_stands(write: Write) -> None:
    base = write("base", BASE.replace('"Adno"', '{ form = "Adno" }'))
    file = write("ours", 'base = "middle"\n\n[fields]\n"UPM" = "UPN"\n')
    middle = write("middle", 'base = "base"\n[fields]\n"HomeLa" = "LA"\n')

    found = {(p.file, p.line, p.nearest) for p in _problems(file)}

    assert found == {(str(base), 12, "from"), (str(middle), 3, "HomeLA"), (str(file), 4, "UPN")}


@pytest.mark.parametrize(
    ("text", "line", "says", "nearest"),
    [
        pytest.param('base = "bas"\n', 1, "no other file 'bas'", "base", id="unknown"),
        pytest.param('title = "a"\nbase = "ours"\n', 2, "no other file 'ours'", None, id="itself"),
        pytest.param('base = ["base"]\n', 1, "must be a text", None, id="no text"),
        pytest.param('base = "base"\n[fields]\n"UPM" = false\n', 3, "has no 'UPM'", "UPN", id="nothing there"),
        pytest.param('base = "../base"\n', 1, "no other file", "base", id="outside"),
        pytest.param('base = "/etc/passwd"\n', 1, "no other file", None, id="absolute"),
        pytest.param('base = "base"\n[fields]\nx.y = 1\n', 3, "no 'x'", None, id="dotted"),
    ],
)
def test_a_base_that_cannot_be_used_is_told_with_its_place(
    write: Write, text: str, line: int, says: str, nearest: str | None
) -> None:
    write("base", BASE)

    found = [p for p in _problems(write("ours", text)) if says in p.message]

    assert [(Path(p.file).name, p.line, p.nearest) for p in found] == [("ours.toml", line, nearest)]


def test_a_circle_of_bases_is_refused(write: Write) -> None:
    write("one", 'base = "two"\n')
    write("two", 'base = "three"\n')

    (problem,) = _problems(write("three", 'base = "one"\n'))

    assert "made of this file itself" in problem.message


def test_a_long_chain_of_bases_is_refused(write: Write) -> None:
    write("n0", BASE)
    for number in range(1, 8):
        write(f"n{number}", f'base = "n{number - 1}"\n')
    file = write("n8", 'base = "n7"\n')

    (problem,) = _problems(file)

    assert "laid over each other" in problem.message
    assert _inward(file.with_name("n7.toml")).title == "base"


def test_a_link_out_of_the_folder_is_no_base(write: Write, tmp_path: Path) -> None:
    outside = write("outside/secret", BASE)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret.toml").symlink_to(outside)

    (problem,) = _problems(write("in/ours", 'base = "secret"\n'))

    assert "no other file 'secret'" in problem.message


def test_key_files_and_code_tables_have_bases_too(write: Write, tmp_path: Path) -> None:
    write("csv/keys", 'base = "csv/keys"\n[keys]\nLearnerPersonal = ["Adno"]\n')
    write("codes/sex", 'base = "codes/sex"\n[codes]\nQuux = "F"\nMale = false\n')

    mapping = _inward("csv/learner", tmp_path)

    (codes,) = (line.codes for line in mapping.lines if line.codes is not None)
    assert [line.sources for line in mapping.lines if line.kind == "key"] == [("Adno",)]
    assert codes.convert("quux") == "F"
    assert "male" not in codes.codes
    assert codes.convert("female") == "F"


def test_a_code_table_beside_the_mapping_comes_before_the_library_s(write: Write, tmp_path: Path) -> None:
    write("mis/codes/sex", '[codes]\nZ = "F"\n')
    write("mis/base", BASE)
    line = '"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = "sex" }'
    write("mis/over", f'base = "mis/base"\n[fields]\n{line}\n')

    (codes,) = (found.codes for found in _inward("mis/over", tmp_path).lines if found.codes is not None)

    assert dict(codes.codes) == {"z": "F"}
