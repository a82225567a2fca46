"""The files of tasks: brought before, taken away after, and no two tasks write one.

    kernel   bring ──▶ pool: prepare ──▶ Moving.want ──▶ DONE_WITH_IT or Failed ──▶ kernel
             take  ────────────────────▶ Moving.want ──▶ the same, after a look at the outputs

``check`` is called from any thread, all else on the kernel's, where what follows is told as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from random import random
from typing import TYPE_CHECKING, Any

from weft.dataflow.graph import waits_for
from weft.dataflow.lifecycle import Awaits, Event, Failed, Signal, TaskRecord, Todo
from weft.dataflow.moving import Moving
from weft.dataflow.staging import Prepared, Staging
from weft.dataflow.transfers import Transfers
from weft.dataflow.views import brief, described, named, view_of
from weft.errors import ExecutorFailed, OutputConflict
from weft.interfaces.stager import Transfer
from weft.pool import ThreadPool
from weft.values.events import FileMoved, FileNotMoved
from weft.values.files import File
from weft.values.message import changed
from weft.values.states import TaskState
from weft.values.task import Ended, Outcome, TaskId, TaskSpec, TaskView

if TYPE_CHECKING:
    from weft.data.sandbox import SandboxPlan
    from weft.dataflow.rules import Rules

__all__ = ["TaskFiles", "moves_files", "wrapped"]


class TaskFiles:
    """The files of the tasks of a kernel.

    Args:
        rules: how often and how long a transfer is tried.
        plan: how a file gets to a task, in place of its stager; ``None`` leaves it to that.
        staging: finds the files of a task and moves them.
        pool: has something done in a thread of its own.
        transfer_pool: threads for moving files.
        records: the unfinished tasks.
        happened: is told what has happened to a task.
        post: has something called on the kernel's thread; from any thread.
        after: has something called there later.
        tell: tells the monitors.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        plan: Callable[[TaskView, File], Transfer | None] | None,
        staging: Staging,
        pool: Callable[[Callable[[], None]], None],
        transfer_pool: ThreadPool[Callable[[], None]],
        records: Mapping[TaskId, TaskRecord],
        happened: Callable[[tuple[TaskRecord, Event]], None],
        post: Callable[[Callable[[], None]], None],
        after: Callable[[float, Callable[[], None]], None],
        tell: Callable[[FileMoved | FileNotMoved], None],
    ) -> None:
        self._plan, self._staging, self._pool = plan, staging, pool
        self._records, self._happened, self._post = records, happened, post
        self._writers: dict[str, TaskRecord] = {}
        self._moving = Moving(
            transfers=Transfers(
                rules.transfer_retries,
                lambda retry: rules.transfer_backoff.wait(retry, random()),
            ),
            staging=staging,
            pool=transfer_pool,
            timeout=rules.transfer_timeout,
            post=post,
            after=after,
            answer=self._moved,
            tell=tell,
        )
        self.check = staging.check
        self.flush = self._moving.flush

    # ------------------------------------------------------------------------------ who writes what

    def claim(self, record: TaskRecord) -> OutputConflict | None:
        """A task wants to write its outputs; the error, if another one may be writing them."""
        for url in map(_written, record.spec.outputs):
            other = self._writers.setdefault(url, record)
            if other is record or waits_for(record, other):
                self._writers[url] = record
            elif not (record.todo & Todo.RECALL and record.spec.function is other.spec.function):
                # Of two equal calls that memory may answer, only one runs.
                return OutputConflict(named(record), named(other), url)
        return None

    def let_go(self, record: TaskRecord) -> None:
        """A task waits for no files any more, and writes none."""
        self._moving.drop(record.id)
        for url in map(_written, record.spec.outputs):
            if self._writers.get(url) is record:
                del self._writers[url]

    # -------------------------------------------------------------------------------------- the way

    def bring(self, record: TaskRecord) -> None:
        """Bring what a task needs to its executor, and find out what is to be taken away."""
        plan = partial(self._plan, view_of(record)) if self._plan is not None else None

        def prepare() -> None:
            try:
                prepared = self._staging.prepare(
                    record.args, record.kwargs, record.spec.outputs, record.executor, plan
                )
            except BaseException as error:  # noqa: BLE001 - a stager may raise anything
                trouble = error
                self._post(lambda: self._happened((record, Failed(trouble))))
            else:
                self._post(lambda: self._prepared(record, prepared))

        self._pool(prepare)

    def _prepared(self, record: TaskRecord, prepared: Prepared) -> None:
        if record.awaits is not Awaits.STAGED_IN:
            return  # cancelled meanwhile
        record.beside().asked = record.args, record.kwargs
        record.args, record.kwargs = prepared.args, prepared.kwargs
        record.beside().transfers = prepared.leaving
        record.beside().errand = prepared.errand
        self._moving.want(record.id, prepared.coming)

    def take(self, record: TaskRecord) -> None:
        """Take away what a task has made."""
        self._moving.want(record.id, record.beside().transfers)

    def _moved(self, task: TaskId, error: BaseException | None) -> None:
        """All that a task wanted moved is, or one of it cannot be."""
        record = self._records[task]
        if error is not None:
            self._happened((record, Failed(error)))
        elif record.state is TaskState.STAGING_OUT and record.beside().key is not None:
            self._pool(lambda: self._look_at_outputs(record))
        else:
            self._happened((record, Signal.DONE_WITH_IT))

    def _look_at_outputs(self, record: TaskRecord) -> None:
        """In a thread of the pool: what a value is of use with only while it is there."""
        from weft.dataflow.checkpoint import made

        try:
            record.beside().kept = made(record.spec.outputs)
        except BaseException as error:  # noqa: BLE001 - a URL may lead anywhere
            trouble = error
            self._post(lambda: self._happened((record, Failed(trouble))))
        else:
            self._post(lambda: self._happened((record, Signal.DONE_WITH_IT)))

    def back_from_errand(self, record: TaskRecord, outcome: Outcome) -> Outcome:
        """What the app's function returned, without what its errand says of files."""
        if outcome.ended is not Ended.VALUE:
            return outcome
        assert record.aside is not None
        done = outcome.value
        try:
            self._staging.errand_done(record.executor, record.aside.errand, done.facts)
            return changed(outcome, value=done.value)
        except Exception as error:  # noqa: BLE001 - an executor that returns something else
            trouble = ExecutorFailed(
                record.executor,
                f"It returned {described(done)} for {named(record)}, which is not what its "
                f"errand comes back with: {brief(error)}",
            )
            return changed(outcome, ended=Ended.ERROR, value=trouble)


