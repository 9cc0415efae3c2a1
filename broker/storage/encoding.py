"""Turns values into columns, whatever an agent sent: text that both databases can keep, and JSON; writes nothing."""

import hashlib
import json
from typing import Final

_LONGEST: Final = 128
_KEPT: Final = 48

_compact: Final = json.JSONEncoder(separators=(",", ":"))
encode_json: Final = _compact.encode
"""Compact JSON in ASCII: PostgreSQL keeps no NUL, and neither database a lone surrogate, except escaped."""
decode_json: Final = json.loads


def token(text: str) -> str:
    """Return *text* as both databases can keep and index it: itself when it is what it should be.

    An identifier from a hostile message may be megabytes long or hold what a database refuses; a refused
    commit would be tried for ever. Such text becomes its escaped beginning and a hash, so that two stay two.
    """
    if len(text) <= _LONGEST and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{ascii(text[:_KEPT])[1:-1][:_KEPT]}~{digest}"


def sentence(text: str) -> str:
    """Return *text* with everything that does not print escaped."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
