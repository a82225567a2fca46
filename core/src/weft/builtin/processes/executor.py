"""Runs tasks in worker processes on this machine.

    kernel thread   submit, cancel ──▶ [inbox] ──▶ wakes the other, if that sleeps
    weft-processes-<label>   owns the crew of workers and the packer:
                    inbox, selector ──▶ crew ──▶ context.report(outcomes)

The workers are the matter of :mod:`weft.workers.crew`. Here tasks are packed, when they are dealt,
and what became of them is opened and put in the kernel's words.

What tasks print goes where this process prints.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Collection, Sequence
from typing import Final

from weft.builtin.processes.settings import Processes
from weft.calls.budget import Budget
from weft.calls.call import Call
from weft.calls.failures import error_of, explained
from weft.calls.packing import Packer
from weft.calls.running import ERROR, value_of
from weft.errors import ExecutorFailed, SerializationError, TaskLost, TaskTimeout
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.values.events import LogLine, ResourceSample
from weft.values.task import Ended, Outcome, Task, TaskId
from weft.workers.crew import Crew, CrewSettings, End, Fate, Job, Ran, Said, Used, Watched
from weft.workers.desk import Inbox, broken, longest, raised_on, refusals
from weft.workers.waiting import Once

__all__ = ["ProcessesExecutor", "build"]

_REMEMBERED: Final = 1000


def build(settings: Processes) -> ProcessesExecutor:
    """The factory that the declaration names."""
    return ProcessesExecutor(settings)


class _Dropped(Exception):
    """A task whose turn came when it was dropped already."""


class _Try(Job):
    """A task, to the crew.

    Attributes:
        packer: packs it.
        given: whether a worker may have it.
        dropped: whether none is to get it. The kernel's thread sets this and then looks at
            ``given``, ours the other way round; so one of the two sees the other.
    """

    __slots__ = ("dropped", "given", "packer")

    packer: Packer

    def __init__(self, task: Task, walltime: float | None, packer: Packer) -> None:
        super().__init__(task, task.app, task.needs.priority, walltime=walltime)
        self.packer = packer
        self.given = self.dropped = False

    @property
    def name(self) -> str:
        """What sentences about it call it."""
        return f"{self.app!r} (task {self.job.id})"

    def call(self) -> Call:
        """The packed call; asked for when a worker is about to get it."""
        self.given = True
        if self.dropped:
            raise _Dropped
        task: Task = self.job
        return self.packer.pack(
            task.function,
            task.args,
            task.kwargs,
            task.app,
            chosen=task.serializer,
            task=task.id,
        )


class ProcessesExecutor(Executor):
    """Runs tasks in worker processes on this machine. See the module for its thread."""

    def __init__(self, settings: Processes) -> None:
        self._settings = settings
        self._label = settings.called
        # Written by the kernel thread, taken from by ours: what is neither reported nor dropped.
        self._held: dict[TaskId, _Try] = {}
        self._thread: threading.Thread | None = None
        self._over = Once()
        self._closed = False
        self._counts = (0, 0)
        # What the crew calls a worker, and what outcomes do: one object for all tasks of a worker.
        self._places: dict[str, str] = {}

    # --------------------------------------------------------------------------------------- kernel
    # thread

    def start(self, context: ExecutorContext) -> None:
        """Start the workers, and do not wait for them."""
        self._context = context
        self._inbox = Inbox()
        settings = self._settings
        budget = Budget.of(settings.argument_budget, context.notice)
        self._packer = Packer(chunks=True, budget=budget)
        self._selector = selectors.DefaultSelector()
        try:
            self._crew = Crew(
                CrewSettings(
                    folder=context.folder,
                    max_workers=settings.max_workers,
                    prefetch=settings.prefetch,
                    clean=settings.isolation == "clean",
                    tasks_per_worker=settings.tasks_per_worker,
                    environment=settings.environment,
                    start_timeout=settings.start_timeout,
                    watch=context.watch,
                ),
                self._selector,
                self,
            )
        except OSError as trouble:
            self._selector.close()
            self._inbox.close()
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
            self._context.report(refusals(self._label, tasks))
            return
        held = self._held
        packer = self._packer
        jobs = []
        for task in tasks:
            walltime = None if task.needs.walltime is None else longest(task)
            held[task.id] = job = _Try(task, walltime, packer)
            jobs.append(job)
        self._inbox.post("tasks", jobs)

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait; kill the workers of those that run."""
        known = [(task, job) for task in ids if (job := self._held.get(task)) is not None]
        for _, job in known:
            job.dropped = True  # what no worker has never gets to one, whenever ours hears of it
        if known and not self._closed:
            self._inbox.post("cancel", [job for _, job in known])
        return {task for task, _ in known}

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that no worker has yet."""
        known = [(task, job) for task in ids if (job := self._held.get(task)) is not None]
        for _, job in known:
            job.dropped = True
        certain = {task for task, job in known if not job.given}
        if known and not self._closed:
            self._inbox.post("drop", [job for _, job in known])
        return certain

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
        self._inbox.post("close", timeout)
        if thread is not threading.current_thread():
            self._over.wait()
            thread.join()
            self._thread = None

    # ------------------------------------------------------------------------------------------ our
    # thread

    def _run(self) -> None:
        crew, selector = self._crew, self._selector
        try:
            selector.register(self._inbox.wake, selectors.EVENT_READ)
            crew.start()
            while not crew.closed:
                self._wait(crew, selector)
                self._take_inbox(crew)
                crew.tick(time.monotonic())
                self._counts = (crew.ready, crew.running)
        except BaseException as trouble:  # noqa: BLE001 - nobody else would ever say that this thread ended
            self._context.failed(broken(self._label, trouble))
        finally:
            self._closed = True
            crew.end()
            selector.close()
            self._inbox.close()
            self._over.happen()

    def _wait(self, crew: Crew, selector: selectors.BaseSelector) -> None:
        """Sleep until something happens, and take it."""
        inbox = self._inbox
        inbox.asleep = True
        events = selector.select(0.0 if inbox.entries else crew.until_next())
        inbox.asleep = False
        for key, mask in events:
            if isinstance(key.data, Watched):
                crew.handle(key, mask)
            else:
                inbox.woken()

    def _take_inbox(self, crew: Crew) -> None:
        entries = self._inbox.entries
        while entries:
            what, about = entries.popleft()
            if what == "tasks":
                crew.add(about)
            elif what == "drop":
                crew.drop(about)
            elif what == "cancel":
                crew.cancel(about)
            else:
                crew.close(about)

    def crew_told(self, said: Sequence[Said], used: Sequence[Used]) -> None:
        """Tell the monitors what tasks have said and used."""
        tell, label = self._context.tell, self._label
        for job, line in said:
            tell(LogLine(line[0], job.job.id, job.job.attempt, label, *line[1:]))
        for job, sample in used:
            tell(ResourceSample(sample[0], job.job.id, job.job.attempt, label, *sample[1:]))

    def crew_results(self, results: Sequence[Ran]) -> None:
        """Open results, and report them."""
        outcomes = []
        held = self._held
        for job, kind, head, buffers, seconds, worker, begun in results:
            task: Task = job.job
            place = self._places.get(worker) or self._place_of(worker)
            if held.get(task.id) is job:
                del held[task.id]
            ended, value = Ended.VALUE, None
            try:
                if kind == ERROR:
                    ended, value = Ended.ERROR, explained(error_of(head), raised_on(task, place))
                else:
                    value = value_of(head, buffers)
            except SerializationError as trouble:
                ended, value = Ended.ERROR, explained(trouble, raised_on(task, place))
            outcomes.append(Outcome(task.id, task.attempt, ended, value, place, begun, seconds))
        self._context.report(outcomes)

    def crew_ends(self, ends: Sequence[End]) -> None:
        """Say in the kernel's words how tasks ended that have no result."""
        for end in ends:
            self._forget(end.job)
        self._context.report([_outcome(end, self._place_of(end.place)) for end in ends])

    def crew_returns(self, jobs: Sequence[Job]) -> None:
        """Forget tasks that never began: the executor closes, or has failed."""
        for job in jobs:
            self._forget(job)

    def crew_failed(self, reason: str) -> None:
        """Say that there are no workers."""
        todo = "Run the worker's Python by hand and import what the words above name."
        self._context.failed(ExecutorFailed(self._label, reason, todo=todo))

    def _place_of(self, worker: str) -> str:
        """Where a task ran, as ``Outcome.place`` says it."""
        if not worker:
            return ""
        if len(self._places) > _REMEMBERED:
            self._places.clear()
        return self._places.setdefault(worker, f"{worker} on {socket.gethostname()}")

    def _forget(self, job: Job) -> None:
        if self._held.get(job.id.id) is job:
            del self._held[job.id.id]


def _outcome(end: End, place: str) -> Outcome:
    task: Task = end.job.id
    name = end.job.name
    ended = Ended.CANCELLED
    error: BaseException | None = None
    if end.fate is Fate.KILLED:
        said = f"\n{end.words}" if end.words else ""
        ended, error = Ended.KILLED, TaskLost(name, [end.loss + said])
    elif end.fate is Fate.LOST:
        ended, error = Ended.LOST, TaskLost(name, [end.loss])
    elif end.fate is Fate.TIMED_OUT:
        detail = f"It ran on {end.place}, which was ended for it and replaced."
        ended, error = Ended.ERROR, TaskTimeout(name, task.needs.walltime or 0.0, detail)
    elif end.fate is not Fate.CANCELLED and not isinstance(end.error, _Dropped):
        ended, error = Ended.ERROR, end.error
    return Outcome(task.id, task.attempt, ended, error, place, end.begun, end.seconds)
