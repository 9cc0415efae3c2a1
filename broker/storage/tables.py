"""The tables as SQLAlchemy sees them; what made a database so are the migrations, and a test holds the two equal."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROW_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives; SQLite numbers rows only in a column whose type is INTEGER."""

audience: Final = Table(
    "audience",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # hash of the members: one row for each distinct set
    Column("size", Integer, nullable=False),
)

audience_member: Final = Table(
    "audience_member",
    metadata,
    Column("audience_id", ROW_NUMBER, ForeignKey("audience.id"), primary_key=True),
    Column("agent", Text, primary_key=True),
)

# Column order is also the order in which the writer hands rows over. One index finds a message and keeps rows
# unique, one finds a time; each costs a page written per message, so there are no others.
ledger: Final = Table(
    "ledger",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("at", Double, nullable=False),
    Column("msg_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("ref_id", Text, nullable=False),
    Column("audience_id", ROW_NUMBER, ForeignKey("audience.id")),  # NULL where the row is about nobody
    Column("considered", Integer, nullable=False),
    Column("view", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("category", SmallInteger, nullable=False),
    Column("code", SmallInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Index("uq_ledger_message", "msg_id", "source", "attempt", "seq", unique=True),
    Index("ix_ledger_at", "at"),
)

learner: Final = Table(
    "learner",
    metadata,
    Column("ref_id", Text, primary_key=True),
    Column("upn_key", LargeBinary),
    Column("in_care", Boolean),
    Column("care_authority", Text, nullable=False),
    Column("home_authority", Text, nullable=False),
    Column("shielded", Boolean, nullable=False),
    Column("enrolments", Text, nullable=False),  # JSON: read and written whole, by ref_id only
    Column("sources", Text, nullable=False),  # JSON
    Column("local_id", Text, nullable=False, server_default=text("''")),
    Column("adopted", Boolean, nullable=False, server_default=text("false")),
    Column("care", Text, nullable=False, server_default=text("'[]'")),  # JSON, as all that follow
    Column("destinations", Text, nullable=False, server_default=text("'[]'")),
    Column("holdings", Text, nullable=False, server_default=text("'[]'")),
    Column("fetches", Text, nullable=False, server_default=text("'[]'")),
    Index("ix_learner_upn_key", "upn_key"),
)

# Whom to look at again, and when; whoever does so claims it for a while.
review: Final = Table(
    "review",
    metadata,
    Column("ref_id", Text, primary_key=True),
    Column("due_at", Double, nullable=False),
    Column("claimed_until", Double, nullable=False),
    Index("ix_review_due_at", "due_at"),
)

sweep: Final = Table(
    "sweep",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mark", Text, nullable=False),  # the day and the settings by which everybody was last looked at
)

establishment: Final = Table(
    "establishment",
    metadata,
    Column("school_ref", Text, primary_key=True),
    Column("laestab", Text, nullable=False),
)

contact_link: Final = Table(
    "contact_link",
    metadata,
    Column("contact_ref", Text, primary_key=True),
    Column("learner_ref", Text, primary_key=True),
    Index("ix_contact_link_learner_ref", "learner_ref"),
)

agent: Final = Table(
    "agent",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("registered_at", Double, nullable=False),
    Column("sleeping", Boolean, nullable=False, server_default=text("false")),
    Column("blocked", Text, nullable=False, server_default=text("''")),  # the event it is busy with
    Column("details", Text, nullable=False, server_default=text("'{}'")),  # JSON: read and written whole
)

provision: Final = Table(
    "provision",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("context", Text, primary_key=True),
    Column("extended", Boolean, nullable=False),
)

request: Final = Table(
    "request",
    metadata,
    Column("msg_id", Text, primary_key=True),
    Column("requester", Text, nullable=False),
    Column("responder", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("versions", Text, nullable=False),  # JSON
    Column("max_buffer", BigInteger, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_packet", Integer, nullable=False),
    Column("shared", BigInteger, nullable=False),
    Column("left_out", BigInteger, nullable=False),
    Column("category", SmallInteger, nullable=False),
    Column("code", SmallInteger, nullable=False),
    Column("reply_to", Text, nullable=False),
    Column("extended", Boolean, nullable=False),
    Column("about", Text, nullable=False, server_default=text("''")),
    Index("ix_request_state_due_at", "state", "due_at"),
    Index("ix_request_asked_at", "asked_at"),
)

# What gateway agents have acknowledged, for as long as RabbitMQ may yet deliver it again.
handed: Final = Table(
    "handed",
    metadata,
    Column("agent_id", Text, primary_key=True),
    Column("msg_id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Index("ix_handed_at", "at"),
)

registry: Final = Table(
    "registry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row, 1
    Column("version", ROW_NUMBER, nullable=False),
)

quarantine: Final = Table(
    "quarantine",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("msg_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("category", SmallInteger, nullable=False),
    Column("code", SmallInteger, nullable=False),
    Column("summary", Text, nullable=False),
    Column("findings", Text, nullable=False),  # JSON
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Double, nullable=False),
    Index("uq_quarantine_message", "msg_id", "source", "attempt", "sha256", "recipient", unique=True),
    Index("ix_quarantine_state_at", "state", "at"),
)

flaw: Final = Table(
    "flaw",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True),
    Column("source", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("school", Text, nullable=False),
    Column("local_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("opened", Date, nullable=False),
    Column("seen", Date, nullable=False),
    Column("closed", Date),  # NULL while it is there
    Index("ix_flaw_object_key", "object_key"),
    Index("ix_flaw_closed", "closed"),
    Index("ix_flaw_source_closed", "source", "closed"),
)

# What cases are looked up by; all else of them is in the sealed body.
transfer_case: Final = Table(
    "transfer_case",
    metadata,
    Column("ref_id", Text, primary_key=True),
    Column("learner", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("is_followed", Boolean, nullable=False),
    Column("from_school", Text, nullable=False),  # by the number it has now; empty when not known
    Column("to_school", Text, nullable=False),
    Column("opened", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("due", Date),  # NULL where nothing is due, or nobody follows it
    Column("looked_after", Boolean),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_transfer_case_learner_is_followed", "learner", "is_followed"),
    Index("ix_transfer_case_due", "due"),
    Index("ix_transfer_case_changed", "changed"),
)

# A table of their own, so that a list of entries reads no bodies.
quarantine_body: Final = Table(
    "quarantine_body",
    metadata,
    Column("quarantine_id", Text, ForeignKey("quarantine.id"), primary_key=True),
    Column("kind", Text, primary_key=True),  # original or fixed
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

# -- whose record it is ------------------------------------------------------------------------------------------------

link: Final = Table(
    "link",
    metadata,
    Column("key", Text, primary_key=True),  # the RefId that the agent itself made
    Column("agent", Text, primary_key=True),
    Column("id", Text, nullable=False),  # what people call it by
    Column("learner", Text, nullable=False),  # the RefId in use; empty while somebody must decide
    Column("state", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("locate_only", Boolean, nullable=False),
    Column("open", Boolean, nullable=False),  # people are asked about it
    Column("options", Text, nullable=False),  # JSON: RefIds, how, score; nothing of the learners themselves
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary),  # NULL where what the agent said is not kept
    Index("ix_link_id", "id"),
    Index("ix_link_learner", "learner"),
    Index("ix_link_open_at", "open", "at"),
)

link_key: Final = Table(
    "link_key",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # keyed: tells nothing without the zone's key file
    Column("key", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Index("ix_link_key_key_agent", "key", "agent"),
)

# People said that these are two learners; in alphabetical order.
rejected_pair: Final = Table(
    "rejected_pair",
    metadata,
    Column("one", Text, primary_key=True),
    Column("other", Text, primary_key=True),
    Index("ix_rejected_pair_other", "other"),
)

# Learners that are never linked with anybody: adopted children.
sealed_learner: Final = Table(
    "sealed_learner",
    metadata,
    Column("learner", Text, primary_key=True),
)

# One row, 1: whoever decides whose records are whose holds it, so that two agents with one new child get one RefId.
identity_turn: Final = Table(
    "identity_turn",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("taken", ROW_NUMBER, nullable=False),
)
