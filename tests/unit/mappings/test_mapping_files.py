"""Every problem of a mapping file is reported with file, line, column and the nearest right name, all at once."""

from itertools import pairwise
from pathlib import Path

import pytest

from mappings import MappingError, Problem, load
from mappings.spec import MAX_PROBLEMS

GOOD = """\
object = "LearnerPersonal"
key = ["UPN"]

[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = "Surname"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ours.toml"


def _problems(file: Path, text: str) -> tuple[Problem, ...]:
    file.write_text(text, "utf-8")
    with pytest.raises(MappingError) as caught:
        load(file)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "column", "says", "nearest"),
    [
        pytest.param('"LocalID" = "Adno"', 1, "LearnerPersonal has no 'LocalID'", "LocalId", id="unknown path"),
        pytest.param('"UPN/Text" = "A"', 1, "has no 'UPN/Text'", "UPN", id="path too deep"),
        pytest.param('"UPN" = { form = "A" }', 11, "no setting 'form'", "from", id="unknown setting"),
        pytest.param('"UPN" = { from = "A", convert = "uppr" }', 23, "no converter 'uppr'", "upper", id="converter"),
        pytest.param('"UPN" = { from = "A", convert = ["upn", "uppr"] }', 41, "'uppr'", "upper", id="second converter"),
        pytest.param('"UPN" = { from = "A", convert = "date" }', 23, "needs an argument", None, id="no argument"),
        pytest.param('"UPN" = { from = "A", convert = "upper:x" }', 23, "takes no argument", None, id="argument"),
        pytest.param('"UPN" = { from = "A", codes = "relations" }', 23, "no code table", "relationship", id="codes"),
        pytest.param('"UPN" = { from = 7 }', 11, "'from' must be a text", None, id="wrong type"),
        pytest.param('"UPN" = 7', 1, "must be a source field", None, id="number as a value"),
        pytest.param(
            '"PersonalInformation/Demographics/Gender" = { const = "Mail" }',
            1,
            "'Mail': not a code",
            None,
            id="constant",
        ),
        pytest.param(
            '"PersonalInformation/Demographics/BirthDate" = { from = "A", default = "1/9" }',
            1,
            "not a date",
            None,
            id="default",
        ),
        pytest.param('"UPN" = { convert = "upper" }', 1, "exactly one of 'from'", None, id="no source"),
        pytest.param('"UPN" = { from = "A", const = "B" }', 1, "exactly one of", None, id="two sources"),
        pytest.param('"UPN" = { ref = "LearnerPersona", key = ["A"] }', 11, "no object", "LearnerPersonal", id="ref"),
        pytest.param('"UPN" = { ref = "SchoolInfo" }', 11, "no key for SchoolInfo", None, id="ref without key"),
        pytest.param('"PersonalInformation/Name[@Type=\'C\']/FamilyName " = "A"', 1, "is not a path", None, id="path"),
        pytest.param('"InCare" = "A"', 1, "holds elements, not text", None, id="element without text"),
        pytest.param('"InCare/Current" = "A"', 1, "needs 'InCare/LAId'", None, id="mandatory element below"),
        pytest.param(
            "\"PersonalInformation/Email[@Type='school']\" = 'A'", 1, "is not a code", "School", id="predicate"
        ),
        pytest.param("\"PersonalInformation/Email[@Typ='School']\" = 'A'", 1, "no attribute", "Type", id="attribute"),
        pytest.param('"PersonalInformation/Email" = "A"', 1, "needs 'PersonalInformation/Email/@Type'", None, id="M @"),
        pytest.param('"PersonalInformation/Name/GivenName" = "A"', 1, "has one", None, id="two of what is single"),
        pytest.param(
            '"PersonalInformation/Name[@Type=\\"C\\"]/FamilyName" = \'A\'', 1, "is filled twice", None, id="twice"
        ),
    ],
)
def test_a_problem_has_its_line_column_and_nearest_name(
    file: Path, line: str, column: int, says: str, nearest: str | None
) -> None:
    (problem,) = _problems(file, GOOD + line)

    assert (problem.file, problem.line, problem.column, problem.nearest) == (str(file), 6, column, nearest)
    assert says in problem.message


def test_all_problems_are_reported_in_the_order_of_the_file(file: Path) -> None:
    problems = _problems(file, GOOD.replace("[fields]", "colour = 1\n[fields]") + '"LocalID" = "A"\n"UPM" = "B"')

    assert [problem.line for problem in problems] == [4, 7, 8]


@pytest.mark.parametrize(
    ("text", "line", "says", "nearest"),
    [
        pytest.param(
            'object = "Learner"\nkey = ["A"]\n[fields]\n', 1, "no object 'Learner'", "LearnerContact", id="object"
        ),
        pytest.param('object = "LearnerPersonel"\n[fields]\n', 1, "no object", "LearnerPersonal", id="nearest object"),
        pytest.param('object = ""\n[fields]\n', 1, "no object ''", None, id="empty object"),
        pytest.param('objekt = "TermInfo"\n[fields]\n', 1, "no setting 'objekt'", "object", id="setting"),
        pytest.param(GOOD.replace("key = ", "kei = "), 2, "no setting 'kei'", "key", id="key misspelt"),
        pytest.param(GOOD.replace('key = ["UPN"]', ""), 1, "no key for LearnerPersonal", None, id="no key"),
        pytest.param(GOOD.replace('["UPN"]', "[[]]"), 2, "empty key", None, id="empty key"),
        pytest.param(GOOD.replace('["UPN"]', '["../UPN"]'), 2, "write /UPN", None, id="parent"),
        pytest.param('object = "LearnerPersonal"\nkey = ["A"]\n[fields]\n"UPN" = "A"', 3, "needs 'Pers", None, id="M"),
        pytest.param(
            GOOD + '[lists."UPN"]\neach = "A"\nfields = { "." = "A" }', 6, "cannot be repeated", None, id="list"
        ),
        pytest.param('object = "LearnerPersonal\n', 1, "not TOML", None, id="open text"),
        pytest.param('object = "A"\n\n[fields\n', 3, "not TOML", None, id="open table"),
        pytest.param(GOOD + '"UPN" = "A"\n"UPN" = "B"\n', 7, "not TOML", None, id="same key"),
    ],
)
def test_a_problem_of_the_whole_file_is_placed_where_it_begins(
    file: Path, text: str, line: int, says: str, nearest: str | None
) -> None:
    found = [p for p in _problems(file, text) if says in p.message]

    assert [(problem.line, problem.nearest) for problem in found] == [(line, nearest)]


@pytest.mark.parametrize(
    ("line", "says", "nearest"),
    [
        pytest.param('sourcedID = "@RefId"', "not one of the columns", "sourcedId", id="column"),
        pytest.param('name = "SchoolNam"', "SchoolInfo has no 'SchoolNam'", "SchoolName", id="path"),
        pytest.param('name = "schol:@RefId"', "no lookup 'schol'", None, id="lookup"),
        pytest.param('name = { ref = "SchoolInfo" }', "reference cannot be made here", None, id="ref"),
    ],
)
def test_problems_of_outward_mappings_are_placed_too(file: Path, line: str, says: str, nearest: str | None) -> None:
    text = 'row = "orgs"\ncolumns = ["sourcedId", "name"]\n[[from]]\nobject = "SchoolInfo"\n[from.fields]\n'

    problems = _problems(file, f'{text}sourcedId = "@RefId"\n{line}\n')

    assert [(p.line, p.nearest) for p in problems if says in p.message] == [(7, nearest)]


def test_a_key_file_has_its_problems_under_its_own_name(file: Path) -> None:
    (file.parent / "keys.toml").write_text('[keys]\nLearnerPersonal = [{ from = "UPN", convert = "uppr" }]\n', "utf-8")

    (problem,) = _problems(file, GOOD.replace('key = ["UPN"]', 'keys = "keys"'))

    assert (Path(problem.file).name, problem.line, problem.nearest) == ("keys.toml", 2, "upper")


def test_a_key_that_is_made_of_itself_is_refused(file: Path) -> None:
    (file.parent / "keys.toml").write_text(
        '[keys]\nLearnerPersonal = [{ ref = "SchoolInfo" }]\nSchoolInfo = [{ ref = "LearnerPersonal" }]\n', "utf-8"
    )

    (problem,) = _problems(file, GOOD.replace('key = ["UPN"]', 'keys = "keys"'))

    assert "made of itself" in problem.message


@pytest.mark.parametrize("name", ["../learner", "/etc/passwd", "ctf/../ctf/learner", "ctf\\learner", "", "."])
def test_a_name_cannot_lead_out_of_the_library(name: str) -> None:
    with pytest.raises(MappingError, match="no mapping of this name"):
        load(name)


def test_a_code_table_cannot_be_read_from_outside_the_library(file: Path) -> None:
    (file.parent / "secret.toml").write_text('[codes]\nA = "B"\n', "utf-8")

    (problem,) = _problems(file, GOOD + '"UPN" = { from = "A", codes = "../secret" }')

    assert "no code table" in problem.message


def test_a_link_out_of_the_library_is_not_followed(tmp_path: Path) -> None:
    outside, library = tmp_path / "outside.toml", tmp_path / "library"
    outside.write_text(GOOD, "utf-8")
    library.mkdir()
    (library / "ours.toml").symlink_to(outside)

    with pytest.raises(MappingError, match="no mapping of this name"):
        load("ours", [library])


def test_a_site_s_own_file_comes_before_the_library_s(tmp_path: Path) -> None:
    (tmp_path / "ctf").mkdir()
    (tmp_path / "ctf" / "learner.toml").write_text(f'title = "ours"\n{GOOD}', "utf-8")

    assert load("ctf/learner", [tmp_path]).title == "ours"
    assert load("ctf/learner").title != "ours"


def test_an_unknown_name_says_the_nearest() -> None:
    with pytest.raises(MappingError) as caught:
        load("ctf/lerner")

    assert caught.value.problems[0].nearest == "ctf/learner"


def test_after_many_problems_no_more_are_looked_for(file: Path) -> None:
    text = "".join(f"colour{number} = 1\n" for number in range(MAX_PROBLEMS + 100)) + GOOD

    assert len(_problems(file, text)) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param('"' + "a/" * 100_000 + '" = "A"', "is not a path", id="long path"),
        pytest.param("a." * 100_000 + "b = 1", "full stops in a line", id="long dotted key"),
        pytest.param('"HomeLA" = [' + '"A", ' * 101 + "]", "more than 100 alternatives", id="alternatives"),
        pytest.param(
            '"HomeLA" = ' + '{ ref = "SchoolInfo", key = [' * 150 + '"A"' + "] }" * 150, "too deeply", id="references"
        ),
    ],
)
def test_what_would_take_long_is_refused_at_once(file: Path, line: str, says: str) -> None:
    assert any(says in problem.message and len(problem.message) < 600 for problem in _problems(file, GOOD + line))


def test_keys_that_refer_to_each_other_again_and_again_are_refused(file: Path) -> None:
    chain = ["SchoolInfo", "TermInfo", "SchoolGroup", "SchoolGroupType", "ContactPersonal", "LearnerContact"]
    chain += ["LearnerExclusion", "LearnerAttendance", "LearnerSpecialNeeds", "WorkforcePersonal", "LearnerPersonal"]
    keys = [f'{name} = [{{ ref = "{before}" }}, {{ ref = "{before}" }}]' for before, name in pairwise(chain)]
    (file.parent / "keys.toml").write_text("\n".join(["[keys]", 'SchoolInfo = ["A"]', *keys]), "utf-8")

    (problem,) = _problems(file, GOOD.replace('key = ["UPN"]', 'keys = "keys"'))

    assert (Path(problem.file).name, "too often" in problem.message) == ("keys.toml", True)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"a = " + b"[" * 100_000, id="nested too deeply"),
        pytest.param(b"#" * 1_000_001, id="too large"),
        pytest.param(b"", id="empty"),
        pytest.param(b'object = "TermInfo"\nfields = 3\nkey = "A"\n', id="wrong types"),
        pytest.param(b'row = "a"\ncolumns = [1]\nfrom = [2]\n', id="wrong types outward"),
    ],
)
def test_a_hostile_file_is_refused_as_a_mapping_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(MappingError):
        load(file)
