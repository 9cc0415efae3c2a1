"""The values that the schema registry hands out, and its errors; how they are made is for the modules beside it."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from lxml import etree

_MANY: Final = 1000
_BLANKS: Final = re.compile(r"[ \t\r\n]+")

Kind = Literal["element", "attribute"]
Severity = Literal["refuse", "warn", "shadow"]
"""What a finding does: stops the object, is reported, or is only counted to see what it would have stopped."""


class BadSchema(ValueError):
    """Schema files do not make a schema that the zone can use; the text says which and why."""


class BadCodeList(ValueError):
    """A file of code lists cannot be used; the text names the file and says how to mend it."""


class UnknownObject(KeyError):
    """No schema describes an object of this name.

    Attributes:
        name: The name asked for.
        nearest: The most similar name that there is, or None.
    """

    def __init__(self, name: str, nearest: str | None) -> None:
        self.name, self.nearest = name, nearest
        hint = f"did you mean {nearest}?" if nearest else "ask the zone administrator which objects the zone knows"
        self.message = f"no schema describes an object named {name[:80]!r}: {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message  # KeyError would show it quoted


class UnknownCodeList(KeyError):
    """There is no code list of this name.

    Attributes:
        name: The name asked for.
        nearest: The most similar name that there is, or None.
    """

    def __init__(self, name: str, nearest: str | None) -> None:
        self.name, self.nearest = name, nearest
        hint = f"did you mean {nearest}?" if nearest else "schemas.code_list_names() has them all"
        self.message = f"no code list is named {name[:80]!r}: {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class Node:
    """An element or attribute of an object, as the full schema has it.

    Attributes:
        name: Local name, without "@".
        path: Path from the object's root, which itself has ""; for example "PersonalInformation/Name/@Type".
        kind: "element" or "attribute".
        type: Built-in type of the text ("xs:date"), or "codes:<list>"; "" for an element that holds elements only,
            "xs:anyType" for one that holds anything.
        simple_type: Type of the text as the schema names it, for example "ULN"; "" where there is no text.
        mandatory: Whether it must be there when its parent is.
        repeatable: Whether there may be more than one in a row.
        nillable: Whether it may carry xsi:nil.
        codes: Name of the code list of its text, or None.
        refs: Names of the objects whose RefId the text may be; empty when it is no reference.
        unique_by: Attribute in which the members of this list must differ, or None.
        label: What it means, in a few words.
        children: Attributes, then elements in schema order.
        ordered: Whether its elements must come in that order; not where the schema leaves a choice.
        since: Edition in which it came, where that is later than what it is part of; else "".
    """

    name: str
    path: str
    kind: Kind
    type: str
    simple_type: str
    mandatory: bool
    repeatable: bool
    nillable: bool
    codes: str | None
    refs: tuple[str, ...]
    unique_by: str | None
    label: str
    children: tuple["Node", ...]
    ordered: bool = True
    since: str = ""


@dataclass(frozen=True, slots=True)
class OtherLearners:
    """A list in an object whose members are about learners other than the object's own.

    Attributes:
        list_path: Path of the list, for example "SiblingList".
        member: Name of a member element, for example "Sibling".
        ref: Path from the member to the learner's RefId, for example "LearnerPersonalRefId"; "." for its own text.
    """

    list_path: str
    member: str
    ref: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault in an object. It never holds the text of an element or attribute.

    Attributes:
        path: Path from the object's root, as in `Node`; "" for the object itself.
        line: Line in the parsed document, from 1; 0 when unknown.
        rule: Which rule, for example "missing" or "unknown-code".
        severity: What it does, as a zone's settings say.
        message: A sentence that says what is wrong and what to do.
        nearest: The nearest right name or code, or None. Of a code it tells something about the learner: do not log it.
        sif_code: Code in SIF error category 1: 3 not valid, 4 bad value, 6 missing.
        found: What was there, in kind: "12 digits", "letters and blanks"; "" where that says nothing.
        expected: What would be right, in words, or the choice of codes; "" where the rule itself says it.
    """

    path: str
    line: int
    rule: str
    severity: Severity
    message: str
    nearest: str | None
    sif_code: int
    found: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class CodeList:
    """A list of codes.

    Attributes:
        name: Name as in the standard, for example "EthnicityCodes".
        title: What the codes say, in a few words.
        open: Whether other codes are let through with a warning; a closed list refuses them.
        source: Whose codes they are.
        year: Year of the newest source.
        labels: Code to meaning, in the order of the source.
        pattern: Shape of a code, where the codes themselves are too many or change too often; else None.
    """

    name: str
    title: str
    open: bool
    source: str
    year: int
    labels: Mapping[str, str]
    pattern: re.Pattern[str] | None = field(default=None)

    def __contains__(self, code: object) -> bool:
        if code in self.labels:
            return True
        pattern = self.pattern
        return pattern is not None and isinstance(code, str) and pattern.fullmatch(code) is not None

    def nearest(self, code: str) -> str | None:
        """Return the code most like *code*, or None when none is; a different case is nearest of all."""
        return nearest_of(code.strip(), tuple(self.labels))


def line_of(element: etree._Element) -> int:
    """Return the line of an element in its document, from 1, or 0 when it came from none."""
    line: int | None = element.sourceline  # type: ignore[assignment]  # lxml's stubs leave its type open
    return line or 0


def own_text(element: etree._Element) -> str:
    """Return an element's text without that of elements in it; comments do not interrupt it."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def kind_of(text: str) -> str:
    """Return what a text is made of, such as "12 digits" or "letters and signs", and nothing of what it says."""
    bare = text.strip()
    if bare.isdigit():
        return "1 digit" if len(bare) == 1 else f"{len(bare)} digits"
    kinds = (
        ("letters", any(sign.isalpha() for sign in bare)),
        ("digits", any(sign.isdigit() for sign in bare)),
        ("blanks", any(sign.isspace() for sign in bare)),
        ("signs", any(not sign.isalnum() and not sign.isspace() for sign in bare)),
    )
    *most, last = [name for name, is_there in kinds if is_there] or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last


def without_blanks(text: str) -> str:
    """Return a text as a token: what XML calls white space collapsed, hard blanks left."""
    return _BLANKS.sub(" ", text).strip(" ")


def nearest_of(word: str, words: tuple[str, ...], cutoff: float = 0.6) -> str | None:
    """Return that of *words* which is most like *word*, upper and lower case being the same, or None.

    The word is cut to 200 characters: what it is compared with is shorter, and it may come from anybody. Of very many
    words only those are looked at that begin alike.
    """
    if len(words) > _MANY:
        words = tuple(w for w in words if w[:1].casefold() == word[:1].casefold())[:_MANY]
    folded = {w.casefold(): w for w in reversed(words)}
    close = difflib.get_close_matches(word[:200].casefold(), folded, n=1, cutoff=cutoff)
    return folded[close[0]] if close else None
