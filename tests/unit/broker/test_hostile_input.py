"""Hostile XML on the intake: each kind refused with its own clear error, nothing opened, nothing repeated."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.protocol import documents
from broker.protocol.documents import MAX_MESSAGE_BYTES, parse_document
from broker.protocol.envelope import NAMESPACE, event_objects, parse_message
from broker.protocol.errors import NotValid, NotWellFormed, ZoneError
from tests.unit.broker.builders import MSG_ID, add_personal

SECRET = "Zephyrine"
LARGE = 64 * 1024 * 1024
BODY = add_personal(name=f'<Name Type="C"><GivenName>{SECRET}</GivenName></Name>')
BOM = b"\xef\xbb\xbf"


def in_text(text: bytes) -> bytes:
    return BODY.replace(SECRET.encode(), text)


HOSTILE = {
    "empty": (b"", r"no XML at all|nothing"),
    "blanks only": (b" \n ", r"no XML at all|nothing"),
    "garbage": (bytes(range(256)) * 4, r"not UTF-8|no XML at all|cannot be read|does not allow"),
    "text": (b"Dear zone, please find attached", r"no XML at all|cannot be read"),
    "truncated": (BODY[:-30], r"cut short|does not match|more after"),
    "truncated in a tag": (BODY[: BODY.index(b"LearnerPersonal") + 4], r"cut short|cannot be read"),
    "two roots": (BODY + BODY, r"more after the end"),
    "mismatched tags": (BODY.replace(b"</GivenName>", b"</FamilyName>"), r"does not match"),
    "unescaped ampersand": (in_text(b"a & b"), r"cannot be read|entity"),
    "doctype": (b"<!DOCTYPE SIF_Message>" + BODY, r"DOCTYPE"),
    "doctype after a byte order mark": (BOM + b"<!DOCTYPE SIF_Message>" + BODY, r"DOCTYPE"),
    "doctype after declaration, comment, instruction": (
        b'<?xml version="1.0"?>\n<!-- > --> <?a >?>\n<!DOCTYPE SIF_Message>' + BODY,
        r"DOCTYPE",
    ),
    "billion laughs": (
        b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;">]>' + in_text(b"&c;"),
        r"DOCTYPE",
    ),
    "external entity": (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>' + in_text(b"&b;"), r"DOCTYPE"),
    "undefined entity": (in_text(b"&nbsp;"), r"entity"),
    "utf-16": (BODY.decode().encode("utf-16"), r"UTF-16"),
    "utf-16 without mark": (BODY.decode().encode("utf-16-be"), r"UTF-16"),
    "utf-16 little-endian without mark": (BODY.decode().encode("utf-16-le"), r"UTF-16"),
    "utf-32": (BODY.decode().encode("utf-32"), r"UTF-16 or UTF-32"),
    "latin-1 that says so": (
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + in_text("é".encode("latin-1")),
        r"declaration names another encoding",
    ),
    "latin-1 that says so after a byte order mark": (
        BOM + b"<?xml version='1.0' encoding='iso-8859-1'?>" + BODY,
        r"declaration names another encoding",
    ),
    "latin-1 that says nothing": (in_text("é".encode("latin-1")), r"not UTF-8"),
    "control character": (in_text(b"\x01"), r"does not allow"),
    "reference to a control character": (in_text(b"&#1;"), r"does not allow"),
    "50,000 deep": (in_text(b"<a>" * 50_000 + b"</a>" * 50_000), r"256 deep"),
    "100,000 deep and not closed": (b"<a>" * 100_000, r"256 deep"),
    "too large": (in_text(b"x" * MAX_MESSAGE_BYTES), r"limit of 8,388,608"),
}


@pytest.mark.parametrize(("body", "says"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_plain_utf8_document_is_refused_by_name(body: bytes, says: str) -> None:
    with pytest.raises(NotWellFormed, match=says) as caught:
        parse_message(body)

    assert (caught.value.category, caught.value.code) == (1, 2)
    assert SECRET not in str(caught.value)


def test_one_huge_text_is_refused_even_where_a_larger_message_is_allowed() -> None:
    with pytest.raises(NotWellFormed, match="more than 10 million characters"):
        parse_message(in_text(b"x" * 11_000_000), LARGE)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"<a>\n<b>\n</a>", 3),
        (b"<a>\n\n\n" + b"<b>" * 300, 4),
        (b"<a>\n&nope;</a>", 2),
        (b"<a>\n\n\x02</a>", 3),
    ],
    ids=["mismatched tag", "too deep", "entity", "control character"],
)
def test_refusal_names_the_line(body: bytes, line: int) -> None:
    with pytest.raises(NotWellFormed, match=rf"^line {line}: ") as caught:
        parse_document(body)

    assert caught.value.line == line


def test_external_dtd_is_not_even_opened(pipe: tuple[Path, threading.Event]) -> None:
    path, opened = pipe

    with pytest.raises(NotWellFormed, match="DOCTYPE"):
        parse_message(f'<!DOCTYPE SIF_Message SYSTEM "file://{path}">'.encode() + BODY)

    assert not opened.is_set()


@pytest.mark.parametrize(
    "doctype",
    ['a SYSTEM "file://{pipe}"', 'a [<!ENTITY b SYSTEM "file://{pipe}">]', 'a [<!ENTITY % b SYSTEM "{pipe}"> %b;]'],
)
def test_the_parser_opens_nothing_even_where_a_doctype_got_past(
    doctype: str, pipe: tuple[Path, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = pipe
    monkeypatch.setattr(documents, "_DOCTYPE", re.compile(rb"(?!)"))

    root = parse_document(f"<!DOCTYPE {doctype.replace('{pipe}', str(path))}><a>&b;</a>".encode())

    assert "".join(str(text) for text in root.itertext()) in ("", "&b;")
    assert not opened.is_set()


def test_inclusions_and_stylesheets_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    included = f'<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file://{secret}" parse="text"/>'
    body = f'<?xml-stylesheet href="file://{secret}"?><a>{included}</a>'.encode()

    root = parse_document(body)

    assert list(root.itertext()) == []
    assert root[0].tag == "{http://www.w3.org/2001/XInclude}include"


def test_the_word_doctype_in_a_text_is_only_a_text() -> None:
    root = parse_document(b"<!-- <!DOCTYPE a> --><a><![CDATA[<!DOCTYPE b>]]><!-- <!DOCTYPE c> --></a>")

    assert root.text == "<!DOCTYPE b>"


@pytest.mark.parametrize("filler", [b"<?a?>", b"<!---->", b" \n"], ids=["instructions", "comments", "blanks"])
def test_a_long_prolog_before_a_doctype_costs_no_more_than_its_length(filler: bytes) -> None:
    # Looked at piece by piece and copied each time, a message of the allowed size would hold a worker for hours:
    # this test would run into its time limit.
    body = filler * (MAX_MESSAGE_BYTES // len(filler) - 100) + b"<!DOCTYPE a><a/>"

    with pytest.raises(NotWellFormed, match="DOCTYPE"):
        parse_document(body)


@pytest.mark.parametrize("start", [b"<?a", b"<!--", b"<?a?><!-- b"], ids=["instruction", "comment", "comment, later"])
def test_unfinished_prolog_is_refused(start: bytes) -> None:
    with pytest.raises(NotWellFormed):
        parse_document(start + b" <!DOCTYPE a><a/>")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (BODY.replace(NAMESPACE.encode(), b"http://www.sifinfo.org/infrastructure/2.x"), "another namespace"),
        (BODY.replace(f' xmlns="{NAMESPACE}"'.encode(), b""), "another namespace"),
        (b"<html/>", "not SIF_Message"),
        (f'<SIF_Event xmlns="{NAMESPACE}"/>'.encode(), "not SIF_Message"),
    ],
    ids=["another SIF's namespace", "no namespace", "another language", "content without its message"],
)
def test_another_root_is_refused_with_what_is_wanted(body: bytes, says: str) -> None:
    with pytest.raises(NotValid, match=says):
        parse_message(body)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.replace(MSG_ID.encode(), SECRET.encode()),
        lambda body: body.replace(b'Action="Add"', f'Action="{SECRET}"'.encode()),
        lambda body: body.replace(b'Version="2.4"', f'Version="{SECRET}"'.encode()),
        lambda body: body.replace(b"</GivenName>", f"<{SECRET}></GivenName>".encode()),
        lambda body: body.replace(b'Type="C"', f'Type="C" {SECRET}={SECRET}'.encode()),
        lambda body: body.replace(b"<SIF_Header>", f"<{SECRET}/><SIF_Header>".encode()),
    ],
    ids=["message id", "action", "version", "tag", "attribute", "element before the header"],
)
def test_no_refusal_repeats_what_the_message_holds(spoil: Callable[[bytes], bytes]) -> None:
    body = spoil(BODY)
    with pytest.raises(ZoneError) as caught:
        event_objects(parse_message(body))

    assert not re.search(SECRET, str(caught.value), re.IGNORECASE)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
