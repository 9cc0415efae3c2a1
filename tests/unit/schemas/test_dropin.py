"""The official schema files, dropped in: they judge like our own where they say the same, and by themselves else."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lxml import etree

import schemas
from broker.protocol.errors import ConfigurationError
from broker.settings import load_zone
from broker.validation import load_validator
from schemas import BadSchema, Finding, SchemaSet, load_site
from schemas.model import line_of
from tests.unit.schemas.official import NAMESPACE, official_text, write_official, write_split
from tests.unit.schemas.test_explain import MARK, damage, spoilt_once

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

OURS = schemas.load()
OBJECTS = tuple(name for name in OURS.objects if OURS.namespace_of(name) == NAMESPACE)
OTHERS = tuple(name for name in OURS.objects if name not in OBJECTS)
OFFICIAL = official_text()
REF = "5D315C31F8A15621F126C31154AF9665"
XML = "http://www.w3.org/XML/1998/namespace"
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> SchemaSet:
    return load_site(write_official(tmp_path_factory.mktemp("official")))


@pytest.fixture
def with_text(tmp_path: Path) -> Callable[[str], SchemaSet]:
    """Load an official file of this text."""

    def load(text: str) -> SchemaSet:
        (tmp_path / "SIF_Message.xsd").write_text(text, encoding="utf-8")
        return load_site(tmp_path)

    return load


def changed(old: str, new: str) -> str:
    """Return the official file with one thing changed."""
    assert old in OFFICIAL
    return OFFICIAL.replace(old, new, 1)


def in_type(name: str, old: str, new: str) -> str:
    """Return the official file with one thing changed in one of its types."""
    head, start, body = OFFICIAL.partition(f'<xs:complexType name="{name}">')
    assert old in body
    return head + start + body.replace(old, new, 1)


def facts(findings: tuple[Finding, ...]) -> list[tuple[object, ...]]:
    return [(f.path, f.line, f.rule, f.severity, f.nearest, f.sif_code) for f in findings]


def places(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(f.path, f.rule) for f in findings]


def walk(node: schemas.Node) -> Iterator[schemas.Node]:
    yield node
    for child in node.children:
        yield from walk(child)


# What it is used for


def test_official_files_have_the_same_objects_and_leave_ours_on_looked_after_children(official: SchemaSet) -> None:
    assert official.objects == OURS.objects
    assert {official.namespace_of(name) for name in OTHERS} == {"urn:sifzone:looked-after:1.0"}


@pytest.mark.parametrize("name", OURS.objects)
@pytest.mark.parametrize("partial", [False, True], ids=["whole", "part"])
def test_valid_objects_are_valid(
    name: str, *, partial: bool, official: SchemaSet, parse: Parse, sample: Sample
) -> None:
    assert official.check(parse(sample(name)), partial=partial) == ()
    assert official.check(parse(sample(f"{name}.minimal")), partial=partial) == ()


@pytest.mark.parametrize("name", OBJECTS)
def test_faults_are_found_alike(name: str, official: SchemaSet, parse: Parse, sample: Sample) -> None:
    for number, spoilt in enumerate(damage(spoilt_once(name, parse(sample(name))))):
        partial = bool(number % 3 == 1)
        found = official.check(spoilt, partial=partial)
        assert facts(found) == facts(OURS.check(spoilt, partial=partial)), etree.tostring(spoilt)
        assert MARK not in repr(found)
        assert all(finding.message.endswith(".") and ": " in finding.message for finding in found)


@pytest.mark.parametrize("name", OBJECTS)
def test_faults_of_a_lean_object_are_found_alike_in_a_part(
    name: str, official: SchemaSet, parse: Parse, sample: Sample
) -> None:
    for spoilt in damage(parse(sample(f"{name}.minimal"))):
        assert facts(official.check(spoilt, partial=True)) == facts(OURS.check(spoilt, partial=True))


@pytest.mark.parametrize("name", OBJECTS)
def test_trees_say_what_ours_do_but_for_editions_and_names_of_types(name: str, official: SchemaSet) -> None:
    def told(tree: schemas.Node) -> list[tuple[object, ...]]:
        return [
            (n.path, n.kind, n.type, n.mandatory, n.repeatable, n.nillable, n.codes, n.refs, n.unique_by, n.label)
            for n in walk(tree)
        ]

    assert told(official.tree(name)) == told(OURS.tree(name))
    assert official.keys(name) == OURS.keys(name)
    assert official.learner_ref(name) == OURS.learner_ref(name)
    assert official.other_learners(name) == OURS.other_learners(name)


def test_trees_have_labels_codes_and_references(official: SchemaSet) -> None:
    ethnicity = official.find("LearnerPersonal", "PersonalInformation/Demographics/Ethnicity/Code")
    sibling = official.find("LearnerPersonal", "SiblingList/Sibling/LearnerPersonalRefId")
    upn = official.find("LearnerPersonal", "UPN")

    assert ethnicity is None or ethnicity.codes == "EthnicityCodes"
    assert sibling is not None
    assert sibling.refs == ("LearnerPersonal",)
    assert upn is not None
    assert (upn.label, upn.type) == ("Unique pupil number", "xs:normalizedString")


@pytest.mark.parametrize("edition", schemas.EDITIONS)
def test_one_set_of_official_files_is_for_messages_of_all_editions(
    edition: schemas.Edition, official: SchemaSet, parse: Parse, sample: Sample
) -> None:
    element = parse(sample("LearnerPersonal"))
    assert official.check(element, partial=False, edition=edition) == ()

    element.append(etree.SubElement(element, f"{{{NAMESPACE}}}Shoes"))

    assert places(official.check(element, partial=False, edition=edition)) == [("Shoes", "unknown-element")]
    assert set(official.trees_of(edition)) == set(OBJECTS) | set(OURS.trees_of(edition)) & set(OTHERS)


def test_codes_that_an_open_list_does_not_know_are_warned_of(official: SchemaSet, parse: Parse) -> None:
    text = f'<LearnerPersonal «xmlns» RefId="{REF}"><HomeLA>Atlantis</HomeLA></LearnerPersonal>'

    assert facts(official.warnings(parse(text))) == facts(OURS.warnings(parse(text)))
    assert places(official.warnings(parse(text))) == [("HomeLA", "unknown-code")]


def test_lean_change_is_a_valid_part_and_no_whole(official: SchemaSet, parse: Parse) -> None:
    inside = "<PersonalInformation><Demographics/></PersonalInformation>"
    text = f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'

    assert official.check(parse(text), partial=True) == ()
    assert places(official.check(parse(text), partial=False)) == [("PersonalInformation/Name", "missing")]


def test_part_keeps_attributes_and_keys_as_they_are(official: SchemaSet, parse: Parse) -> None:
    phone = f'<LAInfo «xmlns» RefId="{REF}"><PhoneNumberList><PhoneNumber/></PhoneNumberList></LAInfo>'
    summary = f'<LearnerAttendanceSummary «xmlns» LearnerPersonalRefId="{REF}" SchoolInfoRefId="{REF}"/>'

    assert places(official.check(parse(phone), partial=True)) == [("PhoneNumberList/PhoneNumber/@Type", "missing")]
    assert {f.path for f in official.check(parse(summary), partial=True)} == {"SchoolYear", "StartDate", "EndDate"}


def test_whole_object_may_leave_out_what_the_file_lets_it(tmp_path: Path, parse: Parse) -> None:
    lenient = load_site(write_official(tmp_path, all_optional=True))
    text = f'<LearnerPersonal «xmlns» {XSI} RefId="{REF}"><PersonalInformation xsi:nil="true"/></LearnerPersonal>'

    assert lenient.check(parse(text), partial=False) == ()
    assert lenient.check(parse(f'<LearnerPersonal «xmlns» RefId="{REF}"/>'), partial=False) == ()
    assert OURS.check(parse(text), partial=False) != ()


def test_files_in_sub_folders_make_the_same_schema_as_one_file(
    tmp_path: Path, official: SchemaSet, parse: Parse
) -> None:
    split = load_site(write_split(tmp_path))
    text = f'<LearnerPersonal «xmlns» RefId="{REF}"><ULN>12</ULN><UPN/><HomeLa/></LearnerPersonal>'

    assert [walked.path for name in OBJECTS for walked in walk(split.tree(name))] == [
        walked.path for name in OBJECTS for walked in walk(official.tree(name))
    ]
    assert facts(split.check(parse(text), partial=True)) == facts(official.check(parse(text), partial=True))


def test_file_of_any_name_is_used_when_it_is_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "SIF UK 1.3.xsd").write_text(OFFICIAL)

    assert load_site(tmp_path).objects == OURS.objects


def test_prefix_as_a_default_namespace_of_xml_schema_is_fine(
    with_text: Callable[[str], SchemaSet], parse: Parse, sample: Sample
) -> None:
    text = OFFICIAL.replace("<xs:", "<").replace("</xs:", "</").replace('xmlns:xs="http', 'xmlns="http')
    text = text.replace('"xs:', '"').replace(" xs:", " ")

    loaded = with_text(text)

    assert loaded.check(parse(sample("LearnerPersonal")), partial=False) == ()


def test_objects_that_the_files_lack_are_not_known(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    loaded = with_text(changed('<xs:element name="TermInfo"', '<xs:element name="TermInformation"'))

    assert set(OURS.objects) - set(loaded.objects) == {"TermInfo"}
    assert "TermInformation" not in loaded.objects
    with pytest.raises(schemas.UnknownObject, match="TermInfo"):
        loaded.check(parse('<TermInfo «xmlns» RefId="1"/>'), partial=True)


def test_codes_of_the_file_are_what_counts(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    head, start, rest = OFFICIAL.partition('name="GiftedTalented"')
    loaded = with_text(head + start + rest.replace('<xs:enumeration value="Yes"/>', '<xs:enumeration value="Ay"/>', 1))
    text = f'<LearnerPersonal «xmlns» RefId="{REF}"><GiftedTalented>{{}}</GiftedTalented></LearnerPersonal>'

    (finding,) = loaded.check(parse(text.format("Aye")), partial=True)

    assert (finding.path, finding.rule, finding.nearest) == ("GiftedTalented", "unknown-code", "Ay")
    assert "Ay, No" in finding.message
    assert loaded.check(parse(text.format("Ay")), partial=True) == ()


def test_notes_of_the_file_do_not_end_up_in_sentences(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    note = "<xs:annotation><xs:appinfo><other/></xs:appinfo><xs:documentation>A long tale. </xs:documentation>"
    start = '<xs:element name="ULN" minOccurs="0" nillable="true">'
    text = changed(f"{start}<xs:simpleType>", f"{start}<xs:simpleType>{note}</xs:annotation>")
    loaded = with_text(text)

    (finding,) = loaded.check(
        parse(f'<LearnerPersonal «xmlns» RefId="{REF}"><ULN>12</ULN></LearnerPersonal>'), partial=True
    )

    assert (
        finding.message
        == "ULN holds 2 digits, which is not the right form: it must be text, of the form [1-9][0-9]{9}."
    )


# What XML lets in


def test_language_of_xml_is_let_in_and_judged(official: SchemaSet, parse: Parse, sample: Sample) -> None:
    element = parse(sample("LearnerPersonal"))
    information = element.find("{*}PersonalInformation")
    assert information is not None
    information.set(f"{{{XML}}}lang", "cy")
    assert official.check(element, partial=False) == ()

    element.attrib.pop("RefId")
    assert places(official.check(element, partial=False)) == [("@RefId", "missing")]

    element.set("RefId", REF)
    information.set(f"{{{XML}}}lang", f"not a language: {MARK}")
    found = official.check(element, partial=False)
    assert places(found) == [("PersonalInformation", "not-valid")]
    assert found[0].line == line_of(information) > 1
    assert MARK not in repr(found)


def test_language_of_xml_elsewhere_is_an_unknown_attribute(official: SchemaSet, parse: Parse) -> None:
    text = f'<LearnerPersonal «xmlns» RefId="{REF}" xml:lang="cy"/>'

    assert places(official.check(parse(text), partial=True)) == [("@lang", "unknown-attribute")]


def test_group_of_all_attributes_of_xml_is_let_in(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    group = '<xs:attributeGroup ref="xml:specialAttrs"/>'
    loaded = with_text(in_type("PersonalInformationType", '<xs:attribute ref="xml:lang"/>', group))
    inside = '<PersonalInformation xml:space="preserve" xml:id="a" xml:lang="cy"/><UPNx/>'

    found = loaded.check(parse(f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'), partial=True)

    assert places(found) == [("UPNx", "unknown-element")]


def test_attributes_of_any_name_are_let_in_where_the_file_does(
    with_text: Callable[[str], SchemaSet], parse: Parse
) -> None:
    text = in_type(
        "PersonalInformationType", '<xs:attribute ref="xml:lang"/>', "<xs:anyAttribute processContents='skip'/>"
    )
    loaded = with_text(text)
    inside = '<UPNx/><PersonalInformation Colour="red" a:b="c" xmlns:a="urn:a"/>'

    found = loaded.check(parse(f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'), partial=True)

    assert places(found) == [("UPNx", "unknown-element")]


def test_type_that_lets_anything_in_is_not_taken_apart(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    any_ = '<xs:any namespace="##other" processContents="lax" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>'
    loaded = with_text(in_type("InCareType", "</xs:sequence>", any_))
    inside = '<InCare><Current>No</Current><x xmlns="urn:x"/></InCare>'

    assert loaded.check(parse(f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'), partial=True) == ()
    found = loaded.check(
        parse(f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}<Shoes/></LearnerPersonal>'), partial=True
    )
    assert places(found) == [("Shoes", "unknown-element")]


def test_type_that_holds_itself_is_loaded_and_judged(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    again = '<xs:element name="Again" type="sif:InCareType" minOccurs="0"/></xs:sequence>'
    loaded = with_text(in_type("InCareType", "</xs:sequence>", again))
    inside = "<InCare><Again><Again><{0}>No</{0}></Again></Again></InCare>"
    text = f'<LearnerPersonal «xmlns» RefId="{REF}">{inside}</LearnerPersonal>'

    assert loaded.check(parse(text.format("Current")), partial=True) == ()
    assert [f.path for f in loaded.check(parse(text.format("Curent")), partial=True)] == ["InCare/Again/Again"]


CHOICE = """<xs:sequence><xs:choice>
  <xs:sequence><xs:element name="Street" type="xs:token"/><xs:element name="Post" type="xs:token"/></xs:sequence>
  <xs:sequence>
    <xs:element name="Line" type="xs:token" maxOccurs="5"/><xs:element name="Post" type="xs:token"/>
  </xs:sequence>
