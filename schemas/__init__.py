"""Schemas of the objects that the zone carries: what they are made of, whether one is valid, and the code lists."""

from schemas.codelists import CodeLists, code_list_names, codes
from schemas.editions import EDITIONS, NEWEST, WIRE_VERSIONS, Edition, edition_of
from schemas.messages import check_message
from schemas.model import (
    BadCodeList,
    BadSchema,
    CodeList,
    Finding,
    Node,
    OtherLearners,
    Severity,
    UnknownCodeList,
    UnknownObject,
)
from schemas.registry import SchemaSet, load, load_site

__all__ = [
    # the registry
    "SchemaSet",
    "load",
    "load_site",
    # editions of the data model
    "EDITIONS",
    "NEWEST",
    "WIRE_VERSIONS",
    "Edition",
    "edition_of",
    # what an object is made of
    "Node",
    "OtherLearners",
    # messages around objects
    "check_message",
    # what is wrong with one
    "Finding",
    "Severity",
    # code lists
    "CodeList",
    "CodeLists",
    "code_list_names",
    "codes",
    # errors
    "BadCodeList",
    "BadSchema",
    "UnknownCodeList",
    "UnknownObject",
]
