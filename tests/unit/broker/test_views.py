"""A view lets through what its agreements name, exactly, and nothing else; see also the property test beside this."""

import re
from collections.abc import Sequence

import pytest
from lxml import etree

from broker import views
from broker.protocol.envelope import NAMESPACE, Action, build_event, event_objects, parse_message
from broker.views import View, compile_view, mentioned_learners
from tests.unit.broker.builders import ALEX, BILLIE, NS, XSI, agreement, copied, element, header

SECRET = "Zephyrine"
LEARNER = element(
    f"""<LearnerPersonal RefId="{ALEX}">
  <LocalId>42</LocalId>
  <PersonalInformation>
    <Name Type="C"><FamilyName>Fern &amp; Moss</FamilyName><GivenName>Al&lt;ex</GivenName></Name>
    <Demographics><Gender>F</Gender></Demographics>
    <Email Type="School">alex@example.org</Email>
  </PersonalInformation>
  <UPN>H801200001001</UPN>
  <InCare><Current>Yes</Current><LAId>820</LAId></InCare>
  <CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{BILLIE}" MembershipType="C">
    <LAId>820</LAId><EstablishmentId>9901</EstablishmentId><NCYearGroup>7</NCYearGroup>
  </CurrentSchoolEnrolment>
  <SIF_Metadata><TimeElements/></SIF_Metadata>
  <SIF_ExtendedElements><SIF_ExtendedElement Name="x">{SECRET}</SIF_ExtendedElement></SIF_ExtendedElements>
</LearnerPersonal>"""
)
ROOT = f'<LearnerPersonal RefId="{ALEX}">'


def view(*paths: str, object_type: str = "LearnerPersonal") -> View:
    return compile_view(object_type, [agreement("a", {object_type: paths})])


def cut(*paths: str, of: etree._Element = LEARNER) -> str:
    piece = view(*paths).cut(of)
    assert piece is not None
    return squeeze(piece)


def squeeze(piece: bytes) -> str:
    """Return *piece* without the blanks between elements, which mean nothing."""
    return re.sub(r">\s+<", "><", piece.decode())


# --- what each kind of path shares -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(["LocalId"], "<LocalId>42</LocalId>", id="element"),
        pytest.param(
            ["PersonalInformation/Name"],
            '<PersonalInformation><Name Type="C"><FamilyName>Fern &amp; Moss</FamilyName><GivenName>Al&lt;ex'
            "</GivenName></Name></PersonalInformation>",
            id="nested element",
        ),
        pytest.param(
            ["PersonalInformation/Name/GivenName"],
            "<PersonalInformation><Name><GivenName>Al&lt;ex</GivenName></Name></PersonalInformation>",
            id="deeper element, without its parents' attributes",
        ),
        pytest.param(
            ["PersonalInformation/Name/@Type"],
            '<PersonalInformation><Name Type="C"/></PersonalInformation>',
            id="nested attribute",
        ),
        pytest.param(
            ["PersonalInformation/Email/@Type"],
            '<PersonalInformation><Email Type="School"/></PersonalInformation>',
            id="attribute of a text, without the text",
        ),
        pytest.param(
            ["CurrentSchoolEnrolment/@MembershipType"],
            '<CurrentSchoolEnrolment MembershipType="C"/>',
            id="one attribute of two",
        ),
        pytest.param(
            ["CurrentSchoolEnrolment/@MembershipType", "CurrentSchoolEnrolment/NCYearGroup"],
            '<CurrentSchoolEnrolment MembershipType="C"><NCYearGroup>7</NCYearGroup></CurrentSchoolEnrolment>',
            id="attribute and element of one parent",
        ),
        pytest.param(
            ["InCare/Current", "UPN", "LocalId"],
            "<LocalId>42</LocalId><UPN>H801200001001</UPN><InCare><Current>Yes</Current></InCare>",
            id="several, in the object's own order",
        ),
        pytest.param(
            ["SIF_ExtendedElements"],
            f'<SIF_ExtendedElements><SIF_ExtendedElement Name="x">{SECRET}</SIF_ExtendedElement>'
            "</SIF_ExtendedElements>",
            id="extended elements, where they are named",
        ),
    ],
)
def test_a_path_shares_exactly_what_it_names(paths: list[str], expected: str) -> None:
    assert cut("@RefId", *paths) == f"{ROOT}{expected}</LearnerPersonal>"


