"""`python -m tests.bench.mappings`: what mapping costs, in turns within one run; prints medians and their ratio.

Both sides read the same CSV of pupils and make LearnerPersonal objects, RefIds included. "By hand" is the loop that a
careful programmer would write for this one report with csv and lxml alone, with the same conversions and checks. Ours
is all that an agent does: its CSV connector, and the mapping csv/learner. Objects are dropped as they are made.
"""

import argparse
import csv
import hmac
import json
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from lxml import etree
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from agents.connectors.csv import CsvOptions, CsvSource
from agents.keys import Keys
from mappings import NAMESPACE, InwardMapping, Record, load

_SECRET: Final = b"a key of thirty-two bytes, no more"[:32]
_LETTERS: Final = "ABCDEFGHJKLMNPQRTUVWXYZ"
_SURNAMES: Final = ("Quillfeather", "Thornquist", "O'Dravel", "Marrowby", "Ó Fenlough", "Pellwright", "Zanderleigh")
_FORENAMES: Final = ("Zephyrine", "Odalric", "Tamsalin", "Brenoc", "Isaveth", "Corwyn", "Maelys", "Dovrin")
_KIB: Final = 1024


def write_pupils(path: Path, count: int) -> None:
    """Write a report of made-up pupils with all the columns that csv/learner reads; nearly all cells are filled."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_pupil(0))
        rows.writerows(_pupil(number).values() for number in range(count))


def _pupil(n: int) -> dict[str, str]:
    weighted = sum(weight * int(digit) for weight, digit in enumerate(f"82099{n:07}", start=2))
    surname, forename = _SURNAMES[n % 7], _FORENAMES[n % 8]
    looked_after = n % 50 == 0
    return {
        "LA Number": "820",
        "Estab Number": f"990{1 + n % 4}",
        "UPN": f"{_LETTERS[weighted % 23]}82099{n:07}",
        "Former UPN": f"A82098{n:07}" if n % 20 == 0 else "",
        "ULN": f"1{n:09}",
        "Adno": f"{n:06}",
        "Legal Surname": surname,
        "Legal Forename": forename,
        "Middle Names": _FORENAMES[(n + 3) % 8],
        "Preferred Surname": surname,
        "Preferred Forename": forename[:4],
        "DOB": f"{1 + n % 28:02}/{1 + n % 12:02}/{2009 + n % 12}",
        "Sex": ("F", "M", "Female", "Male")[n % 4],
        "Year": f"Year {1 + n % 11}",
        "Enrolment Status": "C",
        "Ethnicity Code": ("WBRI", "aind", "BCRB", "MWAS")[n % 4],
        "Ethnicity Source": "P",
        "First Language": ("ENG", "pol", "URD")[n % 3],
        "In Care": "Y" if looked_after else "N",
        "Care Authority": "836" if looked_after else "",
        "House": str(1 + n % 90),
        "Flat": f"Flat {1 + n % 6}" if n % 5 == 0 else "",
        "Street": "Pellworth Rise",
        "Locality": "Nether Quarring",
        "Town": "Quarrington",
        "County": "Quarrshire",
        "Postcode": f"qz{1 + n % 9}{1 + n % 7}aa",
        "Home LA": "820",
        "Home Phone": f"(01632) 960{n % 1000:03}",
        "Mobile Phone": f"+44 7700 900{n % 1000:03}",
        "School Email": f"pupil{n}@pupils.example.org",
    }


def by_hand(path: Path) -> Iterator[etree._Element]:
    """Yield the objects of a report as a loop written for it alone makes them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield _learner({name: text for name, cell in row.items() if (text := cell.strip())})


_UPN: Final = re.compile(r"[A-HJ-NP-RT-Z][0-9]{11}[0-9A-HJ-NP-RT-Z]")
_ULN: Final = re.compile(r"[1-9][0-9]{9}")
_POSTCODE: Final = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?[0-9][A-Z]{2}")
_PHONE: Final = re.compile(r"\+?[0-9]{3,20}")
_FILLING: Final = re.compile(r"[\s().\-/]|\(0\)")
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_SEX: Final = {"m": "M", "f": "F", "male": "M", "female": "F", "boy": "M", "girl": "F", "u": "U", "w": "W"}
_YES_NO: Final = {"y": "Yes", "yes": "Yes", "true": "Yes", "1": "Yes", "n": "No", "no": "No", "false": "No", "0": "No"}
_ETHNICITY_SOURCES: Final = frozenset("COPST")
_MEMBERSHIP: Final = frozenset("CGMSFOU")
_TAG: Final = f"{{{NAMESPACE}}}"


