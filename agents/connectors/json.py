"""Reads the records of a web service that answers with JSON, page by page: all, or what changed since the last time.

A nested object gives fields ``a/b``; a list gives a group, of objects or, in the field ``.``, of texts. What they mean
is the mapping's. A page is read whole, so its size is bounded; pages come from the address of the settings alone.

Three ways not to read what is known. Where an answer is a single page with an ETag or a date, the service is asked
whether it has changed. With ``since``, it is asked for what changed since the greatest value seen, less an overlap; see
changes.py. Else all is read, and nothing is sent of what is the same.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn

import httpx
from pydantic import BaseModel, ConfigDict, Field

from agents.connectors.changes import Greatest, GrowingTime, GrowingVersion
from agents.connectors.contract import Item, Marker, SourceError, SourceProblem
from agents.connectors.tables import MAX_CELL
from agents.connectors.web import WebOptions, WebService, same_origin
from mappings import Record

_MAX_PAGES: Final = 10_000
_MAX_VALUES: Final = 3_000_000
"""Values in a page: a list of empty objects takes twenty times the memory of its text."""
_MAX_DEPTH: Final = 20
_MAX_TAG: Final = 500
_DIGITS: Final = 100
_SHOWN: Final = 40
_LOOKED_AT: Final = 25
_DATA: Final = re.compile(r"[0-9]{4}|@.*\.")
"""A name with this in it may be somebody's number or address, not the name of a field."""
_HALF: Final = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can write and nothing can store."""

Dotted = Annotated[str, Field(pattern=r"^[^.\x00-\x1f]+(\.[^.\x00-\x1f]+)*$", max_length=200)]


class _Paging(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ByLink(_Paging):
    """``paging = { by = "link" }``: the header Link with rel="next" (RFC 8288)."""

    by: Literal["link"]


class ByNext(_Paging):
    """``paging = { by = "next", field = "links.next" }``: the next address is in the answer."""

    by: Literal["next"]
    field: Dotted = Field(description="Where the next address is, for example links.next.")


class ByPage(_Paging):
    """``paging = { by = "page" }``: pages are numbered; the first without records is the end."""

    by: Literal["page"]
    param: str = Field(default="page", min_length=1, description="Name of the page's number.")
    first: int = Field(default=1, ge=0, description="Number of the first page.")
    size_param: str = Field(default="", description="Name of the size, where it is to be sent.")
    size: int = Field(default=100, ge=1, description="Records on a page.")


class ByCursor(_Paging):
    """``paging = { by = "cursor", field = "meta.cursor" }``: the answer says what the next page is asked with."""

    by: Literal["cursor"]
    param: str = Field(default="cursor", min_length=1, description="Name under which it is sent.")
    field: Dotted = Field(description="Where it is in the answer, for example meta.next_cursor.")


Paging = Annotated[ByLink | ByNext | ByPage | ByCursor, Field(discriminator="by")]


class SinceTime(GrowingTime):
    """``since = { param = "updated_after", field = "updatedAt" }``."""

    kind: Literal["timestamp"] = Field(default="timestamp", description="The field is a time.")
    param: str = Field(min_length=1, description="Name under which the time is sent.")
    field: str = Field(min_length=1, description="Field of a record that has it.")


class SinceVersion(GrowingVersion):
    """``since = { param = "after", field = "version", kind = "version" }``."""

    kind: Literal["version"] = Field(description="The field is a whole number.")
    param: str = Field(min_length=1, description="Name under which the number is sent.")
    field: str = Field(min_length=1, description="Field of a record that has it.")


class JsonOptions(WebOptions):
    """Options of ``connector = "json"``."""

    records: Dotted | Literal[""] = Field(
        default="", description="Where the list of records is: data.students; empty when the answer is the list."
    )
    paging: Paging | None = Field(default=None, description="How the next page is found; there is one when left out.")
    since: SinceTime | SinceVersion | None = Field(
        default=None, description="How the service is asked for what has changed; all is read when left out."
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is kept from one reading to the next.

    Attributes:
        since: The greatest value seen.
        etag: Of the single page of the last reading, with its date, and *of* which address: its digest.
    """

    since: str = ""
    etag: str = ""
    modified: str = ""
    of: str = ""

    @classmethod
    def parse(cls, marker: str) -> "_Known":
        try:
            values = json.loads(marker)
            return cls(**{name: str(values.get(name, "")) for name in cls.__slots__})
        except (ValueError, AttributeError, RecursionError):
            return cls()

    def conditions(self, url: httpx.URL) -> dict[str, str]:
        """Return the headers that ask whether the page has changed (RFC 9110, section 13)."""
        if self.of != _digest(url):
            return {}
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in asked.items() if value}


