"""What people and programs are shown of an agent's state; reading it is inbox's and files'."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from lxml import etree
from rich.table import Table

from agents.files import FileLedger
from agents.inbox import Inbox, KeptObjects
from agents.learners import Learners
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import NAMESPACE
from broker.protocol.identifiers import AgentId
from broker.protocol.plain import plain_values
from mappings import Objects
from schemas import SchemaSet

_NS = f"{{{NAMESPACE}}}"
_NAME = "PersonalInformation/Name/"
_OUTCOMES = {
    "asked": "the zone has not answered yet: nothing of them is published",
    "found": "other systems have them: they are published under the zone's RefId",
    "new": "no other system has them: they are published under this agent's RefId",
    "waiting": "somebody at the zone must decide: nothing of them is published",
    "none": "the zone does not know them, and this agent makes none: it is asked again",
}


def status(store: Store, schema: SchemaSet, problems: int) -> dict[str, Any]:
    """Return the state of an agent as plain values, with at most *problems* problems of each file; no personal data."""
    ledger = FileLedger(store)
    files = [
        {
            "source": file.source,
            "path": file.path,
            "read_at": file.at,
            "outcome": file.outcome,
            "records": file.records,
            "objects": file.objects,
            "events": file.events,
            "problems": file.problems,
            "note": file.note,
            "left_out": file.waiting,
            "first_problems": [
                {"position": p.position, "severity": p.severity, "rule": p.rule, "place": p.place, "message": p.message}
                for p in ledger.problems(file.source, file.path)[:problems]
            ],
        }
        for file in ledger.all()
    ]
    spool, inbox = Spool(store, AgentId(""), schema), Inbox(store, schema)
    return {
        "waiting": spool.count(),
        "published": spool.published(),
        "learners": Learners(store, spool).counts(),
        "received": inbox.counts(),
        "messages_sent": spool.messages(),
        "messages_received": inbox.messages(),
        "files": files,
        "refusals": [asdict(refused) for refused in spool.refusals()],
        "failed": [
            {"msg_id": one.msg_id, "kind": one.kind, "reason": one.reason, "at": one.at} for one in inbox.all_failed()
        ],
    }


def status_tables(values: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of :func:`status` that have something to say."""
    counts = Table(title=f"Objects ({values['waiting']} events wait for the zone)", title_justify="left")
    for heading in ("Object", "Published", "Received"):
        counts.add_column(heading, justify="left" if heading == "Object" else "right")
    for name in sorted({*values["published"], *values["received"]}):
        counts.add_row(name, str(values["published"].get(name, "")), str(values["received"].get(name, "")))
    yield counts
    if values["learners"]:
        learners = [[name, _OUTCOMES[name], count] for name, count in values["learners"].items()]
        yield _table("Learners, as the zone knows them", ("Outcome", "What it means", "Learners"), learners)
    if values["files"]:
        yield _table(
            "Files",
            ("Source", "File", "Read at", "Outcome", "Records", "Left out", "Objects", "Events", "Problems", "Note"),
            [
                [f["source"], f["path"].rpartition("/")[2], f["read_at"][:19], f["outcome"], f["records"],
                 f["left_out"], f["objects"], f["events"], f["problems"], f["note"]]
                for f in values["files"]
            ],
        )  # fmt: skip
    rows = [
        [f["path"].rpartition("/")[2], p["position"], p["severity"], p["place"], p["message"]]
        for f in values["files"]
        for p in f["first_problems"]
    ]
    if rows:
        yield _table("Problems", ("File", "Where", "Severity", "Object and path", "What to do"), rows)
    if values["refusals"]:
        yield _table(
            "Refused by the zone",
            ("Object", "Action", "RefId", "Error", "Why"),
            [
                [r["object_type"], r["action"], r["ref_id"], f"{r['category']}/{r['code']}", r["reason"]]
                for r in values["refusals"]
            ],
        )
    if values["failed"]:
        yield _table(
            "Could not be handled",
            ("Message", "Kind", "Why"),
            [[f["msg_id"], f["kind"], f["reason"]] for f in values["failed"]],
        )


def learners_table(objects: KeptObjects) -> Table:
    """Return one row for each learner that is here."""
    headings = ("Name", "UPN", "Born", "School", "Year", "In care of", "SEN", "Contacts", "RefId")
    extra = _by_learner(objects, "LearnerSpecialNeeds"), _by_learner(objects, "LearnerContact")
    rows = [_learner(element, *extra) for element in objects.all("LearnerPersonal")]
    return _table(f"{len(rows)} learners", headings, sorted(rows))


def objects_json(objects: Objects, schema: SchemaSet) -> Iterator[str]:
    """Yield every object as a line of JSON: ``@name`` for attributes, a list where there are several of an element."""
    for object_type in schema.objects:
        for element in objects.all(object_type):
            yield json.dumps({"object": object_type, "content": plain_values(element)}, ensure_ascii=False)


def _learner(
    element: etree._Element, needs: dict[str, list[etree._Element]], contacts: dict[str, list[etree._Element]]
) -> list[str]:
    def text(path: str) -> str:
        return (element.findtext("/".join(_NS + step for step in path.split("/"))) or "").strip()

    ref_id = element.get("RefId", "")
    surname = text(_NAME + "PreferredFamilyName") or text(_NAME + "FamilyName")
    forename = text(_NAME + "PreferredGivenName") or text(_NAME + "GivenName")
    school = "/".join(
        filter(None, (text("CurrentSchoolEnrolment/LAId"), text("CurrentSchoolEnrolment/EstablishmentId")))
    )
    provisions = sorted(
        {n.findtext(_NS + "Provision") or "" for n in needs.get(ref_id, ()) if n.find(_NS + "EndDate") is None}
    )
    return [
        f"{surname}, {forename}".strip(", "),
        text("UPN"),
        text("PersonalInformation/Demographics/BirthDate"),
        school,
        text("CurrentSchoolEnrolment/NCYearGroup"),
        text("InCare/LAId") if text("InCare/Current") == "Yes" else "",
        " ".join(provisions),
        str(len(contacts.get(ref_id, ())) or ""),
        ref_id,
    ]


def _by_learner(objects: Objects, object_type: str) -> dict[str, list[etree._Element]]:
    found: dict[str, list[etree._Element]] = {}
    for element in objects.all(object_type):
        found.setdefault(element.get("LearnerPersonalRefId", ""), []).append(element)
    return found


def _table(title: str, headings: tuple[str, ...], rows: list[list[Any]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


__all__ = ["learners_table", "objects_json", "status", "status_tables"]
