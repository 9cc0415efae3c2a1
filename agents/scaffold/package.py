"""An agent with Python of its own: a package with a connector, a converter, a mapping and tests, that passes them."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from agents.scaffold.place import IGNORED, new_folder
from agents.zone_files import ENTRY, ZoneAgent, entry_lines
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId

OBJECT: Final = "LearnerPersonal"
"""The object that the example makes."""
_FILES: Final = {
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "agent.toml": "agent.toml",
    "init.py": "$module/__init__.py",
    "connector.py": "$module/connector.py",
    "converters.py": "$module/converters.py",
    "pack_init.py": "$module/pack/__init__.py",
    "pack.toml": "$module/pack/pack.toml",
    "pack_README.md": "$module/pack/README.md",
    "learner.toml": "$module/pack/learner.toml",
    "cards.txt": "$module/pack/examples/cards.txt",
    "cards.expected.xml": "$module/pack/tests/learner/cards.expected.xml",
    "test_connector.py": "tests/test_connector.py",
    "test_mapping.py": "tests/test_mapping.py",
    "test_agent.py": "tests/test_agent.py",
}
"""Templates, and the files that they become."""
_COPIES: Final = ("exports/cards.txt", "$module/pack/tests/learner/cards.txt")
"""Where the example's export is also needed."""
_IGNORED_HERE: Final = "/exports/*\n!/exports/cards.txt\n__pycache__/\n*.egg-info/\n"
"""The tests need the example, which is made up; whatever else is put beside it is not."""
_TAKEN: Final = frozenset({"agents", "broker", "mappings", "schemas", "tests"})


@dataclass(frozen=True, slots=True)
class Package:
    """A new package.

    Attributes:
        module: What Python imports it by.
        entry: What a zone's administrator is asked for.
    """

    folder: Path
    module: str
    entry: ZoneAgent


def make_package(place: Path, agent: AgentId, establishments: Sequence[str] = ()) -> Package:
    """Make a Python package for an agent and return it.

    Raises:
        ConfigurationError: The place is taken, or no module can have the agent's name. Nothing is left behind.
    """
    module = re.sub(r"[.-]", "_", agent).lower()
    if not module.isidentifier() or keyword.iskeyword(module) or module in _TAKEN:
        raise ConfigurationError(
            f"{agent}: no Python package can have this name: begin with a letter, and use none of Python's own words "
            f"nor {', '.join(sorted(_TAKEN))}"
        )
    entry = ZoneAgent(agent, establishments=establishments, publish=[OBJECT])
    words = {"agent": agent, "module": module, "pack": agent.replace(".", "-")}
    with new_folder(place) as folder:
        for template, name in _FILES.items():
            _write(folder / Template(name).substitute(words), Template(_text(template)).substitute(words))
        for name in _COPIES:
            _write(folder / Template(name).substitute(words), _text("cards.txt"))
        _write(folder / module / "py.typed", "")
        _write(folder / ".gitignore", IGNORED.replace("/exports/\n", _IGNORED_HERE))
        _write(folder / ENTRY, "\n".join(entry_lines(entry)) + "\n")
    return Package(place, module, entry)


def _text(template: str) -> str:
    return (files("agents.scaffold") / "templates" / f"{template}.tmpl").read_text(encoding="utf-8")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


__all__ = ["OBJECT", "Package", "make_package"]
