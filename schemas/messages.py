"""Infrastructure messages against their XSD: the envelope around objects; the objects in them are for the registry."""

from functools import cache
from importlib.resources import as_file, files
from typing import Final, cast

from lxml import etree

from schemas.model import Finding

MAX_FINDINGS: Final = 100
_CONTENT: Final = frozenset({"SCHEMAV_ELEMENT_CONTENT", "SCHEMAV_CVC_COMPLEX_TYPE_2_4"})
_SIF_CODES: Final = {"content": 3, "value": 4}


@cache
def _compiled() -> etree.XMLSchema:
    with as_file(files("schemas") / "infrastructure_2") as folder:
        return etree.XMLSchema(file=str(folder / "SIF_Message.xsd"))


def check_message(message: etree._Element) -> tuple[Finding, ...]:
    """Check a SIF_Message against the message schema, the objects in it left aside.

    Args:
        message: The SIF_Message element.

    Returns:
        What is wrong, in document order and at most 100; empty when it is valid.

    Source:
        SIF UK 1.3 infrastructure messages, more lenient where agents in use deviate.
    """
    schema = _compiled()
    if schema(message):
        return ()
    found: dict[tuple[str, str], Finding] = {}  # libxml2 says of one value twice what is wrong
    for error in schema.error_log:  # type: ignore[attr-defined]  # the stubs leave it out
        rule = "content" if error.type_name in _CONTENT else "value"
        if (error.path, rule) in found:
            continue
        if len(found) == MAX_FINDINGS:  # the way to each is looked for from the start
            break
        path = _names(message, error.path or "")
        name = "/".join(path.split("/")[-2:]) or "SIF_Message"
        if rule == "content":
            said = (
                f"{name} is missing something, or is out of place, repeated or unknown: compare it with the standard."
            )
        else:
            said = f"{name} is not in the right form: correct it as the standard has it."
        found[error.path, rule] = Finding(path, error.line, rule, "refuse", said, None, _SIF_CODES[rule])
    return tuple(sorted(found.values(), key=lambda finding: finding.line))


def _names(message: etree._Element, path: str) -> str:
    """Return the names on the way to where libxml2's path, such as /*/*[2], leads; "" for the message itself."""
    prefixes = {prefix: uri for prefix, uri in message.nsmap.items() if prefix}
    try:
        # a tree of its own, since libxml2 takes the message for the root even where it is in another document
        (place,) = cast("list[etree._Element]", etree.ElementTree(message).xpath(path, namespaces=prefixes))
    except (etree.XPathError, ValueError):  # to more than one, or with a prefix declared further down
        return ""
    names: list[str] = []
    for element in (place, *place.iterancestors()):
        if element is message:
            break
        names.append(str(element.tag).rpartition("}")[2][:60])
    return "/".join(reversed(names))
