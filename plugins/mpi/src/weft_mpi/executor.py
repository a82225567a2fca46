"""The executor: gives each task the shape that it asks for, and leaves the rest to htex.

    kernel thread   submit ──▶ shape, body, ticket ──▶ HTEXExecutor.submit
                        └──▶ what cannot be is reported at once

A manager of htex counts accelerators; those of a block's manager are its nodes. So the interchange
deals to a block what fits on its free nodes, keeps one for a task that would be passed for ever,
and refuses what no block can run. Which nodes a task gets is decided where they are: see
:mod:`weft_mpi.hands`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.interfaces.launcher import Launcher
from weft.values.message import changed
from weft.values.task import Ended, Needs, Outcome, Resources, Task, TaskId
from weft_htex import HTEX, HTEXExecutor, Pilot
from weft_mpi.errors import BadShape
from weft_mpi.prefix import Launch
from weft_mpi.scaling import tasks_per_block
from weft_mpi.settings import MPI
from weft_mpi.shape import Shape, Unfit, shape_of
from weft_mpi.task import MPIBody, StatefulBody, ticket_of

__all__ = ["MPIExecutor", "build", "htex_settings", "launch_of"]

_REMEMBERED: Final = 1000
_SAME: Final = (
    "label", "provider", "init_blocks", "min_blocks", "max_blocks", "parallelism", "max_idle",
    "strategy", "block_walltime", "start_timeout", "register_warning", "register_timeout",
    "block_failures", "worker_init", "python", "packages", "environment", "mode", "addresses",
    "ports", "encrypted", "heartbeat", "lost_after",
)  # fmt: skip


def build(settings: MPI) -> MPIExecutor:
    """The factory that the declaration names."""
    return MPIExecutor(settings)


def htex_settings(settings: MPI) -> HTEX:
    """What is asked of htex."""
    return HTEX(
        **{name: getattr(settings, name) for name in _SAME if name != "label"},
        label=settings.called,
        nodes_per_block=1 if settings.hosts else settings.nodes_per_block,
        workers_per_node=settings.tasks,
        prefetch=0,
    )


def launch_of(settings: MPI) -> Launch:
    """How ranks are started."""
    name = settings.mpi_launcher
    return Launch(
        program=settings.launcher_program or name,
        dialect=(
            name
            if name != "mpiexec"
            else None
            if settings.implementation == "auto"
            else settings.implementation
        ),
        options=tuple(settings.launcher_options),
    )


class _FirstNode(Launcher):
    """Starts the manager of a block on its first node, where the job's script runs."""

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """The command itself."""
        return command


class MPIExecutor(Executor):
    """Tasks with nodes of their own. See the module."""

    def __init__(self, settings: MPI) -> None:
        self._settings, self._launch = settings, launch_of(settings)
        pilot = Pilot(
            module="weft_mpi.manager",
            launcher=_FirstNode(),
            managers=1,
            extra={
                "hosts": list(settings.hosts),
                "nodes": settings.nodes,
                "launcher": settings.mpi_launcher,
            },
            capacity=partial(tasks_per_block, nodes=settings.nodes, most=settings.tasks),
        )
        self._htex = HTEXExecutor(htex_settings(settings), pilot)
        self._context: ExecutorContext | None = None
        self._needs: dict[int, tuple[Needs, Shape, Needs]] = {}
        self._bodies: dict[tuple[int, Shape], StatefulBody] = {}

    def start(self, context: ExecutorContext) -> None:
        """Start what htex starts.

        Raises:
            WeftError: the provider cannot be had.
        """
        self._context = context
        self._htex.start(context)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks; those that ask for what cannot be are reported at once."""
        shaped: list[Task] = []
        refused: list[Outcome] = []
        for task in tasks:
            try:
                shaped.append(self._shaped(task))
            except Unfit as trouble:
                error = BadShape(task.app, str(trouble), trouble.todo)
                refused.append(Outcome(task.id, task.attempt, Ended.ERROR, error))
        if shaped:
            self._htex.submit(shaped)
        if refused:
            assert self._context is not None  # nobody submits before it was started
            self._context.report(refused)

    def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that wait; end those that run, with their ranks on all nodes."""
        return self._htex.cancel(ids)

    def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
        """Drop tasks that have not begun."""
        return self._htex.drop(ids)

    def status(self) -> ExecutorStatus:
        """How it is now, by the latest news."""
        return self._htex.status()

    def close(self, timeout: float) -> None:
        """End tasks, blocks and the interchange."""
        self._htex.close(timeout)

    # ---------------------------------------------------------------------------------------- tasks

    def _shaped(self, task: Task) -> Task:
        """The task as htex gets it."""
        shape, needs = self._asked(task.needs)
        return changed(
            task,
            function=self._body(task.function, shape),
            args=(ticket_of(task.id, task.attempt), *task.args),
            needs=needs,
        )

    def _asked(self, needs: Needs) -> tuple[Shape, Needs]:
        known = self._needs.get(id(needs))
        if known is None or known[0] is not needs:
            settings = self._settings
            shape = shape_of(
                needs.resources, ranks_per_node=settings.ranks_per_node, most=settings.nodes
            )
            asked = Needs(
                resources=Resources(accelerators=shape.nodes),
                walltime=needs.walltime,
                priority=needs.priority,
            )
            if len(self._needs) > _REMEMBERED:
                self._needs.clear()
            known = self._needs[id(needs)] = (needs, shape, asked)
        return known[1], known[2]

    def _body(self, function: Callable[..., Any], shape: Shape) -> StatefulBody:
        """One body for all tasks of a function and a shape, so that it travels once."""
        same = _is_same_in_each_call(function)
        if not same:
            return StatefulBody(function, shape, self._launch)
        known = self._bodies.get((id(function), shape))
        if known is None or known.function is not function:
            if len(self._bodies) > _REMEMBERED:
                self._bodies.clear()
            known = MPIBody(function, shape, self._launch)
            self._bodies[id(function), shape] = known
        return known


def _is_same_in_each_call(function: Callable[..., Any]) -> bool:
    """Whether it is a function, or says of itself that it does not change."""
    return hasattr(function, "__code__") or getattr(type(function), "packs_once", False)
