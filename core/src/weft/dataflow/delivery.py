"""Where callbacks that users added to futures run."""

import threading
from queue import SimpleQueue
from typing import Any

from weft.dataflow.futures import Settled

__all__ = ["Delivery"]


class Delivery:
    """The thread that runs the callbacks that users added to futures."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Settled[Any] | None] = SimpleQueue()
        self.put = self._queue.put
        self._thread = threading.Thread(target=self._work, name="weft-delivery", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (future := self._queue.get()) is not None:
            future.invoke_callbacks()
            del future  # and with it a result that nobody else may want any more

    def close(self, timeout: float) -> None:
        """End the thread, after the callbacks of what was put so far."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
