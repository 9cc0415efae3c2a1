"""Small OneRoster packages for the tests; every school and person in them is made up."""

from pathlib import Path
from typing import Final

from agents.connectors.oneroster_files import COLUMNS, Table, Version, manifest_table, write_tables

ACTIVE: Final = ("active", "2026-11-23T08:57:00.000Z")
ROWS: Final = {
    "orgs": [
        "la-1,{},Quillshire,local,820,",
        "org-1,{},Thornwick School,school,8209901,la-1",
        "org-2,{},Larkfield School,school,8209902,la-1",
    ],
    "academicSessions": [
        "year-1,{},2026/2027,schoolYear,2026-09-01,2027-09-01,,2027",
        "term-1,{},Autumn,term,2026-09-01,2026-12-19,year-1,2027",
    ],
    "courses": ["crs-1,{},year-1,Mathematics,MA,,org-1,,"],
    "classes": [
        "cls-1,{},9A Maths,,crs-1,9A/Ma,Scheduled,,org-1,term-1,,,",
        "cls-2,{},9A,,crs-1,,homeroom,,org-1,term-1,,,",
    ],
    "enrollments": [
        "enr-1,{},cls-1,org-1,usr-1,student,,2026-09-03,2026-11-28",
        "enr-2,{},cls-1,org-1,usr-2,teacher,true,,",
        "enr-3,{},cls-2,org-1,usr-1,student,,,",
    ],
    "demographics": ["usr-1,{},2013-02-03,female,,,,,,,,,,,"],
}
USERS: Final = {
    "1.1": [
        "usr-1,{},true,org-1,student,zquill,,Zoë,Quill,,4711,zoe@example.org,,,,9,Secret-1",
        "usr-2,{},true,org-1,teacher,alark,,Ada,Lark,,,ada@example.org,,,,,",
        "usr-3,{},true,org-1,parent,pquill,,Peregrine,Quill,,,,,,,,",
    ],
    "1.2": [
        "usr-1,{},true,zquill,,Zoë,Quill,,4711,zoe@example.org,,,,9,Secret-1,,Zo,,,org-1,",
        "usr-2,{},true,alark,,Ada,Lark,,,ada@example.org,,,,,,,,,,org-1,",
        "usr-3,{},true,pquill,,Peregrine,Quill,,,,,,,,,,,,,org-1,",
    ],
}
ROLES: Final = [
    "rol-0,{},usr-1,secondary,student,,,org-2,",
    "rol-1,{},usr-1,primary,student,2024-09-04,,org-1,",
    "rol-2,{},usr-2,primary,teacher,,,org-1,",
    "rol-3,{},usr-3,primary,parent,,,org-1,",
]


def tables(version: Version = "1.1", mode: str = "bulk") -> dict[str, Table]:
    """Return a package: an authority, two schools, a pupil, a teacher and a parent in two classes."""
    made = {**ROWS, "users": USERS[version], **({"roles": ROLES} if version == "1.2" else {})}
    marks = ",".join(ACTIVE) if mode == "delta" else ","
    found: dict[str, Table] = {
        name: (COLUMNS[version][name], [tuple(row.format(marks).split(",")) for row in rows])
        for name, rows in made.items()
    }
    return {**found, "manifest": manifest_table(version, dict.fromkeys(found, mode))}


def write(path: Path, version: Version = "1.1", mode: str = "bulk") -> Path:
    """Write a package as a zip or a folder; return what an agent's path would name."""
    write_tables(path, tables(version, mode))
    return path if path.suffix == ".zip" else path / "manifest.csv"
