"""A story says what has not come as expected, and its zone's clock is never behind what is exported."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from broker.clock import zone_today
from broker.settings import load_zone
from deploy.demo.folder import make_folder, set_clock
from deploy.demo.scenes import Expected, Scene, play

PATIENCE = 0.3


def told(*scenes: Scene) -> tuple[tuple[str, ...], str]:
    """Play *scenes*; return what is missing, and what was printed."""
    text = io.StringIO()
    missing = play(scenes, Console(file=text, width=120), lambda: None, lambda: None, PATIENCE)
    return missing, text.getvalue()


def scene(headline: str, *expected: Expected, act: Callable[[], None] = lambda: None) -> Scene:
    return Scene(headline, act, expected, lambda: None)


def test_what_comes_while_it_is_waited_for_is_as_expected() -> None:
    looks: list[None] = []

    def has_come() -> bool:
        looks.append(None)
        return len(looks) > 1

    missing, printed = told(scene("A file arrives", Expected("it is read", has_come)))

    assert missing == ()
    assert "as expected: it is read" in printed
    assert "not as expected" not in printed


def test_what_does_not_come_is_named_with_its_scene_and_the_rest_is_still_told() -> None:
    acted: list[str] = []
    missing, printed = told(
        scene("First", Expected("this comes", lambda: True), Expected("this never comes", lambda: False)),
        scene(
            "Second",
            Expected("this depends on what was done", lambda: acted == ["done"]),
            act=lambda: acted.append("done"),
        ),
    )

    assert missing == ("First: this never comes",)
    assert "not as expected: this never comes" in printed
    assert "as expected: this depends on what was done" in printed


def test_a_zone_whose_machine_is_behind_the_exports_goes_by_their_day(tmp_path: Path) -> None:
    make_folder(tmp_path / "zone")
    zone = load_zone(tmp_path / "zone")
    present = zone_today(zone)

    set_clock(zone, present - timedelta(days=5))
    assert zone_today(zone) == present
    set_clock(zone, present + timedelta(days=5))
    assert zone_today(zone) == present + timedelta(days=5)
    assert zone.state.stat().st_mode & 0o077 == 0
