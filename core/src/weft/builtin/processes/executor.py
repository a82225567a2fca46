"""Runs tasks in worker processes on this machine.

    kernel thread   submit, cancel ──▶ [inbox] ──▶ wakes the other, if that sleeps
    weft-processes-<label>   owns the workers, the dealer and the packer:
                    inbox, sockets, process handles, deadlines ──▶ deal ──▶ context.report(outcomes)

Every worker has a socket, a pipe and a place in shared memory of its own; nothing is shared between
workers that one of them could hold and die with. Tasks are packed when they are dealt, so those
that wait cost nothing but themselves.

What a worker's death means: the shared memory says which call it was at; that one ends as
``KILLED``. Calls that it had finished without having said so, and those that it had not begun, are
dealt again, and nobody hears of it.

What tasks print goes where this process prints. What a worker says before it is ready, and the
trace of a crash, go to ``worker-<n>.log`` in the executor's folder, and from there into errors.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from weft.builtin.processes.settings import Processes
from weft.calls.batches import calls_message, opened
from weft.calls.failures import error_of, explained
from weft.calls.packing import Call, Packer
from weft.calls.running import ERROR, value_of
from weft.errors import ExecutorFailed, SerializationError, SessionClosed, TaskLost, TaskTimeout
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.values.task import Ended, Outcome, Task, TaskId
from weft.workers.dealing import REDEALS, Dealer, Desk, Entry
from weft.workers.process import Birth, Process
from weft.workers.protocol import CALLS, READY, RESULTS, STOP, BrokenStream

__all__ = ["ProcessesExecutor", "build"]

_TERM_GRACE = 2.0
_BASH_GRACE = 5.0
_LATE_STARTS = 3
_FORGET_AFTER = 1000
_SILENCE = 0.5
_WALLTIME = "Its task took longer than its walltime."
_LOOK = 0.1


def build(settings: Processes) -> ProcessesExecutor:
    """The factory that the declaration names."""
    return ProcessesExecutor(settings)


class ProcessesExecutor(Executor):
    """Runs tasks in worker processes on this machine. See the module for its thread."""

    def __init__(self, settings: Processes) -> None:
        self._settings = settings
        self._label = settings.called
        # Written by the kernel thread, taken from by ours: what is neither reported nor dropped.
        self._held: dict[TaskId, Entry] = {}
        self._inbox: deque[tuple[str, Any]] = deque()
        self._asleep = False
        self._thread: threading.Thread | None = None
        self._closed = False
        self._counts = (0, 0)

    # --------------------------------------------------------------------------------------- kernel
    # thread

    def start(self, context: ExecutorContext) -> None:
        """Start the workers, and do not wait for them."""
        self._context = context
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        settings = self._settings
        try:
            self._birth = Birth(
                context.folder,
                settings.environment,
                clean=settings.isolation == "clean",
                slots=settings.max_workers,
            )
        except OSError as trouble:
            self._wake_read.close()
            self._wake_write.close()
            self._closed = True
            raise ExecutorFailed(
                self._label, f"Its folder {context.folder} cannot be used: {trouble}"
            ) from trouble
        self._thread = threading.Thread(
            target=self._run, name=f"weft-processes-{self._label}", daemon=True
        )
        self._thread.start()

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks."""
        if self._closed:
            reason = f"The executor {self._label!r} is closed."
            self._context.report(
                [
                    Outcome(t.id, t.attempt, Ended.ERROR, SessionClosed(t.app, reason=reason))
                    for t in tasks
                ]
            )
            return
        held = self._held
        entries = []
        for task in tasks:
            needs = task.needs
            entry = Entry(task, task.app, needs.priority, alone=needs.walltime is not None)
            held[task.id] = entry
            entries.append(entry)
        self._post("tasks", entries)

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait; kill the workers of those that run."""
        known = [(task, entry) for task in ids if (entry := self._held.get(task)) is not None]
        if known and not self._closed:
            self._post("cancel", [entry for _, entry in known])
        return {task for task, _ in known}

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that no worker has yet."""
        known = [
            (task, entry)
            for task in ids
            if (entry := self._held.get(task)) is not None and entry.desk is None
        ]
        if known and not self._closed:
            self._post("drop", [entry for _, entry in known])
        return {task for task, _ in known}

    def status(self) -> ExecutorStatus:
        """How it is now."""
        workers, running = self._counts
        return ExecutorStatus(
            workers=workers,
            running=running,
            waiting=max(0, len(self._held) - running),
            details={"max_workers": self._settings.max_workers},
        )

    def close(self, timeout: float) -> None:
        """End the workers, and all that they started."""
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        self._post("close", timeout)
        if thread is not threading.current_thread():
            thread.join()
            self._thread = None

    def _post(self, what: str, about: Any) -> None:
        self._inbox.append((what, about))
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(
                BlockingIOError, OSError
            ):  # full: it will wake; closed: it ended
                self._wake_write.send(b"!")

    # ------------------------------------------------------------------------------------------ our
    # thread

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                _Floor(self, selector).run()
        except BaseException as trouble:  # noqa: BLE001 - nobody else would ever say that this thread ended
            error = ExecutorFailed(self._label, f"{type(trouble).__name__}: {trouble}")
            error.__cause__ = trouble
            self._context.failed(error)
        finally:
            self._closed = True
            self._wake_read.close()
            self._wake_write.close()
            self._birth.close()


