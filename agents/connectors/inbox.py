"""A target that writes nowhere: what the agent has received stays in its own database, for people to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from agents.connectors.contract import NoOptions, Written
from broker.protocol.errors import ConfigurationError
from mappings import Objects, OutwardMapping


class InboxTarget:
    """Keeps objects where the runtime has put them already."""

    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, path: Path | None, mappings: Sequence[OutwardMapping], options: BaseModel) -> None:
        """Check that nothing is asked of it that it does not do.

        Raises:
            ConfigurationError: A path or a mapping is given.
        """
        del options
        if path is not None or mappings:
            raise ConfigurationError('target: connector "inbox" writes no files: leave out path and mapping')

    def write(self, objects: Objects) -> Written:
        """Do nothing: *objects* are where they belong."""
        del objects
        return Written(changed=False)


__all__ = ["InboxTarget"]
