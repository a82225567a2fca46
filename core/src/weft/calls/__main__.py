"""``python -m weft.calls``: runs the one call that comes on standard input.

Its outcome is all that goes to standard output. Whoever started this sees the exit code 0 if, and
only if, there is an outcome; that the call raised is one.
"""

import os
import sys
from pickle import UnpicklingError

from weft.calls import mirror
from weft.calls.single import run_call


def main() -> int:
    """Run it. Returns the exit code."""
    packed = sys.stdin.buffer.read()
    # What the task prints, and the commands that it starts, must not end up in the outcome.
    answer = os.dup(1)
    os.dup2(2, 1)
    mirror.begin()
    try:
        outcome = run_call(packed)
    except (EOFError, UnpicklingError) as trouble:
        sys.stderr.write(
            f"What came on standard input ({len(packed)} bytes) is no packed call, or not all of "
            f"it: {trouble}. weft.calls.pack_call makes one.\n"
        )
        return 2
    with os.fdopen(answer, "wb") as out:
        out.write(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
