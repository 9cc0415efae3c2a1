"""The commands ``sifzone pack ...``: what they read and how they end; the modules beside it do the work."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agents.scaffold.place import written
from agents.workbench.findings import Finding, of_mapping
from agents.workbench.masks import printable, printable_lines
from agents.workbench.pack_new import make_pack
from agents.workbench.pack_trial import ExampleRun, PackRun, try_pack
from broker.protocol.errors import ConfigurationError
from mappings.packs import Pack, pack_problems, packs
from mappings.problems import MappingError, nearest
from mappings.shelves import GROUP, LIBRARY, PACK_FILE, installed

_RIGHT, _PROBLEMS, _UNREADABLE = 0, 1, 2
_MAX_SHOWN: Final = 20
"""Lines on what an example shows."""

app = typer.Typer(
    help="List, make and test mapping packs: folders with all that one system needs.",
    epilog="Examples: sifzone pack list · sifzone pack new our-mis · sifzone pack test our-mis",
    no_args_is_help=True,
)

Library = Annotated[
    list[Path] | None,
    typer.Option("--library", "-l", exists=True, file_okay=False, help="A folder with packs and mappings of your own."),
]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a pack is from: ``library``, ``folder`` or ``package``, the last with the distribution's name."""

    kind: str
    package: str = ""

    def __str__(self) -> str:
        return f"package {self.package}" if self.package else self.kind


@app.command("list", epilog="Examples: sifzone pack list · sifzone pack list --library ./mappings --json")
def list_(library: Library = None, as_json: AsJson = False) -> None:
    """List the packs: those of your folders, of sifzone's own library, and of installed packages.

    --json gives {packs: [{name, version, title, from, package, folder, homepage, mappings}], problems}; from is
    library, folder or package.

    Exit code 0: listed. 1: listed, and there is a pack that cannot be used; what is wrong with it is said.
    """
    found = packs(library or [])
    problems = of_mapping(MappingError(pack_problems(library or [])))
    if as_json:
        plain = [_plain(pack) for pack in found.values()]
        _print_json({"packs": plain, "problems": [problem.plain() for problem in problems]})
    else:
        for pack in found.values():
            origin = _origin(pack)
            where = str(pack.folder) if origin.kind == "folder" else str(origin)
            typer.echo(printable(f"{pack.name:16} {pack.version:10} {where:30} {pack.title}"))
        _show(problems)
    raise typer.Exit(_PROBLEMS if problems else _RIGHT)


@app.command(epilog="Examples: sifzone pack new our-mis · sifzone pack new our-mis --out ./mappings --package")
def new(
    name: Annotated[str, typer.Argument(help="The pack's name, and the new folder's: lower-case, such as our-mis.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the new folder goes.")] = Path(),
    package: Annotated[
        bool, typer.Option("--package", help="A Python package, so that 'pip install' makes the pack known.")
    ] = False,
) -> None:
    """Make a pack to begin with: a mapping that works, an example, a test that passes, a README.

    Exit code 0: made. 2: the name cannot be used, or the folder is there already; nothing is changed.
    """
    try:
        made = make_pack(name, out, package=package)
    except ConfigurationError as error:
        typer.echo(printable_lines(str(error)), err=True)
        raise typer.Exit(_UNREADABLE) from None
    typer.echo(f"Made {made.place}:")
    for file in written(made.place):
        typer.echo(f"  {file}")
    typer.echo(
        "\nPut an export of your system, with made-up data, in the place of the example, and change the mapping:"
    )
    typer.echo(f"  sifzone mapping preview {made.folder / 'learner.toml'} {made.folder / 'examples/pupils.csv'}")
    typer.echo(f"  sifzone mapping test {made.folder} --update\n  sifzone pack test {made.folder}")
    if package:
        typer.echo(f"\nMake it known by its name:\n  pip install {made.place}\n  sifzone pack list")


@app.command(
    "test", epilog="Examples: sifzone pack test · sifzone pack test sims-like roll · sifzone pack test ./our-mis --json"
)
def run_tests(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="Packs, by name or folder; else the one in this folder, or all that are known."),
    ] = None,
    library: Library = None,
    as_json: AsJson = False,
) -> None:
    """Try packs: each mapping, each example from record to valid object, and the tests in tests/MAPPING.

    An example may have faults, to show that they are found: these are told and are not wrong. Wrong is a record with
    neither object nor report, an object that is not valid, a mapping of which nothing is made, and a test with another
    outcome than expected.

    --json gives {right, packs: [{name, version, folder, right, examples: [{file, connector, records, used, reported,
    passed, lost, objects, problems}], goldens, findings}]}; goldens as of sifzone mapping test.

    Exit code 0: all are right, perhaps with warnings. 1: some are not. 2: there is no such pack.
    """
    try:
        runs = list(_runs(what or [], library or []))
    except ConfigurationError as error:
        typer.echo(printable_lines(str(error)), err=True)
        raise typer.Exit(_UNREADABLE) from None
    if as_json:
        _print_json({"right": all(run.right for run in runs), "packs": [run.plain() for run in runs]})
    else:
        for run in runs:
            _show_run(run)
    raise typer.Exit(_RIGHT if all(run.right for run in runs) else _PROBLEMS)


