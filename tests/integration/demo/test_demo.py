"""What a run of the demo leaves: books that balance, only changes on the second day, and nobody's data elsewhere."""

import csv
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from lxml import etree

from broker.protocol.documents import parse_document
from broker.protocol.envelope import NAMESPACE, EventObject, event_objects, local_name, parse_message
from broker.settings import load_zone
from broker.storage import LedgerRow, open_store
from tests.integration.demo.conftest import Ran, pieces, rows

NS = f"{{{NAMESPACE}}}"
SENSITIVE = re.compile(
    "UPN|ULN|Care|Ethnic|Language|Birth|Demographic|Gender|Sex|Address|Phone|Contact|SEN|Need|Provision|Medical|"
    "Exclusion|ExitType|Religion|HomeLA|Parent|Sibling|Disab|FSM|Attend|FormerU|Protect|Shield"
)
"""Names of elements, attributes and columns about which the learning platform is to know nothing."""
MERLIN_GETS = {
    "SchoolInfo",
    "TermInfo",
    "WorkforcePersonal",
    "SchoolGroupType",
    "SchoolGroup",
    "LearnerPersonal",
    "LearnerSchoolEnrolment",
    "LearnerGroupEnrolment",
}
ONEROSTER = {
    "academicSessions": "title,type,startDate,endDate,parentSourcedId,schoolYear",
    "classes": "title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,"
    "subjectCodes,periods",
    "courses": "schoolYearSourcedId,title,courseCode,grades,orgSourcedId,subjects,subjectCodes",
    "enrollments": "classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
    "orgs": "name,type,identifier,parentSourcedId",
    "users": "enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,"
    "phone,agentSourcedIds,grades,password",
}
REFERENCES = (
    ("academicSessions", "parentSourcedId", "academicSessions"),
    ("orgs", "parentSourcedId", "orgs"),
    ("courses", "schoolYearSourcedId", "academicSessions"),
    ("courses", "orgSourcedId", "orgs"),
    ("classes", "courseSourcedId", "courses"),
    ("classes", "schoolSourcedId", "orgs"),
    ("classes", "termSourcedIds", "academicSessions"),
    ("users", "orgSourcedIds", "orgs"),
    ("users", "agentSourcedIds", "users"),
    ("enrollments", "classSourcedId", "classes"),
    ("enrollments", "schoolSourcedId", "orgs"),
    ("enrollments", "userSourcedId", "users"),
)
REF_ID = re.compile("[0-9A-F]{32}")
BEGIN = 6
"""Letters by which thousands of values are looked for in a text before each is looked for by itself."""
pytestmark = pytest.mark.timeout(480)


# -- the books


def test_the_demo_ends_well_and_prints_books_that_balance(ran: Ran) -> None:
    assert ran.code == 0, ran.output
    assert "Not as it should be" not in ran.output
    lines = ran.output.split("Reconciliation:")[1].splitlines()
    books = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert {book[0] for book in books} == {
        *(f"mis-820990{n}" for n in (1, 2, 3)),
        "social-care",
        "pep",
        "quarrington",
        "merlin",
        "virtual-school",
        "ctf-out",
    }
    assert {book[-1] for book in books} == {"balances"}
    for agent, _, own, zone, _, due, delivered, withheld, _ in books:
        if agent == "quarrington":  # what the zone itself has sent is in its ledger alone
            assert own == "the zone's own"
        else:
            assert number(own.split()[0]) == number(zone)
        assert number(due) == number(delivered) + number(withheld)


def test_the_listener_heard_exactly_what_the_ledger_says_was_delivered(ran: Ran) -> None:
    for agent, bodies in ran.bodies.items():
        delivered = {row.msg_id for row in ledger(ran) if row.outcome == "delivered" and agent in row.audience}
        assert bodies.keys() == delivered, agent


