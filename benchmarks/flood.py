"""Many calls that do nothing, as fast as they can be made: what several cases measure."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from benchmarks.calls import noop
from benchmarks.case import Sample
from benchmarks.contestants import WORKERS, opened
from benchmarks.measuring import span

__all__ = ["flood", "flood_and_close", "warm_up"]

_WARM_UP = 50


def warm_up(call: Any) -> None:
    """Let workers start and modules be imported, so that neither is measured."""
    for future in [call() for _ in range(_WARM_UP * WORKERS)]:
        future.result()


def flood(contestant: str, size: int) -> Sample:
    """Submit ``size`` calls, then take every result."""
    with opened(contestant) as make:
        call = make(noop)
        warm_up(call)
        with span() as seen:
            futures = [call() for _ in range(size)]
            for future in futures:
                future.result()
        return seen.each(size)


def flood_and_close(contestant: str, size: int) -> tuple[Sample, float]:
    """As ``flood``, until the session has closed, since what is written is written behind.

    Returns:
        what one call took of all that; seconds from the last result to the end of the session.
    """
    with ExitStack() as stack:
        call = stack.enter_context(opened(contestant))(noop)
        warm_up(call)
        with span() as seen:
            futures = [call() for _ in range(size)]
            for future in futures:
                future.result()
            ended = time.perf_counter()
            stack.close()
            close = time.perf_counter() - ended
    return seen.each(size), close
