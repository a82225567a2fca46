"""The cases: each module here has one, called ``CASE``.

None imports a system before it is asked to measure it.
"""

from __future__ import annotations

from importlib import import_module

from benchmarks.case import Case

__all__ = ["NAMES", "case_named"]

NAMES = (
    "threads",
    "processes",
    "flat",
    "memory",
    "fan_in",
    "chain",
    "tree",
    "latency",
    "echo",
    "echo_array",
    "features",
    "event_log",
    "sql",
    "dashboard",
    "imports",
    "first_result",
    "slurm_first",
    "slurm_watch",
    "kept_files",
    "web_large",
    "web_small",
    "shared",
)


def case_named(name: str) -> Case:
    """The case of that name."""
    case: Case = import_module(f"benchmarks.cases.{name}").CASE
    return case
