"""Runs rsync: reads what it says, ends it when nobody waits, and never waits for it without end."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from weft_rsync.command import environment
from weft_rsync.words import bytes_done

__all__ = ["Ended", "run"]

_KEPT: Final = 16 * 1024
"""Bytes of what it says that are kept, from the end."""

_TICK: Final = 1.0
"""Seconds after which somebody is asked whether the transfer is still wanted."""

_GRACE: Final = 5.0
"""Seconds that it may take to end when it is told to."""


@attrs.frozen
class Ended:
    """How it ended.

    Attributes:
        code: the exit code; negative for a signal.
        out, said: the ends of its output and of its errors.
    """

    code: int
    out: str
    said: str


def run(words: Sequence[str], folder: str, heard: Callable[[int], None]) -> Ended:
    """Run it to its end.

    Args:
        words: the program and its arguments.
        folder: where it runs.
        heard: told how many bytes have been moved, at least once a second; what it raises ends
            the program, and is raised here.

    Raises:
        OSError: the program cannot be started.
    """
    # A session of its own: it and the ssh that it starts are ended together, and neither finds a
    # terminal to ask for a password. Signals stay as they are here, so that a file that cannot
    # grow any more is an error, and not the end of it.
    with subprocess.Popen(
        words,
        cwd=folder,
        env=environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        restore_signals=False,
    ) as process:
        try:
            out, said = _read(process, heard)
            # Its outputs are closed, so there is nothing left for it to do.
            code = process.wait(_GRACE)
        except BaseException:
            _end(process)
            raise
        # A child that ssh left in the background does not outlive it.
        _signal(process, signal.SIGKILL)
    return Ended(code, out, said)


def _read(process: subprocess.Popen[bytes], heard: Callable[[int], None]) -> tuple[str, str]:
    assert process.stdout is not None
    assert process.stderr is not None
    kept, done = {process.stdout: b"", process.stderr: b""}, 0
    with selectors.DefaultSelector() as waiting:
        for stream in kept:
            waiting.register(stream, selectors.EVENT_READ)
        asked = time.monotonic()
        while waiting.get_map():
            for key, _ in waiting.select(_TICK):
                piece = os.read(key.fd, 65536)
                if not piece:
                    waiting.unregister(key.fileobj)
                    continue
                stream = key.fileobj  # type: ignore[assignment] # one of the two
                kept[stream] = (kept[stream] + piece)[-_KEPT:]
                if stream is process.stdout:
                    done = bytes_done(kept[stream]) or done
            if time.monotonic() - asked >= _TICK:
                heard(done)
                asked = time.monotonic()
    out, said = (text.decode("utf-8", "replace") for text in kept.values())
    return out, said


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have it clean up, and then be gone."""
    _signal(process, signal.SIGTERM)
    # What it still says is not read; its pipes are closed, so that it cannot wait for a reader.
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