def test_a_star_shares_the_whole_object() -> None:
    arrived = in_a_message(view("*").cut(LEARNER) or b"")

    assert etree.tostring(canonical(arrived)) == etree.tostring(canonical(LEARNER))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("*", "PersonalInformation/Name/GivenName"),
        ("*", "LocalId"),
        ("PersonalInformation", "PersonalInformation/Name/GivenName"),
        ("PersonalInformation", "PersonalInformation/Name/@Type"),
        ("PersonalInformation/Name", "PersonalInformation/Name/@Type"),
        ("CurrentSchoolEnrolment", "CurrentSchoolEnrolment/@MembershipType"),
    ],
)
def test_a_second_agreement_never_takes_away_what_the_first_shares(wide: str, narrow: str) -> None:
    first = agreement("a", {"LearnerPersonal": ("@RefId", wide)})
    second = agreement("b", {"LearnerPersonal": ("@RefId", narrow)})

    for together in ([first, second], [second, first]):
        assert compile_view("LearnerPersonal", together).cut(LEARNER) == view("@RefId", wide).cut(LEARNER)


def test_agreements_together_share_what_any_of_them_shares() -> None:
    both = compile_view(
        "LearnerPersonal",
        [
            agreement("b", {"LearnerPersonal": ("@RefId", "LocalId")}),
            agreement("a", {"LearnerPersonal": ("@RefId", "UPN"), "SchoolInfo": ("@RefId",)}),
            agreement("c", {"SchoolInfo": ("*",)}),
        ],
    )

    assert both.paths == ("@RefId", "LocalId", "UPN")
    assert squeeze(both.cut(LEARNER) or b"") == f"{ROOT}<LocalId>42</LocalId><UPN>H801200001001</UPN></LearnerPersonal>"


def test_a_view_is_named_after_its_agreements_and_their_wording() -> None:
    made = compile_view("LearnerPersonal", [agreement("b", {}), agreement("a", {})])

    assert made.name == "a@00000000+b@00000000"


# --- what nobody named -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hidden",
    [
        f"<!--{SECRET}-->",
        f"<?{SECRET} {SECRET}?>",
        f"<{SECRET}/>",
        f'<x xmlns="urn:{SECRET}">{SECRET}</x>',
        f'<LocalId xmlns="urn:other">{SECRET}</LocalId>',
        f'<LocalId xmlns="">{SECRET}</LocalId>',
        f"<UIPI>{SECRET}</UIPI>",
        f'<UIPI Note="{SECRET}"/>',
        SECRET,
    ],
    ids=[
        "comment",
        "instruction",
        "unknown element",
        "foreign element",
        "element of a shared name in another namespace",
        "element of a shared name in no namespace",
        "element not shared",
        "attribute of an element not shared",
        "text between elements",
    ],
)
@pytest.mark.parametrize("place", ["object", "intermediate"])
def test_what_no_path_names_does_not_leave(hidden: str, place: str) -> None:
    inside = f"<LocalId>1</LocalId>{hidden}" if place == "object" else "<LocalId>1</LocalId>"
    within = f'{hidden}<Name Type="C"/>{hidden}' if place == "intermediate" else '<Name Type="C"/>'
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}">{inside}<PersonalInformation>{within}</PersonalInformation></LearnerPersonal>'
    )

    assert cut("@RefId", "LocalId", "PersonalInformation/Name", of=learner) == (
        f'{ROOT}<LocalId>1</LocalId><PersonalInformation><Name Type="C"/></PersonalInformation></LearnerPersonal>'
    )


