"""The schemas accept what the standard calls valid and refuse what it does not; SIFZONE_LONG=1 for many more tries.

The objects are made from the outline in tests/data/sif_uk, never from our XSDs.
"""

import os

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from lxml import etree

from schemas import EDITIONS, Edition, SchemaSet, load
from schemas.samples import sample
from tests.unit.schemas.outline_instances import (
    DAMAGE,
    STYLES,
    Damage,
    Made,
    Style,
    alone,
    bad,
    damaged,
    fields_by_object,
    good,
    instances,
    rule_of_bad,
    unknown_open_codes,
    write,
)

pytestmark = pytest.mark.timeout(1800)

LONG = os.environ.get("SIFZONE_LONG") == "1"
many = settings(
    max_examples=5000 if LONG else 100,
    deadline=None,
    derandomize=not LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SCHEMA: SchemaSet = load()


def parse(root: Made, style: Style) -> etree._Element:
    return etree.fromstring(write(root, SCHEMA.namespace_of(root.name), style))


def tried(root: Made, style: Style) -> etree._Element:
    """Parse an object that hypothesis made; if its test fails, the document is shown."""
    element = parse(root, style)
    note(etree.tostring(element, encoding="unicode"))
    return element


@many
@given(instances(), STYLES)
def test_what_the_standard_calls_valid_is_valid(root: Made, style: Style) -> None:
    element = tried(root, style)

    assert SCHEMA.check(element, partial=False) == ()
    assert SCHEMA.check(element, partial=True) == ()


@many
@given(instances(partial=True), STYLES)
def test_any_part_with_its_keys_is_a_valid_part(root: Made, style: Style) -> None:
    assert SCHEMA.check(tried(root, style), partial=True) == ()


@pytest.mark.parametrize("edition", EDITIONS[:-1])
def test_what_an_edition_calls_valid_is_valid_in_it(edition: Edition) -> None:
    @many
    @given(instances(version=edition), instances(version=edition, partial=True), STYLES)
    def valid(whole: Made, part: Made, style: Style) -> None:
        assert SCHEMA.check(tried(whole, style), partial=False, edition=edition) == ()
        assert SCHEMA.check(tried(part, style), partial=True, edition=edition) == ()

    valid()


@many
@given(st.one_of(instances(), instances(partial=True)), STYLES)
def test_codes_that_open_lists_do_not_have_are_warned_of_and_no_others(root: Made, style: Style) -> None:
    found = SCHEMA.warnings(tried(root, style))

    assert {(f.path, f.rule, f.severity) for f in found} == {
        (path, "unknown-code", "warn") for path in unknown_open_codes(root)
    }


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_where_it_is_and_for_what_it_is(kind: str) -> None:
    @many
    @given(damaged(kind), STYLES)
    def refused(made: tuple[Made, Damage], style: Style) -> None:
        root, damage = made
        found = {(f.path, f.rule) for f in SCHEMA.check(tried(root, style), partial=False)}

        wanted = {(path, damage.rule) for path in damage.paths}
        note(f"{damage}: {found}")
        assert found & wanted
        assert found <= wanted | damage.also

    refused()


@pytest.mark.parametrize("name", fields_by_object())
def test_every_field_takes_the_texts_of_its_type_and_no_others(name: str) -> None:
    wrong = []
    for part in fields_by_object()[name]:
        assert part.text is not None
        for value in good(part.text):
            findings = SCHEMA.check(parse(alone(name, part, value), Style()), partial=True)
            wrong += [(part.path, value, f.rule) for f in findings]
        for value in bad(part.text):
            findings = SCHEMA.check(parse(alone(name, part, value), Style()), partial=True)
            if [(f.path, f.rule) for f in findings] != [(part.path, rule_of_bad(part.text, value))]:
                wrong.append((part.path, value, str(findings)))

    assert wrong == []


@pytest.mark.parametrize("path", ["AttendanceDate", "StartTime", "RecordTimestamp"])
def test_blanks_around_a_moment_do_not_count(path: str) -> None:
    element = sample(SCHEMA, "LearnerAttendance")
    (moment,) = element.iter(f"{{*}}{path}")
    moment.text = f" {moment.text} "

    assert SCHEMA.check(element, partial=False) == ()
