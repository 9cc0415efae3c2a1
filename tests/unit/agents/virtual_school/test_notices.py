"""Notices: what is told, each once, with initials and a link alone; kept while the mail server is away."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from agents.mail import MailError, send
from agents.virtual_school.database import Database
from agents.virtual_school.notices import Notifier
from agents.virtual_school.options import NoticeOptions, VirtualSchoolOptions
from agents.virtual_school.target import VirtualSchoolTarget
from agents.virtual_school.watch import Watch
from broker.calendars import Calendars, local_date
from tests.unit.agents.virtual_school.objects import (
    SECONDARY,
    YAR,
    ZED,
    Kept,
    care,
    exclusion,
    learner,
    mark,
    plan,
    transfer,
    two_learners,
)
from tests.unit.agents.virtual_school.post import PostOffice, own_certificate, running_post_office

AT = "2026-11-16T08:00:00+00:00"
MORNING = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)
DONE = "<MeetingDate>2026-11-10</MeetingDate>"


def options(office: PostOffice, when: str = "at-once", **more: object) -> NoticeOptions:
    return NoticeOptions.model_validate(
        {
            "host": "127.0.0.1",
            "port": office.port,
            "security": "none",
            "sender": "notices@vs.example.org",
            "recipients": ["officer@vs.example.org", "head@vs.example.org"],
            "when": when,
            "link": "https://vs.example.org/learners/{ref}",
            **more,
        }
    )


def quiet() -> Kept:
    """Return two learners about whom nothing is due: plans are made."""
    objects = two_learners()
    objects.put(plan(more=DONE), plan("6", YAR, more=DONE, period="5"))
    return objects


def text(mail: EmailMessage) -> str:
    body = mail.get_body()
    assert body is not None
    return str(body.get_content())


def told(
    database: Database, calendars: Calendars, objects: Kept, office: PostOffice, now: datetime = MORNING
) -> list[str]:
    """Write, look and tell; return what was said, sorted."""
    database.write(objects, AT)
    notifier = Notifier(database, options(office), calendars, send)
    notifier.look(now, local_date(now))
    notifier.tell(now)
    return sorted(line for mail in office.all() for line in text(mail).splitlines() if line and "://" not in line)


def test_at_the_start_nobody_is_told_who_is_on_the_roll_but_what_is_overdue(
    both: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = two_learners()
    objects.put(exclusion(), transfer(due="2026-11-13"), plan(more=DONE))

    assert told(both, calendars, objects, post_office) == [
        "W. Y.: the education plan is late",
        "W. Y.: the education plan is late",
        "Z. Q.: the transfer file is overdue",
    ]
    assert told(both, calendars, objects, post_office) == []


def new_learner(objects: Kept) -> None:
    objects.put(learner("9" * 32, "Xand", "Vera"), care("7", "9" * 32, since="2026-11-16"))


def left(objects: Kept) -> None:
    objects.remove("LearnerPersonal", YAR)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda o: new_learner(o), "V. X.: came on the roll"),
        (lambda o: left(o), "W. Y.: left the roll"),
        (lambda o: o.put(care("5", YAR, ended="2026-11-16")), "W. Y.: left the roll"),
        (lambda o: o.put(transfer()), "Z. Q.: a change of school has begun"),
        (lambda o: o.put(transfer(status="CM")), "Z. Q.: the change of school is complete"),
        (lambda o: o.put(exclusion()), "Z. Q.: an exclusion was recorded"),
    ],
    ids=["on the roll", "gone", "care ended", "transfer opened", "complete", "exclusion"],
)
def test_what_happens_is_told_once(
    database: Database, calendars: Calendars, post_office: PostOffice, change: object, said: str
) -> None:
    objects = quiet()
    assert told(database, calendars, objects, post_office) == []
    assert callable(change)
    change(objects)

    assert [line for line in told(database, calendars, objects, post_office) if "plan" not in line] == [said]
    assert told(database, calendars, objects, post_office) == []


def test_an_open_transfer_is_told_of_as_it_goes_wrong(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    said = []
    for status, due in (("NT", "2026-11-20"), ("NT", "2026-11-13"), ("UN", "2026-11-13"), ("RJ", "2026-11-13")):
        objects.put(transfer(status=status, due=due))
        said += told(database, calendars, objects, post_office)

    assert said == [
        "Z. Q.: a change of school has begun",
        "Z. Q.: the transfer file is overdue",
        "Z. Q.: the next school is not known",
        "Z. Q.: the new school has rejected the transfer file",
    ]


def test_a_plan_is_told_of_before_its_day_and_when_it_is_late(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    objects.put(plan(status="IP", more="<DueDate>2026-12-01</DueDate>"))
    days = [MORNING + timedelta(days=number) for number in (0, 4, 5, 15, 16, 17)]

    said = [told(database, calendars, objects, post_office, day) for day in days]

    assert said == [
        [], [], ["Z. Q.: the education plan is due soon"], [], ["Z. Q.: the education plan is late"], [],
    ]  # fmt: skip


def test_a_silence_is_told_once_however_long_and_again_when_it_comes_again(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    heard = [mark(f"2026-11-{day}", s) for day in (12, 16, 17, 18, 19, 20) for s in ("AM", "PM")]
    objects.put(*heard, *(mark("2026-11-12", s, YAR, SECONDARY) for s in ("AM", "PM")))
    said = [told(database, calendars, objects, post_office, MORNING + timedelta(days=n)) for n in (0, 1, 2)]
    objects.put(*(mark("2026-11-18", s, YAR, SECONDARY) for s in ("AM", "PM")))
    said += [told(database, calendars, objects, post_office, MORNING + timedelta(days=n)) for n in (3, 4)]

    silent = ["W. Y.: no attendance has come"]
    # on Monday nothing is known of Friday, a day of teachers' training; of Monday it is told on Tuesday
    assert said == [[], silent, [], [], silent]


def test_where_nobody_knows_the_school_days_silence_is_not_told(database: Database, post_office: PostOffice) -> None:
    objects = quiet()
    objects.put(mark("2026-11-12"))

    assert [line for line in told(database, Calendars(), objects, post_office) if "attendance" in line] == []


def test_of_a_newcomers_past_nothing_is_told(database: Database, calendars: Calendars, post_office: PostOffice) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    new_learner(objects)
    objects.put(exclusion("6", "9" * 32), transfer("6", "9" * 32, status="CM"))

    assert [line for line in told(database, calendars, objects, post_office) if "plan" not in line] == [
        "V. X.: came on the roll"
    ]


def test_an_old_exclusion_that_comes_late_is_no_news(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    objects.put(exclusion(starts="2026-09-10"))

    assert told(database, calendars, objects, post_office) == []


def test_a_mail_holds_initials_and_a_link_and_no_personal_value(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = two_learners()
    more = (
        "<ULN>1234567893</ULN><InCare><Current>Yes</Current><LAId>820</LAId></InCare><CurrentSchoolEnrolment "
        f'LearnerSchoolEnrolmentRefId="{"3" * 32}"><LAId>820</LAId><EstablishmentId>9901</EstablishmentId>'
        "<NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>"
    )
    objects.put(learner(more=more), plan(more=DONE))
    told(database, calendars, objects, post_office)
    new_learner(objects)
    left(objects)
    objects.put(exclusion(), transfer(status="RJ", due="2026-11-13", to=""), mark("2026-11-12"))
    objects.put(plan(status="IP", more="<DueDate>2026-11-12</DueDate>"))
    database.write(objects, AT)
    facts = database.facts(local_date(MORNING))
    Notifier(database, options(post_office, "digest"), calendars, send).look(MORNING, local_date(MORNING))
    Notifier(database, options(post_office, "digest"), calendars, send).tell(MORNING)

    (mail,) = post_office.all()
    del mail["Date"]  # when it was sent is nobody's secret, and holds the year
    whole = mail.as_string()
    kept: list[Any] = [
        *facts.learners.values(),
        *facts.schools.values(),
        *(row for some in facts.transfers.values() for row in some),
    ]
    kept += [row for some in (*facts.exclusions.values(), *facts.care.values(), *facts.plans.values()) for row in some]
    values = {str(getattr(row, name)) for row in kept for name in row.__slots__ if not name.endswith("ref_id")}
    values |= {"Yarrow", "Wilf", "B820990226002", "8209902", "9901", "9902", "Thornwick", "Marrowfield"}
    personal = {value for value in values if len(value) > 3}
    assert {"Quill", "Zephyrine", "A820990126001", "2015-03-02", "1234567893", "8209901"} <= personal
    assert [value for value in personal if value.casefold() in whole.casefold()] == []
    lines = [line for line in text(mail).splitlines() if line]
    assert all(re.fullmatch(r"[A-Z?]\. [A-Z?]\.: [a-z ]+", line) for line in lines[::2])
    assert all(re.fullmatch(r"https://vs\.example\.org/learners/[0-9A-F]{32}", line) for line in lines[1::2])
    assert len(lines) > 12
    assert mail["Subject"] == f"Virtual school: {len(lines) // 2} notices"
    assert post_office.recipients == [["officer@vs.example.org", "head@vs.example.org"]] * len(post_office.recipients)


def test_while_the_server_is_away_notices_are_kept_and_told_once_it_is_back(
    both: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(both, calendars, objects, post_office)
    post_office.stop()
    objects.put(exclusion())
    with pytest.raises(MailError, match="kept"):
        told(both, calendars, objects, post_office)
    assert [one.initials for one in both.waiting()] == ["Z. Q."]

    post_office.start()
    post_office.refuse = "451 later"
    with pytest.raises(MailError, match="451"):
        told(both, calendars, objects, post_office)
    post_office.refuse = ""

    assert told(both, calendars, objects, post_office) == ["Z. Q.: an exclusion was recorded"]
    assert told(both, calendars, objects, post_office) == []


def test_two_who_tell_at_once_do_not_tell_twice(both: Database, calendars: Calendars, post_office: PostOffice) -> None:
    objects = quiet()
    told(both, calendars, objects, post_office)
    objects.put(exclusion())
    both.write(objects, AT)
    Notifier(both, options(post_office), calendars, send).look(MORNING, local_date(MORNING))
    counts = []

    def another_first(to: NoticeOptions, mail: EmailMessage) -> None:
        counts.append(Notifier(both, to, calendars, send).tell(MORNING))
        send(to, mail)

    counts.append(Notifier(both, options(post_office), calendars, another_first).tell(MORNING))

    assert counts == [0, 1]
    assert len(post_office.all()) == 1


def test_what_somebody_claimed_and_never_told_is_told_by_another(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    objects.put(exclusion())
    database.write(objects, AT)
    notifier = Notifier(database, options(post_office), calendars, send)
    notifier.look(MORNING, local_date(MORNING))
    assert len(database.claim(database.waiting(), MORNING.isoformat(), "")) == 0
    assert len(database.claim(database.waiting(), MORNING.isoformat(), "9")) == 1  # and is killed

    assert notifier.tell(MORNING + timedelta(minutes=5)) == 0
    assert notifier.tell(MORNING + timedelta(minutes=15)) == 1


def test_initials_are_forgotten_when_they_are_told(
    database: Database, tmp_path: Path, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    left(objects)
    told(database, calendars, objects, post_office)

    assert database.waiting() == ()
    with closing(sqlite3.connect(tmp_path / "virtual-school.db")) as db:
        assert {initials for (initials,) in db.execute("SELECT initials FROM notice WHERE kind = 'off-roll'")} == {""}
    assert database.roll_told() == ({ZED: "Z. Q."}, True)


def test_a_mail_each_at_once_and_one_for_all_as_digest_or_when_there_are_many(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    objects = quiet()
    told(database, calendars, objects, post_office)
    objects.put(*(exclusion(number) for number in "12"))
    database.write(objects, AT)
    Notifier(database, options(post_office), calendars, send).look(MORNING, date(2026, 11, 16))
    Notifier(database, options(post_office), calendars, send).tell(MORNING)
    separate = post_office.all()
    objects.put(*(exclusion(number) for number in "345689ABCDEFGHIJKLMNOPQ"))
    database.write(objects, AT)
    Notifier(database, options(post_office), calendars, send).look(MORNING, date(2026, 11, 16))
    Notifier(database, options(post_office), calendars, send).tell(MORNING)

    assert [mail["Subject"] for mail in separate] == ["Virtual school: 1 notice"] * 2
    assert [mail["Subject"] for mail in post_office.all()] == ["Virtual school: 23 notices"]
    assert len({mail["Message-ID"] for mail in separate}) == 2


def test_a_digest_goes_once_a_day_from_its_hour_on(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    database.write(two_learners(), AT)
    chosen = options(post_office, "digest", digest_hour=9)
    watch = Watch(database, Notifier(database, chosen, calendars, send), chosen)
    summer = datetime(2026, 7, 1, 7, 59, tzinfo=UTC)  # one minute to nine in England
    counts = []
    objects = two_learners()
    for minutes in (0, 1, 60):
        objects.put(exclusion(str(minutes)[0], YAR))
        database.write(objects, AT)
        watch.turn(summer + timedelta(minutes=minutes), woken=True)
        counts.append(len(post_office.all()))

    assert counts == [0, 1, 0]


def test_a_server_that_is_away_is_asked_less_and_less_often(
    database: Database, calendars: Calendars, post_office: PostOffice
) -> None:
    database.write(two_learners(), AT)
    chosen = options(post_office)
    tries = []

    def away(_options: NoticeOptions, _mail: EmailMessage) -> None:
        tries.append(minute)
        raise MailError("away; kept")

    watch = Watch(database, Notifier(database, chosen, calendars, away), chosen)
    for minute in range(250):
        watch.turn(MORNING + timedelta(minutes=minute), woken=False)

    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_the_target_tells_by_itself_and_a_dead_server_does_not_hold_up_a_write(
    tmp_path: Path, calendars: Calendars, post_office: PostOffice
) -> None:
    assert calendars
    post_office.stop()
    chosen = VirtualSchoolOptions.model_validate(
        {
            "database": "sqlite:///vs.db",
            "notices": options(post_office).model_dump(exclude={"secret"}, exclude_none=True),
        },
        context={"folder": tmp_path},
    )
    target = VirtualSchoolTarget(None, (), chosen)
    objects = two_learners()
    objects.put(learner(YAR, "Yarrow", "Wilf").replace("<BirthDate>2015-03-02</BirthDate>", ""))

    assert target.write(objects).changed
    target.close()
    post_office.start()
    target = VirtualSchoolTarget(None, (), chosen)
    target.write(objects)
    first = post_office.mails.get(timeout=20)
    target.close()

    # his care began in 2023: whatever the day is today, his plan is late
    said = "".join(text(mail) for mail in (first, *post_office.all()))
    assert "W. Y.: the education plan is late" in said


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
def test_a_login_is_used_where_the_server_asks_for_one(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    with running_post_office("vs", "open sesame") as office:
        mail = EmailMessage()
        mail.set_content("hello")
        send(options(office, user="vs", password_file=str(secret)), mail)
        assert len(office.all()) == 1
        secret.write_text("wrong")
        with pytest.raises(MailError, match="refuses the login") as caught:
            send(options(office, user="vs", password_file=str(secret)), mail)
    assert "wrong" not in str(caught.value)


def test_encryption_is_not_given_up_where_the_server_has_none(post_office: PostOffice) -> None:
    with pytest.raises(MailError, match="check host, port and security"):
        send(options(post_office, security="starttls"), EmailMessage())
    assert post_office.all() == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_is_encrypted_to_a_server_that_is_trusted_and_to_no_other(tmp_path: Path, security: str) -> None:
    certificate = own_certificate(tmp_path)
    with running_post_office(certificate=certificate, implicit=security == "tls") as office:
        mail = EmailMessage()
        mail.set_content("hello")
        send(options(office, security=security, ca_file=str(certificate)), mail)
        assert len(office.all()) == 1
        with pytest.raises(MailError, match="SSLCertVerificationError"):
            send(options(office, security=security), mail)
        assert office.all() == []
