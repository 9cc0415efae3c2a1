"""How values of a source are put on a screen: without control characters, and as shapes where they must not be read."""

from typing import Final

_MAX: Final = 300


def printable(text: str) -> str:
    """Return a text in which nothing can move the cursor or change the terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines, each as :func:`printable` has it."""
    return "\n".join(printable(line) for line in text.splitlines())


def shown(text: str) -> str:
    """Return a value for the screen, cut to 300 characters."""
    return f"{printable(text[:_MAX])}..." if len(text) > _MAX else printable(text)


def shape(text: str) -> str:
    """Return what a text looks like and not what it says: ``Ann-Lee 7`` is ``Aaa-Aaa 9``."""
    return "".join(_shape_of(character) for character in shown(text))


def _shape_of(character: str) -> str:
    if character.isalpha():
        return "a" if character.islower() else "A"
    return "9" if character.isnumeric() else character


__all__ = ["printable", "printable_lines", "shape", "shown"]
