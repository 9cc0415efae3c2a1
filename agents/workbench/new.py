"""The command ``sifzone mapping new``: guesses a mapping from a sample, asks where it is not sure, writes the file.

What is guessed is `agents.workbench.guess`'s, and what is written `agents.workbench.draft`'s.
"""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

import schemas
from agents.connectors.contract import SourceError
from agents.workbench.draft import Draft, draft, needs_column
from agents.workbench.draft_text import Missing
from agents.workbench.forms import fit_of, shape
from agents.workbench.guess import SURE, Guess, Guesses, guess, proposed, with_choice
from agents.workbench.masks import printable, shown
from agents.workbench.match import Column, matched
from agents.workbench.names import Meaning, vocabulary
from agents.workbench.samples import Sample, parse_options, read_sample
from agents.writing import write_text
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings import InwardMapping, MappingError, load, shipped_names

ALL: Final = "all"
"""What ``--object`` says for every object that the file can feed."""
_PIPED_WIDTH: Final = 200
_WRITTEN, _LACKING, _UNUSABLE = 0, 1, 2
_AS_MUCH: Final = 0.8
"""Share of the guessed columns that a shipped mapping has to read to be named."""
_FEW_COLUMNS: Final = 4
_VALUES_SHOWN: Final = 2
_PROBLEMS_SHOWN: Final = 5
_COLUMNS_OFFERED: Final = 6
EXAMPLES: Final = (
    "Examples: sifzone mapping new --from pupils.csv --object LearnerPersonal · "
    "sifzone mapping new --from export.xlsx --object all --set LAId=820 --set EstablishmentId=9901 --yes"
)

_SCHOOL: Final = ("LAId", "EstablishmentId")
"""What tells a school from all others, by what ``--set`` calls it."""

Ask = Callable[[str], str]
"""Puts a question and returns the answer; empty for Enter."""


@dataclass(frozen=True, slots=True)
class _Made:
    """One mapping that was made."""

    guesses: Guesses
    draft: Draft
    file: Path
    shipped: str  # the mapping of the library that reads as much of the sample, or an empty text


def new(
    sample_file: Annotated[Path, typer.Option("--from", "-f", help="An export with some rows of your system.")],
    objects: Annotated[
        list[str], typer.Option("--object", help="What is in it: LearnerPersonal ...; all: propose; repeatable.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The mapping file to write; a folder, where there are several objects.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="What no column gives: LAId=820, EstablishmentId=9901 ...; repeatable."),
    ] = None,
    connector: Annotated[str | None, typer.Option(help="What reads the file; else told by what is in it.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="An option of it, as key=value.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take every guess, ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show values of the sample instead of their shapes. Personal data!")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs; asks nothing.")] = False,
) -> None:
    """Make a mapping file from a sample: guess which column goes where, ask where that is not certain, write it.

    Guesses are made by heading, by what values look like and by code lists. Of values only the shapes are shown.

    --json gives {connector, mappings: [{object, file, each, shipped, missing: [{path, words, set}], left_out: [{path,
    needs, columns}], unused, guesses: [{paths, words, column, shape, confidence, reason, others}]}]}.

    Exit code 0: the mapping can be used. 1: it is written and lacks something, or no object has all that it needs
    in the file. 2: nothing is written: the file cannot be read, an option is wrong, or there is nobody to answer.
    """
    wishes = _Wishes(sample_file, objects, out, settings or [], connector, option or [], force, show_values)
    try:
        code = _new(wishes, quiet=as_json, ask=None if yes or as_json else _terminal())
    except SourceError as error:
        typer.echo(f"{sample_file}: {error}", err=True)
        code = _UNUSABLE
    except MappingError as error:
        typer.echo(str(error), err=True)
        code = _LACKING
    except ZoneError as error:
        typer.echo(str(error), err=True)
        code = _UNUSABLE
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What the command was given."""

    sample: Path
    objects: Sequence[str]
    out: Path | None
    settings: Sequence[str]
    connector: str | None
    option: Sequence[str]
    force: bool
    show_values: bool


def _terminal() -> Ask:
    """Return what asks on the terminal.

    Raises:
        ConfigurationError: Nobody sits there.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "some guesses may need an answer, and there is no terminal to ask at: add --yes to take every guess"
        )

    def ask(question: str) -> str:
        answer: str = typer.prompt(question, default="", show_default=False, prompt_suffix="\n> ")
        return answer.strip()

    return ask


