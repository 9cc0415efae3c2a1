"""Lays out the targets of an inward mapping in schema order, and finds every one that the schema does not allow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import schemas
from mappings.builder import Leaf, ListOf, Target
from mappings.checks import check_of
from mappings.document import Where
from mappings.problems import nearest
from mappings.scope import Scope
from mappings.selection import Selection
from mappings.spec import Reader, Step, path_steps
from mappings.values import Test, UnusableError, Value

Predicates = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TargetValue:
    """One line of ``[fields]``, or one table of ``[lists]``: then ``inner`` has the lines of its members."""

    where: Where
    path: str
    value: Value[Scope] | None
    inner: tuple["TargetValue", ...] = ()
    selection: Selection | None = None
    tests: tuple[Test[Scope], ...] = ()
    unique: str | None = None


@dataclass(slots=True)
class _Draft:
    """A target while the tree is being put together."""

    node: schemas.Node
    where: Where
    predicates: Predicates = ()
    children: dict[tuple[str, Predicates, int], "_Draft"] = field(default_factory=dict)
    attributes: dict[str, tuple[schemas.Node, Value[Scope]]] = field(default_factory=dict)
    text: Value[Scope] | None = None
    repeat: ListOf | None = None
    alone: bool = True  # no other target fills an element of this name
    wrong: bool = False  # reported already: what else is wrong with it may follow from that


class Layout:
    """Puts targets together for one object type."""

    def __init__(self, schema: schemas.SchemaSet, object_type: str, reader: Reader) -> None:
        self._schema, self._object_type, self._reader = schema, object_type, reader
        self._tag = f"{{{schema.namespace_of(object_type)}}}"

    def root(self, fields: Iterable[TargetValue], lists: Sequence[TargetValue]) -> Target:
        """Return the whole object's target. Problems are reported to the reader; then what is returned is of no use."""
        tree = self._schema.tree(self._object_type)
        root = _Draft(tree, ("fields",))
        for entry in fields:
            self._add(root, entry)
        for entry in lists:
            self._add_list(root, entry)
        self._check(root)
        return self._target(root)

    def _add(self, root: _Draft, entry: TargetValue) -> None:
        steps = path_steps(entry.path)
        if steps is None or entry.value is None:
            message = (
                f"{entry.path!r} is not a path: write names separated by slashes, as in Name[@Type='C']/FamilyName"
            )
            self._reader.report(entry.where, message)
            return
        draft = self._walk(root, steps, entry)
        if draft is None:
            return
        last = steps[-1]
        if last.is_attribute:
            self._add_attribute(draft, last.name[1:], entry)
            return
        if any(child.kind == "element" for child in draft.node.children):
            inside = ", ".join(child.name for child in draft.node.children if child.kind == "element")
            self._reader.report(entry.where, f"{entry.path!r} holds elements, not text: name one of {inside}")
            draft.wrong = True
        elif draft.text is not None:
            self._reader.report(entry.where, f"{entry.path!r} is filled twice: remove one of the lines")
        else:
            draft.text, draft.where = entry.value, entry.where
            self._check_constants(draft.node, entry.where, entry.value)

    def _add_attribute(self, draft: _Draft, name: str, entry: TargetValue) -> None:
        node = _child(draft.node, "attribute", name)
        if node is None or entry.value is None:
            self._unknown(entry)
        elif draft is not None and draft.node.path == "" and name == "RefId":
            self._reader.report(entry.where, "'@RefId' is made from 'key': remove this line")
        elif name in draft.attributes or name in dict(draft.predicates):
            self._reader.report(entry.where, f"{entry.path!r} is filled twice: remove one of the lines")
        else:
            draft.attributes[name] = (node, entry.value)
            self._check_constants(node, entry.where, entry.value)

    def _check_constants(self, node: schemas.Node, where: Where, value: Value[Scope]) -> None:
        """Report constants and defaults that the schema does not take."""
        check = check_of(node)
        if check is None:
            return
        for text in [each.text for each in value.alternatives if each.text is not None]:
            try:
                check(text)
            except UnusableError as error:
                self._reader.report(where, f"{text[:60]!r}: {error}", error.nearest)

    def _add_list(self, root: _Draft, entry: TargetValue) -> None:
        draft = self._walk(root, path_steps(entry.path) or (), entry)
        if draft is None or entry.selection is None:
            return
        if not draft.node.repeatable:
            self._reader.report(entry.where, f"{entry.path!r} cannot be repeated: fill it in [fields]")
            return
        if draft.children or draft.text or draft.repeat:
            self._reader.report(entry.where, f"{entry.path!r} is filled in [fields] too: remove one of them")
            return
        if entry.unique is not None and _child(draft.node, "attribute", entry.unique) is None:
            names = [child.name for child in draft.node.children if child.kind == "attribute"]
            self._reader.report(
                (*entry.where, "unique"), f"{entry.path!r} has no such attribute", nearest(entry.unique, names)
            )
        draft.repeat = ListOf(entry.selection, entry.tests, entry.unique)
        for inner in entry.inner:
            self._add(root, inner)

    def _walk(self, root: _Draft, steps: Sequence[Step], entry: TargetValue) -> _Draft | None:
        """Return the draft of the element that the steps lead to, made where it was not there."""
        draft = root
        for step in steps:
            if step.is_attribute or step.name == ".":
                break
            node = _child(draft.node, "element", step.name)
            if node is None:
                self._unknown(entry)
                return None
            predicates = tuple(sorted(step.predicates))
            key = (step.name, predicates, step.number)
            if key not in draft.children:
                if not self._right_predicates(node, step, entry):
                    return None
                draft.children[key] = _Draft(node, entry.where, predicates)
            draft = draft.children[key]
        return draft

    def _right_predicates(self, node: schemas.Node, step: Step, entry: TargetValue) -> bool:
        right = True
        for name, text in step.predicates:
            attribute = _child(node, "attribute", name)
            names = [child.name for child in node.children if child.kind == "attribute"]
            if attribute is None:
                self._reader.report(entry.where, f"{step.name} has no attribute {name!r}", nearest(name, names))
                right = False
            elif attribute.codes is not None and text not in schemas.codes(attribute.codes):
                near = schemas.codes(attribute.codes).nearest(text)
                self._reader.report(entry.where, f"{text!r} is not a code of {step.name}/@{name}", near)
                right = False
        return right

    def _unknown(self, entry: TargetValue) -> None:
        message = f"{self._object_type} has no {entry.path!r}"
        near = self._schema.nearest(self._object_type, entry.path)
        above = entry.path
        while near is None and above:
            above = above.rpartition("/")[0]
            near = above if self._schema.find(self._object_type, above) is not None else None
        self._reader.report(entry.where, message, near or None)

    def _check(self, draft: _Draft) -> None:
        """Report what the schema wants and the mapping does not fill, and what it fills too often."""
        if draft.wrong:
            return
        by_name: dict[str, list[_Draft]] = {}
        for (name, _, _), child in draft.children.items():
            by_name.setdefault(name, []).append(child)
        for name, same in by_name.items():
            self._check_same(name, same)
        filled = {*by_name, *(f"@{name}" for name in draft.attributes), *(f"@{name}" for name, _ in draft.predicates)}
        for node in draft.node.children:
            name = f"@{node.name}" if node.kind == "attribute" else node.name
            if node.mandatory and name not in filled and node.path != "@RefId":
                where = ("fields",) if draft.node.path == "" else draft.where
                message = f"{self._object_type} needs {node.path!r} here, and no line fills it: add one"
                self._reader.report(where, message)
        for child in draft.children.values():
            self._check(child)

    def _check_same(self, name: str, same: list[_Draft]) -> None:
        """Report elements of one name under one parent that cannot stand side by side."""
        if len(same) == 1:
            return
        for draft in same:
            draft.alone = False
        if not same[0].node.repeatable:
            path = same[0].node.path
            message = f"{self._object_type} has one {path!r}, and two different ones are filled: keep one"
            self._reader.report(same[1].where, message)
            same[1].wrong = True
        if any(draft.repeat for draft in same):
            self._reader.report(same[-1].where, f"{name} is filled as a list and one by one: keep one way")

    def _target(self, draft: _Draft) -> Target:
        order = [node.name for node in draft.node.children if node.kind == "element"]
        children = sorted(draft.children.values(), key=lambda child: order.index(child.node.name))
        mandatory = draft.node.mandatory and draft.alone
        text = None
        if draft.text is not None:
            text = Leaf(draft.node.path, "", draft.text, mandatory, check_of(draft.node))
        fixed = draft.predicates
        if draft.node.path == "" and _child(draft.node, "attribute", "RefId") is not None:
            fixed = (("RefId", ""), *fixed)
        attributes = tuple(
            Leaf(node.path, name, value, node.mandatory, check_of(node))
            for name, (node, value) in draft.attributes.items()
        )
        inner = tuple(self._target(child) for child in children)
        return Target(
            draft.node.path, f"{self._tag}{draft.node.name}", mandatory, fixed, attributes, text, inner, draft.repeat
        )


def _child(node: schemas.Node, kind: str, name: str) -> schemas.Node | None:
    return next((child for child in node.children if child.kind == kind and child.name == name), None)