@pytest.mark.parametrize("path", ["LocalId", "PersonalInformation/Name"])
def test_attributes_of_what_stands_above_a_path_do_not_leave(path: str) -> None:
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}" Note="{SECRET}" xmlns="{NAMESPACE}" xmlns:o="urn:other" o:Note="{SECRET}">'
        f'<LocalId>1</LocalId><PersonalInformation Note="{SECRET}" o:Note="{SECRET}"><Name Type="C"/>'
        "</PersonalInformation></LearnerPersonal>"
    )

    assert SECRET not in cut("@RefId", path, of=learner)


@pytest.mark.parametrize("path", ["*", "PersonalInformation", "PersonalInformation/Name"])
def test_comments_and_instructions_do_not_leave_even_in_what_is_shared_whole(path: str) -> None:
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}"><PersonalInformation><Name Type="C"><!--{SECRET}-->'
        f"<FamilyName>Fe<!--{SECRET}-->rn</FamilyName><?{SECRET}?><GivenName>Al</GivenName></Name></PersonalInformation></LearnerPersonal>"
    )

    assert cut("@RefId", path, of=learner) == (
        f'{ROOT}<PersonalInformation><Name Type="C"><FamilyName>Fern</FamilyName><GivenName>Al</GivenName></Name>'
        "</PersonalInformation></LearnerPersonal>"
    )


def test_namespaces_that_only_hidden_parts_use_do_not_leave() -> None:
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}" xmlns="{NAMESPACE}" xmlns:n="urn:n:{SECRET}" n:Note="x">'
        "<LocalId>n:1</LocalId><UPN>2</UPN></LearnerPersonal>"
    )

    assert cut("@RefId", "UPN", of=learner) == f"{ROOT}<UPN>2</UPN></LearnerPersonal>"


# --- what must not be lost ---------------------------------------------------------------------------------------


def in_a_message(piece: bytes) -> etree._Element:
    """Return the object as its receiver reads it."""
    body = build_event(header(), (("LearnerPersonal", Action.ADD, piece),))
    return event_objects(parse_message(body))[0].element


@pytest.mark.parametrize(
    "value", ["a\"b'c", "a&b", "a<b>c", "a&#10;b&#9;c&#13;d", "é 文 😀", " ", "it's", "&quot;'"], ids=ascii
)
@pytest.mark.parametrize("path", ["PersonalInformation/Name", "PersonalInformation/Name/@Type"])
def test_an_attribute_arrives_with_every_character(value: str, path: str) -> None:
    quoted = value.replace("&", "&amp;") if value == "a&b" else value
    quoted = quoted.replace("<", "&lt;").replace('"', "&quot;")
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}"><PersonalInformation><Name Type="{quoted}"/></PersonalInformation>'
        "</LearnerPersonal>"
    )

    arrived = in_a_message(view("@RefId", path).cut(learner) or b"")

    name = f"{NS}PersonalInformation/{NS}Name"
    assert arrived.find(name).get("Type") == learner.find(name).get("Type")  # type: ignore[union-attr]  # both have it


@pytest.mark.parametrize(
    "value", ["a&amp;b", "a&lt;b&gt;c", "]]&gt;", "a\nb&#13;c", "é 文 😀", " ", "<![CDATA[<!--a-->]]>"]
)
def test_a_text_arrives_with_every_character(value: str) -> None:
    learner = element(f'<LearnerPersonal RefId="{ALEX}"><LocalId>{value}</LocalId></LearnerPersonal>')

    arrived = in_a_message(view("@RefId", "LocalId").cut(learner) or b"")

    assert arrived.findtext(f"{NS}LocalId") == learner.findtext(f"{NS}LocalId")


