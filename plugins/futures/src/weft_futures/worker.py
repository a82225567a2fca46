"""What runs in the workers of a pool: calls that come as bytes, and go back as bytes.

Imports of weft only what a worker needs.

    one thread per worker:   run(parts) ──▶ Runner ──▶ parts
    weft-futures-parent:     waits for the end of the process that made this one, and ends it too
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from weft.calls import results_message
from weft.calls.batches import opened_calls
from weft.calls.running import Runner

__all__ = ["call_here", "prepare", "ready", "run"]

_MANY: Final = 256


class _Mine(threading.local):
    """The runner of this thread: a runner belongs to one."""

    def __init__(self) -> None:
        self.runner = Runner()
        self.known: set[bytes] = set()


_mine = _Mine()


def prepare() -> None:
    """Make a process of a pool end with the process that made it, and leave Ctrl-C to that one."""
    import multiprocessing
    from multiprocessing import util

    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: _end())
    # What tasks have left behind ends with their worker, also when that ends in order.
    util.Finalize(None, _end_children, exitpriority=1)
    watch = threading.Thread(
        target=_end_with, args=(parent.sentinel,), name="weft-futures-parent", daemon=True
    )
    watch.start()


def _end_with(sentinel: int) -> None:
    from multiprocessing.connection import wait

    wait([sentinel])
    _end()


def _end() -> None:
    """End this process, and what its tasks have started."""
    _end_children()
    os._exit(1)


def _end_children() -> None:
    for child in _children():
        with contextlib.suppress(OSError):
            # A command leads a group of its own; another child is of this process's group.
            if os.getpgid(child) == child:
                os.killpg(child, signal.SIGKILL)
            else:
                os.kill(child, signal.SIGKILL)


def _children() -> list[int]:
    """The processes that this one has started, where the system tells."""
    found: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listing.read_text().split())
    return found


def ready() -> str:
    """Says that calls get here, and where that is."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def run(parts: Sequence[bytes | bytearray]) -> tuple[str, list[bytes | bytearray]]:
    """Run the call that a message carries. Returns where it ran, and a message with its result."""
    _, definitions, calls = opened_calls(parts)
    runner = _mine.runner
    if len(_mine.known) > _MANY:
        runner.forget()
        _mine.known.clear()
    for name, blob in definitions:
        if name not in _mine.known:
            _mine.known.add(name)
            runner.define(name, blob)
    results = []
    for number, digest, needs, head, buffers in calls:
        begun, begin = time.time(), time.perf_counter()
        result = runner.run(digest, needs, head, buffers)
        results.append((number, result, int((time.perf_counter() - begin) * 1e6), begun))
    return ready(), solid(results_message(results))


def solid(parts: Sequence[Any]) -> list[bytes | bytearray]:
    """The parts as objects that any pool can pickle; what could be written to stays so."""
    return [
        (bytes(part) if part.readonly else bytearray(part))
        if isinstance(part, memoryview)
        else part
        for part in parts
    ]


def call_here(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[bool, Any]:
    """Call a function in this process. Returns whether it returned, and its value or its error."""
    try:
        return True, function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is its own
        return False, error
