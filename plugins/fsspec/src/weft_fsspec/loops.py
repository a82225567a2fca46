"""The event loop of the file systems that need one: one thread, from the first use to ``close``."""

import asyncio
import threading
from typing import Final

__all__ = ["Loop"]

_JOIN: Final = 30.0
"""Seconds that its thread has to end. Nothing runs in it then but what closes connections."""


class Loop:
    """An event loop in a thread of its own. From any thread.

    fsspec has a loop for the whole process, which nobody ends; so here is one that is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def running(self) -> asyncio.AbstractEventLoop:
        """The loop; it is started if it does not run."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="weft-fsspec-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """End it. May be called twice, and used again afterwards."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        ending = asyncio.run_coroutine_threadsafe(_end(), loop)
        try:
            ending.result(_JOIN)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_JOIN)
            if not thread.is_alive():
                loop.close()


async def _end() -> None:
    """Cancel what is left, and end the threads in which names of hosts were looked up."""
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
