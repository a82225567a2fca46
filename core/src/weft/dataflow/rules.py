"""What a kernel goes by: what the configuration says about all tasks, and who decides instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from weft.configuration.config import Backoff
from weft.dataflow.lifecycle import Limits
from weft.interfaces.stager import Transfer
from weft.values.files import File
from weft.values.message import message
from weft.values.task import Task, TaskId, TaskView

if TYPE_CHECKING:
    from weft.values.choice import Choice

__all__ = ["Deciders", "Keeper", "Rules"]


@message
class Rules:
    """What the configuration says about all tasks.

    Attributes:
        limits: what tries may cost.
        backoff: how long to wait before a retry.
        deep: whether futures are found inside containers.
        raise_unknown: whether an argument without identity refuses a cached call.
        max_pending, raise_when_full: how many tasks may be unfinished, and what a call does then.
        memoize: whether memory answers at all.
        keep_timeout: seconds after which a task ends although its result is not on disk.
        transfer_retries, transfer_backoff: how often a file is tried to be moved again, and when.
        transfer_timeout: seconds that one try of that may take, or ``None``.
        values: of which tasks arguments and results are told: of those that failed, or all.
        only: what alone is executed of what memory does not answer; ``None`` for all of it.
    """

    limits: Limits = Limits()
    backoff: Backoff = Backoff()
    deep: bool = True
    raise_unknown: bool = False
    max_pending: int | None = None
    raise_when_full: bool = False
    memoize: bool = True
    keep_timeout: float = 10.0
    transfer_retries: int = 3
    transfer_backoff: Backoff = Backoff(first=1.0)
    transfer_timeout: float | None = None
    values: Literal["failed", "all"] | None = "failed"
    only: Choice | None = None


@message
class Deciders:
    """Who decides in place of the kernel's own rules.

    Each may be ``None``, and each may answer ``None`` to leave it to the rules.

    Attributes:
        choose: among the labels of executors that can run a task. On the kernel's thread: must be
            quick.
        price: what a failure costs. In the pool.
        key: the memory's key of a call. In the pool.
        plan: how a file gets to a task. In the pool.
    """

    choose: Callable[[TaskView, Sequence[str]], str | None] | None = None
    price: Callable[[TaskView, BaseException], float | None] | None = None
    key: Callable[[Task], bytes | None] | None = None
    plan: Callable[[TaskView, File], Transfer | None] | None = None


class Keeper(Protocol):
    """What writes results to the checkpoint, as far as the kernel knows it."""

    def keep(self, ticket: TaskId, key: bytes, value: Any, outputs: Sequence[File]) -> None:
        """Write a result.

        The ticket comes back when it is written, or when it is certain that it cannot be.
        """
        ...

    def stalled_for(self) -> float:
        """Seconds since it last got on with its work; 0 while it has none."""
        ...
