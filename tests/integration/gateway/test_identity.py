"""A SIF_Request for Identity to the zone: whose record a learner is, for agents that speak HTTP."""

import pytest
from lxml import etree

from broker import identity_desk
from broker.protocol.identifiers import AgentId, new_ref_id
from broker.protocol.identity import Claim
from broker.storage import Batch, LearnerRow
from tests.integration.gateway.conftest import Pair, Zoned
from tests.integration.gateway.sif import NS, Agent, eventually, new_id

UPN = "H801200001001"
SHIELDED = "B801200005001"


def query(**said: str) -> str:
    conditions = "".join(
        f"<SIF_Condition><SIF_Element>IdentityAssertions/IdentityAssertion[@SchemaName='{name}']</SIF_Element>"
        f"<SIF_Operator>EQ</SIF_Operator><SIF_Value>{value}</SIF_Value></SIF_Condition>"
        for name, value in said.items()
    )
    kind = "And" if len(said) > 1 else "None"
    return (
        '<SIF_Query><SIF_QueryObject ObjectName="Identity"/><SIF_ConditionGroup Type="None">'
        f'<SIF_Conditions Type="{kind}">{conditions}</SIF_Conditions></SIF_ConditionGroup></SIF_Query>'
    )


@pytest.fixture
def directory(zoned: Zoned) -> Agent:
    """An agent that may ask for Identity, and is registered."""
    agent = zoned.agent("directory")
    assert agent.register().code == 0
    return agent


def answer_to(agent: Agent, zoned: Zoned, asked: str, to: str = "") -> etree._Element:
    request = new_id()
    assert agent.request("Identity", msg_id=request, query=asked, to=to).code == 0
    eventually(lambda: zoned.has_ended(request))
    return agent.take().root[0]


def test_a_number_is_answered_with_the_learners_refid_and_an_unsure_one_with_nothing(
    directory: Agent, zoned: Zoned
) -> None:
    known, shielded = new_ref_id(), new_ref_id()
    claims = [Claim(known, UPN, family_name="Madeup", given_name="Ann"), Claim(shielded, SHIELDED)]
    identity_desk.answer(zoned.store, AgentId("mis-0"), claims, 1.0)
    row = LearnerRow(shielded, None, None, "", "", shielded=True, enrolments=(), sources=())
    zoned.store.commit(Batch(learners=(row,)))
    before = zoned.store.links()

    found = answer_to(directory, zoned, query(UPN=UPN))
    by_zone = answer_to(directory, zoned, query(UPN=UPN, FamilyName="Madeup"), to=zoned.running.zone.id)
    nothing = [
        answer_to(directory, zoned, asked)
        for asked in (query(UPN=UPN, GivenName="Boris"), query(FamilyName="Madeup", GivenName="Ann"),
                      query(UPN="P207000016049"), query(UPN=SHIELDED))
    ]  # fmt: skip

    for one in (found, by_zone):
        (ref,) = one.findall(f".//{NS}Identity/{NS}SIF_RefId")
        assert (ref.text, ref.get("SIF_RefObject")) == (known, "LearnerPersonal")
    assert [one.findtext(f".//{NS}IdentityAssertion") for one in (found, by_zone)] == [UPN, UPN]
    assert [list(one.iter(NS + "Identity")) for one in nothing] == [[], [], [], []]
    assert all(one.find(f"{NS}SIF_ObjectData") is not None for one in nothing)
    assert zoned.store.links() == before, "nothing is remembered of the questions"


def test_a_query_of_another_form_is_answered_with_how_to_ask(directory: Agent) -> None:
    asked = '<SIF_Query><SIF_QueryObject ObjectName="Identity"/></SIF_Query>'

    assert directory.request("Identity", query=asked).code == 0

    error = directory.take().root[0].find(NS + "SIF_Error")
    assert error is not None
    assert (error.findtext(NS + "SIF_Category"), error.findtext(NS + "SIF_Code")) == ("8", "9")
    assert "SchemaName='UPN'" in (error.findtext(NS + "SIF_Desc") or "")


def test_who_has_no_right_to_request_identity_is_refused(pair: Pair) -> None:
    _, vle = pair

    assert vle.request("Identity", query=query(UPN=UPN)).code == (4, 5)
