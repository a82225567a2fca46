"""The thread that all connections belong to: it moves what is said, and gives signs of life.

calls ──post──▶ [inbox] ──▶ weft-ssh ──▶ ssh, for each host of each job
                               ▲  └────▶ told: greeted, begun, over
                               └── what comes from there
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from weft_ssh.connection import Connection

__all__ = ["Switchboard"]

_END: Final = 10.0
_READ: Final = selectors.EVENT_READ


class Switchboard:
    """Serves connections until it is closed.

    Args:
        beat: seconds between two signs of life.
    """

    def __init__(self, beat: float) -> None:
        self._beat = beat
        self._next_beat = time.monotonic() + beat
        self._inbox: deque[Callable[[], object]] = deque()
        # Whether the selector waits for them, and to send something; None for those that came now.
        self._connections: dict[Connection, bool | None] = {}
        self._until: float | None = None
        self._hear, self._say = os.pipe()
        for end in (self._hear, self._say):
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._run, name="weft-ssh", daemon=True)
        self._thread.start()

    # ----------------------------------------------------------------------------- from any thread

    def post(self, what: Callable[[], object]) -> None:
        """Have something done by the thread."""
        self._inbox.append(what)
        with contextlib.suppress(OSError):  # it is awake anyway, or has ended
            os.write(self._say, b".")

    def add(self, one: Connection) -> None:
        """Serve a connection from now on."""
        self.post(lambda: self._connections.setdefault(one))

    def close(self, timeout: float) -> None:
        """End when all connections have; those that are left when the time is up are cut."""
        until = time.monotonic() + timeout
        self.post(lambda: setattr(self, "_until", until))
        self._thread.join(timeout + _END)
        if not self._thread.is_alive():
            os.close(self._hear)
            os.close(self._say)

    # --------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._hear, _READ)
            while self._until is None or self._connections or self._inbox:
                while self._inbox:
                    self._inbox.popleft()()
                self._keep_time()
                # These first: others may have been given their descriptors meanwhile.
                for one in [one for one in self._connections if one.over]:
                    self._forget(selector, one)
                for one in list(self._connections):
                    self._arrange(selector, one)
                if not self._inbox:
                    self._serve(selector, self._until_next())

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self._beat
            for one in self._connections:
                one.beat()
        for one in list(self._connections):
            over = self._until is not None and now >= self._until
            if over or (one.due is not None and now >= one.due):
                one.trouble = one.trouble or "it did not end in time, and was cut off"
                one.end()

    def _until_next(self) -> float:
        moments = [self._next_beat, *(one.due for one in self._connections if one.due is not None)]
        if self._until is not None:
            moments.append(self._until if self._connections else 0.0)
        return max(0.0, min(moments) - time.monotonic())

    def _arrange(self, selector: selectors.BaseSelector, one: Connection) -> None:
        """Send what can be sent, and wait for what is to be waited for."""
        one.write()
        waits = self._connections[one]
        if waits is None:
            selector.register(one.reads, _READ, (one, one.read))
            if one.handle >= 0:
                selector.register(one.handle, _READ, (one, one.gone))
        if bool(waits) is not one.blocked:
            if one.blocked:
                selector.register(one.writes, selectors.EVENT_WRITE, (one, one.write))
            else:
                selector.unregister(one.writes)
        self._connections[one] = one.blocked

    def _serve(self, selector: selectors.BaseSelector, timeout: float) -> None:
        for key, _ in selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._hear, 4096)
                continue
            one, serve = key.data
            if not one.over:
                serve()
                if one.over:
                    self._forget(selector, one)

    def _forget(self, selector: selectors.BaseSelector, one: Connection) -> None:
        """Wait for it no more. Its descriptors are closed, and may be another's from now on."""
        waits = self._connections.pop(one, None)
        if waits is not None:
            selector.unregister(one.reads)
            if one.handle >= 0:
                selector.unregister(one.handle)
        if waits:
            selector.unregister(one.writes)
