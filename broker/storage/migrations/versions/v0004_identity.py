"""Whose record is it: agents' keys, what they are found by, and what people have decided of them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a database of the version before to this one."""
    op.create_index("ix_learner_upn_key", "learner", ["upn_key"])
    _link()
    op.create_table(
        "rejected_pair",
        *_texts("one", "other"),
        sa.PrimaryKeyConstraint("one", "other", name="pk_rejected_pair"),
    )
    op.create_index("ix_rejected_pair_other", "rejected_pair", ["other"])
    op.create_table("sealed_learner", *_texts("learner"), sa.PrimaryKeyConstraint("learner", name="pk_sealed_learner"))
    turn = op.create_table(
        "identity_turn",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("taken", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_turn"),
    )
    op.bulk_insert(turn, [{"id": 1, "taken": 0}])


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _link() -> None:
    op.create_table(
        "link",
        *_texts("key", "agent", "id", "learner", "state", "how"),
        sa.Column("at", sa.Double(), nullable=False),
        *_texts("decided_by"),
        sa.Column("locate_only", sa.Boolean(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        *_texts("options", "key_id"),
        sa.Column("sealed", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("key", "agent", name="pk_link"),
    )
    op.create_index("ix_link_id", "link", ["id"])
    op.create_index("ix_link_learner", "link", ["learner"])
    op.create_index("ix_link_open_at", "link", ["open", "at"])
    op.create_table(
        "link_key",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        *_texts("key", "agent"),
        sa.PrimaryKeyConstraint("hash", "key", "agent", name="pk_link_key"),
    )
    op.create_index("ix_link_key_key_agent", "link_key", ["key", "agent"])
