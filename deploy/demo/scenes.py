"""Plays a story: something happens, what must come of it is waited for, and what people then see is printed."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from rich.console import Console

PATIENCE: Final = 60.0
"""Seconds within which all that is expected of a scene has to come."""
_LOOK: Final = 0.2


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that must come, in words, and how to see whether it has."""

    words: str
    has_come: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the story.

    Attributes:
        headline: What happens.
        act: Makes it happen.
        show: Prints what people see afterwards.
    """

    headline: str
    act: Callable[[], None]
    expected: tuple[Expected, ...]
    show: Callable[[], None]


def play(
    scenes: Iterable[Scene],
    console: Console,
    check: Callable[[], None],
    pause: Callable[[], None],
    patience: float = PATIENCE,
) -> tuple[str, ...]:
    """Play *scenes* in order, and return what has not come as expected, in words; empty when all has.

    A scene is played though one before it did not come out: its own headline says what it builds on.

    Args:
        check: Called while waiting, to see to what runs.
        pause: Called after each scene.
        patience: Seconds for each scene.
    """
    missing: list[str] = []
    for scene in scenes:
        console.print()
        console.rule(f"[bold]{scene.headline}", align="left")
        began = time.monotonic()
        scene.act()
        late = _await(scene.expected, check, began + patience)
        scene.show()
        for one in scene.expected:
            if one in late:
                console.print(f"[bold red]not as expected:[/] {one.words}", highlight=False)
            else:
                console.print(f"[green]as expected:[/] {one.words}", highlight=False)
        console.print(f"[dim]{time.monotonic() - began:.0f} s[/]", highlight=False)
        missing += [f"{scene.headline}: {one.words}" for one in late]
        pause()
    return tuple(missing)


def _await(expected: tuple[Expected, ...], check: Callable[[], None], until: float) -> tuple[Expected, ...]:
    """Wait until all of *expected* is so at once; return what was not when time was over."""
    while True:
        late = tuple(one for one in expected if not one.has_come())
        if not late or time.monotonic() > until:
            return late
        check()
        time.sleep(_LOOK)


__all__ = ["PATIENCE", "Expected", "Scene", "play"]
