"""What broken push targets cost the other agents at the gateway, in turns within one run; prints medians.

    python -m tests.bench.gateway_neighbours [--rounds 6] [--seconds 15] [--json]

A hundred agents, half pull and half push, at a steady pace. In turns, five more are absent, answer every push as they
must, or hang, drop the connection, answer HTTP 500, answer half a message and break off in the middle. The time is that
from the acknowledgement of an event to its publisher until one of the hundred has it.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from broker.supervisor import RunningZone
from tests.faults.crowds import BROKEN, GOOD, Crowd, make_crowd_zone
from tests.faults.http_agents import Aside

console: Final = Console(stderr=True)
STATES: Final = ("absent", "well", "broken")
_PACE: Final = 0.5
"""Seconds between two events of one of the 20 publishers."""
_POLL: Final = 0.25
_TIMEOUT: Final = "2s"
"""How long the gateway waits for a target that hangs; an hour in production would only spare the others work."""


def measure(crowd: Crowd, aside: Aside, seconds: float) -> dict[str, list[float]]:
    """Return the seconds that each delivery to a good agent took, by how the agent gets it."""
    known = set(crowd.acknowledged)
    crowd.publish(round(seconds / _PACE), _PACE)
    until = time.monotonic() + seconds + 60
    while not crowd.have_all(GOOD):
        aside.check()
        if time.monotonic() > until:
            raise SystemExit("events are missing")
        time.sleep(0.1)
    found: dict[str, list[float]] = {"push": [], "pull": []}
    for name in GOOD:
        kind = "push" if crowd.is_pushed(name) else "pull"
        for msg_id, at in crowd.agents[name].inbox.seen_at.items():
            if msg_id not in known:
                found[kind].append(max(0.0, at - crowd.acknowledged[msg_id]))
    return found


def run(rounds: int, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Return the 99th percentile in milliseconds of each round, by state of the five, for push, pull and all."""
    found = {state: {"push": [], "pull": [], "all": []} for state in STATES}  # type: dict[str, dict[str, list[float]]]
    aside = Aside()
    with tempfile.TemporaryDirectory(prefix="sifzone-bench-") as name, (Path(name) / "zone.log").open("w") as log:
        zone = make_crowd_zone(Path(name) / "zone", _TIMEOUT)
        with RunningZone(zone, log_file=log.fileno()) as running:
            crowd = Crowd(running, aside, (*GOOD, *BROKEN))
            crowd.register(_POLL)
            crowd.leave(BROKEN)
            measure(crowd, aside, 5.0)  # warm
            for number in range(rounds):
                turn = number % len(STATES)
                for state in (*STATES[turn:], *STATES[:turn]):
                    if state != "absent":
                        crowd.join(BROKEN, well=state == "well")
                    took = measure(crowd, aside, seconds)
                    crowd.leave(BROKEN)
                    took["all"] = took["push"] + took["pull"]
                    for kind, values in took.items():
                        found[state][kind].append(statistics.quantiles(values, n=100)[98] * 1_000)
                said = ", ".join(f"{state} {found[state]['push'][-1]:.0f}" for state in STATES)
                console.print(f"round {number + 1}, push, ms: {said}")
            crowd.close()
    aside.close()
    return found


def main() -> int:
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = run(options.rounds, options.seconds)
    medians = {state: {kind: statistics.median(values) for kind, values in found[state].items()} for state in STATES}
    ratios = {
        kind: {state: medians[state][kind] / medians["absent"][kind] for state in STATES} for kind in medians["absent"]
    }
    if options.json:
        json.dump({"medians": medians, "ratios": ratios, "rounds": found}, sys.stdout)
        return 0
    table = Table(
        "Five more agents", *ratios, title=f"99th percentile, ms (of absent), {os.cpu_count()} cores; bar 1.1"
    )
    for state in STATES:
        table.add_row(state, *(f"{medians[state][kind]:.0f} ({ratios[kind][state]:.2f})" for kind in ratios))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
