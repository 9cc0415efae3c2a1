"""Stage of a certification for agents with a target: it receives made-up objects, writes, is killed, starts again."""

import time
from collections.abc import Iterator
from typing import Final

from agents.certify.outcomes import Check, count, judged, skipped, some
from agents.certify.prepared import Prepared, outward_mappings
from agents.copies import run, start
from agents.made_objects import object_types
from agents.private_zone import Server
from agents.target_trial import TargetTrial, target_trial, why_not

_WRITES: Final = "The target writes what the agent has received"
_KILL_SECONDS: Final = 60.0
_LOOK: Final = 0.01


def receiving_checks(prepared: Prepared, server: Server | None) -> Iterator[Check]:
    """Yield whether the agent receives what is for it, writes it, and writes nothing when nothing has changed."""
    types = object_types(outward_mappings(prepared.settings))
    with target_trial(prepared.settings, types, server=server) as trial:
        yield from _checks(trial, why_not(prepared.settings))


def _checks(trial: TargetTrial, unwritten: str) -> Iterator[Check]:
    at_kill = _kill(trial)
    code = run(trial.copy, trial.log)
    received = sum(trial.received().values())
    good = f"{count(received, 'object')} of {trial.sent:,} sent"
    yield judged("The agent receives all that is for it and ends as it should", code == 0 and received == trial.sent,
                 good, f"{good}, exit code {code}: sifzone agent try shows why")  # fmt: skip
    failed = trial.failed()
    yield judged("The agent handles every message", not failed, "none failed", f"{failed} failed")
    name = "Killed (kill -9) and started again, it has everything, and once"
    if at_kill:
        yield judged(name, received == trial.sent, f"killed with {at_kill:,} messages handled", "something is missing")
    else:
        yield skipped(name, "it had handled nothing when it was killed: nothing can be said")
    if unwritten:
        yield skipped(_WRITES, unwritten)
    else:
        yield from _written(trial)
    got = trial.bystander.count()
    yield judged("Who has no agreement gets nothing", not got, "nothing was delivered to it", f"{got} objects")
    traces = trial.log.read_text(encoding="utf-8", errors="replace").count("Traceback (most recent call last)")
    yield judged("There is no traceback in any log", not traces, "none", f"{traces}: report this to its maker")


def _written(trial: TargetTrial) -> Iterator[Check]:
    before = trial.written()
    if not before:
        yield skipped(_WRITES, "it writes no files")
    else:
        tables = some((f"{table}: {count(lines, 'line')}" for table, lines in trial.tables().items()), 12)
        yield Check(_WRITES, "pass", tables)
    code = run(trial.copy, trial.log)
    same = trial.written() == before and code == 0
    yield judged("It writes nothing when nothing has changed", same, "started again: no file is other", "files changed")


def _kill(trial: TargetTrial) -> int:
    """Start the agent, kill it once it has handled something, and return how many messages that was."""
    handled = trial.messages()  # which makes the agent's database, so that nobody has to wait for it
    process = start(trial.copy, trial.log)
    deadline = time.monotonic() + _KILL_SECONDS
    try:
        while process.poll() is None and not handled and time.monotonic() < deadline:
            time.sleep(_LOOK)
            handled = trial.messages()
    finally:
        process.kill()
        process.wait()
    return handled if process.returncode < 0 else 0


__all__ = ["receiving_checks"]