class _Floor:
    """All that the executor's thread owns: the floor on which the workers stand."""

    def __init__(self, executor: ProcessesExecutor, selector: selectors.BaseSelector) -> None:
        settings = executor._settings  # noqa: SLF001 - the two are one thing, parted by thread
        self._executor, self._selector, self._settings = executor, selector, settings
        self._context = executor._context  # noqa: SLF001 - as above
        self._label = settings.called
        self._birth = executor._birth  # noqa: SLF001 - as above
        self._held = executor._held  # noqa: SLF001 - as above
        self._inbox = executor._inbox  # noqa: SLF001 - as above
        self._wake = executor._wake_read  # noqa: SLF001 - as above
        self._dealer = Dealer(settings.prefetch, settings.tasks_per_worker)
        self._packer = Packer()
        self._processes: list[Process] = []
        self._free_slots = list(range(settings.max_workers))
        self._born = 0
        self._bad_starts = 0
        self._last_trouble = ""
        self._outcomes: list[Outcome] = []
        self._closing: float | None = None
        self._failed = False
        self._look_at: float | None = None

    def run(self) -> None:
        """Serve until closed; then nothing is left."""
        self._selector.register(self._wake, selectors.EVENT_READ, "wake")
        try:
            self._hire()
            while self._closing is None or self._processes:
                self._wait()
                self._take_inbox()
                now = time.monotonic()
                self._keep_deadlines(now)
                if self._closing is None:
                    self._deal(now)
                self._tell()
        finally:
            for process in self._processes:
                process.kill("The executor ended.")
            for process in self._processes:
                process.reap()
            self._tell()

    def _wait(self) -> None:
        """Sleep until something happens, and take it."""
        executor = self._executor
        executor._asleep = True  # noqa: SLF001 - a flag between the two threads
        timeout = 0.0 if self._inbox else self._until_next()
        events = self._selector.select(timeout)
        executor._asleep = False  # noqa: SLF001 - as above
        for key, mask in events:
            what = key.data
            if what == "wake":
                with contextlib.suppress(BlockingIOError):
                    self._wake.recv(4096)
                continue
            process, is_handle = what
            if process not in self._processes:
                continue
            if is_handle:
                self._bury(process)
            else:
                if mask & selectors.EVENT_WRITE:
                    process.write()
                    self._watch(process)
                if mask & selectors.EVENT_READ:
                    self._hear(process)

    def _until_next(self) -> float | None:
        moments = [p.deadline for p in self._processes if p.deadline is not None]
        if self._look_at is not None:
            moments.append(self._look_at)
        wait = max(0.0, min(moments) - time.monotonic()) if moments else None
        if any(process.handle < 0 for process in self._processes):
            wait = min(wait if wait is not None else _LOOK, _LOOK)
        return wait

    def _tell(self) -> None:
        """Report what has ended."""
        running = sum(1 for p in self._processes if p.desk.held)
        ready = sum(1 for p in self._processes if p.ready)
        self._executor._counts = (ready, running)  # noqa: SLF001 - a value that is replaced whole
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._context.report(outcomes)

    def _end(self, entry: Entry, ended: Ended, value: Any, place: str = "") -> None:
        task: Task = entry.job
        if self._held.get(task.id) is entry:
            del self._held[task.id]
        self._outcomes.append(Outcome(task.id, task.attempt, ended, value, place))

    # ---------------------------------------------------------------------------------------------
    # inbox

    def _take_inbox(self) -> None:
        inbox = self._inbox
        while inbox:
            what, about = inbox.popleft()
            if what == "tasks":
                if self._closing is None:
                    for entry in about:
                        self._dealer.add(entry)
            elif what == "drop":
                self._cancel([entry for entry in about if entry.desk is None])
            elif what == "cancel":
                self._cancel(about)
            elif self._closing is None:
                self._close(about)

    def _cancel(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if self._held.get(entry.job.id) is not entry:
                continue
            desk = entry.desk
            if desk is None:
                if self._dealer.cancel(entry):
                    self._end(entry, Ended.CANCELLED, None)
                continue
            entry.cancelled = True
            self._take_back(desk.owner)
            # It still has it, so it runs, or has run and not yet said so.
            if entry.desk is desk and desk.owner.current() == entry.number:
                desk.owner.kill("Its task was cancelled.")
                self._check(desk.owner)

    def _close(self, timeout: float) -> None:
        now = time.monotonic()
        self._closing = now
        self._dealer.clear()
        for process in self._processes:
            process.desk.open = False
            self._take_back(process)
            process.stage, process.deadline = "finishing", now + timeout
            if not process.desk.held:
                self._dismiss(process)

    def _dismiss(self, process: Process) -> None:
        """Let a worker go that has nothing to do."""
        process.desk.open = False
        if process.stage != "leaving":
            process.stage = "leaving"
            process.deadline = time.monotonic() + _TERM_GRACE
            process.send(STOP, [])
            self._watch(process)

    # --------------------------------------------------------------------------------------------
    # workers

    def _hire(self) -> None:
        """Start as many workers as are missing."""
        while self._free_slots and self._closing is None and not self._failed:
            self._born += 1
            slot = self._free_slots.pop(0)
            try:
                process = Process(self._birth, self._born, slot)
            except OSError as trouble:
                self._free_slots.append(slot)
                self._last_trouble = f"A worker could not be started: {trouble}"
                self._bad_starts += 1
                if self._bad_starts >= _LATE_STARTS:
                    self._fail()
                    return
                continue
            process.deadline = time.monotonic() + self._settings.start_timeout
            self._processes.append(process)
            self._selector.register(process, selectors.EVENT_READ, (process, False))
            if process.handle >= 0:
                self._selector.register(process.handle, selectors.EVENT_READ, (process, True))

    def _watch(self, process: Process) -> None:
        """Listen for room in a worker's socket only while something waits for it."""
        if process.gone:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if process.blocked else 0)
        if self._selector.get_key(process).events != events:
            self._selector.modify(process, events, (process, False))

    def _hear(self, process: Process) -> None:
        """Take what a worker says."""
        now = time.monotonic()
        try:
            for kind, parts in process.read():
                if kind == RESULTS:
                    self._take_results(process, parts, now)
                elif kind == READY:
                    self._welcome(process)
        except Exception as trouble:  # noqa: BLE001 - a task can write anything to any descriptor
            kind_of = "" if isinstance(trouble, BrokenStream) else f"{type(trouble).__name__}: "
            process.kill(f"It said something that is no message: {kind_of}{trouble}")
            process.gone = True
        if process.gone:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(process)
            process.desk.open = False
            if (
                process.stage != "leaving"
            ):  # most often it is about to end; how, it says best itself
                process.stage, process.deadline = "silent", now + _SILENCE
            self._check(process)

    def _welcome(self, process: Process) -> None:
        process.ready = True
        self._bad_starts = 0
        if self._closing is None:
            process.stage, process.deadline = "working", None
            process.desk.open = True
            self._dealer.desks.append(process.desk)

    def _check(self, process: Process) -> None:
        """Where there is no handle to wait for: look whether a worker has ended."""
        if process.handle < 0 and process in self._processes and process.ended():
            self._bury(process)

    def _bury(self, process: Process) -> None:
        """A worker has ended: see what it was at, and replace it."""
        if not process.gone:  # what it said last still counts
            with contextlib.suppress(BrokenStream, Exception):
                for kind, parts in process.read(most=1_000_000):
                    if kind == RESULTS:
                        self._take_results(process, parts, time.monotonic())
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(process)
        if process.handle >= 0:
            self._selector.unregister(process.handle)
        self._processes.remove(process)
        running = process.current()
        if running > process.desk.dealt:  # a task wrote there: then it was that of the oldest call
            running = next(iter(process.desk.held), 0)
        how = process.reap()
        words = process.last_words()
        victim, others = self._dealer.remove(process.desk, running)
        if victim is not None:
            self._report_victim(victim, process, how, words)
        self._deal_again(others, process, how)
        self._free_slots.append(process.slot)
        if not process.ready and self._closing is None:
            self._bad_starts += 1
            self._last_trouble = f"The last worker to start {how}. {process.why}" + (
                f" Its last words were:\n{words}" if words else ""
            )
            if self._bad_starts >= _LATE_STARTS:
                self._fail()
                return
        self._hire()

    def _report_victim(self, entry: Entry, process: Process, how: str, words: str) -> None:
        task: Task = entry.job
        name = f"{task.app!r} (task {task.id})"
        if entry.cancelled:
            self._end(entry, Ended.CANCELLED, None, process.place)
            return
        if process.why == _WALLTIME:
            walltime = task.needs.walltime or 0.0
            error: BaseException = TaskTimeout(
                name, walltime, f"It ran on {process.place}, which was ended for it and replaced."
            )
            self._end(entry, Ended.ERROR, error, process.place)
            return
        said = f"\n{words}" if words else ""
        loss = f"{process.place} {how} while it ran {name}. {process.why}".rstrip() + said
        self._end(entry, Ended.KILLED, TaskLost(name, [loss]), process.place)

    def _deal_again(self, entries: list[Entry], process: Process, how: str) -> None:
        again = []
        for entry in entries:
            entry.redealt += 1
            if entry.cancelled:
                self._end(entry, Ended.CANCELLED, None)
            elif entry.redealt > REDEALS:
                name = f"{entry.job.app!r} (task {entry.job.id})"
                loss = f"{process.place} {how} before it began {name}, as {REDEALS} did before it"
                self._end(entry, Ended.LOST, TaskLost(name, [loss]))
            else:
                again.append(entry)
        if self._closing is None:
            self._dealer.put_back(again)

    def _fail(self) -> None:
        """Workers do not even start: say so, and give up."""
        self._failed = True
        error = ExecutorFailed(
            self._label,
            f"{self._bad_starts} workers in a row did not start. {self._last_trouble}",
            todo="Run the worker's Python by hand and import what the words above name.",
        )
        self._context.failed(error)

    # ----------------------------------------------------------------------------------------------
    # tasks

    def _take_results(self, process: Process, parts: Sequence[Any], now: float) -> None:
        (epoch, dropped), rows = opened(parts)
        desk, ended = process.desk, self._dealer.ended
        place = process.place
        for number, kind, head, buffers, took in rows:
            entry = ended(desk, number, took * 1e-6, now)
            if entry is None:
                continue
            if kind == ERROR:
                self._end(entry, Ended.ERROR, self._error(entry, head, place), place)
                continue
            try:
                value = value_of(head, buffers)
            except SerializationError as trouble:
                explained(trouble, self._note(entry, place))
                self._end(entry, Ended.ERROR, trouble, place)
            else:
                self._end(entry, Ended.VALUE, value, place)
        if dropped and epoch == process.epoch:
            process.kill("Something overwrote the memory that it shares with this process.")
        elif dropped:
            back = [desk.held[number] for number in dropped if number in desk.held]
            self._return(back)
        if not desk.held:
            if process.stage == "finishing" or (not desk.open and process.stage == "working"):
                self._dismiss(process)
            elif process.stage == "limited":
                process.stage, process.deadline = "working", None

    def _error(self, entry: Entry, head: Any, place: str) -> BaseException:
        return explained(error_of(head), self._note(entry, place))

    @staticmethod
    def _note(entry: Entry, place: str) -> str:
        task: Task = entry.job
        return f"raised by {task.app!r} (task {task.id}, attempt {task.attempt}) on {place}"

    def _return(self, entries: list[Entry]) -> None:
        """Entries that a worker has not begun, and will not begin, wait again."""
        for entry in entries:
            self._dealer.forget(entry)
            if entry.cancelled:
                self._end(entry, Ended.CANCELLED, None)
        if self._closing is None:
            self._dealer.put_back([entry for entry in entries if not entry.cancelled])

    def _take_back(self, process: Process) -> None:
        """Let a worker finish what it is at, and take from it what it has not begun."""
        running = process.forbid()
        if running:
            self._return(self._dealer.unstarted(process.desk, running))

    def _deal(self, now: float) -> None:
        while dealt := self._dealer.deal(now):
            for desk, entries in dealt:
                self._send(desk, entries, now)
        stuck, self._look_at = self._dealer.stuck(now)
        for desk in stuck:
            desk.since = now
            self._take_back(desk.owner)
        if stuck:
            self._deal(now)

    def _send(self, desk: Desk, entries: list[Entry], now: float) -> None:
        process: Process = desk.owner
        calls: list[tuple[int, Call]] = []
        pack = self._packer.pack
        for entry in entries:
            task: Task = entry.job
            try:
                call = pack(task.function, task.args, task.kwargs, task.app)
            except SerializationError as trouble:
                self._dealer.forget(entry)
                self._end(entry, Ended.ERROR, trouble)
                continue
            calls.append((entry.number, call))
            if task.needs.walltime is not None:
                # A body that keeps the time itself knows more to say when it is over.
                itself = getattr(task.function, "times_out_itself", False)
                process.deadline = now + task.needs.walltime + (_BASH_GRACE if itself else 0.0)
                process.stage = "limited"
        if not calls:
            return
        forget = len(process.sent) > _FORGET_AFTER
        if forget:
            process.sent.clear()
        process.send(CALLS, calls_message(calls, process.sent, (process.epoch, forget)))
        self._watch(process)

    def _keep_deadlines(self, now: float) -> None:
        for process in list(self._processes):
            if process.handle < 0:
                self._check(process)
            if process.deadline is None or process.deadline > now:
                continue
            process.deadline = None
            if process.stage == "starting":
                process.kill(f"It did not start within {self._settings.start_timeout:g} s.")
            elif process.stage == "limited":
                process.kill(_WALLTIME)
            elif process.stage == "silent":
                process.kill("It had closed its connection.")
            elif process.stage == "finishing":
                process.stage, process.deadline = "leaving", now + _TERM_GRACE
                process.terminate()
            else:
                process.kill("It did not end when it was asked to.")
