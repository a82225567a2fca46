"""A link whose frames pass through this process, which may lose or delay them.

One thread, ``netns-wire``, moves the frames; others only replace the rule by which it does.

    host's tap ──▶ ┐ rule(frame, outward) ─▶ seconds of delay, or None: lost ┌ ──▶ switch's tap
               ◀── ┘                                                         └ ◀──
"""

import fcntl
import heapq
import itertools
import os
import selectors
import struct
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Frame", "Rule", "Wire", "each", "flow_of"]

Frame = bytes
Rule = Callable[[Frame, bool], float | None]
"""Takes a frame and whether it goes away from the host; returns its delay in seconds, or that it
is lost."""

_TUNSETIFF: Final = 0x400454CA
_TAP_WITHOUT_HEADER: Final = 0x1002
_TCP: Final = 6
_IPV4: Final = b"\x08\x00"
_LONGEST: Final = 65536


class Wire:
    """Moves frames between two taps, both of which it closes.

    Args:
        near: the host's.
        far: the switch's.

    Attributes:
        rule: what becomes of a frame; may be replaced at any time, from any thread.
    """

    def __init__(self, near: int, far: int) -> None:
        self.rule: Rule = _through
        self._near, self._far = near, far
        self._hear, self._say = os.pipe()
        self._thread = threading.Thread(target=self._run, name="netns-wire", daemon=True)
        self._thread.start()

    @staticmethod
    def tap(name: str) -> int:
        """A new interface where this thread is, as a descriptor of its frames."""
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(
            descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER)
        )
        return descriptor

    def forget(self) -> None:
        """From now on, lose all that belongs to a connection there was before, without a word."""
        known: set[frozenset[bytes]] = set()
        started: set[frozenset[bytes]] = set()

        def rule(frame: Frame, _outward: bool) -> float | None:
            flow, opens = flow_of(frame)
            if flow is None:
                return 0.0
            if opens:
                started.add(flow)
            elif flow not in started:
                known.add(flow)
            return None if flow in known else 0.0

        self.rule = rule

    def close(self) -> None:
        """End the thread, and with the taps the interfaces."""
        os.close(self._say)
        self._thread.join()
        for descriptor in (self._hear, self._near, self._far):
            os.close(descriptor)

    def _run(self) -> None:
        waiting: list[tuple[float, int, int, Frame]] = []
        numbers = itertools.count()
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._hear, self._near, self._far):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                wait = None if not waiting else max(0.0, waiting[0][0] - time.monotonic())
                for key, _ in selector.select(wait):
                    if key.fd == self._hear:
                        return
                    outward = key.fd == self._near
                    frame = os.read(key.fd, _LONGEST)
                    delay = self.rule(frame, outward)
                    if delay is not None:
                        to = self._far if outward else self._near
                        at = time.monotonic() + delay
                        heapq.heappush(waiting, (at, next(numbers), to, frame))
                while waiting and waiting[0][0] <= time.monotonic():
                    _, _, to, frame = heapq.heappop(waiting)
                    _put(to, frame)


def _through(_frame: Frame, _outward: bool) -> float | None:
    return 0.0


def each(number: int) -> Callable[[], bool]:
    """Says yes every so many times."""
    count = itertools.count(1)
    return lambda: next(count) % number == 0


def flow_of(frame: Frame) -> tuple[frozenset[bytes] | None, bool]:
    """The two ends of the TCP connection of an IPv4 frame, and whether this begins it."""
    if frame[12:14] != _IPV4 or frame[23] != _TCP:
        return None, False
    at = 14 + (frame[14] & 15) * 4
    ends = frozenset((frame[26:30] + frame[at : at + 2], frame[30:34] + frame[at + 2 : at + 4]))
    return ends, frame[at + 13] & 0x12 == 0x02


def _put(to: int, frame: Frame) -> None:
    try:
        os.write(to, frame)
    except (BlockingIOError, OSError):
        return  # its queue is full, or its interface is down: frames get lost, as on any wire
