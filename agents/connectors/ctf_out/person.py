"""What a transfer file says alike of pupils and of adults: address, telephones, e-mail."""

from agents.connectors.ctf_out.kept import KeptObject
from agents.connectors.ctf_out.tree import Element, group, leaf
from schemas import codes


def phones(person: KeptObject) -> Element | None:
    """Return the Phones of a person."""
    paths = ("PersonalInformation/PhoneNumber", "PersonalInformation/OtherPhoneNumberList/PhoneNumber")
    found = [phone for path in paths for phone in person.all(path)]
    numbers = ((phone.get("Type") or "", person.take("Number", phone)) for phone in found)
    return group(
        "Phones", *(group("Phone", leaf("TelephoneType", kind), leaf("PhoneNo", no)) for kind, no in numbers if no)
    )


def email(person: KeptObject) -> str:
    """Return the first e-mail address of a person."""
    return person.take("PersonalInformation/Email") or person.take("PersonalInformation/OtherEmailList/Email")


def current_address(person: KeptObject) -> Element | None:
    """Return the Address of where a person lives now; None when no object says."""
    found = [
        address
        for path in ("PersonalInformation/Address", "PersonalInformation/OtherAddressList/Address")
        for address in person.all(path)
        if address.get("Type") == "Current"
    ]
    return _address(person, found[0]) if found else None


def _address(person: KeptObject, address: Element) -> Element | None:
    def part(tag: str, path: str = "") -> Element | None:
        return leaf(tag, person.take(path or tag, address))

    return group(
        "Address",
        group(
            "BS7666Address",
            leaf("SAON", _building(person, "SAON", address)),
            leaf("PAON", _building(person, "PAON", address)),
            part("Street"),
            part("Locality"),
            part("Town"),
            part("AdministrativeArea"),
            part("PostTown"),
            part("UniquePropertyReferenceNumber"),
        ),
        part("County"),
        part("PostCode"),
        leaf("Country", _country(person, address)),
        part("Easting", "GridLocation/PropertyEasting"),
        part("Northing", "GridLocation/PropertyNorthing"),
    )


def _building(person: KeptObject, tag: str, address: Element) -> str:
    """Return a name and numbers as one text: ``Larch House, 14A-16``."""
    first, last = (
        person.take(f"{tag}/{end}Number", address) + person.take(f"{tag}/{end}NumberSuffix", address)
        for end in ("Start", "End")
    )
    numbers = "-".join(part for part in (first, last) if part)
    return ", ".join(part for part in (person.take(f"{tag}/Description", address), numbers) if part)


def _country(person: KeptObject, address: Element) -> str:
    """Return the country in words, as files have it."""
    code = person.take("Country", address)
    return codes("CountryCode").labels.get(code, code)


__all__ = ["current_address", "email", "phones"]
