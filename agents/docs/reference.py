"""Writes as Markdown what the program itself knows: settings, options of connectors, and commands with their help."""

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import entry_points
from inspect import getdoc
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click
from typer.main import get_command

from agents import connectors, fetchers
from agents.connectors.contract import NoOptions
from agents.credentials import Secret
from agents.settings import AgentSettings, Percent, SourceSettings, TargetSettings
from mappings.packs import packs
from mappings.shelves import LIBRARY

COMMANDS: Final = ("mapping", "pack", "agent", "certify", "docs")
"""The commands that integrators work with; the others are for who runs a zone."""
_PARTS: Final = (
    ("Read files", "read", "A source with `path`."),
    ("Read systems", "read_since", "A source without `path`: each time it reads what has changed since the last."),
    ("Write", "write", "A `[target]`, which gets what the agent receives."),
)
_WORDS: Final[dict[object, str]] = {
    bool: "true or false",
    int: "number",
    float: "number",
    str: "text",
    Path: "path",
    timedelta: 'duration: `"15m"`',
    Secret: '`"env:NAME"` or `"file:PATH"`',
}
_LEFT_OUT: Final = re.compile(r"^\* `--(help|install-completion|show-completion)`.*\n", re.MULTILINE)
_NO_OPTIONS: Final = re.compile(r"^\*\*Options\*\*:\n\n(?!\* )", re.MULTILINE)
_LIST_OF_COMMANDS: Final = re.compile(r"^\*\*Commands\*\*:\n\n(\* .*\n)+", re.MULTILINE)
_PROSE: Final = re.compile(r"^(\* `[^`]*`:? ?|(?=[^#*`$]))(.*)$", re.MULTILINE)
"""What people wrote in the help: behind an option's name, or a line of its own; the rest is Typer's Markdown."""
_EXAMPLES: Final = re.compile(r"^Examples?:\s*(.+)$", re.MULTILINE)
_MARKUP: Final = re.compile(r"`[^`]*`|[\\*_\[\]]")
_LONG_SIZE: Final = 1 << 20


def connectors_reference() -> str:
    """Return the settings of an agent's file, then each connector and fetcher that is installed with its options."""
    return "\n".join(_connectors())


def commands_reference() -> str:
    """Return what ``--help`` says of each command for integrators."""
    found = {entry.name: entry for entry in entry_points(group="sifzone.commands")}
    return "\n".join(_command(name, found[name].load()) for name in COMMANDS if name in found)


def packs_reference() -> str:
    """Return the packs of the library, with the files that each reads and the mappings for them."""
    return "\n".join(_packs())


def _command(name: str, app: typer.Typer) -> str:
    command = get_command(app)
    context = typer.Context(command, info_name=name)
    text = get_docs_for_click(obj=command, ctx=context, indent=1, name=f"sifzone {name}")
    text = _LIST_OF_COMMANDS.sub("", _NO_OPTIONS.sub("", _LEFT_OUT.sub("", text)))
    return _EXAMPLES.sub(_examples, _PROSE.sub(lambda found: found[1] + _plain(found[2]), text))


def _examples(found: re.Match[str]) -> str:
    return "**Examples**:\n\n" + "\n".join(f"* `{example.strip()}`" for example in found[1].split("·"))


def _connectors() -> Iterator[str]:
    yield "## The agent's file\n"
    yield from _table(AgentSettings, leave_out=("file", "sources", "target"))
    yield "\n## Each `[[source]]`\n"
    yield from _table(SourceSettings)
    yield "\n## The `[target]`\n"
    yield from _table(TargetSettings)
    found = {name: connectors.find(name) for name in connectors.connector_names()}
    for title, method, words in _PARTS:
        yield f"\n## {title}\n\n{words}\n"
        for name, connector in found.items():
            if hasattr(connector, method):
                yield from _connector(name, connector, {other.Options: known for known, other in found.items()})
    yield "\n## Fetch files of other machines\n\nOptions go into `[source.fetch]`.\n"
    for name in fetchers.fetcher_names():
        yield f'\n### {name}\n\n`path = "{name}://USER@HOST/FOLDER/*.csv"`\n'
        yield from _table(fetchers.find(name).Options)


def _packs() -> Iterator[str]:
    shipped = [pack for pack in packs().values() if pack.folder.is_relative_to(LIBRARY)]
    yield "## Shipped packs\n"
    for pack in shipped:
        yield f"\n### {pack.name}\n\n{_plain(pack.title)}.\n"
        yield "| Example | Connector | Mappings |\n|---|---|---|"
        for source in pack.sources:
            example = f"`{Path(source.example).name}`" if source.example else ""
            yield f"| {example} | `{source.connector}` | {', '.join(f'`{name}`' for name in source.mapping)} |"


def _connector(name: str, connector: Any, known: dict[type[BaseModel], str]) -> Iterator[str]:
    """Yield a connector; options that it has from another are named once, there."""
    model: type[BaseModel] = connector.Options
    doc = (sys.modules[connector.__module__].__doc__ or "").splitlines()
    yield f"\n### {name}\n\n{_plain(doc[0] if doc else '')}\n"
    other = next((base for base in model.__mro__[1:] if base in known and base is not NoOptions), None)
    if other is not None:
        yield f"Takes the options of [{known[other]}](#{known[other]}), and:\n"
    yield from _table(model, leave_out=tuple(other.model_fields) if other is not None else ())


def _table(model: type[BaseModel], *, leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a table of options, then those of the tables in it."""
    fields = model.model_fields.items()
    options = {name: field for name, field in fields if name not in leave_out and not field.exclude}
    if not options:
        yield "No options."
        return
    rows = {field.alias or name: field for name, field in options.items() if not _is_told_already(field)}
    if rows:
        yield "| Option | Value | If left out | |\n|---|---|---|---|"
    for name, field in rows.items():
        yield f"| `{name}` | {_cell(_kind_of(field))} | {_default(field)} | {_cell(_plain(field.description or ''))} |"
    for name, field in options.items():
        for inner in _models(field.annotation):
            yield f"\n`{field.alias or name}`: {_plain(getdoc(inner) or '').splitlines()[0]}\n"
            yield from _table(inner)


def _is_told_already(field: FieldInfo) -> bool:
    """Whether a field has one value, which tells its table from others, and stands in the line above it."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1 and field.is_required()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return _duration(value)
        case int() if value >= _LONG_SIZE:
            return f"`{value:_}`"
        case float() if 0 < value < 1:
            return f'`"{value:.0%}"`'
        case int() | float():
            return f"`{value}`"
        case str() if value.strip():
            return f'`"{_cell(value)}"`'
    return ""


def _duration(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f'`"{seconds // size}{unit}"`'
    return f'`"{seconds}s"`'


def _kind_of(field: FieldInfo) -> str:
    is_percentage = any(part in field.metadata for part in get_args(Percent)[1:])
    return 'percentage: `"10%"`' if is_percentage else _kind(field.annotation)


def _kind(annotation: Any) -> str:
    """Return in words what a TOML file has there."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inside[0])
    if origin in (Union, UnionType):
        return " or ".join(filter(None, dict.fromkeys(_kind(each) for each in inside if each is not type(None))))
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in inside if value)
    if origin in (tuple, list, frozenset):
        return "list"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "table"
    return _WORDS.get(annotation, "text")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that are in an option's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from _models(inside)


def _plain(text: str) -> str:
    """Return a sentence as Markdown that shows it as it is, but for what docstrings write as code."""
    return _MARKUP.sub(lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", text.replace("``", "`"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


__all__ = ["COMMANDS", "commands_reference", "connectors_reference", "packs_reference"]
