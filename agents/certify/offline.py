"""Stages of a certification that need no zone: what the mappings make of made-up records, and back again."""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from lxml import etree

import schemas
from agents.certify.corpus import Made, made_of, reached, target_key
from agents.certify.outcomes import Check, count, judged, skipped, some
from agents.certify.prepared import Prepared, Source, mapping_document, site_library
from agents.certify.uses import Use, uses_of
from agents.connectors.contract import SourceError
from agents.parts import FilePart
from agents.workbench.reading import TEST_KEYS
from agents.workbench.tally import plain_path
from broker.protocol.envelope import local_name
from mappings import InwardMapping, Line, Record
from mappings.invert import NotInvertible, invert
from mappings.records import MappedObject

_MOST_RECORDS: Final = 2_000
"""Records of the agent's own files that are tried."""
_QUICK_OBJECTS: Final = 40
"""Objects of each mapping that are turned back in a quick certification."""


def settings_checks(prepared: Prepared) -> Iterator[Check]:
    """Yield what is to be said of the agent's file, which could be read."""
    lines = sum(len(mapping.lines) for source in prepared.sources for mapping in source.part.mappings)
    files = count(len(prepared.sources), "source")
    yield Check("The agent's file can be used", "pass", f"{files}, {_target_words(prepared)}")
    if any(source.part.settings.locates for source in prepared.sources):
        why = "the private zone knows no learners of other systems, so that nothing is asked there"
        yield skipped("The zone is asked whose record each learner is", why)
    if prepared.sources:
        good = f"{count(lines, 'line')} of {some(_mapping_names(prepared), 12)}"
        yield Check("Every mapping can be loaded, and every path in it is in the schema", "pass", good)
        unkeyed = [m.name for s in prepared.sources for m in s.part.mappings if not _has_key(m)]
        bad = f"{some(unkeyed)}: name what identifies the object: key = [...]"
        yield judged("Every mapping says what identifies its objects", not unkeyed, "each has a key", bad)


def corpus_checks(prepared: Prepared) -> Iterator[Check]:
    """Yield whether the made-up records reach every line, and whether the agent's own files can be read."""
    for source in prepared.sources:
        made = source.made(source.corpus.right)
        for mapping in source.part.mappings:
            yield _lines_reached(source, mapping, made)
        how = "its connector reads them" if source.writer.own else "records given as its connector gives them"
        records = count(len(source.corpus.cases), "record")
        yield Check(f"{source.title}: records for every case are made up", "pass", f"{records}; {how}")
        yield _own_files(source)


def object_checks(prepared: Prepared, *, quick: bool = False) -> Iterator[Check]:
    """Yield whether all objects are valid, codes go through, and what is no code is reported."""
    for source in prepared.sources:
        made = source.made(source.corpus.right)
        for mapping in source.part.mappings:
            objects = [one for each in made if each.mapping is mapping for one in each.translation.objects]
            yield _all_valid(mapping, objects)
            yield _codes_through(mapping, objects, quick=quick)
        yield _wrong_reported(source)


def round_trip_checks(prepared: Prepared, *, quick: bool = False) -> Iterator[Check]:
    """Yield for each mapping whether objects turned back into records give the same objects again."""
    for source in prepared.sources:
        made = source.made(source.right)
        for mapping in source.part.mappings:
            yield _round_trip(prepared, source, mapping, made, quick=quick)


def _lines_reached(source: Source, mapping: InwardMapping, made: list[Made]) -> Check:
    name = f"{source.title}: every line of {mapping.name} fills its element in some object"
    lines = [line for line in mapping.lines if line.kind == "field"]
    found = reached(mapping, made)
    missing = [_place(line) for line in lines if target_key(line) not in found]
    if missing:
        why = f"made-up records do not reach {some(missing)}: put an example into the agent's folder that does"
        return skipped(name, why)
    return Check(name, "pass", f"{count(len(lines), 'line')} in {count(len(source.corpus.right), 'record')}")


