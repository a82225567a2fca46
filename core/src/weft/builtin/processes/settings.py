"""Options of the ``processes`` executor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import attrs
from attrs.validators import ge, gt, in_, optional

from weft.values.plugin import Support
from weft.values.settings import ExecutorSettings, setting

__all__ = ["CAPABILITIES", "Processes"]

CAPABILITIES: Final[Mapping[str, Support]] = {
    "cancel.running": Support.FULL,
    "walltime": Support.FULL,
    "walltime.compiled": Support.FULL,
    "priority": Support.FULL,
    "resources.cores": Support.UNSUPPORTED,
    "resources.memory": Support.UNSUPPORTED,
    "resources.accelerators": Support.UNSUPPORTED,
    "isolation.process": Support.FULL,
    "remote": Support.FULL,
    "elastic": Support.UNSUPPORTED,
    "logs": Support.FULL,
    "samples": Support.FULL,
}
"""What the declaration of this executor says it can do."""


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@attrs.frozen(kw_only=True)
class Processes(ExecutorSettings):
    """Runs tasks in worker processes on this machine.

    A worker runs one task at a time. A task that crashes its worker harms no other task, and the
    worker is replaced.
    """

    plugin: ClassVar[str] = "processes"

    max_workers: int = setting(
        factory=usable_cores,
        help="Worker processes; the cores that this process may use when left out.",
        unit="processes",
        validator=ge(1),
    )
    isolation: Literal["none", "clean"] = setting(
        "clean",
        help="What a task may leave behind for the next one on its worker: with 'clean' not its "
        "working folder, environment variables, umask or signal handlers; with 'none' all of them.",
        validator=in_(("none", "clean")),
    )
    tasks_per_worker: int | None = setting(
        None,
        help="Tasks after which a worker is replaced by a fresh one; never when left out.",
        unit="tasks",
        validator=optional(ge(1)),
    )
    environment: Mapping[str, str] = setting(
        factory=dict, help="Environment variables of the workers, besides those of this process."
    )
    start_timeout: float = setting(
        60.0,
        help="How long a worker may take to start before it is given up.",
        unit="seconds",
        validator=gt(0),
    )
    prefetch: float = setting(
        0.05,
        help="How much work, by what such tasks took before, is handed to a worker in advance; "
        "0 hands over one task at a time.",
        unit="seconds",
        validator=ge(0),
    )
