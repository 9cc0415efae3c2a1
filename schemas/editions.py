"""Editions of the SIF UK data model, and which one a message is written in."""

from typing import Final, Literal, get_args

Edition = Literal["1.0", "1.1", "1.2", "1.3"]

EDITIONS: Final[tuple[Edition, ...]] = get_args(Edition)
NEWEST: Final[Edition] = "1.3"
WIRE_VERSIONS: Final[dict[Edition, str]] = {"1.0": "2.0r1", "1.1": "2.1", "1.2": "2.3", "1.3": "2.4"}
"""SIF_Message/@Version of each edition: the number of its infrastructure, not its own."""
_BY_MINOR: Final[dict[str, Edition]] = {"2.0": "1.0", "2.1": "1.1", "2.2": "1.1", "2.3": "1.2", "2.4": "1.3"}


def edition_of(version: str) -> Edition:
    """Return the edition that a SIF_Message/@Version such as 2.0r1 stands for.

    Source:
        SIF UK 1.0 to 1.3: infrastructure 2.0r1, 2.1, 2.3 and 2.4. A number between two of these is read as the lower
        one, and what is newer as 1.3.
    """
    return _BY_MINOR.get(version.split("r", 1)[0], NEWEST)