class JsonFeed:
    """Records of a web service."""

    Options: ClassVar[type[BaseModel]] = JsonOptions

    def __init__(self, options: JsonOptions) -> None:
        self._options = options

    @property
    def name(self) -> str:
        """What is read; params are told apart by a digest."""
        options = self._options
        params = (
            "" if not options.params else f" {_digest(httpx.URL(options.url).copy_merge_params(options.params))[:8]}"
        )
        return f"json {httpx.URL(options.url).copy_with(query=None)} {options.records}".rstrip() + params

    def read_since(self, marker: str) -> Iterator[Item | Marker]:
        """Yield a record for each, ``record 1`` being the first that was read this time; last, a Marker.

        Numbers are as they are written, without exponent; truth is ``true`` or ``false``; what is null or blank is left
        out. Nothing is yielded when the service says that nothing has changed.

        Raises:
            SourceError: The service cannot be reached or refuses; its answer is no JSON, too large, or has no records
                where they should be.
        """
        options, known = self._options, _Known.parse(marker)
        since = options.since
        seen = None if since is None else Greatest.after(since.field, since, known.since)
        first = _first(options, None if seen is None else seen.lower)
        number = pages = 0
        response: httpx.Response | None = None
        with WebService(options) as service:
            for page in _pages(service, options, first, known.conditions(first)):
                if page is None:
                    return
                pages, response = pages + 1, page.response
                for value in page.records:
                    number += 1
                    record, problems = _top(f"record {number}", value)
                    yield from problems
                    if record is not None:
                        yield record
                        if seen is not None:
                            seen.add(_since(record, seen))
        if seen is not None and seen.ahead:
            message = f"{seen.ahead} records have a time that is still to come in {seen.name!r}: correct them"
            yield SourceProblem("records", "time-ahead", message)
        kept = _kept("" if seen is None else seen.kept, first, response if pages == 1 else None)
        yield Marker(json.dumps(asdict(kept)), complete=seen is None or seen.is_whole)

    def check(self) -> str:
        """Return how many records the first page has, and their fields.

        Raises:
            SourceError: The service cannot be reached or refuses, or has no records where they should be.
        """
        options = self._options
        with WebService(options) as service:
            page = next(_pages(service, options, _first(options, None), {}), None)
        records = [] if page is None else page.records
        names: dict[str, None] = {}
        for value in records[:_LOOKED_AT]:
            record, _ = _top("", value)
            if record is not None:
                names |= dict.fromkeys([*record.fields, *(f"{path} (a list)" for path in record.groups)])
        shown = [name for name in names if _DATA.search(name) is None]
        more = ", ..." if len(shown) > _SHOWN else ""
        fields = f", with {', '.join(shown[:_SHOWN])}{more}" if shown else ""
        return f"{httpx.URL(options.url).copy_with(query=None)}: {len(records)} records on the first page{fields}"


@dataclass(frozen=True, slots=True)
class _Page:
    response: httpx.Response
    body: Any
    records: list[Any]