def _ref_id(object_type: str, *key: str) -> str:
    text = "".join(f"{len(part)}:{part}" for part in (object_type, *key))
    return hmac.digest(_SECRET, text.encode(), "sha256")[:16].hex().upper()


_school_ref_id = lru_cache(maxsize=64)(_ref_id)


def _below(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, _TAG + name, attributes)
    element.text = text
    return element


def _put(parent: etree._Element, name: str, text: str | None) -> None:
    if text is not None:
        etree.SubElement(parent, _TAG + name).text = text


def _right(pattern: re.Pattern[str], text: str) -> str | None:
    return text if pattern.fullmatch(text) else None


@lru_cache(maxsize=4096)
def _day(text: str) -> str | None:
    try:
        return datetime.strptime(text, "%d/%m/%Y").date().isoformat()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            return None


def _learner(row: dict[str, str]) -> etree._Element:
    """Return one object; what cannot be converted is left out."""
    get = row.get
    born = _day(row["DOB"])
    upn = _right(_UPN, "".join(get("UPN", "").split()).upper())
    key = (upn,) if upn else (row["Legal Surname"].upper(), row["Legal Forename"].upper(), born or "")
    ref_id = _ref_id("LearnerPersonal", *key)
    root = etree.Element(f"{_TAG}LearnerPersonal", {"RefId": ref_id}, {None: NAMESPACE})  # type: ignore[dict-item] # stubs
    _put(root, "LocalId", get("Adno"))
    _personal(_below(root, "PersonalInformation"), row, born)
    _put(root, "UPN", upn)
    former = _right(_UPN, "".join(get("Former UPN", "").split()).upper())
    if former:
        _put(_below(root, "FormerUPNList"), "UPN", former)
    _put(root, "ULN", _right(_ULN, "".join(get("ULN", "").split())))
    current = _YES_NO.get(get("In Care", "").casefold())
    if current:
        care = _below(root, "InCare")
        _put(care, "Current", current)
        _put(care, "LAId", get("Care Authority") or (row["LA Number"] if current == "No" else "XXX"))
    _put(root, "HomeLA", get("Home LA"))
    _enrolment(root, row, ref_id)
    return root


def _personal(info: etree._Element, row: dict[str, str], born: str | None) -> None:
    get = row.get
    name = _below(info, "Name", Type="C")
    _put(name, "FamilyName", row["Legal Surname"])
    _put(name, "GivenName", row["Legal Forename"])
    _put(name, "MiddleNames", get("Middle Names"))
    _put(name, "PreferredFamilyName", get("Preferred Surname"))
    _put(name, "PreferredGivenName", get("Preferred Forename"))
    facts = _below(info, "Demographics")
    if "Ethnicity Code" in row:
        ethnicity = _below(_below(facts, "EthnicityList"), "Ethnicity")
        _put(ethnicity, "Code", row["Ethnicity Code"].upper())
        source = get("Ethnicity Source", "O")
        _put(ethnicity, "Source", source if source in _ETHNICITY_SOURCES else None)
    _put(facts, "Gender", _SEX.get(get("Sex", "").casefold()))
    _put(facts, "BirthDate", born)
    if "First Language" in row:
        language = _below(_below(facts, "LanguageList"), "Language")
        _put(language, "Code", row["First Language"].upper())
        _put(_below(language, "TypeList"), "Type", "F")
    email = _right(_EMAIL, get("School Email", ""))
    if email:
        _below(info, "Email", email, Type="School")
    _address(info, row)
    home = _right(_PHONE, _FILLING.sub("", get("Home Phone", "")))
    if home:
        _put(_below(info, "PhoneNumber", Type="H"), "Number", home)
    mobile = _right(_PHONE, _FILLING.sub("", get("Mobile Phone", "")))
    if mobile:
        _put(_below(_below(info, "OtherPhoneNumberList"), "PhoneNumber", Type="M"), "Number", mobile)


