"""Paths of an object's parts as mappings write them: their steps, and which is within which; knows no object."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_STEP: Final = re.compile(r"/(?![^\[]*\])")


@lru_cache(maxsize=8192)
def steps(path: str) -> tuple[str, ...]:
    """Return the steps of a path, with their predicates."""
    return tuple(_STEP.split(path))


@lru_cache(maxsize=8192)
def plain(path: str) -> str:
    """Return a path without predicates."""
    return _PREDICATE.sub("", path)


def ends_with(object_type: str, path: str, end: str) -> bool:
    """Tell whether a path of an object ends in that of the vocabulary, with the predicates that are there."""
    whole, last = steps(f"{object_type}/{path}"), steps(end)
    if len(last) > len(whole):
        return False
    pairs = zip(whole[-len(last) :], last, strict=True)
    return all(one == other if "[" in other else plain(one) == other for one, other in pairs)


def elements(path: str) -> Iterator[str]:
    """Yield the elements on the way of a path, outer ones first, the last one too unless it is an attribute."""
    parts = [part for part in steps(path) if not part.startswith("@")]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])


def parent(path: str) -> str:
    """Return the path around one; empty where that is the object itself."""
    return "/".join(steps(path)[:-1])


def is_within(path: str, element: str) -> bool:
    """Tell whether a path is an element, or in it."""
    return not element or path == element or path.startswith(f"{element}/")


__all__ = ["elements", "ends_with", "is_within", "parent", "plain", "steps"]
