"""A process that leaves does what it promised for its end, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

BOUND = 60.0


def left(program: str, *, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """A new interpreter that has run a program which leaves."""
    return subprocess.run(
        [sys.executable, "-c", f"from weft.workers.leaving import leave\n{program}"],
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=BOUND,
    )


@pytest.mark.parametrize("code", [0, 7])
def test_it_ends_with_the_code_and_what_was_printed_is_there(code: int) -> None:
    done = left(f"import sys; print('out'); print('err', file=sys.stderr, end=''); leave({code})")

    assert (done.returncode, done.stdout, done.stderr) == (code, "out\n", "err")


def test_what_was_registered_for_the_end_happens() -> None:
    done = left("import atexit; atexit.register(print, 'at the end'); leave(0)")

    assert (done.returncode, done.stdout) == (0, "at the end\n")


def test_nothing_is_taken_apart() -> None:
    program = "class Kept:\n    def __del__(self):\n        print('freed')\nkept = Kept()\n"

    assert left(f"{program}leave(0)").stdout == ""
    assert left(f"{program}import sys; sys.exit(0)").stdout == "freed\n"


@pytest.mark.parametrize("gone", ["sys.stdout = None", "sys.stdout.close()"])
def test_an_output_that_is_gone_does_not_keep_it(gone: str) -> None:
    done = left(f"import sys; {gone}; leave(3)")

    assert (done.returncode, done.stderr) == (3, "")


def test_garbage_is_sought_rarely_among_what_is_made_later() -> None:
    program = (
        "import gc\n"
        "gc.disable()\n"
        "from weft.workers.leaving import rarely_collected\n"
        "before = gc.get_threshold()[0]\n"
        "rarely_collected()\n"
        "print(gc.isenabled(), gc.get_threshold()[0] > 5 * before, gc.get_freeze_count() > 1000)\n"
        "leave(0)"
    )

    assert left(program).stdout == "True True True\n"