def test_on_the_second_day_the_schools_send_only_what_changed(ran: Ran) -> None:
    changes = ran.expected["changes"]
    sent = Counter(
        (row.source.removeprefix("mis-"), row.object_type)
        for row in ledger(ran, since=ran.next_day)
        # Of whom it has heard in parts, the zone may ask for the whole: that is an answer, and no change.
        if row.outcome == "accepted" and row.source.startswith("mis-") and row.action != "Response"
    )

    for object_type, people in (
        ("LearnerPersonal", [*changes["changed"], *changes["joined"]]),
        ("LearnerSchoolEnrolment", [*changes["joined"], *changes["left"]]),
        ("LearnerAttendanceSummary", changes["joined"]),
    ):
        wanted = Counter(person["school"] for person in people)
        assert {school: n for (school, name), n in sent.items() if name == object_type} == wanted, object_type
    of_joiners = {"ContactPersonal", "LearnerContact"}
    assert {school for school, name in sent if name in of_joiners} <= {one["school"] for one in changes["joined"]}
    assert not {"SchoolInfo", "TermInfo", "WorkforcePersonal", "SchoolGroup", "SchoolGroupType"} & {n for _, n in sent}
    assert sum(sent.values()) < 50


def test_on_the_second_day_the_platform_learns_of_those_whose_account_changes(ran: Ran) -> None:
    known: dict[str, dict[str, str]] = {}
    news: set[str] = set()
    second_day = {row.msg_id for row in ledger(ran, since=ran.next_day)}
    for msg_id, event in events(ran, "merlin"):
        if event.object_type == "LearnerPersonal":
            ref_id = event.element.get("RefId", "")
            told = dict(leaves(event.element))
            if msg_id in second_day and told.items() - known.get(ref_id, {}).items():
                news.add(ref_id)
            known[ref_id] = known.get(ref_id, {}) | told

    changes = ran.expected["changes"]
    people = [*(one for one in changes["changed"] if one["merlin"]), *changes["joined"]]
    schools = ("LAId", "EstablishmentId")
    found = Counter("".join(known[ref][f"CurrentSchoolEnrolment/{name}"] for name in schools) for ref in news)
    assert found == Counter(person["school"] for person in people)


def test_on_the_second_day_the_virtual_school_hears_of_changed_children_in_care_alone(ran: Ran) -> None:
    second_day = {row.msg_id for row in ledger(ran, since=ran.next_day)}
    heard = [event for msg_id, event in events(ran, "virtual-school") if msg_id in second_day]

    changed = [one["upn"] for one in ran.expected["changes"]["changed"] if one["virtual_school"]]
    refs = {ref: upn for upn, ref in looked_after(ran).items()}
    assert [refs[event.element.get("RefId", "")] for event in heard] == changed


# -- what the learning platform knows


def test_nothing_that_the_platform_has_holds_anything_of_the_exports_but_what_it_is_shared(ran: Ran) -> None:
    merlin = merlin_has(ran)
    assert all(merlin.values())

    for place, texts in merlin.items():
        assert found_in(texts, dict(ran.personal.distinctive())) == {}, place
        codes = {code.lower() for code in ran.personal.ethnicities | ran.personal.needs if len(code) > 2}
        assert not texts & codes, place


def test_the_raw_files_of_the_platform_hold_nothing_distinctive(ran: Ran) -> None:
    for path in (*files(ran.folder / "out" / "merlin"), *files(ran.folder / "state" / "agents" / "merlin")):
        holds = searched(path.read_bytes().decode("utf-8", "replace").lower())
        for kind, values in ran.personal.distinctive():
            assert not [value for value in values if holds(value.lower())], f"{kind} in {path.name}"


