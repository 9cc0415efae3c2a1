"""The terms of a made-up authority's schools, by which tests count days."""

from typing import Final

TERMS_OF_2025: Final = b"""
title = "Schools of Quarrington"
terms = [
  { term = "AUT", starts = 2025-09-02, ends = 2025-12-19, half_term = { starts = 2025-10-27, ends = 2025-10-31 } },
  { term = "SPR", starts = 2026-01-05, ends = 2026-03-27, half_term = { starts = 2026-02-16, ends = 2026-02-20 } },
  { term = "SUM", starts = 2026-04-13, ends = 2026-07-21, half_term = { starts = 2026-05-25, ends = 2026-05-29 } },
]
"""
TERMS_OF_2026: Final = b"""
title = "Schools of Quarrington"
terms = [
  { term = "AUT", starts = 2026-09-02, ends = 2026-12-18, half_term = { starts = 2026-10-26, ends = 2026-10-30 } },
  { term = "SPR", starts = 2027-01-04, ends = 2027-03-25, half_term = { starts = 2027-02-15, ends = 2027-02-19 } },
  { term = "SUM", starts = 2027-04-12, ends = 2027-07-21, half_term = { starts = 2027-05-31, ends = 2027-06-04 } },
]
"""