def _first(options: JsonOptions, lower: Any) -> httpx.URL:
    params = dict(options.params)
    if options.since is not None and lower is not None:
        params[options.since.param] = str(lower)
    if isinstance(options.paging, ByPage):
        params[options.paging.param] = str(options.paging.first)
        if options.paging.size_param:
            params[options.paging.size_param] = str(options.paging.size)
    return httpx.URL(options.url).copy_merge_params(params)


def _pages(
    service: WebService, options: JsonOptions, first: httpx.URL, conditions: dict[str, str]
) -> Iterator[_Page | None]:
    """Yield the pages in order; None alone when the first has not changed.

    Raises:
        SourceError: A page is not there or not right, is of another server, or comes again.
    """
    url: httpx.URL | None = first
    asked: set[httpx.URL] = set()
    before: bytes | None = None
    while url is not None:
        if url in asked or len(asked) >= _MAX_PAGES:
            raise SourceError("the pages have no end: check paging")
        asked.add(url)
        response = service.get(url, conditions if url == first else {})
        if response.status_code == httpx.codes.NOT_MODIFIED:
            yield None
            return
        digest = hashlib.sha256(response.content).digest()
        body = _parse(response.content)
        page = _Page(response, body, _find_records(body, options.records))
        if digest == before and page.records:
            raise SourceError("a page has the same content as the one before it: check the names in paging")
        before = digest
        yield page
        url = _next(options.paging, first, url, page)


def _next(paging: Paging | None, first: httpx.URL, url: httpx.URL, page: _Page) -> httpx.URL | None:
    """Return the address of the page after this one; None when this is the last.

    Raises:
        SourceError: It is of another server.
    """
    match paging:
        case ByPage(param=param):
            return url.copy_set_param(param, int(url.params[param]) + 1) if page.records else None
        case ByCursor(param=param, field=field):
            cursor = _follow(page.body, field)
            return _with_cursor(first, param, cursor) if isinstance(cursor, str) and cursor else None
        case ByNext(field=field):
            written = _follow(page.body, field)
        case ByLink():
            written = page.response.links.get("next", {}).get("url")
        case None:
            return None
    if not isinstance(written, str) or not written:
        return None
    try:
        found = url.join(written)
    except (httpx.InvalidURL, ValueError):
        raise SourceError("the address of the next page is no address: check paging") from None
    if not same_origin(found, first) or found.userinfo:
        raise SourceError("the next page is on another server, which is not asked: tell whoever runs the service")
    return found.copy_with(fragment=None)


def _with_cursor(first: httpx.URL, param: str, cursor: str) -> httpx.URL:
    try:
        return first.copy_set_param(param, cursor)
    except (httpx.InvalidURL, ValueError):  # too long; half of a character
        raise SourceError("what the next page is asked with fits into no address: check field in paging") from None


def _parse(content: bytes) -> Any:
    if content.count(b",") + content.count(b"{") + content.count(b"[") > _MAX_VALUES:
        raise SourceError(f"an answer with more than {_MAX_VALUES:,} values: ask for smaller pages")
    try:
        return json.loads(content, parse_int=str, parse_float=_plain, parse_constant=_refuse)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise SourceError("the answer is no JSON: check url and params") from None  # its text quotes the answer


def _plain(written: str) -> str:
    """Return a number without exponent, where it is one that anybody would write."""
    number = Decimal(written)
    if not number.is_finite() or abs(number.adjusted()) >= _DIGITS:
        return written
    return format(number, "f").removesuffix(".0")


def _refuse(_constant: str) -> NoReturn:
    raise ValueError  # NaN and Infinity are not JSON's (RFC 8259)