def _address(info: etree._Element, row: dict[str, str]) -> None:
    get = row.get
    if "House" not in row:
        return
    address = _below(info, "Address", Type="Current")
    _put(_below(address, "PAON"), "Description", row["House"])
    if "Flat" in row:
        _put(_below(address, "SAON"), "Description", row["Flat"])
    for name in ("Street", "Locality", "Town", "County"):
        _put(address, name, get(name))
    packed = "".join(get("Postcode", "").split()).upper()
    if packed:
        known = _POSTCODE.fullmatch(packed)
        _put(address, "PostCode", f"{packed[:-3]} {packed[-3:]}" if known else row["Postcode"].upper())


def _enrolment(root: etree._Element, row: dict[str, str], ref_id: str) -> None:
    school = _school_ref_id("SchoolInfo", row["LA Number"], row["Estab Number"])
    stay = _below(
        root, "CurrentSchoolEnrolment", LearnerSchoolEnrolmentRefId=_ref_id("LearnerSchoolEnrolment", ref_id, school)
    )
    membership = row.get("Enrolment Status", "").upper()
    if membership in _MEMBERSHIP:
        stay.set("MembershipType", membership)
    _put(stay, "LAId", row["LA Number"])
    _put(stay, "EstablishmentId", row["Estab Number"])
    _put(stay, "NCYearGroup", _year_group(row.get("Year", "")))


def _year_group(text: str) -> str | None:
    packed = re.sub(r"^(year|yr|y)\s*", "", text, flags=re.IGNORECASE).upper()
    if packed in ("0", "RECEPTION", "REC"):
        return "R"
    return (packed.lstrip("0") if packed.isdigit() else packed) or None


def by_mapping(path: Path) -> Iterator[etree._Element]:
    """Yield the objects of a report as an agent makes them."""
    mapping = load("csv/learner")
    assert isinstance(mapping, InwardMapping)
    keys = Keys(_SECRET)
    for item in CsvSource(CsvOptions()).read(path):
        if isinstance(item, Record):
            translation = mapping.translate(item, keys)
            if translation.problems:
                raise AssertionError("the report has a fault")
            for made in translation.objects:
                yield made.element


def _seconds(make: Callable[[Path], Iterator[etree._Element]], path: Path, count: int) -> float:
    begun = time.process_time()  # both sides only compute, and what else the computer does is not theirs
    made = sum(1 for _ in make(path))
    seconds = time.process_time() - begun
    if made != count:
        raise AssertionError(f"{made} objects of {count} rows")
    return seconds


def _peak() -> int:
    """Return the largest memory that this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _KIB


def _check_same(path: Path) -> None:
    for ours, hand in zip(by_mapping(path), by_hand(path), strict=True):
        if etree.tostring(ours, method="c14n2") != etree.tostring(hand, method="c14n2"):
            raise AssertionError("the two sides make different objects")


def measure(count: int, turns: int) -> dict[str, float]:
    """Return medians (CPU microseconds a row), their ratio, and peak memory (MiB) before and after the long runs."""
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few.csv"), Path(folder, "many.csv")
        write_pupils(few, 2000)
        write_pupils(many, count)
        _check_same(few)
        before = _peak()
        hand, ours = [], []
        with Progress(console=console, transient=True) as progress:
            for _ in progress.track(range(turns), description=f"{count:,} rows, by hand and by mapping"):
                hand.append(_seconds(by_hand, many, count) / count * 1e6)
                ours.append(_seconds(by_mapping, many, count) / count * 1e6)
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, hand, strict=True))
    return {
        "rows": count,
        "turns": turns,
        "by_hand_us": round(statistics.median(hand), 1),
        "by_mapping_us": round(statistics.median(ours), 1),
        "ratio": round(ratio, 2),
        "peak_mib_after_2000_rows": before,
        "peak_mib": _peak(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What mapping a report costs, against a loop written by hand.")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the report (100,000)")
    parser.add_argument("--turns", type=int, default=3, help="runs of either side, in turns (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found = measure(given.rows, given.turns)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    table = Table("", "CPU microseconds a row", title=f"{given.rows:,} pupils to LearnerPersonal, {given.turns} turns")
    table.add_row("by hand", f"{found['by_hand_us']:.1f}")
    table.add_row("by mapping csv/learner", f"{found['by_mapping_us']:.1f}")
    table.add_row("ratio", f"{found['ratio']:.2f}")
    table.add_row(
        "peak memory", f"{found['peak_mib_after_2000_rows']} MiB after 2,000 rows, {found['peak_mib']} MiB at the end"
    )
    Console().print(table)


if __name__ == "__main__":
    main()