def _new(wishes: _Wishes, *, quiet: bool, ask: Ask | None) -> int:
    constants = {name: str(value) for name, value in parse_options(wishes.settings).items()}
    for name in wishes.objects:
        _check_object(name)
    _check_constants(constants, wishes.objects)
    sample = read_sample(wishes.sample, wishes.connector, parse_options(wishes.option))
    if not sample.records:
        raise SourceError("no records in it: export a file with some rows, from which columns can be told")
    names = _objects(sample, wishes.objects, constants)
    if not names:
        there = (
            f"name one with --object, and its mapping says what it lacks: {', '.join(vocabulary().subjects)} or others"
        )
        typer.echo(f"{wishes.sample}: no object has all that it needs there: {there}", err=True)
        return _LACKING
    files = _files(wishes, names)
    if not quiet:
        for message in dict.fromkeys(f"{each.position}: {each.message}" for each in sample.problems[:_PROBLEMS_SHOWN]):
            typer.echo(f"{wishes.sample}, {message}")
    made = []
    for name, file in zip(names, files, strict=True):
        guesses = guess(sample, name)
        if not quiet:
            _console().print(guesses_table(guesses, show_values=wishes.show_values))
        if ask is not None:
            guesses = review(guesses, ask)
            constants |= _ask_constants(guesses, constants, ask)
        drafted = draft(guesses, constants, f"{wishes.sample.name}: {_words(name)}")
        made.append(_Made(guesses, drafted, file, shipped_for(sample, guesses)))
    _write(made)
    if quiet:
        typer.echo(json.dumps(_as_json(sample, made), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(_told(wishes, sample, made, constants)))
    return _LACKING if any(each.draft.missing for each in made) else _WRITTEN


def _write(made: Sequence[_Made]) -> None:
    """Write the files; what can be used is loaded once, so that what is told to be right has been tried."""
    for each in made:
        try:
            each.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{each.file.parent}: no folder can be made there ({error.strerror})") from error
        write_text(each.file, each.draft.text)
        if not each.draft.missing:
            load(each.file)


def _check_object(name: str) -> None:
    known = schemas.load().objects
    if name != ALL and name not in known:
        near = schemas.load().nearest_object(name)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(vocabulary().subjects)} and others"
        raise ConfigurationError(f"there is no object {name!r}: {hint}")


def _check_constants(constants: Mapping[str, str], objects: Sequence[str]) -> None:
    """Return when what was set is what it is called, and something can take it.

    Raises:
        ConfigurationError: A text that is no number of an authority, for example, or a name that is nothing's.
    """
    meanings = {meaning.set: meaning for meaning in vocabulary().meanings.values() if meaning.set}
    for name, text in constants.items():
        if name in meanings:
            if not _is_usable(meanings[name], text):
                raise ConfigurationError(f"--set {name}=...: that is no {meanings[name].words}: correct it")
        elif not any(_has(kind, name) for kind in _kinds(objects)):
            raise ConfigurationError(
                f"--set {name}=...: nothing is called so: set {', '.join(meanings)}, or a path of the object"
            )


def _kinds(objects: Sequence[str]) -> Sequence[str]:
    return tuple(schemas.load().objects) if ALL in objects else objects


def _has(object_type: str, name: str) -> bool:
    """Tell whether an object has something at a path, or of this last name."""
    if schemas.load().find(object_type, name) is not None:
        return True
    left = [schemas.load().tree(object_type)]
    while left:
        node = left.pop()
        if node.path.rpartition("/")[2].lstrip("@") == name:
            return True
        left += node.children
    return False


