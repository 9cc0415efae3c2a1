"""Care, who holds what of a learner, what is asked for on whose behalf, and when to look at a learner again."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("learner", sa.Column("adopted", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    for name in ("care", "destinations", "holdings", "fetches"):
        op.add_column("learner", sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("request", sa.Column("about", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "review",
        sa.Column("ref_id", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("claimed_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("ref_id", name="pk_review"),
    )
    op.create_index("ix_review_due_at", "review", ["due_at"])
    op.create_table(
        "sweep",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweep"),
    )
