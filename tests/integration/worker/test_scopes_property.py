"""Over whatever history, each recipient holds what agreements let it hold of each learner: no more, no less.

SIFZONE_LONG=1 for many more tries. Left out, as the zone leaves them out: what a narrower view takes from an object is
not withdrawn from who holds it, objects about several learners, contexts of one's own, and changes of a contact, which
come under a key of its own and so in no order with what is asked for about the learner.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from broker.batches import learner_of as learner_of_row
from broker.protocol.envelope import Action, Message
from broker.protocol.exchanges import AnswerError
from tests.integration.worker.oracle import WHOLE, Terms, World, cut, parts
from tests.integration.worker.stage import (
    PUBLISHERS,
    RECIPIENTS,
    SCHOOLS,
    START,
    Key,
    Stage,
    care,
    contact,
    enrolment,
    key_of,
    link,
    open_stage,
    parse,
    personal,
    school_info,
)

pytestmark = pytest.mark.timeout(3600)

LONG = os.environ.get("SIFZONE_LONG") == "1"
EXAMPLES = int(os.environ.get("SIFZONE_EXAMPLES", "2000" if LONG else "40"))
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DAY_ONE: Final = START.date()
LEARNERS: Final = ("A1" * 16, "A2" * 16)
MIS: Final = ("mis-1", "mis-2")
OWN_SCHOOL: Final = {"mis-1": "8209901", "mis-2": "8209902"}
_ROUNDS: Final = 60


class Act(Protocol):
    """Something that happens."""

    def __call__(self, play: "Play") -> None: ...


@dataclass
class Play:
    """A stage, and what should be so on it.

    Attributes:
        window: What was true in turn since the worker last decided.
        read: By publisher, answers that it has read from its records and not sent yet.
        ever: What each agent has ever published.
        wrong: What no agreement allowed, or no agent should meet.
    """

    stage: Stage
    world: World
    window: list[World]
    terms: dict[str, Terms] = field(default_factory=dict)
    read: dict[str, list[tuple[Message, list[bytes], int]]] = field(default_factory=dict)
    ever: dict[str, set[Key]] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)
    noticed: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def today(self) -> date:
        return self.stage.moment.date()

    def objects(self, agent: str) -> set[Key]:
        """Return what an agent publishes now."""
        return set(self.stage.publishers[agent].objects)

    def has(self, agent: str, kind: str, learner: str) -> bool:
        return any(key[0] == kind and self.world.owners[key] == learner for key in self.objects(agent) & self.known)

    @property
    def known(self) -> set[Key]:
        return set(self.world.owners)

    def put(self, agent: str, text: str, owner: str) -> None:
        """Publish an object, new or not."""
        new = key_of(parse(text)) not in self.objects(agent)
        self.publish(agent, Action.ADD if new else Action.CHANGE, text, owner)

    def take_back(self, agent: str, key: Key) -> None:
        element = self.stage.publishers[agent].objects[key]
        text = etree.tostring(element).decode()
        self.publish(agent, Action.DELETE, text, self.world.owners[key])

    def publish(self, agent: str, action: Action, text: str, owner: str) -> None:
        element = parse(text) if "xmlns=" not in text else etree.fromstring(text)
        key = key_of(element)
        self.ever.setdefault(agent, set()).add(key)
        if action is Action.DELETE:
            self.stage.recipients[agent].held.pop(key, None)
        self.stage.publish_element(agent, action, element)
        self.world = self.world.copy()
        self.world.hear(agent, action, element, owner)
        self.window.append(self.world)

    def step(self) -> bool:
        busy = self.stage.step()
        self.check()
        self.window = [self.world]
        return busy

    def check(self) -> None:
        """Look at what has come to each recipient since."""
        for name in RECIPIENTS:
            recipient = self.stage.recipients[name]
            new = recipient.events[self.told.get(name, 0) :]
            self.told[name] = len(recipient.events)
            for event in new:
                if event.action is not Action.DELETE and event.object_type in KINDS:
                    self._check_event(name, key_of(event.element), event.element)
            strange = recipient.odd[self.odd.get(name, 0) :]
            self.odd[name] = len(recipient.odd)
            if name not in self.noticed:
                self.wrong += [
                    f"odd for {name}: {action} {key}"
                    for action, key in strange
                    if key not in self.ever.get(name, set()) and key[0] in KINDS
                ]

    def _check_event(self, name: str, key: Key, element: etree._Element) -> None:
        kinds = set(parts(element))
        for world in self.window:
            for by in world.sources(self.terms.values(), self.today, name, key).values():
                if kinds <= set(cut(element, by)):
                    return
        self.wrong.append(f"no agreement gave {name} this: {key} with {sorted(kinds)}")

    def read_answer(self, agent: str, packets: int) -> None:
        asked = self.stage.publishers[agent].asked
        if asked:
            message = asked.pop(0)
            found = self.stage.found(agent, message)
            size = max(1, -(-len(found) // packets))
            chunks = [b"".join(found[n : n + size]) for n in range(0, len(found), size)] or [b""]
            self.read.setdefault(agent, []).append((message, chunks, 1))

    def send_answer(self, agent: str) -> bool:
        waiting = self.read.get(agent)
        if not waiting:
            return False
        message, chunks, number = waiting.pop(0)
        more = len(chunks) > 1
        self.stage.respond(agent, message, chunks[0], number, more=more)
        if more:
            waiting.insert(0, (message, chunks[1:], number + 1))
        return True

    def settle(self) -> None:
        quiet = 0
        while quiet < 3:
            busy = self.step()
            for name in PUBLISHERS:
                if not self.stage.publishers[name].is_away:
                    self.read_answer(name, 1)
                    busy |= self.send_answer(name)
            quiet = 0 if busy else quiet + 1

    def end(self) -> None:
        """Let everybody come back, and time pass until nothing is asked for any more."""
        for name in PUBLISHERS:
            self.stage.publishers[name].is_away = False
        self.settle()
        for _ in range(_ROUNDS):
            self.stage.pass_time(minutes=11)
            self.settle()
            rows = self.stage.store.learners(LEARNERS)
            if not any(row.fetches for row in rows.values()):
                break
        else:
            self.wrong.append("something is still asked for")
        self.stage.pass_time(minutes=1)
        self.settle()

    def compare(self) -> None:
        """Look at what everybody holds."""
        rows = {ref: learner_of_row(row) for ref, row in self.stage.store.learners(LEARNERS).items()}
        for ref, facts in self.world.facts.items():
            facts.destinations = rows[ref].destinations if ref in rows else frozenset()
        for name in RECIPIENTS:
            held = self.stage.recipients[name].held
            for key in self.world.owners:
                if key in self.objects(name):
                    continue
                sources = self.world.sources(self.terms.values(), self.today, name, key)
                if (key in held) > bool(sources) and name not in self.noticed:
                    self.wrong.append(f"{name} holds too much: {key}")
                if (key in held) < bool(sources):
                    self.wrong.append(f"{name} lacks {key}")
                if key in held and sources:
                    source, by = list(sources.items())[-1]
                    wanted = cut(self.world.published[key][source], by)
                    if parts(held[key]) != wanted:
                        self.wrong.append(f"{name} has another {key} than {source} says: {parts(held[key])} {wanted}")


# -- what may happen ---------------------------------------------------------------------------------------------------

KINDS: Final = ("LearnerPersonal", "LearnerSchoolEnrolment", "LearnerContact", "ContactPersonal", "LearnerLookedAfter")


def ref_of(letter: str, agent: str, learner: str) -> str:
    return f"{letter}{PUBLISHERS.index(agent)}{learner[:2]}" * 8


@dataclass(frozen=True)
class Record:
    """A school says something of a learner."""

    agent: str
    learner: str
    flag: bool = False
    home: str = "830"

    def __call__(self, play: Play) -> None:
        play.count += 1
        current = "Yes" if self.flag else "No"
        more = f"<InCare><Current>{current}</Current><LAId>820</LAId></InCare><HomeLA>{self.home}</HomeLA>"
        play.put(self.agent, personal(self.learner, f"Made-Up-{play.count}", more), self.learner)


@dataclass(frozen=True)
class Stay:
    """A school enrols a learner, or says when that ends: days from today, none for not."""

    agent: str
    learner: str
    ends: int | None = None
    elsewhere: bool = False

    def __call__(self, play: Play) -> None:
        if not play.has(self.agent, "LearnerPersonal", self.learner):
            Record(self.agent, self.learner)(play)
        play.count += 1
        school = "8209903" if self.elsewhere else OWN_SCHOOL[self.agent]
        leaves = "" if self.ends is None else str(play.today + timedelta(days=self.ends))
        text = enrolment(ref_of("E", self.agent, self.learner), self.learner, school, leaves=leaves)
        play.put(self.agent, text.replace(">7<", f">{play.count % 10 + 1}<"), self.learner)


@dataclass(frozen=True)
class Gone:
    """A publisher deletes an object."""

    agent: str
    learner: str
    kind: str

    def __call__(self, play: Play) -> None:
        for kind in ("LearnerContact", "ContactPersonal") if self.kind == "LearnerContact" else (self.kind,):
            for key in sorted(play.objects(self.agent) & play.known):
                if key[0] == kind and play.world.owners[key] == self.learner:
                    play.take_back(self.agent, key)


@dataclass(frozen=True)
class Leave:
    """A school deletes a learner's record and all that hangs on it; without a word of that, where it may."""

    agent: str
    learner: str
    silent: bool = False

    def __call__(self, play: Play) -> None:
        if not play.has(self.agent, "LearnerPersonal", self.learner):
            return
        own = play.objects(self.agent) & {key for key, owner in play.world.owners.items() if owner == self.learner}
        record = ("LearnerPersonal", self.learner)
        if self.silent and list(play.world.published[record]) == [self.agent]:
            for key in own - {record}:
                del play.stage.publishers[self.agent].objects[key]
        else:
            for kind in ("LearnerContact", "LearnerSchoolEnrolment"):
                Gone(self.agent, self.learner, kind)(play)
        play.take_back(self.agent, record)


