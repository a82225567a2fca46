"""The client's side: packs tasks, hands them to the interchange, and reports how they ended.

    kernel thread   submit, cancel ──▶ [inbox] ──▶ wakes the other, if that sleeps
    weft-htex-<label>   owns the packer, the socket to the interchange, what is known of managers:
                    inbox, socket, the interchange's end ──▶ context.report(outcomes)
    weft-blocks-<label>   (weft.blocks) keeps the right number of blocks

        this process                  a process of its own         nodes
        weft-htex-<label> ◀─ pair ──▶ interchange  ◀── CURVE ──▶  managers ◀──▶ workers

With ``mode='direct'`` the interchange is a thread of this process, and the rest is the same.

Tasks are packed when there is room on the way and with those who get them (:mod:`.window`), so
those that wait here cost nothing but themselves.
An interchange that dies takes nothing with it but time: what it had is reported as ``LOST``, and
goes to a new one when it is tried again.
"""

from __future__ import annotations

import json
import selectors
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakValueDictionary

from weft.calls.budget import Budget
from weft.calls.call import Definition
from weft.calls.chunks import Chunks
from weft.calls.failures import error_of, explained
from weft.calls.packing import Packer
from weft.calls.running import ERROR, value_of
from weft.errors import (
    ExecutorFailed,
    SerializationError,
    TaskLost,
    TaskTimeout,
)
from weft.interfaces.executor import (
    AtWork,
    Executor,
    ExecutorContext,
    ExecutorStatus,
    ManagerStatus,
)
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Provider
from weft.values.blocks import Block
from weft.values.events import LogLine, ResourceSample
from weft.values.plugin import Kind
from weft.values.task import Ended, Needs, Outcome, Task, TaskId
from weft.workers.desk import Inbox, broken, longest, raised_on, refusals
from weft.workers.waiting import Once
from weft_htex import messages
from weft_htex.broker import Broker
from weft_htex.errors import DoesNotFit, PayloadTooLarge
from weft_htex.managers import Managers
from weft_htex.messages import BadMessage, Cut, ResultRow
from weft_htex.pilot import HTEX_PILOT, Pilot
from weft_htex.settings import HTEX
from weft_htex.stream import Stream
from weft_htex.versions import PYTHON, differing, python_version, versions_of
from weft_htex.window import Window

if TYPE_CHECKING:
    from weft_htex.blocks import Blocks

__all__ = ["HTEXExecutor", "build"]

_BATCH: Final = 256
_BATCHES: Final = 16
_BATCH_BYTES: Final = 1 << 20
_DEATHS: Final = 3
_SILENCE: Final = 1.0
_CLOSING: Final = 5.0
_BLOCKS: Final = 10.0
_LOAD_EVERY: Final = 0.05
_TURN: Final = 64
_REMEMBERED: Final = 1000
_DEFINED: Final = 10_000
_ENDLESS: Final = 1e11
_UNKNOWN: Final = [0.0, 0.0]
_COUNTED: Final = ("cores", "memory", "accelerators")


def build(settings: HTEX) -> HTEXExecutor:
    """The factory that the declaration names."""
    return HTEXExecutor(settings)


