"""What tasks were called with, what they returned, and why their tries failed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of details."""
    op.create_table(
        "detail",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "task", "seq"),
        sqlite_with_rowid=False,
    )
