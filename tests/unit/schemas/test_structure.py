"""What the registry tells about the make-up of objects."""

import pytest

import schemas
from schemas import OtherLearners, SchemaSet

CORE = (
    "ContactPersonal LAInfo LearnerAttendanceSummary LearnerContact LearnerExclusion LearnerGroupEnrolment "
    "LearnerPersonal LearnerSchoolEnrolment LearnerSpecialNeeds SchoolGroup SchoolGroupType SchoolInfo TermInfo "
    "WorkforcePersonal"
)


def test_core_objects_are_known(schema: SchemaSet) -> None:
    assert set(CORE.split()) <= set(schema.objects)
    assert list(schema.objects) == sorted(schema.objects)


@pytest.mark.parametrize(
    ("path", "type_", "codes", "refs"),
    [
        ("@RefId", "xs:token", None, ()),
        ("UPN", "xs:normalizedString", None, ()),
        ("PersonalInformation", "", None, ()),
        ("PersonalInformation/Demographics/BirthDate", "xs:date", None, ()),
        ("PersonalInformation/Demographics/EthnicityList/Ethnicity/Code", "codes:EthnicityCodes", "EthnicityCodes", ()),
        ("PersonalInformation/Email/@Type", "codes:EmailType", "EmailType", ()),
        ("CurrentSchoolEnrolment/@LearnerSchoolEnrolmentRefId", "xs:token", None, ("LearnerSchoolEnrolment",)),
        ("CurrentSchoolEnrolment/SIF_RefId", "xs:token", None, ("SchoolInfo", "LAInfo")),
        ("SIF_ExtendedElements/SIF_ExtendedElement", "xs:anyType", None, ()),
    ],
)
def test_node_tells_type_codes_and_references(
    path: str, type_: str, codes: str | None, refs: tuple[str, ...], schema: SchemaSet
) -> None:
    node = schema.find("LearnerPersonal", path)

    assert node is not None
    assert (node.path, node.type, node.codes, node.refs) == (path, type_, codes, refs)
    assert node.label


def test_node_tells_how_often_it_may_be_there(schema: SchemaSet) -> None:
    flags = {
        path: (node.mandatory, node.repeatable, node.nillable)
        for path in ("PersonalInformation", "UPN", "SiblingList/Sibling")
        if (node := schema.find("LearnerPersonal", path))
    }

    assert flags == {
        "PersonalInformation": (True, False, False),
        "UPN": (False, False, True),
        "SiblingList/Sibling": (True, True, False),
    }


def test_list_tells_in_what_its_members_differ(schema: SchemaSet) -> None:
    node = schema.find("LearnerPersonal", "PersonalInformation/OtherEmailList")

    assert node is not None
    assert node.unique_by == "Type"


def test_predicates_are_ignored_when_looking_up(schema: SchemaSet) -> None:
    node = schema.find("LearnerPersonal", "PersonalInformation/Name[@Type='C']/FamilyName")

    assert node is not None
    assert node.path == "PersonalInformation/Name/FamilyName"


@pytest.mark.parametrize("path", ["Surname", "PersonalInformation/", "/", "PersonalInformation//Name", "UPN/x", "@"])
def test_path_to_nothing_finds_nothing(path: str, schema: SchemaSet) -> None:
    assert schema.find("LearnerPersonal", path) is None


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("FamilyName", "PersonalInformation/Name/FamilyName"),
        ("PersonalInformation/Name[@Type='C']/Familyname", "PersonalInformation/Name/FamilyName"),
        ("CurrentSchoolEnrollment", "CurrentSchoolEnrolment"),
        ("Demographics/BirthDat", "PersonalInformation/Demographics/BirthDate"),
        ("@refid", "@RefId"),
        ("Nothing/Like/It", None),
    ],
)
def test_wrong_path_gets_the_nearest_right_one(wrong: str, right: str | None, schema: SchemaSet) -> None:
    assert schema.nearest("LearnerPersonal", wrong) == right


def test_keys_and_learner_of_each_object(schema: SchemaSet) -> None:
    no_ref_id = {name: schema.keys(name) for name in schema.objects if schema.keys(name) != ("@RefId",)}
    about = {name: schema.learner_ref(name) for name in CORE.split()}

    assert no_ref_id == {
        "LearnerAttendanceSummary": (
            "@LearnerPersonalRefId", "@SchoolInfoRefId", "SchoolYear", "StartDate", "EndDate",
        ),
        "LearnerContact": ("@LearnerPersonalRefId", "@ContactPersonalRefId"),
        "PersonPicture": ("@PersonRefId",),
    }  # fmt: skip
    assert about.pop("LearnerPersonal") == "@RefId"
    assert {name for name, ref in about.items() if ref == "@LearnerPersonalRefId"} == {
        name for name in about if name.startswith("Learner")
    }


@pytest.mark.parametrize("name", schemas.load().objects)
def test_keys_and_learner_are_mandatory_parts_of_the_object(name: str, schema: SchemaSet) -> None:
    for path in filter(None, (*schema.keys(name), schema.learner_ref(name))):
        node = schema.find(name, path)
        assert node is not None
        assert node.mandatory


def test_lists_of_other_learners_are_known(schema: SchemaSet) -> None:
    assert schema.other_learners("LearnerPersonal") == (
        OtherLearners("SiblingList", "Sibling", "LearnerPersonalRefId"),
    )
    assert schema.other_learners("LearnerContact") == ()


def test_elements_come_in_schema_order(schema: SchemaSet) -> None:
    assert schema.elements_in_order("LearnerPersonal", "")[:3] == ("LocalId", "AlertMsgList", "MedicalAlertMsgList")
    assert schema.elements_in_order("LearnerPersonal", "")[-2:] == ("SIF_Metadata", "SIF_ExtendedElements")
    assert schema.elements_in_order("TermInfo", "Nothing") == ()


def test_every_reference_is_to_an_object_of_the_standard(schema: SchemaSet) -> None:
    def refs(node: schemas.Node) -> set[str]:
        return set(node.refs).union(*(refs(child) for child in node.children))

    assert set().union(*(refs(schema.tree(name)) for name in schema.objects)) <= set(schema.objects)
