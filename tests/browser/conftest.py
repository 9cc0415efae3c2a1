"""One Chromium for each file of tests, Debian's own, and for each test a fresh page that watches what it loads."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

import schemas
from broker.console import quality_page, write_dictionary
from tests.unit.console.samples import MERLIN, VIRTUAL, hostile_agreement, report

_QUIET: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDE: Final = 1280
NARROW: Final = 360
"""Widths in CSS pixels: of a desk, and of a small telephone."""


@dataclass(slots=True)
class Watched:
    """A page, what it asked for and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, file: Path) -> Page:
        """Open a file as somebody does who clicks it in a folder."""
        self.page.goto(file.as_uri())
        return self.page

    def violations(self, *rules: str) -> list[str]:
        """Return what axe-core has against the page, with the first place of each; past the page's own policy.

        Args:
            rules: Those to be tried; none means all that axe-core has.
        """
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found: dict[str, Any] = self.page.evaluate("options => axe.run(options)", options)
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]


Opened = Callable[..., Watched]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file.

    Not for the run: while it is there, Playwright's event loop counts as running, and no other test could start one.
    """
    path = shutil.which("chromium")
    assert path, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Make a page: ``opened(width=360, script=False)``."""
    contexts: list[BrowserContext] = []

    def make(*, width: int = WIDE, script: bool = True) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=script)
        contexts.append(context)
        watched = Watched(context.new_page())
        _watch(watched)
        return watched

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dictionary, one of whose agreements is hostile."""
    folder = tmp_path_factory.mktemp("dictionary")
    write_dictionary(folder, schemas.load(), (MERLIN, VIRTUAL, hostile_agreement()))
    return folder


@pytest.fixture(scope="session")
def quality(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of data quality as a file."""
    file = tmp_path_factory.mktemp("quality") / "quality.html"
    file.write_text(quality_page(report()), encoding="utf-8")
    return file


def _watch(watched: Watched) -> None:
    def asked(request: Request) -> None:
        watched.requests.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            watched.complaints.append(message.text)

    watched.page.on("request", asked)
    watched.page.on("console", said)
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.on("dialog", lambda dialog: watched.complaints.append(f"a dialog opened: {dialog.message}"))
