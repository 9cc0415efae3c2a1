"""Whole objects: what passes, what is refused, and what the refusal says."""

from collections.abc import Callable

import pytest
from lxml import etree

import schemas
from schemas import Finding, SchemaSet

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

OBJECTS = schemas.load().objects
REF = "5D315C31F8A15621F126C31154AF9665"
OTHER = "C5F3AF455A0F2E872126B5309A420711"


def learner(inside: str, attributes: str = f'RefId="{REF}"') -> str:
    xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    return f"<LearnerPersonal «xmlns» {xsi} {attributes}>\n{inside}\n</LearnerPersonal>"


def person(inside: str) -> str:
    return learner(f'<PersonalInformation>\n<Name Type="C"/>\n{inside}\n</PersonalInformation>')


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


@pytest.mark.parametrize("name", [*OBJECTS, *(f"{name}.minimal" for name in OBJECTS)])
def test_full_and_minimal_instances_are_valid_whole_and_as_parts(
    name: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    element = parse(sample(name))

    assert schema.check(element, partial=False) == ()
    assert schema.check(element, partial=True) == ()
    assert schema.warnings(element) == ()


@pytest.mark.parametrize("name", OBJECTS)
def test_full_instance_shows_every_element_and_attribute(
    name: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    shown = set()
    root = parse(sample(name))
    for element in root.iter("*"):
        steps = [str(e.tag).rpartition("}")[2] for e in (element, *element.iterancestors())]
        path = "/".join(reversed(steps[:-1]))
        shown |= {path, *(f"{path}/@{attribute!s}".lstrip("/") for attribute in element.attrib)}

    def expected(node: schemas.Node) -> set[str]:
        at_the_end = {"SIF_Metadata", "SIF_ExtendedElements"}
        if node.name == "SIF_Action" or (name != "LearnerPersonal" and node.path in at_the_end):
            return set()
        return {node.path}.union(*(expected(child) for child in node.children))

    assert expected(schema.tree(name)) - shown == set()


@pytest.mark.parametrize("name", OBJECTS)
def test_every_mandatory_part_of_a_minimal_instance_is_missed(
    name: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    missed, expected = set(), set()
    for child in schema.tree(name).children:
        if child.mandatory:
            element = parse(sample(f"{name}.minimal"))
            if child.kind == "attribute":
                del element.attrib[child.name]
            else:
                for gone in element.findall(f"{{*}}{child.name}"):
                    element.remove(gone)
            expected.add((child.path, "missing", 6))
            missed |= {(f.path, f.rule, f.sif_code) for f in schema.check(element, partial=False)}

    assert missed == expected


def test_object_inside_a_message_is_checked_as_if_alone(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    message = parse(
        f"<SIF_Message «xmlns»><SIF_Event>\n\n{sample('LearnerPersonal.minimal')}</SIF_Event></SIF_Message>"
    )
    event = message[0]
    element = event[-1]

    assert schema.check(element, partial=False) == ()

    element.attrib["RefId"] = "not one"
    finding = only(schema.check(element, partial=False))
    assert (finding.path, finding.line) == ("@RefId", 4)


def test_message_stays_as_it_was_when_an_object_in_it_is_checked(
    schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    message = parse(f"<SIF_Message «xmlns»><SIF_Event>{sample('SchoolInfo')}</SIF_Event></SIF_Message>")
    before = etree.tostring(message)

    schema.check(message[0][-1], partial=False)
    schema.check(message[0][-1], partial=True)
    schema.warnings(message[0][-1])

    assert etree.tostring(message) == before


@pytest.mark.parametrize("name", ["LearnerPersonnal", "SIF_Event"])
def test_object_without_a_schema_is_unknown(name: str, schema: SchemaSet, parse: Parse) -> None:
    with pytest.raises(schemas.UnknownObject, match=name):
        schema.check(parse(f"<{name} «xmlns»/>"), partial=False)


def test_unknown_object_names_the_nearest_one(schema: SchemaSet) -> None:
    with pytest.raises(KeyError, match=r"did you mean LearnerPersonal\?"):
        schema.tree("learnerpersonel")


def test_object_of_another_namespace_is_unknown(schema: SchemaSet, parse: Parse) -> None:
    with pytest.raises(schemas.UnknownObject):
        schema.check(parse('<LearnerPersonal xmlns="urn:other"/>'), partial=False)


def test_element_in_the_wrong_place_is_named_with_the_right_place(schema: SchemaSet, parse: Parse) -> None:
    element = parse(
        learner(
            "<PersonalInformation>\n<Demographics><Gender>F</Gender></Demographics>\n"
            '<Email Type="School">a@example.org</Email>\n<Name Type="C"/>\n</PersonalInformation>'
        )
    )

    finding = only(schema.check(element, partial=False))

    assert (finding.path, finding.line, finding.rule) == ("PersonalInformation/Name", 5, "order")
    assert finding.message == "PersonalInformation/Name is in the wrong place: move it before Demographics."


def test_misspelt_element_gets_the_nearest_name(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person("<Adress/>")), partial=False))

    assert (finding.rule, finding.nearest) == ("unknown-element", "Address")
    assert finding.message.endswith("rename it to Address.")


def test_misspelt_attribute_gets_the_nearest_name(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person('<Email type="School">a@example.org</Email>')), partial=False))

    assert (finding.path, finding.rule) == ("PersonalInformation/Email/@type", "unknown-attribute")
    assert finding.nearest == "Type"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        pytest.param("EntryDate>", "entryDate>", "unknown-element", id="name"),
        pytest.param("<EntryDate>", '<EntryDate xmlns="">', "namespace", id="namespace"),
        pytest.param(" MembershipType=", " Membershiptype=", "unknown-attribute", id="attribute"),
    ],
)
def test_what_is_there_under_another_name_is_not_missed_as_well(
    old: str, new: str, rule: str, schema: SchemaSet, sample: Sample, parse: Parse
) -> None:
    spoilt = parse(sample("LearnerSchoolEnrolment").replace(old, new))

    assert only(schema.check(spoilt, partial=False)).rule == rule


