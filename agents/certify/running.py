"""Runs the stages of a certification one after the other; what each looks at is the stages' own."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from agents.certify.live import Live
from agents.certify.offline import corpus_checks, object_checks, round_trip_checks, settings_checks
from agents.certify.outcomes import Check, Stage, skipped
from agents.certify.prepared import Prepared
from agents.certify.receiving import receiving_checks
from agents.private_zone import Server
from agents.surroundings import surroundings
from broker.protocol.errors import ConfigurationError

Told = Callable[[str], None]
"""Told the title of what is done next."""
ZONE: Final = "A private zone starts"

IN_A_ZONE: Final = frozenset({"publishing", "receiving"})
"""Ids of the stages in which the agent itself is at work."""
_SETTINGS: Final = ("settings", "Settings and mappings")
_CORPUS: Final = ("corpus", "Made-up records, and the agent's own files")
_OBJECTS: Final = ("objects", "Objects and codes")
_ROUND_TRIP: Final = ("round-trip", "There and back")
_PUBLISHING: Final = ("publishing", "Publishing in a zone")
_RESTART: Final = ("restart", "Killed and started again")
_DUPLICATES: Final = ("duplicates", "Twice the same")
_PRIVACY: Final = ("privacy", "Privacy")
_DAMAGE: Final = ("damage", "Damaged files")
_RECEIVING: Final = ("receiving", "Receiving and writing")


def titles(prepared: Prepared) -> list[str]:
    """Return the titles of all that :func:`certify` will do, in order."""
    reads = [_CORPUS, _OBJECTS, _ROUND_TRIP]
    lives = [_PUBLISHING, _RESTART, _DUPLICATES, _PRIVACY, _DAMAGE]
    found = [_SETTINGS[1]]
    if prepared.sources:
        found += [title for _, title in reads] + [ZONE] + [title for _, title in lives]
    if prepared.settings.target is not None:
        found.append(_RECEIVING[1])
    return found


def certify(
    prepared: Prepared, *, quick: bool = False, server: Server | None = None, told: Told = lambda _title: None
) -> Iterator[Stage]:
    """Yield each stage when it is done.

    Args:
        prepared: The agent.
        quick: Turn only some objects back; codes are fewer as it was prepared.
        server: A RabbitMQ for tests, instead of one that is started.
        told: Told what comes next.

    Raises:
        ConfigurationError: The agent has neither sources nor a target.
        NoPrivateZone: The private zone cannot be started.
        NotHeard: The private zone does not deliver.
    """
    if not prepared.sources and prepared.settings.target is None:
        raise ConfigurationError(
            "the agent has neither [[source]] nor [target]: what it does in Python only its own tests can show "
            "(agents.testing.Zone)"
        )
    yield _stage(_SETTINGS, lambda: settings_checks(prepared), told)
    if prepared.sources:
        yield _stage(_CORPUS, lambda: corpus_checks(prepared), told)
        yield _stage(_OBJECTS, lambda: object_checks(prepared, quick=quick), told)
        yield _stage(_ROUND_TRIP, lambda: round_trip_checks(prepared, quick=quick), told)
        told(ZONE)
        with surroundings(prepared.settings.id, prepared.object_types, server=server) as around:
            live = Live(prepared, around)
            yield _stage(_PUBLISHING, live.publish_checks, told)
            yield _stage(_RESTART, live.restart_checks, told)
            yield _stage(_DUPLICATES, live.duplicate_checks, told)
            yield _stage(_PRIVACY, live.privacy_checks, told)
            yield _stage(_DAMAGE, live.damage_checks, told)
    if prepared.settings.target is not None:
        yield _stage(_RECEIVING, lambda: receiving_checks(prepared, server), told)


def _stage(which: tuple[str, str], checks: Callable[[], Iterator[Check]], told: Told) -> Stage:
    told(which[1])
    begun = time.monotonic()
    found = tuple(checks())
    return Stage(*which, found or (skipped(which[1], "there is nothing to check"),), time.monotonic() - begun)


__all__ = ["IN_A_ZONE", "ZONE", "Told", "certify", "titles"]
