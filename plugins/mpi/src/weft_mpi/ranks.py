"""Functions that run as ranks: each rank calls the function, and the results come back by rank.

    task     on_ranks(function, …) ── stdin ──▶ launcher ──▶ rank 0, which tells the others
                     ▲                                          │ each calls the function
                     └────────── stdout, one line each ─────────┘

Nothing goes through files, so nodes need not share any. The ranks are ``python -m weft_mpi.rank``,
and need mpi4py.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from weft.calls.single import outcome_of, pack_call
from weft_mpi.errors import NotOnMPI, RanksFailed, WrongRanks
from weft_mpi.task import here

__all__ = ["ERROR", "RESULTS", "WRONG", "Communicator", "check_size", "on_ranks"]

RESULTS: Final = b"weft-mpi results "
ERROR: Final = b"weft-mpi error "
WRONG: Final = b"weft-mpi wrong "
"""How the lines begin that ranks write for their task, on the standard output."""

_WORDS: Final = 12


class Communicator(Protocol):
    """What of ``mpi4py.MPI.Comm`` is looked at."""

    def Get_size(self) -> int:  # noqa: N802 - its name there
        """How many ranks it has."""
        ...


def check_size(communicator: Communicator) -> int:
    """See that a program has as many ranks as its task was given; for programs with mpi4py.

    Args:
        communicator: ``mpi4py.MPI.COMM_WORLD``.

    Returns:
        How many it has.

    Raises:
        WrongRanks: it has another number of them.
        NotOnMPI: this was not started by a task of this executor.
    """
    try:
        expected = int(os.environ["WEFT_MPI_RANKS"])
    except (KeyError, ValueError):
        raise NotOnMPI from None
    found = communicator.Get_size()
    if found != expected:
        raise WrongRanks(expected, found)
    return found


def on_ranks(function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    """Call a function in each rank of this task, and return what the calls return, by rank.

    The function and its arguments travel as those of a task do. Within it, ``MPI.COMM_WORLD`` of
    mpi4py has all the ranks. What it prints goes to the error output of the task.

    Raises:
        NotOnMPI: this is no task of this executor.
        WrongRanks: the MPI of the ranks sees another number of them.
        RanksFailed: they ended without results.
        Exception: what the function raised in a rank, the lowest of those that raised; the others
            are ended if they do not end by themselves.
    """
    allotment = here()
    name = getattr(function, "__name__", type(function).__name__)
    packed = pack_call(function, args, kwargs, name)
    ran = _run(
        [*allotment.words, sys.executable, "-c", _BOOT, str(allotment.ranks), json.dumps(sys.path)],
        packed,
    )
    sys.stderr.write(ran.stderr.decode("utf-8", "replace"))
    outcomes: dict[int, bytes] = {}
    for line in ran.stdout.splitlines():
        # A launcher may put the number of the rank before each line.
        for mark in (RESULTS, ERROR, WRONG):
            _, found, said = line.partition(mark)
            if not found:
                continue
            if mark is WRONG:
                facts = json.loads(said)
                raise WrongRanks(allotment.ranks, facts["found"], facts["library"])
            for number, outcome in json.loads(said).items():
                outcomes[int(number)] = base64.b64decode(outcome)
    values = [outcome_of(outcomes[number]) for number in sorted(outcomes)]
    if len(values) != allotment.ranks:
        said_last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-_WORDS:]
        raise RanksFailed(name, ran.returncode, said_last)
    return values


def _run(words: list[str], packed: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a launcher to its end; one that outlives the abort of a rank for long is ended."""
    given: bytes | None = packed
    until = float("inf")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while True:
            try:
                out, err = process.communicate(given, timeout=_LOOK)
                break
            except subprocess.TimeoutExpired as waiting:
                given = None
                now = time.monotonic()
                if now >= until:
                    process.terminate()  # its keeper ends all ranks
                    until = now + _LONGEST
                elif until == float("inf") and ERROR in (waiting.output or b""):
                    until = now + _LONGEST
    return subprocess.CompletedProcess(words, process.returncode, out, err)


_LOOK: Final = 0.5
_LONGEST: Final = 15.0
_BOOT: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from weft_mpi.rank import main; main(int(sys.argv[1]))"
)
