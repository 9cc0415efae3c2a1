"""The commands ``sifzone schema ...``: what objects are made of, whether files are valid, samples, a dictionary."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

import schemas
from broker.agreements import Agreement
from broker.commands.schema_show import (
    FileProgress,
    console,
    difference_facts,
    errors,
    finding_facts,
    finding_line,
    grow,
    node_facts,
    openness,
    print_json,
    tally_facts,
    tally_words,
    walk,
)
from broker.console import write_dictionary
from broker.file_check import FileCheck, UnusableFile
from broker.protocol.errors import ConfigurationError, ZoneError
from broker.settings import load_zone
from broker.validation import Validator, load_validator, shipped
from schemas import Edition, Node, SchemaSet
from schemas.difference import differences
from schemas.rules import RULES
from schemas.samples import sample_document

app = typer.Typer(
    help="What objects are made of, and whether files of them are valid.",
    epilog="Examples:  sifzone schema show LearnerPersonal   ·   sifzone schema check exports/*.xml   ·   "
    "sifzone schema sample SchoolInfo",
    no_args_is_help=True,
)

_REFUSED: Final = 1
_UNUSABLE: Final = 2

ObjectName = Annotated[str, typer.Argument(metavar="OBJECT", help="For example LearnerPersonal.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, one document, for programs.")]
ZoneOption = Annotated[
    Path | None,
    typer.Option("--zone", "-z", envvar="SIFZONE_ZONE", help="Use the schemas, code lists and rules of this zone."),
]
EditionOption = Annotated[
    str, typer.Option(help="Edition of the data model for objects that are in no message: 1.0, 1.1, 1.2 or 1.3.")
]


@app.command("list", epilog="Examples:  sifzone schema list   ·   sifzone schema list --json")
def list_(zone: ZoneOption = None, as_json: AsJson = False) -> None:
    """List the objects that the zone knows."""
    schema = _validator(zone).schema
    rows = [
        {
            "object": name,
            "since": schema.note(name).since or "1.0",
            "namespace": schema.namespace_of(name),
            "key": " ".join(schema.keys(name)),
            "learner": schema.learner_ref(name) or "",
            "title": schema.tree(name).label,
        }
        for name in schema.objects
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("Object", "Since UK", "Key", "About learner", "What it is", title=f"{len(rows)} objects")
    for row in rows:
        own = row["namespace"] != schema.namespace_of("LearnerPersonal")
        table.add_row(row["object"], "our own" if own else row["since"], row["key"], row["learner"], row["title"])
    console.print(table)


@app.command("codes", epilog="Examples:  sifzone schema codes   ·   sifzone schema codes EthnicityCodes")
def codes_(
    name: Annotated[str, typer.Argument(metavar="LIST", help="A code list; without it, all are listed.")] = "",
    zone: ZoneOption = None,
    as_json: AsJson = False,
) -> None:
    """List the code lists, or the codes of one."""
    lists = _validator(zone).schema.code_lists
    if not name:
        rows = [
            {"list": one.name, "title": one.title, "codes": len(one.labels), "open": one.open, "source": one.source}
            for one in lists.values()
        ]
        if as_json:
            print_json(rows)
            return
        table = Table("List", "What it says", "Codes", "Other codes are", "Source")
        for one in lists.values():
            table.add_row(one.name, one.title, str(len(one.labels)), openness(one), f"{one.source} ({one.year})")
        console.print(table)
        return
    try:
        found = lists[name]
    except schemas.UnknownCodeList as error:
        raise ZoneError(str(error)) from error
    if as_json:
        print_json(dict(found.labels))
        return
    title = f"{found.title}: {found.source} ({found.year}); other codes are {openness(found)}"
    console.print(title, soft_wrap=True)
    table = Table("Code", "Meaning")
    for code, label in found.labels.items():
        table.add_row(code, label)
    if found.pattern is not None:
        table.add_row(found.pattern.pattern, "any code of this form")
    console.print(table)


@app.command(epilog="Examples:  sifzone schema rules   ·   sifzone schema rules --zone my-zone")
def rules(zone: ZoneOption = None, as_json: AsJson = False) -> None:
    """List the rules beyond the schemas, and what each does: refuse, warn, shadow (only counts) or off."""
    settings = _validator(zone).rules.settings
    if as_json:
        print_json([{"rule": r.name, "does": settings[r.name], "title": r.title, "why": r.why} for r in RULES])
        return
    table = Table("Rule", "Does", "What it looks at", "Why")
    for rule in RULES:
        table.add_row(rule.name, settings[rule.name], rule.title, rule.why)
    console.print(table)


@app.command(epilog="Examples:  sifzone schema show LearnerPersonal   ·   sifzone schema show SchoolInfo --json")
def show(object_type: ObjectName, zone: ZoneOption = None, as_json: AsJson = False) -> None:
    """Show what an object is made of: each element and attribute with its type and codes."""
    schema = _validator(zone).schema
    root = _tree_of(schema, object_type)
    if as_json:
        print_json([node_facts(node) for node in walk(root)])
        return
    tree = Tree(Text.assemble((object_type, "bold"), f"  {root.label}"))
    grow(tree, root)
    console.print(tree)
    console.print("* must be there   + may be repeated   ~ may be emptied with xsi:nil   @ attribute   → refers to")


@app.command(
    epilog="Examples:  sifzone schema check export.xml   ·   sifzone schema check exports/*.xml --zone my-zone"
)
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Objects, SIF_Messages, or many of either.")],
    zone: ZoneOption = None,
    official: Annotated[
        Path | None, typer.Option(help="Folder with the official SIF_Message.xsd, to use instead of our schemas.")
    ] = None,
    part: Annotated[bool, typer.Option("--part", help="Bare objects may be parts, as in a Change.")] = False,
    edition: EditionOption = schemas.NEWEST,
    limit: Annotated[int, typer.Option(min=0, help="Most findings printed of each file.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Check files against schemas and rules.

    Exit code 0: all is valid, maybe with warnings. 1: something is refused. 2: a file cannot be used.
    """
    if official is not None and zone is not None:
        raise ZoneError("--official and --zone cannot go together: the zone's own settings name its schemas")
    validator = load_validator(official, None, {}) if official is not None else _validator(zone)
    known = _edition(edition)
    worst = 0
    told: list[dict[str, object]] = []
    for path in files:
        report = FileCheck(path, validator, part, known)
        findings: list[dict[str, object]] = []
        try:
            with FileProgress(path) as progress:
                report.read = progress.advance
                for number, (name, finding) in enumerate(report.findings()):
                    if number >= limit:
                        continue  # still counted
                    findings.append(finding_facts(name, finding))
                    if not as_json:
                        progress.print(finding_line(path, name, finding))
        except UnusableFile as error:
            worst = _UNUSABLE
            told.append({"file": str(path), "unusable": str(error), "findings": findings})
            if not as_json:
                errors.print(Text("sifzone:", "red"), str(error), soft_wrap=True)
            continue
        worst = max(worst, _REFUSED if report.tally.is_refused else 0)
        told.append({"file": str(path), **tally_facts(report.tally), "findings": findings})
        if not as_json:
            console.print(f"{path}: {tally_words(report.tally)}", soft_wrap=True)
    if as_json:
        print_json(told)
    raise typer.Exit(worst)


