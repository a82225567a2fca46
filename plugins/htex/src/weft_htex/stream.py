"""A way within one machine: between client and interchange, interchange and its local managers.

    client   [Stream] ◀── socket pair, inherited ──▶ [Stream]   interchange
    manager  [Stream] ◀── through weft_htex.door ──▶ [Stream]   interchange

Nobody else can reach it, for it has no name; either side sees the end of the other as the end of
the file, whatever ended it. Frames of :mod:`weft_htex.messages` go over it as they are, of any
size, in the format of :mod:`weft.workers.protocol`; nothing is cut in pieces, and what came in
pieces is written piece by piece and read as one.

It takes no thread and no library, so it costs a message two system calls, and one wake-up.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Sequence
from select import POLLOUT, poll
from typing import Any, Final

from weft.workers.memory import Memory
from weft.workers.protocol import BrokenStream, Reader, framed
from weft_htex import messages
from weft_htex.messages import BadMessage, Cut

__all__ = ["Stream", "pair"]

_KIND: Final = 1  # what a message is stands in its first frame
_AT_ONCE: Final = 64
_READS: Final = 16


_ON_THE_WAY: Final = 1 << 20  # the more goes at once, the less often both sides wake up


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new way."""
    return socket.socketpair()


class Stream:
    """One end: whole messages in and out, nothing that blocks. Belongs to one thread.

    Args:
        end: of the way; closed by :meth:`close`.
        most: bytes that one part of a message may have.

    Attributes:
        moved: whether bytes have come since this was last set to false: a sign of life, also in the
            middle of a large message.
        fd: to be waited for: readable when something came, writable when ``blocked`` may end.
        over: whether the other side is gone, and all that it said has been taken.
        waiting: bytes that wait for room.
    """

    def __init__(self, end: socket.socket, most: int = 1 << 40) -> None:
        end.setblocking(False)
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ON_THE_WAY)
        self._socket, self._send, self._recv_into = end, end.send, end.recv_into
        self.fd = end.fileno()
        self.over = False
        self.waiting = 0
        self.moved = False
        self._most = most
        self._reader = Reader(self._place)
        self._came: deque[Sequence[Any]] = deque()
        self._out: deque[Any] = deque()
        self._ended = False
        self._emptied = False

    @property
    def blocked(self) -> bool:
        """Whether there is more to send than there is room for now."""
        return bool(self._out)

    @property
    def writes(self) -> bool:
        """Whether its descriptor has to be waited for to become writable."""
        return bool(self._out)

    @property
    def ready(self) -> bool:
        """Whether something can be done at once. To be looked at before each wait."""
        return bool(self._came)

    def fired(self) -> None:
        """Its descriptor was ready: there is something to be read, whatever was found before."""
        self._emptied = False

    def send(self, parts: Sequence[Any]) -> None:
        """Send a message now, or as soon as there is room; if nobody is there, it is dropped."""
        if self._ended:
            return
        lengths = None
        if len(parts) > 1 and any(type(part) is Cut for part in parts):
            several = [part.pieces if type(part) is Cut else (part,) for part in parts]
            lengths = [sum(memoryview(one).nbytes for one in pieces) for pieces in several]
            parts = [piece for pieces in several for piece in pieces]
        buffers = framed(_KIND, parts, lengths)
        if not self._out:
            # Nearly always there is room for it, and nothing to keep.
            one = len(buffers) == 1
            try:
                count = self._send(buffers[0]) if one else self._socket.sendmsg(buffers[:_AT_ONCE])
            except BlockingIOError:
                count = 0
            except OSError:
                self._drop()
                return
            if one and count == len(buffers[0]):
                return
            self._out.extend(buffers)
            self.waiting = sum(memoryview(one).nbytes for one in buffers)
            self._wrote(count)
            self.flush()
        else:
            self._out.extend(buffers)
            self.waiting += sum(memoryview(one).nbytes for one in buffers)

    def say(self, said: messages.Control, minor: int = messages.VERSION[1]) -> None:
        """Send a control message."""
        self.send(messages.control_out(said, minor))

    def flush(self) -> bool:
        """Send what waits. Returns whether all of it is on its way."""
        out = self._out
        while out:
            try:
                count = self._socket.sendmsg([out[at] for at in range(min(len(out), _AT_ONCE))])
            except BlockingIOError:
                return False
            except OSError:
                self._drop()
                return True
            self._wrote(count)
        return True

    def _wrote(self, count: int) -> None:
        out = self._out
        self.waiting -= count
        while out and count >= (size := memoryview(out[0]).nbytes):
            count -= size
            out.popleft()
        if count:
            out[0] = memoryview(out[0]).cast("B")[count:]

    def _drop(self) -> None:
        """Nobody takes it any more; what they said last can still be read."""
        self._ended = True
        self._out.clear()
        self.waiting = 0

    def receive(self) -> Sequence[Any] | None:
        """The next message, or ``None`` if none has come whole. To be asked until then.

        What was read last tells whether there was more, so it is not read again to find nothing;
        what came since makes the descriptor ready.

        Raises:
            BadMessage: something else than messages came; then the way is over.
        """
        came = self._came
        if came:
            return came.popleft()
        if self._emptied:
            self._emptied = False
        elif not self.over:
            self._read()
            if came:
                return came.popleft()
            self._emptied = False
        return None

    def _read(self) -> None:
        """Read what there is, up to the first message that is whole."""
        reader, came = self._reader, self._came
        for _ in range(_READS):
            space = reader.space()
            try:
                count = self._recv_into(space)
            except BlockingIOError:
                return
            except OSError:
                count = 0
            if not count:
                self.over = True
                self._drop()
                return
            self.moved = True
            try:
                came.extend([parts for _, parts in reader.advance(count)])
            except BrokenStream as trouble:
                self.over = True
                self._drop()
                raise BadMessage(f"what came is no message: {trouble}") from trouble
            self._emptied = count < len(space)
            if came or self._emptied:
                return

    def _place(self, size: int) -> Memory:
        if size > self._most:
            raise BrokenStream(f"a part of {size} bytes, where {self._most} are allowed")
        return Memory(size)

    def abandon(self) -> None:
        """In a child that was forked: hold nothing that would stand for this process."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def close(self, linger: float = 0.0) -> None:
        """Let go of it; what waits has so many seconds to get away."""
        until = time.monotonic() + linger
        waits = poll()
        if not self._ended:
            waits.register(self.fd, POLLOUT)
            while not self.flush() and (left := until - time.monotonic()) > 0:
                waits.poll(left * 1000)
        self._drop()
        self.over = True
        with contextlib.suppress(OSError):
            # Also seen where a child of this process holds the same end.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
