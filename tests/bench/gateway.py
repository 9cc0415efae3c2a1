"""The gateway against a bare web application that only reads the body, in turns within one run; prints medians.

    python -m tests.bench.gateway [--rounds 3] [--seconds 5] [--agents 64] [--json]

Bare is uvicorn with FastAPI, the same server with the same settings as the gateway. Clients are a process of their own
that speaks plain sockets, so that it takes little of the machine; each keeps one connection open, as agents do.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
import uvicorn
from fastapi import FastAPI, Request, Response
from rich.console import Console
from rich.table import Table

from broker.gateway.push import CONTENT_TYPE
from broker.settings import load_zone
from broker.supervisor import RunningZone, gateway_url, read_secret
from tests.bench.corpus import events
from tests.integration.gateway.sif import SIF, ack_content, listed

console: Final = Console(stderr=True)
_IDLE_TURNS: Final = 20

_ZONE: Final = """
id = "bench"
partitions = 4
[gateway]
port = 0
"""
_AGENT: Final = """
[agents.{kind}-{n}]
name = "{kind} {n}"
[agents.{kind}-{n}.rights]
LearnerPersonal = ["publish", "subscribe"]
[agents.{kind}-{n}.gateway]
"""
_AGREEMENT: Final = """
id = "all-{n}"
title = "Benchmark"
from = ["mis-{n}"]
to = ["vle-{n}"]
purpose = "Benchmark"
lawful_basis = "None, all is made up"
starts = 2020-01-01
expires = 2099-12-31
learners = "all"
[objects.LearnerPersonal]
share = ["*"]
"""


class Client:
    """One connection to a server, kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: "
        ).encode()

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 20)

    async def post(self, body: bytes) -> bytes:
        """Return the body of the answer."""
        self._writer.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        at = head.lower().index(b"content-length: ") + 16
        return await self._reader.readexactly(int(head[at : head.index(b"\r", at)]))


def _message(source: str, kind: str, content: str = "") -> bytes:
    return (
        f'<SIF_Message xmlns="{SIF}" Version="2.4"><{kind}><SIF_Header><SIF_MsgId>{secrets.token_hex(16).upper()}'
        f"</SIF_MsgId><SIF_Timestamp>2026-09-01T08:15:00Z</SIF_Timestamp><SIF_SourceId>{source}</SIF_SourceId>"
        f"</SIF_Header>{content}</{kind}></SIF_Message>"
    ).encode()


def _get(source: str) -> bytes:
    return _message(source, "SIF_SystemControl", "<SIF_SystemControlData><SIF_GetMessage/></SIF_SystemControlData>")


async def _for_seconds(seconds: float, urls: Sequence[str], turn: Callable[[int, Client], Awaitable[int]]) -> float:
    """Let every client take turns for *seconds*, or until there is nothing to do; return what they did in a second."""
    clients = [Client(url) for url in urls]
    for client in clients:
        await client.open()
    until = time.monotonic() + seconds

    begun = ended = time.monotonic()

    async def work(number: int, client: Client) -> int:
        nonlocal ended
        done = idle = 0
        while time.monotonic() < until and idle < _IDLE_TURNS:
            did = await turn(number, client)
            done, idle = done + did, 0 if did else idle + 1
            ended = time.monotonic() if did else ended
        return done

    counts = await asyncio.gather(*(work(number, client) for number, client in enumerate(clients)))
    return sum(counts) / (ended - begun)


def _client(pipe, what: str, urls: list[str], seconds: float, bodies: list[list[bytes]]) -> None:  # type: ignore[no-untyped-def]
    """Measure, in a process of its own, and send what was found."""
    taken = [cycle(own) if what == "bare" else iter(own) for own in bodies]
    names = [f"vle-{n}" for n in range(len(urls))]

    async def send(number: int, client: Client) -> int:
        body = next(taken[number], None)
        if body is None:
            raise RuntimeError("too few events were made for so many seconds")
        answer = await client.post(body)
        assert what == "bare" or b"<SIF_Code>0</SIF_Code>" in answer, answer
        return 1

    async def fetch(number: int, client: Client) -> int:
        answer = await client.post(_get(names[number]))
        at = answer.find(b"<SIF_Data>")
        if at < 0:
            await asyncio.sleep(0.01)
            return 0
        start = answer.index(b"<SIF_MsgId>", at) + 11
        said = ack_content(f"mis-{number}", answer[start : start + 32].decode(), 1)
        answer = await client.post(_message(names[number], "SIF_Ack", said))
        assert b"<SIF_Code>0</SIF_Code>" in answer, answer
        return 1

    turn = fetch if what == "fetch" else send
    pipe.send(asyncio.run(_for_seconds(seconds, urls, turn)))


def _measure(what: str, urls: list[str], seconds: float, bodies: list[list[bytes]]) -> float:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_client, args=(theirs, what, urls, seconds, bodies))
    process.start()
    theirs.close()
    rate: float = ours.recv()
    process.join()
    return rate


def _bare(port: int) -> None:
    app = FastAPI()

    @app.post("/zones/{zone}/{secret}")
    async def take(request: Request) -> Response:
        await request.body()
        return Response(b"<done/>", media_type="application/xml")

    uvicorn.run(
        app, host="127.0.0.1", port=port, http="httptools", log_config=None, access_log=False, ws="none",
        server_header=False, date_header=False, proxy_headers=False, lifespan="off",
    )  # fmt: skip


