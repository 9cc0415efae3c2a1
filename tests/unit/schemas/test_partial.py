"""Parts of objects, as in Change and Delete events."""

from collections.abc import Callable

import pytest
from lxml import etree

import schemas
from schemas import SchemaSet

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

OBJECTS = schemas.load().objects
REF = "5D315C31F8A15621F126C31154AF9665"


def test_lean_change_is_a_valid_part_and_no_whole(schema: SchemaSet, parse: Parse) -> None:
    inside = "<PersonalInformation><Demographics/></PersonalInformation>"
    text = f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'

    assert schema.check(parse(text), partial=True) == ()
    assert [f.path for f in schema.check(parse(text), partial=False)] == ["PersonalInformation/Name"]


@pytest.mark.parametrize("name", OBJECTS)
def test_keys_alone_are_a_valid_part(name: str, schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample(name))
    keys = set(schema.keys(name))
    for child in list(element):
        if str(child.tag).rpartition("}")[2] not in keys:
            element.remove(child)
    for attribute in element.attrib:
        if f"@{attribute!s}" not in keys:
            del element.attrib[attribute]

    assert schema.check(element, partial=True) == ()


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OBJECTS for key in schemas.load().keys(name)])
def test_part_without_a_key_is_refused(name: str, key: str, schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample(f"{name}.minimal"))
    if key.startswith("@"):
        del element.attrib[key[1:]]
    else:
        element.remove(element.findall(f"{{*}}{key}")[0])

    assert [(f.path, f.rule) for f in schema.check(element, partial=True)] == [(key, "missing")]


def test_part_keeps_order_and_content_rules(schema: SchemaSet, parse: Parse) -> None:
    text = f'<LearnerPersonal «xmlns» RefId="{REF}"><ULN>12</ULN><UPN/><HomeLa/></LearnerPersonal>'

    findings = schema.check(parse(text), partial=True)

    assert {(f.path, f.rule) for f in findings} == {("ULN", "value"), ("ULN", "order"), ("HomeLa", "unknown-element")}


def test_list_member_in_a_part_says_which_one_it_is(schema: SchemaSet, parse: Parse) -> None:
    text = '<LAInfo «xmlns» RefId="{}"><PhoneNumberList><PhoneNumber{}/></PhoneNumberList></LAInfo>'

    assert schema.check(parse(text.format(REF, ' Type="H"')), partial=True) == ()
    assert [f.path for f in schema.check(parse(text.format(REF, "")), partial=True)] == [
        "PhoneNumberList/PhoneNumber/@Type"
    ]
