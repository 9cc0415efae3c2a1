"""Data quality: faults found in records, and the id by which a school knows a learner."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("learner", sa.Column("local_id", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "flaw",
        sa.Column("id", _NUMBER, nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in (
                "source", "object_type", "object_key", "school", "local_id", "path", "rule", "severity", "message",
            )
        ),
        sa.Column("opened", sa.Date(), nullable=False),
        sa.Column("seen", sa.Date(), nullable=False),
        sa.Column("closed", sa.Date()),
        sa.PrimaryKeyConstraint("id", name="pk_flaw"),
    )  # fmt: skip
    op.create_index("ix_flaw_object_key", "flaw", ["object_key"])
    op.create_index("ix_flaw_closed", "flaw", ["closed"])
    op.create_index("ix_flaw_source_closed", "flaw", ["source", "closed"])