@pytest.mark.parametrize(
    "text",
    ["plain", "", " ", "é 文 😀", "a&amp;b", "a&lt;b", "a&gt;b", "a&#13;b", "o:name", "a<b/>c", "<!-- no -->a", "a\nb"],
    ids=ascii,
)
@pytest.mark.parametrize("start", ["UPN", 'UPN Type="x"', 'UPN xmlns="urn:other"', 'o:UPN xmlns:o="urn:other"'])
@pytest.mark.parametrize("around", ["LearnerPersonal", 'LearnerPersonal xmlns="urn:other"'])
def test_a_part_shared_whole_is_written_as_the_serialiser_would(text: str, start: str, around: str) -> None:
    name, _, attributes = start.partition(" ")
    document = f'<{around} xmlns:o="urn:spare"><{name} {attributes}>{text}</{name}></{around.split()[0]}>'
    parent = etree.fromstring(document if "xmlns=" in around else document.replace(" ", f' xmlns="{NAMESPACE}" ', 1))

    piece = views._write(parent[0])

    around_it = b'<a xmlns="%b">%b</a>'
    written = etree.fromstring(around_it % (NAMESPACE.encode(), piece))[0]
    expected = etree.fromstring(around_it % (NAMESPACE.encode(), views._serialised(parent[0])))[0]
    assert etree.tostring(written, method="c14n") == etree.tostring(expected, method="c14n")
    assert written.tag == parent[0].tag


def test_mixed_extended_content_arrives_with_its_texts_and_namespaces() -> None:
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}" xmlns="{NAMESPACE}" xmlns:o="urn:other"><SIF_ExtendedElements>'
        '<SIF_ExtendedElement Name="x">a<o:b o:c="d">e</o:b>f<none xmlns="">g<UPN xmlns="urn:third"/></none>h'
        '<SIF_ExtendedElement Name="y" kind="o:z"/></SIF_ExtendedElement></SIF_ExtendedElements></LearnerPersonal>'
    )

    arrived = in_a_message(view("@RefId", "SIF_ExtendedElements").cut(learner) or b"")

    extended = f"{NS}SIF_ExtendedElements"
    sent, got = learner.find(extended), arrived.find(extended)
    assert sent is not None
    assert got is not None
    assert [(e.tag, dict(e.attrib), e.text, e.tail) for e in got.iter()] == [
        (e.tag, dict(e.attrib), e.text, e.tail) for e in sent.iter()
    ]
    assert got[0][2].nsmap["o"] == "urn:other"  # a name in a value still means what it meant


@pytest.mark.parametrize("path", ["UPN", "InCare", "*"])
def test_an_element_that_is_emptied_arrives_as_emptied(path: str) -> None:
    learner = element(
        f'<LearnerPersonal xmlns="{NAMESPACE}" xmlns:xsi="{XSI}" RefId="{ALEX}"><UPN xsi:nil="true"/>'
        '<InCare xsi:nil="true"/></LearnerPersonal>'
    )

    arrived = in_a_message(view("@RefId", path).cut(learner) or b"")

    emptied = [etree.QName(child).localname for child in arrived if child.get(f"{{{XSI}}}nil") == "true"]
    assert emptied == (["UPN", "InCare"] if path == "*" else [path])


@pytest.mark.parametrize("nil", ["true", "1"])
@pytest.mark.parametrize("path", ["CurrentSchoolEnrolment/NCYearGroup", "CurrentSchoolEnrolment/@MembershipType"])
def test_emptying_an_element_reaches_whoever_has_a_part_of_it_and_nobody_else(nil: str, path: str) -> None:
    learner = element(
        f'<LearnerPersonal xmlns="{NAMESPACE}" xmlns:xsi="{XSI}" RefId="{ALEX}">'
        f'<CurrentSchoolEnrolment xsi:nil="{nil}"/></LearnerPersonal>'
    )

    arrived = in_a_message(view("@RefId", path).cut(learner) or b"")

    assert [(child.tag, dict(child.attrib)) for child in arrived] == [
        (f"{NS}CurrentSchoolEnrolment", {f"{{{XSI}}}nil": "true"})
    ]
    assert view("@RefId", "UPN", "InCare/Current").cut(learner) is None


