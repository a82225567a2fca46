"""The options of the monitor ``sql``. Light."""

from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, optional

from weft.values.settings import MonitorSettings, setting

__all__ = ["Sql"]


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_database(_instance: object, field: Any, value: str) -> None:
    if not value or not value.isprintable():
        raise ValueError(f"{field.name} is a path or a URL that can be printed, not {value!r}")
    scheme, found, _ = value.partition("://")
    if found and scheme.partition("+")[0] not in {"sqlite", "postgresql"}:
        raise ValueError(
            f"{field.name} is a path, or a URL that begins with sqlite:// or postgresql://, and "
            f"not with {scheme}://"
        )
    user, at, _ = value.partition("://")[2].partition("/")[0].rpartition("@")
    if at and ":" in user:
        # Settings are shown, logged and kept beside results.
        raise ValueError(
            f"{field.name} has a password in it; leave it in ~/.pgpass or in the variable "
            "PGPASSWORD, where only the one who needs it sees it"
        )


@attrs.frozen(kw_only=True)
class Sql(MonitorSettings):
    """Tables of what happens: runs, tasks, tries, nodes, files, resources, lines of logs.

    All runs whose run folders lie side by side share one database.
    """

    plugin: ClassVar[str] = "sql"

    database: str = setting(
        "weft.db",
        help="A file of SQLite, by a path that counts from where the run folders are; or the URL "
        "of a database, such as postgresql://me@db.example.org/weft, whose password is in "
        "~/.pgpass or in the variable PGPASSWORD.",
        validator=[instance_of(str), _is_database],
    )
    name: str = setting(
        "",
        help="What this run is called in the database; its program when left out.",
        validator=instance_of(str),
    )
    version: str = setting(
        "",
        help="The version of what is run, as its author counts.",
        validator=instance_of(str),
    )
    journal: Literal["auto", "wal", "delete"] = setting(
        "auto",
        help="How SQLite writes: 'wal' lets others read and write at the same time, on local disks "
        "alone; 'delete' is for network file systems; 'auto' looks where the file is.",
        validator=in_(("auto", "wal", "delete")),
    )
    keep_runs: int | None = setting(
        None,
        help="How many ended runs to keep; the oldest ones beyond are removed when a run starts. "
        "All of them when left out.",
        unit="runs",
        validator=optional([instance_of(int), ge(1)]),
    )
    keep_days: float | None = setting(
        None,
        help="For how long to keep a run after its start; older ones are removed when a run "
        "starts. For ever when left out.",
        unit="days",
        validator=optional([instance_of((int, float)), gt(0)]),
    )
    backlog: int = setting(
        500_000,
        help="How many events may wait for a database that is slow or gone; what comes then is "
        "left out, counted and told of.",
        unit="events",
        validator=[instance_of(int), ge(1000)],
    )
    timeout: float = setting(
        10.0,
        help="How long the database may take to answer when the run starts.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
