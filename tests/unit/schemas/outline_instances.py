"""Random objects, whole, in part and damaged, made from the outline of the standard and never from our XSDs."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from itertools import cycle
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

import schemas
from tests.unit.schemas import outline
from tests.unit.schemas.outline import Part, Text

XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
ELSEWHERE: Final = "urn:example:elsewhere"

# By built-in type: what it allows, with the cases that are easily got wrong, and what it does not. Blanks around dates
# and times are in neither: XSD allows them, but libxml2 does not.
GOOD: Final[Mapping[str, tuple[str, ...]]] = {
    "xs:anyURI": ("https://example.org/", "https://example.org/a?b=c&d=e", "mailto:a@example.org", "a/b", ""),
    "xs:base64Binary": ("U2FtcGxl", "U2Ft cGxl", "AA==", ""),
    "xs:boolean": ("true", "false", "1", "0", " true "),
    "xs:date": ("2025-09-01", "2024-02-29", "2000-02-29", "2025-09-01Z", "2025-09-01-05:30", "2025-09-01+14:00",
                "-0044-03-15", "12025-01-01"),
    "xs:dateTime": ("2025-09-01T08:45:00", "2024-02-29T23:59:59.999", "2025-09-01T08:45:00Z",
                    "2025-09-01T08:45:00-00:30", "2025-09-01T24:00:00"),
    "xs:decimal": ("0", "1", "0.5", "-1.5", "+.25", "1.", "007.50", "-0", "123456789012345678.9", " 1 "),
    "xs:duration": ("P1D", "PT1H30M", "-P1Y2M3DT4H5M6.7S", "PT0S"),
    "xs:gYear": ("2026", "2026Z", "2026-05:00", "-0044", "12026"),
    "xs:integer": ("1", "0", "-5", "+7", "007", "-0", "123456789012345678901", " 1 "),
    "xs:normalizedString": ("Sample", "", " ", "  two  blanks ", "tab\tand\nline", "a & b < c > d \" e ' f",
                            "]]>", "Zoë Ó Súilleabháin", "\U00010338\U0001f9ea", "\u00a0", "-- <!-- --> --"),
    "xs:string": ("Sample", "", "\n  lines\n\n", "a & b", "\U00010338"),
    "xs:time": ("08:45:00", "00:00:00", "24:00:00", "23:59:59.999", "08:45:00Z", "08:45:00-00:30"),
    "xs:token": ("Sample", "", "   ", " outer  and  inner ", "tab\tand\nline", "a & b", "Zoë", "\u00a0"),
    "xs:unsignedInt": ("1", "0", "4294967295", "+7", "007", " 1 "),
}  # fmt: skip
BAD: Final[Mapping[str, tuple[str, ...]]] = {
    "xs:anyURI": (),  # XSD lets nearly every text be one
    "xs:base64Binary": ("U2FtcGx", "not base64!", "===="),
    "xs:boolean": ("", "TRUE", "Yes", "2", "true false"),
    "xs:date": ("", "   ", "01/09/2025", "2023-02-29", "1900-02-29", "2025-13-01", "2025-9-1", "2025-09-31",
                "2025-09-01T00:00:00", "2025-09-01+14:01", "20250901", "2025-09-01 2025-09-02", "today"),
    "xs:dateTime": ("", "2025-09-01", "2025-09-01 08:45:00", "2025-09-01T08:45", "2023-02-29T08:45:00",
                    "2025-09-01T24:00:01", "2025-09-01T08:60:00", "2025-09-01T8:45:00"),
    "xs:decimal": ("", "1,5", "1e3", "NaN", "INF", "--1", "1 2", ".", "one"),
    "xs:duration": ("", "1 day", "P", "PT", "P1S", "P-1D", "p1d"),
    "xs:gYear": ("", "26", "2025/26", "2026-09", "year", "02026"),
    "xs:integer": ("", "1.5", "1.0", "ten", "1 2", "1e3", "0x1", "\u22121"),
    "xs:normalizedString": (),
    "xs:string": (),
    "xs:time": ("", "8:45:00", "08:45", "25:00:00", "08:60:00", "24:00:01", "08.45", "8:45 am"),
    "xs:token": (),
    "xs:unsignedInt": ("", "-1", "4294967296", "1.5", "ten", "٣"),
}  # fmt: skip
_REF_IDS: Final = ("5D315C31F8A15621F126C31154AF9665", "0" * 32, f" {'F' * 32}\n")
_NO_REF_IDS: Final = ("", " ", "5d315c31f8a15621f126c31154af9665", "F" * 31, "F" * 33, "G" * 32, f"{{{'A' * 32}}}",
                      "5D315C31-F8A1-5621-F126-C31154AF9665", f"{'F' * 16} {'F' * 16}")  # fmt: skip
_PATTERNS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "[0-9A-F]{32}": (_REF_IDS, _NO_REF_IDS),
    "[+]?[0-9]+": (("01632960123", "+441632960123", "0"), ("", "01632 960123", "++44", "+", "(01632)960123", " 1")),
    "[1-9][0-9]{9}": (("1000000027", "9999999999"), ("", "0000000027", "100000002", "10000000270", " 1000000027")),
    "[A-Z]{2}[0-9]{6}[A-Z]": (("QQ123456C",), ("", "QQ 12 34 56 C", "qq123456c", "QQ123456", "QQ123456CC")),
}
_NO_CODE: Final = "no such code"
_BLANKS: Final = " \t\r\n"


def good(text: Text, version: str = outline.NEWEST) -> tuple[str, ...]:
    """Return texts that fit in a version of the standard, plain ones first."""
    if text.codes:
        known = _known_codes(text.codes, version)
        # of long lists a part, the same every time; blanks around a code do not count
        found = (*known[:6], *known[6::7], known[-1], f" {known[0]}\n")
        unknown = (_NO_CODE, f"{known[0]}\u00a0", "") if _is_open(text.codes) else ()
        return (*found, *unknown, *(("",) if text.or_empty else ()))
    if "pattern" in text.limits:
        found = _PATTERNS[text.limits["pattern"]][0]
    elif text.external == "LANumber":
        found = ("820", "373", " 820 ")
    else:
        other = GOOD[text.other] if text.other else ()
        found = tuple(value for value in (*GOOD[text.type], *other, *_at_the_limits(text)) if _within(value, text))
    return (*found, "", " ") if text.or_empty else found


def bad(text: Text) -> tuple[str, ...]:
    """Return texts that do not fit; none where every text does."""
    if text.codes:
        if _is_open(text.codes):
            return ()
        known = _known_codes(text.codes)
        tries = (
            _NO_CODE,
            f"{known[0]} {known[-1]}",
            f"{known[0]}x",
            known[0].swapcase(),
            known[-1].swapcase(),
            "",
            " ",
        )
        found = tuple(code for code in tries if code not in known)
    elif text.other:
        found = ()  # of the only pair there is, one type takes every text
    elif "pattern" in text.limits:
        found = _PATTERNS[text.limits["pattern"]][1]
    else:
        beyond = (value for value in (*GOOD[text.type], *_beyond_the_limits(text)) if not _within(value, text))
        found = (*BAD[text.type], *beyond)
    return tuple(value for value in found if not (text.or_empty and not value.strip(_BLANKS)))


def rule_of_bad(text: Text, value: str) -> str:
    """Return the rule under which a text that does not fit is refused."""
    if not value.strip(_BLANKS):
        return "empty"
    return "unknown-code" if text.codes else "value"


def _known_codes(name: str, version: str = outline.NEWEST) -> tuple[str, ...]:
    """Return the codes that a version of the standard has, and those of today that no version has."""
    since = outline.published_codes()[name].since
    return tuple(
        code for code in dict.fromkeys((*since, *schemas.codes(name).labels)) if since.get(code, "") <= version
    )


def _is_open(name: str) -> bool:
    return schemas.codes(name).open


def _within(value: str, text: Text) -> bool:
    limits = text.limits
    if "max_length" in limits and len(value) > int(limits["max_length"]):
        return False
    if not {"min", "max", "fraction_digits"} & limits.keys():
        return True
    number = Decimal(value)
    digits = -int(number.normalize().as_tuple().exponent)
    return (
        number >= Decimal(limits.get("min", "-Infinity"))
        and number <= Decimal(limits.get("max", "Infinity"))
        and digits <= int(limits.get("fraction_digits", "99"))
    )


def _at_the_limits(text: Text) -> Iterator[str]:
    limits = text.limits
    if "max_length" in limits:
        yield from (
            "x" * int(limits["max_length"]),
            "é" * int(limits["max_length"]),
            "\U00010338" * int(limits["max_length"]),
        )
    yield from (limits[name] for name in ("min", "max") if name in limits)
    if "fraction_digits" in limits:
        yield f"0.{'1' * int(limits['fraction_digits'])}"


def _beyond_the_limits(text: Text) -> Iterator[str]:
    limits = text.limits
    if "max_length" in limits:
        yield from ("x" * (int(limits["max_length"]) + 1), " " * (int(limits["max_length"]) + 1))
    if "min" in limits:
        yield str(Decimal(limits["min"]) - 1)
    if "max" in limits:
        yield str(Decimal(limits["max"]) + 1)
    if "fraction_digits" in limits:
        yield f"0.{'1' * (int(limits['fraction_digits']) + 1)}"


@dataclass(eq=False)
class Made:
    """An element that will be written.

    Attributes:
        name: Local name.
        part: What it is an instance of; None for one that the standard does not know.
        attributes: By name as written, with a prefix if it has one.
        text: Its text.
        inside: XML as it is, in the place of all else.
        between: Text that will be written after the elements in it.
        children: The elements in it.
        namespace: Its namespace when it is not that of the object.
    """

    name: str
    part: Part | None
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    inside: str = ""
    between: str = ""
    children: list["Made"] = field(default_factory=list)
    namespace: str | None = None

    def _repr_pretty_(self, printer: RepresentationPrinter, _cycle: bool) -> None:
        printer.text(f"<{self.name}>")  # the document is printed when a test fails; its tree would bury it

    @property
    def nil(self) -> bool:
        return self.attributes.get("xsi:nil", "").strip() in ("true", "1")

    @property
    def known(self) -> Part:
        assert self.part is not None
        return self.part

    def walk(self) -> Iterator["Made"]:
        """Yield this element and all in it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class Style:
    """One of the ways to write the same.

    Attributes:
        prefix: The prefix of the object's namespace, with its colon; "" makes it the default namespace.
        letters: How texts are written: "plain", "references" to characters, or "cdata".
        notes: Whether there are comments and processing instructions between elements.
        notes_in_text: Whether there are some within texts too.
        lines: Whether each element starts on a line of its own.
    """

    prefix: str = ""
    letters: str = "plain"
    notes: bool = False
    notes_in_text: bool = False
    lines: bool = True


