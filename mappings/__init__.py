"""Mappings: data files that turn source records into SIF objects, and objects into rows; no I/O but reading them.

Inward::

    mapping = load("csv/learner")                       # InwardMapping; MappingError lists every problem
    mapping.name, mapping.object_type, mapping.sources  # "csv/learner", "LearnerPersonal", fields it reads
    mapping.lines                                       # what each line of the file reads and fills
    mapping.translate(record, ref_ids)                  # Translation(objects, problems, gone)

And back::

    turned = invert(mapping, open_document(name))       # Inverse; or NotInvertible, whose obstacles say what stops it
    turned.record(element)                              # Undone(record, problems)

Outward::

    mapping = load("oneroster/users")                   # OutwardMapping
    mapping.name, mapping.table, mapping.columns        # "oneroster/users", "users", columns in order
    mapping.object_types                                # the objects that it reads
    mapping.rows(objects)                               # Rows(rows, problems)
"""

from mappings.converters import Converter, ConvertError, converter_names
from mappings.gather import Gathering
from mappings.invert import Inverse, NotInvertible, Reference, Undone, invert
from mappings.inward import InwardMapping
from mappings.lineage import Line
from mappings.loader import load, open_document, shipped_names
from mappings.outward import OutwardMapping
from mappings.problems import MappingError, Problem
from mappings.records import NAMESPACE, GoneObject, MappedObject, Objects, Record, RefIds, RowProblem, Rows, Translation

__all__ = [
    # files
    "load",
    "open_document",
    "shipped_names",
    "InwardMapping",
    "OutwardMapping",
    "Line",
    "MappingError",
    "Problem",
    # and back
    "invert",
    "Inverse",
    "NotInvertible",
    "Reference",
    "Undone",
    # records of several rows
    "Gathering",
    # what goes in and out
    "NAMESPACE",
    "Record",
    "RefIds",
    "Translation",
    "MappedObject",
    "GoneObject",
    "RowProblem",
    "Objects",
    "Rows",
    # converters
    "Converter",
    "ConvertError",
    "converter_names",
]