def _runs(what: Sequence[str], library: Sequence[Path]) -> Iterator[PackRun]:
    """Yield what becomes of the packs that are meant.

    Raises:
        ConfigurationError: There is none of a name; none is tried.
    """
    if not what and Path(PACK_FILE).is_file():
        yield try_pack(Path(), library)
        return
    known = packs(library)
    folders = [_folder(text, known) for text in what] if what else [pack.folder for pack in known.values()]
    for folder in folders:
        yield try_pack(folder, library)
    if not what:
        yield from _unusable(library)


def _unusable(library: Sequence[Path]) -> Iterator[PackRun]:
    """Yield the packs that are not among those that are known, with what is wrong with each."""
    findings = of_mapping(MappingError(pack_problems(library)))
    for folder, group in groupby(findings, key=lambda finding: Path(finding.file).parent):
        yield PackRun(folder.name, "", folder, (), None, tuple(group))


def _folder(text: str, known: Mapping[str, Pack]) -> Path:
    path = Path(text)
    if path.is_dir() and ((path / PACK_FILE).is_file() or text not in known):
        return path
    if text in known:
        return known[text].folder
    near = nearest(text, known)
    hint = f"; did you mean {near!r}?" if near else ""
    raise ConfigurationError(f"there is no pack or folder {text[:200]!r}: see sifzone pack list{hint}")


def _origin(pack: Pack) -> _Origin:
    if pack.folder.parent == LIBRARY:
        return _Origin("library")
    if installed().get(pack.name) != pack.folder:
        return _Origin("folder")
    found = next(iter(entry_points(group=GROUP, name=pack.name)), None)
    return _Origin("package", found.dist.name if found is not None and found.dist is not None else pack.name)


def _plain(pack: Pack) -> dict[str, Any]:
    origin = _origin(pack)
    return {
        "name": pack.name,
        "version": pack.version,
        "title": pack.title,
        "from": origin.kind,
        "package": origin.package,
        "folder": str(pack.folder),
        "homepage": pack.homepage,
        "mappings": list(dict.fromkeys(name for source in pack.sources for name in source.mapping)),
    }


def _show_run(run: PackRun) -> None:
    errors = sum(finding.severity == "error" for finding in run.findings)
    warnings = len(run.findings) - errors
    said = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}" if run.findings else "right"
    colour = typer.colors.RED if errors else typer.colors.GREEN
    typer.secho(printable(f"{run.name} {run.version} ({run.folder}): {said}"), bold=True, fg=colour)
    for example in run.examples:
        _show_example(example)
    if run.goldens is not None:
        right = sum(case.right for case in run.goldens.cases)
        rest = f"; none of {', '.join(run.goldens.untested)}" if run.goldens.untested else ""
        typer.echo(printable(f"  tests: {right} of {len(run.goldens.cases)} as expected{rest}"))
    _show(run.findings)


def _show_example(example: ExampleRun) -> None:
    fates = {"used": example.used, "reported": example.reported, "left out by the mapping": example.passed}
    fates["LOST"] = example.lost
    told = ", ".join(f"{count:,} {fate}" for fate, count in fates.items() if count) or "nothing in it"
    made = ", ".join(f"{count:,} {name}" for name, count in example.objects) or "nothing"
    typer.echo(printable(f"  {example.file}: {_counted(example.records, 'record')}: {told}; made: {made}"))
    for problem in example.problems[:_MAX_SHOWN]:
        typer.secho(printable(f"    {problem}"), dim=True)
    if len(example.problems) > _MAX_SHOWN:
        typer.echo(f"    and {len(example.problems) - _MAX_SHOWN} more, with --json")


def _show(findings: Sequence[Finding]) -> None:
    for finding in findings:
        is_error = finding.severity == "error"
        colour = typer.colors.RED if is_error else typer.colors.YELLOW
        typer.secho(printable(f"  {finding}"), err=is_error, fg=colour)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _print_json(values: object) -> None:
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False))


__all__ = ["app"]
