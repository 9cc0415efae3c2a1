"""Made-up records: they reach every line, keep the schema, cover codes, and say what is wrong on purpose."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import schemas
from agents.certify.corpus import CANARY, Corpus, Made, build, made_of, reached, target_key
from agents.certify.uses import made_up_upn
from agents.workbench.reading import TEST_KEYS
from mappings import InwardMapping, load, open_document
from schemas.rules import RuleSet
from tests.unit.schemas.rules.cases import Known, learner, parse

FLAT = """
object = "LearnerPersonal"
key = [["UPN"]]
when = { Status = ["Current", "Guest"], Hidden = false }
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/Name[@Type='C']/GivenName" = [
  "Known As",
  { from = "Forename", when = { "Use Legal" = ["Y"] } },
  "Initial",
]
"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = { Boy = "M", Girl = "F", Other = "U" } }
"PersonalInformation/Demographics/BirthDate" = { from = "Born", convert = "date:%d %B %Y" }
"UPN" = { from = "UPN", convert = "upn" }
[lists."FormerUPNList/UPN"]
each = "Former"
split = ";"
fields = { "." = { from = ".", convert = "upn" } }
"""
COLUMNS = """
object = "ContactPersonal"
columns = [{ Surname = "Contact {1-2} Surname", Home = "Contact {1-2} Tel" }]
key = ["/UPN", "Surname"]
[fields]
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/PhoneNumber[@Type='H']/Number" = { from = "Home", convert = "phone" }
"""
ROWS = """
object = "LearnerSpecialNeeds"
keys = "csv/keys"
rows = ["UPN", "Start Date"]
[fields]
"@LearnerPersonalRefId" = { ref = "LearnerPersonal" }
"@SchoolInfoRefId" = { ref = "SchoolInfo" }
"Provision" = { from = "SEN Status", convert = "upper" }
"StartDate" = { from = "Start Date", convert = "date:%d/%m/%Y" }
[lists."SENTypeList/SENType"]
each = "rows"
fields = { "." = "SEN Need", "@Ranking" = "#" }
"""
GROUPS = """
object = "LearnerAttendanceSummary"
keys = "ctf/keys"
base = "ctf/attendance"
"""


def corpus_of(
    names: Sequence[str | Path], fixed: Mapping[str, str] | None = None, *, at_least: int = 0, quick: bool = False
) -> Corpus:
    """Return the records for mappings that are read together."""
    mappings = [mapping for name in names if isinstance(mapping := load(name), InwardMapping)]
    documents = [open_document(name) for name in names]
    return build(mappings, documents, TEST_KEYS, fixed=fixed, at_least=at_least, quick=quick)


def made(corpus: Corpus) -> list[Made]:
    """Return what the mappings make of the records that are right."""
    return list(made_of([case.record for case in corpus.right], corpus.mappings, TEST_KEYS))


@pytest.fixture(params=[FLAT, COLUMNS, ROWS, GROUPS], ids=["flat", "columns", "rows", "groups"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A mapping of one of the forms that there are."""
    file = tmp_path / "mapping.toml"
    file.write_text(request.param, encoding="utf-8")
    return file


SHIPPED = [
    ["csv/learner", "csv/enrolment"],
    ["csv/group-types", "csv/groups"],
    ["ctf/learner", "ctf/special-needs", "ctf/attendance"],
    ["arbor-like/contact-person"],
    ["oneroster/in-schools"],
    ["ssda903/looked-after"],
]


@pytest.mark.parametrize("names", SHIPPED, ids=lambda names: names[0])
def test_made_up_records_reach_every_line_of_shipped_mappings_with_valid_objects(names: list[str]) -> None:
    corpus = corpus_of(names)
    found = made(corpus)

    for mapping in corpus.mappings:
        lines = {target_key(line) for line in mapping.lines if line.kind == "field"}
        assert reached(mapping, found) == lines
    objects = [one for each in found for one in each.translation.objects]
    assert [schemas.load().check(one.element, partial=False) for one in objects] == [()] * len(objects)


