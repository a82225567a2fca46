"""The connections of a stager: so many to a server at most, kept for a while for the next one."""

import contextlib
import ftplib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from weft_ftp.address import Server
from weft_ftp.line import Line
from weft_ftp.login import login_for
from weft_ftp.settings import FTP

__all__ = ["Closed", "Pool"]

_TICK: Final = 1.0


class Closed(Exception):
    """The pool has been closed."""


class Pool:
    """Lends connections to threads. Every method may be called from any.

    Args:
        settings: of the stager.
    """

    def __init__(self, settings: FTP) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._idle: dict[Server, list[Line]] = {}
        self._lent: dict[Server, int] = {}
        self._at_work: set[Line] = set()
        self._closed = False

    @contextlib.contextmanager
    def line(self, server: Server, waiting: Callable[[], None]) -> Iterator[Line]:
        """A connection to a server, for as long as this holds.

        One during whose use something went wrong is closed; but for a reply that says no.

        Args:
            server: which.
            waiting: called each second while others have all that there may be; what it raises
                ends the wait.

        Raises:
            Closed: the pool is closed.
            LoginUnknown: it is not known who to be there.
        """
        self._wait_for_turn(server, waiting)
        line: Line | None = None
        try:
            line = self._kept(server) or self._new(server)
            with self._changed:
                if self._closed:
                    raise Closed
                self._at_work.add(line)
            yield line
        except ftplib.error_perm:
            # It said no, and listens to what comes next.
            if line is not None:
                self._forget(line)
                self._put_away(server, line)
            raise
        except BaseException:
            if line is not None:
                self._forget(line)
                line.close()
            raise
        else:
            self._forget(line)
            self._put_away(server, line)
        finally:
            with self._changed:
                self._lent[server] -= 1
                self._changed.notify_all()

    def another(self, server: Server) -> Line:
        """A connection beside those that are lent, to clean up; the caller closes it.

        Raises:
            LoginUnknown: it is not known who to be there.
        """
        return self._new(server)

    def close(self) -> None:
        """Close what is idle, and cut what is at work: whoever waits there gets an error."""
        with self._changed:
            self._closed = True
            idle = [line for lines in self._idle.values() for line in lines]
            self._idle.clear()
            for line in self._at_work:
                line.cut()
            self._changed.notify_all()
        for line in idle:
            line.bid_farewell()

    # ---------------------------------------------------------------------------------------- parts

    def _wait_for_turn(self, server: Server, waiting: Callable[[], None]) -> None:
        while True:
            with self._changed:
                if self._closed:
                    raise Closed
                if self._lent.get(server, 0) < self._settings.connections:
                    self._lent[server] = self._lent.get(server, 0) + 1
                    return
                self._changed.wait(_TICK)
            waiting()

    def _kept(self, server: Server) -> Line | None:
        """One that is idle, if one is that still works."""
        while True:
            with self._changed:
                lines = self._idle.get(server)
                line = lines.pop() if lines else None
            if line is None:
                return None
            young = time.monotonic() - line.idle_since < self._settings.idle
            if young and line.is_alive():
                return line
            line.close()

    def _new(self, server: Server) -> Line:
        login = login_for(server.host, server.user, self._settings.netrc)
        return Line(server, self._settings, login)

    def _forget(self, line: Line) -> None:
        with self._changed:
            self._at_work.discard(line)

    def _put_away(self, server: Server, line: Line) -> None:
        line.idle_since = time.monotonic()
        with self._changed:
            if not self._closed and self._settings.idle > 0:
                self._idle.setdefault(server, []).append(line)
                return
        line.bid_farewell()
