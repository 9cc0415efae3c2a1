"""Through the whole decision, with valid objects: each recipient gets all that is shared with it, and no more."""

from collections import Counter
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

import schemas
from broker.agreements import UNDELIVERED, Agreement
from broker.learners import Learner, LearnerIndex
from broker.pipeline import decide
from broker.protocol.envelope import NAMESPACE, Action, event_objects, local_name, parse_message
from broker.protocol.identifiers import AgentId
from broker.routing import Router
from tests.instances import instance
from tests.unit.broker.builders import (
    MIS,
    TODAY,
    accepted,
    agent,
    agreement,
    copied,
    delivered,
    event,
    paths_of,
    read_event,
    registry,
    withheld,
)

SCHEMA: Final = schemas.load()
OBJECTS: Final = tuple(name for name in SCHEMA.objects if SCHEMA.note(name).events != "none")
SAMPLES: Final = {name: etree.fromstring(instance(name)) for name in OBJECTS}
PATHS: Final = {name: paths_of(name) for name in OBJECTS}
RECIPIENTS: Final = ("library", "merlin", "virtual-school")
ZONE: Final = registry(
    agent(MIS, publish=SCHEMA.objects, subscribe=SCHEMA.objects),
    *(agent(name, subscribe=SCHEMA.objects) for name in RECIPIENTS),
)


def leaves(element: etree._Element, path: str = "") -> Counter[tuple[str, str]]:
    """Return how often each text and attribute stands in an object, by path and value."""
    found = Counter((f"{path}/@{name!s}".lstrip("/"), str(value)) for name, value in element.attrib.items())
    if (element.text or "").strip():
        found[path, element.text or ""] += 1
    for child in element:
        if isinstance(child.tag, str):
            found += leaves(child, f"{path}/{local_name(child)}".lstrip("/"))
    return found


def is_shared(path: str, shared: frozenset[str]) -> bool:
    return "*" in shared or any(path == one or path.startswith(one + "/") for one in shared)


@st.composite
def agreements_on(draw: st.DrawFn, object_type: str) -> list[Agreement]:
    keys = SCHEMA.keys(object_type)
    made = []
    for number in range(draw(st.integers(0, 4))):
        paths = draw(st.lists(st.sampled_from((*PATHS[object_type], "*")), max_size=6, unique=True))
        to = draw(st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=2, unique=True))
        made.append(agreement(f"a{number}", {object_type: tuple({*keys, *paths})}, to=tuple(to)))
    return made


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_each_recipient_gets_all_that_is_shared_with_it_and_no_more(data: st.DataObject) -> None:
    object_type = data.draw(st.sampled_from(["LearnerPersonal", *OBJECTS]))
    sample = SAMPLES[object_type]
    person = SCHEMA.note(object_type).person
    needed = (*SCHEMA.keys(object_type), *((person,) if person else ()))
    chosen = data.draw(st.lists(st.booleans(), min_size=len(sample), max_size=len(sample)))
    sent = copied(sample, sample.nsmap)
    for child, is_chosen in zip(sample, chosen, strict=True):
        if isinstance(child.tag, str) and (is_chosen or local_name(child) in needed):
            sent.append(etree.fromstring(etree.tostring(child, with_tail=False)))
    action = data.draw(st.sampled_from([Action.CHANGE, Action.DELETE]))
    agreements = data.draw(agreements_on(object_type))
    xml = etree.tostring(sent, encoding="unicode").replace(f' xmlns="{NAMESPACE}"', "", 1)
    inbound = read_event(event((object_type, action, xml)))
    index = LearnerIndex()
    index.learners = {ref: Learner(ref) for ref in inbound.learners if ref}
    index.contacts = {ref: frozenset({"1" * 32}) for ref in inbound.contacts}  # whose contact it is, is known

    decision = decide(inbound, Router(ZONE, agreements, TODAY), index)

    got, kept_back = delivered(decision), withheld(decision)
    assert sorted([*got, *kept_back]) == sorted(RECIPIENTS)
    keys = SCHEMA.keys(object_type)
    hidden = UNDELIVERED.get(object_type, ())
    whole = Counter({leaf: n for leaf, n in leaves(sent).items() if leaf[0] not in hidden})
    for name in RECIPIENTS:
        mine = [a for a in agreements if name in a.recipients]
        shared = frozenset(path for a in mine for path in a.shares[object_type])
        wanted = Counter({leaf: n for leaf, n in whole.items() if is_shared(leaf[0], shared)})
        if name in got:
            (found,) = event_objects(parse_message(got[name]))
            assert (found.object_type, found.action) == (object_type, action)
            assert leaves(found.element) == wanted
            assert {d.view for d in accepted(decision).deliveries if AgentId(name) in d.recipients} == {
                "+".join(f"{a.id}@{a.digest}" for a in mine)
            }
        elif mine:
            assert kept_back[name] == "nothing-shared-in-change"
            assert action is Action.CHANGE
            assert {path for path, _ in wanted} <= set(keys)
        else:
            assert kept_back[name] == "no-agreement"