class _Held:
    """A task that is neither reported nor dropped.

    Attributes:
        task: it.
        sent: whether the interchange has it.
        definitions: what its call needs, once it was packed; here as long as it may be asked for.
        dropped: whether it is not to be sent. The kernel's thread sets this and then looks at
            ``sent``, ours the other way round; so one of the two sees the other.
        cancelled: whether it is to be stopped.
    """

    __slots__ = ("cancelled", "definitions", "dropped", "sent", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.definitions: Sequence[Definition] = ()
        self.sent = self.dropped = self.cancelled = False


def _opened(settings: HTEX, context: ExecutorContext, pilot: Pilot) -> tuple[Provider, Launcher]:
    """The provider and the launcher of the settings, or those that are used when none are named."""
    provider = context.part(Kind.PROVIDER, settings.provider, "local")
    launcher = pilot.launcher
    if launcher is None:
        launcher = cast("Launcher", context.part(Kind.LAUNCHER, settings.launcher, "single-node"))
    return cast("Provider", provider), launcher


class HTEXExecutor(Executor):
    """Pilot jobs. See the module for its threads.

    Args:
        settings: how it is to be.
        pilot: what is started on the nodes, for an executor that is built on this one.
    """

    def __init__(self, settings: HTEX, pilot: Pilot = HTEX_PILOT) -> None:
        self._settings, self._pilot = settings, pilot
        self._label = settings.called
        # Written by the kernel thread, taken from by ours: what is neither reported nor dropped.
        self._held: dict[TaskId, _Held] = {}
        self._thread: threading.Thread | None = None
        self._over = Once()
        self._closed = False
        self._seen: Mapping[str, Any] = {}
        self._blocks: Callable[[], Sequence[Block]] = tuple
        self._here: Mapping[str, str] | None = None

    # ------------------------------------------------------------------------------- kernel thread

    def start(self, context: ExecutorContext) -> None:
        """Start the interchange, and do not wait for it. Blocks follow when it has an address.

        Raises:
            WeftError: the provider or the launcher cannot be had.
        """
        self._context = context
        # The first thing, for it takes longest, and needs nobody until it is there.
        try:
            self._broker = Broker(self._settings, context.folder / "interchange-1")
        except OSError as trouble:
            reason = f"Its interchange cannot be started: {trouble}"
            raise ExecutorFailed(self._label, reason) from trouble
        try:
            self._parts = _opened(self._settings, context, self._pilot)
        except BaseException:
            self._broker.kill("It is not needed.")
            self._broker.close()
            raise
        self._inbox = Inbox()
        self._thread = threading.Thread(
            target=self._run, name=f"weft-htex-{self._label}", daemon=True
        )
        self._thread.start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks."""
        if self._closed:
            self._context.report(refusals(self._label, tasks))
            return
        held = self._held
        entries = []
        for task in tasks:
            entry = held[task.id] = _Held(task)
            entries.append(entry)
        self._inbox.post("tasks", entries)

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait; end the workers of those that run.

        What is still in this process never begins. The others are cancelled where they are, as soon
        as the word gets there; one that begins meanwhile is stopped.
        """
        known = [(i, one) for i in ids if (one := self._held.get(i))]
        for _, one in known:
            one.dropped = True
        return self._ask("cancel", known)

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that have not begun. Of those that left this process, nothing is promised."""
        known = [(i, one) for i in ids if (one := self._held.get(i))]
        for _, one in known:
            one.dropped = True
        certain = {task for task, one in known if not one.sent}
        self._ask("drop", known)
        return certain

    def _ask(self, what: str, known: list[tuple[TaskId, _Held]]) -> Collection[TaskId]:
        if known and not self._closed:
            self._inbox.post(what, [one for _, one in known])
        return {task for task, _ in known}

    def status(self) -> ExecutorStatus:
        """How it is now, by the latest news."""
        seen, held = self._seen, len(self._held)
        managers = seen.get("managers", {})
        workers = sum(one.get("workers", 0) for one in managers.values())
        at_managers = sum(one.get("held", 0) for one in managers.values())
        running = min(workers, at_managers or held, held)
        return ExecutorStatus(
            workers=workers,
            running=running,
            waiting=held - running,
            details=seen,
            blocks=self._blocks(),
            managers=[self._shown(name, one) for name, one in managers.items()],
        )

    def _shown(self, name: str, said: Mapping[str, Any]) -> ManagerStatus:
        """A manager as it is shown."""
        at_work = [
            AtWork(worker=f"worker {number} (pid {pid})", task=task, app=one.task.app)
            for task, (number, pid) in zip(said["running"], said["at"], strict=False)
            if (one := self._held.get(task)) is not None
        ]
        packages = said["packages"]
        if self._here is None:
            self._here = {PYTHON: python_version(), **versions_of(packages)}
        return ManagerStatus(
            name=name,
            block=said["block"],
            host=said["host"],
            pid=said["pid"],
            workers=said["workers"],
            held=said["held"],
            at_work=at_work,
            state=said["state"],
            silent=said["silent"],
            left=said["left"] or None,
            python=said["python"],
            packages=packages,
            differs=differing({PYTHON: said["python"], **packages}, self._here),
        )

    def close(self, timeout: float) -> None:
        """End workers, managers, blocks and the interchange."""
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        self._inbox.post("close", timeout)
        if thread is not threading.current_thread():
            self._over.wait()
            thread.join()
            self._thread = None

    # ---------------------------------------------------------------------------------- our thread

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                _Desk(self, selector).run()
        except BaseException as trouble:  # noqa: BLE001 - nobody else would ever say that this thread ended
            self._context.failed(broken(self._label, trouble))
        finally:
            self._closed = True
            self._inbox.close()
            self._over.happen()


class _Desk:
    """All that the executor's thread owns."""

    def __init__(self, executor: HTEXExecutor, selector: selectors.BaseSelector) -> None:
        # The two are one thing, parted by thread.
        self._executor, self._selector = executor, selector
        self._settings = settings = executor._settings  # noqa: SLF001 - as above
        self._context = executor._context  # noqa: SLF001 - as above
        self._label = settings.called
        self._held = executor._held  # noqa: SLF001 - as above
        self._inbox = executor._inbox  # noqa: SLF001 - as above
        budget = Budget.of(self._settings.argument_budget, self._context.notice)
        self._packer = Packer(chunks=True, budget=budget)
        self._unsent: dict[int, deque[_Held]] = {}
        self._window = Window(settings.max_in_flight)
        self._workers = 0
        # What the interchange was given, and may have dropped meanwhile.
        self._defined: set[bytes] = set()
        self._definitions: WeakValueDictionary[bytes, Definition] = WeakValueDictionary()
        self._outcomes: list[Outcome] = []
        self._apps: dict[str, bytes] = {}
        self._places: dict[tuple[str, int], str] = {}
        self._managers = Managers(self._label)
        self._needs: dict[int, tuple[Needs, bytes]] = {}
        self._news = messages.News(managers={}, waiting=0, ignored=0)
        self._broker: Broker | None = None
        self._blocks: Blocks | None = None
        self._hello: messages.Hello | None = None
        self._broker_ended = False
        self._listening = self._writes = self._more = self._said = False
        self._deaths = self._opened = 0
        self._load, self._load_at = -1, 0.0
        # Tasks that no block there lives long enough for, and how long each may take.
        self._beyond: dict[TaskId, float] = {}
        self._blocks_seen: set[str] = set()
        self._fresh_left = 0.0
        self._compared: set[str] = set()
        self._differing: set[tuple[str, str]] = set()
        self._late: float | None = None
        self._too_late = ""
        self._closing: float | None = None

    # ---------------------------------------------------------------------------------------- turn

    def run(self) -> None:
        """Serve until closed; then nothing is left."""
        self._selector.register(self._inbox.wake, selectors.EVENT_READ, "wake")
        try:
            self._open()
            import weft_htex.blocks  # noqa: F401 - while the interchange starts

            while self._closing is None or self._broker is not None:
                self._wait()
                self._take_inbox()
                self._send()
                if self._said or self._more:
                    self._receive()
                self._tell()
                self._look_after(time.monotonic())
        finally:
            if self._blocks is not None:
                self._blocks.close(_BLOCKS)
            if self._broker is not None:
                self._broker.kill("The executor ended.")
                self._let_go(self._broker)
            self._tell_end_of_managers("The executor ended.")
            self._tell()

    def _wait(self) -> None:
        inbox, broker = self._inbox, self._broker
        inbox.asleep = True
        if broker is not None and self._listening and broker.line.blocked is not self._writes:
            self._writes = broker.line.blocked
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._writes else 0)
            self._selector.modify(broker.line.fd, wanted, "line")
        sends = broker is not None and not broker.line.blocked and self._may_send
        timeout = 0.0 if inbox.entries or self._more or sends else self._until_next()
        events = self._selector.select(timeout)
        inbox.asleep = self._said = False
        for key, _ in events:
            if key.data == "line":
                self._said = True
                if broker is not None:
                    broker.line.fired()
            elif key.data == "wake":
                inbox.woken()
            elif key.data == "broker":
                self._broker_ended = True

    # ------------------------------------------------------------------------------ the interchange

    def _open(self) -> None:
        """Take the interchange that was started with the executor, or start another one."""
        self._opened += 1
        if self._opened == 1:
            broker = self._executor._broker  # noqa: SLF001 - as above
        else:
            folder = self._context.folder / f"interchange-{self._opened}"
            broker = Broker(self._settings, folder)
        self._broker = broker
        self._selector.register(broker.line.fd, selectors.EVENT_READ, "line")
        self._listening, self._writes = True, False
        if broker.handle >= 0:
            self._selector.register(broker.handle, selectors.EVENT_READ, "broker")
        patience = self._settings.start_timeout
        self._late = time.monotonic() + patience
        self._too_late = f"It said nothing for {patience:g} s."

    def _take_hello(self, said: messages.Hello) -> None:
        # Loaded while the interchange started.
        from weft_htex.blocks import Blocks

        self._late = None
        self._hello = said
        if self._closing is not None:
            return  # no block would be of use any more
        executor = self._executor
        blocks = self._blocks = Blocks(
            self._settings,
            self._context,
            said,
            executor._parts,  # noqa: SLF001 - the two are one thing, parted by thread
            self._inbox.post,
            pilot=executor._pilot,  # noqa: SLF001 - as above
        )
        executor._blocks = blocks.blocks  # noqa: SLF001 - as above
        blocks.start()
        blocks.load(len(self._held), self._news)
        self._publish()

    def _take_news(self, said: messages.News) -> None:
        self._news = said
        self._workers = sum(one["workers"] for one in said.managers.values())
        for change in self._managers.changes(said, time.time()):
            self._context.tell(change)
        for level, text in said.told:
            self._context.notice(level if level == "info" else "warning", text)
        if self._settings.packages:
            self._compare(said)
        if self._blocks is not None:
            self._blocks.news(said)
            # Which blocks are idle is in the news, and those of the last task come after its end.
            self._load = -1
            self._measure_fresh(said)
        self._publish()

    def _compare(self, said: messages.News) -> None:
        """Tell once of each package that was named and has another version on a node than here."""
        for name, one in said.managers.items():
            if name in self._compared:
                continue
            self._compared.add(name)
            here = versions_of(self._settings.packages)
            for package, (there, own) in differing(one["packages"], here).items():
                if (package, there) not in self._differing:
                    self._differing.add((package, there))
                    self._context.notice(
                        "warning",
                        f"{package} is {there or 'not installed'} on {one['host']} (block "
                        f"{one['block']}), and {own or 'not installed'} here. Tasks there may "
                        "fail, or have other results; worker_init and python choose what nodes "
                        "use.",
                    )

    def _publish(self) -> None:
        """Renew what ``status`` shows."""
        broker = self._broker
        hello = self._hello
        self._executor._seen = {  # noqa: SLF001 - a value that is replaced whole
            "managers": self._news.managers,
            "waiting at the interchange": self._news.waiting,
            "messages ignored": self._news.ignored,
            "interchange": broker.place if broker is not None else "",
            "addresses": [*hello.doors, *hello.addresses] if hello is not None else [],
            "encrypted": self._settings.encrypted,
            "blocks": self._blocks.shown() if self._blocks is not None else [],
        }

    def _look_after(self, now: float) -> None:
        """See whether the interchange lives, and whether it is time for something."""
        broker = self._broker
        if broker is None:
            return
        if self._broker_ended or (broker.handle < 0 and broker.ended()):
            self._bury(broker)
        elif self._closing is not None:
            if now >= self._closing + _CLOSING:
                broker.kill("It did not end when it was asked to.")
        elif self._late is not None and now >= self._late:
            self._late = None
            broker.kill(self._too_late)
        elif self._blocks is not None:
            tasks = len(self._held)
            if tasks != self._load and now >= self._load_at:
                self._load, self._load_at = tasks, now + _LOAD_EVERY
                self._blocks.load(tasks, self._news, self._beyond_now(), self._asked_now())

    def _let_go(self, broker: Broker) -> str:
        broker.line.fired()
        self._receive()  # what it said last still counts
        self._stop_listening(broker)
        if broker.handle >= 0:
            self._selector.unregister(broker.handle)
        self._broker, self._broker_ended = None, False
        return broker.close()

    def _bury(self, broker: Broker) -> None:
        """The interchange has ended: what it had is lost, and another one is started."""
        executor = self._executor
        how = self._let_go(broker)
        closing = self._closing is not None
        self._tell_end_of_managers("" if closing else f"The interchange {how}")
        if closing:
            return
        self._deaths += 1
        if self._blocks is not None:
            self._blocks.close(_BLOCKS)
            self._blocks = None
            executor._parts = _opened(self._settings, self._context, executor._pilot)  # noqa: SLF001 - a provider is closed for good
        self._hello, self._late = None, None
        self._news = messages.News(managers={}, waiting=0, ignored=0)
        self._workers = 0
        self._publish()
        self._defined.clear()
        if self._deaths >= _DEATHS:
            raise ExecutorFailed(
                self._label,
                f"Its interchange ended {self._deaths} times without a result in between; the "
                f"last one {how}",
                todo="interchange.log in the executor's folder says more.",
            )
        lost = [one for one in self._held.values() if one.sent]
        self._context.notice(
            "warning",
            f"The interchange of {self._label!r} {how} Another one is started; what it had "
            f"(tasks: {len(lost)}) is tried again.",
        )
        for one in lost:
            name = f"{one.task.app!r} (task {one.task.id})"
            self._end(one, Ended.LOST, TaskLost(name, [f"The interchange {how}"]))
        self._window.clear()
        self._open()

    def _tell_end_of_managers(self, lost: str) -> None:
        """There is no interchange any more, and so no managers; ``lost`` says why, if they are."""
        for change in self._managers.over("lost" if lost else "ended", lost, time.time()):
            self._context.tell(change)

    def _close(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        if self._closing is None:
            self._unsent.clear()
            if self._blocks is not None:
                self._blocks.wind_down()
        elif until >= self._closing:
            return
        self._closing = until
        self._say(messages.Close(timeout=timeout))

    # ---------------------------------------------------------------------------------------- waits

    def _until_next(self) -> float | None:
        closing = None if self._closing is None else self._closing + _CLOSING
        load = self._load_at if self._blocks is not None and len(self._held) != self._load else None
        moments = [at for at in (closing, self._late, load) if at is not None]
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _tell(self) -> None:
        """Report what has ended."""
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._context.report(outcomes)

    def _end(
        self,
        one: _Held,
        ended: Ended,
        value: Any,
        place: str = "",
        *,
        begun: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        task = one.task
        if self._held.get(task.id) is one:
            del self._held[task.id]
            self._window.ended(task.id)
            self._outcomes.append(
                Outcome(task.id, task.attempt, ended, value, place, begun, seconds)
            )

    # --------------------------------------------------------------------------------------- inbox

    def _take_inbox(self) -> None:
        entries = self._inbox.entries
        while entries:
            what, about = entries.popleft()
            if what == "tasks":
                if self._closing is None:
                    for one in about:
                        self._queue(one.task.needs.priority).append(one)
            elif what == "say":
                self._say(about)
            elif what == "drain":
                self._drain(about)
            elif what == "failed":
                self._give_up(about)
            elif what == "blocks":
                self._publish()
            elif what == "close":
                self._close(about)
            elif self._closing is None:
                self._stop(about, running=what == "cancel")

    def _drain(self, block: str) -> None:
        self._say(messages.Drain(block=block))
        if self._blocks is not None:
            self._blocks.drains(block)

    def _give_up(self, error: BaseException) -> None:
        """No machines can be had: all that is held ends with the error."""
        if self._closing is None:
            self._unsent.clear()
            self._held.clear()
            self._window.clear()
            self._context.failed(error)

    def _queue(self, priority: int) -> deque[_Held]:
        queue = self._unsent.get(priority)
        if queue is None:
            queue = self._unsent[priority] = deque()
        return queue

    def _stop(self, ones: Iterable[_Held], *, running: bool) -> None:
        asked = []
        for one in ones:
            if self._held.get(one.task.id) is not one:
                continue
            one.cancelled = True
            if one.sent:
                asked.append(one.task.id)
            else:
                one.dropped = True
                self._end(one, Ended.CANCELLED, None)
        if asked:
            self._say(messages.Cancel(ids=asked) if running else messages.Drop(ids=asked))

    # -------------------------------------------------------------------------------------- sending

    def _say(self, said: messages.Control) -> None:
        if self._broker is not None:
            self._broker.line.say(said)

    def _send(self) -> None:
        """Send what there is, as far as there is room on the way."""
        broker = self._broker
        if broker is None:
            return
        line = broker.line
        # In between, blocks are to be admitted and results taken.
        for _ in range(_BATCHES):
            if not (line.flush() and self._may_send):
                break
            self._pack_some(line)

    @property
    def _may_send(self) -> bool:
        """Whether there is something to send, and room for it with those who get it."""
        return bool(self._unsent) and self._closing is None and self._window.has_room(self._workers)

    def _pack_some(self, line: Stream) -> None:
        """Pack as many of the tasks whose turn it is as go into one message."""
        priority = min(self._unsent)
        queue = self._unsent[priority]
        rows: list[tuple[bytes, Sequence[Any]]] = []
        new: dict[bytes, bytes] = {}
        window, workers = self._window, self._workers
        room = _BATCH_BYTES
        told = 0
        for _ in range(min(len(queue), _BATCH)):
            one = queue.popleft()
            # In this order, and the kernel's thread the other way round.
            one.sent = True
            if one.dropped:
                self._end(one, Ended.CANCELLED, None)
                continue
            row = self._packed(one, new)
            if row is None:
                continue
            rows.append(row)
            size = len(row[0]) + (sum(map(len, row[1])) if row[1] else 0)
            window.sent(one.task.id, size)
            room -= size
            if len(new) > told:
                room -= sum(map(len, list(new.values())[told:]))
                told = len(new)
            if room <= 0 or not window.has_room(workers):
                break
        if not queue:
            del self._unsent[priority]
        if new:
            line.send(messages.definitions_out(new))
        if rows:
            line.send(messages.rows_out(messages.TASKS, rows))

    def _packed(self, one: _Held, new: dict[bytes, bytes]) -> tuple[bytes, Sequence[Any]] | None:
        task = one.task
        needs = task.needs
        walltime = longest(task) or 0.0
        most = self._settings.block_walltime
        if most is not None and walltime >= most:
            reason = f"It may take {walltime:g} s, and a block lives for {most:g} s."
            self._end(one, Ended.ERROR, DoesNotFit(task.app, task.id, reason))
            return None
        try:
            call = self._packer.pack(
                task.function,
                task.args,
                task.kwargs,
                task.app,
                chosen=task.serializer,
                task=task.id,
            )
            if len(call.head) >= messages.LARGE or call.buffers:
                self._check_size(call.head, call.buffers, f"The arguments of {task.app!r}")
        except SerializationError as trouble:
            self._end(one, Ended.ERROR, trouble)
            return None
        digests = []
        one.definitions = needed = (
            call.needs if call.function is None else (call.function, *call.needs)
        )
        for definition in needed:
            digest = definition.digest
            digests.append(digest)
            if digest not in self._defined:
                if len(self._defined) > _DEFINED:
                    self._defined.clear()
                self._defined.add(digest)
                self._definitions[digest] = definition
                new[digest] = definition.blob
        app = self._apps.get(task.app)
        if app is None:
            app = self._apps[task.app] = task.app.encode("utf-8", "replace")[:65535]
        return messages.task_bytes(
            task.id,
            task.attempt,
            Cut(call.head.pieces) if type(call.head) is Chunks else call.head,
            priority=needs.priority,
            walltime=walltime,
            digests=digests,
            app=app,
            needs=b"" if needs.resources is None else self._asked(needs),
            buffers=[buffer.raw() for buffer in call.buffers] if call.buffers else (),
        )

    def _check_size(self, head: Any, buffers: Sequence[Any], subject: str) -> None:
        size = max([len(head), *(memoryview(buffer).nbytes for buffer in buffers)])
        if size > self._settings.max_message:
            raise PayloadTooLarge(subject, size, self._settings.max_message)

    def _asked(self, needs: Needs) -> bytes:
        """What a task asks of a node, as JSON; most tasks share the one object of their app."""
        known = self._needs.get(id(needs))
        if known is None or known[0] is not needs:
            resources = needs.resources
            asked = {name: getattr(resources, name) for name in _COUNTED}
            text = json.dumps({name: n for name, n in asked.items() if n is not None}).encode()
            if len(self._needs) > _REMEMBERED:
                self._needs.clear()
            known = self._needs[id(needs)] = (needs, text)
        return known[1]

    # ------------------------------------------------------------------------------------ receiving

    def _receive(self) -> None:
        broker = self._broker
        if broker is None:
            return
        line = broker.line
        for _ in range(_TURN):
            try:
                parts = line.receive()
                if parts is None:
                    self._more = False
                    break
                self._take(parts)
            except BadMessage as trouble:
                self._context.notice(
                    "error", f"The interchange of {self._label!r} said something odd: {trouble}"
                )
        else:
            self._more = True
        if line.over and self._listening:
            # It ends, nearly always: that is seen where it says how.
            self._stop_listening(broker)
            self._late, self._too_late = time.monotonic() + _SILENCE, "It closed its connection."

    def _stop_listening(self, broker: Broker) -> None:
        if self._listening:
            self._listening = self._more = False
            self._selector.unregister(broker.line.fd)

    def _take(self, parts: Sequence[Any]) -> None:
        kind = messages.kind_of(parts)
        if kind == messages.RESULTS:
            self._deaths = 0
            for row in messages.rows_in(parts):
                self._take_result(row)  # type: ignore[arg-type]  # the kind says which rows
            return
        said = messages.control_in(parts)
        if isinstance(said, messages.Ends):
            ran = said.ran or [_UNKNOWN] * len(said.ends)
            for end, one in zip(said.ends, ran, strict=True):
                self._take_end(end, one)
        elif isinstance(said, messages.Told):
            self._take_told(said)
        elif isinstance(said, messages.News):
            self._take_news(said)
        elif isinstance(said, messages.Hello):
            self._take_hello(said)
        elif isinstance(said, messages.Missing):
            self._define_again(said)
        elif isinstance(said, messages.Unfit):
            self._take_unfit(said)

    def _take_told(self, said: messages.Told) -> None:
        """Tell the monitors what tries have said and used that have not ended yet."""
        messages.check_told(said)
        held, tell, label = self._held, self._context.tell, self._label
        for number, attempt, at, *line in said.lines:
            if (one := held.get(number)) is not None and one.task.attempt == attempt:
                tell(LogLine(at, number, attempt, label, *line))
        for number, attempt, at, *sample in said.samples:
            if (one := held.get(number)) is not None and one.task.attempt == attempt:
                tell(ResourceSample(at, number, attempt, label, *sample))

    def _define_again(self, said: messages.Missing) -> None:
        digests = [bytes.fromhex(digest) for digest in said.digests]
        known = {}
        for digest in digests:
            definition = self._definitions.get(digest) or self._definition_of(digest)
            if definition is not None:
                known[digest] = definition.blob
        if known and self._broker is not None:
            self._broker.line.send(messages.definitions_out(known))

    def _definition_of(self, digest: bytes) -> Definition | None:
        """Where the one that was sent is gone, and another task has the very same."""
        for one in self._held.copy().values():
            for definition in one.definitions:
                if definition.digest == digest:
                    self._definitions[digest] = definition
                    return definition
        return None

    def _take_unfit(self, said: messages.Unfit) -> None:
        """Tasks that no manager can run. What a fresh block could waits for one; the rest fails."""
        walltime = self._settings.block_walltime
        for one in [one for i in said.ids if (one := self._held.get(i))]:
            may_take = longest(one.task) or 0.0
            enough = walltime is None or may_take < (self._fresh_left or walltime)
            if said.time and enough:
                self._beyond[one.task.id] = may_take
                self._load = -1  # another block is wanted
            else:
                self._fits_nowhere(one, said.why)

    def _fits_nowhere(self, one: _Held, why: str) -> None:
        walltime = self._settings.block_walltime
        if (
            self._fresh_left
            and walltime is not None
            and (longest(one.task) or 0.0) >= self._fresh_left
        ):
            why += (
                f" A block lives for {walltime:g} s, and of a fresh one at most "
                f"{self._fresh_left:.1f} s were left when its managers had registered."
            )
        self._say(messages.Drop(ids=[one.task.id]))
        self._end(one, Ended.ERROR, DoesNotFit(one.task.app, one.task.id, why))

    def _beyond_now(self) -> list[float]:
        """How long each task may take that still waits for a block that lives long enough."""
        if not self._beyond:
            return []
        running = {i for one in self._news.managers.values() for i in one["running"]}
        left = {i: t for i, t in self._beyond.items() if i in self._held and i not in running}
        self._beyond = left
        return list(left.values())

    def _asked_now(self) -> Counter[int] | None:
        """How many tasks ask for how many accelerators, where blocks follow from that."""
        if self._executor._pilot.capacity is None:  # noqa: SLF001 - as above
            return None
        asked = [one.task.needs.resources for one in self._held.copy().values()]
        return Counter(1 if one is None else ceil(one.accelerators or 1) for one in asked)

    def _measure_fresh(self, news: messages.News) -> None:
        """What not even a block that has just come up lives long enough for fails."""
        walltime = self._settings.block_walltime
        if walltime is None:
            return
        fresh = [m for m in news.managers.values() if m["block"] not in self._blocks_seen]
        if not fresh:
            return
        self._blocks_seen.update(str(one["block"]) for one in fresh)
        most = self._fresh_left = max(self._fresh_left, *(float(one["left"]) for one in fresh))
        for task_id, may_take in list(self._beyond.items()):
            if may_take >= most and (one := self._held.get(task_id)) is not None:
                self._fits_nowhere(one, f"It may take {may_take:g} s.")

    def _take_result(self, row: ResultRow) -> None:
        one = self._held.get(row.id)
        if one is None or one.task.attempt != row.attempt:
            return
        key = (row.source, row.worker)
        place = self._places.get(key) or self._place_of(key)
        begun = row.begun
        seconds: float | None = row.seconds
        if not (0.0 < begun < _ENDLESS and 0.0 <= row.seconds < _ENDLESS):
            begun, seconds = 0.0, None
        if row.kind == ERROR:
            error = explained(error_of(row.head), raised_on(one.task, place))
            self._end(one, Ended.ERROR, error, place, begun=begun, seconds=seconds)
            return
        try:
            value = value_of(
                row.head, [_writable(one) for one in row.buffers] if row.buffers else ()
            )
        except SerializationError as trouble:
            explained(trouble, raised_on(one.task, place))
            self._end(one, Ended.ERROR, trouble, place, begun=begun, seconds=seconds)
        else:
            task = one.task
            del self._held[task.id]
            self._window.ended(task.id)
            self._outcomes.append(
                Outcome(task.id, task.attempt, Ended.VALUE, value, place, begun, seconds)
            )

    def _place_of(self, key: tuple[str, int]) -> str:
        """Where a worker is, as ``Outcome.place`` says it: one text for all of its tasks."""
        source, worker = key
        if len(self._places) > _REMEMBERED:
            self._places.clear()
        place = self._places[key] = f"worker {worker} of {source}"
        return place

    def _take_end(self, end: Sequence[Any], ran: Sequence[float]) -> None:
        """A try ended without a result."""
        task_id, attempt, how, why, place = end
        one = self._held.get(task_id)
        if one is None or one.task.attempt != attempt:
            return
        task = one.task
        name = f"{task.app!r} (task {task_id})"
        error: BaseException | None = None
        if one.cancelled or how == "cancelled":
            ended = Ended.CANCELLED
        elif how == "timeout":
            ended, error = Ended.ERROR, TaskTimeout(name, task.needs.walltime or 0.0, why)
        else:
            ended = Ended.KILLED if how == "killed" else Ended.LOST
            error = TaskLost(name, [why])
        begun, seconds = ran
        self._end(one, ended, error, place, begun=begun, seconds=seconds if begun else None)


def _writable(buffer: Any) -> Any:
    """A buffer that may become an array which its owner can change."""
    view = memoryview(buffer)
    return bytearray(view) if view.readonly else view
