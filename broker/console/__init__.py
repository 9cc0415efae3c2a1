"""Pages for people, after the GOV.UK Design System: a data dictionary in a folder, and a report on data quality."""

from broker.console.dictionary import write_dictionary
from broker.console.quality import QualityReport, QualityRow, QualityTrend, quality_page

__all__ = [
    # the data dictionary
    "write_dictionary",
    # data quality
    "QualityReport",
    "QualityRow",
    "QualityTrend",
    "quality_page",
]