def _made(agents: int, each: int) -> list[list[bytes]]:
    """Return events for each MIS: with its own id, and ids of their own."""
    corpus = [body for _, _, body in events(min(each, 500))]
    source = corpus[0][corpus[0].index(b"<SIF_SourceId>") + 14 : corpus[0].index(b"</SIF_SourceId>")]
    found: list[list[bytes]] = []
    for n in range(agents):
        own: list[bytes] = []
        for k in range(each):
            body = corpus[k % len(corpus)].replace(b">%b<" % source, b">mis-%d<" % n, 1)
            at = body.index(b"<SIF_MsgId>") + 11
            own.append(body[:at] + secrets.token_hex(16).upper().encode() + body[at + 32 :])
        found.append(own)
    return found


def _zone(folder: Path, agents: int) -> None:
    (folder / "agreements").mkdir(parents=True)
    text = _ZONE + "".join(_AGENT.format(kind=kind, n=n) for n in range(agents) for kind in ("mis", "vle"))
    (folder / "zone.toml").write_text(text)
    for n in range(agents):
        (folder / "agreements" / f"a{n}.toml").write_text(_AGREEMENT.format(n=n))


async def _register(urls: dict[str, str]) -> None:
    for name, url in urls.items():
        client = Client(url)
        await client.open()
        content = (
            f"<SIF_Name>{name}</SIF_Name><SIF_Version>2.*</SIF_Version><SIF_MaxBufferSize>1000000</SIF_MaxBufferSize>"
            "<SIF_Mode>Pull</SIF_Mode>"
        )
        messages = [_message(name, "SIF_Register", content)]
        if name.startswith("vle"):
            messages.append(_message(name, "SIF_Subscribe", listed("LearnerPersonal")))
        for message in messages:
            answer = await client.post(message)
            assert b"<SIF_Code>0</SIF_Code>" in answer, answer


def run(rounds: int, seconds: float, agents: int) -> dict[str, list[float]]:
    """Return what was done in a second, each round, by what: bare, events in, round trips of fetch and ack."""
    found: dict[str, list[float]] = {"bare": [], "events": [], "fetch": [], "cpu": []}
    each = int(4000 * (seconds + 1) / agents) + 100
    with tempfile.TemporaryDirectory(prefix="sifzone-bench-") as name:
        folder = Path(name) / "zone"
        _zone(folder, agents)
        with (folder / "zone.log").open("w") as log, RunningZone(load_zone(folder), log_file=log.fileno()) as running:
            assert running.gateway_port is not None
            zone, port = running.zone, running.gateway_port
            urls = {
                f"{kind}-{n}": gateway_url(zone, port, read_secret(zone.credentials(f"{kind}-{n}")))
                for kind in ("mis", "vle")
                for n in range(agents)
            }
            asyncio.run(_register(urls))
            bare_port = port + 1 if port < 65_000 else port - 1
            bare = multiprocessing.get_context("fork").Process(target=_bare, args=(bare_port,), daemon=True)
            bare.start()
            time.sleep(2)
            bare_urls = [f"http://127.0.0.1:{bare_port}/zones/bench/{secrets.token_hex(8)}" for _ in range(agents)]
            for number in range(rounds):
                made = _made(agents, each)
                found["bare"].append(_measure("bare", bare_urls, seconds, made))
                gateway = psutil.Process(running.gateway_pid)
                before = sum(gateway.cpu_times()[:2])
                rate = _measure("events", [urls[f"mis-{n}"] for n in range(agents)], seconds, made)
                found["cpu"].append((sum(gateway.cpu_times()[:2]) - before) / (rate * seconds) * 1e6)
                found["events"].append(rate)
                _settle(running)
                found["fetch"].append(_measure("fetch", [urls[f"vle-{n}"] for n in range(agents)], seconds, []))
                console.print(f"round {number + 1}: " + ", ".join(f"{k} {v[-1]:,.0f}" for k, v in found.items()))
            bare.terminate()
    return found


def _settle(running: RunningZone) -> None:
    """Wait until the worker has passed on what came in."""
    while any(count for queue, (count, _) in running.queues().items() if queue.startswith("zone.intake")):
        time.sleep(0.5)


def main() -> int:
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--agents", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options.rounds, options.seconds, options.agents)
    medians = {name: statistics.median(values) for name, values in found.items()}
    ratios = {name: medians[name] / medians["bare"] for name in ("events", "fetch")}
    if options.json:
        json.dump({"medians": medians, "ratios": ratios, "rounds": found}, sys.stdout)
        return 0
    table = Table("What", "A second", "Of bare", "Bar", title=f"The gateway, {os.cpu_count()} cores")
    table.add_row("bare FastAPI that reads the body", f"{medians['bare']:,.0f}", "1", "")
    table.add_row("events in, confirmed by RabbitMQ", f"{medians['events']:,.0f}", f"{ratios['events']:.3f}", "0.25")
    table.add_row("SIF_GetMessage and its ack", f"{medians['fetch']:,.0f}", f"{ratios['fetch']:.3f}", "0.2")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