def test_no_element_or_column_of_the_platform_is_about_what_it_may_not_know(ran: Ran) -> None:
    elements = [event.element for _, event in events(ran, "merlin")]
    elements += kept(ran, "merlin")
    names = {name for element in elements for name in names_in(element)}
    assert {local_name(element) for element in elements} == MERLIN_GETS
    assert {name for name in names if SENSITIVE.search(name)} == set()

    for table, content in package(ran).items():
        filled = {column for row in content for column, value in row.items() if value}
        assert {column for column in filled if SENSITIVE.search(column)} == set(), table
    assert not any(row[column] for row in package(ran)["users"] for column in ("sms", "phone", "identifier", "userIds"))


def test_the_platform_knows_the_names_of_pupils_and_staff_alone(ran: Ran) -> None:
    names = {
        (forename.strip().lower(), surname.strip().lower())
        for _, event in events(ran, "merlin")
        for name in event.element.iter(f"{NS}Name")
        for forename in texts(name, "GivenName", "PreferredGivenName")
        for surname in texts(name, "FamilyName", "PreferredFamilyName")
    }

    assert ran.personal.contact_people - ran.personal.people
    assert names - ran.personal.people == set()
    users = {(row["givenName"].lower(), row["familyName"].lower()) for row in package(ran)["users"]}
    assert users - ran.personal.people == set()


# -- what the virtual school knows


def test_the_virtual_school_holds_whom_social_care_names_and_nobody_else(ran: Ran) -> None:
    children = looked_after(ran)

    assert set(children) == {child["upn"] for child in ran.expected["in_care"]}
    assert len(children) == 15
    assert not set(children) & {child["upn"] for child in ran.expected["looked_after_by_others"]}


@pytest.mark.parametrize("which", ["kept", "received"])
def test_every_object_of_the_virtual_school_is_about_one_of_the_fifteen(ran: Ran, which: str) -> None:
    if which == "kept":
        elements = kept(ran, "virtual-school")
    else:
        elements = [event.element for _, event in events(ran, "virtual-school")]
    children, contacts = set(looked_after(ran).values()), set()
    for element in elements:
        if local_name(element) == "LearnerPersonal":
            assert element.get("RefId") in children
        elif local_name(element).startswith("Learner"):
            assert element.get("LearnerPersonalRefId") in children
        contacts.add(element.get("ContactPersonalRefId"))
    people = [element for element in elements if local_name(element) == "ContactPersonal"]
    assert people
    assert {person.get("RefId") for person in people} == contacts - {None}
    others = {local_name(element) for element in elements if not local_name(element).startswith("Learner")}
    assert others == {"ContactPersonal", "LAInfo", "SchoolInfo", "TermInfo"}


def test_who_is_in_care_by_social_cares_word_alone_has_come_whole(ran: Ran) -> None:
    ref_id = looked_after(ran)[ran.expected["untold"]["upn"]]
    about = [e for e in kept(ran, "virtual-school") if ref_id in (e.get("RefId"), e.get("LearnerPersonalRefId"))]

    kinds = Counter(local_name(element) for element in about)
    assert {name for name in kinds if name.startswith("Learner")} >= {
        "LearnerPersonal",
        "LearnerSchoolEnrolment",
        "LearnerAttendanceSummary",
        "LearnerContact",
        "LearnerLookedAfter",
        "LearnerEducationPlan",
    }
    (learner,) = (element for element in about if local_name(element) == "LearnerPersonal")
    assert learner.findtext(f"{NS}InCare/{NS}Current") == "No"  # the school has not been told


def test_periods_of_care_and_plans_reach_the_virtual_school_alone(ran: Ran) -> None:
    secret = {"LearnerLookedAfter", "LearnerEducationPlan"}
    rows_of = [row for row in ledger(ran) if row.object_type in secret and row.outcome == "delivered"]

    assert {row.object_type for row in rows_of} == secret
    assert {agent for row in rows_of for agent in row.audience} == {"virtual-school"}


