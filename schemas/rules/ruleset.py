"""All rules, and the rules as one zone has set them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

from lxml import etree

from schemas.model import Finding, Severity, line_of, nearest_of
from schemas.rules import care, dates, identifiers, learning, places, references
from schemas.rules.facts import Facts
from schemas.rules.rule import Check, Fault, Rule, name_of, namespace_of

Setting = Severity | Literal["off"]
"""What a zone can set a rule to; a rule that is off does not run."""

MAX_FINDINGS: Final = 100
_SETTINGS: Final[tuple[str, ...]] = (*get_args(Severity), "off")
_EXTENDED: Final = "SIF_ExtendedElements"

_Active = tuple[Check, Rule, Severity]
_Found = tuple[Fault, Rule, Severity]

RULES: Final[tuple[Rule, ...]] = (
    *identifiers.RULES,
    *dates.RULES,
    *care.RULES,
    *learning.RULES,
    *places.RULES,
    *references.RULES,
)
_OBJECTS: Final = frozenset(object_type for rule in RULES for object_type in rule.elements)


class UnknownRule(KeyError):
    """There is no rule of this name.

    Attributes:
        name: The name asked for.
        nearest: The most similar name that there is, or None.
    """

    def __init__(self, name: str, nearest: str | None) -> None:
        self.name, self.nearest = name, nearest
        hint = f"did you mean {nearest}?" if nearest else f"the rules are {', '.join(rule.name for rule in RULES)}"
        self.message = f"no rule is named {name[:80]!r}: {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message  # KeyError would show it quoted


class UnknownSetting(ValueError):
    """A rule is set to something that is no setting.

    Attributes:
        name: Name of the rule.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"rule {name} cannot be set to that: use one of {', '.join(_SETTINGS)}")


class RuleSet:
    """The rules as one zone has set them.

    Args:
        severities: What the zone sets differently, by name of the rule.

    Attributes:
        settings: What each rule does, by name.

    Raises:
        UnknownRule: A name is no rule's.
        UnknownSetting: A rule is set to none of the words for it.
    """

    def __init__(self, severities: Mapping[str, Setting] | None = None) -> None:
        settings: dict[str, Setting] = {rule.name: rule.severity for rule in RULES}
        for name, setting in (severities or {}).items():
            if name not in settings:
                raise UnknownRule(name, nearest_of(name, tuple(settings)))
            if setting not in _SETTINGS:
                raise UnknownSetting(name)
            settings[name] = setting
        self.settings: Mapping[str, Setting] = MappingProxyType(settings)
        self._active = tuple(
            (rule.check, rule, severity) for rule in RULES if (severity := settings[rule.name]) != "off"
        )
        self._judges: dict[str, _Judges] = {}  # by tag of the object

    def check(self, object_type: str, element: etree._Element, facts: Facts) -> tuple[Finding, ...]:
        """Check an object, or a part of one, against the rules.

        Args:
            object_type: For example "LearnerPersonal".
            element: The object, alone or inside a message; its schema has found it valid.
            facts: What is known besides.

        Returns:
            What is wrong, in document order and at most 100.
        """
        judges = self._judges.get(element.tag)
        if judges is None:
            if object_type not in _OBJECTS:
                return ()
            judges = self._judges[element.tag] = self._for(object_type, namespace_of(element))
        found = judges.judge(element, facts)
        return _findings(element, found) if found else ()

    def _for(self, object_type: str, namespace: str) -> "_Judges":
        everywhere: dict[str, tuple[_Active, ...]] = {}
        in_parent: dict[str, dict[str, tuple[_Active, ...]]] = {}
        for active in self._active:
            for path in active[1].elements.get(object_type, ()):
                parent, _, name = path.rpartition("/")
                table = in_parent.setdefault(namespace + name, {}) if parent else everywhere
                tag = namespace + (parent or name)
                table[tag] = (*table.get(tag, ()), active)
        return _Judges(everywhere, in_parent)


class _Judges:
    """The rules for one kind of object by the elements that they judge, so that one walk serves them all.

    Args:
        everywhere: By tag.
        in_parent: By tag, then by tag of the parent; of tags that are not in the former.
    """

    def __init__(
        self,
        everywhere: Mapping[str, tuple[_Active, ...]],
        in_parent: Mapping[str, Mapping[str, tuple[_Active, ...]]],
    ) -> None:
        self._everywhere, self._in_parent = everywhere, in_parent
        # iter() takes names in any namespace quicker than in one
        self._tags = tuple("{*}" + tag.rpartition("}")[2] for tag in (*everywhere, *in_parent))

    def judge(self, root: etree._Element, facts: Facts) -> list[_Found]:
        """Return what is wrong, as the walk comes by it; it ends once that is enough."""
        found: list[_Found] = []
        if not self._tags:  # without tags, iter() walks over everything
            return found
        everywhere, in_parent = self._everywhere, self._in_parent
        for element in root.iter(*self._tags):
            tag = element.tag
            rules = everywhere.get(tag)
            if rules is None:
                parent = element.getparent()
                parents = in_parent.get(tag)  # None in a namespace that is not the object's
                rules = () if parent is None or parents is None else parents.get(parent.tag, ())
            for check, rule, severity in rules:
                for fault in check(element, facts):
                    found.append((fault, rule, severity))  # noqa: PERF401 - nearly always there is none
            if len(found) >= MAX_FINDINGS:
                break
        return found


def _findings(root: etree._Element, found: list[_Found]) -> tuple[Finding, ...]:
    """Put faults in document order; their lines would not do, since a message may be all on one."""
    places = {element: place for place, element in enumerate(root.iter())}
    found.sort(key=lambda each: places[each[0].at])
    findings = [finding for each in found if (finding := _finding(root, *each)) is not None]
    return tuple(findings[:MAX_FINDINGS])


def _finding(root: etree._Element, fault: Fault, rule: Rule, severity: Severity) -> Finding | None:
    """Say where a fault is; extended elements are free to hold what they like, so nothing is wrong in them."""
    names = [f"@{fault.attribute}"] if fault.attribute else []
    element: etree._Element | None = fault.at
    while element is not None and element is not root:
        names.append(name_of(element))
        element = element.getparent()
    if _EXTENDED in names:
        return None
    path = "/".join(reversed(names))
    return Finding(path, line_of(fault.at), rule.name, severity, fault.message, None, rule.sif_code)