def test_a_prefixed_document_is_cut_like_one_without_prefixes() -> None:
    plain = etree.tostring(LEARNER).decode()
    prefixed = re.sub(r"<(/?)([A-Z])", r"<\1s:\2", plain).replace("xmlns=", "xmlns:s=")

    for paths in (["LocalId"], ["PersonalInformation/Name"], ["CurrentSchoolEnrolment/@MembershipType"], ["*"]):
        made = view("@RefId", *paths)
        cuts = [in_a_message(made.cut(etree.fromstring(text)) or b"") for text in (plain, prefixed)]
        assert etree.tostring(canonical(cuts[0])) == etree.tostring(canonical(cuts[1]))


def canonical(root: etree._Element) -> etree._Element:
    """Return a copy with neither prefixes nor blanks between elements."""
    copy = copied(root)
    copy.text = (root.text or "").strip()
    copy.extend(canonical(child) for child in root)
    return copy


def test_the_object_itself_is_not_changed() -> None:
    before = etree.tostring(FAMILY)

    view("@RefId", "*").cut(FAMILY, lambda _: False)
    view("@RefId", "SiblingList").cut(FAMILY, lambda _: True)

    assert etree.tostring(FAMILY) == before


# --- nothing left ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "\n  ",
        "<!-- nothing -->",
        "<UPN>H801200001001</UPN>",
        "<PersonalInformation><Email>a@example.org</Email></PersonalInformation>",
    ],
    ids=["empty", "blanks", "comment", "not shared", "parent of nothing shared"],
)
def test_an_object_of_which_only_its_keys_are_left_is_nothing(inner: str) -> None:
    learner = element(f'<LearnerPersonal RefId="{ALEX}">{inner}</LearnerPersonal>')

    assert view("@RefId", "LocalId", "PersonalInformation/Name").cut(learner) is None


@pytest.mark.parametrize("inner", ["", "\n  ", "<!-- nothing -->"], ids=["empty", "blanks", "comment"])
def test_an_empty_object_shared_whole_is_nothing(inner: str) -> None:
    assert view("*").cut(element(f'<LearnerPersonal RefId="{ALEX}">{inner}</LearnerPersonal>')) is None


SUMMARY_KEYS = ("@LearnerPersonalRefId", "@SchoolInfoRefId", "SchoolYear", "StartDate", "EndDate")
SUMMARY = (
    f'<LearnerAttendanceSummary LearnerPersonalRefId="{ALEX}" SchoolInfoRefId="{BILLIE}"><SchoolYear>2026</SchoolYear>'
    "<StartDate>2025-09-01</StartDate><EndDate>2026-07-20</EndDate>{more}</LearnerAttendanceSummary>"
)


@pytest.mark.parametrize("shared", [(*SUMMARY_KEYS, "SessionsAttended"), ("*",)], ids=["some", "whole"])
def test_elements_that_are_keys_count_as_nothing_too(shared: Sequence[str]) -> None:
    made = view(*shared, object_type="LearnerAttendanceSummary")

    assert made.cut(element(SUMMARY.format(more=""))) is None
    assert made.cut(element(SUMMARY.format(more="<SessionsAttended>3</SessionsAttended>"))) is not None


@pytest.mark.parametrize("shared", [(*SUMMARY_KEYS, "SessionsAttended"), ("*",)], ids=["some", "whole"])
def test_keys_only_has_attributes_and_elements_that_are_keys(shared: Sequence[str]) -> None:
    made = view(*shared, object_type="LearnerAttendanceSummary")

    kept = made.keys_only(element(SUMMARY.format(more="<SessionsAttended>3</SessionsAttended>")))

    assert kept.decode() == SUMMARY.format(more="")


def test_keys_only_of_a_whole_learner_is_its_refid() -> None:
    for paths in (["*"], ["@RefId", "LocalId", "PersonalInformation"]):
        assert view(*paths).keys_only(LEARNER).decode() == f'<LearnerPersonal RefId="{ALEX}"/>'


# --- other learners ----------------------------------------------------------------------------------------------

