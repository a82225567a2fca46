"""The options of the built-in components that need no module of their own. A light module."""

import os
from typing import ClassVar, Literal

import attrs

from weft.values.settings import (
    ExecutorSettings,
    LauncherSettings,
    MonitorSettings,
    ProviderSettings,
    StagerSettings,
    setting,
)

__all__ = [
    "Files",
    "Local",
    "Log",
    "Simple",
    "SingleNode",
    "Threads",
    "Wrapped",
    "usable_cores",
]


def usable_cores() -> int:
    """How many processor cores this process may use, as far as the system says; at least 1."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):  # not on every system
        return os.cpu_count() or 1


def _at_least_two() -> int:
    # With one thread, a task that waits for something outside would keep every other from running.
    return max(2, usable_cores())


@attrs.frozen(kw_only=True)
class Threads(ExecutorSettings):
    """Threads of this process.

    Good for bash apps, for waiting, and for compiled code that releases the interpreter's lock.
    Python code on threads shares that lock; ``processes`` runs it side by side.
    """

    plugin: ClassVar[str] = "threads"
    max_threads: int = setting(
        factory=_at_least_two,
        help="Tasks run at once; the cores that this process may use, and at least 2, "
        "when left out.",
        unit="threads",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)],
    )


@attrs.frozen(kw_only=True)
class Local(ProviderSettings):
    """This machine, as a provider of itself.

    A job starts in the folder in which the script was started, with its environment.
    """

    plugin: ClassVar[str] = "local"
    grace: float = setting(
        5.0,
        help="How long a job that is cancelled may take to end by itself before it is killed.",
        unit="seconds",
        validator=attrs.validators.ge(0),
    )


@attrs.frozen(kw_only=True)
class Simple(LauncherSettings):
    """The command as it is, once."""

    plugin: ClassVar[str] = "simple"
    spans_nodes: bool = setting(
        False,
        help="Whether the command itself reaches the other machines of a job that has several, "
        "as mpiexec does; if not, such jobs are refused.",
        validator=attrs.validators.instance_of(bool),
    )


@attrs.frozen(kw_only=True)
class SingleNode(LauncherSettings):
    """Copies of the command on one machine."""

    plugin: ClassVar[str] = "single-node"


def _is_said(_instance: object, _field: object, value: str) -> None:
    if not value.strip():
        raise ValueError("prepend is empty; give the command that the other one is run through")
    if "\0" in value:
        raise ValueError("prepend holds a NUL character, which no shell can read")


@attrs.frozen(kw_only=True)
class Wrapped(LauncherSettings):
    """The command through another one.

    ``prepend`` gets ``/bin/sh -c`` and the whole command as its last three words, so a command of
    several parts is run as one; a container must therefore hold ``/bin/sh``.
    """

    plugin: ClassVar[str] = "wrapped"
    prepend: str = setting(
        help="Shell text put before the command, such as 'apptainer exec image.sif'.",
        validator=[attrs.validators.instance_of(str), _is_said],
    )


@attrs.frozen(kw_only=True)
class Files(StagerSettings):
    """Local files."""

    plugin: ClassVar[str] = "file"
    sync: bool = setting(
        False,
        help="Whether a copy is forced to the disk before it gets its name, so that it survives "
        "a loss of power.",
        validator=attrs.validators.instance_of(bool),
    )


@attrs.frozen(kw_only=True)
class Log(MonitorSettings):
    """The log of a run."""

    plugin: ClassVar[str] = "log"
    level: Literal["debug", "info", "warning", "error"] = setting(
        "info",
        help="What is written: 'error' what failed, 'warning' also tries that are repeated, "
        "'info' also how the run "
        "went, 'debug' every step of every task.",
        validator=attrs.validators.in_(("debug", "info", "warning", "error")),
    )
    json: bool = setting(
        False,
        help="Whether the same is also written to weft.jsonl, as one JSON object per line.",
        validator=attrs.validators.instance_of(bool),
    )