def _is_usable(meaning: Meaning, text: str) -> bool:
    """Tell whether a text can be what was asked for."""
    return fit_of({text: 1}, meaning.form).share != 0 if meaning.form else True


def _objects(sample: Sample, wanted: Sequence[str], constants: Mapping[str, str]) -> tuple[str, ...]:
    """Return the objects to make mappings for; for ``all`` those that the file has all for that cannot be set."""
    if ALL not in wanted:
        return tuple(dict.fromkeys(wanted))
    return tuple(
        name
        for name in proposed(sample)
        if all(missing.set in _asked() for missing in draft(guess(sample, name), constants).missing)
    )


def _asked() -> frozenset[str]:
    """Return what can be asked for because it is the same for all records of a school."""
    return frozenset(meaning.set for meaning in vocabulary().meanings.values() if meaning.set)


def _files(wishes: _Wishes, names: Sequence[str]) -> list[Path]:
    """Return the file of each mapping, none of which is there yet.

    Raises:
        ConfigurationError: One is, or the folder for several is a file.
    """
    out = wishes.out
    if out is not None and len(names) == 1 and not out.is_dir() and ALL not in wishes.objects:
        files = [out]
    elif out is not None and (out.is_file() or out.suffix == ".toml"):
        raise ConfigurationError(f"--out {out}: for several objects, name a folder: each gets a file of its own")
    else:
        files = [(out or Path()) / f"{_kebab(name)}.toml" for name in names]
    for file in files:
        if file.suffix != ".toml":
            raise ConfigurationError(f"--out {file}: a mapping file's name ends in .toml")
        if file.exists() and not wishes.force:
            raise ConfigurationError(
                f"{file} is there already: name another with --out, or add --force to write over it"
            )
    return files


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _words(object_type: str) -> str:
    subject = vocabulary().subjects.get(object_type)
    return subject.words if subject is not None else object_type


def shipped_for(sample: Sample, guesses: Guesses) -> str:
    """Return the shipped mapping for the same object that reads about as many of the sample's columns as was guessed.

    It was made with care, as for what must be told to nobody; an empty text where there is none.
    """
    there = {each.path for each in sample.fields if each.filled}
    guessed = {each.match.column.field.path for each in guesses.guesses if each.match is not None and each.want.paths}
    reads = {name: len(fields & there) for name, kind, fields in _shipped() if kind == guesses.object_type}
    best = max(reads, key=lambda name: reads[name], default="")
    return best if best and reads[best] >= max(_FEW_COLUMNS, _AS_MUCH * len(guessed)) else ""


@cache
def _shipped() -> tuple[tuple[str, str, frozenset[str]], ...]:
    """Return the shipped mappings with the objects that they make and the fields that they hand on."""
    found = []
    for name in shipped_names():
        with suppress(MappingError):
            mapping = load(name)
            if isinstance(mapping, InwardMapping):
                fields = (source for line in mapping.lines if line.kind == "field" for source in line.sources)
                found.append((name, mapping.object_type, frozenset(fields)))
    return tuple(found)


# ---------------------------------------------------------------- questions


def review(guesses: Guesses, ask: Ask) -> Guesses:
    """Return the guesses with the answers, asked for where a guess is not sure, or what the object needs is missing.

    Enter takes the column that is proposed, a number another one, ``s`` none.
    """
    for want_id in [each.want.id for each in guesses.guesses]:
        each = next(found for found in guesses.guesses if found.want.id == want_id)
        if each.match is not None and each.match.confidence >= SURE:
            continue
        if each.match is None and not _is_lacking(guesses, each):
            continue
        offered = _offered(each, guesses.unused)
        if offered:
            guesses = _answered(guesses, each, offered, ask)
    return guesses


def _is_lacking(guesses: Guesses, each: Guess) -> bool:
    """Tell whether the object cannot be made without what was not found; a part of another column was found."""
    if each.match is not None or not needs_column(guesses.object_type, each.want):
        return False
    return each.want.meaning is None or each.want.meaning.of not in guesses.found


