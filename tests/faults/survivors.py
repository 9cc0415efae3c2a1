"""A zone of eight agents at the gateway that publish, ask and answer, in parts, so that faults fall in between."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from broker.requests import Pending, RequestState
from broker.settings import Zone, load_zone
from broker.supervisor import RunningZone
from tests.faults.http_agents import Agent, Aside, Code, Targets, agent_url
from tests.integration.gateway.sif import NS, SECTIONS, Message, learner, listed, new_id

PAIRS: Final = 4
LEARNERS: Final = 2
"""Learners of one publisher, in turn."""
_MOST_PACKETS: Final = 5
_SILENT: Final = 1
_FAILS: Final = 4
"""Of ten requests, one is never answered and one with an error, after some packets or none."""
_PAUSE: Final = 0.02

_ERROR: Final = (
    "<SIF_Error><SIF_Category>8</SIF_Category><SIF_Code>1</SIF_Code><SIF_Desc>made up</SIF_Desc></SIF_Error>"
)
_ZONE: Final = """
id = "survivors"
partitions = 4
[gateway]
port = 0
push_retry_longest = "2s"
[requests]
timeout = "{timeout}"
"""
_PAIR: Final = """
[agents.mis-{n}]
name = "MIS {n}"
[agents.mis-{n}.rights]
LearnerPersonal = ["publish", "respond"]
[agents.mis-{n}.gateway]
[agents.vle-{n}]
name = "VLE {n}"
[agents.vle-{n}.rights]
LearnerPersonal = ["subscribe", "request"]
[agents.vle-{n}.gateway]
"""
_AGREEMENT: Final = """
id = "a{n}"
title = "Survivors"
from = ["mis-{n}"]
to = ["vle-{n}", "vle-{next}"]
purpose = "Fault tests"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["*"]
"""


def make_survivors_zone(folder: Path, timeout: str) -> Zone:
    """Write a zone in which the learners of each MIS go to two platforms, one pushed to and one that pulls."""
    (folder / "agreements").mkdir(parents=True)
    text = _ZONE.format(timeout=timeout) + "".join(_PAIR.format(n=n) for n in range(PAIRS))
    (folder / "zone.toml").write_text(text)
    for n in range(PAIRS):
        (folder / "agreements" / f"a{n}.toml").write_text(_AGREEMENT.format(n=n, next=(n + 1) % PAIRS))
    return load_zone(folder)


class Survivors:
    """The agents; of each kind, those with an odd number are pushed to."""

    def __init__(self, running: RunningZone, aside: Aside) -> None:
        self._aside = aside
        self.schools = [Agent(f"mis-{n}", agent_url(running, f"mis-{n}"), self._answer) for n in range(PAIRS)]
        self.platforms = [Agent(f"vle-{n}", agent_url(running, f"vle-{n}")) for n in range(PAIRS)]
        self.targets = Targets()
        self.asked: dict[str, str] = {}
        """Requester of each request that the zone has acknowledged, by id."""
        self.answers: dict[str, list[Code]] = defaultdict(list)
        """What the zone said to the packets of each request, in order."""
        self._requests = 0
        self._sent = 0
        self._turns = [asyncio.Lock() for _ in range(PAIRS)]
        self._refs = [[new_id() for _ in range(LEARNERS)] for _ in range(PAIRS)]
        aside.do(self._begin())
        for number, agent in enumerate([*self.schools, *self.platforms]):
            if number % 2 == 0:
                aside.begin(agent.pull())

    def close(self) -> None:
        """End all."""

        async def end() -> None:
            for agent in (*self.schools, *self.platforms):
                agent.close()
            self.targets.close()

        self._aside.do(end())

    async def _begin(self) -> None:
        await self.targets.start()
        for number, agent in enumerate([*self.schools, *self.platforms]):
            await agent.register(self.targets.add(agent) if number % 2 else "")
        for agent in self.platforms:
            await agent.subscribe()
        answers = "".join(
            f"<SIF_{name}Objects>{listed('LearnerPersonal') if name == 'Respond' else ''}</SIF_{name}Objects>"
            for name in SECTIONS
        )
        for agent in self.schools:
            assert await agent.say("SIF_Provision", answers) == (0, 0)

    def publish(self, each: int) -> None:
        """Begin to publish *each* events more of every school, each once the one before is acknowledged."""
        for number, agent in enumerate(self.schools):
            self._aside.begin(self._publish(number, agent, range(self._sent, self._sent + each)))
        self._sent += each

    async def _publish(self, school: int, agent: Agent, numbers: range) -> None:
        async with self._turns[school]:
            for number in numbers:
                element = learner(self._refs[school][number % LEARNERS], str(number))
                assert await agent.insist(agent.writer.event_body(element)) in ((0, 0), (0, 7))
                await asyncio.sleep(_PAUSE)

    def ask(self, count: int) -> None:
        """Begin to make *count* requests more, in turn by each platform of a school whose learners it gets."""
        for number in range(self._requests, self._requests + count):
            n = number % PAIRS
            responder = self.schools[n if number // PAIRS % 2 else (n - 1) % PAIRS]
            self._aside.begin(self._ask(self.platforms[n], f"{number:032X}", responder.id))
        self._requests += count

    async def _ask(self, agent: Agent, msg_id: str, to: str) -> None:
        content = (
            "<SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>65536</SIF_MaxBufferSize>"
            '<SIF_Query><SIF_QueryObject ObjectName="LearnerPersonal"/></SIF_Query>'
        )
        header = f"<SIF_DestinationId>{to}</SIF_DestinationId>"
        code = await agent.say("SIF_Request", content, msg_id=msg_id, header=header)
        assert code in ((0, 0), (0, 7)), code
        self.asked[msg_id] = agent.id

    async def _answer(self, agent: Agent, message: Message) -> None:
        """Answer a request with some packets before it is acknowledged, as toolkits do; or with an error, or never."""
        if message.kind != "SIF_Request":
            return
        number = int(message.msg_id, 16)
        if number % 10 == _SILENT:
            return
        last = 1 + number % _MOST_PACKETS
        for packet in range(1, last + 1):
            fails = number % 10 == _FAILS and packet == last
            payload = _ERROR if fails else f"<SIF_ObjectData>{learner()}</SIF_ObjectData>"
            content = (
                f"<SIF_RequestMsgId>{message.msg_id}</SIF_RequestMsgId><SIF_PacketNumber>{packet}</SIF_PacketNumber>"
                f"<SIF_MorePackets>{'No' if packet == last else 'Yes'}</SIF_MorePackets>{payload}"
            )
            header = f"<SIF_DestinationId>{message.source}</SIF_DestinationId>"
            self.answers[message.msg_id].append(await agent.say("SIF_Response", content, header=header))
            await asyncio.sleep(_PAUSE)

    def received(self) -> int:
        """Return how many events the platform has that has fewest."""
        return min(sum(map(len, agent.inbox.events().values())) for agent in self.platforms)

    def have_all(self) -> bool:
        """Tell whether all events have come, and the end of each request."""
        ended = {
            message.text("SIF_RequestMsgId")
            for agent in self.platforms
            for message in agent.inbox.messages
            if message.kind == "SIF_Response" and message.text("SIF_MorePackets") == "No"
        }
        return self.received() >= 2 * self._sent and len(self.asked) == self._requests and ended >= self.asked.keys()

    # -- what must hold ------------------------------------------------------------------------------------------

    def assert_no_event_is_lost_or_out_of_order(self) -> None:
        """Compare what each platform got with what was published, and the order for each learner."""
        for number, agent in enumerate(self.platforms):
            events = agent.inbox.events()
            assert events.keys() == {f"mis-{number}", f"mis-{(number - 1) % PAIRS}"}
            for source, numbers in events.items():
                for first in range(LEARNERS):
                    own = [number for number in numbers if number % LEARNERS == first]
                    assert own == list(range(first, self._sent, LEARNERS)), (agent.id, source)

    def assert_nothing_comes_again_that_was_settled(self) -> None:
        """See that no message came again whose acknowledgement the zone had answered with 0."""
        assert {agent.id: agent.inbox.repeated for agent in (*self.schools, *self.platforms)} == {
            agent.id: [] for agent in (*self.schools, *self.platforms)
        }

    def assert_packets_are_consecutive(self, pending: Mapping[str, Pending]) -> None:
        """See that each request has ended, and that its packets came in order, the last one saying how it ended."""
        assert pending.keys() == self.asked.keys()
        for msg_id, one in pending.items():
            got = [
                message
                for agent in self.platforms
                for message in agent.inbox.messages
                if message.kind == "SIF_Response" and message.text("SIF_RequestMsgId") == msg_id
            ]
            packets = [int(message.text("SIF_PacketNumber")) for message in got]
            assert packets == list(range(1, len(packets) + 1)), (msg_id, one.state, packets, self.answers[msg_id])
            more = [message.text("SIF_MorePackets") for message in got]
            assert more == ["Yes"] * (len(got) - 1) + ["No"], (msg_id, one.state, more)
            assert one.state in (
                RequestState.DONE,
                RequestState.FAILED,
                RequestState.PARTIAL,
                RequestState.EXPIRED,
            )
            failed = got[-1].root[0].find(f"{NS}SIF_Error") is not None
            assert failed == (one.state is not RequestState.DONE), (msg_id, one.state)
