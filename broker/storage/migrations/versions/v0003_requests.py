"""Requests; what agents say of themselves and provide; what gateway agents have acknowledged."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, default in (("blocked", "''"), ("details", "'{}'")):
        op.add_column("agent", sa.Column(name, sa.Text(), nullable=False, server_default=sa.text(default)))
    op.add_column("agent", sa.Column("sleeping", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.create_table(
        "provision",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("agent_id", "role", "object_type", "context")),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "role", "object_type", "context", name="pk_provision"),
    )
    op.create_table(
        "request",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("msg_id", "requester", "responder", "object_type", "context", "version", "versions")
        ),
        sa.Column("max_buffer", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_packet", sa.Integer(), nullable=False),
        sa.Column("shared", sa.BigInteger(), nullable=False),
        sa.Column("left_out", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.SmallInteger(), nullable=False),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        sa.Column("reply_to", sa.Text(), nullable=False),
        sa.Column("extended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("msg_id", name="pk_request"),
    )
    op.create_index("ix_request_state_due_at", "request", ["state", "due_at"])
    op.create_index("ix_request_asked_at", "request", ["asked_at"])
    op.create_table(
        "handed",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("msg_id", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "msg_id", name="pk_handed"),
    )
    op.create_index("ix_handed_at", "handed", ["at"])