@dataclass(frozen=True)
class Carer:
    """A school says who cares for a learner."""

    agent: str
    learner: str

    def __call__(self, play: Play) -> None:
        if not play.has(self.agent, "LearnerPersonal", self.learner):
            Record(self.agent, self.learner)(play)
        play.count += 1
        person = ref_of("D", self.agent, self.learner)
        name = f'<Name Type="B"><FamilyName>Made-Up-{play.count}</FamilyName><GivenName>Carer</GivenName></Name>'
        if play.has(self.agent, "ContactPersonal", self.learner):
            return  # a contact's own events do not wait for those who are still to get it: see the module
        play.put(self.agent, contact(person).replace('<Name Type="B"/>', name), self.learner)
        if not play.has(self.agent, "LearnerContact", self.learner):
            play.put(self.agent, link(self.learner, person), self.learner)


@dataclass(frozen=True)
class Care:
    """Social care says something of a learner; days from today."""

    learner: str
    starts: int = -30
    ends: int | None = None
    status: str = "LA"
    shield: str = ""

    def __call__(self, play: Play) -> None:
        play.count += 1
        starts = str(play.today + timedelta(days=self.starts))
        ends = "" if self.ends is None else str(play.today + timedelta(days=self.ends))
        text = care(ref_of("F", "social-care", self.learner), self.learner, starts, ends, self.shield, self.status)
        play.put("social-care", text.replace("Made up", f"Made up {play.count}"), self.learner)


