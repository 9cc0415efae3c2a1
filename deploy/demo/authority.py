"""Puts together the demo's authority from a seed: three schools with staff, groups and about 600 pupils, all in order.

What offices get wrong is the faults' part, what happens the next day the changes', how it is written the exports'.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import cycle
from random import Random
from typing import Final

from deploy.demo import names
from deploy.demo.identifiers import (
    SCHOOL_YEAR,
    TERM_STARTS,
    first_birthday_of,
    plain,
    sessions_since,
    ulns,
    upn,
    year_of_reception,
)
from deploy.demo.people import Attendance, Contact, Exclusion, Group, Home, Pupil, School, Staff, Stay

AUTHORITY: Final = "820"
OTHER_AUTHORITY: Final = "836"
TOWN: Final = "Quarrington"
_PRIMARY_YEARS: Final = ("R", "1", "2", "3", "4", "5", "6")
_SECONDARY_YEARS: Final = ("7", "8", "9", "10", "11")
SCHOOLS: Final = (
    School("8209901", "999001", "Larkrise Primary School", "PY", "larkrise", _PRIMARY_YEARS, "ctf"),
    School("8209902", "999002", "Copperfen High School", "SY", "copperfen", _SECONDARY_YEARS, "ctf-loose"),
    School("8209903", "999003", "Thornwick Academy", "SY", "thornwick", _SECONDARY_YEARS, "csv"),
)
IN_CARE: Final = {
    "8209901": (AUTHORITY,) * 4,
    "8209902": (AUTHORITY,) * 5 + (OTHER_AUTHORITY,),
    "8209903": (AUTHORITY,) * 5 + (OTHER_AUTHORITY,),
}
"""Who looks after the children in care at each school: 14 are the authority's, 2 another's."""
JOINED: Final = date(2026, 11, 23)
_JOINERS: Final = {"8209901": "3", "8209903": "8"}
_FEEDERS: Final = (
    ("8209901", "Larkrise Primary School"),
    ("8209911", "Dapplemere Infant School"),
    ("8209912", "St. Wystan's Primary School"),
    ("8209913", "Puddlecombe Primary School"),
)
_CLASS_SIZE: Final = {"PY": 22, "SY": 45}
_MARKED_EVERY: Final = 17
_SIBLINGS: Final = 0.2
_POSTCODE_LETTERS: Final = "ABDEFGHJLNPQRSTUWXYZ"


def build(seed: int) -> tuple[tuple[School, ...], tuple[Pupil, ...]]:
    """Return the schools as they are on the first day, and who joins them on the next; the same for the same seed."""
    maker = _Maker(Random(f"quarrington {seed}"))  # noqa: S311 - made-up people need no secrecy
    schools = tuple(maker.school(school) for school in SCHOOLS)
    joining = [(school, _JOINERS[school.establishment]) for school in schools if school.establishment in _JOINERS]
    return schools, tuple(maker.pupil(school, year, 4900, entry=JOINED) for school, year in joining)


def ordinary(school: School) -> tuple[Pupil, ...]:
    """Return the pupils who are in nobody's care, in the order of their admission numbers."""
    return tuple(pupil for pupil in school.pupils if not pupil.care_authority)


