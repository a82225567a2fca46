"""Processes that are weft's own: how their garbage is sought, and how they end."""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["leave", "rarely_collected"]


_YOUNG = 20_000


def rarely_collected() -> None:
    """Have this process look for cycles of garbage more rarely than Python does by itself.

    Nearly nothing here is in a cycle, and what lies in queues is looked through again and again
    for every few hundred things that are made. For a process that runs no code of users; one that
    was started without looking at all begins to.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
    gc.enable()


def leave(code: int) -> NoReturn:
    """End this process: as ``sys.exit``, without taking the interpreter apart.

    What was registered to happen at the end happens. What takes as long as half of the imports
    does not: each module, class and function is freed by itself, and then the system frees it all
    once more. For a process whose threads have ended and whose files are closed by then.

    Args:
        code: its exit code.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other name for it
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):  # closed, or nobody reads it
                continue
    os._exit(code)
