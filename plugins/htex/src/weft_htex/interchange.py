"""Between the client and the managers: takes tasks, deals them out, and brings results back.

One thread, one loop, which owns every socket:

    client   ◀── a socket pair; its end is the client's end ──▶ ┐
    managers ◀── ROUTER, tcp with CURVE ──────────────────────▶ ├─ wait ─▶ hear all ─▶ match ─▶ say
    libzmq   ──── REP, "may this key connect?" ───────────────▶ │
    libzmq   ──── PAIR, "a connection broke" ─────────────────▶ ┘

It is a process of its own (``python -m weft_htex.interchange``, whose standard input is its end of
the socket pair, and whose first message is its :class:`~weft_htex.orders.Parameters`, as JSON), or
a thread of the client (``Thread(target=Interchange(parameters, end).run)``).

Payloads are opaque here: they are cut out of one message and put into another. Who gets what is the
matter of :mod:`weft_htex.matching`. A turn of the loop takes all there is and then sends one
message to each that gets something, so the work for a task is a small part of that for a message.

*Nothing waits for a slow peer.* What a manager has is bounded by what it was dealt. When the client
takes no results for a while, managers are not listened to until it does, and keep theirs.

*Nobody is believed.* Who has no admitted key does not get as far as this loop. Who has, and says
something malformed, is cut off: its tasks are lost, and tried again elsewhere.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import selectors
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from weft.workers.leaving import leave, rarely_collected
from weft_htex import messages
from weft_htex.definitions import Definitions
from weft_htex.door import Door
from weft_htex.keys import KEY, private_folder
from weft_htex.matching import Ended, Manager, Matching
from weft_htex.messages import BadMessage, Whole
from weft_htex.orders import Parameters
from weft_htex.stream import Stream

if TYPE_CHECKING:
    from weft_htex.network import Network

__all__ = ["Interchange", "main"]

_LINGER: Final = 1.0
_GRACE: Final = 5.0
_FROM_CLIENT: Final = 64
_START: Final = 60.0
_FROM_MANAGERS: Final = 256
_AT_CLIENT: Final = 4 << 20
_SHARE: Final = 20  # what can wait takes at most one part of so many of the time
_NAMES: Final = 255
_NEWS: Final = 0.05
_NEWS_SHARE: Final = 100  # of two that pay for them, this one and the client
_NEWS_AT_LEAST: Final = 1.0  # a client that knows too little of its workers keeps tasks back
_REFUSED: Final = 10_000
_EARLY: Final = 5.0
_DEFINITIONS: Final = 128 << 20  # bytes of them that are kept
_KNOWN: Final = 10_000
_ENDLESS: Final = 1e15
_VERSION_PARTS: Final = 2


class _Log:
    """Lines in a file that others cannot read. A disk that is full ends no interchange."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)

    def write(self, level: str, text: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = f"{stamp}.{int(now % 1 * 1000):03d}Z {level:<7} {_printable(text)}\n"
        with contextlib.suppress(OSError):
            os.write(self._file, line.encode("utf-8", "replace"))

    def close(self) -> None:
        os.close(self._file)


def _printable(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "?", text)


class _Peer:
    """A manager that is registered, as its connection.

    Attributes:
        identity: its connection's.
        said: how it registered.
        manager: itself, as the matching knows it.
        minor: of the protocol that both speak.
        known: the definitions it has.
        whole: puts its messages together.
        heard, told: when it last said something, and was last told something.
        running: what it said last that it runs.
        at: the workers that it runs it on.
        idle: since when it has had no task, as far as it has none.
        used: whether it was given any since the last signs of life were looked for.
        said_idle: whether the client was told that it has none.
        gone: since when its connection is broken, or ``None``.
        unsaid: control messages that wait for the connection to be back.
        source, mark: whose its tasks are, as outcomes say it: in words, and as a row.
    """

    __slots__ = (
        "at", "gone", "heard", "identity", "idle", "known", "manager", "mark", "minor", "running",
        "said", "said_idle", "source", "told", "unsaid", "used", "whole",
    )  # fmt: skip

    def __init__(
        self, identity: bytes, said: messages.Register, manager: Manager, most: int, now: float
    ) -> None:
        self.identity, self.said, self.manager = identity, said, manager
        self.minor = min(said.version[1], messages.VERSION[1])
        self.known: set[bytes] = set()
        self.whole = Whole(most, join=False)
        self.heard = self.told = self.idle = now
        self.used = self.said_idle = False
        self.running: Sequence[int] = ()
        self.at: Sequence[tuple[int, int]] = ()
        self.gone: float | None = None
        self.unsaid: list[messages.Control] = []
        self.source = f"{manager.name} on {said.host}"
        self.mark = messages.source_bytes(self.source)

    @property
    def name(self) -> str:
        return self.manager.name

    @property
    def place(self) -> str:
        return f"{self.name} on {self.said.host} (block {self.said.block})"


class _Way:
    """A connection of a manager on this machine.

    Attributes:
        identity: what stands for it where the others' have the router's.
        stream: itself.
        events: what the selector waits for.
    """

    __slots__ = ("events", "identity", "stream")

    def __init__(self, identity: bytes, stream: Stream) -> None:
        self.identity, self.stream = identity, stream
        self.events = 0


class Interchange:
    """See the module. All of it but :meth:`stop` belongs to the thread that calls :meth:`run`.

    Args:
        parameters: how it is to be.
        client: its end of the way to the client, which it closes.
        clock: seconds, which only go forward.
    """

    def __init__(
        self,
        parameters: Parameters,
        client: socket.socket | Stream,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameters = parameters
        self._client = client if isinstance(client, Stream) else Stream(client)
        self._clock = clock
        self._now = 0.0  # when this turn began
        self._stopping = threading.Lock()
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._matching = Matching(parameters.selector, parameters.prefetch)
        self._peers: dict[bytes, _Peer] = {}
        self._by_name: dict[str, _Peer] = {}
        self._door: Door | None = None
        self._ways: dict[bytes, _Way] = {}
        self._ways_made = 0
        self._unheard: set[_Way] = set()
        self._refused: dict[bytes, None] = {}
        self._admitted: dict[bytes, str] = {}
        self._ended: set[str] = set()
        self._early: dict[bytes, tuple[messages.Register, float]] = {}
        self._keys: dict[str, bytes] = {}
        self._draining: set[str] = set()
        self._definitions: Definitions[bytes] = Definitions(_DEFINITIONS)
        self._wanted: dict[bytes, set[str]] = {}
        self._results: list[tuple[bytes, Any, Sequence[Any]]] = []
        self._ends: list[list[Any]] = []
        self._ran: list[list[float]] = []
        self._to_client: list[Sequence[Any]] = []
        self._told: list[list[str]] = []
        self._gone: list[list[str]] = []
        self._ignored = 0
        self._ignored_logged = 0
        self._managers_made = 0
        self._news_wanted = False
        self._news_at = self._beat_at = 0.0
        self._probe_at = math.inf
        self._probed = 0.0
        self._probe_cost = 0.0
        self._deaf = self._writes = False
        self._closing: float | None = None
        self._over = False
        self._network: Network | None = None

    def stop(self) -> None:
        """End, as if the client had gone. From any thread, more than once, also after the end."""
        with self._stopping, contextlib.suppress(BlockingIOError):
            if self._stop_write >= 0:
                os.write(self._stop_write, b"!")

    # ----------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Serve until the client says that it is over, or is gone.

        Raises:
            OSError: it cannot use its folder, or listen anywhere.
        """
        try:
            folder = private_folder(self._parameters.folder)
            self._log = _Log(folder / "interchange.log")
        except BaseException:
            self._close_stop()
            raise
        try:
            with selectors.DefaultSelector() as self._selector:
                self._open(folder)
                self._serve()
        except BaseException as trouble:
            self._log.write("error", f"ended by {type(trouble).__name__}: {trouble}")
            raise
        finally:
            if self._network is not None:
                self._network.close(_LINGER)
            if self._door is not None:
                self._door.close()
            for way in self._ways.values():
                way.stream.close(_LINGER)
            self._client.close(_LINGER)
            self._log.write("info", "ended")
            self._log.close()
            self._close_stop()

    def _close_stop(self) -> None:
        """Let go of the way on which it is stopped; the lock, since that may happen right now."""
        with self._stopping:
            if self._stop_write >= 0:
                os.close(self._stop_read)
                os.close(self._stop_write)
                self._stop_read = self._stop_write = -1

    def _open(self, folder: Path) -> None:
        given = self._parameters
        self._selector.register(self._client.fd, selectors.EVENT_READ, "client")
        self._selector.register(self._stop_read, selectors.EVENT_READ, "stop")
        self._now = self._clock()
        self._beat_at = self._now + given.heartbeat
        doors = self._open_door(folder) if given.door else []
        # Nobody comes from elsewhere to one who can only be reached from here.
        ways, key = ([], "") if given.local and doors else self._open_network()
        self._say(messages.Hello(addresses=ways, key=key, pid=os.getpid(), doors=doors))
        told = [*doors, *ways]
        self._news_wanted = True
        self._log.write("info", f"{given.label}: process {os.getpid()}, to be found at {told}")

    def _open_network(self) -> tuple[list[str], str]:
        """Listen for managers of other machines. Returns where, and the public key."""
        # Not light: a library, and a thread of it.
        from weft_htex.network import Network

        given = self._parameters
        network = self._network = Network(
            given.addresses, given.ports, local=given.local, encrypted=given.encrypted
        )
        network.open(self._selector)
        return list(network.addresses), network.key

    def _open_door(self, folder: Path) -> list[str]:
        try:
            door = self._door = Door(folder)
        except OSError as trouble:
            self._log.write("warning", f"managers of this machine connect as others do: {trouble}")
            return []
        self._selector.register(door.fd, selectors.EVENT_READ, "door")
        return [door.address]

    def _serve(self) -> None:
        client, network = self._client, self._network
        select, clock = self._selector.select, self._clock
        more = True  # whether the client may have said more than was taken
        while not self._over:
            pending = more or (
                not self._deaf and (self._unheard or (network is not None and network.pending))
            )
            ready = {key.data for key, _ in select(0.0 if pending else self._patience())}
            now = self._now = clock()
            if "stop" in ready:
                self._abandon()
                return
            # The client first: a block that it has just admitted may be at the door already.
            if more or "client" in ready or "vetting" in ready:
                more = self._hear_client(now)
            if client.over:
                self._abandon()
                return
            if network is not None:
                self._hear_network(network, ready, now)
            if self._ways or "door" in ready:
                self._hear_ways(ready, now)
            self._deal(now)
            self._timed(now)
            self._flush(now)

    def _patience(self) -> float:
        """Seconds until something is due."""
        due = min(self._beat_at, self._probe_at)
        if self._closing is not None:
            due = min(due, self._closing)
        if self._news_wanted:
            due = min(due, self._news_at)
        for _, until in self._early.values():
            due = min(due, until)
        return max(0.0, due - self._clock())

    def _abandon(self) -> None:
        self._log.write("warning", "the client is gone; managers are told to end")
        for peer in list(self._peers.values()):
            self._tell(peer, messages.Close(timeout=0.0))

    # --------------------------------------------------------------------------------- the client

    def _hear_client(self, now: float) -> bool:
        """Take what the client says. Returns whether there may be more."""
        receive = self._client.receive
        for _ in range(_FROM_CLIENT):
            try:
                parts = receive()
                if parts is None:
                    return False
                self._take_from_client(parts, now)
            except BadMessage as trouble:
                self._notice("error", f"The client sent what is no message: {trouble}")
        return True

    def _take_from_client(self, parts: Sequence[Any], now: float) -> None:
        kind = messages.kind_of(parts)
        if kind == messages.TASKS:
            if self._closing is None:
                self._take_tasks(parts)
        elif kind == messages.DEFINE:
            self._take_definitions(parts)
        elif kind == messages.CONTROL:
            self._obey(messages.control_in(parts), now)
        else:
            raise BadMessage(f"a client sends no message of the kind {kind!r}")

    def _take_tasks(self, parts: Sequence[Any]) -> None:
        matching, last, lane = self._matching, None, None
        arrived = matching.arrived
        for number, attempt, manner, row, frames in messages.task_rows(parts):
            if manner != last:
                try:
                    lane, last = matching.lane(manner, messages.manner_of), manner
                except ValueError as trouble:
                    self._end(number, attempt, "lost", str(trouble), "interchange")
                    continue
            assert lane is not None
            superseded = arrived(lane, number, attempt, row, frames)
            if superseded is not None and superseded.manager is not None:
                self._tell_manager(superseded.manager, messages.Cancel(ids=[number]))

    def _take_definitions(self, parts: Sequence[Any]) -> None:
        for digest, blob in messages.definitions_in(parts).items():
            self._definitions.put(digest, blob, len(blob))
            for name in self._wanted.pop(digest, ()):
                peer = self._by_name.get(name)
                if peer is not None:
                    self._define(peer, [digest])
        self._definitions.trim()

    def _obey(self, said: messages.Control, now: float) -> None:
        if isinstance(said, messages.Cancel):
            self._unwanted(*self._matching.cancel(said.ids), messages.Cancel)
        elif isinstance(said, messages.Drop):
            self._unwanted(*self._matching.drop(said.ids), messages.Drop)
        elif isinstance(said, messages.Admit):
            self._admit(said, now)
        elif isinstance(said, messages.Drain):
            self._drain(said)
        elif isinstance(said, messages.Close):
            self._close(said, now)
        else:
            raise BadMessage(f"a client does not say {said.name!r}")

    def _unwanted(
        self,
        ended: list[Ended],
        tell: dict[Manager, list[int]],
        how: type[messages.Cancel | messages.Drop],
    ) -> None:
        for one in ended:
            self._end(one.task.id, one.task.attempt, one.how)
        for manager, ids in tell.items():
            self._tell_manager(manager, how(ids=ids))

    def _admit(self, said: messages.Admit, now: float) -> None:
        block = said.block
        if not 0 < len(block.encode()) <= _NAMES:
            raise BadMessage("the name of a block is empty, or too long")
        if said.key:
            try:
                key = self._key_of(said.key)
            except ValueError as trouble:
                raise BadMessage("a block's key is no key") from trouble
            self._admitted[key], self._keys[block] = block, key
            self._log.write("info", f"block {block} is admitted")
            self._look_at_the_early(now, block)
            return
        key = self._keys.pop(block, b"")
        self._ended.add(block)
        if self._admitted.pop(key, None) is not None:
            self._log.write("info", f"block {block} has ended")
        self._draining.discard(block)
        for peer in [one for one in self._peers.values() if one.said.block == block]:
            self._tell(peer, messages.Close(timeout=0.0))
            self._lose(peer, "Its block ended.", now, "ended")

    def _key_of(self, text: str) -> bytes:
        """A block's key. Where nobody comes from elsewhere it only says that the block is known."""
        if self._network is not None:
            return self._network.key_of(text)
        if len(text) != KEY:
            raise ValueError(f"it has not {KEY} characters")
        return text.encode()

    def _drain(self, said: messages.Drain) -> None:
        self._draining.add(said.block)
        self._log.write("info", f"block {said.block} is drained")
        for peer in [one for one in self._peers.values() if one.said.block == said.block]:
            self._matching.drain(peer.manager)
            self._tell(peer, said)
        self._news_wanted = True

    def _close(self, said: messages.Close, now: float) -> None:
        self._log.write("info", f"told to close; what runs has {said.timeout:g} s")
        until = now + max(0.0, said.timeout) + _GRACE
        self._closing = until if self._closing is None else min(self._closing, until)
        for peer in list(self._peers.values()):
            self._matching.drain(peer.manager)
            self._tell(peer, said)
        early, self._early = self._early, {}
        for identity, (one, _) in early.items():
            self._answer(identity, one, None, now)

    def _say(self, said: messages.Control) -> None:
        """Queue a control message for the client."""
        self._to_client.append(messages.control_out(said))

    def _end(
        self,
        number: int,
        attempt: int,
        how: str,
        why: str = "",
        place: str = "",
        *,
        begun: float = 0.0,
        seconds: float = 0.0,
    ) -> None:
        """Queue the end of a try without a result for the client."""
        self._ends.append([number, attempt, how, why, place])
        self._ran.append([begun, seconds])

    def _notice(self, level: str, text: str) -> None:
        """Something that people should know."""
        self._log.write(level, text)
        self._told.append([level, _printable(text)])
        self._news_wanted = True

    def _ignore(self, why: str) -> None:
        """Count what is not heeded; log it ever more rarely, so that no log fills."""
        self._ignored += 1
        self._news_wanted = True
        if self._ignored >= 2 * self._ignored_logged:
            self._ignored_logged = self._ignored
            self._log.write("warning", f"ignored for the {self._ignored}. time: {why}")

    def _flush(self, now: float) -> None:
        """Send the client what there is; while it takes nothing, do not listen to managers."""
        if self._results:
            self._to_client.extend(_results_out(self._results))
            self._results = []
        if self._ends:
            ends, self._ends = self._ends, []
            ran, self._ran = self._ran, []
            self._say(messages.Ends(ends=ends, ran=ran if any(one[0] for one in ran) else ()))
        client = self._client
        if self._to_client:
            out, self._to_client = self._to_client, []
            for parts in out:
                client.send(parts)
        elif self._writes:
            client.flush()
        if client.blocked is not self._writes:
            self._writes = client.blocked
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._writes else 0)
            self._selector.modify(client.fd, events, "client")
        deaf = self._deaf
        if deaf and not self._writes:
            self._deaf = False
            for peer in self._peers.values():
                # They were not listened to, which is not their silence.
                peer.heard = now
        elif client.waiting > _AT_CLIENT:
            self._deaf = True
        if self._deaf is not deaf:
            for way in self._ways.values():
                self._attend(way)

    # ------------------------------------------------------------------------------- the managers

    def _probe(self, now: float) -> None:
        """A connection broke, and nobody says whose: see who can still be told something."""
        self._probe_at, self._probed = math.inf, now
        started = time.perf_counter()
        for peer in list(self._peers.values()):
            if peer.gone is None:
                self._tell(peer, messages.Beat())
        self._probe_cost = time.perf_counter() - started

    def _hear_network(self, network: Network, ready: Collection[object], now: float) -> None:
        if ready:
            network.fired(ready, self._admitted)
        if not self._deaf:
            for identity, parts, block in network.hear(_FROM_MANAGERS):
                peer = self._peers.get(identity)
                if peer is None:
                    self._hear_stranger(identity, parts, block, now)
                else:
                    self._hear_peer(peer, peer.whole, parts, now)
        if network.ignored:
            ignored, network.ignored = network.ignored, []
            for why in ignored:
                self._ignore(why)
        if network.broken:
            network.broken = False
            if self._peers and self._probe_at == math.inf:
                self._probe_at = max(now, self._probed + _SHARE * self._probe_cost)

    def _hear_peer(
        self, peer: _Peer, whole: Whole | None, parts: Sequence[Any], now: float
    ) -> None:
        peer.heard = now
        try:
            message = parts if whole is None else whole.take(parts)
            if message is not None:
                self._hear(peer, message, now)
        except BadMessage as trouble:
            self._ignore(f"{peer.place}: {trouble}")
            self._refuse(peer.identity, f"You sent what is no message: {trouble}.")
            self._lose(peer, f"It sent what is no message: {trouble}.", now)

    # ------------------------------------------------------------------- managers on this machine

    def _hear_ways(self, ready: Collection[object], now: float) -> None:
        if "door" in ready and self._door is not None:
            for end in self._door.opened():
                self._ways_made += 1
                # The router's own identities begin with another byte.
                identity = b"\1%d" % self._ways_made
                way = self._ways[identity] = _Way(
                    identity, Stream(end, self._parameters.max_message)
                )
                self._attend(way)
        for way in self._unheard.union([one for one in ready if type(one) is _Way]):
            way.stream.flush()
            if not self._deaf:
                self._unheard.discard(way)
                self._hear_way(way, now)
            self._attend(way)

    def _hear_way(self, way: _Way, now: float) -> None:
        stream, identity = way.stream, way.identity
        try:
            for _ in range(_FROM_MANAGERS):
                parts = stream.receive()
                if parts is None:
                    break
                peer = self._peers.get(identity)
                if peer is None:
                    self._hear_stranger(identity, parts, None, now)
                else:
                    self._hear_peer(peer, None, parts, now)
            else:
                self._unheard.add(way)
        except BadMessage as trouble:
            self._ignore(f"a manager of this machine: {trouble}")
        peer = self._peers.get(identity)
        if peer is not None and stream.moved:
            peer.heard = now
        stream.moved = False
        if stream.over and way not in self._unheard:
            self._end_way(way)
            if peer is not None:
                self._lose(peer, "Its connection ended.", now)

    def _attend(self, way: _Way) -> None:
        """Wait for what there is to wait for."""
        stream = way.stream
        if stream.over:
            return
        events = (0 if self._deaf else selectors.EVENT_READ) | (
            selectors.EVENT_WRITE if stream.blocked else 0
        )
        if events == way.events:
            return
        if not events:
            self._selector.unregister(stream.fd)
        elif way.events:
            self._selector.modify(stream.fd, events, way)
        else:
            self._selector.register(stream.fd, events, way)
        way.events = events

    def _end_way(self, way: _Way) -> None:
        if way.events:
            self._selector.unregister(way.stream.fd)
            way.events = 0
        self._unheard.discard(way)
        self._early.pop(way.identity, None)
        del self._ways[way.identity]
        way.stream.close()

    def _hear(self, peer: _Peer, parts: Sequence[Any], now: float) -> None:
        kind = messages.kind_of(parts)
        if kind == messages.RESULTS:
            self._take_results(peer, parts, now)
            return
        if kind != messages.CONTROL:
            raise BadMessage(f"a manager sends no message of the kind {kind!r}")
        if messages.version_of(parts) is not None:
            self._lose(peer, "It registered anew.", now)
            self._hear_stranger(peer.identity, parts, peer.said.block, now)
            return
        said = messages.control_in(parts, peer.minor)
        if isinstance(said, messages.Beat):
            peer.running, peer.at = said.running, said.workers
        elif isinstance(said, messages.Ends):
            self._take_ends(peer, said, now)
        elif isinstance(said, messages.Told):
            # Ahead of the results that came later, which are put behind it when this turn ends.
            messages.check_told(said)
            self._to_client.append(parts)
        elif isinstance(said, messages.Missing):
            self._take_missing(peer, said)
        elif isinstance(said, messages.Close):
            self._lose(peer, "It ended.", now, "ended")
        else:
            raise BadMessage(f"a manager does not say {said.name!r}")

    def _take_results(self, peer: _Peer, parts: Sequence[Any], now: float) -> None:
        manager, finished = peer.manager, self._matching.finished
        rows = messages.result_rows(parts)
        good = [row for row in rows if finished(manager, row[0], row[1], row[2])]
        if len(good) == len(rows):
            self._results.append((peer.mark, memoryview(parts[0])[1:], parts[1:]))
        else:
            first = parts[0]
            for _ in range(len(rows) - len(good)):
                self._ignore(f"a result from {peer.place} that is not its to give, or too late")
            for _, _, _, start, end, frame, after in good:
                self._results.append((peer.mark, first[start:end], parts[frame:after]))
        self._changed(peer, now)

    def _take_ends(self, peer: _Peer, said: messages.Ends, now: float) -> None:
        for one in said.ends:
            if [type(part) for part in one] != [int, int, str, str, str] or one[
                2
            ] not in messages.HOWS:
                raise BadMessage("an end is not an id, an attempt, how, why and where")
        ran = said.ran or [[0.0, 0.0]] * len(said.ends)
        if len(ran) != len(said.ends) or any(
            len(one) != 2 or not all(0 <= part < _ENDLESS for part in one) for one in ran
        ):
            raise BadMessage("of ends it is not said when each began, and for how long it ran")
        for (number, attempt, how, why, place), (begun, seconds) in zip(
            said.ends, ran, strict=True
        ):
            if how == "returned":
                self._matching.returned(peer.manager, number, attempt)
            elif self._matching.finished(peer.manager, number, attempt):
                self._end(
                    number, attempt, how, why, place or peer.source, begun=begun, seconds=seconds
                )
            else:
                self._ignore(f"an end from {peer.place} that is not its to give, or too late")
        self._changed(peer, now)

    def _changed(self, peer: _Peer, now: float) -> None:
        """Tasks of a manager have ended; if they were its last, it is idle from now on."""
        self._matching.changed(peer.manager)
        peer.idle = now

    def _take_missing(self, peer: _Peer, said: messages.Missing) -> None:
        try:
            digests = [bytes.fromhex(digest) for digest in said.digests]
        except ValueError as trouble:
            raise BadMessage("a digest is not hexadecimal") from trouble
        self._define(peer, digests, again=True)

    # ------------------------------------------------------------------------------- registration

    def _hear_stranger(
        self, identity: bytes, parts: Sequence[Any], block: str | None, now: float
    ) -> None:
        """Somebody who may connect, and is not registered."""
        version = messages.version_of(parts)
        if version is None:
            self._ignore("a message of somebody who is not registered")
            if block is None or block in self._keys:
                self._refuse(identity, "You are not registered, or no longer. Register.")
            return
        if version[0] != messages.VERSION[0]:
            ours = ".".join(map(str, messages.VERSION))
            theirs = ".".join(map(str, version))
            self._turn_away(
                identity,
                f"The interchange speaks version {ours} of the protocol, the manager version "
                f"{theirs}. Install the same version of weft-htex on both sides.",
            )
            return
        try:
            said = messages.control_in(parts)
        except BadMessage as trouble:
            self._ignore(f"a registration that cannot be read: {trouble}")
            return
        assert isinstance(said, messages.Register)
        if block is None and self._is_early(said):
            self._early[identity] = (said, now + _EARLY)
            return
        self._answer(identity, said, block, now)

    def _answer(
        self, identity: bytes, said: messages.Register, block: str | None, now: float
    ) -> None:
        why = self._objection(identity, said, block)
        if why is None and self._resume(identity, said, now):
            return
        who = f"manager on {said.host} (block {said.block})"
        if self._closing is not None:
            # It came too late to be of use, which is nobody's fault.
            self._log.write("info", f"a {who} came too late")
            minor = min(said.version[1], messages.VERSION[1])
            self._send_stranger(identity, messages.control_out(messages.Close(timeout=0.0), minor))
        elif why is not None:
            self._turn_away(identity, f"The {who}: {why}")
        else:
            self._welcome(identity, said, now)

    def _is_early(self, said: messages.Register) -> bool:
        """Whether a block may yet be admitted: its manager was quicker than word of it.

        Who proves who he is by a key is turned away before he gets here, and comes again.
        """
        known = said.block in self._keys or said.block in self._ended
        return not known and self._closing is None and len(self._early) < _REFUSED

    def _look_at_the_early(self, now: float, admitted: str = "") -> None:
        for identity, (said, until) in list(self._early.items()):
            if said.block == admitted or until <= now:
                del self._early[identity]
                self._answer(identity, said, None, now)

    def _objection(self, identity: bytes, said: messages.Register, block: str | None) -> str | None:
        """Why a manager may not work, or ``None``."""
        if said.block not in self._keys or (block is not None and block != said.block):
            return f"The block {said.block!r} is not expected here, or has ended."
        if identity not in self._ways and not identity.startswith(b"\0"):
            return "A manager's socket must not choose its own identity."
        ours = f"{sys.version_info.major}.{sys.version_info.minor}"
        if _major_minor(said.python) != ours:
            return (
                f"The client runs Python {ours}, the manager Python {said.python}. Functions and "
                "results only pass between the same ones; worker_init can choose another."
            )
        if not _alike(said.weft, self._weft):
            return (
                f"The client runs weft {self._weft}, the manager weft {said.weft}. Install the "
                "same version on both sides."
            )
        amounts = (said.cores, said.memory, said.accelerators, said.ends)
        if not 0 < said.workers <= 65535 or not all(0 <= one < _ENDLESS for one in amounts):
            return "It says that it has no worker, or other amounts that cannot be."
        return None

    @property
    def _weft(self) -> str:
        if self._parameters.weft:
            return self._parameters.weft
        from weft import __version__

        return __version__

    def _welcome(self, identity: bytes, said: messages.Register, now: float) -> None:
        self._managers_made += 1
        manager = self._matching.registered(
            f"manager-{self._managers_made}",
            block=said.block,
            workers=said.workers,
            cores=said.cores,
            memory=said.memory,
            accelerators=said.accelerators,
            ends=now + said.ends if said.ends else math.inf,
            now=now,
        )
        peer = _Peer(identity, said, manager, self._parameters.max_message, now)
        self._peers[identity] = self._by_name[manager.name] = peer
        self._greet(peer)
        if said.holds:
            self._tell(peer, messages.Cancel(ids=[one[0] for one in said.holds if one]))
        if said.block in self._draining:
            self._matching.drain(manager)
            self._tell(peer, messages.Drain(block=said.block))
        self._log.write(
            "info", f"{peer.place}: {_counted(said.workers, 'worker')}, process {said.pid}"
        )
        self._news_wanted = True

    def _greet(self, peer: _Peer) -> None:
        self._refused.pop(peer.identity, None)
        given = self._parameters
        self._tell(
            peer,
            messages.Welcome(
                version=(messages.VERSION[0], peer.minor),
                manager=peer.name,
                beat=given.heartbeat,
                lost=given.lost_after,
            ),
        )

    def _resume(self, identity: bytes, said: messages.Register, now: float) -> bool:
        """A manager whose connection broke is back. Returns whether it is one that we know."""
        peer = self._by_name.get(said.resumes)
        if peer is None or (peer.said.block, peer.said.host, peer.said.pid) != (
            said.block, said.host, said.pid,
        ):  # fmt: skip
            return False
        if not all([type(part) for part in one] == [int, int] for one in said.holds):
            return False
        self._peers.pop(peer.identity, None)
        peer.identity, peer.heard, peer.gone = identity, now, None
        peer.idle = now
        peer.whole = Whole(self._parameters.max_message, join=False)
        self._peers[identity] = peer
        self._greet(peer)
        unsaid, peer.unsaid = peer.unsaid, []
        for one in unsaid:
            self._tell(peer, one)
        holds = {(number, attempt) for number, attempt in said.holds}
        held = {(one.id, one.attempt) for one in peer.manager.held.values()}
        for number, attempt in held - holds:
            if self._matching.finished(peer.manager, number, attempt):
                why = f"It was on its way when the connection of {peer.place} broke."
                self._end(number, attempt, "lost", why, peer.source)
        if holds - held:
            self._tell(peer, messages.Cancel(ids=[number for number, _ in holds - held]))
        self._matching.absent(peer.manager, False)
        self._notice("info", f"{peer.place} is back; its connection had broken.")
        return True

    def _turn_away(self, identity: bytes, why: str) -> None:
        self._refused.pop(identity, None)
        self._refuse(identity, why)
        self._notice("refused", why)

    def _refuse(self, identity: bytes, why: str) -> None:
        """Say so once: what it sent before it read that is no reason to say it again."""
        if identity in self._refused:
            return
        self._refused[identity] = None
        if len(self._refused) > _REFUSED:
            del self._refused[next(iter(self._refused))]
        self._send_stranger(identity, messages.control_out(messages.Refused(why=why), 0))

    def _send_stranger(self, identity: bytes, parts: Sequence[Any]) -> None:
        if (way := self._ways.get(identity)) is not None:
            way.stream.send(parts)
            self._attend(way)
            return
        if self._network is not None:
            self._network.send(identity, parts)

    def _lose(self, peer: _Peer, why: str, now: float, state: str = "lost") -> None:
        """A manager is gone, and with it what it had."""
        self._gone.append([peer.name, state, why])
        self._peers.pop(peer.identity, None)
        self._by_name.pop(peer.name, None)
        for names in self._wanted.values():
            names.discard(peer.name)
        ended = self._matching.lost(peer.manager, frozenset(peer.running))
        for one in ended:
            task = one.task
            begun = (
                "while it ran there" if one.how == "killed" else "before it is known to have begun"
            )
            why_lost = f"{peer.place} was lost {begun}. {why}"
            self._end(task.id, task.attempt, one.how, why_lost, peer.source)
        if ended:
            self._notice(
                "lost", f"{peer.place} was lost with {_counted(len(ended), 'task')}. {why}"
            )
        else:
            self._log.write("info", f"{peer.place} is gone. {why}")
        self._news_wanted = True
        del now

    # ------------------------------------------------------------------------------------ sending

    def _deal(self, now: float) -> None:
        """Send tasks to those who have room."""
        for deal in self._matching.deal(now):
            peer = self._by_name[deal.manager.name]
            peer.used = True
            if peer.said_idle:
                self._news_wanted = True
            lane, known = None, peer.known
            needed: set[bytes] = set()
            for task in deal.tasks:
                if task.lane is not lane:
                    lane = task.lane
                    needed.update(digest for digest in lane.digests if digest not in known)
            if needed:
                self._define(peer, needed)
            rows = messages.rows_out(
                messages.TASKS, [(task.row, task.frames) for task in deal.tasks]
            )
            self._send(peer, rows)
        for one in self._matching.unfitting():
            ids = [task.id for task in one.tasks]
            self._log.write("warning", f"{_counted(len(ids), 'task')} without a node: {one.why}")
            self._say(messages.Unfit(ids=ids, time=one.time, why=one.why))

    def _define(self, peer: _Peer, digests: Iterable[bytes], *, again: bool = False) -> None:
        """Send definitions to a manager, and ask the client for those that are not here.

        For those that it was asked for and has not sent yet, only if ``again`` says so.
        """
        blobs, unknown = {}, []
        for digest in digests:
            blob = self._definitions.get(digest)
            if blob is None:
                if again or digest not in self._wanted:
                    unknown.append(digest)
                self._wanted.setdefault(digest, set()).add(peer.name)
            else:
                blobs[digest] = blob
        if unknown:
            self._say(messages.Missing(digests=[digest.hex() for digest in unknown]))
        if blobs and self._send(peer, messages.definitions_out(blobs)):
            if len(peer.known) > _KNOWN:
                peer.known.clear()
            peer.known.update(blobs)

    def _tell_manager(self, manager: Manager, said: messages.Control) -> None:
        peer = self._by_name.get(manager.name)
        if peer is not None:
            self._tell(peer, said)

    def _tell(self, peer: _Peer, said: messages.Control) -> None:
        """Send a control message, or keep it until the connection is back."""
        sent = peer.gone is None and self._send(peer, messages.control_out(said, peer.minor))
        if not sent and not isinstance(said, messages.Beat):
            peer.unsaid.append(said)

    def _send(self, peer: _Peer, parts: Sequence[Any]) -> bool:
        """Send a message. Returns whether it is on its way; if not, the connection is broken."""
        if peer.gone is not None:
            return False
        if (way := self._ways.get(peer.identity)) is not None:
            way.stream.send(parts)
            self._attend(way)
            peer.told = self._now
            return True
        if self._network is None or not self._network.send(peer.identity, parts):
            peer.gone = self._now
            self._matching.absent(peer.manager, True)
            self._log.write("warning", f"the connection of {peer.place} broke")
            self._news_wanted = True
            self._beat_at = min(self._beat_at, peer.gone + self._parameters.heartbeat)
            return False
        peer.told = self._now
        return True

    # --------------------------------------------------------------------------------------- time

    def _timed(self, now: float) -> None:
        """What is due."""
        if now >= self._probe_at:
            self._probe(now)
        if now >= self._beat_at:
            self._beat(now)
        if self._early:
            self._look_at_the_early(now)
        if self._closing is not None and (now >= self._closing or not self._peers):
            self._over = True
        if self._news_wanted and now >= self._news_at:
            self._tell_news(now)

    def _beat(self, now: float) -> None:
        """Give a sign of life, and look for theirs."""
        given = self._parameters
        self._beat_at = now + given.heartbeat
        self._matching.look_again()
        for peer in list(self._peers.values()):
            peer.used = False
            silent = now - peer.heard
            if peer.gone is not None:
                if now - peer.gone >= given.heartbeat:
                    self._lose(peer, "Its connection broke, and did not come back.", now)
                else:
                    self._beat_at = min(self._beat_at, peer.gone + given.heartbeat)
            elif silent > given.lost_after and not self._deaf:
                self._refuse(peer.identity, f"Nothing was heard of you for {silent:.0f} s.")
                self._lose(peer, f"Nothing was heard of it for {silent:.0f} s.", now)
            elif now - peer.told >= given.heartbeat / 2:
                self._tell(peer, messages.Beat())
        if self._peers:
            self._news_wanted = True

    def _tell_news(self, now: float) -> None:
        # Of the processor's time, and within bounds: on a busy machine, others take the rest of it.
        started = time.process_time()
        for peer in self._peers.values():
            peer.said_idle = not (peer.used or peer.manager.tasks)
        managers = {
            peer.name: {
                "block": peer.said.block,
                "host": peer.said.host,
                "pid": peer.said.pid,
                "workers": peer.said.workers,
                "python": peer.said.python,
                "packages": peer.said.packages,
                "state": _state_of(peer),
                "held": peer.manager.tasks,
                "running": peer.running,
                "at": peer.at,
                # To the millisecond, and never 0 for one that is idle.
                "idle": max(0.001, round(now - peer.idle, 3)) if peer.said_idle else 0.0,
                "silent": round(now - peer.heard, 3),
                "left": 0.0 if peer.manager.ends == math.inf else peer.manager.ends - now,
            }
            for peer in self._peers.values()
        }
        told, self._told = self._told, []
        gone, self._gone = self._gone, []
        self._say(
            messages.News(
                managers=managers,
                waiting=self._matching.waiting,
                ignored=self._ignored,
                told=told,
                gone=gone,
            )
        )
        self._news_wanted = False
        rest = _NEWS_SHARE * (time.process_time() - started)
        self._news_at = now + min(max(_NEWS, rest), _NEWS_AT_LEAST)


def _results_out(results: list[tuple[bytes, Any, Sequence[Any]]]) -> list[Sequence[Any]]:
    """As few messages as carry these results, each behind what says whose they are."""
    found: list[Sequence[Any]] = []
    rows: list[Any] = [messages.RESULTS]
    frames: list[Any] = []
    size, last = 0, b""
    for mark, row, own in results:
        more = len(row) + sum(map(len, own))
        if size and size + more > messages.FRAME:
            found.append([b"".join(rows), *frames])
            rows, frames, size, last = [messages.RESULTS], [], 0, b""
        if mark is not last:
            rows.append(mark)
            last = mark
        rows.append(row)
        frames.extend(own)
        size += more
    found.append([b"".join(rows), *frames])
    return found


def _state_of(peer: _Peer) -> str:
    if peer.gone is not None:
        return "away"
    return "draining" if peer.manager.draining else "working"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:_VERSION_PARTS])


