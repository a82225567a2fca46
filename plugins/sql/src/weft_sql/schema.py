"""The tables, with what each column means: the one place where the schema is said.

A run has a number in its database, which every other table begins its key with. Times are seconds
since the epoch, by the clock of the machine that the script ran on unless a column says otherwise.
``seq`` counts what a run was told: what came later has a higher number, whatever clocks say.

Keys are chosen so that what one asks for together lies together, and that new rows come at the end.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

__all__ = ["ONCE", "TABLES", "VERSION", "VERSION_TABLE", "VIEWS", "metadata"]

VERSION: Final = "0002"
"""The revision that this version of the package reads and writes."""

VERSION_TABLE: Final = "weft_schema"
"""Where the database says which revision it has."""

metadata = MetaData()

# A rowid of 64 bits in SQLite has to be called INTEGER.
_NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, comment: str, *, null: bool = False) -> Column[Any]:
    return Column(name, _NUMBER, nullable=null, comment=comment)


def _text(name: str, comment: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null, comment=comment)


def _time(name: str, comment: str, *, null: bool = True) -> Column[Any]:
    return Column(name, Double, nullable=null, comment=comment)


def _run() -> Column[Any]:
    # No foreign key: PostgreSQL would look the run up for each row.
    return Column("run", _NUMBER, nullable=False, comment="the run")


def _seq(comment: str = "its place among all that the run was told") -> Column[Any]:
    return Column("seq", _NUMBER, nullable=False, comment=comment)


def _table(name: str, comment: str, key: tuple[str, ...], *columns: Column[Any] | Index) -> Table:
    # Without a rowid SQLite keeps rows in the order of their key, and no second tree for the key.
    return Table(
        name,
        metadata,
        _run(),
        *columns,
        PrimaryKeyConstraint("run", *key),
        comment=comment,
        sqlite_with_rowid=False,
    )


run: Final = Table(
    "run",
    metadata,
    Column("run", _NUMBER, primary_key=True, autoincrement=True, comment="its number here"),
    _text("id", "what weft calls it, unique in the world"),
    _text("name", "the option name of the monitor, else the program"),
    _text("version", "the option version of the monitor"),
    _text("program", "the script, for people"),
    _text("folder", "the run folder"),
    _text("recorder", "the folder of the monitor that keeps the record, in the run folder"),
    _text("host", "the machine that the script ran on"),
    _text("owner", "who ran it"),
    _text("weft_version", "of which weft"),
    _time("started", "when the session opened", null=False),
    _time("ended", "when it closed; NULL while it runs, and if it was killed"),
    _time("heard", "when it last wrote here"),
    _number("done", "how many tasks ended well", null=True),
    _number("failed", "how many failed", null=True),
    _number("cancelled", "how many were cancelled", null=True),
    _number("lost_events", "how many events came too fast to be passed to monitors", null=True),
    _number("missed_events", "how many events could not be written here", null=True),
    Index("run_id", "id"),
    comment="one row for each run",
    sqlite_autoincrement=True,
)

event: Final = _table(
    "event",
    "what has no table of its own: the start and the end of runs and executors",
    ("seq",),
    _seq(),
    _time("time", "when", null=False),
    _text("kind", "the class of the event"),
    _text("data", "its fields, as JSON"),
)

executor: Final = _table(
    "executor",
    "one row for each executor",
    ("label",),
    _text("label", "what the configuration calls it"),
    _text("plugin", "the component", null=True),
    _time("started", "when it was ready"),
    _time("stopped", "when it had ended"),
)

task: Final = _table(
    "task",
    "one row for each task, as it stands",
    ("task",),
    _number("task", "its number in the run"),
    _text("app", "the name of its app"),
    _text("state", "where it is: pending, staging_in, launched, joining, staging_out, done …"),
    _time("submitted", "when the app was called"),
    _time("ended", "when it came into its final state"),
    _number("attempt", "the number of its latest try", null=True),
    _text("executor", "the label of where its latest try ran", null=True),
    _text("detail", "the first line of its error; memory if its value came from there", null=True),
    _seq("the place of its latest move"),
)

edge: Final = _table(
    "edge",
    "which task waits for the result of which",
    ("task", "needs"),
    _number("task", "the one that waits"),
    _number("needs", "the one that it waits for"),
    Index("edge_needs", "run", "needs"),
)

state: Final = _table(
    "state",
    "every move of every task",
    ("task", "seq"),
    _number("task", "the task"),
    _seq(),
    _time("time", "when", null=False),
    _text("state", "the state it came into; pending, for the first one, is the call of the app"),
    _number("attempt", "which try it was at; 0 before the first"),
    _text("executor", "for launched, the label of the executor", null=True),
    _text("detail", "for final states, how it came to that", null=True),
)

attempt: Final = _table(
    "try",
    "one row for each try of a task",
    ("task", "attempt"),
    _number("task", "the task"),
    _number("attempt", "which try, from 1"),
    _text("executor", "the label of the executor", null=True),
    _text("worker", "the worker it ran on, in the executor's words", null=True),
    _text("node", "the node it ran on", null=True),
    _time("staging_in", "when its input files set off"),
    _time("launched", "when it was handed to the executor"),
    _time("begun", "when it began there, by the clock of the node"),
    _time("seconds", "how long it ran, in seconds, by the clock of the node"),
    _time("joining", "when its value had come, which was futures to wait for"),
    _time("staging_out", "when its value had come, and output files set off"),
    _time("ended", "when it ended"),
    _text(
        "outcome",
        "of the last try the final state of its task; of those before it error, lost, killed",
        null=True,
    ),
    _text("error", "the first line of its error", null=True),
    _time("delay", "after how many seconds it was tried again"),
    _number("seq", "the place of its end among all that the run was told", null=True),
)

block: Final = _table(
    "block",
    "one row for each block of machines, as it stands",
    ("executor", "block"),
    _text("executor", "the label of the executor that it works for"),
    _text("block", "its name"),
    _text("job", "the scheduler's name for its job", null=True),
    _text("state", "requested, queued, starting, ready, draining, ended, failed, lost"),
    _text("reason", "why, in the scheduler's words where it said something", null=True),
    _number("managers", "how many managers are registered", null=True),
    _number("exit_code", "of its job; negative for a signal", null=True),
    _time("changed", "when it came into that state", null=False),
)

block_state: Final = _table(
    "block_state",
    "every move of every block",
    ("seq",),
    _seq(),
    _time("time", "when", null=False),
    _text("executor", "the label of the executor"),
    _text("block", "its name"),
    _text("job", "the scheduler's name for its job", null=True),
    _text("state", "the state it came into"),
    _text("reason", "why", null=True),
    _number("managers", "how many managers were registered", null=True),
    _number("exit_code", "of its job", null=True),
)

manager: Final = _table(
    "manager",
    "one row for each manager, which runs tasks on a node for a block, as it stands",
    ("executor", "manager"),
    _text("executor", "the label of the executor"),
    _text("manager", "its name"),
    _text("block", "the block it belongs to", null=True),
    _text("node", "the node it is on", null=True),
    _text("state", "working, draining, away, lost, ended"),
    _number("pid", "its process there", null=True),
    _number("workers", "how many tasks it can run at once", null=True),
    _text("python", "the version of its Python", null=True),
    _text("packages", "the versions of packages there, as name==version", null=True),
    _text("reason", "why it is in that state", null=True),
    _time("changed", "when it came into that state", null=False),
)

manager_state: Final = _table(
    "manager_state",
    "every move of every manager",
    ("seq",),
    _seq(),
    _time("time", "when", null=False),
    _text("executor", "the label of the executor"),
    _text("manager", "its name"),
    _text("node", "the node it is on", null=True),
    _text("state", "the state it came into"),
    _text("reason", "why", null=True),
)

transfer: Final = _table(
    "transfer",
    "one row for each try to move a file",
    ("seq",),
    _seq("the place of the first that was told of it"),
    _text("url", "the file"),
    _text("way", "in or out"),
    _text("executor", "the label of where its task runs"),
    _number("attempt", "which try, from 1", null=True),
    _time("first", "when the first was told of it"),
    _time("ended", "when it was over; NULL while it goes on"),
    _time("seconds", "how long it took, with what was moved at the same time"),
    _number("bytes", "how many were moved, as last told", null=True),
    _number("total", "how many there are in all", null=True),
    _text("error", "why it failed; NULL if it did not", null=True),
    _time("delay", "after how many seconds it is tried again; NULL if it is not"),
)

resource: Final = _table(
    "resource",
    "what tries used of their nodes, from time to time and at their end",
    ("task", "attempt", "seq"),
    _number("task", "the task"),
    _number("attempt", "which try"),
    _seq(),
    _time("time", "when, by the clock of the node", null=False),
    _text("executor", "the label of the executor", null=True),
    _number("last", "1 for the one at the end of the try", null=True),
    _time("user_seconds", "processor time in its own code, in seconds, since it began"),
    _time("system_seconds", "processor time in the kernel, in seconds, since it began"),
    _number("resident", "bytes of memory now", null=True),
    _number("virtual", "bytes of address space now", null=True),
    _number("peak", "the most resident bytes seen since it began", null=True),
    _number("read", "bytes read since it began", null=True),
    _number("written", "bytes written since it began", null=True),
    _number("processes", "how many processes", null=True),
    _number("gpu_memory", "bytes of its accelerators", null=True),
)

log: Final = _table(
    "log",
    "what tasks logged and printed",
    ("task", "seq"),
    _number("task", "the task"),
    _seq(),
    _number("attempt", "which try"),
    _time("time", "when, by the clock of the node", null=False),
    _text("executor", "the label of the executor", null=True),
    _text("level", "of logging, in capital letters; OUT or ERR for what was printed"),
    _text("logger", "the name of the logger", null=True),
    _text("text", "what it said"),
    _number("dropped", "how many lines before this one were left out", null=True),
)

detail: Final = _table(
    "detail",
    "what tasks were called with, what they returned, and why their tries failed",
    ("task", "seq"),
    _number("task", "the task"),
    _seq(),
    _number("attempt", "which try; 0 where it failed before the first"),
    _time("time", "when", null=False),
    _text("arguments", "of its call, as they would stand in it, cut; NULL if not told", null=True),
    _text("result", "what it returned, cut; NULL if not told", null=True),
    _text("traceback", "of the error of that try; NULL if there was none", null=True),
)

notice: Final = _table(
    "notice",
    "what a person should know",
    ("seq",),
    _seq(),
    _time("time", "when", null=False),
    _text("level", "info, warning or error"),
    _text("source", "who says it"),
    _text("text", "what"),
)

ONCE: Final = frozenset(
    {
        ("task", "app"),
        *(("try", name) for name in ("ended", "outcome", "error", "delay", "seq")),
    }
)
"""Columns that are told once: what is said of them later does not count."""

TABLES: Final[Mapping[str, Table]] = dict(metadata.tables)
"""Every table by its name; ``run`` first, which all others refer to."""

VIEWS: Final[Mapping[str, str]] = {
    # Of each try, where its time went. A part that nobody measured is NULL, not 0. Clocks of nodes
    # differ; what would be negative for that reason is shown as 0.
    "overhead": """
