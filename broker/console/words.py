"""How the pages say in plain English what schemas, code lists and agreements say in their own terms."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final

import schemas
from broker.agreements import Scope

# not strftime's, which follow the machine's language
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_BOUNDED: Final = re.compile(r"Text([0-9]+)")  # how the schemas name a type of a line with a greatest length
_SIMPLE_TYPES: Final = {
    "NINumber": "National Insurance number",
    "PhoneDigits": "Telephone number: digits",
    "RefId": "RefId: 32 hexadecimal digits",
    "ULN": "Unique Learner Number: 10 digits",
    "UPRN": "Unique Property Reference Number",
    "USRN": "Unique Street Reference Number",
}
_TYPES: Final = {
    "": "Holds other elements",
    "xs:anyType": "Anything",
    "xs:anyURI": "Web address",
    "xs:base64Binary": "A file, written as text (Base64)",
    "xs:boolean": "True or false",
    "xs:date": "Date",
    "xs:dateTime": "Date and time",
    "xs:decimal": "Number",
    "xs:duration": "Length of time",
    "xs:gYear": "Year",
    "xs:integer": "Whole number",
    "xs:normalizedString": "Text, one line",
    "xs:string": "Text",
    "xs:time": "Time of day",
    "xs:token": "Text, one line",
    "xs:unsignedInt": "Whole number, not below 0",
}
_SCOPES: Final = {
    Scope.ENROLLED: "Learners enrolled at a school that the recipient serves",
    Scope.LOOKED_AFTER: "Learners whom the recipient's authority looks after",
    Scope.RESIDENT: "Learners who live in the recipient's authority",
    Scope.TRANSFERRING: "Learners on their way to a school that the recipient serves, or that has no agent",
    Scope.ALL: "All learners",
}
_RULES: Final = {
    "edition": "Not in this version of the standard",
    "empty": "Empty",
    "missing": "Missing",
    "namespace": "Wrong namespace",
    "nil": "Emptied where it may not be",
    "not-valid": "Not valid",
    "order": "Wrong order",
    "repeated": "There more than once",
    "text": "Text where none belongs",
    "unique": "Twice the same in a list",
    "unknown-attribute": "Unknown attribute",
    "unknown-code": "Unknown code",
    "unknown-element": "Unknown element",
    "value": "Not a possible value",
}


def type_of(node: schemas.Node) -> str:
    """Return what an element or attribute holds; of a code or a reference only the words that come before its link."""
    if node.codes:
        return "Code of"
    if node.refs:
        return "RefId of"
    if bounded := _BOUNDED.fullmatch(node.simple_type):
        return f"Text, one line of at most {bounded[1]} characters"
    return _SIMPLE_TYPES.get(node.simple_type) or _TYPES.get(node.type, node.type.removeprefix("xs:"))


def rules_of(node: schemas.Node, *, is_key: bool) -> str:
    """Return the rules of an element or attribute in one line, "" when it has none."""
    rules = (
        (is_key, "part of the key"),
        (node.mandatory, "mandatory"),
        (node.repeatable, "may be repeated"),
        (node.nillable, "may be emptied"),
        (node.unique_by is not None, f"each with another {node.unique_by}"),
    )
    said = ", ".join(words for holds, words in rules if holds)
    return said[:1].upper() + said[1:]


def openness(code_list: schemas.CodeList) -> str:
    """Return what happens to a code that a list does not have."""
    if code_list.open:
        return "Open: a code that is not in the list is let through with a warning"
    return "Closed: an object with a code that is not in the list is refused"


def learners(scope: Scope) -> str:
    """Return which learners a scope means."""
    return _SCOPES[scope]


def rule_name(rule: str) -> str:
    """Return a rule that data broke, for example "Unknown code" for "unknown-code"."""
    return _RULES.get(rule) or rule.replace("-", " ").capitalize()


def day(when: date) -> str:
    """Return a date as GOV.UK writes it: 1 September 2026."""
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def short_day(when: date) -> str:
    """Return a date for a narrow place: 1 Sep."""
    return f"{when.day} {_MONTHS[when.month - 1][:3]}"


def moment(when: datetime) -> str:
    """Return an aware point of time in UTC: 1 September 2026, 08:15 UTC."""
    utc = when.astimezone(UTC)
    return f"{day(utc)}, {utc:%H:%M} UTC"


def listed(names: Iterable[str]) -> str:
    """Return names as one string: "a, b"; "none" when there is none."""
    return ", ".join(names) or "none"