def _alike(one: str, other: str) -> bool:
    """Whether two versions of weft work together: the same major, and before 1 the same minor."""
    if one.partition(".")[0] != other.partition(".")[0]:
        return False
    return not one.startswith("0.") or _major_minor(one) == _major_minor(other)


def main() -> NoReturn:
    """The process: its standard input is the way to its client. Ends with its exit code."""
    leave(_served())


def _served() -> int:
    """Serve the client at the standard input. Returns the exit code."""
    try:
        os.umask(0o077)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if not stat.S_ISSOCK(os.fstat(0).st_mode):
            raise ValueError("its standard input is no socket; an executor htex starts it")
        client = Stream(socket.socket(fileno=os.dup(0)))
        told = _first(client)
        if told is None:
            return 0  # the client is gone already
        # What else reads standard input finds nothing there.
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        rarely_collected()
        Interchange(Parameters.from_json(told), client).run()
    except (OSError, ValueError, TypeError) as trouble:
        sys.stderr.write(f"The interchange cannot work: {type(trouble).__name__}: {trouble}\n")
        return 2
    return 0


def _first(client: Stream) -> bytes | None:
    """The first that the client says; ``None`` if it has gone instead.

    Raises:
        TimeoutError: it says nothing.
    """
    until = time.monotonic() + _START
    with selectors.DefaultSelector() as selector:
        selector.register(client.fd, selectors.EVENT_READ)
        while selector.select(until - time.monotonic()):
            parts = client.receive()
            if parts is not None:
                return bytes(parts[0])
            if client.over:
                return None
    raise TimeoutError(f"the client said nothing for {_START:g} s")


if __name__ == "__main__":
    main()