SELECT y.run, y.task, y.attempt, t.app, y.executor, y.node, y.outcome,
  coalesce(y.staging_in, y.launched) - coalesce(prior.ended, t.submitted) AS queued,
  y.launched - y.staging_in AS staged_in,
  CASE WHEN y.begun IS NULL THEN NULL
       WHEN y.begun < y.launched THEN 0.0 ELSE y.begun - y.launched END AS dispatched,
  y.seconds AS ran,
  CASE WHEN y.seconds IS NULL THEN NULL
       WHEN coalesce(y.joining, y.staging_out, y.ended) < y.begun + y.seconds THEN 0.0
       ELSE coalesce(y.joining, y.staging_out, y.ended) - y.begun - y.seconds END AS returned,
  coalesce(y.staging_out, y.ended) - y.joining AS joined,
  y.ended - y.staging_out AS staged_out,
  y.ended - coalesce(prior.ended, t.submitted) AS total
FROM try AS y
JOIN task AS t ON t.run = y.run AND t.task = y.task
LEFT JOIN try AS prior
  ON prior.run = y.run AND prior.task = y.task AND prior.attempt = y.attempt - 1
""",
    # Of each try, the most that any of its samples says.
    "peak": """
SELECT r.run, r.task, r.attempt, t.app, y.executor, y.node,
  max(r.user_seconds) AS user_seconds, max(r.system_seconds) AS system_seconds,
  max(CASE WHEN r.peak IS NULL OR r.resident > r.peak THEN r.resident ELSE r.peak END) AS memory,
  max(r.read) AS read, max(r.written) AS written, max(r.processes) AS processes,
  max(r.gpu_memory) AS gpu_memory
FROM resource AS r
JOIN task AS t ON t.run = r.run AND t.task = r.task
LEFT JOIN try AS y ON y.run = r.run AND y.task = r.task AND y.attempt = r.attempt
GROUP BY r.run, r.task, r.attempt, t.app, y.executor, y.node
""",
    # Of each node, what it was given and how that went.
    "node": """
SELECT run, executor, node, count(*) AS tries, min(launched) AS first, max(ended) AS last,
  sum(seconds) AS ran,
  sum(CASE WHEN outcome = 'done' THEN 1 ELSE 0 END) AS done,
  sum(CASE WHEN outcome IN ('failed', 'error') THEN 1 ELSE 0 END) AS failed,
  sum(CASE WHEN outcome IN ('lost', 'killed') THEN 1 ELSE 0 END) AS lost
FROM try WHERE node IS NOT NULL GROUP BY run, executor, node
""",
}
"""Views that answer what is asked most, by their names."""
