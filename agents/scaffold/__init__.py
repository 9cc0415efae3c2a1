"""Beginnings of agents: a folder that runs as it is, or a Python package with a connector of its own."""

from agents.scaffold.folder import Wishes, make_folder
from agents.scaffold.package import make_package

__all__ = [
    # an agent of files
    "Wishes",
    "make_folder",
    # an agent with Python
    "make_package",
]
