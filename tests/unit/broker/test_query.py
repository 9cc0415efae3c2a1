"""A query asks what it says: read, written and evaluated by its rules, in bounded time, and no value in any error."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from broker.protocol.documents import parse_document
from broker.protocol.envelope import LOOKED_AFTER, NAMESPACE, build_message, local_name, parse_message
from broker.protocol.errors import SIF_ERRORS, NotValid, ZoneError
from broker.protocol.query import (
    MAX_CONDITIONS,
    MAX_ELEMENTS,
    MAX_EXAMPLE,
    MAX_PATH,
    MAX_STEPS,
    Condition,
    Conditions,
    ExtendedQuery,
    Joined,
    Kind,
    KindOf,
    Operator,
    Query,
    QueryNotSupported,
    build_query,
    matches,
    parse_query,
    parse_where,
    selected,
)
from tests.unit.broker.builders import ALEX, XSI, element, header

SECRET: Final = "Zephyrine"
EQ, NE, LT, GT, LE, GE = Operator
LEARNER: Final = element(
    f'<LearnerPersonal RefId="{ALEX}" Version="3" SchoolInfoRefId="S">'
    "<LocalId>000412</LocalId><Points>9</Points><Age> 07.0 </Age><Born>2010-09-01</Born><Empty/>"
    "<PersonalInformation>"
    '<Name Type="C"><FamilyName>Ng</FamilyName><GivenName>Alex</GivenName></Name>'
    '<Name Type="L" Source="birth"><FamilyName>O\'Dea</FamilyName></Name>'
    "<Demographics><Born>x</Born></Demographics>"
    "</PersonalInformation>"
    '<Marks><Mark Subject="Maths">4</Mark><Mark Subject="Art">12</Mark><Mark Subject="Music">absent</Mark></Marks>'
    "</LearnerPersonal>"
)
CARE: Final = element(
    f'<LookedAfterChild xmlns="{LOOKED_AFTER}" xmlns:u="{NAMESPACE}" RefId="{ALEX}">'
    "<Episode><Status>E1</Status></Episode><u:LocalId>77</u:LocalId></LookedAfterChild>"
)


def request(content: str) -> etree._Element:
    head = "<SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>65536</SIF_MaxBufferSize>"
    return parse_message(build_message("SIF_Request", header(), (head + content).encode())).payload


def query_xml(rest: str = "", elements: str = "") -> str:
    return f'<SIF_Query><SIF_QueryObject ObjectName="LearnerPersonal">{elements}</SIF_QueryObject>{rest}</SIF_Query>'


def condition_xml(path: str = "LocalId", operator: str = "EQ", value: str = SECRET) -> str:
    return (
        f"<SIF_Condition><SIF_Element>{path}</SIF_Element><SIF_Operator>{operator}</SIF_Operator>"
        f"<SIF_Value>{value}</SIF_Value></SIF_Condition>"
    )


def group_xml(conditions: str, block: str = "And", group: str = "And") -> str:
    return (
        f'<SIF_ConditionGroup Type="{group}"><SIF_Conditions Type="{block}">{conditions}</SIF_Conditions>'
        "</SIF_ConditionGroup>"
    )


def read(content: str) -> Query:
    query = parse_query(request(content))
    assert isinstance(query, Query)
    return query


def asks(*conditions: Condition, joined: Joined = Joined.AND) -> Query:
    return Query("LearnerPersonal", groups=(Conditions(joined, conditions),))


def meets(path: str, operator: Operator, value: str, kind: KindOf | None = None) -> bool:
    return matches(asks(Condition(path, operator, value)), LEARNER, kind)


def like(content: str, kind: KindOf | None = None) -> bool:
    return matches(Query("LearnerPersonal", example=element(content)), LEARNER, kind)


def cut(*elements: str, of: etree._Element = LEARNER) -> str:
    return etree.tostring(selected(Query(local_name(of), elements), of)).decode()


# --- reading -----------------------------------------------------------------------------------------------------


def test_the_query_of_the_standards_own_form_is_read_whole() -> None:
    query = read(
        query_xml(
            f"""<SIF_ConditionGroup Type="And">
    <SIF_Conditions Type="Or">{condition_xml(value="000412")}{condition_xml(value=" 000413")}</SIF_Conditions>
    <SIF_Conditions Type="None">{condition_xml(" @RefId ", " GE ", "8")}</SIF_Conditions>
  </SIF_ConditionGroup>""",
            "<SIF_Element>@RefId</SIF_Element><SIF_Element> PersonalInformation/Name[@Type='C'] </SIF_Element>",
        )
    )

    assert query == Query(
        "LearnerPersonal",
        ("@RefId", "PersonalInformation/Name[@Type='C']"),
        (
            Conditions(Joined.OR, (Condition("LocalId", EQ, "000412"), Condition("LocalId", EQ, " 000413"))),
            Conditions(Joined.NONE, (Condition("@RefId", GE, "8"),)),
        ),
        Joined.AND,
    )


def test_query_without_elements_and_conditions_asks_for_all() -> None:
    assert read(query_xml()) == Query("LearnerPersonal")


@pytest.mark.parametrize(
    ("content", "provider"),
    [
        ('<SIF_Select/><SIF_From ObjectName="SchoolInfo"/>', "SchoolInfo"),
        (
            '<SIF_DestinationProvider>LearnerPersonal</SIF_DestinationProvider><SIF_From ObjectName="X"/>',
            "LearnerPersonal",
        ),
        ('<SIF_DestinationProvider ObjectName="LearnerPersonal"/>', "LearnerPersonal"),
    ],
    ids=["the object of SIF_From", "destination before it", "destination in an attribute"],
)
def test_extended_query_is_known_by_the_object_whose_provider_answers(content: str, provider: str) -> None:
    query = parse_query(request(f"<SIF_ExtendedQuery>{content}</SIF_ExtendedQuery>"))

    assert query == ExtendedQuery(provider)


WRONG = {
    "no query": "",
    "two queries": query_xml() + query_xml(),
    "query in no namespace": query_xml().replace("<SIF_Query>", '<SIF_Query xmlns="">'),
    "empty query": "<SIF_Query/>",
    "no object name": query_xml().replace(' ObjectName="LearnerPersonal"', ""),
    "object name that is none": query_xml().replace("LearnerPersonal", f"{SECRET} x"),
    "object name too long": query_xml().replace("LearnerPersonal", "x" * 65),
    "something else in the query object": query_xml(elements=f"<SIF_Field>{SECRET}</SIF_Field>"),
    "conditions before the object": query_xml().replace("<SIF_Query>", "<SIF_Query>" + group_xml(condition_xml())),
    "two condition groups": query_xml(group_xml(condition_xml()) * 2),
    "unknown part": query_xml(f"<SIF_Order>{SECRET}</SIF_Order>"),
    "empty group": query_xml('<SIF_ConditionGroup Type="And"/>'),
    "empty block": query_xml(group_xml("")),
    "group without type": query_xml(group_xml(condition_xml()).replace(' Type="And"', "", 1)),
    "group of bad type": query_xml(group_xml(condition_xml(), group=SECRET)),
    "block of bad type": query_xml(group_xml(condition_xml(), block="and")),
    "block of two joined by None": query_xml(group_xml(condition_xml() * 2, block="None")),
    "third level": query_xml(group_xml(group_xml(condition_xml()))),
    "condition without block": query_xml(f'<SIF_ConditionGroup Type="And">{condition_xml()}</SIF_ConditionGroup>'),
    "condition without value": query_xml(group_xml(condition_xml().replace(f"<SIF_Value>{SECRET}</SIF_Value>", ""))),
    "condition out of order": query_xml(
        group_xml("<SIF_Condition><SIF_Operator>EQ</SIF_Operator><SIF_Element/><SIF_Value/></SIF_Condition>")
    ),
    "value with an element in it": query_xml(group_xml(condition_xml(value=f"<b>{SECRET}</b>"))),
    "example without object": query_xml("<SIF_Example/>"),
    "example of another object": query_xml(f"<SIF_Example><SchoolInfo>{SECRET}</SchoolInfo></SIF_Example>"),
    "example of two objects": query_xml(f"<SIF_Example>{'<LearnerPersonal/>' * 2}</SIF_Example>"),
    "extended query without source": "<SIF_ExtendedQuery><SIF_Select/></SIF_ExtendedQuery>",
    "extended query from nothing": "<SIF_ExtendedQuery><SIF_From/></SIF_ExtendedQuery>",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_query_of_wrong_structure_is_not_valid(content: str) -> None:
    with pytest.raises(NotValid) as caught:
        parse_query(request(content))

    assert SECRET not in str(caught.value)


BAD_PATHS = {
    "empty": "",
    "absolute": "/LocalId",
    "anywhere": "//LocalId",
    "parent": "../LocalId",
    "self": ".",
    "any element": "*",
    "any attribute": "@*",
    "ends in a slash": "Name/",
    "attribute in the middle": "Name/@Type/FamilyName",
    "prefix": "sif:LocalId",
    "function": "count(Name)",
    "text()": "LocalId/text()",
    "union": "LocalId|Name",
    "axis": "ancestor::SIF_Message",
    "number as predicate": "Name[1]",
    "predicate without value": "Name[@Type]",
    "predicate without quotes": f"Name[@Type={SECRET}]",
    "predicate with a path": f"Name[A/B='{SECRET}']",
    "predicate with a function": f"Name[contains(.,'{SECRET}')]",
    "predicate on the object": f"[@RefId='{SECRET}']",
    "predicate on an attribute": f"@Type[.='{SECRET}']",
    "predicate that does not end": f"Name[@Type='{SECRET}",
    "predicate after which more comes": f"Name[@Type='{SECRET}']x",
    "two in one predicate": f"Name[@Type='C' and @Source='{SECRET}']",
    "blank in the middle": f"Local {SECRET}",
    "too long": "x" * (MAX_PATH + 1),
    "too many steps": "/".join("x" * (MAX_STEPS + 1)),
}


@pytest.mark.parametrize("path", BAD_PATHS.values(), ids=BAD_PATHS)
@pytest.mark.parametrize("where", ["condition", "element", "condition made by hand", "selection made by hand"])
def test_path_that_is_not_evaluated_is_refused_and_no_value_in_it_repeated(path: str, where: str) -> None:
    written = path.replace("&", "&amp;")
    attempt: dict[str, Callable[[], object]] = {
        "condition": lambda: read(query_xml(group_xml(condition_xml(written)))),
        "element": lambda: read(query_xml(elements=f"<SIF_Element>{written}</SIF_Element>")),
        "condition made by hand": lambda: meets(path, EQ, SECRET),
        "selection made by hand": lambda: cut(path),
    }

    with pytest.raises(QueryNotSupported) as caught:
        attempt[where]()

    assert (caught.value.category, caught.value.code) == (8, 9)
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < MAX_PATH


def test_code_of_the_refusal_is_one_of_the_standard() -> None:
    assert issubclass(QueryNotSupported, ZoneError)
    assert SIF_ERRORS[QueryNotSupported.category, QueryNotSupported.code].endswith("query not supported")


@pytest.mark.parametrize("operator", ["", "=", "eq", "LIKE", "EQ NE", SECRET])
def test_unknown_operator_is_refused_with_the_path_that_it_is_for(operator: str) -> None:
    with pytest.raises(QueryNotSupported, match=r"^PersonalInformation/Name: SIF_Operator") as caught:
        read(query_xml(group_xml(condition_xml("PersonalInformation/Name", operator))))

    assert caught.value.path == "PersonalInformation/Name"
    assert SECRET not in str(caught.value)


def test_path_with_a_predicate_is_not_named_in_an_error() -> None:
    with pytest.raises(QueryNotSupported) as caught:
        read(query_xml(group_xml(condition_xml(f"Name[FamilyName='{SECRET}']", "LIKE"))))

    assert caught.value.path == ""
    assert SECRET not in str(caught.value)


def test_value_of_a_condition_is_left_out_of_its_representation() -> None:
    assert SECRET not in repr(read(query_xml(group_xml(condition_xml()))))


@pytest.mark.parametrize(
    ("most", "more"),
    [
        (
            query_xml(group_xml(condition_xml() * MAX_CONDITIONS)),
            query_xml(group_xml(condition_xml() * (MAX_CONDITIONS + 1))),
        ),
        (
            query_xml(elements="<SIF_Element>LocalId</SIF_Element>" * MAX_ELEMENTS),
            query_xml(elements="<SIF_Element>LocalId</SIF_Element>" * (MAX_ELEMENTS + 1)),
        ),
        (
            query_xml(f"<SIF_Example><LearnerPersonal>{'<A/>' * (MAX_EXAMPLE - 1)}</LearnerPersonal></SIF_Example>"),
            query_xml(f"<SIF_Example><LearnerPersonal>{'<A/>' * MAX_EXAMPLE}</LearnerPersonal></SIF_Example>"),
        ),
        (
            query_xml(
                f"<SIF_Example><LearnerPersonal>{'<A>' * (MAX_STEPS - 1)}{'</A>' * (MAX_STEPS - 1)}</LearnerPersonal>"
                "</SIF_Example>"
            ),
            query_xml(
                f"<SIF_Example><LearnerPersonal>{'<A>' * MAX_STEPS}{'</A>' * MAX_STEPS}</LearnerPersonal></SIF_Example>"
            ),
        ),
    ],
    ids=["conditions", "elements", "size of an example", "depth of an example"],
)
def test_query_is_bounded(most: str, more: str) -> None:
    read(most)
    with pytest.raises(QueryNotSupported, match=" more than "):
        read(more)


# --- conditions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "true"),
    [("000411", {NE, GT, GE}), ("000412", {EQ, LE, GE}), ("000413", {NE, LT, LE}), (" 000412\n", {EQ, LE, GE})],
    ids=["less", "equal", "more", "equal but for blanks around it"],
)
@pytest.mark.parametrize("operator", list(Operator))
def test_operator_compares_the_value_found_with_the_value_given(
    operator: Operator, value: str, true: set[Operator]
) -> None:
    assert meets("LocalId", operator, value) == (operator in true)


@pytest.mark.parametrize("path", ["Nothing", "Empty", "@Nothing", "LocalId/Nothing", "Nothing/Nothing/@Nothing"])
@pytest.mark.parametrize("kind", [None, "text", "number", "date"])
@pytest.mark.parametrize(("value", "true"), [("", {EQ, LE, GE}), ("x", {NE}), ("-1", {NE}), ("2026-09-01", {NE})])
def test_missing_value_is_equal_to_nothing_and_neither_less_nor_more_than_anything(
    path: str, kind: Kind | None, value: str, true: set[Operator]
) -> None:
    found = {operator for operator in Operator if meets(path, operator, value, lambda _: kind)}

    assert found == true


def test_value_that_is_there_is_more_than_nothing() -> None:
    assert {operator for operator in Operator if meets("LocalId", operator, "")} == {NE, GT, GE}


@pytest.mark.parametrize(
    ("path", "operator", "value", "kind", "expected"),
    [
        ("Points", LT, "10", None, True),
        ("Points", LT, "10", "text", False),
        ("Points", LT, "10", "number", True),
        ("Points", GT, "1x", None, True),
        ("Points", GT, "1x", "number", True),
        ("Age", EQ, "7", None, False),
        ("Age", EQ, "7", "text", False),
        ("Age", EQ, "7", "number", True),
        ("Age", NE, "7.00", "number", False),
        ("Age", GE, "7", None, True),
        ("Points", EQ, "9e0", "number", False),
        ("Points", LT, "1" + "0" * 5000, "number", False),
        ("Born", EQ, "2010-09-01Z", "date", True),
        ("Born", EQ, "2010-09-01Z", None, False),
        ("Born", LT, "2010-09-01T00:00:00.000001", "date", True),
        ("Born", EQ, "2010-09-01T01:00:00+01:00", "date", True),
        ("Born", LT, "2010-09-31", "date", True),
        ("Born", GT, "0001-01-01T00:00:00+14:00", "date", True),
        ("Born", LT, "9999-12-31T23:59:59-14:00", "date", True),
        ("Born", EQ, "2010-09-01", "text", True),
        ("LocalId", EQ, "000412", "date", True),
        ("LocalId", LT, "000413", "date", True),
    ],
    ids=[
        "unknown, both numbers",
        "text is ordered as text",
        "number",
        "unknown, one no number",
        "number, but the value given is none",
        "unknown is equal as text",
        "text is equal as text",
        "number is equal by size",
        "number is unequal by size",
        "unknown is ordered by size",
        "an exponent is no plain number",
        "a number too long is text",
        "date with zone",
        "unknown date is text",
        "date is its midnight",
        "time with offset",
        "no such day: as text",
        "first moment there is",
        "last moment there is",
        "date as text",
        "date that is none, equal as text",
        "date that is none, ordered as text",
    ],
)
def test_values_are_compared_as_their_kind_has_it(
    path: str, operator: Operator, value: str, kind: Kind | None, expected: bool
) -> None:
    assert meets(path, operator, value, lambda _: kind) is expected


def test_kind_is_asked_once_for_each_path_and_without_its_predicates() -> None:
    asked: list[str] = []
    query = asks(
        Condition("PersonalInformation/Name[@Type='C']/FamilyName", EQ, "Ng"),
        Condition("PersonalInformation/Name[@Type='L']/FamilyName", GT, "A"),
        Condition("PersonalInformation/Name[FamilyName='Ng']/@Type", LE, "C"),
        Condition("@RefId", NE, ""),
    )

    assert matches(query, LEARNER, lambda path: asked.append(path))
    assert asked == ["PersonalInformation/Name/FamilyName", "PersonalInformation/Name/@Type", "@RefId"]


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (EQ, "Art", True),
        (EQ, "Latin", False),
        (NE, "Art", False),
        (NE, "Latin", True),
        (LT, "B", True),
        (LT, "Art", False),
        (LE, "Art", True),
        (GT, "Music", False),
        (GE, "Music", True),
    ],
)
def test_one_of_several_must_meet_the_condition_and_for_ne_none_may_be_equal(
    operator: Operator, value: str, expected: bool
) -> None:
    assert meets("Marks/Mark/@Subject", operator, value) is expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (GT, "99", True),  # "absent", as text
        (LT, "5", True),
        (LT, "4", False),
        (GT, "zzz", False),
        (GE, "absent", True),
        (LT, "10", True),
    ],
)
def test_numbers_and_words_side_by_side_are_each_compared_as_what_they_are(
    operator: Operator, value: str, expected: bool
) -> None:
    assert meets("Marks/Mark", operator, value) is expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("@RefId", ALEX),
        ("LocalId", "000412"),
        ("PersonalInformation/Name/@Type", "L"),
        ("PersonalInformation/Name[@Type='C']/FamilyName", "Ng"),
        ('PersonalInformation/Name[@Type="L"]/FamilyName', "O'Dea"),
        ('PersonalInformation/Name[FamilyName="O\'Dea"]/@Source', "birth"),
        ("PersonalInformation/Name[ @Type = 'L' ][@Source='birth']/FamilyName", "O'Dea"),
        ("PersonalInformation[Demographics='']/Name[@Type='C']/GivenName", "Alex"),
        ("Marks/Mark[@Subject='Art']", "12"),
    ],
)
def test_path_leads_to_what_it_names_and_nothing_else(path: str, value: str) -> None:
    assert meets(path, EQ, value)
    assert meets(path, NE, "Nobody")
    assert not meets(path, EQ, "Nobody")


@pytest.mark.parametrize(
    "path",
    [
        "PersonalInformation/Name[@Type='X']/FamilyName",
        "PersonalInformation/Name[@Type='C'][@Source='birth']/FamilyName",
        "PersonalInformation/Name[@Type='C']/FamilyName[@Type='C']",
        "Name/FamilyName",
        "FamilyName",
    ],
    ids=["no such type", "both predicates of one element", "predicate of another step", "not from the object", "lone"],
)
def test_condition_is_never_met_by_what_its_path_does_not_lead_to(path: str) -> None:
    assert not any(meets(path, operator, "Ng") for operator in (EQ, LT, GT, LE, GE))
    assert meets(path, EQ, "")


@pytest.mark.parametrize("path", ["Episode/Status", "LocalId"], ids=["the zone's own", "SIF UK's within it"])
def test_path_names_elements_of_either_namespace(path: str) -> None:
    query = Query("LookedAfterChild", groups=(Conditions(Joined.NONE, (Condition(path, GT, ""),)),))

    assert matches(query, CARE)


def test_element_of_a_foreign_namespace_is_not_what_a_path_names() -> None:
    learner = element('<LearnerPersonal><x:LocalId xmlns:x="urn:x">1</x:LocalId></LearnerPersonal>')

    assert not matches(asks(Condition("LocalId", EQ, "1")), learner)


def test_comments_hide_nothing() -> None:
    learner = element("<LearnerPersonal><!-- a --><LocalId>00<!-- b -->04<?c d?>12</LocalId></LearnerPersonal>")

    assert matches(asks(Condition("LocalId", EQ, "000412")), learner)
    assert matches(Query("LearnerPersonal", example=learner), learner)


def test_query_about_another_object_matches_nothing() -> None:
    assert matches(Query("LearnerPersonal"), LEARNER)
    assert not matches(Query("SchoolInfo"), LEARNER)


TRUE, FALSE = Condition("LocalId", EQ, "000412"), Condition("LocalId", EQ, "1")
A, O, N = Joined.AND, Joined.OR, Joined.NONE  # noqa: E741  # as short as the cases below need


@pytest.mark.parametrize(
    ("group", "blocks", "expected"),
    [
        (A, [(A, [TRUE, TRUE])], True),
        (A, [(A, [TRUE, FALSE])], False),
        (A, [(O, [TRUE, FALSE])], True),
        (A, [(O, [FALSE, FALSE])], False),
        (N, [(N, [TRUE])], True),
        (N, [(N, [FALSE])], False),
        (A, [(O, [FALSE, TRUE]), (N, [TRUE])], True),
        (A, [(O, [FALSE, TRUE]), (N, [FALSE])], False),
        (O, [(A, [FALSE, TRUE]), (N, [TRUE])], True),
        (O, [(A, [FALSE, TRUE]), (N, [FALSE])], False),
        (O, [(A, [TRUE, TRUE]), (O, [FALSE, FALSE])], True),
        (A, [], True),
        (O, [], True),
    ],
)
def test_group_joins_its_blocks_and_each_block_its_conditions(
    group: Joined, blocks: list[tuple[Joined, list[Condition]]], expected: bool
) -> None:
    groups = tuple(Conditions(joined, tuple(conditions)) for joined, conditions in blocks)

    assert matches(Query("LearnerPersonal", groups=groups, joined=group), LEARNER) is expected


# --- example -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", True),
        ("<LocalId>000412</LocalId>", True),
        ("<LocalId> 000412\n</LocalId>", True),
        ("<LocalId>412</LocalId>", False),
        ("<LocalId/><Nothing/><Nothing><Nothing/></Nothing>", True),
        ("<Nothing>x</Nothing>", False),
        ("<LocalId>000412</LocalId><Points>8</Points>", False),
        ("<PersonalInformation><Name Type='C'><FamilyName>Ng</FamilyName></Name></PersonalInformation>", True),
        ("<PersonalInformation><Name Type='L'><FamilyName>Ng</FamilyName></Name></PersonalInformation>", False),
        (
            "<PersonalInformation><Name Type='L'/><Name><FamilyName>Ng</FamilyName></Name></PersonalInformation>",
            True,
        ),
        ("<PersonalInformation><Name Type='L'/><Name Type='X'/></PersonalInformation>", False),
        ("<PersonalInformation><Name Type='C' Source=''/></PersonalInformation>", True),
        ("<PersonalInformation><Name Type='L' Source=''/></PersonalInformation>", False),
        ("<Name Type='C'/>", False),
        (f"<LocalId xmlns:x='{XSI}' x:nil='true'/>", True),
    ],
    ids=[
        "nothing given",
        "text",
        "text but for blanks around it",
        "another text",
        "empty elements ask nothing",
        "something that is missing",
        "one met, one not",
        "attribute and text of one element",
        "attribute and text of two elements",
        "repeated, each met by one of them",
        "repeated, one not met",
        "empty attribute, none there",
        "empty attribute, one there",
        "not from the object",
        "attribute about the document",
    ],
)
def test_example_is_met_by_an_object_that_has_all_it_gives(content: str, expected: bool) -> None:
    assert like(f"<LearnerPersonal>{content}</LearnerPersonal>") is expected


def test_attribute_of_the_object_itself_is_part_of_an_example() -> None:
    assert like(f'<LearnerPersonal RefId="{ALEX}"/>')
    assert not like('<LearnerPersonal RefId="B"/>')


def test_values_of_an_example_are_compared_by_kind_at_their_path() -> None:
    asked: list[str] = []

    def kind(path: str) -> None:
        asked.append(path)

    assert like("<LearnerPersonal><Age>7</Age></LearnerPersonal>", lambda _: "number")
    assert not like("<LearnerPersonal><Age>7</Age></LearnerPersonal>")
    assert like("<LearnerPersonal Version='3'><Marks><Mark Subject='Art'>12</Mark></Marks></LearnerPersonal>", kind)
    assert asked == ["@Version", "Marks/Mark/@Subject", "Marks/Mark"]


def test_conditions_and_example_of_a_query_made_by_hand_must_both_be_met() -> None:
    example = element("<LearnerPersonal><LocalId>000412</LocalId></LearnerPersonal>")

    for condition, expected in ((TRUE, True), (FALSE, False)):
        query = Query("LearnerPersonal", groups=(Conditions(Joined.NONE, (condition,)),), example=example)
        assert matches(query, LEARNER) is expected


# --- selection ---------------------------------------------------------------------------------------------------


def test_nothing_asked_for_is_the_whole_object_and_another_one() -> None:
    copy = selected(Query("LearnerPersonal"), LEARNER)

    assert copy is not LEARNER
    assert etree.tostring(copy) == etree.tostring(LEARNER)


ROOT = f'<LearnerPersonal xmlns="{NAMESPACE}" RefId="{ALEX}" SchoolInfoRefId="S"'
NG = '<Name Type="C"><FamilyName>Ng</FamilyName></Name>'
ODEA = '<Name Type="L" Source="birth"><FamilyName>O\'Dea</FamilyName></Name>'


@pytest.mark.parametrize(
    ("elements", "left"),
    [
        (["@RefId"], "/>"),
        (["@Version"], None),
        (["Nothing"], "/>"),
        (["Born", "LocalId"], "><LocalId>000412</LocalId><Born>2010-09-01</Born></LearnerPersonal>"),
        (
            ["PersonalInformation/Name[@Type='C']/FamilyName"],
            f"><PersonalInformation>{NG}</PersonalInformation></LearnerPersonal>",
        ),
        (
            ["PersonalInformation/Name/FamilyName"],
            f"><PersonalInformation>{NG}{ODEA}</PersonalInformation></LearnerPersonal>",
        ),
        (
            ["PersonalInformation/Name/@Source"],
            '><PersonalInformation><Name Type="L" Source="birth"/></PersonalInformation></LearnerPersonal>',
        ),
        (
            ["Marks/Mark[@Subject='Art']", "Marks/Mark/@Subject"],
            '><Marks><Mark Subject="Maths"/><Mark Subject="Art">12</Mark><Mark Subject="Music"/></Marks>'
            "</LearnerPersonal>",
        ),
        (["Name/FamilyName"], f"><PersonalInformation>{NG}{ODEA}</PersonalInformation></LearnerPersonal>"),
        (["Name[@Type='C']/FamilyName"], f"><PersonalInformation>{NG}</PersonalInformation></LearnerPersonal>"),
        (
            ["Demographics"],
            "><PersonalInformation><Demographics><Born>x</Born></Demographics></PersonalInformation></LearnerPersonal>",
        ),
        (["Marks/Name/FamilyName", "Demographics/Name", "@Source", "SIF_EventObject/LearnerPersonal"], "/>"),
        (["LearnerPersonal/LocalId"], "><LocalId>000412</LocalId></LearnerPersonal>"),
    ],
    ids=[
        "key alone",
        "attribute of the object",
        "what is not there",
        "order of the object, and a name at the object is not looked for below",
        "one of two by its type",
        "both",
        "attribute below",
        "whole and shell side by side",
        "trailing steps",
        "trailing steps with a predicate",
        "one trailing step",
        "steps that are nowhere",
        "with the object's own name",
    ],
)
def test_object_is_cut_to_the_elements_asked_for(elements: list[str], left: str | None) -> None:
    expected = ROOT + left if left is not None else ROOT.replace(" SchoolInfo", ' Version="3" SchoolInfo') + "/>"

    assert cut(*elements) == expected


def test_asking_for_the_whole_and_a_part_of_it_gives_the_whole() -> None:
    assert cut("PersonalInformation/Name", "PersonalInformation") == cut("PersonalInformation")
    assert cut("LearnerPersonal", "LocalId") == etree.tostring(LEARNER).decode()


def test_object_in_a_message_is_left_alone_and_what_is_around_it_stays_out() -> None:
    message = element(
        f"<SIF_EventObject>\n {etree.tostring(LEARNER).decode()}\n <Name>{SECRET}</Name></SIF_EventObject>"
    )
    before = etree.tostring(message)

    whole, part = cut(of=message[0]), cut("Name", of=message[0])
    around = cut("SIF_EventObject/LearnerPersonal/LocalId", of=message[0])

    assert etree.tostring(message) == before
    assert SECRET not in whole + part
    assert whole.endswith("</LearnerPersonal>")
    assert part == cut("PersonalInformation/Name")
    assert around == cut("@RefId")


def test_selection_keeps_the_namespaces_and_what_a_shell_says_of_itself() -> None:
    care = cut("LocalId", "Episode/@None", of=CARE)
    nil = element(f"<LearnerPersonal xmlns:i='{XSI}' i:x='1' RefId='R'><A i:nil='true' B='b'>x</A></LearnerPersonal>")

    assert selected(Query("LearnerPersonal", ("A/@B",)), nil)[0].items() == [(f"{{{XSI}}}nil", "true"), ("B", "b")]
    assert care == (
        f'<LookedAfterChild xmlns="{LOOKED_AFTER}" xmlns:u="{NAMESPACE}" RefId="{ALEX}">'
        "<u:LocalId>77</u:LocalId></LookedAfterChild>"
    )


# --- writing -----------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,8}|É[a-zé]{0,4}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\t\r\n"), max_size=20)
VALID = TEXTS.filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
KEYS = st.one_of(NAMES, NAMES.map(lambda name: f"@{name}"))
PREDICATES = st.one_of(
    st.builds("[{}='{}']".format, KEYS, VALID.map(lambda text: text.replace("'", ""))),
    st.builds('[ {} = "{}" ]'.format, KEYS, VALID.map(lambda text: text.replace('"', ""))),
)
STEPS = st.builds(lambda name, predicates: name + "".join(predicates), NAMES, st.lists(PREDICATES, max_size=2))
PATHS = st.one_of(
    st.lists(STEPS, min_size=1, max_size=4).map("/".join),
    st.builds("{}/@{}".format, STEPS, NAMES),
    NAMES.map(lambda name: f"@{name}"),
)
CONDITIONS = st.builds(Condition, PATHS, st.sampled_from(Operator), VALID)
BLOCKS = st.one_of(
    st.builds(Conditions, st.just(Joined.NONE), st.tuples(CONDITIONS)),
    st.builds(
        Conditions, st.sampled_from([Joined.AND, Joined.OR]), st.lists(CONDITIONS, min_size=1, max_size=3).map(tuple)
    ),
)
QUERIES = st.one_of(
    st.builds(Query, NAMES, st.lists(PATHS, max_size=3).map(tuple)),
    st.builds(Query, NAMES, st.just(()), st.tuples(BLOCKS), st.just(Joined.NONE)),
    st.builds(
        Query,
        NAMES,
        st.lists(PATHS, max_size=2).map(tuple),
        st.lists(BLOCKS, min_size=1, max_size=3).map(tuple),
        st.sampled_from([Joined.AND, Joined.OR]),
    ),
)


@given(query=QUERIES)
def test_any_query_comes_back_as_it_was_built(query: Query) -> None:
    assert read(build_query(query).decode()) == query


@given(conditions=st.lists(st.tuples(PATHS, st.sampled_from(Operator), VALID), min_size=1, max_size=4))
def test_what_a_person_writes_with_quotes_is_what_is_asked(conditions: list[tuple[str, Operator, str]]) -> None:
    asked = [(path, operator, value.replace('"', "")) for path, operator, value in conditions]
    text = " or ".join(f'{path} {operator} "{value}"' for path, operator, value in asked)

    (block,) = parse_where("LearnerPersonal", [text]).groups

    assert block.joined is (Joined.OR if len(asked) > 1 else Joined.NONE)
    assert [(c.path, c.operator, c.value) for c in block.conditions] == asked


def test_built_query_declares_no_namespace_and_stands_in_a_message() -> None:
    built = build_query(parse_where("LearnerPersonal", ["LocalId = 000412"], ["@RefId"]))

    assert built == (
        b'<SIF_Query><SIF_QueryObject ObjectName="LearnerPersonal"><SIF_Element>@RefId</SIF_Element></SIF_QueryObject>'
        b'<SIF_ConditionGroup Type="And"><SIF_Conditions Type="None"><SIF_Condition><SIF_Element>LocalId</SIF_Element>'
        b"<SIF_Operator>EQ</SIF_Operator><SIF_Value>000412</SIF_Value></SIF_Condition></SIF_Conditions>"
        b"</SIF_ConditionGroup></SIF_Query>"
    )


@pytest.mark.parametrize(
    ("example", "written"),
    [
        (
            element("<LearnerPersonal A='&lt;&quot;'>\n <B>x &amp; y</B><!-- c --><C D='e'/>\n</LearnerPersonal>"),
            """<LearnerPersonal A='&lt;"'><B>x &amp; y</B><C D="e"></C></LearnerPersonal>""",
        ),
        (
            element(f"<n:LearnerPersonal xmlns:n='{NAMESPACE}'><n:B>x</n:B></n:LearnerPersonal>"),
            "<LearnerPersonal><B>x</B></LearnerPersonal>",
        ),
        (
            element(f"<LearnerPersonal xmlns='{LOOKED_AFTER}'><B>x</B></LearnerPersonal>"),
            f'<LearnerPersonal xmlns="{LOOKED_AFTER}"><B>x</B></LearnerPersonal>',
        ),
    ],
    ids=["what needs escaping", "with a prefix", "in the zone's own namespace"],
)
def test_example_comes_back_as_it_was_built(example: etree._Element, written: str) -> None:
    built = build_query(Query("LearnerPersonal", example=example)).decode()
    back = read(built).example

    assert f"<SIF_Example>{written}</SIF_Example>" in built
    assert back is not None
    assert back.tag == example.tag
    assert matches(Query("LearnerPersonal", example=example), back)
    assert matches(Query("LearnerPersonal", example=back), example)


# --- by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LocalId = 000412", [("LocalId", EQ, "000412")]),
        ("LocalId=000412", [("LocalId", EQ, "000412")]),
        (" LocalId  !=  000412 ", [("LocalId", NE, "000412")]),
        ("@RefId < 8", [("@RefId", LT, "8")]),
        ("@RefId > 8", [("@RefId", GT, "8")]),
        ("@RefId<=8", [("@RefId", LE, "8")]),
        ("@RefId>=8", [("@RefId", GE, "8")]),
        ("LocalId ne 8", [("LocalId", NE, "8")]),
        ("LocalId GE 'x'", [("LocalId", GE, "x")]),
        ("A = ''", [("A", EQ, "")]),
        ('A = "O\'Dea"', [("A", EQ, "O'Dea")]),
        ("A = O'Dea", [("A", EQ, "O'Dea")]),
        ("A = van der Berg", [("A", EQ, "van der Berg")]),
        ("A = 'this or that' ", [("A", EQ, "this or that")]),
        ("A = Orla or B = 2 OR C='3'  or D LT 4", [("A", EQ, "Orla"), ("B", EQ, "2"), ("C", EQ, "3"), ("D", LT, "4")]),
        ("A[@B='x or y = z']/C = 1", [("A[@B='x or y = z']/C", EQ, "1")]),
    ],
)
def test_condition_is_written_as_path_operator_and_value(text: str, expected: list[tuple[str, Operator, str]]) -> None:
    (block,) = parse_where("LearnerPersonal", [text]).groups

    assert [(c.path, c.operator, c.value) for c in block.conditions] == expected


def test_all_texts_must_be_met_and_elements_are_asked_for_as_written() -> None:
    query = parse_where("LearnerPersonal", ["LocalId = 1 or LocalId = 000412", "Points < 10"], ["LocalId", " @RefId "])

    assert query.elements == ("LocalId", "@RefId")
    assert (query.joined, [block.joined for block in query.groups]) == (Joined.AND, [Joined.OR, Joined.NONE])
    assert matches(query, LEARNER)
    assert not matches(parse_where("LearnerPersonal", ["LocalId = 000412", "Points > 10"]), LEARNER)


def test_no_text_is_no_condition() -> None:
    assert parse_where("LearnerPersonal", []) == Query("LearnerPersonal")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "LocalId",
        f"LocalId {SECRET}",
        f"= {SECRET}",
        "LocalId =",
        "LocalId = ",
        "LocalId EQ",
        f"LocalId == {SECRET}",
        f"LocalId <> {SECRET}",
        f"LocalId LIKE {SECRET}",
        f"LocalId = '{SECRET}",
        f"LocalId = '{SECRET}' {SECRET}",
        f"LocalId = '{SECRET}'x",
        f"LocalId = {SECRET} and Points = 3",
        f"LocalId = {SECRET} and Points EQ 3",
        f"LocalId = '{SECRET}' and Points = 3",
        f"LocalId = {SECRET} or",
        f"LocalId = {SECRET} or ",
        f"LocalId = {SECRET} or {SECRET}",
        f"or LocalId = {SECRET}",
        f"LocalId[@A={SECRET}] = 1",
        f"Local Id = {SECRET}",
    ],
)
def test_text_that_is_no_condition_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(QueryNotSupported, match=r"condition text 2 .*LocalId = 000412") as caught:
        parse_where("LearnerPersonal", ["Points = 3", text])

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("object_type", "texts", "elements"),
    [
        ("Learner Personal", [], []),
        ("x" * 65, [], []),
        ("LearnerPersonal", ["LocalId = \x00"], []),
        ("LearnerPersonal", ["LocalId = \udcff"], []),
        ("LearnerPersonal", ["A/@B/C = 1"], []),
        ("LearnerPersonal", ["x" * (MAX_PATH + 1) + " = 1"], []),
        ("LearnerPersonal", ["A = 1"] * (MAX_CONDITIONS + 1), []),
        ("LearnerPersonal", [" or ".join(["A = 1"] * (MAX_CONDITIONS + 1))], []),
        ("LearnerPersonal", [], ["A"] * (MAX_ELEMENTS + 1)),
        ("LearnerPersonal", [], ["A/"]),
    ],
    ids=[
        "object with a blank",
        "object too long",
        "control character",
        "half a character",
        "attribute in the middle",
        "path too long",
        "too many texts",
        "too many conditions in one",
        "too many elements",
        "element that is no path",
    ],
)
def test_what_could_not_be_sent_is_not_read(object_type: str, texts: list[str], elements: list[str]) -> None:
    with pytest.raises(QueryNotSupported):
        parse_where(object_type, texts, elements)


# --- effort ------------------------------------------------------------------------------------------------------

WIDE = parse_document(
    b'<LearnerPersonal xmlns="%b"><A>%b</A></LearnerPersonal>'
    % (NAMESPACE.encode(), b"".join(b'<B C="%d"><D>%d</D></B>' % (n, n) for n in range(5_000)))
)
DEEP = parse_document(
    b'<LearnerPersonal xmlns="%b">%b%b</LearnerPersonal>' % (NAMESPACE.encode(), b"<A>" * 250, b"</A>" * 250)
)


@pytest.mark.parametrize(
    "work",
    [
        lambda: matches(asks(*(Condition("A/B/D", LT, str(-n)) for n in range(1_000)), joined=Joined.OR), WIDE),
        lambda: matches(
            asks(*(Condition(f"A/B[@C='{n}'][D='{n}']/D", NE, "x") for n in range(1_000))),
            WIDE,
        ),
        lambda: matches(
            Query(
                "LearnerPersonal",
                example=element(
                    "<LearnerPersonal><A>"
                    + "".join(f"<B><D>{n}</D></B>" for n in range(4_900, 5_000))
                    + "</A></LearnerPersonal>"
                ),
            ),
            WIDE,
        ),
        lambda: cut(*(f"A/B[D='{n}']/@C" for n in range(500)), of=WIDE),
        lambda: cut(*(f"{'A/' * n}A" for n in range(30)), *(f"A/{'A/' * n}B" for n in range(30)), of=DEEP),
        lambda: meets("A[" + " " * 400 + "x", EQ, "1"),
        lambda: parse_where("LearnerPersonal", ["A = " + " o" * 200_000]),
        lambda: parse_where("LearnerPersonal", ["A" + " " * 400_000 + "= 1" + " " * 400_000]),
        lambda: parse_where("LearnerPersonal", ["A = '1'" + " " * 400_000 + "x"]),
        lambda: parse_where("LearnerPersonal", ["A[@B='" * 50_000]),
    ],
    ids=[
        "1,000 conditions on 5,000 values",
        "1,000 predicates on 5,000 elements",
        "example repeated 100 times on 5,000 elements",
        "500 elements of 5,000",
        "steps of one name in depth",
        "blanks in a predicate",
        "words in a value",
        "blanks in a text",
        "blanks after a value",
        "predicates that do not end",
    ],
)
def test_hostile_query_is_done_soon(work: Callable[[], object]) -> None:
    start = time.process_time()
    with suppress(QueryNotSupported):  # a refusal is an answer, too
        work()
    assert time.process_time() - start < 5


def test_object_as_deep_as_documents_may_be_is_cut_and_compared() -> None:
    path = "/".join("A" * MAX_STEPS)

    assert matches(asks(Condition(path, EQ, "")), DEEP)
    assert cut(path, of=DEEP).count("<A") == 250
    assert cut("Nothing/A", of=DEEP).count("<A") == 0