def test_the_virtual_school_has_no_upn_of_another_child_and_no_address(ran: Ran) -> None:
    own = {child["upn"] for child in ran.expected["in_care"]}
    has = {text for _, value in rows(ran.folder / "state/agents/virtual-school/agent.db") for text in pieces(value)}
    has |= {text for body in ran.bodies["virtual-school"].values() for text in pieces(body.decode())}

    assert found_in(has, {"upns": ran.personal.upns - own, "addresses": ran.personal.addresses}) == {}


# -- what the zone itself keeps


def test_log_ledger_and_queue_names_tell_of_nobody(ran: Ran) -> None:
    told = defaultdict(list, {"zone.log": [(ran.folder / "zone.log").read_text("utf-8")]})
    told |= {"queue names": list(ran.queues), "what was printed": [ran.output]}
    for table, text in rows(ran.folder / "state" / "zone.db", leave_out=frozenset({"quarantine_body"})):
        told[table].append(text)
    places = {place: "\n".join(parts) for place, parts in told.items()}

    assert "ledger" in places
    assert "quarantine" in places
    assert {"agent.merlin", "zone.intake.0"} <= ran.queues
    for place, text in places.items():
        assert found_in(pieces(text), dict(ran.personal.distinctive())) == {}, place
        # Three letters turn up by chance in keyed hashes, and some names are hexadecimal digits alone.
        names = {name for name in ran.personal.names if len(name) > 3}
        assert not set(re.findall(r"[^\W\d_]+", REF_ID.sub("", text))) & names, place


def test_the_quarantined_message_is_kept_but_cannot_be_read_in_the_database(ran: Ran) -> None:
    zone = load_zone(ran.folder)
    with open_store(zone.database_url, zone.key_file) as store:
        (entry,) = store.quarantine_list()
        body = store.quarantine_body(entry.id)

    (fault,) = [one for one in ran.expected["faults"] if any(e["stage"] == "zone" for e in one["effects"])]
    assert entry.object_type in {effect["object"] for effect in fault["effects"]}
    raw = b"".join(path.read_bytes() for path in (ran.folder / "state").glob("zone.db*"))
    assert b"LearnerContact" in body
    assert not any(body[start : start + 40] in raw for start in range(0, len(body) - 40, 10))


def test_keys_and_state_are_the_owners_alone(ran: Ran) -> None:
    state = ran.folder / "state"

    assert mode(state) == 0o700
    assert mode(state / "zone.key") == 0o600
    assert {mode(path) for path in (state / "credentials").iterdir()} == {0o600}
    assert {mode(path) for path in (state / "agents").glob("*/*")} == {0o600}


# -- the OneRoster package


def test_the_package_has_a_complete_manifest_and_its_columns_in_order(ran: Ran) -> None:
    folder = ran.folder / "out" / "merlin" / "current"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        manifest = {row["propertyName"]: row["value"] for row in csv.DictReader(file)}

    assert manifest["manifest.version"] == "1.0"
    assert manifest["oneroster.version"] == "1.1"
    absent = ("categories", "classResources", "courseResources", "demographics", "lineItems", "resources", "results")
    assert {name for name, value in manifest.items() if value == "absent"} == {f"file.{name}" for name in absent}
    assert {name for name, value in manifest.items() if value == "bulk"} == {f"file.{name}" for name in ONEROSTER}
    assert {path.name for path in folder.iterdir()} == {f"{name}.csv" for name in ("manifest", *ONEROSTER)}
    for name, columns in ONEROSTER.items():
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            assert next(csv.reader(file)) == f"sourcedId,status,dateLastModified,{columns}".split(",")


def test_the_package_is_a_bulk_set_whose_references_resolve(ran: Ran) -> None:
    tables = package(ran)

    for name, content in tables.items():
        assert content, name
        assert {(row["status"], row["dateLastModified"]) for row in content} == {("", "")}, name
        assert len({row["sourcedId"] for row in content}) == len(content), name
    for table, column, target in REFERENCES:
        known = {row["sourcedId"] for row in tables[target]}
        wanted = {ref for row in tables[table] for ref in row[column].split(",") if ref}
        assert wanted <= known, f"{table}.{column}"


