"""Ledger, learner index, registry and quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_APPEND_ONLY = ("ledger", "audience", "audience_member")


def upgrade() -> None:
    _ledger()
    _learner_index()
    _registry()
    _quarantine()
    if op.get_bind().dialect.name == "sqlite":
        _append_only_on_sqlite()
    else:
        _append_only_on_postgresql()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _ledger() -> None:
    op.create_table(
        "audience",
        sa.Column("id", _NUMBER, nullable=False),
        _text("key"),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audience"),
        sa.UniqueConstraint("key", name="uq_audience_key"),
    )
    op.create_table(
        "audience_member",
        sa.Column("audience_id", _NUMBER, nullable=False),
        _text("agent"),
        sa.PrimaryKeyConstraint("audience_id", "agent", name="pk_audience_member"),
        sa.ForeignKeyConstraint(["audience_id"], ["audience.id"], name="fk_audience_member_audience_id"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        _text("msg_id"),
        _text("source"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        _text("outcome"),
        _text("object_type"),
        _text("action"),
        _text("ref_id"),
        sa.Column("audience_id", _NUMBER),
        sa.Column("considered", sa.Integer(), nullable=False),
        _text("view"),
        _text("reason"),
        sa.Column("category", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        _text("sha256"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.ForeignKeyConstraint(["audience_id"], ["audience.id"], name="fk_ledger_audience_id"),
    )
    op.create_index("uq_ledger_message", "ledger", ["msg_id", "source", "attempt", "seq"], unique=True)
    op.create_index("ix_ledger_at", "ledger", ["at"])


def _learner_index() -> None:
    op.create_table(
        "learner",
        _text("ref_id"),
        sa.Column("upn_key", sa.LargeBinary()),
        sa.Column("in_care", sa.Boolean()),
        _text("care_authority"),
        _text("home_authority"),
        sa.Column("shielded", sa.Boolean(), nullable=False),
        _text("enrolments"),
        _text("sources"),
        sa.PrimaryKeyConstraint("ref_id", name="pk_learner"),
    )
    op.create_table(
        "establishment",
        _text("school_ref"),
        _text("laestab"),
        sa.PrimaryKeyConstraint("school_ref", name="pk_establishment"),
    )
    op.create_table(
        "contact_link",
        _text("contact_ref"),
        _text("learner_ref"),
        sa.PrimaryKeyConstraint("contact_ref", "learner_ref", name="pk_contact_link"),
    )
    op.create_index("ix_contact_link_learner_ref", "contact_link", ["learner_ref"])


def _registry() -> None:
    op.create_table(
        "agent",
        _text("agent_id"),
        _text("name"),
        _text("version"),
        sa.Column("registered_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", name="pk_agent"),
    )
    registry = op.create_table(
        "registry",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_registry"),
    )
    op.bulk_insert(registry, [{"id": 1, "version": 0}])


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        _text("id"),
        sa.Column("at", sa.Double(), nullable=False),
        _text("source"),
        _text("msg_id"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        _text("object_type"),
        _text("action"),
        _text("recipient"),
        _text("reason"),
        sa.Column("category", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        _text("summary"),
        _text("findings"),
        _text("sha256"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _text("state"),
        _text("changed_by"),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    message = ["msg_id", "source", "attempt", "sha256", "recipient"]
    op.create_index("uq_quarantine_message", "quarantine", message, unique=True)
    op.create_index("ix_quarantine_state_at", "quarantine", ["state", "at"])
    op.create_table(
        "quarantine_body",
        _text("quarantine_id"),
        _text("kind"),
        _text("key_id"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", "kind", name="pk_quarantine_body"),
        sa.ForeignKeyConstraint(["quarantine_id"], ["quarantine.id"], name="fk_quarantine_body_quarantine_id"),
    )


def _append_only_on_sqlite() -> None:
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no {verb} on {table}'); END"
            )


def _append_only_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only: no % on %', TG_OP, TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()"
        )
