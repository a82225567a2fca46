"""Where managers of other machines come in: tcp, encrypted and vouched for by CURVE.

    managers ◀── ROUTER ──▶ ┐
    libzmq   ──── REP ────▶ ├ the interchange's loop      "may this key connect?"
    libzmq   ──── PAIR ───▶ ┘                             "a connection broke"

The descriptor of a zmq socket says that something has changed since all was read, and says it once.
The two small sockets are read to their end at first, and whenever theirs does. What is sent may
swallow what the router's says, so the router is asked again before each wait.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import zmq
from zmq.utils import z85

from weft_htex import addresses as places
from weft_htex import messages
from weft_htex.keys import make_pair
from weft_htex.messages import Cut

__all__ = ["Network"]

# Plain numbers: what the names of zmq stand for costs a microsecond each time it is combined.
_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.SNDMORE)
_EVENTS: Final = int(zmq.EVENTS)
_CAME: Final = int(zmq.POLLIN)

_LIMIT: Final = 2 * messages.FRAME  # the largest frame that a socket takes, from anybody
_BACKLOG: Final = 1024
_HANDSHAKE: Final = 5000
_UNREACHABLE: Final = frozenset({errno.EHOSTUNREACH, errno.EAGAIN})
_STRANGERS: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class Network:
    """Listens at a port.

    Args:
        addresses: under which managers are to seek it; its machine's own when empty.
        ports: the first and the last of a range to listen at; any free one when ``None``.
        local: whether managers run on this machine alone.
        encrypted: whether all is encrypted and nobody unknown may connect.

    Attributes:
        addresses: where managers find it, the likeliest first.
        key: its public key, in Z85; empty when nothing is encrypted.
        ignored: what was ignored since this was emptied last, in words.
        broken: whether a connection broke of which nobody says whose; to be set back by the reader.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        ports: tuple[int, int] | None,
        *,
        local: bool,
        encrypted: bool,
    ) -> None:
        self.addresses: Sequence[str] = ()
        self.key = ""
        self.ignored: list[str] = []
        self.broken = False
        self._given, self._ports, self._encrypted = addresses, ports, encrypted
        self._local = local or not encrypted
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._ripe = False
        self._unsure = True

    def open(self, selector: selectors.BaseSelector) -> None:
        """Let managers come.

        Args:
            selector: the loop's. What it says is given to :meth:`fired`.

        Raises:
            OSError: it cannot listen.
        """
        try:
            port = self._opened()
        except zmq.ZMQError as trouble:
            raise OSError(trouble.errno, str(trouble)) from trouble
        for one, name in (
            (self._router, "router"),
            (self._vetting, "vetting"),
            (self._monitor, "monitor"),
        ):
            selector.register(int(one.get(zmq.FD)), selectors.EVENT_READ, name)
        self._vet({})
        self._look_at_connections()
        found = places.candidates(self._given, local=self._local)
        self.addresses = [places.endpoint(address, port) for address in found]

    def _opened(self) -> int:
        # First of all: without it, every key may connect.
        self._vetting = self._made(zmq.REP)
        self._vetting.bind("inproc://zeromq.zap.01")
        self._router = self._made(zmq.ROUTER)
        port = self._listen()
        self._monitor = self._router.get_monitor_socket(zmq.EVENT_DISCONNECTED | _STRANGERS)
        self._sockets.append(self._monitor)
        return port

    def _made(self, kind: int) -> zmq.Socket[bytes]:
        one = self._context.socket(kind)
        self._sockets.append(one)
        return one

    def _listen(self) -> int:
        """Listen for managers. Returns the port."""
        router = self._router
        router.set(zmq.ROUTER_MANDATORY, 1)
        # What goes out to a manager is bounded by what it is dealt.
        router.set(zmq.SNDHWM, 0)
        router.set(zmq.MAXMSGSIZE, _LIMIT)
        router.set(zmq.BACKLOG, _BACKLOG)
        router.set(zmq.HANDSHAKE_IVL, _HANDSHAKE)
        router.set(zmq.TCP_KEEPALIVE, 1)
        router.set(zmq.TCP_KEEPALIVE_IDLE, 60)
        if self._encrypted:
            self.key, secret = make_pair()
            router.set(zmq.CURVE_SERVER, 1)
            router.set(zmq.CURVE_SECRETKEY, secret.encode())
            router.set(zmq.ZAP_DOMAIN, b"weft")
            with contextlib.suppress(AttributeError):
                router.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        host = "*"
        if self._local:
            host = places.LOOPBACK
        else:
            # Of both families, since addresses of both are offered; where the system has no IPv6,
            # libzmq does without it.
            router.set(zmq.IPV6, 1)
        first, last = self._ports or (0, 0)
        trouble: zmq.ZMQError | None = None
        for port in range(first, last + 1):
            try:
                router.bind(f"tcp://{host}:{port or '*'}")
            except zmq.ZMQError as error:
                trouble = error
                continue
            bound = router.get(zmq.LAST_ENDPOINT)
            return int(bytes(bound).rstrip(b"\0").rpartition(b":")[2])
        raise OSError(
            errno.EADDRINUSE, f"No port from {first} to {last} can be listened at: {trouble}"
        )

    @property
    def pending(self) -> bool:
        """Whether something may be heard at once. To be asked before each wait."""
        if not self._ripe and self._unsure:
            self._look()
        return self._ripe

    def _look(self) -> None:
        self._unsure = False
        self._ripe = bool(int(self._router.get(_EVENTS)) & _CAME)

    def vets(self, ready: Collection[Any]) -> bool:
        """Whether somebody asks to come in, so that the latest admissions should be known."""
        return "vetting" in ready

    def fired(self, ready: Collection[Any], admitted: Mapping[bytes, str]) -> None:
        """Take what the selector said.

        Args:
            ready: the data of its keys; those of others are left alone.
            admitted: which keys may come in, and the blocks they belong to.
        """
        if "vetting" in ready:
            self._vet(admitted)
        if "monitor" in ready:
            self._look_at_connections()
        if "router" in ready:
            self._look()

    def _vet(self, admitted: Mapping[bytes, str]) -> None:
        """Say whether a key may connect."""
        while True:
            try:
                asked = self._vetting.recv_multipart(_NOW)
            except zmq.Again:
                return
            block = None
            if len(asked) == 7 and asked[5] == b"CURVE":
                block = admitted.get(asked[6])
            head = [b"1.0", asked[1] if len(asked) > 1 else b""]
            if block is None:
                self._vetting.send_multipart([*head, b"400", b"unknown key", b"", b""])
            else:
                self._vetting.send_multipart([*head, b"200", b"", block.encode(), b""])

    def _look_at_connections(self) -> None:
        while True:
            try:
                event, _ = self._monitor.recv_multipart(_NOW)
            except zmq.Again:
                return
            # A number of two bytes, and a value that is of no use here; see zmq_socket_monitor(3).
            if int.from_bytes(event[:2], sys.byteorder) & _STRANGERS:
                self.ignored.append("a connection of somebody unknown")
            else:
                self.broken = True

    def hear(self, most: int) -> Iterator[tuple[bytes, Sequence[Any], str | None]]:
        """What came, at most so many messages.

        Yields: the identity of the connection, the frames, and the block whose key it has; ``None``
        when nothing is encrypted, and nothing when the message cannot be a registration.
        """
        receive = self._router.recv
        for _ in range(most):
            if not self._ripe:
                return
            frame = receive(_NOW, copy=False)
            identity, parts = frame.bytes, []
            while frame.more:
                frame = receive(_NOW, copy=False)
                parts.append(frame)
            self._look()
            block = None
            if self._encrypted and parts:
                block = _block_of(parts[0]) if parts[0].bytes[:1] == messages.CONTROL else ""
            yield identity, _opened(parts), block

    def send(self, identity: bytes, parts: Sequence[Any]) -> bool:
        """Send a message, in pieces if it is large.

        Returns whether it is on its way; if not, the connection is broken.
        """
        self._unsure = True
        send = self._router.send
        try:
            for message in messages.messages_out(parts):
                send(identity, _NOW | _MORE)
                *others, last = _closed(message)
                for one in others:
                    send(one, _NOW | _MORE, copy=len(one) < messages.LARGE)
                send(last, _NOW, copy=len(last) < messages.LARGE)
        except zmq.ZMQError as trouble:
            if trouble.errno not in _UNREACHABLE:
                raise
            return False
        return True

    def key_of(self, text: str) -> bytes:
        """A block's public key, as its connections show it.

        Raises:
            ValueError: it is none.
        """
        try:
            return bytes(z85.decode(text))
        except (KeyError, AssertionError) as trouble:
            raise ValueError("it is no Z85") from trouble

    def close(self, linger: float) -> None:
        """Shut it, once what was said last is away."""
        for one in self._sockets:
            one.close(int(linger * 1000))
        self._context.term()


def _block_of(frame: zmq.Frame) -> str:
    """The block whose key a message came with."""
    with contextlib.suppress(zmq.ZMQError):
        return str(frame.get("User-Id"))
    return ""


def _opened(parts: Sequence[Any]) -> list[Any]:
    """Frames as they come from a socket: the first as bytes, for it is read here."""
    if not parts:
        return []
    first, *others = parts
    opened = [first.bytes if type(first) is zmq.Frame else first, *others]
    if opened[0][:1] == messages.PIECES and len(opened) > 1 and type(opened[1]) is zmq.Frame:
        opened[1] = opened[1].bytes  # it is the first of the message that the pieces make up
    return opened


def _closed(parts: Sequence[Any]) -> Sequence[Any]:
    """Frames as they go into a socket."""
    if any(type(part) is Cut for part in parts):
        return [b"".join(part.pieces) if type(part) is Cut else part for part in parts]
    return parts
