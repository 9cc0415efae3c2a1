"""Made-up instances are valid, whole, the same each time, and keep the rules that no schema carries."""

import re
from collections.abc import Iterator
from datetime import date

import pytest
from lxml import etree

import schemas
from schemas import Node, SchemaSet, UnknownObject
from schemas.rules import NothingKnown, RuleSet
from schemas.samples import sample, sample_document, sample_ref_id

OBJECTS = schemas.load().objects
UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"
ASKED_FOR_BY_A_RULE = ("@FromSchoolInfoRefId",)
# Elements of one parent that must not be the wrong way round, by what their names differ in.
IN_ORDER = (("Start", "End"), ("Entry", "Exit"), ("Start", "Finish"), ("Leaving", "Entry"), ("Min", "Max"))


def texts(root: etree._Element, *names: str) -> list[str]:
    """Return the texts of all elements of these names."""
    return [element.text or "" for element in root.iter(*(f"{{*}}{name}" for name in names))]


def paths_shown(root: etree._Element) -> Iterator[str]:
    for element in root.iter("*"):
        steps = [etree.QName(each).localname for each in (element, *element.iterancestors())]
        path = "/".join(reversed(steps[:-1]))
        yield path
        yield from (f"{path}/@{name!s}".lstrip("/") for name in element.attrib)


def paths_of(node: Node, *, minimal: bool) -> Iterator[str]:
    if node.name == "SIF_Action" or (minimal and not node.mandatory and node.path not in ("", *ASKED_FOR_BY_A_RULE)):
        return
    yield node.path
    for child in node.children:
        yield from paths_of(child, minimal=minimal)


@pytest.fixture(params=OBJECTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("minimal", [False, True], ids=["full", "minimal"])
def test_sample_is_valid_whole_and_as_a_part_without_warnings(name: str, *, minimal: bool, schema: SchemaSet) -> None:
    element = sample(schema, name, minimal=minimal)

    assert schema.check(element, partial=False) == ()
    assert schema.check(element, partial=True) == ()
    assert schema.warnings(element) == ()
    assert RuleSet().check(name, element, NothingKnown(date(2026, 9, 15))) == ()


@pytest.mark.parametrize("minimal", [False, True], ids=["full", "minimal"])
def test_sample_shows_all_there_is_and_a_minimal_one_what_must_be(
    name: str, *, minimal: bool, schema: SchemaSet
) -> None:
    shown = list(paths_shown(sample(schema, name, minimal=minimal)))

    assert sorted(shown) == sorted(paths_of(schema.tree(name), minimal=minimal))


def test_document_reads_well_and_is_the_same_each_time(name: str, schema: SchemaSet) -> None:
    document = sample_document(schema, name)

    assert document == sample_document(schema, name)
    assert document.startswith(f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="'.encode())
    assert b"\n  <" in document
    assert document.endswith(f"</{name}>\n".encode())
    assert schema.check(etree.fromstring(document), partial=False) == ()


def test_sample_of_an_unknown_object_is_refused(schema: SchemaSet) -> None:
    with pytest.raises(UnknownObject):
        sample(schema, "LearnerPersonnel")


def test_learner_is_the_same_in_every_object_about_one(name: str, schema: SchemaSet) -> None:
    own = schema.learner_ref(name)
    element = sample(schema, name)
    found = None
    if own is not None:
        found = element.get(own[1:]) if own.startswith("@") else element.findtext(f"{{*}}{own}")

    assert found == (sample_ref_id("LearnerPersonal") if own else None)


def test_sibling_is_another_learner(schema: SchemaSet) -> None:
    (sibling,) = texts(sample(schema, "LearnerPersonal"), "LearnerPersonalRefId")

    assert sibling != sample_ref_id("LearnerPersonal")


def test_no_object_but_the_learners_refers_to_itself(name: str, schema: SchemaSet) -> None:
    element = sample(schema, name)
    used = [*(e.text for e in element.iter("*")), *(v for e in element.iter("*") for v in e.attrib.values())]

    assert used.count(sample_ref_id(name)) == (element.get("RefId") is not None)


def test_reference_is_to_the_sample_of_the_kind_that_it_names(name: str, schema: SchemaSet) -> None:
    for element in sample(schema, name).iter("*"):
        kind = element.get("SIF_RefObject")
        if kind is not None:
            assert sample_ref_id(kind) in (element.text, element.get("SIF_RefId"))


def test_pupil_numbers_pass_their_checks(name: str, schema: SchemaSet) -> None:
    element = sample(schema, name)
    for upn in texts(element, "UPN", "PreviousUPN", "UPNAtNewSchool"):
        assert re.fullmatch("[A-HJ-NP-RT-Z]820[0-9]{9}", upn)
        assert UPN_LETTERS[sum(place * int(digit) for place, digit in enumerate(upn[1:], start=2)) % 23] == upn[0]
    for uln in texts(element, "ULN"):
        assert sum((10 - place) * int(digit) for place, digit in enumerate(uln)) % 11 == 10


def test_former_pupil_number_is_another_one(schema: SchemaSet) -> None:
    numbers = texts(sample(schema, "LearnerPersonal"), "UPN")

    assert len(numbers) == len(set(numbers)) == 2


def test_phone_numbers_and_addresses_lead_nowhere(name: str, schema: SchemaSet) -> None:
    element = sample(schema, name)

    assert all(re.fullmatch("01632960[0-9]{3}|07700900[0-9]{3}", text) for text in texts(element, "Number", "Phone"))
    for text in (text for e in element.iter("*") for text in (e.text, *map(str, e.attrib.values())) if text):
        assert "@" not in text or text.endswith(("@example.org", ".example.org"))
        assert "//" not in text or "example.org/" in text
    assert all(re.fullmatch("[A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}", text) for text in texts(element, "PostCode"))


def test_what_has_a_start_and_an_end_has_them_in_order(name: str, schema: SchemaSet) -> None:
    wrong = []
    for element in sample(schema, name).iter("*"):
        values = {etree.QName(child).localname: child.text or "" for child in element}
        for first, last in IN_ORDER:
            for field, value in values.items():
                other = field.replace(first, last)
                # a start may be a moment and its end a day: compared as far as both go
                if first in field and other in values and not value[:10] <= values[other][:10]:
                    wrong.append((field, other))

    assert wrong == []


def test_learner_is_born_before_anything_else_happens(schema: SchemaSet) -> None:
    element = sample(schema, "LearnerPersonal")
    (birth,) = texts(element, "BirthDate")

    dates = [text for text in (e.text for e in element.iter("*")) if text and re.match(r"\d{4}-\d\d-\d\d", text)]
    assert min(dates) == birth
    assert texts(sample(schema, "WorkforcePersonal"), "BirthDate") < ["2000-01-01"]


def test_sessions_add_up(schema: SchemaSet) -> None:
    summary = sample(schema, "LearnerAttendanceSummary")
    parts = texts(summary, "SessionsAttendedTotal", "AuthorisedAbsences", "UnauthorisedAbsences")

    assert sum(map(int, parts)) == int(*texts(summary, "SessionsPossible"))


def test_rankings_start_at_one(schema: SchemaSet) -> None:
    needs = sample(schema, "LearnerSpecialNeeds").iter("{*}SENType")

    assert [need.get("Ranking") for need in needs] == ["1"]
