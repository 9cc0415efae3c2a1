"""The virtual school: an agent that keeps the authority's looked-after learners, shows them, and tells people.

The connector ``virtual-school`` and the commands ``sifzone virtual-school`` are found by their entry points.
"""

from agents.virtual_school.options import NoticeOptions, VirtualSchoolOptions
from agents.virtual_school.target import VirtualSchoolTarget

__all__ = ["NoticeOptions", "VirtualSchoolOptions", "VirtualSchoolTarget"]
