"""The functions that the benchmarks call: at module level, so that workers find them by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading


def noop() -> None:
    """Nothing: all that a call costs is overhead."""


def same(value: object) -> object:
    """What was given."""
    return value


def first_of(values: Any) -> float:
    """The first of an array, or of one that is shared."""
    return float(getattr(values, "value", values)[0])


def increment(value: int) -> int:
    """One more."""
    return value + 1


def add(left: int, right: int) -> int:
    """Two results made one."""
    return left + right


def how_many(*values: object) -> int:
    """Takes many results."""
    return len(values)


def how_many_listed(values: list[object]) -> int:
    """Takes many results in a list."""
    return len(values)


def wait_for(gate: threading.Event) -> int:
    """Hold a thread until the gate opens."""
    gate.wait()
    return 0
