"""A manager: keeps the workers of one node, and stands for them before the interchange.

One thread, one loop:

    interchange ◀── DEALER, CURVE ───▶ ┐
    workers     ◀── one socket each ─▶ ├─ selector ─▶ hear, deal, tell all results of a turn at once
    signals     ──── pipe ───────────▶ ┘

It is started by its block's command, which calls :func:`main`, and finds what it needs in a file
that only its owner can read, named by the variable ``WEFT_HTEX_ORDERS``; no key stands in a
command or in the environment.

It ends when it is told to, when it is sent TERM (the block's time is over), and when it has heard
nothing from the interchange for too long: then nobody waits for its results. Its workers end with
it, whatever ends it.

It connects while its workers start, and registers when the first of them is ready: a node on which
no worker starts is then a block that did not come up, which is tried a few times and told with the
workers' own words, and not one that was lost, which is replaced without end. It says how many
workers there will be; the others are started as tasks wait for them, and soon in any case.

A connection may be dead and neither side be told: a firewall forgets it, or what was lost on the
way is sent again too late to matter, since TCP waits twice as long each time. So when half of that
time has passed in silence, a manager connects anew, and says who it is and what it holds.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import socket
import sys
import time
from _pickle import PickleBuffer  # `pickle` itself would load what only Python needs
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from weft.calls.call import Call, Definition
from weft.calls.running import ERROR
from weft.errors import WeftError
from weft.values.watch import Watch
from weft.workers.crew import Crew, CrewSettings, End, Fate, Job, Ran, Said, Used, Watched
from weft.workers.leaving import leave, rarely_collected
from weft_htex import messages
from weft_htex.definitions import Definitions
from weft_htex.door import is_door, knocked
from weft_htex.errors import (
    ManagerRefused,
    NoSuchProcessor,
    NoWayHome,
    NoWorkerStarts,
    PayloadTooLarge,
)
from weft_htex.keys import BlockKeys, read_block, resolved
from weft_htex.messages import BadMessage
from weft_htex.node import (
    accelerator_names,
    accelerator_variables,
    affinity_of,
    looked_at,
    workers_of,
)
from weft_htex.orders import KEYS, ORDERS, WATCH, Orders
from weft_htex.stream import Stream
from weft_htex.versions import ALWAYS, python_version, versions_of

if TYPE_CHECKING:
    import zmq

    from weft.values.task import Resources
    from weft_htex.hands import Hire, Prepared
    from weft_htex.sockets import Line

__all__ = ["Manager", "main"]

_TURN: Final = 64
_AT_FIRST: Final = 1  # workers; it says how many there will be, and the others start as tasks come
_LINGER: Final = 2.0
_CONNECT: Final = 3.0
_ASK_AGAIN: Final = 5.0
_FOREVER: Final = 1e9
_REMEMBERED: Final = 1000
_DEFINITIONS: Final = 64 << 20  # bytes of them that are kept, besides those of tasks that are here
_MUCH: Final = 1 << 18  # characters of what is told at once; escaped, six times as many bytes
_FIELDS: Final = 200
_HOWS: Final = {
    Fate.KILLED: "killed",
    Fate.LOST: "lost",
    Fate.TIMED_OUT: "timeout",
    Fate.CANCELLED: "cancelled",
    Fate.UNPACKABLE: "lost",
    Fate.IMPOSSIBLE: "lost",
}


class _Manner:
    """What tasks of one app, called in one way, have in common."""

    __slots__ = ("app", "bytes", "digests", "function", "needs", "others", "priority", "walltime")

    def __init__(self, manner: bytes, needs_of: Callable[[str], Resources | None]) -> None:
        self.bytes = manner
        self.priority, walltime, self.digests, self.app, needs = messages.manner_of(manner)
        self.walltime = walltime or None
        self.needs = needs_of(needs) if needs else None
        self.function: Definition | None = None
        self.others: tuple[Definition, ...] = ()


class _Task(Job):
    """A task that this manager has.

    Attributes:
        attempt: which try.
        manner: what it has in common with others.
        data, frames: as they came.
    """

    __slots__ = ("attempt", "data", "frames", "manner")

    def __init__(
        self, number: int, attempt: int, manner: _Manner, data: bytes, frames: Sequence[Any]
    ) -> None:
        super().__init__(
            number, manner.app, manner.priority, walltime=manner.walltime, needs=manner.needs
        )
        self.attempt, self.manner, self.data, self.frames = attempt, manner, data, frames

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"{self.app!r} (task {self.job})"

    def call(self) -> Call:
        """The call, as the client packed it."""
        manner = self.manner
        head, buffers = messages.payload_of(manner.bytes, self.data, self.frames)
        if buffers:
            buffers = [PickleBuffer(one) for one in buffers]
        return Call(manner.function, manner.others, head, buffers)


class _Log:
    """The manager's log: a line for each event that matters, none for a task."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)

    def __call__(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        os.write(self._fd, f"{stamp} {text}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Manager:
    """Keeps the workers of one node. See the module for its loop.

    Args:
        orders: what it must know.
        keys: of its block.
        selector: its own.
        log: takes lines.
        hire: makes who runs the tasks.

    Raises:
        NoSuchProcessor: its workers are to be kept to processors that are not there.
    """

    def __init__(
        self,
        orders: Orders,
        keys: BlockKeys,
        selector: selectors.BaseSelector,
        log: Callable[[str], None],
        hire: Hire = Crew,
    ) -> None:
        self._orders, self._keys, self._selector, self._log = orders, keys, selector, log
        self._born = time.monotonic()
        self._packages = versions_of([*ALWAYS, *orders.packages])
        self._host = socket.gethostname()
        node = looked_at()
        per_worker = orders.accelerators_per_worker
        names = accelerator_names(orders.accelerators, per_worker)
        each = max(1, int(per_worker))
        count = workers_of(
            node,
            workers=orders.workers,
            cores_per_worker=orders.cores_per_worker,
            memory_per_worker=orders.memory_per_worker,
            accelerators=len(names),
            accelerators_each=each,
        )
        folder = Path(orders.folder) / f"{self._host}-{os.getpid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        affinity: Any = affinity_of(orders.cpu_affinity)
        if not isinstance(affinity, str):
            lacking = sorted({cpu for part in affinity for cpu in part} - set(node.cpus))
            if lacking:
                raise NoSuchProcessor(self._host, lacking, node.cpus)
        settings = CrewSettings(
            folder=folder,
            max_workers=count,
            at_first=_AT_FIRST,
            prefetch=orders.prefetch,
            clean=orders.isolation != "none",
            tasks_per_worker=1 if orders.isolation == "process" else orders.tasks_per_worker,
            environment={
                "WEFT_BLOCK": keys.block,
                "WEFT_WORKERS": str(count),
                **orders.environment,
            },
            start_timeout=orders.start_timeout,
            cores=node.cores,
            memory=node.memory or None,
            accelerators=names,
            accelerators_per_worker=each if names else None,
            accelerator_variables=accelerator_variables(orders.accelerator_variables),
            affinity=affinity,
            cpus=node.cpus,
            output=orders.output_kept,
            watch=Watch.of_word(orders.extra.get(WATCH, "")),
        )
        self._node, self._count, self._accelerators = node, count, len(set(names))
        self._crew = hire(settings, selector, self)
        self._line: Line | Stream | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._writes = False
        self._name = ""
        self._minor = messages.VERSION[1]
        self._registered = False
        self._beat, self._lost = orders.heartbeat, orders.lost_after
        # Until it has said who it is, there is nothing to be heard, and no silence.
        self._introduced = False
        self._heard = math.inf
        self._said = self._joined = time.monotonic()
        self._address = ""
        self._held: dict[int, _Task] = {}
        self._blobs: Definitions[Definition] = Definitions(_DEFINITIONS)
        self._manners: dict[bytes, _Manner] = {}
        self._incomplete: list[_Task] = []
        self._asked: float | None = None
        self._asking: set[bytes] = set()
        self._numbers: dict[str, int] = {}
        self._rows: list[tuple[bytes, Sequence[Any]]] = []
        self._told: list[messages.Told] = []
        self._ends: list[list[Any]] = []
        self._ran: list[list[float]] = []
        self._over = ""
        self._code = 0

    # ------------------------------------------------------------------------------------- its life

    def run(self, signals: int) -> int:
        """Serve until it is time to go. Returns the exit code.

        Args:
            signals: a descriptor that can be read from when a signal has come.

        Raises:
            WeftError: it was refused, reached nobody, or no worker starts.
        """
        self._selector.register(signals, selectors.EVENT_READ, "signals")
        self._signals = signals
        self._crew.start()
        try:
            self._reach()
            while not self._over and not self._crew.closed:
                self._turn()
        finally:
            self._leave()
        return self._code

    def _turn(self) -> None:
        line, crew = self._line, self._crew
        assert line is not None  # it is there from the first turn on
        if line.writes is not self._writes:
            self._writes = line.writes
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._writes else 0)
            self._selector.modify(line.fd, events, "line")
        said = line.ready
        now = time.monotonic()
        wait = 0.0 if said else self._until_next(now)
        due = now + wait
        for key, mask in self._selector.select(wait):
            if type(key.data) is Watched:
                crew.handle(key, mask)
            elif key.data == "line":
                line.fired()
                said = True
            elif key.data == "signals":
                self._terminated()
            else:
                crew.handle(key, mask)
        now = time.monotonic()
        if now - due > self._lost / 2:
            # It was stopped, or its node asleep: what it was told meanwhile may still come.
            self._heard = max(self._heard, now - self._lost + 2 * self._beat)
        if said:
            self._hear(line, now)
        crew.tick(now)
        if not self._introduced and crew.ready:
            self._introduced, self._heard = True, now
            self._register()
        if now >= self._anew_at:
            line = self._connect_anew(line, now)
        self._keep_time(line, now)
        self._tell(line)

    def _until_next(self, now: float) -> float:
        wait = self._orders.start_timeout
        if self._introduced:
            wait = min(self._heard + self._lost, self._anew_at) - now
        if self._registered:
            wait = min(wait, self._said + self._beat - now)
        crew = self._crew.until_next()
        if crew is not None:
            wait = min(wait, crew)
        if self._asked is not None:
            wait = min(wait, self._asked + _ASK_AGAIN - now)
        return max(0.0, wait)

    @property
    def _anew_at(self) -> float:
        """When a connection on which nothing was heard is taken for dead."""
        return max(self._heard, self._joined) + self._lost / 2

    def _stop(self, why: str, code: int) -> None:
        if not self._over:
            self._over, self._code = why, code
            self._log(f"ends: {why}")
            # The output of its block is where people, and the errors of blocks, look first.
            print(f"The manager on {self._host} ends. {why}", file=sys.stderr, flush=True)  # noqa: T201 - as above

    def _leave(self) -> None:
        """End the workers, send what there is still to say, and let go of everything."""
        self._crew.end(f"Its manager ended: {self._over}" if self._over else "Its manager ended.")
        line = self._line
        if line is not None:
            if self._registered:
                self._tell(line)
                line.say(messages.Close(timeout=0.0), self._minor)
            line.close(_LINGER)
        if self._context is not None:
            # Waits until what was said last is away, for as long as the line was given.
            self._context.destroy(linger=0)
        self._selector.unregister(self._signals)
        self._log("has ended")

    # -------------------------------------------------------------------------------- interchange

    def _reach(self) -> None:
        """Connect to the first address at which the interchange answers."""
        for address in filter(is_door, self._keys.addresses):
            end = knocked(address)
            if end is not None:
                self._address = address
                self._log(f"reached the interchange at {address}")
                self._begin(Stream(end, self._orders.max_message * 2))
                return
        # Not light, and not needed on the interchange's machine.
        from weft_htex.sockets import Line, first_reached

        others = [address for address in self._keys.addresses if not is_door(address)]
        bound = self._orders.start_timeout
        found = first_reached(others, self._socket, bound, self._signals)
        if found is not None:
            self._address, one = found
            self._log(f"reached the interchange at {self._address}")
            self._begin(Line(one, self._orders.max_message * 2))
        elif not self._terminated():
            raise NoWayHome(self._host, self._keys.addresses, bound)

    def _socket(self) -> zmq.Socket[bytes]:
        import zmq

        if self._context is None:
            self._context = zmq.Context()
        one = self._context.socket(zmq.DEALER)
        one.setsockopt(zmq.LINGER, 0)
        one.setsockopt(zmq.MAXMSGSIZE, 2 * messages.FRAME)
        one.setsockopt(zmq.IPV6, 1)
        # Tried often: the system itself would ask more and more rarely.
        one.setsockopt(zmq.CONNECT_TIMEOUT, int(_CONNECT * 1000))
        keys = self._keys
        if keys.server:
            one.curve_serverkey = keys.server.encode()
            one.curve_publickey = keys.public.encode()
            one.curve_secretkey = keys.secret.encode()
        return one

    def _begin(self, line: Line | Stream) -> None:
        """From now on talk by this line."""
        self._line, self._writes = line, False
        self._selector.register(line.fd, selectors.EVENT_READ, "line")
        # Within one machine a connection breaks with the other side, and not by itself.
        self._joined = math.inf if type(line) is Stream else time.monotonic()

    def _connect_anew(self, line: Line | Stream, now: float) -> Line | Stream:
        """The connection may be dead: make another, to the same interchange."""
        self._log(f"heard nothing for {now - self._heard:.1f} s, and connects anew")
        self._selector.unregister(line.fd)
        # What it holds may still get through, if the connection is not dead after all.
        line.close(_LINGER)
        from weft_htex.sockets import Line

        one = self._socket()
        one.connect(self._address)
        anew = Line(one, self._orders.max_message * 2)
        self._begin(anew)
        self._register()
        return anew

    def _terminated(self) -> bool:
        """Whether it was sent TERM; then it stops."""
        try:
            os.read(self._signals, 64)
        except BlockingIOError:
            return False
        self._stop("It was sent TERM, most often since the time of its block is over.", 4)
        return True

    def _register(self) -> None:
        orders, line = self._orders, self._line
        assert line is not None  # it was reached
        ends = 0.0
        if orders.walltime:
            ends = max(1.0, orders.walltime - (time.monotonic() - self._born))
        from weft import __version__ as weft_version

        self._registered = False
        line.say(
            messages.Register(
                version=messages.VERSION,
                python=python_version(),
                weft=weft_version,
                packages=self._packages,
                block=self._keys.block,
                host=self._host,
                pid=os.getpid(),
                workers=self._count,
                cores=self._node.cores,
                memory=self._node.memory,
                accelerators=self._accelerators,
                ends=ends,
                resumes=self._name,
                holds=[[number, one.attempt] for number, one in self._held.items()],
            )
        )

    def _hear(self, line: Line | Stream, now: float) -> None:
        for _ in range(_TURN):
            try:
                parts = line.receive()
                if parts is None:
                    break
                self._heard = now
                if parts:
                    self._take(parts)
            except BadMessage as trouble:
                self._log(f"ignored a message: {trouble}")
        if type(line) is Stream:
            if line.moved:
                self._heard, line.moved = now, False
            if line.over and not line.ready:
                self._stop("The interchange closed its connection.", 3)

    def _take(self, parts: Sequence[Any]) -> None:
        kind = messages.kind_of(parts)
        if kind == messages.TASKS:
            self._take_tasks(parts)
        elif kind == messages.DEFINE:
            self._define(messages.definitions_in(parts))
        elif kind == messages.CONTROL:
            self._obey(messages.control_in(parts, self._minor))

    def _obey(self, said: messages.Control) -> None:
        if isinstance(said, messages.Welcome):
            self._minor = said.version[1]
            self._name, self._beat, self._lost = said.manager, said.beat, said.lost
            self._registered = True
            self._log(f"is {said.manager!r}, with {self._count} workers")
        elif isinstance(said, messages.Refused):
            self._refused(said.why)
        elif isinstance(said, messages.Cancel):
            self._cancel([one for i in said.ids if (one := self._held.get(i))])
        elif isinstance(said, messages.Drop):
            self._cancel([one for i in said.ids if (one := self._held.get(i)) and one.desk is None])
        elif isinstance(said, messages.Drain):
            self._log("drains")
            self._give_back_incomplete()
            self._crew.close(_FOREVER)
        elif isinstance(said, messages.Close):
            self._log(f"closes within {said.timeout:g} s")
            self._give_back_incomplete()
            self._crew.close(said.timeout)

    def _refused(self, why: str) -> None:
        if not self._registered:
            raise ManagerRefused(self._host, why)
        self._log(f"registers again: {why}")
        self._register()

    def _keep_time(self, line: Line | Stream, now: float) -> None:
        if now - self._heard >= self._lost:
            self._stop(f"It heard nothing from the interchange for {self._lost:g} s.", 3)
        elif self._registered and now - self._said >= self._beat:
            self._said = now
            status = self._crew.status()
            busy = [(one.job.id, one) for one in status.each if one.job is not None]
            said = messages.Beat(
                running=[number for number, _ in busy],
                workers=[(one.number, one.pid) for _, one in busy],
                waiting=status.waiting + len(self._incomplete),
            )
            line.say(said, self._minor)
        if self._asked is not None and now - self._asked >= _ASK_AGAIN:
            self._ask(line, anew=True)

    # ---------------------------------------------------------------------------------------- tasks

    def _take_tasks(self, parts: Sequence[Any]) -> None:
        ready, held = [], self._held
        last, common = None, None
        for number, attempt, manner, data, frames in messages.task_rows(parts):
            if manner != last or common is None:
                last, common = manner, self._manner(manner)
            task = held[number] = _Task(number, attempt, common, data, frames)
            if common.function is not None or not common.digests:
                ready.append(task)
            else:
                self._incomplete.append(task)
        if ready:
            self._crew.add(ready)
        if self._incomplete and self._line is not None:
            self._ask(self._line, anew=False)

    def _manner(self, manner: bytes) -> _Manner:
        found = self._manners.get(manner)
        if found is None:
            if len(self._manners) > _REMEMBERED:
                self._manners.clear()
            found = self._manners[manner] = _Manner(manner, self._needs_of)
            self._complete(found)
        return found

    def _complete(self, manner: _Manner) -> bool:
        """Give a manner the definitions that it needs. Returns whether they are all here."""
        here = [one for digest in manner.digests if (one := self._blobs.get(digest)) is not None]
        if len(here) != len(manner.digests):
            return False
        if here:
            manner.function, manner.others = here[0], tuple(here[1:])
        return True

    def _define(self, blobs: dict[bytes, bytes]) -> None:
        for digest, blob in blobs.items():
            self._blobs.put(digest, Definition(blob), len(blob))
            self._asking.discard(digest)
        incomplete, self._incomplete = self._incomplete, []
        ready = []
        for task in incomplete:
            manner = task.manner
            if manner.function is not None or self._complete(manner):
                ready.append(task)
            else:
                self._incomplete.append(task)
        if not self._incomplete:
            self._asked = None
            self._asking.clear()
        if ready:
            self._crew.add(ready)
        if self._blobs.trim({one for task in self._incomplete for one in task.manner.digests}):
            # They hold what was dropped; tasks that are here hold their own.
            self._manners.clear()

    def _ask(self, line: Line | Stream, *, anew: bool) -> None:
        """Ask for the definitions that are missing; also for those that were asked for already."""
        missing = {
            digest
            for task in self._incomplete
            for digest in task.manner.digests
            if digest not in self._blobs and (anew or digest not in self._asking)
        }
        if self._asked is None or anew:
            self._asked = time.monotonic()
        if not missing:
            return
        self._asking |= missing
        line.say(messages.Missing(digests=[digest.hex() for digest in missing]), self._minor)

    def _needs_of(self, text: str) -> Resources | None:
        # Few tasks need anything, and this brings attrs, which takes longer than all else here.
        from weft.values.task import Resources

        try:
            return Resources(**json.loads(text))
        except (ValueError, TypeError) as trouble:
            raise BadMessage(f"what a task needs is not readable: {trouble}") from trouble

    def _cancel(self, tasks: list[_Task]) -> None:
        incomplete = [task for task in tasks if task in self._incomplete]
        for task in incomplete:
            task.over = True
            self._incomplete.remove(task)
            self._end(task, "cancelled")
        self._crew.cancel([task for task in tasks if task not in incomplete])

    def _give_back_incomplete(self) -> None:
        incomplete, self._incomplete = self._incomplete, []
        for task in incomplete:
            self._end(task, "returned")

    # ------------------------------------------------------------------------- what the crew says

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        """Pass on what tasks have said and used, in messages that are small among results."""
        if self._minor < messages.TOLD_SINCE:
            return
        size, told = _MUCH, self._told
        for job, line in said:
            if size >= _MUCH:
                size = 0
                told.append(messages.Told(lines=[], samples=[]))
            size += len(line[3]) + _FIELDS
            told[-1].lines.append([job.id, job.attempt, *line])  # type: ignore[attr-defined]  # a task
        for job, sample in used:
            if size >= _MUCH:
                size = 0
                told.append(messages.Told(lines=[], samples=[]))
            size += _FIELDS
            told[-1].samples.append([job.id, job.attempt, *sample])  # type: ignore[attr-defined]  # as above

    def crew_results(self, results: Sequence[Ran]) -> None:
        """Pass results on, as they are."""
        held, rows, out = self._held, self._rows, messages.result_bytes
        numbers = self._numbers
        tells = self._minor >= messages.BEGUN_SINCE
        for job, kind, head, buffers, seconds, place, begun in results:
            number = job.job
            task = held.pop(number)
            worker = numbers.get(place)
            if worker is None:
                worker = self._number_of(place)
            if buffers or len(head) >= messages.LARGE:
                kind, head, buffers = self._within_limit(task, kind, head, buffers)  # noqa: PLW2901 - what goes instead takes its place
            rows.append(
                out(
                    number,
                    task.attempt,
                    kind,
                    head,
                    worker=worker,
                    seconds=seconds,
                    begun=begun if tells else 0.0,
                    buffers=buffers,
                )
            )

    def _within_limit(
        self, task: _Task, kind: int, head: Any, buffers: Sequence[Any]
    ) -> tuple[int, Any, Sequence[Any]]:
        """A large result, or an error that says that it is too large."""
        size, limit = max(map(len, (head, *buffers))), self._orders.max_message
        if size <= limit:
            return kind, head, buffers
        from weft.calls.failures import pack_error

        error = PayloadTooLarge(f"The result of {task.name}", size, limit, back=True)
        return ERROR, pack_error(error), ()

    def _number_of(self, place: str) -> int:
        """The number of a worker in ``worker 3 (pid 4711)``."""
        if len(self._numbers) > _REMEMBERED:
            self._numbers.clear()
        number = self._numbers[place] = int(place.split()[1]) & 0xFFFF
        return number

    def crew_ends(self, ends: Sequence[End]) -> None:
        """Say which tasks ended without a result, and why."""
        for end in ends:
            task: _Task = end.job  # type: ignore[assignment]  # as above
            where = f"{end.place} on {self._host}" if end.place else self._host
            why = end.loss or str(end.error or "")
            if end.fate is Fate.TIMED_OUT:
                why = f"It ran on {where}, which was ended for it and replaced."
            elif end.fate is Fate.KILLED:
                self._log(why)
            if end.words:
                why = f"{why}\n{end.words}"
            place = f"{self._name} on {self._host}"
            if end.place:
                place = f"worker {self._number_of(end.place)} of {place}"
            self._end(task, _HOWS[end.fate], why, place, (end.begun, end.seconds or 0.0))

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        """Give back what has not begun."""
        for job in jobs:
            self._end(job, "returned")  # type: ignore[arg-type]  # as above

    def crew_failed(self, reason: str) -> None:
        """Workers cannot be started here: say why, and go."""
        if not self._introduced:
            raise NoWorkerStarts(self._host, reason)
        self._stop(reason, 5)

    def _end(
        self,
        task: _Task,
        how: str,
        why: str = "",
        place: str = "",
        ran: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        number = task.job
        if self._held.get(number) is task:
            del self._held[number]
        self._ends.append([number, task.attempt, how, why, place])
        self._ran.append([*ran])

    def _tell(self, line: Line | Stream) -> None:
        """Send all that this turn brought."""
        if self._told:
            told, self._told = self._told, []
            for one in told:
                line.say(one, self._minor)
        if self._rows:
            rows, self._rows = self._rows, []
            line.send(messages.rows_out(messages.RESULTS, rows))
        if self._ends:
            ends, self._ends = self._ends, []
            ran, self._ran = self._ran, []
            line.say(messages.Ends(ends=ends, ran=ran), self._minor)
        if line.blocked:
            line.flush()


def _signalled(*_: object) -> None:
    """The loop reads of it."""


def main(prepared: Prepared | None = None) -> NoReturn:
    """Be a manager, by the orders in the file that the environment names. Ends with a code.

    Args:
        prepared: what a manager of another package makes of its orders, and of who runs its tasks.
    """
    leave(_managed(prepared))


def _managed(prepared: Prepared | None) -> int:
    """Be a manager. Returns the exit code."""
    path, keys_at = os.environ.pop(ORDERS, ""), os.environ.pop(KEYS, "")
    hear, say = os.pipe()
    for end in (hear, say):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(say, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _signalled)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        orders = Orders.read(Path(path)).where_found(Path(path))
        keys = resolved(read_block(keys_at or orders.keys), os.environ)
        sys.path[:0] = [entry for entry in orders.path if entry not in sys.path]
        log = _Log(Path(orders.folder) / f"manager-{socket.gethostname()}-{os.getpid()}.log")
    except (OSError, ValueError) as trouble:
        print(f"The manager cannot use its orders: {trouble}", file=sys.stderr)  # noqa: T201 - as above
        return 2
    made: Hire = Crew
    try:
        if prepared is not None:
            orders, made = prepared(orders, log)
        rarely_collected()
        with selectors.DefaultSelector() as selector:
            return Manager(orders, keys, selector, log, made).run(hear)
    except WeftError as trouble:
        log(str(trouble))
        print(trouble, file=sys.stderr)  # noqa: T201 - as above
        return 2


if __name__ == "__main__":
    main()