def _follow(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _find_records(body: Any, path: str) -> list[Any]:
    for name in path.split(".") if path else ():
        if not isinstance(body, dict) or name not in body:
            near = difflib.get_close_matches(name, body, n=1) if isinstance(body, dict) else []
            hint = f"did you mean {near[0]!r}?" if near else "look where the list is in an answer"
            raise SourceError(f"records: the answer has no {name!r} of {path!r}: {hint}")
        body = body[name]
    if not isinstance(body, list):
        raise SourceError(f"records: {path or 'the answer'!r} is no list: write where the list of records is")
    return body


def _top(position: str, value: Any) -> tuple[Record | None, list[SourceProblem]]:
    """Return a record, None when it cannot be read, and what is wrong with it."""
    if not isinstance(value, dict):
        return None, [SourceProblem(position, "no-object", "the record is no object: check records", "refuse")]
    problems: list[SourceProblem] = []
    record = _record(position, value, None, problems, _MAX_DEPTH)
    return (None if any(one.severity == "refuse" for one in problems) else record), problems


def _record(
    position: str, value: Mapping[str, Any], parent: Record | None, problems: list[SourceProblem], depth: int
) -> Record:
    fields: dict[str, str] = {}
    groups: dict[str, tuple[Record, ...]] = {}
    record = Record(position, fields, groups, parent)
    for path, leaf in _leaves(position, value, "", problems, depth):
        if isinstance(leaf, list):
            members = _members(position, path, leaf, record, problems, depth - 1)
            groups |= {path: members} if members else {}
        elif text := _text(position, path, leaf, problems):
            fields[path] = text
    return record


def _leaves(
    position: str, value: Mapping[str, Any], prefix: str, problems: list[SourceProblem], depth: int
) -> Iterator[tuple[str, Any]]:
    """Yield what is no object, with its path."""
    if depth <= 0:
        problems.append(SourceProblem(position, "depth", f"goes deeper than {_MAX_DEPTH} levels", "refuse"))
        return
    for key, inner in value.items():
        path = prefix + " ".join(_HALF.sub("\N{REPLACEMENT CHARACTER}", key).split())
        if isinstance(inner, dict):
            yield from _leaves(position, inner, f"{path}/", problems, depth - 1)
        elif path != prefix:
            yield path, inner


def _members(
    position: str, path: str, values: list[Any], parent: Record, problems: list[SourceProblem], depth: int
) -> tuple[Record, ...]:
    members: list[Record] = []
    for number, value in enumerate(values, start=1):
        where = f"{position}, {path.rpartition('/')[2]} {number}"
        if isinstance(value, dict):
            members.append(_record(where, value, parent, problems, depth))
        elif isinstance(value, list):
            problems.append(SourceProblem(where, "nested-list", "a list in a list is not read: it has no name"))
        elif text := _text(where, ".", value, problems):
            members.append(Record(where, {".": text}, parent=parent))
    return tuple(members)


def _text(position: str, path: str, value: Any, problems: list[SourceProblem]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).strip()
    if _HALF.search(text):
        message = f"{path!r} holds half of a character: correct it where it comes from"
        problems.append(SourceProblem(position, "characters", message, "refuse"))
    if len(text) > MAX_CELL:
        message = f"{path!r} holds more than {MAX_CELL:,} characters"
        problems.append(SourceProblem(position, "cell-size", message, "refuse"))
    return text


def _since(record: Record, seen: Greatest) -> Any:
    """Return the value of a record by which it is asked for later.

    Raises:
        SourceError: It is no whole number where it should be one.
    """
    written = record.fields.get(seen.name)
    if written is None or seen.growing.kind == "timestamp":
        return written
    return int(written) if re.fullmatch(r"-?[0-9]{1,30}", written) else written


def _kept(since: str, first: httpx.URL, single: httpx.Response | None) -> _Known:
    if single is None:
        return _Known(since)
    etag, modified = single.headers.get("ETag", ""), single.headers.get("Last-Modified", "")
    return _Known(since, _usable(etag), _usable(modified), _digest(first))


def _usable(header: str) -> str:
    return header if len(header) <= _MAX_TAG and header.isascii() and header.isprintable() else ""


def _digest(url: httpx.URL) -> str:
    return hashlib.sha256(str(url).encode()).hexdigest()[:16]


__all__ = ["ByCursor", "ByLink", "ByNext", "ByPage", "JsonFeed", "JsonOptions", "SinceTime", "SinceVersion"]
