"""Reads social care's return of children looked after (SSDA903): a record for each child and period of care."""

from agents.connectors.ssda903.learners import Claim, Locate
from agents.connectors.ssda903.rows import TableCount
from agents.connectors.ssda903.source import Ssda903Options, Ssda903Source

__all__ = [
    # the connector
    "Ssda903Options",
    "Ssda903Source",
    # who a child is in the zone
    "Claim",
    "Locate",
    # what became of the rows
    "TableCount",
]
