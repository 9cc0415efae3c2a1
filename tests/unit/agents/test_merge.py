"""A Change applied to an object that is kept."""

import pytest

from agents.diff import XSI_NIL
from agents.merge import merge
from broker.protocol.envelope import NAMESPACE
from schemas import SchemaSet
from tests.unit.agents.helpers import REF, learner, parse, texts

NIL = "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:nil='true'"
PHONES = (
    "<OtherPhoneNumberList><PhoneNumber Type='H'><Number>01632960101</Number></PhoneNumber>"
    "<PhoneNumber Type='M'><Number>07700900101</Number></PhoneNumber></OtherPhoneNumberList>"
)
EMAIL = "<Email Type='School'>z@pupils.example.org</Email>"


def change(inner: str) -> str:
    return f"<LearnerPersonal RefId='{REF}'>{inner}</LearnerPersonal>"


def path(steps: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{step}" for step in steps.split("/"))


def test_what_a_change_does_not_hold_stays(schema: SchemaSet) -> None:
    kept = learner("<UPN>A820990126001</UPN>", more=EMAIL)
    news = parse(change("<PersonalInformation><Name Type='C'><GivenName>Ada</GivenName></Name></PersonalInformation>"))

    merged = merge(kept, news, schema)

    assert merged.findtext(path("UPN")) == "A820990126001"
    assert merged.findtext(path("PersonalInformation/Name/FamilyName")) == "Quill"
    assert merged.findtext(path("PersonalInformation/Name/GivenName")) == "Ada"
    assert merged.find(path("PersonalInformation/Email")) is not None


def test_what_is_new_goes_where_the_schema_has_it(schema: SchemaSet) -> None:
    merged = merge(
        learner("<ULN>1000000027</ULN>"), parse(change("<UPN>A820990126001</UPN><LocalId>7</LocalId>")), schema
    )

    assert texts(merged) == ["LocalId", "PersonalInformation", "UPN", "ULN"]
    assert schema.check(merged, partial=False) == ()


def test_nil_takes_an_element_out_wherever_it_is(schema: SchemaSet) -> None:
    news = parse(change(f"<PersonalInformation><Email {NIL}/></PersonalInformation><UPN {NIL}/>"))

    merged = merge(learner(more=EMAIL), news, schema)

    assert merged.find(path("UPN")) is None
    assert merged.find(path("PersonalInformation/Email")) is None
    assert not merged.xpath("//@xsi:nil", namespaces={"xsi": XSI_NIL[1:].partition("}")[0]})


def test_members_of_a_telephone_list_are_replaced_added_and_deleted_by_their_type(schema: SchemaSet) -> None:
    news = parse(
        change(
            "<PersonalInformation><OtherPhoneNumberList><PhoneNumber Type='H' SIF_Action='Delete'/>"
            "<PhoneNumber Type='M'><Number>07700900999</Number></PhoneNumber>"
            "<PhoneNumber Type='F'><Number>01632960109</Number></PhoneNumber></OtherPhoneNumberList>"
            "</PersonalInformation>"
        )
    )

    merged = merge(learner(more=PHONES), news, schema)

    phones = merged.findall(path("PersonalInformation/OtherPhoneNumberList/PhoneNumber"))
    assert [(p.get("Type"), p.findtext(path("Number"))) for p in phones] == [("M", "07700900999"), ("F", "01632960109")]
    assert not merged.xpath("//@SIF_Action")


@pytest.mark.parametrize("siblings", [1, 3])
def test_other_lists_are_replaced_whole(schema: SchemaSet, siblings: int) -> None:
    kept = learner("<SiblingList><Sibling/><Sibling/></SiblingList>")

    merged = merge(kept, parse(change(f"<SiblingList>{'<Sibling/>' * siblings}</SiblingList>")), schema)

    assert len(merged.findall(path("SiblingList/Sibling"))) == siblings


def test_the_kept_object_is_not_touched(schema: SchemaSet) -> None:
    kept = learner()

    merge(kept, parse(change("<UPN>A820990126009</UPN>")), schema)

    assert kept.findtext(path("UPN")) == "A820990126001"
