"""For the tests of agents: a zone in memory that decides as the real one does; no RabbitMQ, no threads, no waiting."""

from agents.testing.samples import sample
from agents.testing.zone import NotQuiet, Zone
from agents.zone_files import Agreement, Learners, ZoneAgent

__all__ = [
    # a zone
    "Zone",
    "ZoneAgent",
    "Agreement",
    "Learners",
    # what is sent in it
    "sample",
    # errors
    "NotQuiet",
]
