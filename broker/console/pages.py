"""What every page has in common: templates, styles, script, the security policy, and safe names of files."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from broker.console import words

GENERATOR: Final = "sifzone data dictionary"
"""What the pages of a dictionary say made them; only pages that say so are ever removed."""
_STYLES: Final = ("govuk-frontend-6.6.0.min.css", "console.css")
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DEVICES: Final = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)  # names that Windows keeps to itself


def render(template: str, values: Mapping[str, object], *, root: str = "", inline_styles: bool = False) -> str:
    """Return a page as HTML. Every value is escaped; the template decides on nothing but layout.

    Args:
        template: Name of a file in templates/.
        values: What the template shows; each has a ``title``.
        root: The way from the page to the folder with index.html and style.css, for example "../".
        inline_styles: Whether the page holds its styles itself, to be kept as one file.
    """
    page = _environment().get_template(template)
    script, css = static("filter.js"), styles() if inline_styles else ""
    ours = {"csp": _policy(script, css), "script": script, "styles": css, "generator": GENERATOR, "words": words}
    return page.render(**ours, **values, root=root)


@cache
def styles() -> str:
    """Return the styles of all pages: GOV.UK Frontend's, then our own."""
    return "".join(static(name) for name in _STYLES)


@cache
def static(name: str) -> str:
    """Return the text of a file in static/."""
    return (files("broker.console") / "static" / name).read_text(encoding="utf-8")


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return a file name for each name, which differ on any file system and lead out of no folder.

    A name of letters, digits, "-" and "_" is kept. What is too long, hidden, a device of Windows or, but for upper
    and lower case, the same as another is told apart by a digest.
    """
    known = tuple(dict.fromkeys(names))
    folded = [name.casefold() for name in known]
    return {name: _file_name(name, unique=folded.count(name.casefold()) == 1) for name in known}


def _file_name(name: str, *, unique: bool) -> str:
    if unique and _SAFE_NAME.fullmatch(name) and not _DEVICES.fullmatch(name):
        return f"{name}.html"
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:40] or 'page'}.{digest}.html"


def _policy(script: str, css: str) -> str:
    """Return a Content-Security-Policy that lets through our script and our styles, and no request elsewhere.

    The script is named by its digest, so that nothing that slipped into a page could run. ``file:`` stands beside
    ``'self'`` because a page that is opened from a folder has, by the letter of the policy, no self.
    """
    style = _digest(css) if css else "'self' file:"
    return f"default-src 'none'; style-src {style}; script-src {_digest(script)}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("broker.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
