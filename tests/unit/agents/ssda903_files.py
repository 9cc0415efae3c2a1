"""Small returns for the tests of social care's connector; every child in them is made up."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from agents.connectors.contract import Item, SourceProblem
from agents.connectors.ssda903 import Claim, Locate, Ssda903Options, Ssda903Source
from mappings import Record

DATA = Path(__file__).parents[2] / "data" / "ssda903"
AS_AT = date(2025, 10, 6)
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB"
EPISODES = "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN"
CHILD = "MADEUP21,F,03/02/2013,WBRI,Q821990112001,,"


def episode(
    start: str,
    reason: str,
    end: str = "",
    ended: str = "",
    *,
    child: str = "MADEUP21",
    legal: str = "C2",
    need: str = "N1",
    place: str = "U6",
    provider: str = "PR1",
    change: str = "",
    postcode: str = "QZ7 3CC",
) -> str:
    """Return a row of Episodes."""
    cells = (child, start, reason, legal, need, place, provider, end, ended, change, "", postcode, "")
    return ",".join(cells)


def write(folder: Path, episodes: str, header: str = CHILD, **others: str) -> Path:
    """Write a return of Header, Episodes and other files, named as they like; return the Episodes file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "header.csv").write_text(f"{HEADER}\n{header}\n")
    for name, text in others.items():
        (folder / f"{name}.csv").write_text(text)
    path = folder / "episodes.csv"
    path.write_text(f"{EPISODES}\n{episodes}\n")
    return path


class Return:
    """What the connector made of a return."""

    def __init__(self, path: Path, locate: Locate | None = None, **options: Any) -> None:
        given = Ssda903Options.model_validate({"authority": "821", "as_at": AS_AT, **options})
        self.source = Ssda903Source(given, locate) if locate else Ssda903Source(given)
        self.items: list[Item] = list(self.source.read(path))

    @property
    def records(self) -> list[Record]:
        return [item for item in self.items if isinstance(item, Record)]

    @property
    def problems(self) -> list[SourceProblem]:
        """All but those about the return as a whole."""
        whole = ("not-located", "authority", "rows")
        return [item for item in self.items if isinstance(item, SourceProblem) and item.rule not in whole]

    @property
    def rules(self) -> list[tuple[str, str]]:
        return [(problem.position, problem.rule) for problem in self.problems]

    def of(self, child: str) -> list[Mapping[str, str]]:
        return [record.fields for record in self.records if record.fields["CHILD"] == child]

    def one(self, child: str = "MADEUP21") -> Mapping[str, str]:
        (fields,) = self.of(child)
        return fields

    def placements(self, child: str = "MADEUP21") -> list[dict[str, str]]:
        return [
            dict(member.fields)
            for record in self.records
            if record.fields["CHILD"] == child
            for member in record.groups["Placements"]
        ]

    def sums(self) -> Iterator[tuple[int, int]]:
        """Yield, for each table, its rows and how many of them are accounted for."""
        for count in self.source.counts:
            yield count.rows, count.used + count.reported + count.repeated


def by_upn(**ref_ids: str) -> Locate:
    """Return a zone that knows learners by UPN."""

    def locate(claim: Claim) -> str | None:
        return ref_ids.get(claim.upn or "")

    return locate
