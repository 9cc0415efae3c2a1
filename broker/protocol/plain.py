"""An object as plain values, for JSON; what it means, and who may see it, is the caller's."""

from typing import Any

from lxml import etree

from broker.protocol.envelope import local_name


def plain_values(element: etree._Element) -> Any:
    """Return the content of an element: ``@name`` for attributes, a list where there are several of a child.

    An element with text alone is that text, without the blanks around it; with more, the text is under ``#text``.
    """
    values: dict[str, Any] = {f"@{etree.QName(name).localname}": value for name, value in element.attrib.items()}
    for child in element.iterchildren("*"):
        name, value = local_name(child), plain_values(child)
        if name not in values:
            values[name] = value
        elif isinstance(values[name], list):
            values[name].append(value)
        else:
            values[name] = [values[name], value]
    text = (element.text or "").strip()
    if not values:
        return text
    if text:
        values["#text"] = text
    return values


__all__ = ["plain_values"]