def test_every_pupil_that_should_have_an_account_has_one(ran: Ran) -> None:
    accounts = Counter(
        org
        for row in package(ran)["users"]
        if row["role"] == "student" and row["enabledUser"] == "true"
        for org in row["orgSourcedIds"].split(",")
    )
    schools = {row["sourcedId"]: row["identifier"] for row in package(ran)["orgs"] if row["type"] == "school"}

    wanted = {school: counts["accounts"] for school, counts in ran.expected["schools"].items()}
    assert {schools[org]: count for org, count in accounts.items()} == wanted


# -- helpers


def number(text: str) -> int:
    return int(text.replace(",", ""))


def ledger(ran: Ran, since: float | None = None) -> list[LedgerRow]:
    zone = load_zone(ran.folder)
    with open_store(zone.database_url, zone.key_file) as store:
        return store.ledger(since=since, limit=100_000)


def events(ran: Ran, agent: str) -> Iterator[tuple[str, EventObject]]:
    """Yield what *agent* was sent, in the order of arrival."""
    for msg_id, body in ran.bodies[agent].items():
        for event in event_objects(parse_message(body)):
            yield msg_id, event


def kept(ran: Ran, agent: str) -> list[etree._Element]:
    """Return the objects in an agent's database."""
    database = ran.folder / "state" / "agents" / agent / "agent.db"
    return [parse_document(text.encode()) for table, text in rows(database) if table == "objects" and text[:1] == "<"]


def looked_after(ran: Ran) -> dict[str, str]:
    """Return RefIds by UPN of the learners in the virtual school's database."""
    learners = [element for element in kept(ran, "virtual-school") if local_name(element) == "LearnerPersonal"]
    return {learner.findtext(f"{NS}UPN") or "": learner.get("RefId") or "" for learner in learners}


def merlin_has(ran: Ran) -> dict[str, set[str]]:
    """Return all texts that the platform has, by where: its files, its agent's tables, what it was sent."""
    found: dict[str, set[str]] = {"received": set()}
    for body in ran.bodies["merlin"].values():
        found["received"] |= pieces(body.decode())
    for table, text in rows(ran.folder / "state" / "agents" / "merlin" / "agent.db"):
        found.setdefault(f"table {table}", set()).update(pieces(text))
    for path in files(ran.folder / "out" / "merlin"):
        found[f"file {path.name}"] = pieces(path.read_text("utf-8"))
    return found


def found_in(texts: Iterable[str], secrets: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Return by kind the first of *secrets* that occur anywhere within *texts*, which are in small letters."""
    holds = searched("\n".join(sorted(texts)))
    found = {kind: [v for v in sorted(values) if holds(v.lower())][:3] for kind, values in secrets.items()}
    return {kind: values for kind, values in found.items() if values}


def searched(text: str) -> Callable[[str], bool]:
    """Return what tells whether a value occurs in *text*: that its first letters do not is known for all at once."""
    begins = {text[at : at + BEGIN] for at in range(len(text))}
    return lambda value: (len(value) < BEGIN or value[:BEGIN] in begins) and value in text


def files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def package(ran: Ran) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each table of the OneRoster package."""
    tables = {}
    for name in ONEROSTER:
        with (ran.folder / "out" / "merlin" / "current" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    return tables


def names_in(element: etree._Element) -> Iterator[str]:
    for node in element.iter("*"):
        yield local_name(node)
        yield from (str(name) for name in node.attrib)


def leaves(element: etree._Element, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of every element without children."""
    for child in element.iterchildren("*"):
        inner = f"{path}/{local_name(child)}".strip("/")
        if len(child):
            yield from leaves(child, inner)
        else:
            yield inner, (child.text or "").strip()


def texts(element: etree._Element, *names: str) -> Iterator[str]:
    return (text for name in names if (text := element.findtext(f"{NS}{name}")))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