def test_made_up_records_reach_every_line_of_each_form_of_mapping(written: Path) -> None:
    corpus = corpus_of([written])
    (mapping,) = corpus.mappings

    assert reached(mapping, made(corpus)) == {target_key(line) for line in mapping.lines if line.kind == "field"}


def test_records_are_about_different_things_so_that_none_hides_another(written: Path) -> None:
    found = made(corpus_of([written], at_least=150))

    ids = [one.ref_id for each in found for one in each.translation.objects]
    assert len(set(ids)) == len(ids) >= 100


def test_what_is_made_up_is_the_same_each_time(written: Path) -> None:
    first, again = ([vars_of(case.record) for case in corpus_of([written]).cases] for _ in range(2))
    assert first == again


def test_every_code_is_in_some_record_and_in_a_quick_corpus_a_few(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(FLAT.replace('codes = { Boy = "M", Girl = "F", Other = "U" }', 'codes = "sex"'), encoding="utf-8")
    whole, quick = corpus_of([file]), corpus_of([file], quick=True)

    table = next(line.codes for line in whole.mappings[0].lines if line.codes is not None)
    assert {case.record.fields.get("Sex") for case in whole.cases} >= set(table.codes)
    assert len(quick.cases) < len(whole.cases) or len(table.codes) <= 6


def test_records_with_a_wrong_text_say_where_and_are_reported(written: Path) -> None:
    corpus = corpus_of([written])

    for case in corpus.wrong:
        if case.wrong == "*":
            continue
        found = list(made_of([case.record], corpus.mappings, TEST_KEYS))
        told = [problem for each in found for problem in each.translation.problems]
        objects = [one.element for each in found for one in each.translation.objects]
        assert told or any(schemas.load().check(element, partial=False) for element in objects), case.name


def test_conditions_of_the_whole_mapping_hold_in_every_right_record(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(FLAT, encoding="utf-8")

    found = made(corpus_of([file]))
    assert all(len(each.translation.objects) == 1 for each in found)
    assert {each.record.fields["Status"] for each in found} == {"Current", "Guest"}


def test_odd_texts_long_ones_and_absences_are_among_the_records(tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(FLAT, encoding="utf-8")
    corpus = corpus_of([file])

    surnames = [case.record.fields["Surname"] for case in corpus.right]
    assert any("<b>" in text and "]]>" in text for text in surnames)
    assert any("\u65e5" in text for text in surnames)
    assert max(map(len, surnames)) >= 35
    assert [case for case in corpus.right if "Sex" not in case.record.fields]
    least = next(case for case in corpus.right if case.name == "only what must be there")
    assert set(least.record.fields) == {"UPN", "Surname", "Status"}


def test_what_the_connector_gives_every_record_is_never_varied() -> None:
    corpus = corpus_of(["csv/school"], {"LA Number": "820"})

    assert {case.record.fields.get("LA Number", "820") for case in corpus.right} == {"820"}


def test_the_canary_stands_in_every_field_in_some_record(written: Path) -> None:
    corpus = corpus_of([written])

    texts = [text for case in corpus.canaries for text in _texts(case.record.fields, case.record.groups)]
    assert sum(CANARY in text for text in texts) >= len(corpus.fields) - 2  # constants, and fields that are never there


def _texts(fields: Mapping[str, str], groups: Mapping[str, tuple[object, ...]]) -> list[str]:
    return [*fields.values(), *re.findall(f"{CANARY}[^']*", repr([vars_of(m) for ms in groups.values() for m in ms]))]


def vars_of(member: object) -> object:
    """Return a member's fields and groups, which its own repr leaves out."""
    return [getattr(member, "fields", {}), [[vars_of(m) for m in ms] for ms in getattr(member, "groups", {}).values()]]


@pytest.mark.parametrize("number", [1, 999, 45_000])
def test_a_made_up_upn_has_its_check_letter(number: int) -> None:
    element = parse(learner(f"<UPN>{made_up_upn(number)}</UPN>"))

    assert RuleSet().check("LearnerPersonal", element, Known()) == ()
