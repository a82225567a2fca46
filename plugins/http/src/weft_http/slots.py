"""How many transfers go on with one server at once."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

from weft_http.trouble import Trouble

__all__ = ["Slots"]


class Slots:
    """Places for transfers, so many for each server. From any thread.

    Args:
        each: places for one server.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: Counter[tuple[str, str, int]] = Counter()
        self._changed = threading.Condition()
        self._closed = False

    @contextlib.contextmanager
    def one(self, server: tuple[str, str, int]) -> Iterator[None]:
        """Have a place; waits until there is one.

        The wait ends, since whoever has a place waits for no server longer than the time limits
        say.

        Raises:
            Trouble: it was closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._taken[server] < self._each)
            self.look()
            self._taken[server] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[server] -= 1
                if not self._taken[server]:
                    del self._taken[server]
                self._changed.notify_all()

    def look(self) -> None:
        """See whether it goes on.

        Raises:
            Trouble: it was closed.
        """
        if self._closed:
            raise Trouble("The run ends.")

    def close(self) -> None:
        """Let nobody wait or go on any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