STYLES: Final = st.builds(
    Style,
    st.sampled_from(("", "sif:", "x.-1:")),
    st.sampled_from(("plain", "references", "cdata")),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def write(root: Made, namespace: str, style: Style) -> str:
    """Return the object as an XML document without a declaration."""
    notes = cycle(("<!-- <Name> -->", "<?note <Name>?>", ""))
    own = f"xmlns:{style.prefix[:-1]}" if style.prefix else "xmlns"
    declared = f' {own}="{namespace}" xmlns:xsi="{XSI}" xmlns:own="{namespace}" xmlns:else="{ELSEWHERE}"'

    def note() -> str:
        return ("\n" if style.lines else "") + (next(notes) if style.notes else "")

    def letters(text: str) -> str:
        if style.notes_in_text and len(text) > 1:
            middle = len(text) // 2
            return f"<!-- -->{spelt(text[:middle])}<!-- in between --><?in between?>{spelt(text[middle:])}"
        return spelt(text)

    def spelt(text: str) -> str:
        if style.letters == "references":
            return "".join(f"&#{ord(letter)};" for letter in text)
        if style.letters == "cdata" and text and "]]>" not in text:
            return f"<![CDATA[{text}]]>"
        return escape(text, {"\r": "&#13;"})

    def element(made: Made, more: str) -> str:
        tag, xmlns = style.prefix + made.name, more
        if made.namespace is not None:
            tag, xmlns = made.name, f'{more} xmlns="{made.namespace}"'
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in made.attributes.items())
        parts = [made.inside or letters(made.text)]
        for child in made.children:
            # between texts a new line would be one more text
            parts += ["" if made.text else note(), element(child, "")]
        parts += [note() if made.children and not made.text else "", escape(made.between)]
        return f"<{tag}{xmlns}{attributes}>{''.join(parts)}</{tag}>"

    return element(root, declared)


