"""The commands ``sifzone mapping ...``: what they read and how they end; the modules beside it do the work."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from agents.connectors.contract import SourceError
from agents.connectors.sets import csv_text, guarded
from agents.progress import shown_progress
from agents.workbench.back import one_way, rows_back
from agents.workbench.check import check_sample
from agents.workbench.compare import compare, show_comparison
from agents.workbench.coverage import cover, show_coverage
from agents.workbench.doc import describe, render
from agents.workbench.findings import Finding, of_mapping
from agents.workbench.golden import Golden, GoldenRun, run_goldens, update_golden
from agents.workbench.masks import printable, printable_lines
from agents.workbench.new import EXAMPLES, new
from agents.workbench.objects import ObjectsOf, read_xml
from agents.workbench.preview import previews, show_preview
from agents.workbench.reading import open_source
from agents.workbench.samples import parse_options
from agents.workbench.watch import run_again
from agents.writing import write_text
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings import InwardMapping, OutwardMapping
from mappings.loader import load, shipped_names
from mappings.problems import MappingError

_PIPED_WIDTH: Final = 200
"""Characters a line may have where no terminal sets a width."""
_RIGHT, _PROBLEMS, _UNREADABLE = 0, 1, 2

app = typer.Typer(
    help="Write, check, try and describe mapping files.",
    epilog="Examples: sifzone mapping list · sifzone mapping check our-mis.toml --from pupils.csv · "
    "sifzone mapping preview our-mis.toml pupils.csv",
    no_args_is_help=True,
)

Mapping_ = InwardMapping | OutwardMapping
Files = Annotated[list[str], typer.Argument(help="Mapping files (ending in .toml), or names of the library.")]
File = Annotated[str, typer.Argument(help="A mapping file (ending in .toml), or a name of the library.")]
SampleArgument = Annotated[Path, typer.Argument(help="A file to be mapped, of any form that a connector reads.")]
Library = Annotated[
    list[Path] | None,
    typer.Option("--library", "-l", exists=True, file_okay=False, help="A folder with mapping files of your own."),
]
From = Annotated[Path | None, typer.Option("--from", "-f", help="A sample file to try the mappings on.")]
Connector = Annotated[str | None, typer.Option(help="What reads the sample; else told by what is in it.")]
Options = Annotated[list[str] | None, typer.Option("--option", help="An option of the connector, as key=value.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Again whenever a file changes, until Ctrl-C.")]


@app.command(
    epilog="Examples: sifzone mapping check our-mis.toml · sifzone mapping check our-mis.toml --from pupils.csv --watch"
)
def check(
    files: Files,
    sample: From = None,
    library: Library = None,
    connector: Connector = None,
    option: Options = None,
    both_ways: Annotated[
        bool, typer.Option("--both-ways", help="Also whether it can be turned round, and which line stops it.")
    ] = False,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Check mapping files; print every problem with file, line, column and the nearest right name.

    With --from also: columns that nothing reads or that are not there, values and codes that do not fit, keys that are
    not unique. Of the sample's values only unknown codes are shown.

    --json gives {right, mappings: [{name, right, makes}], findings: [{severity, rule, file, line, column, message,
    nearest, count, positions, codes, names}]}.

    Exit code 0: all are right, perhaps with warnings. 1: there are problems. 2: a file cannot be read.
    """

    def once() -> int:
        results = [_loaded(name, library or []) for name in files]
        findings = [finding for _, _, found in results for finding in found]
        worst = max(code for code, _, _ in results)
        mappings = [mapping for _, mapping, _ in results if mapping is not None]
        if sample is not None and worst == _RIGHT:
            source = open_source(sample, connector, parse_options(option or []))
            findings += check_sample([_inward(mapping) for mapping in mappings], source)
        if both_ways:
            for name, (_, mapping, _) in zip(files, results, strict=True):
                if isinstance(mapping, InwardMapping):
                    findings += one_way(mapping, _named(name), library or [])
        if any(finding.severity == "error" for finding in findings):
            worst = max(worst, _PROBLEMS)
        makes = {name: _makes(mapping) for name, (_, mapping, _) in zip(files, results, strict=True) if mapping}
        if as_json:
            _print_json(
                {
                    "right": worst == _RIGHT,
                    "mappings": [{"name": n, "right": n in makes, "makes": makes.get(n, "")} for n in files],
                    "findings": [finding.plain() for finding in findings],
                }
            )
        else:
            _show_findings(findings, makes, tried=sample is not None)
        return worst

    _end(once, watch, [*files, *([sample] if sample else [])], library)


