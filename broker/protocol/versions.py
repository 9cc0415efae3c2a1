"""SIF's version numbers and the items of version lists, which may have wildcards."""

import re
from typing import Final

_ITEM: Final = re.compile(r"[0-9]+\.[0-9]+(r[0-9]+)?")


def covers(item: str, version: str) -> bool:
    """Tell whether an item of a version list, such as ``*``, ``2.*``, ``2.0r*`` or ``2.4``, covers *version*.

    Source:
        SIF Infrastructure 2.x, SIF_Version: ``2.0r*`` is the same major and minor number, ``2.*`` the same major one.
    """
    if item == "*":
        return True
    if item.endswith(".*"):
        return version.startswith(item[:-1])
    if item.endswith("r*"):
        base = item[:-2]
        return version == base or version.startswith(base + "r")
    return item == version


def is_item(text: str) -> bool:
    """Tell whether *text* may stand in a version list."""
    if text == "*":
        return True
    plain = text[:-2] + ".0" if text.endswith(".*") else text[:-1] + "1" if text.endswith("r*") else text
    return _ITEM.fullmatch(plain) is not None


__all__ = ["covers", "is_item"]
