"""The hooks: where a package can watch a run, or decide a little of it, without being named.

A package lists a module (or an object) in the entry-point group ``weft.hooks``; its functions
marked with ``hookimpl`` and named as below are called. This runs in everyone's process, so what can
be a component should be one.

    from weft.interfaces.hookspecs import hookimpl

    @hookimpl
    def weft_run_started(run):
        print("run", run.run_id, "writes to", run.folder)

An implementation takes those of the arguments that it wants, by name; arguments are only ever
added. Each is called by itself: what it raises is logged with the name of its package, and after
three failures in a run it is called no more. Hooks are called from weft's own threads and must be
quick. Wrappers are not supported.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import pluggy

from weft.interfaces.stager import Transfer
from weft.values.events import (
    BlockChanged,
    Event,
    ExecutorStarted,
    ExecutorStopped,
    Notice,
    RunEnded,
    RunStarted,
)
from weft.values.files import File
from weft.values.plugin import Component
from weft.values.problem import Problem
from weft.values.task import Task, TaskView

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "weft"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# ------------------------------------------------------------------------------------------- set-up


@hookspec
def weft_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Declare components in this process, as a site's own file does.

    The rule of manifests holds: import nothing heavy.

    Called once, when a session opens.
    """


@hookspec(historic=True)
def weft_add_hookspecs(pm: pluggy.PluginManager) -> None:
    """Define hooks that other packages may implement, by ``pm.add_hookspecs(module)``.

    Called once, as soon as the package is registered.
    """


@hookspec(historic=True)
def weft_config_ready(config: Any) -> None:
    """The configuration stands: validated and frozen.

    Called once, before anything starts; a package that raises here takes no part in the run.

    Args:
        config: the ``weft.Config``. (Interfaces lie below configurations, so its type is not named
            here.)
    """


@hookspec
def weft_doctor(component: Component, config: Any) -> Iterable[Problem]:  # type: ignore[empty-body]
    """Look for what would keep a component from working here; ``weft doctor`` reports it.

    Args:
        component: the component that is looked at.
        config: the configuration that ``weft doctor`` was given, or ``None``.
    """


# ------------------------------------------------------------------------------- observers of a run


@hookspec
def weft_run_started(run: RunStarted) -> None:
    """A session has opened; its executors have started."""


@hookspec
def weft_run_finished(run: RunStarted, summary: RunEnded) -> None:
    """A session has closed; nothing of it is left."""


@hookspec
def weft_executor_started(info: ExecutorStarted) -> None:
    """An executor is ready for tasks."""


@hookspec
def weft_executor_stopped(info: ExecutorStopped) -> None:
    """An executor has ended."""


@hookspec
def weft_block_changed(event: BlockChanged) -> None:
    """A block of machines came into another state."""


@hookspec
def weft_task_events(events: Sequence[Event]) -> None:
    """What happened to tasks since the last call, oldest first.

    Called in batches, some twenty times a second at most; unknown kinds of event are to be ignored.
    """


@hookspec
def weft_error(report: Notice) -> None:
    """Something went wrong that decides no task's fate, such as a monitor that raised."""


# ---------------------------------------------------------------------------------------- decisions


@hookspec(firstresult=True)
def weft_choose_executor(task: TaskView, candidates: Sequence[str]) -> str | None:
    """Choose where a task runs.

    Args:
        task: the task, ready to run.
        candidates: the labels of the executors that it may run on; at least two.

    Returns:
        One of the candidates, or ``None`` to leave it to others. Anything else counts as a failure.
    """


@hookspec(firstresult=True)
def weft_retry_decision(task: TaskView, error: BaseException, attempt: int) -> float | None:
    """Say what a failure costs of the task's retries, before ``Config.retry_handler`` is asked.

    Args:
        task: the task that failed.
        error: what it raised.
        attempt: which try this was, from 1.

    Returns:
        The cost; more than is left ends the task. ``None`` leaves it to others.
    """


@hookspec(firstresult=True)
def weft_result_key(task: Task) -> str | None:
    """Give the key under which the result of a cached app is remembered.

    Returns:
        A text that is equal exactly for calls with equal results, or ``None`` to leave it to
        others.
    """


@hookspec(firstresult=True)
def weft_transfer_plan(task: TaskView, file: File) -> Transfer | None:
    """Say how a file gets to a task.

    Returns:
        What the stager of that file's scheme is to do, or ``None`` to leave it to the stager.
    """