@app.command(
    epilog="Examples: sifzone mapping back csv/learner objects.xml --out pupils.csv · sifzone mapping check FILE "
    "--both-ways says which line stops a mapping from it"
)
def back(
    file: File,
    objects: Annotated[Path, typer.Argument(help="XML with the objects in it, at any depth.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The CSV file to write; else it is printed.")] = None,
    library: Library = None,
    as_json: AsJson = False,
) -> None:
    """Turn a mapping round: write the rows that it would make these objects of. Personal data!

    What a RefId is made of is not in the object, so that columns which only make references stay empty.

    --json gives {columns, rows, problems: [{position, target, rule, message}]}.

    Exit code 0: the rows give all that the objects hold. 1: not all, or none. 2: it cannot be turned round.
    """

    def once() -> int:
        mapping = _inward(_load(file, library or []))
        made = rows_back(mapping, _named(file), library or [], ObjectsOf(read_xml(objects)))
        if as_json:
            problems = [{k: getattr(p, k) for k in ("position", "target", "rule", "message")} for p in made.problems]
            _print_json({"columns": made.columns, "rows": [dict(row) for row in made.rows], "problems": problems})
        else:
            cells = ([guarded(row.get(column, "")) for column in made.columns] for row in made.rows)
            text = csv_text(made.columns, cells)
            if out is None:
                for line in text.splitlines():
                    typer.echo(printable(line))
            else:
                write_text(out, text)
                typer.echo(f"written: {out} ({_counted(len(made.rows), 'row')})")
            for problem in made.problems:
                typer.echo(printable(str(problem)), err=True)
        return _PROBLEMS if made.problems or not made.rows else _RIGHT

    raise typer.Exit(_explained(once))


