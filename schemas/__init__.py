"""Schemas of the objects that the zone carries: what they are made of, whether one is valid, and the code lists."""

from schemas.codelists import code_list_names, codes
from schemas.model import CodeList, Finding, Node, OtherLearners, UnknownCodeList, UnknownObject
from schemas.registry import SchemaSet, load
from schemas.source import BadSchema

__all__ = [
    # the registry
    "SchemaSet",
    "load",
    # what an object is made of
    "Node",
    "OtherLearners",
    # what is wrong with one
    "Finding",
    # code lists
    "CodeList",
    "code_list_names",
    "codes",
    # errors
    "BadSchema",
    "UnknownCodeList",
    "UnknownObject",
]
