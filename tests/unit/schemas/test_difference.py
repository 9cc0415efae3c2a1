"""In what two sets of schemas differ: each difference once, by object and path, and none where there is none."""

from dataclasses import replace
from typing import Any

import pytest

import schemas
from schemas import Node, SchemaSet
from schemas.difference import Difference, differences
from schemas.model import Kind

NODE = Node("Thing", "", "element", "", "", True, False, False, None, (), None, "A thing", ())


def node(name: str, *children: Node, **facts: Any) -> Node:
    """Return a node whose children are below it, wherever it will be put; attributes start with @."""
    kind: Kind = "attribute" if name.startswith("@") else "element"
    made = replace(NODE, name=name.removeprefix("@"), path=name, kind=kind, mandatory=False)
    return replace(made, **facts, children=tuple(_below(name, child) for child in children))


def thing(*children: Node) -> dict[str, Node]:
    return {"Thing": replace(NODE, children=children)}


def _below(path: str, child: Node) -> Node:
    inside = tuple(_below(path, below) for below in child.children)
    return replace(child, path=f"{path}/{child.path}", children=inside)


def found(before: dict[str, Node], after: dict[str, Node]) -> list[tuple[str, str, str, str]]:
    told = list(differences(before, after))
    assert {each.object_type for each in told} <= {"Thing"}
    return [(each.path, each.what, each.before, each.after) for each in told]


def test_sets_that_are_alike_do_not_differ(schema: SchemaSet) -> None:
    trees = schema.trees_of("1.3")

    assert list(differences(trees, trees)) == []
    assert list(differences(trees, schemas.load_site().trees_of("1.3"))) == []


def test_objects_that_came_or_went_are_told_once_and_not_field_by_field() -> None:
    tree = thing(node("A", node("B")))["Thing"]

    assert list(differences({}, {"Thing": tree})) == [Difference("Thing", "", "added", "", "there")]
    assert list(differences({"Thing": tree}, {})) == [Difference("Thing", "", "removed", "there", "")]


def test_parts_that_came_or_went_are_told_with_what_they_are() -> None:
    with_more = thing(node("@Id", mandatory=True), node("A", node("@Type"), node("B", mandatory=True)))
    with_less = thing(node("A"))

    assert found(with_less, with_more) == [
        ("@Id", "added", "", "mandatory attribute"),
        ("A/@Type", "added", "", "optional attribute"),
        ("A/B", "added", "", "mandatory element"),
    ]
    assert found(with_more, with_less) == [
        ("@Id", "removed", "mandatory attribute", ""),
        ("A/@Type", "removed", "optional attribute", ""),
        ("A/B", "removed", "mandatory element", ""),
    ]


def test_what_is_in_a_part_that_came_or_went_is_not_told_again() -> None:
    with_more, with_less = thing(node("A", node("B", node("C"), node("@D")))), thing()

    assert found(with_less, with_more) == [("A", "added", "", "optional element")]
    assert found(with_more, with_less) == [("A", "removed", "optional element", "")]


@pytest.mark.parametrize(
    ("fact", "old", "new", "told"),
    [
        ("mandatory", True, False, ("mandatory", "yes", "no")),
        ("repeatable", False, True, ("repeatable", "no", "yes")),
        ("nillable", False, True, ("nillable", "no", "yes")),
        ("type", "xs:token", "codes:Gender", ("type", "xs:token", "codes:Gender")),
        ("type", "", "xs:date", ("type", "elements", "xs:date")),
        ("refs", ("LAInfo",), ("LAInfo", "SchoolInfo"), ("refers to", "LAInfo", "LAInfo or SchoolInfo")),
        ("refs", (), ("LAInfo",), ("refers to", "", "LAInfo")),
        ("unique_by", None, "Type", ("unique by", "", "Type")),
    ],
)
def test_part_that_is_another_is_told_in_words(fact: str, old: object, new: object, told: tuple[str, str, str]) -> None:
    before, after = (thing(node("A", node("B", **{fact: value}))) for value in (old, new))

    assert found(before, after) == [("A/B", *told)]
    assert found(after, before) == [("A/B", told[0], told[2], told[1])]


def test_object_itself_may_be_another_too() -> None:
    assert found(thing(), {"Thing": replace(NODE, nillable=True)}) == [("", "nillable", "no", "yes")]


def test_several_differences_of_one_part_are_told_each() -> None:
    before, after = thing(node("A")), thing(node("A", mandatory=True, type="xs:date"))

    assert found(before, after) == [("A", "mandatory", "no", "yes"), ("A", "type", "elements", "xs:date")]


@pytest.mark.parametrize("fact", [{"label": "Another"}, {"since": "1.2"}], ids=str)
def test_words_about_a_part_do_not_count(fact: dict[str, str]) -> None:
    assert found(thing(node("A")), thing(node("A", **fact))) == []


def test_differences_are_told_by_object_and_path() -> None:
    before = {"B": thing(node("Z"), node("A"))["Thing"], "A": NODE, "C": NODE}
    after = {"D": NODE, "C": NODE, "B": NODE}

    told = [(each.object_type, each.path, each.what) for each in differences(before, after)]

    assert told == [("A", "", "removed"), ("B", "A", "removed"), ("B", "Z", "removed"), ("D", "", "added")]


def test_editions_differ_in_what_the_standard_changed(schema: SchemaSet) -> None:
    first, second, third = (schema.trees_of(edition) for edition in schemas.EDITIONS[1:])
    told = {(each.object_type, each.path, each.what) for each in differences(first, third)}

    assert {
        ("TTRoom", "", "added"),
        ("ContactPersonal", "LocalId", "added"),
        ("LearnerPersonal", "CurrentSchoolEnrolment/@MembershipType", "added"),
        ("LearnerPersonal", "InCare", "mandatory"),
        ("LearnerPersonal", "InCare", "nillable"),
        ("LearnerPersonal", "PersonalInformation/OtherPhoneNumberList", "unique by"),
    } <= told
    assert not {each for each in told if each[2] == "removed"}
    removed = [each for each in differences(first, second) if each.what == "removed"]
    assert {each.path for each in removed} == {"SIF_Metadata/RightsElements"}
    assert {(each.before, each.after) for each in removed} == {("optional element", "")}


def test_the_other_way_round_says_the_opposite(schema: SchemaSet) -> None:
    old, new = schema.trees_of("1.0"), schema.trees_of("1.3")
    opposite = {"added": "removed", "removed": "added"}

    assert [replace(each, what=opposite.get(each.what, each.what)) for each in differences(new, old)] == [
        replace(each, before=each.after, after=each.before) for each in differences(old, new)
    ]
