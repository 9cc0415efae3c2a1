"""For any object and any agreements: nothing leaves that no agreement named, and nothing named is lost.

Each text, attribute, comment, instruction and namespace of a generated object holds a mark of its own. The oracle
knows where each mark was put and compares paths as strings; of how a view is compiled and cut it knows nothing.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

import schemas
from broker.agreements import UNDELIVERED, Agreement, parse_agreement
from broker.protocol.envelope import NAMESPACE
from broker.views import View, compile_view
from tests.unit.broker.builders import XSI, copied, paths_of

SCHEMA: Final = schemas.load()
NIL: Final = f"{{{XSI}}}nil"
FOREIGN: Final = "urn:example:foreign"
MARK: Final = re.compile(rb"k[0-9]{5}k")
PATHS: Final = {name: paths_of(name) for name in SCHEMA.objects}


@dataclass
class Marked:
    """An object under construction.

    Attributes:
        data: Path of each mark in an element or attribute that the schema knows.
        loose: Path of each mark that may leave below a path shared, and need not.
        never: Marks that must not leave wherever they are.
        learners: Marks that stand for another learner's RefId, and all marks of the member about that learner.
        nils: How often an element is emptied, by path.
    """

    seed: int
    density: float
    prefix: str | None
    data: dict[str, str] = field(default_factory=dict, repr=False)
    loose: dict[str, str] = field(default_factory=dict, repr=False)
    never: set[str] = field(default_factory=set, repr=False)
    learners: dict[str, set[str]] = field(default_factory=dict, repr=False)
    nils: Counter[str] = field(default_factory=Counter, repr=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.nsmap: dict[str | None, str] = {self.prefix: NAMESPACE, "xsi": XSI, "idle": self.hide()}

    def mark(self) -> str:
        self.count += 1
        return f"k{self.count:05d}k"

    def hide(self) -> str:
        mark = self.mark()
        self.never.add(mark)
        return f"urn:{mark}"

    def note(self, path: str) -> str:
        mark = self.mark()
        self.data[mark] = path
        return mark

    def wants(self, chance: float) -> bool:
        return self.random.random() < chance

    def build(self, object_type: str) -> etree._Element:
        """Return an object of this kind, read back from bytes as a message would be."""
        self.ns = f"{{{SCHEMA.namespace_of(object_type)}}}"
        self.nsmap[self.prefix] = SCHEMA.namespace_of(object_type)
        root = copied(etree.Element(self.ns + object_type), self.nsmap)
        self.fill(root, SCHEMA.tree(object_type), self.density)
        others = SCHEMA.other_learners(object_type)
        for known in others:
            self.remember_learners(root, f"{known.list_path}/{known.member}", known.ref)
        return etree.fromstring(etree.tostring(root))

    def fill(self, element: etree._Element, node: schemas.Node, density: float) -> None:
        for child in node.children:
            if child.kind == "attribute":
                # the keys of an object are always there, as a valid object has them
                if self.wants(density) or not node.path:
                    element.set(child.name, self.note(child.path))
                continue
            if not self.wants(density):
                continue
            if not node.path and child.name in UNDELIVERED.get(node.name, ()):
                etree.SubElement(element, self.ns + child.name).text = self.hide()
                continue
            for _ in range(self.random.randint(1, 3) if child.repeatable else 1):
                made = etree.SubElement(element, self.ns + child.name)
                if self.wants(0.1):
                    made.set(NIL, "true")
                    self.nils[child.path] += 1
                else:
                    self.fill(made, child, min(1.0, density * 1.3))
        if node.simple_type or node.type == "xs:anyType":
            element.text = self.note(node.path)
        self.disturb(element, node)

    def disturb(self, element: etree._Element, node: schemas.Node) -> None:
        """Add what no schema asks for: all of it must stay behind unless an element around it is shared whole."""
        if self.wants(0.25):
            element.insert(0, etree.Comment(self.hide()))
        if self.wants(0.15):
            element.append(etree.ProcessingInstruction("go", self.hide()))
        if self.wants(0.1):
            element.set(f"{{{FOREIGN}}}note", self.loosen(f"{node.path}/@foreign"))
        if self.wants(0.1) and node.path:
            element.set("Unknown", self.loosen(f"{node.path}/@Unknown"))
        if node.simple_type:
            return
        if self.wants(0.15):
            stranger = etree.SubElement(element, self.random.choice([self.ns, "", f"{{{FOREIGN}}}"]) + "Stranger")
            stranger.text = self.loosen(f"{node.path}/Stranger")
        if self.wants(0.15) and len(element):
            self.random.choice(element).tail = self.loosen(f"{node.path}/text()")

    def loosen(self, path: str) -> str:
        mark = self.mark()
        self.loose[mark] = path.lstrip("/")
        return mark

    def remember_learners(self, root: etree._Element, members: str, ref: str) -> None:
        for member in root.iterfind("/".join(self.ns + step for step in members.split("/"))):
            if ref.startswith("@"):
                text = member.get(ref[1:], "")
            else:
                text = (
                    member.findtext("/".join(step if step == "." else self.ns + step for step in ref.split("/"))) or ""
                )
            self.learners.setdefault(text.strip(), set()).update(marks(etree.tostring(member, with_tail=False)))


def marks(piece: bytes) -> list[str]:
    return [found.decode() for found in MARK.findall(piece)]


def names(path: str, shared: frozenset[str]) -> bool:
    """Tell whether *path* is one that is shared, or lies below one."""
    return "*" in shared or any(path == one or path.startswith(one + "/") for one in shared)


def places(root: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield each mark of a document with where it stands, in document order; attributes come by name."""

    def walk(element: etree._Element, path: str) -> Iterator[tuple[str, str]]:
        for name, value in sorted(element.attrib.items()):
            yield from ((mark, f"{path}/@{name!s}") for mark in marks(str(value).encode()))
        yield from ((mark, path) for mark in marks((element.text or "").encode()))
        for child in element:
            if isinstance(child.tag, str):
                yield from walk(child, f"{path}/{child.tag}")
            yield from ((mark, path) for mark in marks((child.tail or "").encode()))

    return walk(root, "")