</xs:choice>"""


@pytest.mark.parametrize("inside", ["<Post>x</Post>", "<Street>x</Street>", "<Line>x</Line><Post>x</Post>", ""])
def test_any_part_of_a_choice_may_stand_alone_in_a_change(
    inside: str, with_text: Callable[[str], SchemaSet], parse: Parse
) -> None:
    loaded = with_text(in_type("InCareType", "<xs:sequence>", CHOICE))
    text = f'<LearnerPersonal «xmlns» RefId="{REF}"><InCare>{inside}</InCare></LearnerPersonal>'

    assert loaded.check(parse(text), partial=True) == ()


# What only the engine knows


@pytest.mark.parametrize(
    ("type_", "old", "new", "inside", "path"),
    [
        pytest.param(
            "LearnerPersonalType",
            '<xs:element name="SiblingList" type="sif:SiblingListType" minOccurs="0" nillable="true"/>',
            '<xs:element name="SiblingList" type="sif:SiblingListType" minOccurs="0"><xs:key name="k">'
            '<xs:selector xpath="sif:Sibling"/><xs:field xpath="sif:UIPI"/></xs:key></xs:element>',
            f"<SiblingList><Sibling><UIPI>{MARK}</UIPI></Sibling><Sibling><UIPI>{MARK}</UIPI></Sibling></SiblingList>",
            "SiblingList",
            id="key",
        ),
        pytest.param(
            "InCareType",
            "<xs:sequence>",
            CHOICE.replace("<xs:choice>", '<xs:choice minOccurs="0">').replace('name="Post"', 'name="Post" fixed="a"'),
            f"<InCare><Post>{MARK}</Post></InCare>",
            "InCare/Post",
            id="fixed value",
        ),
        pytest.param(
            "LearnerPersonalType",
            '<xs:element name="AlertMsgList" type="sif:AlertMsgListType" minOccurs="0" nillable="true"/>',
            '<xs:element name="AlertMsgList" minOccurs="0"><xs:complexType><xs:sequence><xs:element name="AlertMsg" '
            'maxOccurs="2"><xs:complexType><xs:simpleContent><xs:restriction base="sif:AlertMsgType">'
            '<xs:maxLength value="3"/></xs:restriction></xs:simpleContent></xs:complexType></xs:element></xs:sequence>'
            "</xs:complexType></xs:element>",
            f'<AlertMsgList><AlertMsg Type="Legal">a</AlertMsg><AlertMsg Type="Legal">{MARK}</AlertMsg></AlertMsgList>',
            "AlertMsgList/AlertMsg",
            id="narrowed content",
        ),
        pytest.param(
            "FormerUPNListType",
            'maxOccurs="unbounded"',
            'maxOccurs="2"',
            f"<FormerUPNList>{f'<UPN>{MARK}</UPN>' * 3}</FormerUPNList>",
            "FormerUPNList",
            id="too many",
        ),
    ],
)  # fmt: skip
def test_fault_that_only_the_engine_sees_has_the_right_place(
    type_: str, old: str, new: str, inside: str, path: str, with_text: Callable[[str], SchemaSet], parse: Parse
) -> None:
    loaded = with_text(in_type(type_, old, new))
    element = parse(
        f'<SIF_Message «xmlns»>\n<LearnerPersonal RefId="{REF}">\n\n{inside}</LearnerPersonal></SIF_Message>'
    )

    found = loaded.check(element[0], partial=True)

    assert [f.path.startswith(path) for f in found] == [True] * len(found)
    assert {(f.line, f.rule, f.sif_code) for f in found} == {(4, "not-valid", 3)}
    assert all(f.message.endswith(".") and ": " in f.message for f in found)
    assert MARK not in repr(found)


def test_blanks_around_a_date_are_valid(official: SchemaSet, parse: Parse) -> None:
    date = "<UPNAllocationDate> 2026-09-01\n</UPNAllocationDate>"
    text = f'<LearnerPersonal «xmlns» RefId="{REF}">{date}</LearnerPersonal>'

    assert official.check(parse(text), partial=True) == ()


# What cannot be used


def refusal(folder: Path) -> str:
    """Return what is said of a folder, to whoever runs the zone."""
    with pytest.raises(BadSchema) as caught:
        load_site(folder)
    with pytest.raises(ConfigurationError) as configured:
        load_validator(folder, None, {})
    assert str(configured.value) == str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "there is no such folder" in refusal(tmp_path / "official")


def test_file_instead_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "SIF_Message.xsd").write_text(OFFICIAL)

    assert "there is no such folder" in refusal(tmp_path / "SIF_Message.xsd")


def test_empty_folder_is_named(tmp_path: Path) -> None:
    assert "has no .xsd file: put SIF UK's SIF_Message.xsd there" in refusal(tmp_path)


def test_several_files_without_the_envelope_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_text(OFFICIAL)
    (tmp_path / "b.xsd").write_text(OFFICIAL)

    assert "several .xsd files (a.xsd, b.xsd) but no SIF_Message.xsd" in refusal(tmp_path)


REDEFINE = '<xs:redefine schemaLocation="other.xsd"/>'
US = "http://www.sifinfo.org/infrastructure/2.x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(OFFICIAL.replace(NAMESPACE, US), ["SIF_Message.xsd: ", US, NAMESPACE], id="US namespace"),
        pytest.param(
            OFFICIAL.replace(f'targetNamespace="{NAMESPACE}"', ""), ["namespace (none)", NAMESPACE], id="no namespace"
        ),
        pytest.param(OFFICIAL[:9000], ["SIF_Message.xsd, line ", "not well-formed"], id="cut short"),
        pytest.param("", ["SIF_Message.xsd, line ", "not well-formed", "empty"], id="empty"),
        pytest.param("<!DOCTYPE a>" + OFFICIAL, ["has a DOCTYPE: remove it"], id="DOCTYPE"),
        pytest.param('<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]>' + OFFICIAL, ["has a DOCTYPE"], id="entities"),
        pytest.param("<html/>", ["is no XML Schema"], id="no schema"),
        pytest.param("<schema/>", ["is no XML Schema"], id="schema of no namespace"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, ["not well-formed", "depth"], id="100,000 deep"),
        pytest.param("<a>" * 100_000, ["not well-formed", "depth"], id="100,000 deep and not closed"),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="common/types.xsd"/><xs:import'),
            ["common/types.xsd: there is no such file", "included by", "SIF_Message.xsd, line 5"],
            id="include of a missing file",
        ),
        pytest.param(
            changed("<xs:import", "<xs:include/><xs:import"), ["no such file", "line 5"], id="include of nothing"
        ),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="../types.xsd"/><xs:import'),
            ["types.xsd: is included by", "outside of the folder", "put all files there"],
            id="include outside of the folder",
        ),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="/etc/passwd"/><xs:import'),
            ["/etc/passwd: is included by", "outside of the folder"],
            id="include of an absolute path",
        ),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="http://127.0.0.1:9/types.xsd"/><xs:import'),
            ["http://127.0.0.1:9/types.xsd: is included by", "not in the folder", "put the file there"],
            id="include of a URL",
        ),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="file:///etc/passwd"/><xs:import'),
            ["file:///etc/passwd: is included by", "not in the folder"],
            id="include of a file URL",
        ),
        pytest.param(
            changed("<xs:import", '<xs:include schemaLocation="http://["/><xs:import'),
            ["http://[: is included by", "not in the folder"],
            id="include of no URL",
        ),
        pytest.param(
            changed("<xs:import", f'<xs:include schemaLocation="{"x" * 5000}"/><xs:import'),
            ["xxx: cannot be read", "line 5"],
            id="include of a name that is too long",
        ),
        pytest.param(
            changed(XML, "http://www.w3.org/1999/xlink"),
            ["line 5: imports the namespace http://www.w3.org/1999/xlink", "can be supplied"],
            id="import of another namespace",
        ),
        pytest.param(
            changed("<xs:import", f"{REDEFINE}<xs:import"), ["has an xs:redefine", "without that"], id="redefine"
        ),
        pytest.param(
            changed('"sif:LearnerPersonalType"/>\n', '"sif:LearnerPersonelType"/>\n'),
            ["SIF_Message.xsd, line ", "is no valid schema", "LearnerPersonelType"],
            id="unknown type",
        ),
        pytest.param(
            in_type("LearnerPersonalType", 'minOccurs="0"', 'minOccurs="some"'),
            ["SIF_Message.xsd, line ", "is no valid schema", "minOccurs"],
            id="bad number",
        ),
        pytest.param(
            f'{OFFICIAL.partition("<xs:import")[0]}<xs:element name="Toy" type="xs:token"/></xs:schema>',
            ["declares no object that sifzone knows"],
            id="no object",
        ),
        pytest.param(f"{OFFICIAL.partition('<xs:import')[0]}</xs:schema>", ["declares no object"], id="nothing in it"),
        pytest.param(
            in_type("InCareType", "<xs:sequence>", f"{CHOICE}<xs:any/>".replace("<xs:choice>", "<xs:choice><xs:any/>")),
            ["is no valid schema", "determinist"],
            id="ambiguous",
        ),
    ],
)  # fmt: skip
def test_file_that_cannot_be_used_is_refused_with_what_to_do(text: str, says: list[str], tmp_path: Path) -> None:
    (tmp_path / "SIF_Message.xsd").write_text(text)

    said = refusal(tmp_path)

    assert [part for part in says if part not in said] == [], said
    assert len(said) < 1200


def test_links_that_lead_to_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SIF_Message.xsd").write_text(changed("<xs:import", '<xs:include schemaLocation="a.xsd"/><xs:import'))
    (tmp_path / "a.xsd").symlink_to("b.xsd")
    (tmp_path / "b.xsd").symlink_to("a.xsd")

    assert "cannot be followed" in refusal(tmp_path)


def test_line_of_a_fault_is_that_of_the_file_it_is_in(tmp_path: Path) -> None:
    file = write_split(tmp_path) / "common" / "types.xsd"
    lines = file.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if 'type="sif:' in line)
    lines[number] = lines[number].replace('type="sif:', 'type="sif:No', 1)
    file.write_text("\n".join(lines))

    assert f"{file.resolve()}, line {number + 1}: is no valid schema" in refusal(tmp_path)


def test_types_that_hold_each_other_without_end_are_refused(tmp_path: Path) -> None:
    number = 2000
    chain = "".join(
        f'<xs:complexType name="T{i}"><xs:sequence><xs:element name="E" type="sif:T{i + 1}"/></xs:sequence>'
        "</xs:complexType>"
        for i in range(number)
    )
    text = in_type("InCareType", "<xs:sequence>", '<xs:sequence><xs:element name="E" type="sif:T0"/>')
    end = f'<xs:simpleType name="T{number}"><xs:restriction base="xs:token"/></xs:simpleType></xs:schema>'
    (tmp_path / "SIF_Message.xsd").write_text(text.replace("</xs:schema>", chain + end))

    assert "types hold each other too deep" in refusal(tmp_path)


def test_object_that_holds_nothing_has_no_tree_below(with_text: Callable[[str], SchemaSet], parse: Parse) -> None:
    text = changed(
        '<xs:element name="TermInfo" type="sif:TermInfoType"/>',
        '<xs:element name="TermInfo"><xs:complexType/></xs:element>',
    )
    loaded = with_text(text)

    assert loaded.tree("TermInfo").children == ()
    assert places(loaded.check(parse("<TermInfo «xmlns»><A/></TermInfo>"), partial=True)) == [("A", "unknown-element")]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("", "", "", id="nothing"),
        pytest.param(f'targetNamespace="{NAMESPACE}"', 'targetNamespace="urn:other"', "urn:other", id="namespace"),
        pytest.param(f'targetNamespace="{NAMESPACE}"', "", "namespace (none)", id="no namespace"),
        pytest.param('elementFormDefault="qualified"', "", "elementFormDefault", id="form"),
        pytest.param("xmlns:xsi=\"http", "xmlns:xsi=\"https", "the prefix xsi means another", id="prefix"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_are_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    file = write_split(tmp_path) / "common" / "types.xsd"
    file.write_text(file.read_text().replace(old, new, 1) if old else file.read_text())

    if not says:
        assert load_site(tmp_path).objects == OURS.objects
        return
    said = refusal(tmp_path)
    assert str(file) in said
    assert says in said


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "SIF_Message.xsd").write_text(changed("<xs:import", '<xs:include schemaLocation="b.xsd"/><xs:import'))
    include = "<xs:include schemaLocation='{}.xsd'/>"
    head = OFFICIAL.partition("<xs:import")[0]
    for name, others in (("b", ("b", "c")), ("c", ("SIF_Message", "./b"))):
        included = "".join(include.format(other) for other in others)
        (tmp_path / f"{name}.xsd").write_text(f"{head}{included}</xs:schema>")

    assert load_site(tmp_path).objects == OURS.objects


def test_more_files_than_anybody_has_are_refused(tmp_path: Path) -> None:
    head = OFFICIAL.partition("<xs:import")[0]
    for number in range(501):
        include = f'<xs:include schemaLocation="{number + 1}.xsd"/>'
        (tmp_path / f"{number}.xsd").write_text(f"{head}{include}</xs:schema>")
    shutil.copy(tmp_path / "0.xsd", tmp_path / "SIF_Message.xsd")

    assert "more than 500 files" in refusal(tmp_path)


# Nothing outside is opened


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(changed("<xs:import", '<xs:include schemaLocation="../evil.xsd"/><xs:import'), id="include"),
        pytest.param(changed("<xs:import", '<xs:include schemaLocation="«pipe»"/><xs:import'), id="absolute include"),
        pytest.param(changed("<xs:import", '<xs:include schemaLocation="file://«pipe»"/><xs:import'), id="URL"),
        pytest.param(changed("<xs:import", '<xs:include schemaLocation="link.xsd"/><xs:import'), id="link"),
        pytest.param(changed("<xs:import", '<xs:redefine schemaLocation="../evil.xsd"/><xs:import'), id="redefine"),
        pytest.param(changed(XML, "urn:a").replace("imports/xml", ".."), id="import"),
        pytest.param('<!DOCTYPE a SYSTEM "file://«pipe»">' + OFFICIAL, id="DOCTYPE"),
        pytest.param('<!DOCTYPE a [<!ENTITY % b SYSTEM "file://«pipe»"> %b;]>' + OFFICIAL, id="entity"),
    ],
)  # fmt: skip
def test_file_outside_of_the_folder_is_refused_and_not_even_opened(
    text: str, pipe: tuple[Path, threading.Event], tmp_path: Path
) -> None:
    path, opened = pipe
    folder = tmp_path / "official"
    folder.mkdir()
    (folder / "link.xsd").symlink_to(path)
    (folder / "SIF_Message.xsd").write_text(text.replace("«pipe»", str(path)))

    refusal(folder)

    assert not opened.is_set()


def test_envelope_that_is_a_link_out_of_the_folder_is_not_opened(
    pipe: tuple[Path, threading.Event], tmp_path: Path
) -> None:
    path, opened = pipe
    folder = tmp_path / "official"
    folder.mkdir()
    (folder / "SIF_Message.xsd").symlink_to(path)

    assert "outside of the folder" in refusal(folder)
    assert not opened.is_set()


def test_pipe_in_the_folder_is_not_waited_for(pipe: tuple[Path, threading.Event]) -> None:
    path, opened = pipe

    assert "there is no such file" in refusal(path.parent)
    assert not opened.is_set()


@pytest.mark.parametrize("location", ["../evil.xsd", "file://«pipe»", "«pipe»", "http://127.0.0.1:9/xml.xsd"])
def test_import_of_xmls_own_attributes_and_hints_open_nothing(
    location: str, pipe: tuple[Path, threading.Event], tmp_path: Path, parse: Parse
) -> None:
    path, opened = pipe
    place = location.replace("«pipe»", str(path))
    folder = tmp_path / "official"
    folder.mkdir()
    text = changed('schemaLocation="imports/xml/xml.xsd"', f'schemaLocation="{place}"')
    text = text.replace('version="1.3"', f'version="1.3" xsi:schemaLocation="{NAMESPACE} {place} urn:a {place}"')
    head, start, body = text.partition('<xs:complexType name="FormerUPNListType">')
    (folder / "SIF_Message.xsd").write_text(head + start + body.replace('"unbounded"', '"2"', 1))

    loaded = load_site(folder)
    hint = f'{XSI} xsi:schemaLocation="{NAMESPACE} {place} urn:a {place}"'
    inside = f"<FormerUPNList>{'<UPN/>' * 3}</FormerUPNList>"
    found = loaded.check(
        parse(f'<LearnerPersonal «xmlns» {hint} RefId="{REF}">{inside}</LearnerPersonal>'), partial=True
    )

    assert {f.rule for f in found} == {"not-valid"}
    assert not opened.is_set()


# In a zone


ZONE = 'id = "quarrington"\nschemas = "official"\n[agents.mis]\nname = "MIS"\npublish = ["{}"]\n'


def test_zone_uses_the_folder_that_its_settings_name(tmp_path: Path, parse: Parse) -> None:
    (tmp_path / "official").mkdir()
    write_official(tmp_path / "official", all_optional=True)
    (tmp_path / "zone.toml").write_text(ZONE.format("LearnerPersonal"))

    validator = load_zone(tmp_path).validator

    assert validator.schema.check(parse(f'<LearnerPersonal «xmlns» RefId="{REF}"/>'), partial=False) == ()


def test_zone_whose_official_files_lack_an_object_says_so(tmp_path: Path) -> None:
    (tmp_path / "official").mkdir()
    text = changed('<xs:element name="TermInfo"', '<xs:element name="TermInformation"')
    (tmp_path / "official" / "SIF_Message.xsd").write_text(text)
    (tmp_path / "zone.toml").write_text(ZONE.format("TermInfo"))

    with pytest.raises(ConfigurationError, match=r"agents\.mis\.publish: no schema has TermInfo"):
        load_zone(tmp_path)


def test_zone_without_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zone.toml").write_text(ZONE.format("TermInfo"))

    with pytest.raises(ConfigurationError, match=r"official: there is no such folder"):
        load_zone(tmp_path)