class _Maker:
    """Makes people one after the other, so that no two have the same name, number or e-mail address."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._used: set[tuple[str, str]] = set()
        self._emails: Counter[str] = Counter()
        self._serials: Counter[tuple[str, int]] = Counter()
        self._contacts = 1000
        self._ulns = ulns()
        self._marked = cycle(names.MARKED_SURNAMES)

    def school(self, school: School) -> School:
        """Return *school* with staff, groups and pupils."""
        staff = self._staff(school)
        school = replace(school, staff=staff, groups=tuple(_groups(school, staff)))
        places = [year for year in school.years for _ in range(_CLASS_SIZE[school.phase])]
        care = IN_CARE[school.establishment]
        every = len(places) // len(care)
        pupils: list[Pupil] = []
        for index, year in enumerate(places):
            in_care = care[index // every] if index % every == every // 2 and index // every < len(care) else ""
            pupils.append(self.pupil(school, year, 4001 + index, pupils, care_authority=in_care))
        return replace(school, pupils=tuple(pupils))

    def pupil(
        self,
        school: School,
        year: str,
        number: int,
        others: Sequence[Pupil] = (),
        care_authority: str = "",
        entry: date | None = None,
    ) -> Pupil:
        """Return a new pupil.

        Args:
            number: Admission number.
            others: Pupils of the school; now and then the new one is a brother or sister of one of them.
            care_authority: Who looks after the pupil, if not the family.
            entry: First day at the school; None for the usual one.
        """
        random = self._random
        sex = random.choice("MF")
        relative = None if care_authority or entry else self._relative(others, year)
        surname, forename = self._name(number, names.GIRLS if sex == "F" else names.BOYS, relative)
        entry = entry or self._entry(school, year)
        earlier = self._earlier(school, year, entry)
        home = relative.home if relative else self._home()
        preferred = forename[:3] if random.random() < 0.15 else forename
        needs = random.sample(("SPLD", "MLD", "SEMH", "SLCN", "ASD", "HI"), random.choice((1, 1, 2)))
        provision = random.choice("KKE") if care_authority or random.random() < 0.13 else ""
        return Pupil(
            school.establishment,
            self._upn(school, year, earlier),
            former_upn="",
            uln=next(self._ulns) if year in ("10", "11") else "",
            number=number,
            surname=surname,
            forename=forename,
            middle_names=random.choice(names.GIRLS if sex == "F" else names.BOYS) if random.random() < 0.4 else "",
            preferred_forename=preferred,
            birth=first_birthday_of(year) + timedelta(days=random.randrange(365)),
            sex=sex,
            year=year,
            entry=entry,
            groups=groups_of(school, year, number),
            ethnicity=random.choice(names.ETHNICITIES),
            language=random.choice(names.LANGUAGES),
            email=self._email(preferred, surname, "pupils"),
            home=home,
            contacts=relative.contacts if relative else self._contacts_of(surname, carers=bool(care_authority)),
            attendance=self._attendance(entry),
            earlier=earlier,
            care_authority=care_authority,
            sen_provision=provision,
            sen_start=date(SCHOOL_YEAR - 1, 9, 8) if provision else None,
            needs=tuple(needs) if provision else (),
            exclusions=self._exclusions(school, care_authority) if entry < TERM_STARTS else (),
        )

    def _relative(self, others: Sequence[Pupil], year: str) -> Pupil | None:
        if not others or self._random.random() > _SIBLINGS:
            return None
        pupil = self._random.choice(others)
        return None if pupil.care_authority or pupil.year == year else pupil

    def _name(self, number: int, forenames: Sequence[str], relative: Pupil | None) -> tuple[str, str]:
        surname = relative.surname if relative else next(self._marked) if number % _MARKED_EVERY == 0 else ""
        while True:
            pair = surname or self._random.choice(names.PLAIN_SURNAMES), self._random.choice(forenames)
            if pair not in self._used:
                self._used.add(pair)
                return pair

    def _email(self, forename: str, surname: str, at: str) -> str:
        local = f"{plain(forename)}.{plain(surname)}"
        self._emails[local] += 1
        return f"{local}{self._emails[local] if self._emails[local] > 1 else ''}@{at}.example.org"

    def _upn(self, school: School, year: str, earlier: Stay | None) -> str:
        issuer, issued = (earlier.establishment if earlier else school.establishment), year_of_reception(year)
        self._serials[issuer, issued] += 1
        return upn(issuer[:3], issuer[3:], issued, self._serials[issuer, issued])

    def _entry(self, school: School, year: str) -> date:
        started = date(SCHOOL_YEAR - (0 if year == "R" else int(year) - int(school.years[0].replace("R", "0"))), 9, 3)
        if started.year == SCHOOL_YEAR or self._random.random() > 0.1:
            return started
        return date(self._random.randrange(started.year + 1, SCHOOL_YEAR + 1), 1, 6)

    def _earlier(self, school: School, year: str, entry: date) -> Stay | None:
        from_start = entry.month == 9 and entry.year == year_of_reception(year)
        if school.phase == "PY" and from_start:
            return None
        establishment, name = self._random.choice([s for s in _FEEDERS if s[0] != school.establishment])
        left = date(entry.year, 7, 22) if entry.month == 9 else entry - timedelta(days=17)
        return Stay(establishment, name, date(year_of_reception(year), 9, 3), left)

    def _home(self) -> Home:
        random = self._random
        house = random.choice(names.HOUSE_NAMES) if random.random() < 0.04 else str(random.randrange(1, 180))
        inward = f"{random.randrange(1, 10)}{random.choice(_POSTCODE_LETTERS)}{random.choice(_POSTCODE_LETTERS)}"
        return Home(
            house, random.choice(names.STREETS), f"QZ{random.randrange(1, 10)} {inward}", self._phone("01632 960")
        )

    def _phone(self, start: str) -> str:
        return f"{start}{self._random.randrange(1000):03}"

    def _contacts_of(self, surname: str, *, carers: bool) -> tuple[Contact, ...]:
        if carers:
            return (
                self._contact(self._random.choice(names.PLAIN_SURNAMES), "FOS", lives_with=True),
                self._contact(self._random.choice(names.PLAIN_SURNAMES), "SWR", lives_with=False),
                self._contact(surname, "PAM", lives_with=False),
            )
        mother = self._contact(surname, "PAM", lives_with=True)
        father = self._contact(surname, "PAF", lives_with=self._random.random() < 0.7)
        other = self._contact(self._random.choice(names.PLAIN_SURNAMES), "FAM", lives_with=False)
        return (mother, father, other)[: self._random.choice((1, 2, 2, 2, 3))]

    def _contact(self, surname: str, relationship: str, *, lives_with: bool) -> Contact:
        random = self._random
        sex = {"PAM": "F", "PAF": "M"}.get(relationship) or random.choice("MF")
        forename = random.choice(names.WOMEN if sex == "F" else names.MEN)
        self._contacts += 1
        return Contact(
            f"C{self._contacts}",
            "Mr" if sex == "M" else random.choice(("Mrs", "Ms", "Dr")),
            surname,
            forename,
            sex,
            relationship,
            responsible=relationship in ("PAM", "PAF"),
            lives_with=lives_with,
            mobile=self._phone("07700 900"),
            email=f"{plain(forename)}.{plain(surname)}{self._contacts}@example.org",
            home=None if lives_with or relationship == "SWR" or random.random() < 0.3 else self._home(),
        )

    def _attendance(self, entry: date) -> Attendance:
        possible = sessions_since(entry)
        missed = min(possible, self._random.choice((0, 0, 1, 2, 3, 4, 6, 8, 14, 26)))
        unauthorised = self._random.randrange(missed // 3 + 1)
        return Attendance(possible, missed - unauthorised, unauthorised)

    def _exclusions(self, school: School, care_authority: str) -> tuple[Exclusion, ...]:
        if school.phase == "PY" or self._random.random() > (0.5 if care_authority else 0.02):
            return ()
        day = TERM_STARTS + timedelta(days=7 * self._random.randrange(1, 7) + 5)  # a Monday
        return (Exclusion(day, self._random.choice((1, 2, 4)), self._random.choice(("DB", "PP", "VA"))),)

    def _staff(self, school: School) -> tuple[Staff, ...]:
        teachers = len(school.years) if school.phase == "PY" else 14
        posts = ("HDTR", *("TCHR",) * teachers, "HLTA")
        return tuple(self._member(post) for post in posts)

    def _member(self, post: str) -> Staff:
        woman = self._random.random() < 0.5
        surname, forename = self._name(0 if post == "HDTR" else 1, names.WOMEN if woman else names.MEN, None)
        title = "Dr" if post == "HDTR" else "Ms" if woman else "Mr"
        self._emails["staff"] += 1
        code = f"{plain(surname).replace('-', '')[:4].upper()}{self._emails['staff']:02}"
        return Staff(code, title, surname, forename, self._email(forename[:1], surname, "staff"), post)


def _registrations(school: School, year: str) -> tuple[str, ...]:
    """Return the codes of the registration groups of a year: one in a primary school, two in a secondary."""
    return (f"{year}L",) if school.phase == "PY" else (f"{year}A", f"{year}B")


def _groups(school: School, staff: Sequence[Staff]) -> Iterator[Group]:
    teachers = cycle([member.code for member in staff if member.post == "TCHR"])
    for year in school.years:
        for code in _registrations(school, year):
            yield Group(code, f"Class {code}", next(teachers))
        if school.phase == "PY":
            continue
        for short, subject, subject_code in names.SECONDARY_SUBJECTS:
            course = short.upper() + year, f"{subject} Year {year}", subject_code
            for number in (1, 2):
                yield Group(f"{year}/{short}{number}", f"Year {year} {subject} set {number}", next(teachers), *course)


def groups_of(school: School, year: str, number: int) -> tuple[str, ...]:
    """Return the codes of the groups that a pupil of a year with this admission number is in."""
    registrations = _registrations(school, year)
    registration = registrations[number % len(registrations)]
    if school.phase == "PY":
        return (registration,)
    sets = (
        f"{year}/{short}{number // place % 2 + 1}" for place, (short, _, _) in enumerate(names.SECONDARY_SUBJECTS, 1)
    )
    return (registration, *sets)
