"""Every refusal is explained, no explanation is invented, and none repeats what an object holds."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice

import pytest
from lxml import etree

import schemas
from schemas import SchemaSet
from schemas.codelists import shipped
from schemas.explain import Explainer
from schemas.values import Values
from schemas.variant import Variant

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

OBJECTS = schemas.load().objects
MARK = "Zebedee"
WITH_METADATA = ("SchoolMealStatus", "LearnerLookedAfter")
"""One object of each namespace whose SIF_Metadata, long and the same everywhere, is spoilt with the rest of it."""


def spoilt_once(name: str, element: etree._Element) -> etree._Element:
    """Return an object without what is spoilt in another one."""
    if name not in WITH_METADATA:
        for end in element.findall("{*}SIF_Metadata"):
            element.remove(end)
    return element


def damage(root: etree._Element) -> Iterator[etree._Element]:
    """Yield copies of an object, each with one element or attribute spoilt in one way.

    Elements of the same name under parents of the same name are spoilt once: they are of one type.
    """
    seen = set()
    for index, element in enumerate(root.iter("*")):
        parent = element.getparent()
        kind = (None if parent is None else parent.tag, element.tag)
        if kind in seen:
            continue
        seen.add(kind)
        for spoil in SPOIL_ANY if parent is None else (*SPOIL_ANY, *SPOIL_PART):
            copy = deepcopy(root)
            if spoil(next(islice(copy.iter("*"), index, None))):
                yield copy


def _remove(element: etree._Element) -> bool:
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    return True


def _repeat(element: etree._Element) -> bool:
    element.addnext(deepcopy(element))
    return True


def _empty(element: etree._Element) -> bool:
    tail = element.tail
    attributes = element.items()
    element.clear()
    for name, value in attributes:
        element.set(name, value)
    element.tail = tail
    return True


def _fill(element: etree._Element) -> bool:
    element.text = MARK
    return True


def _rename(element: etree._Element) -> bool:
    element.tag = f"{element.tag}s"
    return True


def _to_front(element: etree._Element) -> bool:
    parent = element.getparent()
    assert parent is not None
    parent.insert(0, element)
    return True


def _drop_attribute(element: etree._Element) -> bool:
    for name in element.attrib:
        del element.attrib[name]
        return True
    return False


def _spoil_attribute(element: etree._Element) -> bool:
    for name in element.attrib:
        element.attrib[name] = MARK
        return True
    return False


def _nil(element: etree._Element) -> bool:
    _empty(element)
    element.set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
    return True


SPOIL_ANY = (_fill, _drop_attribute, _spoil_attribute)
SPOIL_PART = (_remove, _repeat, _empty, _rename, _to_front, _nil)


@pytest.mark.parametrize("name", OBJECTS)
def test_walk_finds_fault_exactly_where_the_engine_refuses(
    name: str, schema: SchemaSet, sample: Sample, parse: Parse, documents: dict[str, etree._Element]
) -> None:
    document = documents[schema.namespace_of(name)]
    variant, explainer = Variant(document), Explainer(schema.namespace_of(name), Values(document), shipped())
    refused = 0
    for spoilt in damage(spoilt_once(name, parse(sample(name)))):
        found = explainer.explain(spoilt, variant.nodes(name))
        assert bool(found) is not variant.compiled(spoilt), etree.tostring(spoilt)
        refused += bool(found)
        assert MARK not in repr(found)

    assert refused > 10


@pytest.mark.parametrize("name", OBJECTS)
def test_no_finding_repeats_a_value(name: str, schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample(name))
    for part in element.iter("*"):
        part.text = f"{MARK} {part.text or ''}"
        for attribute in part.attrib:
            part.attrib[attribute] = MARK

    findings = schema.check(element, partial=False) + schema.check(element, partial=True) + schema.warnings(element)

    assert len(findings) > 4
    assert MARK not in repr(findings)


@pytest.mark.parametrize("name", OBJECTS)
def test_every_finding_says_where_and_what_to_do(name: str, schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    for number, spoilt in enumerate(damage(parse(sample(f"{name}.minimal")))):
        for finding in schema.check(spoilt, partial=False):
            assert finding.message.endswith("."), number
            assert ": " in finding.message
            assert finding.rule != "not-valid"
            assert finding.sif_code in (3, 4, 6)
            assert finding.severity == "refuse"


def test_hostile_names_are_cut_short(schema: SchemaSet, parse: Parse) -> None:
    element = parse(f'<TermInfo «xmlns» RefId="1" {"a" * 10_000}="x"><{"b" * 10_000}/></TermInfo>')

    assert all(len(repr(finding)) < 600 for finding in schema.check(element, partial=True))


def test_long_hostile_text_is_explained_all_the_same(schema: SchemaSet, parse: Parse) -> None:
    element = parse(f'<SchoolGroupType «xmlns» RefId="{"A" * 32}" GroupType="{"x" * 1_000_000}"/>')

    assert [f.path for f in schema.check(element, partial=True)] == ["@GroupType"]