def test_name_that_is_taken_is_not_offered(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person("<Demographics/><Demographic/>")), partial=False))

    assert (finding.rule, finding.nearest) == ("unknown-element", None)


def test_missing_elements_are_added_in_their_order(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    element = parse(sample("LearnerSchoolEnrolment.minimal"))
    del element[:]

    messages = [finding.message for finding in schema.check(element, partial=False)]

    assert [message.rpartition(": ")[2] for message in messages] == [
        "add it as the first element.",
        "add it after EntryDate.",
    ]


def test_element_of_another_namespace_is_told_from_an_unknown_one(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person('<Email xmlns="" Type="School"/>')), partial=False))

    assert (finding.path, finding.rule) == ("PersonalInformation/Email", "namespace")
    assert schema.namespace_of("LearnerPersonal") in finding.message


def test_single_element_may_not_be_repeated(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person("<Demographics/>\n<Demographics/>")), partial=False))

    assert (finding.path, finding.line, finding.rule) == ("PersonalInformation/Demographics", 5, "repeated")


def test_code_outside_a_closed_list_is_refused_with_the_choice(schema: SchemaSet, parse: Parse) -> None:
    element = parse(person("<Demographics><Gender>f</Gender></Demographics>"))

    finding = only(schema.check(element, partial=False))

    assert (finding.rule, finding.severity, finding.nearest, finding.sif_code) == ("unknown-code", "refuse", "F", 4)
    assert finding.message == "Demographics/Gender has a code that is not allowed: use one of M, F, U, W."


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        pytest.param("<Demographics><BirthDate>01/02/2013</BirthDate></Demographics>", "like 2026-09-01", id="date"),
        pytest.param("<Demographics><BirthDate>2013-02-30</BirthDate></Demographics>", "date that exists", id="no-day"),
        pytest.param('<PhoneNumber Type="H"><Number>01632 960123</Number></PhoneNumber>', "digits only", id="phone"),
        pytest.param("<Demographics><BirthDate> </BirthDate></Demographics>", "is empty", id="empty"),
    ],
)
def test_value_of_the_wrong_form_is_refused_with_the_right_form(
    inside: str, says: str, schema: SchemaSet, parse: Parse
) -> None:
    finding = only(schema.check(parse(person(inside)), partial=False))

    assert finding.sif_code == 4
    assert says in finding.message


