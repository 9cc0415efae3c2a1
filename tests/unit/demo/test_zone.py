"""The demo's zone shares what its agreements say and no more, and its agents read what the schools export."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from agents.parts import make_parts
from agents.settings import read_settings
from broker.agreements import Agreement, Leaving
from broker.protocol.identifiers import AgentId
from broker.registry import Role
from broker.settings import load_zone
from broker.views import compile_view
from mappings import NAMESPACE, OutwardMapping, load
from tests.unit.demo.conftest import MIS, ZONE, Day

LOADED = load_zone(ZONE)
AGREEMENTS = {agreement.id: agreement for agreement in LOADED.agreements}
PLATFORM = AGREEMENTS["learning-platform-accounts"]
VIRTUAL_SCHOOL = AGREEMENTS["virtual-school-looked-after"]
BY_FILE = AGREEMENTS["transfer-by-file"]
TO_SCHOOL = AGREEMENTS["transfer-to-school"]
AGENTS = (*MIS, "merlin", "virtual-school", "social-care", "pep", "ctf-out")
NS = f"{{{NAMESPACE}}}"


class Received:
    """What an agreement lets through of a day's valid objects, as the agent's inbox holds it."""

    def __init__(self, day: Day, agreement: str) -> None:
        self._held: dict[str, dict[str, etree._Element]] = {}
        for object_type in AGREEMENTS[agreement].shares:
            view = compile_view(object_type, [AGREEMENTS[agreement]])
            for made in day.objects(object_type):
                cut = view.cut(made.object.element) if made.is_valid else None
                if cut is not None:
                    element = etree.fromstring(cut.replace(b" ", f' xmlns="{NAMESPACE}" '.encode(), 1))
                    self._held.setdefault(object_type, {})[made.object.ref_id] = element

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        return self._held.get(object_type, {}).get(ref_id)

    def all(self, object_type: str) -> Iterator[etree._Element]:
        return iter(self._held.get(object_type, {}).values())


def test_each_agent_of_the_zone_has_its_file() -> None:
    over_amqp = {agent.id for agent in LOADED.registry.agents.values() if not agent.gateway}

    assert {path.stem for path in (ZONE / "agents").glob("*.toml")} == over_amqp == set(AGENTS)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_file_names_its_agent_its_credentials_and_parts_that_exist(agent: str) -> None:
    settings = read_settings(ZONE / "agents" / f"{agent}.toml")

    parts = make_parts(settings)

    assert settings.id == agent
    assert settings.credentials == Path(f"../state/credentials/{agent}.toml")
    assert parts.sources or parts.target is not None


@pytest.mark.parametrize("agent", MIS)
def test_a_school_reads_every_file_that_it_exports_and_no_other(agent: str, first_day: Day) -> None:
    school = agent.removeprefix("mis-")
    found = []
    for source in read_settings(ZONE / "agents" / f"{agent}.toml").sources:
        path = (first_day.folder / "agents" / source.path).resolve()
        found += list(path.parent.glob(path.name))

    assert sorted(found) == first_day.files(school)


def test_a_school_may_publish_what_its_mappings_make(first_day: Day) -> None:
    for agent in LOADED.registry.agents.values():
        made = {made.object.object_type for made in first_day.made if made.agent == agent.id}
        assert made <= {topic.object_type for topic in agent.rights.get(Role.PUBLISH_ADD, ())}


@pytest.mark.parametrize(
    ("agent", "agreement"),
    [("merlin", PLATFORM), ("virtual-school", VIRTUAL_SCHOOL), ("ctf-out", BY_FILE), ("mis-8209902", TO_SCHOOL)],
)
def test_an_agent_subscribes_to_what_its_agreement_shares(agent: str, agreement: Agreement) -> None:
    record = LOADED.registry.agents[AgentId(agent)]

    subscribed = {topic.object_type for topic in record.standing[Role.SUBSCRIBE]}
    assert subscribed == set(agreement.shares)


def test_what_an_agent_may_publish_of_others_is_shared_by_no_agreement_but_the_named() -> None:
    secret = {"LearnerLookedAfter", "LearnerEducationPlan"}
    shared = {(agreement.id, name) for agreement in LOADED.agreements for name in agreement.shares if name in secret}

    assert shared == {
        ("virtual-school-looked-after", "LearnerLookedAfter"),
        ("virtual-school-looked-after", "LearnerEducationPlan"),
        ("transfer-by-file", "LearnerLookedAfter"),
    }
    assert not {"LegalStatus", "CategoryOfNeed", "PlacementList", "*"} & set(BY_FILE.shares["LearnerLookedAfter"])


@pytest.mark.parametrize("agreement", [VIRTUAL_SCHOOL, BY_FILE, TO_SCHOOL], ids=lambda agreement: agreement.id)
def test_no_pupil_number_old_or_new_is_told_with_a_transfer(agreement: Agreement) -> None:
    assert not {"PreviousUPN", "UPNAtNewSchool", "*"} & set(agreement.shares["LearnerTransfer"])


def test_what_a_school_gets_of_a_transfer_stays_and_what_the_writer_of_files_gets_goes() -> None:
    assert (TO_SCHOOL.leaving, BY_FILE.leaving) == (Leaving.NOTICE, Leaving.DELETE)


def test_the_calendar_has_every_day_on_which_the_agreements_share_something() -> None:
    known = LOADED.calendars.of("8209903").known

    assert known is not None
    assert all(known.has(a.starts) for a in LOADED.agreements)
    assert all(known.ends >= a.expires - timedelta(days=31) for a in LOADED.agreements)


def test_the_platforms_agreement_names_nothing_special() -> None:
    paths = {f"{object_type}/{path}" for object_type, shares in PLATFORM.shares.items() for path in shares}

    special = "UPN InCare Protection Need Ethnicity Demographics Address Phone Contact *"
    for word in special.split():
        assert not [path for path in paths if word in path], word
    assert not {"LearnerSpecialNeeds", "LearnerExclusion", "LearnerContact", "ContactPersonal"} & set(PLATFORM.shares)


def test_no_upn_birth_date_or_address_reaches_the_platform(first_day: Day) -> None:
    received = Received(first_day, PLATFORM.id)
    text = b"".join(etree.tostring(o) for t in PLATFORM.shares for o in received.all(t)).decode()
    learners = [made.object.element for made in first_day.objects("LearnerPersonal")]
    secrets = {
        element.text
        for learner in learners
        for name in ("UPN", "BirthDate", "Street", "PostCode", "Number")
        for element in learner.iter(f"{NS}{name}")
        if element.text
    }

    assert len(secrets) > 1000
    assert not [secret for secret in secrets if f">{secret}<" in text]


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_the_platform_has_an_account_for_everybody_expected(which: str, request: pytest.FixtureRequest) -> None:
    day: Day = request.getfixturevalue(which)
    users = load("oneroster/users")
    assert isinstance(users, OutwardMapping)
    rows = users.rows(Received(day, PLATFORM.id)).rows
    students = [row for row in rows if row["role"] == "student"]
    left = len(day.expected.get("changes", {}).get("left", ()))

    assert len(students) - left == sum(school["accounts"] for school in day.expected["schools"].values())
    assert all(row["username"].endswith("@pupils.example.org") for row in students)


@pytest.mark.parametrize("table", ["orgs", "academicSessions", "courses", "classes", "users", "enrollments"])
def test_the_platforms_agreement_shares_enough_for_every_table(table: str, first_day: Day) -> None:
    mapping = load(f"oneroster/{table}")
    assert isinstance(mapping, OutwardMapping)

    assert list(mapping.rows(Received(first_day, PLATFORM.id)).rows)


@pytest.mark.parametrize("which", ["first_day", "next_day"])
def test_those_looked_after_by_the_authority_are_the_expected_fourteen(
    which: str, request: pytest.FixtureRequest
) -> None:
    day: Day = request.getfixturevalue(which)
    held = Received(day, VIRTUAL_SCHOOL.id)
    found = {
        learner.findtext(f"{NS}UPN")
        for learner in held.all("LearnerPersonal")
        if learner.findtext(f"{NS}InCare/{NS}Current") == "Yes" and learner.findtext(f"{NS}InCare/{NS}LAId") == "820"
    }

    assert found == {learner["upn"] for learner in day.expected["looked_after"]}
    assert len(found) == 14


def test_nobodys_address_reaches_the_virtual_school(first_day: Day) -> None:
    held = Received(first_day, VIRTUAL_SCHOOL.id)

    assert not [o for t in VIRTUAL_SCHOOL.shares for o in held.all(t) for _ in o.iter(f"{NS}Address", f"{NS}PostCode")]
