"""Agents: what stands beside a system and speaks for it in a zone; most need a TOML file and no Python.

With Python::

    from agents import Agent

    platform = Agent.from_file("merlin.toml")

    @platform.on("LearnerPersonal")
    def save(event): ...

    platform.run()
"""

from agents.answers import Provider
from agents.carry import Answer, AnswerHandler, Event, Handler
from agents.runtime import Limits, NotFinished
from agents.sdk import Agent
from agents.store import AlreadyRunning

__all__ = [
    # an agent
    "Agent",
    "Answer",
    "AnswerHandler",
    "Event",
    "Handler",
    "Limits",
    "Provider",
    # errors
    "AlreadyRunning",
    "NotFinished",
]