@pytest.mark.parametrize("value", ["1.5", "-1", "11", "ten", "99999999999999999999"])
def test_number_outside_its_range_is_refused(value: str, schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    text = sample("LearnerSchoolEnrolment").replace("<Sessions>10<", f"<Sessions>{value}<")

    finding = only(schema.check(parse(text), partial=False))

    assert (finding.path, finding.rule) == ("Sessions", "value")
    assert finding.message.endswith("0 to 10.")


def test_ref_id_in_lower_case_is_refused(schema: SchemaSet, sample: Sample, parse: Parse) -> None:
    finding = only(schema.check(parse(sample("SchoolInfo.minimal").replace(OTHER, OTHER.lower())), partial=False))

    assert (finding.path, finding.sif_code) == ("@RefId", 4)
    assert "in capitals" in finding.message


def test_text_between_elements_is_refused(schema: SchemaSet, parse: Parse) -> None:
    finding = only(schema.check(parse(person("loose text")), partial=False))

    assert (finding.path, finding.rule) == ("PersonalInformation", "text")


def test_element_inside_text_is_refused(schema: SchemaSet, parse: Parse) -> None:
    findings = schema.check(parse(person("<Demographics><Gender>F<b/></Gender></Demographics>")), partial=False)

    assert [f.path for f in findings] == ["PersonalInformation/Demographics/Gender/b"]


def test_comments_and_processing_instructions_change_nothing(schema: SchemaSet, parse: Parse) -> None:
    element = parse(person("<!-- a --><Demographics><?b c?><Gender><!-- d -->F</Gender></Demographics><!-- e -->"))

    assert schema.check(element, partial=False) == ()
    assert schema.warnings(element) == ()

    element = parse(person("<!-- a --><Demographics><?b c?><Gender><!-- d -->X</Gender></Demographics>"))
    assert only(schema.check(element, partial=False)).rule == "unknown-code"


def test_all_faults_are_told_in_document_order(schema: SchemaSet, parse: Parse) -> None:
    element = parse(
        person(
            "<Demographics>\n<Gender>X</Gender>\n<BirthDate>X</BirthDate>\n</Demographics>\n"
            "<Address Type='Home'>\n<Street>Invented Lane</Street>\n</Address>"
        )
    )

    findings = schema.check(element, partial=False)

    assert [(f.line, f.path.rpartition("/")[2], f.rule) for f in findings] == [
        (5, "Gender", "unknown-code"),
        (6, "BirthDate", "value"),
        (8, "@Type", "unknown-code"),
        (8, "PAON", "missing"),
    ]


def test_no_more_than_a_hundred_faults_are_told(schema: SchemaSet, parse: Parse) -> None:
    assert len(schema.check(parse(person("<Nonsense/>" * 5_000)), partial=False)) == 100


@pytest.mark.parametrize(
    ("member", "other"),
    [
        pytest.param('<Email Type="School">a@example.org</Email>', "OtherEmailList", id="email"),
        pytest.param('<Address Type="Mailing"><PAON/></Address>', "OtherAddressList", id="address"),
        pytest.param(
            '<PhoneNumber Type="M"><Number>07700900123</Number></PhoneNumber>', "OtherPhoneNumberList", id="phone"
        ),
    ],
)
def test_members_of_a_list_differ_in_their_key(member: str, other: str, schema: SchemaSet, parse: Parse) -> None:
    assert schema.check(parse(person(f"<{other}>{member}</{other}>")), partial=False) == ()

    finding = only(schema.check(parse(person(f"<{other}>{member}\n{member}</{other}>")), partial=False))

    assert (finding.rule, finding.line) == ("unique", 5)
    assert "same Type" in finding.message


def test_extended_elements_differ_in_name_and_may_hold_anything(schema: SchemaSet, parse: Parse) -> None:
    free = '<SIF_ExtendedElement Name="A">x<LearnerPersonal/><b xmlns="urn:b" c="d">e</b></SIF_ExtendedElement>'
    text = '<PersonalInformation><Name Type="C"/></PersonalInformation><SIF_ExtendedElements>{}</SIF_ExtendedElements>'

    assert schema.check(parse(learner(text.format(free))), partial=False) == ()
    assert only(schema.check(parse(learner(text.format(free * 2))), partial=False)).rule == "unique"


def test_list_action_belongs_in_lists_only(schema: SchemaSet, parse: Parse) -> None:
    email = '<Email Type="School" SIF_Action="Delete"/>'

    assert schema.check(parse(person(f"<OtherEmailList>{email}</OtherEmailList>")), partial=True) == ()
    assert only(schema.check(parse(person(email)), partial=True)).rule == "unknown-attribute"


@pytest.mark.parametrize("partial", [False, True])
def test_optional_element_may_be_nil_and_mandatory_one_may_not(partial: bool, schema: SchemaSet, parse: Parse) -> None:
    assert schema.check(parse(person('<Demographics xsi:nil="true"/>')), partial=partial) == ()

    finding = only(schema.check(parse(learner('<PersonalInformation xsi:nil="true"/>')), partial=partial))
    assert (finding.path, finding.rule) == ("PersonalInformation", "nil")


def test_list_member_may_not_be_nil(schema: SchemaSet, parse: Parse) -> None:
    text = '<OtherEmailList><Email Type="School" xsi:nil="true"/></OtherEmailList>'

    assert only(schema.check(parse(person(text)), partial=False)).rule == "nil"


def test_nil_element_holds_nothing(schema: SchemaSet, parse: Parse) -> None:
    text = '<Demographics><Gender xsi:nil="true">F</Gender></Demographics>'

    assert only(schema.check(parse(person(text)), partial=False)).rule == "nil"


def test_type_may_not_be_changed_from_outside(schema: SchemaSet, parse: Parse) -> None:
    text = '<Email Type="School" xsi:type="EmailMember" SIF_Action="Delete">a@example.org</Email>'

    assert schema.check(parse(person(text)), partial=False)


def test_schema_location_in_an_object_is_not_followed(schema: SchemaSet, parse: Parse) -> None:
    there = 'xsi:schemaLocation="http://www.sifinfo.org/uk/infrastructure/2.x file:///nowhere.xsd"'

    assert (
        schema.check(
            parse(learner('<PersonalInformation><Name Type="C"/></PersonalInformation>', f'RefId="{REF}" {there}')),
            partial=False,
        )
        == ()
    )


@pytest.mark.parametrize("version", ["1.1: InCare must be there", "1.2: InCare may be missing"])
def test_learner_with_and_without_in_care_is_whole(version: str, schema: SchemaSet, parse: Parse) -> None:
    in_care = "<InCare><Current>No</Current><LAId>820</LAId></InCare>" if version.startswith("1.1") else ""
    text = f'<PersonalInformation><Name Type="C"/></PersonalInformation>{in_care}'

    assert schema.check(parse(learner(text)), partial=False) == ()
