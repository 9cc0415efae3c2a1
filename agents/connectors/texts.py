"""Opens text files in whatever encoding, and gives their lines, bounded; what is in the lines is others' work."""

import codecs
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, BinaryIO, Final

from charset_normalizer import from_bytes
from pydantic import AfterValidator

from agents.connectors.contract import SourceError

MAX_LINE: Final = 1024 * 1024
"""Most characters in a line."""
_CHUNK: Final = 1024 * 1024
_SAMPLE: Final = 64 * 1024
_BOMS: Final = (  # those of UTF-32 first: that of UTF-16 begins one of them
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WINDOWS: Final = "cp1252"
_MAC: Final = "mac_roman"
_PLAUSIBLE: Final = (_WINDOWS, "cp1250", "iso8859_1", "iso8859_2", "iso8859_15", _MAC)
_CLEARLY: Final = 0.05
"""By how much another encoding has to make better sense than Windows' for it to be taken."""
_NOT_TEXT: Final = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode", "undefined", "utf-7"})
"""Codecs that the standard library counts among the text encodings, and that give more or less than there is."""
_ODD: Final = re.compile("[\x00\xa0\u2007\u202f\ufeff]")
_BLANKS: Final = str.maketrans({"\xa0": " ", "\u2007": " ", "\u202f": " ", "\ufeff": None})

Opener = Callable[[], BinaryIO]
"""Opens a file anew, at its beginning."""


def check_encoding(name: str) -> str:
    """Return what Python calls an encoding of text files.

    Raises:
        ValueError: There is none by this name.
    """
    try:
        found = codecs.lookup(name).name
        b"1".decode(name, "replace")
    except (LookupError, UnicodeError):
        raise ValueError("no encoding of text by this name: use auto, utf-8, utf-16, cp1252, iso-8859-15 ...") from None
    if found.replace("_", "-") in _NOT_TEXT:
        raise ValueError("this is no encoding of files: use auto, utf-8, utf-16, cp1252, iso-8859-15 ...")
    return found


EncodingName = Annotated[str, AfterValidator(lambda name: name if name == "auto" else check_encoding(name))]
"""``auto``, or the name of an encoding that Python knows."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file is to be decoded.

    Attributes:
        name: For ``open``.
        is_guess: Nothing in the file says so, and it is not the one that is usual here.
        is_damaged: UTF-8 with bytes that are not; where they are, there is a U+FFFD in the text.
    """

    name: str
    is_guess: bool = False
    is_damaged: bool = False


def find_encoding(opener: Opener, wanted: str) -> Encoding:
    """Return what is wanted or, for ``auto``, what the file is in.

    A byte order mark tells; then UTF-16 by its zeros; then UTF-8, if it is that or mostly that. Else it is Windows
    (cp1252), unless another encoding of Europe's makes clearly better sense, or lines end as on an old Macintosh.

    Source:
        Our own rule.
    """
    with opener() as file:
        head = file.read(_SAMPLE)
    if wanted != "auto":
        is_utf_8 = wanted == "utf-8" or (wanted.startswith("utf-8") and head.startswith(codecs.BOM_UTF8))
        return Encoding("utf-8-sig" if is_utf_8 else wanted)
    marked = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    if marked is not None and marked != "utf-8-sig":
        return Encoding(marked)
    if marked is None and b"\x00" in head:
        return Encoding(_by_zeros(head) or "utf-8-sig")
    good, bad = _utf_8(opener)
    if not bad or good > bad or marked:
        return Encoding("utf-8-sig", is_damaged=bad > 0)
    return _old_encoding(_telling(opener))


def open_text(opener: Opener, encoding: Encoding) -> io.TextIOWrapper:
    """Return the decoded file; its line ends stay as they are."""
    errors = "replace" if encoding.is_damaged else "strict"
    return io.TextIOWrapper(opener(), encoding.name, errors=errors, newline="")


def read_lines(text: io.TextIOBase, file: str = "", *, as_they_are: bool = False) -> Iterator[str]:
    """Yield lines with their ends; blanks that do not break a line become plain ones, a byte order mark goes.

    Args:
        text: From :func:`open_text`.
        file: Name of the file for errors, where it is one of several.
        as_they_are: Leave the blanks alone.

    Raises:
        SourceError: A line that is too long, a NUL character, or bytes that are not of the encoding.
    """
    count, which = 0, f"{file}: " if file else ""
    while True:
        try:
            line = text.readline(MAX_LINE)
        except UnicodeDecodeError as error:
            at = count + 1 + error.object[: error.start].count(b"\n")
            raise SourceError(
                f"{which}bytes that are not {error.encoding}: set encoding, or save it as UTF-8", at
            ) from None
        except UnicodeError:
            raise SourceError(f"{which}not in the encoding of the settings: correct encoding", count + 1) from None
        if not line:
            return
        count += 1
        if len(line) >= MAX_LINE and not line.endswith(("\n", "\r")):
            raise SourceError(f"{which}a line of more than {MAX_LINE:,} characters: this is no report", count)
        if _ODD.search(line):
            if "\x00" in line:
                raise SourceError(f"{which}a NUL character: this is not a text file", count)
            line = line if as_they_are else line.translate(_BLANKS)
        yield line


def _by_zeros(head: bytes) -> str | None:
    """Return which UTF-16 has its zeros where these bytes have them; None when neither has."""
    half = len(head) // 2
    even, odd = head[::2].count(0), head[1::2].count(0)
    if half and odd > 0.4 * half and not even:
        return "utf-16-le"
    return "utf-16-be" if half and even > 0.4 * half and not odd else None


def _utf_8(opener: Opener) -> tuple[int, int]:
    """Return how many characters beyond ASCII a file has as UTF-8, and how many faults."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = bad = 0
    with opener() as file:
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            if text.isascii():
                continue
            faults = text.count("\ufffd") - chunk.count(b"\xef\xbf\xbd")  # which is one that was written so
            bad += faults
            good += len(text) - faults - len(text.encode("ascii", "ignore"))
    return good, bad + decoder.decode(b"", final=True).count("\ufffd")


def _telling(opener: Opener) -> bytes:
    """Return lines that are not ASCII, up to 64 KiB of them; all of a file whose lines end as on an old Macintosh."""
    found = bytearray()
    with opener() as file:
        while len(found) < _SAMPLE and (line := file.readline(_SAMPLE)):
            if not line.isascii():
                found += line
    return bytes(found)


def _old_encoding(sample: bytes) -> Encoding:
    if b"\r" in sample and b"\n" not in sample and sample.count(b"\r") > 1:
        return Encoding(_MAC, is_guess=True)
    matches = list(from_bytes(sample[:_SAMPLE], cp_isolation=list(_PLAUSIBLE)))
    if not matches:
        return Encoding(_WINDOWS)
    best = min(matches, key=lambda match: match.chaos)
    windows = [match.chaos for match in matches if _WINDOWS in match.could_be_from_charset]
    if windows and min(windows) <= best.chaos + _CLEARLY:
        return Encoding(_WINDOWS)
    return Encoding(best.encoding, is_guess=True)


__all__ = [
    # which encoding
    "Encoding",
    "EncodingName",
    "check_encoding",
    "find_encoding",
    # the text
    "Opener",
    "open_text",
    "read_lines",
    "MAX_LINE",
]