@dataclass(frozen=True)
class Drawn:
    """An agreement as drawn: days from the first day."""

    senders: tuple[str, ...] = ("mis-*", "social-care")
    to: tuple[str, ...] = ("platform",)
    scope: str = "all"
    objects: tuple[tuple[str, tuple[str, ...]], ...] = tuple((kind, WHOLE) for kind in KINDS)
    starts: int = -100
    expires: int = 100
    shielded: bool = False
    notice: bool = False

    def terms(self) -> Terms:
        starts, expires = (DAY_ONE + timedelta(days=n) for n in (self.starts, self.expires))
        return Terms(self.senders, self.to, self.scope, self.objects, starts, expires, self.shielded, self.notice)


@dataclass(frozen=True)
class Agree:
    """Other agreements hold from now on."""

    agreements: tuple[Drawn, ...] = ()

    def __call__(self, play: Play) -> None:
        play.step()
        play.terms = {f"a{n}": drawn.terms() for n, drawn in enumerate(self.agreements)}
        play.noticed |= {agent for terms in play.terms.values() if terms.notice for agent in terms.to}
        play.stage.apply({name: terms.text(name) for name, terms in play.terms.items()})


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    minutes: int

    def __call__(self, play: Play) -> None:
        play.stage.pass_time(minutes=self.minutes)


@dataclass(frozen=True)
class Do:
    """The worker works, or dies; a publisher answers, or does not."""

    what: str
    agent: str = "mis-1"

    def __call__(self, play: Play) -> None:
        if self.what in _WORKING:
            _WORKING[self.what](play)
        else:
            _ANSWERING[self.what](play, self.agent)


def _crash(play: Play) -> None:
    play.stage.crash()
    play.step()


def _refuse(play: Play, agent: str) -> None:
    asked = play.stage.publishers[agent].asked
    if asked:
        play.stage.respond(agent, asked.pop(0), AnswerError(8, 1, "made up"))


