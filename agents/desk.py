"""What a publishing target remembers and publishes, both in the agent's database, so that no crash parts them."""

from collections.abc import Mapping, Sequence

from lxml import etree

from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import Action


class StoreDesk:
    """Words of one target, and its way to the spool."""

    def __init__(self, store: Store, spool: Spool, target: str) -> None:
        self._store, self._spool, self._target = store, spool, target

    def words(self) -> Mapping[str, str]:
        """Return all that the target remembers, by name."""
        return words(self._store, self._target)

    def keep(self, words: Mapping[str, str | None], events: Sequence[tuple[Action, etree._Element]] = ()) -> None:
        """Remember words, None forgets one, and put events into the spool: all of it on return, or nothing."""
        with self._store.transaction() as db:
            for name, value in words.items():
                if value is None:
                    db.execute("DELETE FROM meta WHERE name = ?", (_prefix(self._target) + name,))
                else:
                    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_prefix(self._target) + name, value))
            for action, element in events:
                self._spool.send(db, action, element)


def words(store: Store, target: str) -> dict[str, str]:
    """Return what the target of a connector's name remembers, by name in order."""
    prefix = _prefix(target)
    rows = store.query(
        "SELECT substr(name, ?), value FROM meta WHERE substr(name, 1, ?) = ? ORDER BY name",
        (len(prefix) + 1, len(prefix), prefix),
    )
    return {str(name): str(value) for name, value in rows}


def _prefix(target: str) -> str:
    return f"target {target}: "


__all__ = ["StoreDesk", "words"]
