"""Small things that every side does with its zmq sockets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import zmq

from weft_htex import messages
from weft_htex.messages import Whole

__all__ = ["Line", "first_reached"]

_SMALL: Final = 65536


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
    sockets: Mapping[str, zmq.Socket[bytes]], timeout: float, stop: int
) -> tuple[str, zmq.Socket[bytes]] | None:
    """Connect each of these sockets to its address; the first to shake hands.

    The others are closed.

    Args:
        sockets: by their addresses.
        timeout: seconds after which it is given up.
        stop: a descriptor that can be read from when it is to be given up at once.
    """
    poller = zmq.Poller()
    poller.register(stop, zmq.POLLIN)
    monitors: dict[Any, str] = {}
    for address, one in sockets.items():
        monitor = one.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        monitors[monitor] = address
        poller.register(monitor, zmq.POLLIN)
        one.connect(address)
    ready = poller.poll(int(timeout * 1000))
    shaken = [monitors[one] for one, _ in ready if one in monitors]
    for address, one in sockets.items():
        one.disable_monitor()
        if address not in shaken[:1]:
            one.close(0)
    return (shaken[0], sockets[shaken[0]]) if shaken else None