@st.composite
def agreements(draw: st.DrawFn, object_type: str) -> list[Agreement]:
    """Draw one to three agreements, each read from its TOML file."""
    keys = SCHEMA.keys(object_type)
    made = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(PATHS[object_type]), max_size=8, unique=True))
        whole = draw(st.sampled_from([False] * 9 + [True]))
        share = ["*"] if whole else [*keys, *(path for path in chosen if path not in keys)]
        text = (
            f'id = "a{number}"\ntitle = "t"\nfrom = ["*"]\nto = ["*"]\npurpose = "p"\nlawful_basis = "l"\n'
            'starts = 2026-09-01\nexpires = 2027-08-31\nlearners = "all"\n'
            f"[objects.{object_type}]\nshare = {json.dumps(share)}\n"
        )
        made.append(parse_agreement(text.encode(), f"a{number}.toml"))
    return made


@dataclass(frozen=True)
class Case:
    """A generated object with the agreements on it; *kept* are the other learners that may be mentioned."""

    object_type: str
    marked: Marked
    root: etree._Element = field(repr=False)
    view: View = field(repr=False)
    shared: frozenset[str]
    kept: frozenset[str]

    def hidden(self) -> set[str]:
        """Return the marks of members about learners who may not be mentioned."""
        about_hidden = [found for ref, found in self.marked.learners.items() if ref not in self.kept]
        return set().union(*about_hidden)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    object_type = draw(st.sampled_from(["LearnerPersonal", *SCHEMA.objects]))
    made = draw(agreements(object_type))
    shared = frozenset(path for one in made for path in one.shares[object_type])
    seed, density = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.3, 0.5, 0.8]))
    marked = Marked(seed, density, draw(st.sampled_from([None, "s"])))
    root = marked.build(object_type)
    kept = draw(st.frozensets(st.sampled_from(sorted(marked.learners)))) if marked.learners else frozenset()
    return Case(object_type, marked, root, compile_view(object_type, made), shared, kept)


BOUNDED: Final = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@BOUNDED
@given(cases())
def test_nothing_leaves_that_no_agreement_named_and_nothing_named_is_lost(case: Case) -> None:
    before = etree.tostring(case.root)

    piece = case.view.cut(case.root, case.kept.__contains__)

    marked, shared = case.marked, case.shared
    hidden = case.hidden()
    wanted = {mark for mark, path in marked.data.items() if names(path, shared)} - hidden
    allowed = wanted | ({mark for mark, path in marked.loose.items() if names(path, shared)} - hidden)
    keys = {mark for mark in wanted if marked.data[mark] in SCHEMA.keys(case.object_type)}
    if piece is None:
        assert wanted <= keys
    else:
        assert set(marks(piece)) <= allowed
        assert wanted <= set(marks(piece))
        assert len(marks(piece)) == len(set(marks(piece)))
        out = etree.fromstring(b'<SIF_Message xmlns="%b">%b</SIF_Message>' % (NAMESPACE.encode(), piece))[0]
        assert list(places(out)) == [place for place in places(case.root) if place[0] in set(marks(piece))]
        assert not [node for node in out.iter() if not isinstance(node.tag, str)]
        assert_emptied_alike(case, out)
    assert etree.tostring(case.root) == before


def assert_emptied_alike(case: Case, out: etree._Element) -> None:
    """Check that an element is emptied in *out* only where it or a part of it is shared, and wherever it is shared."""
    found: Counter[str] = Counter()
    for element in out.iter():
        if element.get(NIL) is not None:
            steps = [ancestor.tag for ancestor in element.iterancestors()][-3::-1]
            found["/".join(str(tag).removeprefix(case.marked.ns) for tag in [*steps, element.tag])] += 1
    lists = tuple(known.list_path + "/" for known in SCHEMA.other_learners(case.object_type))
    for path, count in found.items():
        assert count <= case.marked.nils[path]
        assert names(path, case.shared) or any(one.startswith(path + "/") for one in case.shared)
    for path, count in case.marked.nils.items():
        if names(path, case.shared) and not path.startswith(lists or ("\0",)):
            assert found[path] == count


@BOUNDED
@given(cases())
def test_keys_are_all_that_is_left_when_only_keys_are_wanted(case: Case) -> None:
    keys = SCHEMA.keys(case.object_type)

    left = set(marks(case.view.keys_only(case.root)))

    wanted = {mark for mark, path in case.marked.data.items() if path in keys}
    assert wanted <= left
    assert not [mark for mark in left - wanted if not names(case.marked.loose.get(mark, ""), frozenset(keys))]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(SCHEMA.objects), st.integers(0, 2**32))
@example("LearnerPersonal", 0)
def test_generated_objects_hold_what_the_properties_are_about(object_type: str, seed: int) -> None:
    """The generator itself: a mark that it forgot to note would make the properties above say nothing."""
    marked = Marked(seed, 0.8, None)
    root = marked.build(object_type)

    assert set(marks(etree.tostring(root))) == {*marked.data, *marked.loose, *marked.never}
    assert marked.data
    assert marked.never
    assert len(marked.data) + len(marked.loose) + len(marked.never) == marked.count