@app.command(epilog="Examples:  sifzone schema sample LearnerPersonal   ·   sifzone schema sample TermInfo --minimal")
def sample(
    object_type: ObjectName,
    minimal: Annotated[bool, typer.Option("--minimal", help="Only what must be there.")] = False,
) -> None:
    """Print a made-up, valid instance of an object."""
    schema = schemas.load()
    _tree_of(schema, object_type)
    sys.stdout.write(sample_document(schema, object_type, minimal=minimal).decode())


@app.command(epilog="Examples:  sifzone schema diff 1.1 1.3   ·   sifzone schema diff ours official/")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="'ours', an edition such as 1.1, or a folder of XSDs.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The same, to compare with.")],
    as_json: AsJson = False,
) -> None:
    """Say in what two sets of schemas differ: what came, went, or changed. Exit code 1 if they do."""
    found = list(differences(_trees(before), _trees(after)))
    if as_json:
        print_json([difference_facts(each) for each in found])
    elif not found:
        console.print(f"{before} and {after} are alike.")
    else:
        table = Table(
            "Object", "Where", "What", before, after, title=f"From {before} to {after}: {len(found)} differences"
        )
        for each in found:
            table.add_row(each.object_type, each.path, each.what, each.before, each.after)
        console.print(table)
    raise typer.Exit(1 if found else 0)


@app.command(epilog="Examples:  sifzone schema docs dictionary   ·   sifzone schema docs dictionary --zone my-zone")
def docs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pages go; made if need be.")],
    zone: ZoneOption = None,
) -> None:
    """Write a data dictionary as HTML pages: every object, field and code, and who gets it by which agreement."""
    agreements: Sequence[Agreement] = ()
    title = "Data dictionary"
    schema = schemas.load()
    if zone is not None:
        loaded = load_zone(zone)
        agreements, schema = loaded.agreements, loaded.validator.schema
        title = f"Data dictionary of {loaded.settings.name or loaded.id}"
    try:
        written = write_dictionary(folder, schema, agreements, title=title)
    except OSError as error:
        raise ZoneError(f"{folder}: cannot be written ({error.strerror}): name a folder that can") from error
    pages = sum(1 for path in written if path.suffix == ".html")  # beside their style sheet
    console.print(f"{pages} pages. Open {folder / 'index.html'} in a browser.", soft_wrap=True)


def _validator(zone: Path | None) -> Validator:
    return shipped() if zone is None else load_zone(zone).validator


def _edition(text: str) -> Edition:
    for edition in schemas.EDITIONS:
        if text == edition:
            return edition
    raise ZoneError(f"there is no edition {text[:20]}: use one of {', '.join(schemas.EDITIONS)}")


def _tree_of(schema: SchemaSet, object_type: str) -> Node:
    try:
        return schema.tree(object_type)
    except schemas.UnknownObject as error:
        raise ZoneError(str(error)) from error


def _trees(name: str) -> dict[str, Node]:
    """Return the trees of a set of schemas by object."""
    if name == "ours":
        schema = schemas.load()
        return {each: schema.tree(each) for each in schema.objects}
    if name in schemas.EDITIONS:
        return schemas.load().trees_of(_edition(name))
    if not Path(name).is_dir():
        raise ZoneError(f"{name[:200]} is no folder: name one, an edition ({', '.join(schemas.EDITIONS)}), or 'ours'")
    try:
        schema = schemas.load_site(official=Path(name))
    except schemas.BadSchema as error:
        raise ConfigurationError(str(error)) from error
    return {each: schema.tree(each) for each in schema.objects}