def _offered(each: Guess, unused: Iterable[Column]) -> list[Column]:
    """Return the columns to choose from: the guess, the next best, and what is for nothing else."""
    near = [each.match] if each.match is not None else []
    columns = [match.column for match in (*near, *each.others)] + list(unused)
    return list({column.source: column for column in columns}.values())[:_COLUMNS_OFFERED]


def _answered(guesses: Guesses, each: Guess, offered: Sequence[Column], ask: Ask) -> Guesses:
    names = "  ".join(f"{n} {printable(column.source)!r}" for n, column in enumerate(offered, start=1))
    if each.match is not None:
        question = (
            f"{each.want.words}: is it {printable(each.match.column.source)!r}? ({each.match.confidence} % sure: "
        )
        question += f"{each.match.reason})\n  Enter: yes   {names}   s: none of them"
    else:
        question = f"{each.want.words}: which column?\n  {names}   Enter: none of them"
    while True:
        answer = ask(question).casefold()
        if not answer:
            return guesses
        if answer in ("s", "n", "no"):
            return with_choice(guesses, each.want.id, None)
        if answer in ("y", "yes") and each.match is not None:
            return guesses
        if answer.isdecimal() and 1 <= int(answer[:4]) <= len(offered):
            return with_choice(guesses, each.want.id, matched(each.want, offered[int(answer) - 1]))


def _ask_constants(guesses: Guesses, constants: Mapping[str, str], ask: Ask) -> dict[str, str]:
    """Return what no column gives and somebody knows: the authority, the school, the school year."""
    answers: dict[str, str] = {}
    while True:
        made = draft(guesses, {**constants, **answers})
        lacking = [*made.missing, *(part.needs for part in made.left_out)]
        name = next((m.set for m in lacking if m.set in _asked() and m.set not in {**constants, **answers}), None)
        if name is None:
            return {key: value for key, value in answers.items() if value}
        meaning = next(meaning for meaning in vocabulary().meanings.values() if meaning.set == name)
        answers[name] = _constant(meaning, ask)


def _constant(meaning: Meaning, ask: Ask) -> str:
    """Return what somebody says that something is for all records; empty when they do not say."""
    question = f"{meaning.words}: no column has it. What is it for all of them?\n  Enter: leave it out"
    while (answer := ask(question)) and not _is_usable(meaning, answer):
        question = f"That is no {meaning.words}. What is it for all of them?\n  Enter: leave it out"
    return answer


# ---------------------------------------------------------------- what is shown


def guesses_table(guesses: Guesses, *, show_values: bool = False) -> Table:
    """Return a table of what goes where, sure guesses first, with shapes of values; with values only when asked for."""
    title = f"{guesses.object_type}: {_words(guesses.object_type)}"
    table = Table(title=f"{title}, one for each of {guesses.each}" if guesses.each else title, title_justify="left")
    for heading in ("Column", "Values" if show_values else "Looks like", "Is", "Sure", "Why"):
        table.add_column(heading, justify="right" if heading == "Sure" else "left", overflow="fold")
    found = [each for each in guesses.guesses if each.match is not None]
    for each in sorted(found, key=lambda each: -each.match.confidence if each.match is not None else 0):
        if each.match is not None:
            column = each.match.column
            looks = _looks(column, show_values=show_values)
            row = (printable(column.source), looks, each.want.words, f"{each.match.confidence} %", each.match.reason)
            table.add_row(*row)
    for each in guesses.guesses:
        if _is_lacking(guesses, each):
            table.add_row("?", "", each.want.words, "", "needed, and not found")
    for column in guesses.unused:
        table.add_row(printable(column.source), _looks(column, show_values=show_values), "-", "", "not used")
    return table


def _looks(column: Column, *, show_values: bool) -> str:
    if not show_values:
        return shape(column.field.counts)
    return ", ".join(shown(value) for value in islice(column.field.counts, _VALUES_SHOWN))


