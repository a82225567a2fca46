"""The first schema."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "block",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("managers", NUMBER, nullable=True),
        sa.Column("exit_code", NUMBER, nullable=True),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run", "executor", "block"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "block_state",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("managers", NUMBER, nullable=True),
        sa.Column("exit_code", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("run", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "edge",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("needs", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("run", "task", "needs"),
        sqlite_with_rowid=False,
    )
    op.create_index("edge_needs", "edge", ["run", "needs"], unique=False)
    op.create_table(
        "event",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "executor",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("plugin", sa.Text(), nullable=True),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("stopped", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run", "label"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("logger", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("dropped", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("run", "task", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manager",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("manager", sa.Text(), nullable=False),
        sa.Column("block", sa.Text(), nullable=True),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("pid", NUMBER, nullable=True),
        sa.Column("workers", NUMBER, nullable=True),
        sa.Column("python", sa.Text(), nullable=True),
        sa.Column("packages", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run", "executor", "manager"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manager_state",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("manager", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "notice",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "resource",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("last", NUMBER, nullable=True),
        sa.Column("user_seconds", sa.Double(), nullable=True),
        sa.Column("system_seconds", sa.Double(), nullable=True),
        sa.Column("resident", NUMBER, nullable=True),
        sa.Column("virtual", NUMBER, nullable=True),
        sa.Column("peak", NUMBER, nullable=True),
        sa.Column("read", NUMBER, nullable=True),
        sa.Column("written", NUMBER, nullable=True),
        sa.Column("processes", NUMBER, nullable=True),
        sa.Column("gpu_memory", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("run", "task", "attempt", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("run", NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("recorder", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("weft_version", sa.Text(), nullable=False),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("heard", sa.Double(), nullable=True),
        sa.Column("done", NUMBER, nullable=True),
        sa.Column("failed", NUMBER, nullable=True),
        sa.Column("cancelled", NUMBER, nullable=True),
        sa.Column("lost_events", NUMBER, nullable=True),
        sa.Column("missed_events", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("run"),
        sqlite_autoincrement=True,
    )
    op.create_index("run_id", "run", ["id"], unique=False)
    op.create_table(
        "state",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "task", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("submitted", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("attempt", NUMBER, nullable=True),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("seq", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("run", "task"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transfer",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("executor", sa.Text(), nullable=False),
        sa.Column("attempt", NUMBER, nullable=True),
        sa.Column("first", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("bytes", NUMBER, nullable=True),
        sa.Column("total", NUMBER, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("delay", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "try",
        sa.Column("run", NUMBER, nullable=False),
        sa.Column("task", NUMBER, nullable=False),
        sa.Column("attempt", NUMBER, nullable=False),
        sa.Column("executor", sa.Text(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("staging_in", sa.Double(), nullable=True),
        sa.Column("launched", sa.Double(), nullable=True),
        sa.Column("begun", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("joining", sa.Double(), nullable=True),
        sa.Column("staging_out", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("delay", sa.Double(), nullable=True),
        sa.Column("seq", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("run", "task", "attempt"),
        sqlite_with_rowid=False,
    )