# ---------------------------------------------------------------------------------- where it runs


def wrapped(
    record: TaskRecord, sandbox: SandboxPlan | None
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A task's function and arguments, within its working folder and its errand, if it has any."""
    function, args = record.spec.function, record.args
    if sandbox is not None and not moves_files(record.spec):
        name = f"{sandbox.name}-{record.id}-{record.attempt}"
        function, args = _sandboxed(function), (changed(sandbox, name=name), *args)
    if record.aside is not None and record.aside.errand is not None:
        function, args = _errand(function), (record.aside.errand, *args)
    return function, args


def moves_files(spec: TaskSpec) -> bool:
    """Whether a task is one of weft's own, such as ``weft.carry``."""
    return spec.name.startswith("weft.")


@lru_cache(maxsize=256)
def _errand(function: Callable[..., Any]) -> Callable[..., Any]:
    """One for each app, so that it travels to each worker once."""
    from weft.data.errand import Errand

    return Errand(function)


@lru_cache(maxsize=256)
def _sandboxed(function: Callable[..., Any]) -> Callable[..., Any]:
    """One for each app, as for errands."""
    from weft.data.sandbox import Sandboxed

    return Sandboxed(function)


def _written(file: File) -> str:
    """What one file is known by, however it is named."""
    if file.scheme != "file" or file.netloc:
        return file.url
    return os.path.abspath(file.path)  # noqa: PTH100 - Path.absolute would keep '..'
