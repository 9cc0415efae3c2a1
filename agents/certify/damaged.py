"""Files that are damaged in the ways that files are: cut, empty, of other bytes, hostile; the same each time."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from agents.connectors.contract import FileSource
from broker.protocol.errors import ZoneError

_HEAD: Final = 64 * 1024
_SEED: Final = 20261130
_FLIPS: Final = 4
_BOMB: Final = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&b;&x;</a>'
)
_DEPTH: Final = 20_000


def damaged(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the bytes of each damaged file.

    Args:
        good: The beginning of a file that is right; empty when there is none.
    """
    luck = random.Random(_SEED)  # noqa: S311  # no secret: the same damage each time
    good = good[:_HEAD] or b"UPN,Legal Surname\r\nx,y\r\n"
    yield "empty", b""
    yield "one-zero", b"\x00"
    yield "line-ends", b"\r\n" * 50
    yield "random", luck.randbytes(4096)
    yield "cut", good[: max(1, len(good) * 2 // 3)]
    yield "first-line", good.splitlines(keepends=True)[0]
    yield "zeros-inside", good[: len(good) // 2] + b"\x00" * 64 + good[len(good) // 2 :]
    yield "not-utf-8", good + b"\xff\xfe\xfa\x80,\xc3\x28\r\n"
    yield "utf-16-mark", b"\xff\xfe" + good
    yield "open-quote", good + b'"' + b"x" * 1000
    yield "long-line", b"x" * 300_000
    yield "only-separators", b",;\t|" * 2_000 + b"\n"
    yield "entities", _BOMB
    yield "deep", b"<a>" * _DEPTH
    yield "no-end", b"<a><b>" + good
    for number in range(_FLIPS):
        flipped = bytearray(good)
        for _ in range(max(3, len(flipped) // 500)):
            flipped[luck.randrange(len(flipped))] = luck.randrange(256)
        yield f"flipped-{number + 1}", bytes(flipped)


def failures(connector: FileSource, paths: Iterable[Path]) -> list[str]:
    """Return for each file at which a connector fails, instead of refusing it in a sentence, its name and how."""
    found = []
    for path in paths:
        try:
            for _ in connector.read(path):
                pass
        except ZoneError:
            continue
        except Exception as error:  # noqa: BLE001  # exactly what is looked for
            found.append(f"{path.stem}: {type(error).__name__}")
    return found


__all__ = ["damaged", "failures"]
