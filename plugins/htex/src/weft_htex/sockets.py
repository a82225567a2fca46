"""Small things that every side does with its zmq sockets."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from weft_htex import messages
from weft_htex.messages import Whole

__all__ = ["Line", "first_reached"]

_SMALL: Final = 65536
_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0
_TURNED_AWAY: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Line:
    """A socket to one peer: whole messages in and out, nothing that blocks.

    Args:
        socket: connected, or about to be.
        most: bytes of a message that may wait for its end.
    """

    def __init__(self, socket: zmq.Socket[bytes], most: int) -> None:
        self.socket = socket
        self.fd = int(socket.get(zmq.FD))
        self._whole = Whole(most)
        self._out: deque[Sequence[Any]] = deque()
        self._asked = False

    @property
    def blocked(self) -> bool:
        """Whether there is more to send than there is room for now."""
        return bool(self._out)

    @property
    def writes(self) -> bool:
        """Whether its descriptor has to be waited for to become writable; that of zmq never."""
        return False

    def fired(self) -> None:
        """Its descriptor was readable.

        The descriptor of a zmq socket says that something has changed, and says it once; after
        that, and after everything that is done to the socket, it has to be asked what there is.
        """
        self._asked = False

    @property
    def ready(self) -> bool:
        """Whether something can be done at once. To be looked at before each wait."""
        if self._asked:
            return False
        now = int(self.socket.get(zmq.EVENTS))
        if now & zmq.POLLIN or (self._out and now & zmq.POLLOUT):
            return True
        self._asked = True
        return False

    def send(self, parts: Sequence[Any]) -> None:
        """Send a message now, or as soon as there is room."""
        self._out.extend(messages.messages_out(parts))
        self.flush()

    def say(self, said: messages.Control, minor: int = messages.VERSION[1]) -> None:
        """Send a control message."""
        self.send(messages.control_out(said, minor))

    def flush(self) -> bool:
        """Send what waits. Returns whether all of it is on its way."""
        out = self._out
        if out:
            self._asked = False
        while out:
            try:
                self.socket.send_multipart(out[0], zmq.NOBLOCK, copy=False)  # if large
            except zmq.Again:
                return False
            out.popleft()
        return True

    def receive(self) -> Sequence[Any] | None:
        """The next message: its frames, none if only a piece came, ``None`` if nothing is there.

        Raises:
            BadMessage: what came is none.
        """
        if self._asked:
            return None
        source = self.socket
        if not int(source.get(zmq.EVENTS)) & zmq.POLLIN:
            self._asked = not self._out
            return None
        frame = source.recv(copy=False)
        parts: list[Any] = [frame.bytes]
        while frame.more:
            frame = source.recv(copy=False)
            parts.append(frame.bytes if len(frame) < _SMALL else frame.buffer)
        return self._whole.take(parts) or ()

    def close(self, linger: float = 0.0) -> None:
        """Let go of the socket; what it has taken has so many seconds to get away."""
        self.flush()
        self._out.clear()
        self.socket.close(int(linger * 1000))


def first_reached(
    addresses: Sequence[str], made: Callable[[], zmq.Socket[bytes]], timeout: float, stop: int
) -> tuple[str, zmq.Socket[bytes]] | None:
    """Connect a socket to each of these addresses; the first to shake hands.

    The others are closed. Who is refused comes again, for he may have come before he was expected:
    a socket that was turned away does not try again by itself.

    Args:
        addresses: where to knock.
        made: gives a new socket.
        timeout: seconds after which it is given up.
        stop: a descriptor that can be read from when it is to be given up at once.
    """
    until = time.monotonic() + timeout
    knocks = [_Knock(address, made) for address in addresses]
    poller = zmq.Poller()
    poller.register(stop, zmq.POLLIN)
    found: _Knock | None = None
    try:
        while found is None and (now := time.monotonic()) < until:
            for one in knocks:
                if one.due is not None and one.due <= now:
                    poller.register(one.knock(), zmq.POLLIN)
            due = min([until, *(one.due for one in knocks if one.due is not None)])
            ready = dict(poller.poll(max(1, math.ceil((due - now) * 1000))))
            if stop in ready:
                break
            for one in knocks:
                if one.monitor in ready:
                    if one.opened():
                        found = one
                        break
                    poller.unregister(one.monitor)
                    one.turn_back(time.monotonic())
    finally:
        for one in knocks:
            if one is not found:
                one.end()
    if found is None:
        return None
    return found.address, found.taken()


class _Knock:
    """Tries at one address.

    Attributes:
        socket: that of the present try.
        monitor: says what becomes of it.
        due: when to try, if not now.
    """

    def __init__(self, address: str, made: Callable[[], zmq.Socket[bytes]]) -> None:
        self.address, self._made = address, made
        self.socket: zmq.Socket[bytes] | None = None
        self.monitor: Any = None
        self.due: float | None = 0.0
        self._pause = _PAUSE

    def knock(self) -> Any:
        """Try. Returns the monitor."""
        self.due = None
        self.socket = self._made()
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | _TURNED_AWAY)
        self.socket.connect(self.address)
        return self.monitor

    def opened(self) -> bool:
        """Whether what the monitor says is that hands were shaken."""
        said = parse_monitor_message(self.monitor.recv_multipart())
        return bool(said["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def turn_back(self, now: float) -> None:
        """Try again after a while."""
        self.end()
        self.due = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def taken(self) -> zmq.Socket[bytes]:
        """The socket, which is somebody else's now."""
        assert self.socket is not None  # it shook hands
        self.socket.disable_monitor()
        self.monitor.close(0)
        return self.socket

    def end(self) -> None:
        """Let go of the present try, if there is one."""
        if self.socket is not None:
            self.taken().close(0)
            self.socket = self.monitor = None