def _own_files(source: Source) -> Check:
    name = f"{source.title}: the agent's own files can be read"
    files = source.files()
    part = source.part
    if not files or not isinstance(part, FilePart):
        return skipped(name, "there are none here")
    records = objects = invalid = refused = 0
    try:
        for path in files[-3:]:
            items = islice((item for item in part.connector.read(path)), _MOST_RECORDS)
            for each in made_of(items, part.mappings, TEST_KEYS):
                records += each.mapping is part.mappings[0]
                objects += len(each.translation.objects)
                invalid += sum(not _is_valid(one.element) for one in each.translation.objects)
                refused += any(problem.severity == "refuse" for problem in each.translation.problems)
    except (SourceError, OSError) as error:
        reason = error.reason if isinstance(error, SourceError) else error.strerror
        return Check(name, "fail", f"{reason}: sifzone agent check says more")
    good = f"{count(records, 'record')} gave {count(objects, 'object')}, all valid"
    if not objects:
        nothing = f"{count(records, 'record')} gave no object"
        return (
            Check(name, "fail", f"{nothing}: sifzone agent try says why") if refused else skipped(name, nothing)
        )  # a mapping may leave out all of them on purpose
    bad = f"{invalid} of {count(objects, 'object')} are not valid: sifzone mapping preview shows which"
    return judged(name, not invalid, good, bad)


def _all_valid(mapping: InwardMapping, objects: list[MappedObject]) -> Check:
    name = f"Every {mapping.object_type} of {mapping.name} is valid by the schema"
    if not objects:
        return skipped(name, "made-up records give none: put an example into the agent's folder")
    paths = [finding.path for one in objects for finding in schemas.load().check(one.element, partial=False)]
    good = count(len(objects), "object")
    bad = f"wrong in {some(paths)}: add a converter or a code table to these lines"
    return judged(name, not paths, good, bad)


def _codes_through(mapping: InwardMapping, objects: list[MappedObject], *, quick: bool) -> Check:
    name = f"Every code that {mapping.name} maps goes through"
    seen = _seen(objects)
    coded = [use for _, use in uses_of(mapping) if _is_coded(use) and use.line.number == 1 and not use.line.when]
    if not coded or not objects:
        return skipped(name, "it maps no codes" if objects else "made-up records give no objects")
    lost: list[str] = []
    unreached: list[str] = []
    reached_codes = 0
    for use in coded:
        expected = {result for code in use.codes_in() if (result := use.result(code)) is not None}
        through = expected & seen.get(plain_path(use.line.target), set())
        reached_codes += len(through)
        if not through:
            unreached.append(_place(use.line))
        elif len(through) < len(expected) and not quick:
            lost.append(f"{_place(use.line)}: {some(sorted(expected - through))}")
    if len(unreached) == len(coded):
        return skipped(name, f"made-up records do not reach {some(unreached)}")
    good = f"{count(reached_codes, 'code')} of {count(len(coded) - len(unreached), 'line')}"
    good += ", a few of each list" if quick else ""
    return judged(name, not lost, good, f"these do not reach an object: {some(lost)}: look at the line")


def _wrong_reported(source: Source) -> Check:
    name = f"{source.title}: what is no code, date or number is reported, or refused by the schema"
    cases = source.corpus.wrong
    if not cases:
        return skipped(name, "its mappings take any text")
    silent = []
    for case in cases:
        made = source.made([case])
        told = any(each.translation.problems for each in made)
        stopped = any(not _is_valid(one.element) for each in made for one in each.translation.objects)
        if not (told or stopped) and case.wrong != "*":
            silent.append(case.wrong)
    good = count(len(cases), "case")
    return judged(name, not silent, good, f"{some(silent)}: nothing is said of it: add a converter or a code table")


def _round_trip(prepared: Prepared, source: Source, mapping: InwardMapping, made: list[Made], *, quick: bool) -> Check:
    name = f"{mapping.name}: objects turned back into records give the same objects"
    inverse = invert(mapping, mapping_document(source, mapping), site_library(prepared.settings))
    if isinstance(inverse, NotInvertible):
        stops = [f"{Path(each.file).name}:{each.line}: {each.message}" for each in inverse.obstacles]
        return skipped(name, some(stops, 3))
    pairs = [(each.record, one) for each in made if each.mapping is mapping for one in each.translation.objects]
    pairs = pairs[:_QUICK_OBJECTS] if quick else pairs
    if not pairs:
        return skipped(name, "made-up records give no objects")
    records: list[Record] = []
    hidden: list[str] = []
    for record, one in pairs:
        undone = inverse.record(one.element, _flat(record))
        hidden += [problem.target for problem in undone.problems]
        records.append(undone.record)
    if hidden:
        return skipped(name, f"of some objects this is not known from the object alone: {some(hidden)}")
    lost: list[str] = []
    if source.writer.own and not mapping.rows and not any(record.groups for record in records):
        lost = _by_file(source, mapping, records, [one for _, one in pairs])
    good = count(len(pairs), "object")
    return judged(name, not lost, good, f"{some(lost)}: is not got back: see the line of the mapping")


