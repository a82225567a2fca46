"""One rank of a function that runs on ranks; see :mod:`weft_mpi.ranks`."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from typing import Any, Final

from weft.calls import mirror
from weft.calls.single import outcome_of, run_call
from weft_mpi.ranks import ERROR, RESULTS, WRONG

__all__ = ["main"]

_PATIENCE: Final = 2.0
"""Seconds that ranks have to come to an end by themselves when another one has raised."""

_LOOK: Final = 0.02


def _say(answer: int, mark: bytes, about: object) -> None:
    line = mark + json.dumps(about).encode() + b"\n"
    while line:
        line = line[os.write(answer, line) :]


def _text(outcome: bytes) -> str:
    return base64.b64encode(outcome).decode()


def _close_input() -> None:
    """Close an input that is not for this rank: one launcher never ends it, another fills it."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _raised(outcome: bytes) -> bool:
    try:
        outcome_of(outcome)
    except BaseException:  # noqa: BLE001 - whatever the function raised; it is told, not handled
        return True
    return False


def main(expected: int) -> None:
    """Be a rank of so many."""
    answer = os.dup(1)
    os.dup2(2, 1)
    mirror.begin()
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    rank, found = world.Get_rank(), world.Get_size()
    if found != expected:
        library = MPI.Get_library_version().strip().splitlines()[0].strip("\0 ")
        _say(answer, WRONG, {"found": found, "library": library})
        sys.exit(3)
    packed = None
    if rank == 0:
        packed = sys.stdin.buffer.read()
    else:
        _close_input()
    # Of our own, so that nothing meets what the function sends.
    own = world.Dup()
    outcome = run_call(own.bcast(packed))
    if _raised(outcome):
        _say(answer, ERROR, {rank: _text(outcome)})
        _end_together(own)
    else:
        own.Ibarrier().Wait()
    outcomes: list[bytes] | None = own.gather(outcome)
    if outcomes is not None:
        _say(answer, RESULTS, {number: _text(one) for number, one in enumerate(outcomes)})


def _end_together(own: Any) -> None:
    """Wait for the others; end them if they wait for this one."""
    ended = own.Ibarrier()
    until = time.monotonic() + _PATIENCE
    # MPI has no wait with a bound.
    while not ended.Test():
        if time.monotonic() >= until:
            own.Abort(1)
        time.sleep(_LOOK)
