"""What the demo schools' exports say of people: the values that must not turn up where no agreement brings them."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lxml import etree

_SAFE: Final = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
_BLANK: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Personal:
    """Values by what they are; all as they stand in the exports, and dates in both ways of writing them.

    Attributes:
        names: Of pupils, each name alone, as written.
        people: Of pupils and staff, forename and surname, in small letters.
        contact_people: Of contacts, likewise.
    """

    upns: set[str] = field(default_factory=set)
    ulns: set[str] = field(default_factory=set)
    births: set[str] = field(default_factory=set)
    ethnicities: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    contact_emails: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    people: set[tuple[str, str]] = field(default_factory=set)
    contact_people: set[tuple[str, str]] = field(default_factory=set)

    def distinctive(self) -> Iterator[tuple[str, set[str]]]:
        """Yield what can be searched for anywhere: no short codes, no words."""
        for kind in ("upns", "ulns", "births", "addresses", "phones", "contact_emails"):
            yield kind, getattr(self, kind)


def read_exports(folder: Path) -> Personal:
    """Return what all exports below *folder* say."""
    found = Personal()
    for path in sorted(folder.rglob("*.xml")):
        for pupil in etree.parse(path, _SAFE).iter("Pupil"):
            _ctf_pupil(pupil, found)
    for path in sorted(folder.rglob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                _row(path.stem, row, found)
    for values in (getattr(found, name) for name in Personal.__dataclass_fields__):
        values.difference_update({"", ("", ""), "UNKNOWN"})  # the last is what an office typed for a UPN
    return found


def _ctf_pupil(pupil: etree._Element, found: Personal) -> None:
    found.upns.update(_texts(pupil.iter("UPN", "FormerUPN", "PreviousUPN")))
    found.ulns.update(_texts(pupil.iter("UniqueLearnerNumber")))
    found.births.update(date for text in _texts(pupil.iter("DOB")) for date in _dates(text))
    found.ethnicities.update(_texts(pupil.iter("Ethnicity")))
    found.needs.update(_texts(pupil.iter("SENtype")))
    found.addresses.update(_texts(pupil.iter("Street", "PostCode")))
    found.phones.update(_texts(pupil.iter("PhoneNo")))
    found.contact_emails.update(_texts(pupil.iterfind("Contacts/Contact/Email")))
    found.contact_people.update(_people(pupil.iterfind("Contacts/Contact")))
    basic = pupil.find("BasicDetails")
    forenames = [pupil.findtext("Forename"), _text(basic, "PreferredForename")]
    surnames = [pupil.findtext("Surname"), _text(basic, "PreferredSurname")]
    _pupil_names(forenames, surnames, found)


def _row(report: str, row: Mapping[str, str], found: Personal) -> None:
    found.upns.add(row.get("UPN", ""))
    if report in ("pupils", "contacts"):
        found.addresses.update({_clean(row["Street"]), _clean(row["Postcode"])})
        found.phones.update({row["Home Phone"], row.get("Mobile Phone", "")})
    if report == "pupils":
        found.ulns.add(row["ULN"])
        found.births.update(_dates(row["DOB"]))
        found.ethnicities.add(row["Ethnicity Code"])
        forenames = [row["Legal Forename"], row["Preferred Forename"]]
        _pupil_names(forenames, [row["Legal Surname"], row.get("Preferred Surname", "")], found)
    elif report == "contacts":
        found.contact_emails.add(row["Email"])
        found.contact_people.add((row["Forename"].lower(), row["Surname"].lower()))
    elif report == "sen":
        found.needs.update({row["SEN Need 1"], row["SEN Need 2"]})
    elif report == "staff":
        found.people.add((row["Forename"].lower(), row["Surname"].lower()))


def _pupil_names(forenames: Iterable[str | None], surnames: Iterable[str | None], found: Personal) -> None:
    first, last = ({_clean(name) for name in names if name} for names in (forenames, surnames))
    found.names.update(name for name in first | last if len(name) > 2)
    found.people.update((forename.lower(), surname.lower()) for forename in first for surname in last)


def _people(elements: Iterable[etree._Element]) -> Iterator[tuple[str, str]]:
    for element in elements:
        yield _text(element, "Forename").lower(), _text(element, "Surname").lower()


def _texts(elements: Iterable[etree._Element]) -> Iterator[str]:
    return (_clean(element.text or "") for element in elements)


def _text(element: etree._Element | None, name: str) -> str:
    return _clean(element.findtext(name) or "") if element is not None else ""


def _clean(text: str) -> str:
    return _BLANK.sub(" ", text).strip()


def _dates(text: str) -> Iterator[str]:
    yield text
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", text):
        yield "/".join(reversed(match.groups()))
    elif match := re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", text):
        yield "-".join(reversed(match.groups()))
