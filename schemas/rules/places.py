"""Rules about addresses."""

import re
from collections.abc import Iterable
from typing import Final

from lxml import etree

from schemas.rules.facts import Facts
from schemas.rules.rule import Fault, Rule, child_of, text_of

# the shape alone: areas come and go; BFPO numbers are how forces' addresses were written before they had postcodes,
# and ZZ99 begins what the NHS writes where there is none, for example of somebody without a fixed abode
_FORM: Final = re.compile(
    r"[A-Z]{1,2}[0-9][0-9A-Z]? *[0-9][ABD-HJLNP-UW-Z]{2}|GIR ?0AA|BFPO ?[0-9]{1,4}|ZZ99 ?[0-9][A-Z]{2}",
    re.IGNORECASE | re.ASCII,
).fullmatch
_POSTCODE: Final = ("PostCode",)


def postcode_form(element: etree._Element, _: Facts) -> Iterable[Fault]:
    """Find a postcode that is not in the form of a UK one, unless the address is in another country."""
    postcode = text_of(element)
    if not postcode or _FORM(postcode):
        return ()
    if text_of(child_of(element.getparent(), "Country")) not in ("", "GBR"):
        return ()
    message = (
        "PostCode is not in the form of a UK postcode, such as AA1 1AA: correct it in the address, or give the Country "
        "if the address is abroad."
    )
    return (Fault(element, message),)


RULES: Final = (
    Rule(
        "postcode-form",
        "Form of postcodes",
        {
            "ContactPersonal": _POSTCODE,
            "LAInfo": _POSTCODE,
            "LearnerPersonal": _POSTCODE,
            "SchoolInfo": _POSTCODE,
            "WorkforcePersonal": _POSTCODE,
        },
        "warn",
        "BS 7666 and the Royal Mail's rules for postcodes; the schema of SIF UK has no pattern for them.",
        postcode_form,
    ),
)
