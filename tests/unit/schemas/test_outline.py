"""The schemas hold what the standard says, object by object: names, order, how often, types, lists, references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

import schemas
from schemas import EDITIONS, Edition, Node, SchemaSet
from schemas.samples import sample
from tests.unit.schemas import outline
from tests.unit.schemas.outline import Part

# Lists that the standard closes and we leave open, so that a code that it does not have is a warning: why.
OPENED: Mapping[str, tuple[str, ...]] = {
    "DfE has given out codes since 2011": (
        "AssessmentResultQualifierType", "AssessmentStageType", "AttendanceCodeType", "EALAcquisition",
        "EthnicityCodes", "ExclusionCategory", "ExclusionReason", "LeavingDestination", "NCYear", "SENProvision",
        "SENTypeCode",
    ),
    "of DfE or schools, who may give out others": (
        "AlternativeProvisionType", "AppealResult", "AssessmentMethodType", "AssessmentSubjectType", "GeneralSubjects",
        "GovernanceType", "LearnerIdentity", "LeavingReason", "PhaseType", "Relationship", "ReligiousAffiliation",
        "SchoolType", "TravellerCode", "UsualModeOfTravel", "WorkforceAbsenceType", "WorkforceIllnessCategory",
    ),
    "holds the reasons for exclusion, which have changed": ("BehaviourClassification",),
    "countries, currencies and languages come and go": ("CountryCode", "CurrencyNames", "Languages"),
    "dioceses and councils come and go": (
        "ChurchOfEnglandDiocese", "LearningAndSkillsCouncilArea", "RomanCatholicDiocese",
    ),
    "agents built on OpenADK send codes that the schemas of the standard do not have": (
        "EmployeePost", "MaritalStatus",
    ),
}  # fmt: skip
# Texts that the standard closes in lists of 2011, too long for our outline, for which we have an open list: its name.
LISTED_BY_US: Mapping[str, str] = {"LANumber": "LocalAuthority"}


@dataclass(frozen=True)
class Facts:
    """What the outline and the schema both say of an element or attribute, so that the two can be compared."""

    mandatory: bool
    repeatable: bool
    nillable: bool
    type: str
    refs: frozenset[str]
    unique_by: str | None
    since: str


def of_standard(part: Part) -> Iterator[tuple[str, Facts]]:
    for each in part.walk():
        yield (
            each.path,
            Facts(
                mandatory=each.mandatory,
                repeatable=each.repeatable,
                nillable=each.nillable,
                type=_type(each),
                refs=(each.text and each.text.refs) or frozenset(),
                unique_by=each.unique_by,
                since=each.since if each.path else outline.versions(part.name).since.replace("1.0", ""),
            ),
        )


def _type(part: Part) -> str:
    if part.text is None:
        return "xs:anyType" if part.anything else ""
    codes = part.text.codes or LISTED_BY_US.get(part.text.external)
    return f"codes:{codes}" if codes else part.text.type


def of_schema(node: Node) -> Iterator[tuple[str, Facts]]:
    yield (
        node.path,
        Facts(
            mandatory=node.mandatory,
            repeatable=node.repeatable,
            nillable=node.nillable,
            type=node.type,
            refs=frozenset(node.refs),
            unique_by=node.unique_by,
            since=node.since,
        ),
    )
    for child in node.children:
        yield from of_schema(child)


def elements(facts: Mapping[str, Facts]) -> list[str]:
    return [path for path in facts if "@" not in path]


def test_there_is_a_schema_for_every_object_of_the_standard(schema: SchemaSet) -> None:
    assert set(outline.objects()) - set(schema.objects) == set()
    assert len(outline.objects()) == 43


@pytest.mark.parametrize("name", outline.objects())
def test_object_is_made_of_what_the_standard_says(name: str, schema: SchemaSet) -> None:
    expected, found = dict(of_standard(outline.tree(name))), dict(of_schema(schema.tree(name)))

    assert found.keys() ^ expected.keys() == set()
    assert {path: found[path] for path in found if found[path] != expected[path]} == {}
    assert elements(found) == elements(expected)


@pytest.mark.parametrize("name", outline.objects())
def test_object_has_the_key_and_the_events_of_the_standard(name: str, schema: SchemaSet) -> None:
    assert schema.keys(name) == outline.keys(name)
    assert (schema.note(name).since or "1.0", schema.note(name).events) == (
        outline.versions(name).since,
        outline.versions(name).events,
    )


def newer(part: Part, older: Part) -> Iterator[str]:
    """Yield the paths of what an older version lacks, without what is in them."""
    known = {(child.kind, child.name): child for child in older.children}
    for child in part.children:
        if (child.kind, child.name) in known:
            yield from newer(child, known[child.kind, child.name])
        else:
            yield child.path


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("name", outline.objects())
def test_edition_refuses_what_came_later_and_nothing_else(name: str, edition: Edition, schema: SchemaSet) -> None:
    later = [""]
    if outline.versions(name).since <= edition:
        later = list(newer(outline.tree(name), outline.tree(name, edition)))

    found = schema.check(sample(schema, name), partial=False, edition=edition)

    assert sorted((f.path, f.rule) for f in found) == sorted((path, "edition") for path in later)


@pytest.mark.parametrize("edition", EDITIONS)
def test_edition_demands_what_has_become_optional(edition: Edition, schema: SchemaSet) -> None:
    found = schema.check(sample(schema, "LearnerPersonal", minimal=True), partial=False, edition=edition)

    assert [(f.path, f.rule) for f in found] == ([("InCare", "missing")] if edition < "1.2" else [])


@pytest.mark.parametrize("name", outline.published_codes())
def test_list_has_every_code_of_the_standard(name: str) -> None:
    assert [code for code in outline.published_codes()[name].since if code not in schemas.codes(name).labels] == []


def test_lists_are_open_where_the_standard_has_them_open_or_is_out_of_date() -> None:
    published = outline.published_codes()
    open_in_standard = {name for name, codes in published.items() if codes.open}
    opened = {name for names in OPENED.values() for name in names}

    assert {name for name in published if schemas.codes(name).open} == open_in_standard | opened
