"""Agents: what stands beside a system and speaks for it in a zone; most need a TOML file and no Python.

With Python, plain or ``async``::

    from agents import Agent

    platform = Agent.from_file("merlin.toml")

    @platform.on("LearnerPersonal")
    async def save(event): ...

    platform.run()
"""

from agents.carry import Answer, Event
from agents.handlers import AnswerHandler, Handler, Provider
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