@app.command(
    epilog="Examples: sifzone mapping preview our-mis.toml pupils.csv --row 12 · sifzone mapping preview csv/learner "
    "pupils.csv --mask"
)
def preview(
    file: File,
    sample: SampleArgument,
    rows: Annotated[int, typer.Option(help="How many rows from the first.", min=1, max=1000)] = 3,
    row: Annotated[int | None, typer.Option(help="The row of this number alone, as a spreadsheet counts.")] = None,
    mask: Annotated[bool, typer.Option("--mask", help="Show the shapes of values alone: Aaa 99.")] = False,
    xml: Annotated[bool, typer.Option("--xml", help="The objects as XML.")] = False,
    library: Library = None,
    connector: Connector = None,
    option: Options = None,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Show rows and what becomes of them, side by side, with the mapping's line behind each element. Personal data!

    --json gives [{position, fields, objects: [{type, ref_id, parts: [{path, value, line, sources}], xml}], problems}].

    Exit code 0: shown. 1: the mapping has problems, or there is no such row. 2: a file cannot be read.
    """

    def once() -> int:
        mapping = _inward(_load(file, library or []))
        source = open_source(sample, connector, parse_options(option or []))
        found = list(previews(mapping, source, rows=rows, row=row, mask=mask))
        if as_json:
            _print_json([one.plain() for one in found])
        else:
            console = _console()
            for one in found:
                show_preview(one, console, xml=xml)
        if not found:
            which = f"row {row}" if row is not None else "a row"
            typer.echo(f"{sample}: there is no {which} in it: check the number", err=True)
        return _RIGHT if found else _PROBLEMS

    _end(once, watch, [file, sample], library)


@app.command(
    "test", epilog="Examples: sifzone mapping test our-pack · sifzone mapping test our-pack/learner.toml --update"
)
def run_tests(
    what: Annotated[Path, typer.Argument(help="A folder with mappings and their tests, or one mapping file.")] = Path(),
    update: Annotated[bool, typer.Option("--update", help="Show what differs, ask, and take it as expected.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --update: do not ask.")] = False,
    library: Library = None,
    connector: Connector = None,
    option: Options = None,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Compare what mappings make of the files in tests/MAPPING with what is expected: CASE.csv, CASE.expected.xml.

    --json gives {right, cases: [{mapping, case, input, expected, outcome, message, diff}], untested}; outcome is same,
    different, new or error.

    Exit code 0: all are as expected. 1: some are not. 2: there are no tests, or a file cannot be read.
    """
    if update and watch:
        raise typer.BadParameter("--update and --watch do not go together: leave one out")

    def once() -> int:
        folder, only = (what.parent, what.stem) if what.suffix == ".toml" else (what, None)
        run = run_goldens(
            folder, only=only, library=library or [], connector=connector,
            options=parse_options(option) if option else None,
        )  # fmt: skip
        if as_json:
            _print_json(run.plain())
        else:
            _show_goldens(run)
        if update and _wanted(run, yes=yes):
            for case in run.cases:
                if case.made and not case.right:
                    update_golden(case)
                    typer.echo(f"written: {case.expected}", err=True)
            return _PROBLEMS if any(case.outcome == "error" for case in run.cases) else _RIGHT
        return _RIGHT if run.right else _PROBLEMS

    _end(once, watch, [what], library)


@app.command(epilog="Example: sifzone mapping coverage our-mis.toml pupils.csv")
def coverage(
    file: File,
    sample: SampleArgument,
    library: Library = None,
    connector: Connector = None,
    option: Options = None,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Measure over a whole export how often each target is filled, which codes are met, and which rules are broken.

    --json gives {mapping, object, records, objects, targets: [{path, line, sources, filled}], codes: [{path, list, met,
    never, other}], broken: [...], unread}.

    Exit code 0: measured. 1: the mapping has problems. 2: a file cannot be read.
    """

    def once() -> int:
        mapping = _inward(_load(file, library or []))
        source = open_source(sample, connector, parse_options(option or []))
        with shown_progress() as progress:
            progress(sample, 0)
            found = cover([mapping], source, partial(progress, sample))
        if as_json:
            _print_json(found[0].plain())
        else:
            show_coverage(found[0], _console())
        return _RIGHT

    _end(once, watch, [file, sample], library)


@app.command(
    epilog="Examples: sifzone mapping doc our-mis.toml --out our-mis.html · "
    "sifzone mapping doc csv/learner csv/staff --out csv.html"
)
def doc(
    files: Files,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The HTML file to write; else it is printed.")] = None,
    library: Library = None,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Write one HTML page that says of each target where it comes from, by which converters, and by which line.

    --json gives [{name, title, makes, key, conditions, lines: [{target, label, part_of, sources, how, code_table,
    mandatory, line}], code_tables}] and writes no page.

    Exit code 0: written. 1: a mapping has problems. 2: a file cannot be read or written.
    """

    def once() -> int:
        pages = [describe(_load(name, library or [])) for name in files]
        if as_json:
            _print_json([page.plain() for page in pages])
        elif out is None:
            typer.echo(render(pages), nl=False)
        else:
            write_text(out, render(pages))
            typer.echo(f"written: {out} ({sum(len(page.rows) for page in pages)} lines)")
        return _RIGHT

    _end(once, watch, files, library)


@app.command(
    epilog="Examples: sifzone mapping diff old.toml new.toml --from pupils.csv · sifzone mapping diff csv/learner "
    "our-learner.toml --from pupils.csv --show-values"
)
def diff(
    old: Annotated[str, typer.Argument(help="The mapping as it is.")],
    new: Annotated[str, typer.Argument(help="The mapping that is to take its place.")],
    sample: Annotated[Path, typer.Option("--from", "-f", help="A sample file, best the whole export.")],
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Texts before and after, too. Personal data!")
    ] = False,
    library: Library = None,
    connector: Connector = None,
    option: Options = None,
    as_json: AsJson = False,
    watch: Watch = False,
) -> None:
    """Show what would change, and for which rows, if one mapping took the place of another.

    --json gives {object, records, paired, same, changed, ref_ids_changed, warning, added, removed, paths,
    problems_gone, problems_new}; each change is {name, count, positions}, of paths with --show-values also values.

    Exit code 0: nothing would change. 1: something would, or a mapping has problems. 2: a file cannot be read.
    """

    def once() -> int:
        mappings = [_inward(_load(name, library or [])) for name in (old, new)]
        source = open_source(sample, connector, parse_options(option or []))
        found = compare(mappings[0], mappings[1], source)
        if as_json:
            _print_json(found.plain(values=show_values))
        else:
            show_comparison(found, _console(), values=show_values)
        return _RIGHT if found.nothing else _PROBLEMS

    _end(once, watch, [old, new, sample], library)


@app.command("list", epilog="Example: sifzone mapping list --library ./mappings")
def list_(library: Library = None, as_json: AsJson = False) -> None:
    """List the mappings that can be named in an agent's file, with what each makes.

    --json gives [{name, makes, title, problems}].
    """
    found: list[dict[str, Any]] = []
    for name in shipped_names(library or []):
        try:
            mapping = load(name, library or [])
        except MappingError as error:
            found.append({"name": name, "makes": "", "title": "", "problems": len(error.problems)})
        else:
            found.append({"name": name, "makes": _makes(mapping), "title": mapping.title, "problems": 0})
    if as_json:
        _print_json(found)
        return
    for one in found:
        if one["problems"]:
            typer.echo(f"{one['name']}: {one['problems']} problems: run sifzone mapping check {one['name']}", err=True)
        else:
            typer.echo(f"{one['name']:28} {one['makes']:26} {one['title']}".rstrip())


def _load(name: str, library: Sequence[Path]) -> Mapping_:
    """Return a mapping.

    Raises:
        MappingError: It has problems, or there is none of this name.
        ConfigurationError: There is no such file.
    """
    named = _named(name)
    if isinstance(named, Path) and not named.is_file():
        raise ConfigurationError(f"{name}: there is no such file")
    if isinstance(named, Path) and not os.access(named, os.R_OK):
        raise ConfigurationError(f"{name}: may not be read: check its rights")
    return load(named, library)


def _named(name: str) -> str | Path:
    """Return a file as a path, a name of the library as it is."""
    return Path(name) if name.endswith(".toml") else name


def _loaded(name: str, library: Sequence[Path]) -> tuple[int, Mapping_ | None, tuple[Finding, ...]]:
    """Return how it went with one mapping, the mapping where it is right, and what is wrong with it."""
    try:
        return _RIGHT, _load(name, library), ()
    except MappingError as error:
        return _PROBLEMS, None, of_mapping(error)
    except ConfigurationError as error:
        reason = str(error).removeprefix(f"{name}: ")
        return _UNREADABLE, None, (Finding("error", "unreadable", name, 0, 0, reason),)


def _inward(mapping: Mapping_) -> InwardMapping:
    if isinstance(mapping, OutwardMapping):
        raise ConfigurationError(
            f"{mapping.name}: it fills the table {mapping.table}, and a sample needs mappings that make objects: "
            "leave it out here"
        )
    return mapping


def _makes(mapping: Mapping_) -> str:
    return mapping.object_type if isinstance(mapping, InwardMapping) else f"table {mapping.table}"


def _end(once: Callable[[], int], watch: bool, files: Sequence[str | Path], library: Sequence[Path] | None) -> None:
    """Do it once and end with its exit code, or again and again until Ctrl-C."""
    if not watch:
        raise typer.Exit(_explained(once))
    named = [Path(name) for name in files if isinstance(name, Path) or name.endswith(".toml")]
    folders = [*(library or []), *(path for path in named if path.is_dir())]
    folders += [path.parent for path in named if path.suffix == ".toml"]
    beside = [folder / inner for folder in folders for inner in ("codes", "tests")]
    inside = [inner for folder in [*(library or []), *beside] if folder.is_dir() for inner in folder.iterdir()]
    wanted = [path for path in named if not path.is_dir()]
    run_again(lambda: _explained(once), wanted, [*folders, *beside, *inside], _console())


def _explained(once: Callable[[], int]) -> int:
    """Return the exit code, errors turned into a sentence each."""
    try:
        return once()
    except MappingError as error:
        for problem in error.problems:
            typer.echo(printable(str(problem)), err=True)
        return _PROBLEMS
    except ZoneError as error:
        typer.echo(printable_lines(str(error)), err=True)
        return _UNREADABLE if isinstance(error, (ConfigurationError, SourceError)) else _PROBLEMS


def _show_findings(findings: Sequence[Finding], makes: dict[str, str], *, tried: bool) -> None:
    for finding in findings:
        colour = typer.colors.RED if finding.severity == "error" else typer.colors.YELLOW
        typer.secho(printable(str(finding)), err=finding.severity == "error" or not tried, fg=colour)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    for name, made in makes.items():
        more = f", {_counted(warnings, 'warning')}" if warnings else ""
        if not errors or not tried:
            typer.echo(f"{name}: right ({made}){more}")
    if tried and errors:
        typer.echo(f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}", err=True)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _show_goldens(run: GoldenRun) -> None:
    console = _console()
    for case in run.cases:
        style = {"same": "green", "new": "yellow"}.get(case.outcome, "bold red")
        words = {"same": "as expected", "different": "DIFFERENT", "new": "NEW", "error": "ERROR"}[case.outcome]
        console.print(Text(printable(f"{case.mapping}/{case.case}: {words}"), style=style))
        for line in case.message.splitlines():
            console.print(Text(f"  {printable(line)}"))
        _show_diff(case, console)
    for name in run.untested:
        console.print(Text(f"{name}: no tests", style="dim"))
    wrong = sum(not case.right for case in run.cases)
    hint = ": if what is made now is right, run the command with --update" if wrong else ""
    console.print(Text(f"{len(run.cases) - wrong} of {len(run.cases)} as expected{hint}"))


def _show_diff(case: Golden, console: Console) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in case.diff:
        console.print(Text(printable(line), style=styles.get(line[:1], "")), soft_wrap=True)


def _wanted(run: GoldenRun, *, yes: bool) -> bool:
    """Whether what was made is to be taken as expected.

    Raises:
        ConfigurationError: Nobody can be asked.
    """
    count = sum(bool(case.made) and not case.right for case in run.cases)
    if not count:
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError("nothing is written: look at what differs, then run the command with --update --yes")
    return typer.confirm(f"Take this as expected in {count} files?")


def _console() -> Console:
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _print_json(values: object) -> None:
    text = json.dumps(values, indent=2, ensure_ascii=False)
    typer.echo(text.encode("utf-8", "replace").decode("utf-8"))  # JSON sources can hold half a character


app.command("new", epilog=EXAMPLES)(new)

__all__ = ["app"]