def _lose(play: Play, agent: str) -> None:
    del play.stage.publishers[agent].asked[:1]


def _is_away(play: Play, agent: str, *, away: bool) -> None:
    play.stage.publishers[agent].is_away = away


_WORKING: Final[dict[str, Callable[[Play], object]]] = {
    "step": Play.step,
    "settle": Play.settle,
    "kill": lambda play: play.stage.start_worker(),
    "crash": _crash,
}
_ANSWERING: Final[dict[str, Callable[[Play, str], object]]] = {
    "away": lambda play, agent: _is_away(play, agent, away=True),
    "back": lambda play, agent: _is_away(play, agent, away=False),
    "read": lambda play, agent: play.read_answer(agent, 1),
    "read in parts": lambda play, agent: play.read_answer(agent, 2),
    "send": Play.send_answer,
    "refuse": _refuse,
    "lose": _lose,
}

learners = st.sampled_from(LEARNERS)
schools = st.sampled_from(MIS)
publishers = st.sampled_from(PUBLISHERS)
days = st.sampled_from((None, -1, 0, 1, 3))
LP: Final = "LearnerPersonal"
shares = st.sampled_from(
    (
        tuple((kind, WHOLE) for kind in KINDS),
        ((LP, WHOLE),),
        ((LP, ("@RefId", "LocalId")),),
        ((LP, ("@RefId", "HomeLA", "PersonalInformation")), ("LearnerSchoolEnrolment", WHOLE)),
        (("LearnerSchoolEnrolment", WHOLE), ("LearnerContact", WHOLE), ("ContactPersonal", WHOLE)),
        (("LearnerLookedAfter", WHOLE),),
    )
)
agreements = st.lists(
    st.builds(
        Drawn,
        st.sampled_from((("mis-*", "social-care"), ("mis-1",), ("mis-2",), ("social-care",))),
        st.sampled_from((*((name,) for name in RECIPIENTS), ("platform", "bookroom"), ("virtual-school", "mis-2"))),
        st.sampled_from(("all", "enrolled", "looked-after", "resident", "transferring")),
        shares,
        st.sampled_from((-100, 1, 2)),
        st.sampled_from((100, 0, 1)),
        st.sampled_from((False, False, True)),
        st.sampled_from((False, False, False, True)),
    ).filter(lambda drawn: drawn.starts <= drawn.expires),
    max_size=4,
).map(tuple)
acts = st.one_of(
    st.builds(Record, schools, learners, st.booleans(), st.sampled_from(("830", "820"))),
    st.builds(Stay, schools, learners, days, st.sampled_from((False, False, False, True))),
    st.builds(Carer, schools, learners),
    st.builds(
        Care,
        learners,
        st.sampled_from((-30, 0, 1)),
        days,
        st.sampled_from(("LA", "LA", "CE", "SB")),
        st.sampled_from(("", "", "P", "N", "A")),
    ),
    st.builds(Gone, schools, learners, st.sampled_from(("LearnerSchoolEnrolment", "LearnerContact"))),
    st.builds(Gone, st.just("social-care"), learners, st.just("LearnerLookedAfter")),
    st.builds(Leave, schools, learners, st.booleans()),
    st.builds(Agree, agreements),
    st.builds(Pass, st.sampled_from((1, 3, 11, 24 * 60, 48 * 60))),
    st.builds(Do, st.sampled_from(("step", "settle", "kill", "crash"))),
    st.builds(
        Do, st.sampled_from(("step", "read", "send", "read in parts", "refuse", "lose", "away", "back")), publishers
    ),
    st.builds(Do, st.sampled_from(("step", "step", "read", "send")), publishers),
)


@contextmanager
def opened() -> Iterator[Play]:
    with tempfile.TemporaryDirectory() as folder, open_stage(Path(folder) / "zone", {}) as stage:
        for number in ("8209903",):
            stage.publish("mis-1", Action.ADD, school_info(number))
        stage.settle()
        world = World({ref: number for number, ref in SCHOOLS.items()})
        yield Play(stage, world, [world])


def run(history: Sequence[Act]) -> list[str]:
    """Return what is wrong after a history."""
    with opened() as play:
        for act in history:
            act(play)
        play.end()
        play.compare()
        return play.wrong


@many
@given(agreements.map(Agree), st.lists(acts, min_size=1, max_size=50))
def test_everybody_holds_what_agreements_let_them_hold_no_more_no_less(first: Agree, history: list[Act]) -> None:
    assert run([first, *history]) == []
