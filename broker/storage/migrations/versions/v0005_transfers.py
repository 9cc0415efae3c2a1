"""Transfers: learners' moves, sealed, with what they are looked up by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfer_case",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("ref_id", "learner", "status")),
        sa.Column("is_followed", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("from_school", "to_school")),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("opened", "changed")),
        sa.Column("due", sa.Date()),
        sa.Column("looked_after", sa.Boolean()),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ref_id", name="pk_transfer_case"),
    )
    op.create_index("ix_transfer_case_learner_is_followed", "transfer_case", ["learner", "is_followed"])
    op.create_index("ix_transfer_case_due", "transfer_case", ["due"])
    op.create_index("ix_transfer_case_changed", "transfer_case", ["changed"])
