"""A zone of a hundred agents at the gateway, and four more whose targets are broken; who gets what of whom."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from broker.settings import Zone, load_zone
from broker.supervisor import RunningZone
from tests.faults.http_agents import Agent, Answering, Aside, Targets, acknowledge, agent_url, reply
from tests.integration.gateway.sif import learner, new_id

PUBLISHERS: Final = 20
EACH: Final = 4
"""Subscribers of one publisher: two are pushed to, two pull."""
LEARNERS: Final = 3
"""Learners of one publisher, in turn."""
BROKEN: Final = ("hangs", "drops", "fails", "halves", "breaks-off")
PUBLISHED: Final = tuple(f"mis-{n}" for n in range(PUBLISHERS))
GOOD: Final = (*PUBLISHED, *(f"vle-{n}" for n in range(PUBLISHERS * EACH)))

_ZONE: Final = """
id = "crowd"
partitions = 4
[gateway]
port = 0
push_timeout = "{timeout}"
push_retry_first = "1s"
push_retry_longest = "2s"
"""
_AGENT: Final = """
[agents.{id}]
name = "Made up {id}"
[agents.{id}.rights]
LearnerPersonal = ["publish", "subscribe"]
[agents.{id}.gateway]
"""
_AGREEMENT: Final = """
id = "a{n}"
title = "Crowd"
from = ["mis-{n}"]
to = [{to}]
purpose = "Load tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["*"]
"""


def make_crowd_zone(folder: Path, timeout: str = "1h") -> Zone:
    """Write a zone in which four agents get the learners of each publisher, and the broken those of the first few."""
    (folder / "agreements").mkdir(parents=True)
    text = _ZONE.format(timeout=timeout) + "".join(_AGENT.format(id=agent) for agent in (*GOOD, *BROKEN))
    (folder / "zone.toml").write_text(text)
    for n in range(PUBLISHERS):
        to = [f"vle-{n + PUBLISHERS * k}" for k in range(EACH)] + (list(BROKEN) if n < len(BROKEN) else [])
        quoted = ", ".join(f'"{agent}"' for agent in to)
        (folder / "agreements" / f"a{n}.toml").write_text(_AGREEMENT.format(n=n, to=quoted))
    return load_zone(folder)


class Crowd:
    """The agents; all that is asynchronous runs on the loop of *aside*."""

    def __init__(self, running: RunningZone, aside: Aside, agents: Sequence[str] = GOOD) -> None:
        self.agents: Mapping[str, Agent] = {name: Agent(name, agent_url(running, name)) for name in agents}
        self.targets = Targets()
        self.acknowledged: dict[str, float] = {}
        """When each event was acknowledged to its publisher, by id, on the loop's clock."""
        self.released = asyncio.Event()
        """Set to let a target that hangs drop its connections."""
        self._aside = aside
        self._refs = {name: [new_id() for _ in range(LEARNERS)] for name in PUBLISHED}
        self._sent = dict.fromkeys(PUBLISHED, 0)
        aside.do(self.targets.start())

    def close(self) -> None:
        """End all."""

        async def end() -> None:
            self.released.set()
            for agent in self.agents.values():
                agent.close()
            self.targets.close()

        self._aside.do(end())

    def register(self, poll: float = 0.02) -> None:
        """Register all at once and have those that pull begin, every *poll* seconds."""

        async def together() -> None:
            await asyncio.gather(*(self._register(agent) for agent in self.agents.values()))

        self._aside.do(together())
        for agent in self.agents.values():
            if not self.is_pushed(agent.id):
                self._aside.begin(agent.pull(poll))

    def leave(self, names: Sequence[str]) -> None:
        """Have some unregister: what waits for them is gone."""

        async def leave() -> None:
            for name in names:
                assert await self.agents[name].say("SIF_Unregister") in ((0, 0), (4, 9))

        self._aside.do(leave())

    def join(self, names: Sequence[str], *, well: bool) -> None:
        """Have some of the broken register again, to answer as they must or as they do."""

        async def join() -> None:
            for name in names:
                agent = self.agents[name]
                await agent.register(self.targets.add(agent, acknowledge if well else self._broken(name)))
                await agent.subscribe()

        self._aside.do(join())

    @staticmethod
    def is_pushed(agent: str) -> bool:
        """Tell how an agent gets its messages: half of the good are pushed to, and all that are broken."""
        if agent in BROKEN:
            return True
        kind, number = agent.split("-")
        return (int(number) if kind == "mis" else int(number) // PUBLISHERS) % 2 == 1

    async def _register(self, agent: Agent) -> None:
        answering = self._broken(agent.id) if agent.id in BROKEN else acknowledge
        await agent.register(self.targets.add(agent, answering) if self.is_pushed(agent.id) else "")
        if not agent.id.startswith("mis"):
            await agent.subscribe()

    def _broken(self, name: str) -> Answering:
        async def broken(agent: Agent, _body: bytes, writer: asyncio.StreamWriter) -> bool:
            ack = agent.writer.message("SIF_Ack", "<SIF_OriginalSourceId>made-up</SIF_OriginalSourceId>")
            match name:
                case "hangs":
                    await self.released.wait()
                case "fails":
                    await reply(writer, ack, "500 Internal Server Error")
                case "halves":
                    await reply(writer, ack[: len(ack) // 2])
                case "breaks-off":
                    await reply(writer, ack[: len(ack) // 2], missing=len(ack) // 2)
            return name in ("fails", "halves")

        return broken

    def mend(self) -> None:
        """Let the broken targets answer as they must from now on."""

        async def mend() -> None:
            for name in BROKEN:
                self.targets.add(self.agents[name])
            self.released.set()

        self._aside.do(mend())

    def publish(self, each: int, pause: float = 0.0) -> None:
        """Begin to publish *each* events more of every publisher, each once the one before is acknowledged."""
        for name in PUBLISHED:
            self._aside.begin(self._publish(self.agents[name], range(self._sent[name], self._sent[name] + each), pause))
            self._sent[name] += each

    async def _publish(self, agent: Agent, numbers: range, pause: float) -> None:
        refs, loop = self._refs[agent.id], asyncio.get_running_loop()
        due = loop.time() + pause * (PUBLISHED.index(agent.id) / PUBLISHERS)
        for number in numbers:
            msg_id = new_id()
            element = learner(refs[number % LEARNERS], str(number))
            if pause:
                await asyncio.sleep(due - loop.time())
                due += pause
            code = await agent.insist(agent.writer.event_body(element, msg_id=msg_id))
            assert code in ((0, 0), (0, 7)), code
            self.acknowledged[msg_id] = loop.time()

    def expected(self, agent: str) -> dict[str, Sequence[int]]:
        """Return the numbers of the events that *agent* is to get, by publisher."""
        if agent in BROKEN:
            return {name: range(self._sent[name]) for name in PUBLISHED[: len(BROKEN)]}
        kind, number = agent.split("-")
        source = f"mis-{int(number) % PUBLISHERS}"
        return {source: range(self._sent[source])} if kind == "vle" else {}

    def have_all(self, agents: Sequence[str]) -> bool:
        """Tell whether *agents* have as many messages as they are to get."""
        return all(len(self.agents[a].inbox.messages) >= sum(map(len, self.expected(a).values())) for a in agents)
