"""Waiting for what nobody tells of: a file that appears, a process that goes, a job that moves."""

from __future__ import annotations

from collections.abc import Callable

from weft_testkit.rig import until

__all__ = ["BOUND", "eventually"]

BOUND = 90.0
"""Seconds after which what should come about at once has not: more than a busy machine needs."""


def eventually(
    holds: Callable[[], object], what: str | Callable[[], str] = "", bound: float = BOUND
) -> None:
    """Wait until something holds.

    Args:
        holds: asked again and again.
        what: what is wrong if it does not, as text or as a function that looks it up then.
        bound: seconds.

    Raises:
        AssertionError: it has not come about in time.
    """
    until(holds, bound, what or "it has not come about")
