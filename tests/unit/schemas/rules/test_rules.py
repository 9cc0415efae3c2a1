"""Every rule passes what is right, finds what is wrong where it is, and never repeats a text of the object."""

from collections.abc import Iterator

import pytest
from lxml import etree

import schemas
from schemas.model import Finding, Node
from schemas.rules import RULES, Care, NothingKnown, Rule, RuleSet, TwoWords, care
from tests.unit.schemas.rules import cases
from tests.unit.schemas.rules.cases import CASES, TODAY, Case, Known, parse

IDS = [f"{case.rule}-{number}" for number, case in enumerate(CASES)]


def check(rule: str, text: str, facts: Known | NothingKnown | None = None) -> tuple[Finding, ...]:
    """Check an object against one rule alone."""
    element = parse(text)
    only = RuleSet({other.name: "off" for other in RULES if other.name != rule})
    return only.check(cases.object_type(element), element, facts or Known())


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.name for rule in RULES}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rule_finds_nothing_in_an_object_that_is_right(case: Case) -> None:
    assert check(case.rule, case.good) == ()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rule_finds_what_is_wrong_and_where(case: Case) -> None:
    found = check(case.rule, case.bad, case.facts)

    assert [(finding.path, finding.rule, finding.line) for finding in found] == [(case.path, case.rule, 1)]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_message_is_one_sentence_that_says_what_to_do_without_a_text_of_the_object(case: Case) -> None:
    (finding,) = check(case.rule, case.bad, case.facts)

    assert ": " in finding.message
    assert finding.message.endswith(".")
    assert finding.nearest is None
    texts = {str(text).strip() for text in parse(case.bad).itertext()} | set(case.secrets)
    # codes of one or two letters may be part of any word
    assert [text for text in texts if len(text) > 2 and text in finding.message] == []


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_nothing_is_wrong_with_a_part_of_what_is_right(case: Case) -> None:
    """Take out each element in turn: a Change may hold any part. Members of a list and ends of care are not parts."""
    for index, element in enumerate(parse(case.good).iter()):
        name = element.tag.rpartition("}")[2]
        if index == 0 or name in ("SENType", "CareEndDate", "CareEndReason"):
            continue
        part = parse(case.good)
        gone = list(part.iter())[index]
        parent = gone.getparent()
        assert parent is not None
        parent.remove(gone)

        assert RuleSet().check(cases.object_type(part), part, Known()) == ()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_emptied_elements_are_no_fault_of_form(case: Case) -> None:
    element = parse(case.good)
    for leaf in element.iter():
        if not len(leaf):
            leaf.text = None

    found = RuleSet().check(cases.object_type(element), element, Known())

    assert {finding.rule for finding in found} <= {"care-without-authority", "care-dates"}


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_nothing_is_guessed_where_nothing_is_known(case: Case) -> None:
    facts = NothingKnown(TODAY)

    found = check(case.rule, case.bad, facts)

    assert bool(found) is (case.rule not in ("one-main-enrolment", "unknown-reference", "care-flag-agrees"))


def test_a_school_cannot_tell_from_what_it_is_told_how_its_flag_and_the_care_records_differ() -> None:
    told = [
        check("care-flag-agrees", cases.IN_CARE, Known(said=TwoWords(flag, records)))
        for flag, records in (
            (Care(in_care=True, authority="820"), Care(in_care=False)),
            (Care(in_care=True, authority="820"), Care(in_care=True, authority="821")),
            (Care(in_care=False), Care(in_care=True, authority="820")),
        )
    ]

    assert len(set(told)) == 1
    assert [finding.rule for finding in told[0]] == ["care-flag-agrees"]


@pytest.mark.parametrize(
    "said",
    [
        TwoWords(Care(in_care=False), Care(in_care=False)),
        TwoWords(Care(in_care=True, authority="820"), Care(in_care=True, authority="820")),
        TwoWords(Care(in_care=True), Care(in_care=True, authority="820")),
        TwoWords(Care(in_care=True, authority="820"), Care(in_care=True)),
    ],
    ids=["neither", "both", "flag without authority", "records without authority"],
)
def test_a_flag_agrees_with_care_records_that_do_not_say_otherwise(said: TwoWords) -> None:
    assert check("care-flag-agrees", cases.IN_CARE, Known(said=said)) == ()
    assert check("care-flag-agrees", cases.care(), Known(said=said)) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_says_what_it_is_and_where_it_comes_from(rule: Rule) -> None:
    assert rule.title
    assert rule.why.endswith(".")
    assert rule.objects == tuple(sorted(rule.elements))


def test_object_inside_a_message_is_judged_by_itself() -> None:
    message = etree.fromstring(f'<SIF_EventObject xmlns="{cases.SIF}"/>')
    message.append(parse(cases.learner("<UPN>K801200001001</UPN>")))

    (finding,) = RuleSet().check("LearnerPersonal", message[0], Known())

    assert finding.path == "UPN"


def test_extended_elements_may_hold_what_they_like() -> None:
    text = cases.learner(
        "<SIF_ExtendedElements><SIF_ExtendedElement><ULN>1000000028</ULN><PostCode>none</PostCode>"
        "</SIF_ExtendedElement></SIF_ExtendedElements>"
    )

    element = parse(text)

    assert RuleSet().check("LearnerPersonal", element, Known()) == ()


def _names(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the name of each element below, with that of its parent."""
    for child in node.children:
        if child.kind == "element":
            yield node.name, child.name
            yield from _names(child)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_elements_that_a_rule_names_are_in_the_schema(rule: Rule) -> None:
    for name, paths in rule.elements.items():
        known = set(_names(schemas.load().tree(name))) | {("", name)}
        wanted = [(parent, last) for parent, _, last in (path.rpartition("/") for path in paths)]

        assert [want for want in wanted if not any(want in (pair, ("", pair[1])) for pair in known)] == []


def test_rules_for_one_object_name_an_element_in_the_same_way() -> None:
    ways: dict[tuple[str, str], set[bool]] = {}
    for rule in RULES:
        for name, paths in rule.elements.items():
            for path in paths:
                ways.setdefault((name, path.rpartition("/")[2]), set()).add("/" in path)

    assert [key for key, way in ways.items() if len(way) > 1] == []


@pytest.mark.parametrize(
    ("name", "names"),
    [
        pytest.param("LearnerLookedAfter", care.WHOLE_CARE, id="care"),
        pytest.param("LearnerTransfer", care.WHOLE_TRANSFER, id="transfer"),
    ],
)
def test_an_object_is_whole_with_all_that_its_schema_makes_mandatory(name: str, names: tuple[str, ...]) -> None:
    children = schemas.load().tree(name).children

    assert {child.name for child in children if child.mandatory and child.kind == "element"} == set(names)


def test_elements_in_another_namespace_are_not_judged() -> None:
    text = cases.learner('<UPN xmlns="urn:other">none</UPN><ULN xmlns="urn:other">1000000028</ULN>')

    assert RuleSet().check("LearnerPersonal", parse(text), Known()) == ()