@st.composite
def instances(draw: st.DrawFn, *, partial: bool = False, version: str = outline.NEWEST) -> Made:
    """An object that the standard calls valid, whole or in part; it shrinks towards one with little in it."""
    name = draw(st.sampled_from(tuple(n for n in outline.objects() if outline.versions(n).since <= version)))
    keys = outline.keys(name) if partial else None
    return _make(draw, outline.tree(name, version), _Choices(version, draw(st.integers(0, 2)), keys), depth=0)


@dataclass(frozen=True)
class _Choices:
    """How an object is made.

    Attributes:
        version: The version of the standard.
        rarity: Each more halves how much there is that need not be.
        keys: What a part of an object must keep; None where the object is whole.
    """

    version: str
    rarity: int
    keys: tuple[str, ...] | None


def _make(draw: st.DrawFn, part: Part, choices: _Choices, depth: int) -> Made:
    """Make an element with what is in it."""
    made = Made(part.name, part)
    must = [p for p in part.children if p.mandatory]
    if choices.keys is not None:
        # of a part of an object only the keys must be there, and attributes further down that always must
        must = [p for p in must if p.path in choices.keys or (depth and p.kind == "attribute")]
    chosen = [*_some(draw, [p for p in part.children if p not in must], choices.rarity + depth // 2), *must]
    chosen.sort(key=part.children.index)
    for attribute in chosen:
        if attribute.kind == "attribute":
            assert attribute.text is not None
            made.attributes[attribute.name] = draw(st.sampled_from(good(attribute.text, choices.version)))
    if part.anything:
        made.inside = draw(
            st.sampled_from(("", "text", "a<b/>c", f'<UPN xmlns="{ELSEWHERE}" x="1">A</UPN>', "<own:UPN/>"))
        )
    if part.text:
        made.text = draw(st.sampled_from(good(part.text, choices.version)))
    elements = [p for p in chosen if p.kind == "element"]
    nil = _some(draw, [p for p in elements if p.nillable], rarity=3)
    for element in elements:
        most = min(3, len(good(_key(element, part.unique_by), choices.version))) if part.unique_by else 3
        seen: set[str] = set()
        for _ in range(draw(st.integers(1, most)) if element.repeatable else 1):
            child = _make(draw, element, choices, depth + 1)
            if part.unique_by:
                key = _key(element, part.unique_by)
                free = [value for value in good(key, choices.version) if _meaning(value, key) not in seen]
                child.attributes[part.unique_by] = draw(st.sampled_from(free))
                seen.add(_meaning(child.attributes[part.unique_by], key))
            made.children.append(_nil(draw, child) if element in nil else child)
    return made


def _some(draw: st.DrawFn, parts: list[Part], rarity: int) -> list[Part]:
    """Choose some of the parts: fewer, the greater *rarity*."""
    if not parts:
        return []
    mask = draw(st.integers(0, 2 ** len(parts) - 1))
    for _ in range(min(rarity, 3) if mask else 0):
        mask &= draw(st.integers(0, 2 ** len(parts) - 1))
    return [part for index, part in enumerate(parts) if mask >> index & 1]


def _key(member: Part, attribute: str) -> Text:
    (text,) = (a.text for a in member.attributes if a.name == attribute)
    assert text is not None
    return text


def _meaning(value: str, text: Text) -> str:
    """Return what is left when the blanks that do not count are taken off."""
    if text.type == "xs:normalizedString":
        return value.translate({ord(blank): " " for blank in "\t\r\n"})
    return re.sub(r"[ \t\r\n]+", " ", value).strip(_BLANKS)


def _nil(draw: st.DrawFn, made: Made) -> Made:
    """Say that an element is empty, or in words that it is not; its attributes stay."""
    says = draw(st.sampled_from(("true", "1", " true ", "false", "0")))
    made.attributes["xsi:nil"] = says
    if made.nil:
        made.text, made.inside, made.children = "", "", []
    return made


@dataclass(frozen=True)
class Damage:
    """What a damaged object must be refused for.

    Attributes:
        paths: Where: one of these.
        rule: Under which rule.
        also: Other findings that the same damage brings about: path and rule.
    """

    paths: frozenset[str]
    rule: str
    also: frozenset[tuple[str, str]] = frozenset()


def _pick(draw: st.DrawFn, found: list[Made]) -> Made:
    assume(found)
    return found[draw(st.integers(0, len(found) - 1))]


def _holders(root: Made) -> list[Made]:
    """Return the elements that may hold elements and that the standard looks into."""
    return [made for made in root.walk() if made.known.elements and not made.nil]


def order(draw: st.DrawFn, root: Made) -> Damage:
    """Swap two neighbours of different names."""
    found = [made for made in _holders(root) if len({child.name for child in made.children}) > 1]
    made = _pick(draw, found)
    names = [child.name for child in made.children]
    edges = [i for i in range(len(names) - 1) if names[i] != names[i + 1]]
    index = draw(st.sampled_from(edges))
    first, second = made.children[index : index + 2]
    made.children[index : index + 2] = second, first
    return Damage(frozenset({first.known.path, second.known.path}), "order")


def missing(draw: st.DrawFn, root: Made) -> Damage:
    """Take away an attribute or element that must be there, all members of a list included."""
    found = [
        m for m in root.walk() if any(p.mandatory and (p.kind == "attribute" or not m.nil) for p in m.known.children)
    ]
    made = _pick(draw, found)
    parts = [p for p in made.known.children if p.mandatory and (p.kind == "attribute" or not made.nil)]
    part = draw(st.sampled_from(parts))
    if part.kind == "attribute":
        del made.attributes[part.name]
    else:
        made.children = [child for child in made.children if child.name != part.name]
    return Damage(frozenset({part.path}), "missing")


def unknown_code(draw: st.DrawFn, root: Made) -> Damage:
    """Put a code that its closed list does not have."""
    return _spoil(draw, root, lambda text: text.codes is not None, blank=False)


def bad_value(draw: st.DrawFn, root: Made) -> Damage:
    """Put a text that its type does not allow."""
    return _spoil(draw, root, lambda text: text.codes is None, blank=True)


def _spoil(draw: st.DrawFn, root: Made, wanted: Callable[[Text], bool], *, blank: bool) -> Damage:
    places = []
    for made in root.walk():
        own = [made.known] if made.known.text and not made.nil else []
        present = [a for a in made.known.attributes if a.name in made.attributes]
        places += [(made, p) for p in (*own, *present) if p.text and wanted(p.text) and bad(p.text)]
    assume(places)
    made, part = places[draw(st.integers(0, len(places) - 1))]
    assert part.text is not None
    value = draw(st.sampled_from([v for v in bad(part.text) if blank or v.strip(_BLANKS)]))
    if part.kind == "attribute":
        made.attributes[part.name] = value
    else:
        made.text = value
    return Damage(frozenset({part.path}), rule_of_bad(part.text, value))


def unknown_element(draw: st.DrawFn, root: Made) -> Damage:
    """Put an element where it does not belong: of a new name, one misspelt, or one that belongs elsewhere."""
    made = _pick(draw, [m for m in root.walk() if not m.nil and not m.known.anything])
    known = {part.name for part in made.known.elements}
    names = ("Unknown", "unknown.-1", "É", "UPN", "SIF_Metadata", "RefId", *(name[:-1] for name in known))
    name = draw(st.sampled_from(tuple(n for n in names if n and n not in known)))
    where = draw(st.integers(0, len(made.children)))
    made.children.insert(where, Made(name, None, text=draw(st.sampled_from(("", "text")))))
    return Damage(frozenset({_join(made.known.path, name)}), "unknown-element")


def unknown_attribute(draw: st.DrawFn, root: Made) -> Damage:
    """Put an attribute where it does not belong, or one that is of another namespace."""
    made = _pick(draw, list(root.walk()))
    known = {part.name for part in made.known.attributes}
    names = ("Unknown", "refid", "Type", "SIF_Action", "xml:lang", "else:Type", "own:RefId", "xsi:else")
    name = draw(st.sampled_from(tuple(n for n in names if n not in known)))
    made.attributes[name] = draw(st.sampled_from(("", "Delete")))
    return Damage(frozenset({_join(made.known.path, "@" + name.rpartition(":")[2])}), "unknown-attribute")


def repeated(draw: st.DrawFn, root: Made) -> Damage:
    """Put an element twice that may be there once."""
    found = [m for m in _holders(root) if any(not child.known.repeatable for child in m.children)]
    made = _pick(draw, found)
    child = draw(st.sampled_from([child for child in made.children if not child.known.repeatable]))
    made.children.insert(made.children.index(child), child)
    return Damage(frozenset({child.known.path}), "repeated")


def text_between(draw: st.DrawFn, root: Made) -> Damage:
    """Put text into an element that holds elements only; a hard blank is text."""
    made = _pick(draw, _holders(root))
    value = draw(st.sampled_from(("text", "\n.\n", "\u00a0", "&")))
    if draw(st.booleans()):
        made.between = value
    else:
        made.text = value
    return Damage(frozenset({made.known.path}), "text")


def wrong_namespace(draw: st.DrawFn, root: Made) -> Damage:
    """Put an element into no namespace or another."""
    made = _pick(draw, [m for m in _holders(root) if m.children])
    index = draw(st.integers(0, len(made.children) - 1))
    child = made.children[index]
    child.namespace = draw(st.sampled_from(("", ELSEWHERE)))
    gone = child.known.mandatory and all(c.namespace is not None for c in made.children if c.name == child.name)
    also = frozenset({(child.known.path, "missing")} if gone else ())
    return Damage(frozenset({child.known.path}), "namespace", also)


def same_key(draw: st.DrawFn, root: Made) -> Damage:
    """Put a member twice into a list whose members must differ."""
    made = _pick(draw, [m for m in _holders(root) if m.known.unique_by and m.children])
    child = draw(st.sampled_from(made.children))
    made.children.append(child)
    return Damage(frozenset({f"{child.known.path}/@{made.known.unique_by}"}), "unique")


def nil(draw: st.DrawFn, root: Made) -> Damage:
    """Say that an element is empty which may not be or is not, or say neither yes nor no."""
    made = _pick(draw, [m for m in root.walk() if "xsi:nil" not in m.attributes])
    yes_or_no = ("true", " 1 ", "false", "0")
    wrong = ("True", "no", "") if made.known.nillable else (*yes_or_no, "True", "no", "")
    if made.known.nillable and (made.children or made.text.strip(_BLANKS)):
        wrong = ("true", " 1 ", *wrong)
    made.attributes["xsi:nil"] = draw(st.sampled_from(wrong))
    return Damage(frozenset({made.known.path}), "nil")


DAMAGE: Final[Mapping[str, Callable[[st.DrawFn, Made], Damage]]] = {
    damage.__name__: damage
    for damage in (
        order, missing, unknown_code, bad_value, unknown_element, unknown_attribute, repeated, text_between,
        wrong_namespace, same_key, nil,
    )
}  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> tuple[Made, Damage]:
    """An object with one damage of a kind, and what it must be refused for."""
    root = draw(instances())
    return root, DAMAGE[kind](draw, root)


def alone(object_type: str, part: Part, value: str) -> Made:
    """Return the least part of an object that shows an element or attribute, with a value."""
    keys = outline.keys(object_type)

    def make(each: Part) -> Made:
        made = Made(each.name, each, text=value if each is part else "")
        for child in each.children:
            wanted = child.path in keys or child is part or part.path.startswith(f"{child.path}/")
            first = good(child.text)[0] if child.text else ""
            if child.kind == "element" and wanted:
                made.children.append(make(child))
                if child.text and child is not part:
                    made.children[-1].text = first
            elif child.kind == "attribute" and (wanted or child.mandatory):
                made.attributes[child.name] = value if child is part else first
        return made

    return make(outline.tree(object_type))


@cache
def fields_by_object() -> Mapping[str, tuple[Part, ...]]:
    """Return the elements and attributes with text by object, each kind once: in the first object that has it."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, tuple[Part, ...]] = {}
    for name in outline.objects():
        fields = []
        for part in outline.tree(name).walk():
            kind = (part.path.rpartition("/")[0].rpartition("/")[2] or name, f"{part.kind} {part.name}")
            if part.text and kind not in seen:
                seen.add(kind)
                fields.append(part)
        found[name] = tuple(fields)
    return found


def unknown_open_codes(root: Made) -> set[str]:
    """Return the paths of codes that their open lists do not have."""
    found = set()
    for made in root.walk():
        texts = [(made.known, made.text), *((a, made.attributes.get(a.name, "")) for a in made.known.attributes)]
        for part, value in texts:
            codes = part.text and part.text.codes
            code = _meaning(value, part.text) if part.text else ""
            if codes and code and _is_open(codes) and code not in schemas.codes(codes):
                found.add(part.path)
    return found


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