FRANKIE = "F7" * 16
FAMILY = element(
    f'<LearnerPersonal RefId="{ALEX}"><LocalId>1</LocalId><SiblingList>'
    f"<Sibling><LearnerPersonalRefId> {BILLIE}\n</LearnerPersonalRefId><UIPI>b</UIPI></Sibling><!-- c -->"
    f"<Sibling><LearnerPersonalRefId>{FRANKIE}</LearnerPersonalRefId><UIPI>f</UIPI></Sibling>"
    "</SiblingList></LearnerPersonal>"
)
SIBLING = "<Sibling><LearnerPersonalRefId>{ref}</LearnerPersonalRefId><UIPI>{uipi}</UIPI></Sibling>"


def test_an_object_names_the_other_learners_it_mentions() -> None:
    assert mentioned_learners(FAMILY, "LearnerPersonal") == (BILLIE, FRANKIE)
    assert mentioned_learners(LEARNER, "LearnerPersonal") == ()
    assert mentioned_learners(element("<SchoolInfo/>"), "SchoolInfo") == ()


@pytest.mark.parametrize(
    ("path", "mentions"),
    [
        ("*", True),
        ("SiblingList", True),
        ("SiblingList/Sibling", True),
        ("SiblingList/Sibling/UIPI", True),
        ("LocalId", False),
    ],
)
def test_a_view_knows_whether_it_can_mention_others(path: str, mentions: bool) -> None:
    assert view("@RefId", path).mentions_learners is mentions


@pytest.mark.parametrize("path", ["*", "SiblingList", "SiblingList/Sibling"])
def test_only_those_whom_the_recipient_may_know_of_stay(path: str) -> None:
    made = view("@RefId", "LocalId", path)

    piece = squeeze(made.cut(FAMILY, lambda ref: ref == FRANKIE) or b"")

    kept = SIBLING.format(ref=FRANKIE, uipi="f")
    assert piece == f"{ROOT}<LocalId>1</LocalId><SiblingList>{kept}</SiblingList></LearnerPersonal>"


def test_a_part_of_a_member_is_filtered_by_the_member() -> None:
    piece = view("@RefId", "SiblingList/Sibling/UIPI").cut(FAMILY, lambda ref: ref == BILLIE)

    assert squeeze(piece or b"") == (
        f"{ROOT}<SiblingList><Sibling><UIPI>b</UIPI></Sibling></SiblingList></LearnerPersonal>"
    )


@pytest.mark.parametrize("path", ["*", "SiblingList", "SiblingList/Sibling/UIPI"])
def test_of_a_list_with_nobody_left_there_is_no_trace(path: str) -> None:
    made = view("@RefId", "LocalId", path)

    for keep in (None, lambda _: False):
        assert squeeze(made.cut(FAMILY, keep) or b"") == f"{ROOT}<LocalId>1</LocalId></LearnerPersonal>"


@pytest.mark.parametrize("path", ["*", "SiblingList", "SiblingList/Sibling/UIPI"])
def test_emptying_a_list_of_learners_reaches_whoever_has_it(path: str) -> None:
    learner = element(
        f'<LearnerPersonal xmlns="{NAMESPACE}" xmlns:xsi="{XSI}" RefId="{ALEX}"><SiblingList xsi:nil="true"/>'
        "</LearnerPersonal>"
    )

    arrived = in_a_message(view("@RefId", path).cut(learner) or b"")

    assert [(child.tag, dict(child.attrib)) for child in arrived] == [(f"{NS}SiblingList", {f"{{{XSI}}}nil": "true"})]


def test_a_member_without_a_learner_is_kept_for_nobody() -> None:
    learner = element(
        f'<LearnerPersonal RefId="{ALEX}"><LocalId>1</LocalId><SiblingList><Sibling><UIPI>b</UIPI></Sibling>'
        "</SiblingList></LearnerPersonal>"
    )

    piece = view("*").cut(learner, lambda ref: ref in {BILLIE, FRANKIE})

    assert squeeze(piece or b"") == f"{ROOT}<LocalId>1</LocalId></LearnerPersonal>"
