"""Made-up agreements and a made-up report, for the tests of the pages."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from broker.agreements import Agreement, Scope
from broker.console import QualityReport, QualityRow, QualityTrend

HOSTILE: Final = """"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}</title></style>&\u202e"""
"""What an agreement's file may hold: it would run, close an attribute or a tag, or turn the text round."""

MERLIN: Final = Agreement(
    "merlin-accounts",
    "Accounts on the learning platform",
    ("mis-*",),
    ("merlin",),
    "Give each learner an account",
    "UK GDPR Article 6(1)(e)",
    date(2026, 9, 1),
    date(2027, 8, 31),
    Scope.ENROLLED,
    {"LearnerPersonal": ("@RefId", "PersonalInformation/Name"), "SchoolInfo": ("*",)},
    digest="0123abcd",
)
VIRTUAL: Final = Agreement(
    "virtual-school",
    "Education of looked-after children",
    ("mis-8209901", "mis-8209902"),
    ("virtual-school", "virtual-school-archive"),
    "Promote the achievement of looked-after children",
    "Children Act 1989 section 22(3A)",
    date(2026, 9, 1),
    date(2029, 8, 31),
    Scope.LOOKED_AFTER,
    {"LearnerPersonal": ("*",)},
    shielded=True,
)


def hostile_agreement() -> Agreement:
    """Return an agreement every text of which is hostile, down to its id and the names of what it shares."""
    return Agreement(
        "../" + HOSTILE,
        HOSTILE,
        (HOSTILE,),
        (HOSTILE + "x" * 300,),
        HOSTILE,
        HOSTILE,
        date(2026, 9, 1),
        date(2027, 8, 31),
        Scope.ALL,
        {"LearnerPersonal": (HOSTILE, "LocalId"), HOSTILE: ("*", HOSTILE)},
        digest=HOSTILE,
    )


def row(school: str = "Larkrise Primary School", **other: object) -> QualityRow:
    """Return a row of a report, which may differ from the usual one in anything."""
    usual: Mapping[str, object] = {
        "agent": "mis-8209901",
        "object_type": "LearnerPersonal",
        "rule": "unknown-code",
        "severity": "warn",
        "path": "PersonalInformation/Demographics/EthnicityList/Ethnicity",
        "local_id": "004711",
        "what_to_do": "Choose a code of the list in the pupil's record.",
        "first_seen": date(2026, 9, 7),
        "last_seen": date(2026, 9, 14),
    }
    return QualityRow(school, **{**usual, **other})  # type: ignore[arg-type]  # each test names its fields


def report() -> QualityReport:
    """Return a report of two schools and ten days, two of which nothing was seen on."""
    monday = date(2026, 9, 7)
    rows = (
        row(),
        row(severity="refuse", rule="missing", path="PersonalInformation/Name/FamilyName", local_id="004712"),
        row("Thornwick Academy", agent="mis-8209903", severity="shadow", rule="upn-check-letter", path="UPN"),
        row("Thornwick Academy", agent="mis-8209903", object_type="SchoolInfo", path="", local_id=""),
    )
    trend = tuple(QualityTrend(monday + timedelta(days=n), n * 3, 40 - n) for n in range(10) if n not in (5, 6))
    return QualityReport("Quarrington", datetime(2026, 9, 16, 6, 15, tzinfo=UTC), rows, trend)