def _by_file(source: Source, mapping: InwardMapping, records: list[Record], objects: list[MappedObject]) -> list[str]:
    """Write records as a file, read it as the agent does, and return where the objects are others."""
    part = source.part
    if not isinstance(part, FilePart):
        return []
    with tempfile.TemporaryDirectory(prefix="sifzone-certify-") as folder:
        path = Path(folder) / f"back{source.writer.suffix}"
        source.writer.write(path, records)
        again = [
            one.element
            for each in made_of(part.connector.read(path), (mapping,), TEST_KEYS)
            for one in each.translation.objects
        ]
    if len(again) != len(objects):
        return [f"{len(objects) - len(again)} objects"]
    pairs = zip(again, objects, strict=True)
    return [one.object_type for other, one in pairs if not same(other, one.element, ids=False)]


def same(one: etree._Element, other: etree._Element, *, ids: bool = True, without: Collection[str] = ()) -> bool:
    """Tell whether two elements say the same, however they are written.

    Args:
        one: An element.
        other: Another.
        ids: Whether RefIds, their own and those they refer to, must be the same, too.
        without: Names of elements that do not count.
    """
    if etree.QName(one) != etree.QName(other) or (one.text or "").strip() != (other.text or "").strip():
        return False
    if _attributes(one, ids=ids) != _attributes(other, ids=ids):
        return False
    parts = [
        [child for child in each if isinstance(child.tag, str) and local_name(child) not in without]
        for each in (one, other)
    ]
    return len(parts[0]) == len(parts[1]) and all(
        same(a, b, ids=ids, without=without) for a, b in zip(*parts, strict=True)
    )


def _attributes(element: etree._Element, *, ids: bool) -> Mapping[str, str]:
    return {str(name): str(text) for name, text in element.attrib.items() if ids or not str(name).endswith("RefId")}


def _flat(record: Record, path: str = "") -> dict[str, str]:
    """Return all fields of a record by their full names; of members of a group the first one's."""
    found = {f"{path}{name}": text for name, text in record.fields.items()}
    for group, members in record.groups.items():
        for member in members:
            found = _flat(member, f"{path}{group}/") | found
    return found


def _seen(objects: Iterable[MappedObject]) -> dict[str, set[str]]:
    """Return the texts at each path of the objects."""
    found: dict[str, set[str]] = {}
    for one in objects:
        pending: list[tuple[etree._Element, str]] = [(one.element, "")]
        while pending:
            element, path = pending.pop()
            for name, text in element.attrib.items():
                found.setdefault(f"{path}/@{name!s}".lstrip("/"), set()).add(str(text))
            if element.text:
                found.setdefault(path, set()).add(element.text.strip())
            pending += [(child, f"{path}/{local_name(child)}".lstrip("/")) for child in element]
    return found


def _is_coded(use: Use) -> bool:
    return use.line.kind == "field" and bool(use.codes_in())


def _is_valid(element: etree._Element) -> bool:
    return not schemas.load().check(element, partial=False)


def _place(line: Line) -> str:
    return f"{Path(line.file).name}:{line.line} ({line.target})"


def _has_key(mapping: InwardMapping) -> bool:
    return any(line.kind == "key" for line in mapping.lines)


def _mapping_names(prepared: Prepared) -> list[str]:
    return [mapping.name for source in prepared.sources for mapping in source.part.mappings]


def _target_words(prepared: Prepared) -> str:
    target = prepared.settings.target
    return "no target" if target is None else f"target {target.connector}"


__all__ = ["corpus_checks", "object_checks", "round_trip_checks", "same", "settings_checks"]