def _told(wishes: _Wishes, sample: Sample, made: Sequence[_Made], constants: Mapping[str, str]) -> Iterator[str]:
    """Yield what was written, what it lacks, and what to do next."""
    for each in made:
        lines = sum(guessed.match is not None for guessed in each.guesses.guesses)
        yield f"Written: {each.file} ({each.draft.object_type}, {lines} columns)"
        for missing in each.draft.missing:
            yield f"  It lacks {missing.path}, {_remedy(missing)}"
        for part in each.draft.left_out:
            yield f"  {part.path} is left out, since this is missing: {_remedy(part.needs)}"
        if each.shipped:
            yield f"  The library's {each.shipped} reads these columns too, and was made with care: prefer it if it is"
            yield f"  for your system (--mapping {each.shipped} in what follows), or begin yours with"
            yield f'  base = "{each.shipped}" and change what differs.'
    yield ""
    lacking = [each for each in made if each.draft.missing]
    yield "Mend the lines marked NEEDED, then:" if lacking else "What to do next:"
    yield from (f"  {command}" for command in _commands(wishes, sample, made, constants))


def _remedy(missing: Missing) -> str:
    at_once = f", or run this again with --force --set {missing.set}=..." if missing.set in _asked() else ""
    return f"{missing.words}: name its column in the file{at_once}"


def _commands(wishes: _Wishes, sample: Sample, made: Sequence[_Made], constants: Mapping[str, str]) -> Iterator[str]:
    files = [shlex.quote(str(each.file)) for each in made]
    source = shlex.quote(str(wishes.sample))
    given = "".join(f" --option {shlex.quote(pair)}" for pair in _option_pairs(wishes, sample))
    reads = f" --connector {shlex.quote(wishes.connector)}{given}" if wishes.connector else given
    stem = re.sub(r"[^a-z0-9]+", "-", wishes.sample.stem.lower()).strip("-").removeprefix("trial-")  # a trial's own
    agent = stem[:40].strip("-") or "school"
    school = "".join(constants.get(name, "") for name in _SCHOOL)
    speaks = ""
    if all(constants.get(name) for name in _SCHOOL):
        agent, speaks = f"{agent}-{school}", f" --establishment {school}"  # a zone has the pupils of many schools
    yield f"sifzone mapping check {' '.join(files)} --from {source}{reads}"
    for file in files:
        yield f"sifzone mapping preview {file} {source}{reads}"
    chosen = "".join(f" --mapping {file}" for file in files)
    yield f"sifzone agent new {agent}{chosen} --from {source} --connector {sample.connector}{given}{speaks}"
    yield f"sifzone agent try {agent}/agent.toml"


def _option_pairs(wishes: _Wishes, sample: Sample) -> Iterator[str]:
    """Yield the connector's options, those that were guessed too."""
    yield from wishes.option
    named = parse_options(wishes.option)
    yield from (f"{name}={value}" for name, value in sample.source.options.items() if name not in named)


def _as_json(sample: Sample, made: Sequence[_Made]) -> dict[str, Any]:
    return {"connector": sample.connector, "mappings": [_mapping_json(each) for each in made]}


def _mapping_json(each: _Made) -> dict[str, Any]:
    return {
        "object": each.draft.object_type,
        "file": str(each.file),
        "each": each.guesses.each,
        "shipped": each.shipped,
        "missing": [{"path": m.path, "words": m.words, "set": m.set} for m in each.draft.missing],
        "left_out": [
            {"path": part.path, "needs": part.needs.path, "columns": list(part.sources)} for part in each.draft.left_out
        ],
        "unused": [column.source for column in each.guesses.unused],
        "guesses": [_guess_json(guessed) for guessed in each.guesses.guesses if guessed.match is not None],
    }


def _guess_json(each: Guess) -> dict[str, Any]:
    match = each.match
    return {
        "paths": list(each.want.paths),
        "words": each.want.words,
        "column": match.column.source if match is not None else "",
        "shape": shape(match.column.field.counts) if match is not None else "",
        "confidence": match.confidence if match is not None else 0,
        "reason": match.reason if match is not None else "",
        "others": [{"column": other.column.source, "confidence": other.confidence} for other in each.others],
    }


def _console() -> Console:
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


__all__ = ["EXAMPLES", "guesses_table", "new", "review"]
