"""What a launcher says of its ranks, and what becomes of one that does not end."""

import base64
import json
import sys

import pytest

from weft.calls.single import pack_call, run_call
from weft_mpi import on_ranks, ranks


def lookup() -> None:
    raise LookupError("rank 2 does not find it")


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> str:
    """One whose rank 2 tells that it raised, and which then stays, as MPICH's at times does."""
    outcome = run_call(pack_call(lookup, (), {}, "lookup"))
    line = ranks.ERROR.decode() + json.dumps({2: base64.b64encode(outcome).decode()})
    # Words on a command line and in a variable that is split at blanks: none may hold any.
    program = (
        f"import sys,time;sys.stdout.write({line!r}+chr(10));sys.stdout.flush();time.sleep(600)"
    )
    coded = base64.b64encode(program.encode()).decode()
    words = [sys.executable, "-c", f"import\tbase64;exec(base64.b64decode('{coded}'))"]
    monkeypatch.setenv("WEFT_MPI_HOSTS", "node1")
    monkeypatch.setenv("WEFT_MPI_RANKS_PER_NODE", "4")
    monkeypatch.setenv("WEFT_MPI_PREFIX", " ".join(words))
    return line


def test_a_launcher_that_outlives_an_abort_is_ended_and_the_error_is_that_of_the_rank(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "_LONGEST", 0.2)

    with pytest.raises(LookupError, match="rank 2 does not find it"):
        on_ranks(print)


def test_one_that_ends_by_itself_is_left_to_do_so() -> None:
    ran = ranks._run([sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"], b"x" * 9)

    assert (ran.returncode, ran.stdout) == (0, b"9\n")
