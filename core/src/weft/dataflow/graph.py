"""Who waits for whom, and the sentences that follow from it.

The edges are stored where they are used: a record knows the futures it waits for, and each
unfinished record the records that wait for it. Everything here is called from the kernel's thread
only.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from weft.dataflow.futures import AppFuture, DataFuture
from weft.errors import DependencyError, Link, TaskError

if TYPE_CHECKING:
    from weft.dataflow.lifecycle import TaskRecord
    from weft.values.task import TaskId

__all__ = [
    "blame",
    "cycle_through",
    "error_of",
    "name_of",
    "number_of",
    "record_of",
    "unfinished",
    "waits_for",
]


def record_of(future: Future[Any]) -> "TaskRecord | None":
    """The unfinished task behind a future, if there is one."""
    if isinstance(future, DataFuture):
        future = future.parent
    return future._record if isinstance(future, AppFuture) else None


def number_of(future: Future[Any]) -> "TaskId | None":
    """The number of the task behind a future, if there is one."""
    if isinstance(future, DataFuture):
        future = future.parent
    return future.task_id if isinstance(future, AppFuture) else None


def unfinished(record: "TaskRecord") -> Iterator["TaskRecord"]:
    """The unfinished tasks that a task waits for.

    They are its inputs, what its join body returned, or an identical call.
    """
    for future in record.waits_for:
        other = record_of(future)
        if other is not None:
            yield other
    if record.aside is not None and record.aside.leader is not None:
        yield record.aside.leader


def cycle_through(start: "TaskRecord") -> list["TaskRecord"] | None:
    """The way from a task through what it waits for back to itself, or ``None``.

    Costs one look at each task upstream.
    """
    above: dict[int, TaskRecord] = {}
    stack = [start]
    while stack:
        record = stack.pop()
        for other in unfinished(record):
            if other is start:
                way = [start, record] if record is not start else [start]
                while record is not start and above[record.id] is not start:
                    record = above[record.id]
                    way.append(record)
                return [*way, start]
            if other.id not in above:
                above[other.id] = record
                stack.append(other)
    return None


def waits_for(record: "TaskRecord", other: "TaskRecord") -> bool:
    """Whether a task waits for another, directly or through tasks between them.

    Costs one look at each task upstream.
    """
    seen = {record.id}
    stack = [record]
    while stack:
        for one in unfinished(stack.pop()):
            if one is other:
                return True
            if one.id not in seen:
                seen.add(one.id)
                stack.append(one)
    return False


def name_of(future: Future[Any]) -> str:
    """A future in words, such as ``align (task 3)``."""
    if isinstance(future, DataFuture):
        return f"{future.filename} from {name_of(future.parent)}"
    if isinstance(future, AppFuture):
        return f"{future.app} (task {future.task_id})"
    return f"a {type(future).__name__} from outside"


def error_of(future: Future[Any]) -> BaseException | None:
    """How a finished future failed; a cancelled one failed with ``CancelledError``."""
    if future.cancelled():
        return CancelledError(f"{name_of(future)} was cancelled")
    return future.exception(timeout=0)


def blame(record: "TaskRecord", failed: Iterable[Future[Any]]) -> DependencyError:
    """The error of a task that could not start: its chains down to the root causes."""
    me = f"{record.spec.name} (task {record.id})"
    chain: Link | None = None
    roots: dict[int, BaseException] = {}
    untold = 0
    for future in failed:
        error = error_of(future)
        below: Link | None
        if isinstance(error, DependencyError):
            below = error.link
            untold += error.causes - len(error.roots)
            for root in error.roots:
                roots.setdefault(id(root), root)
        else:
            below = Link.on(name_of(future))
            if error is None:
                error = TaskError(f"{name_of(future)} failed without an error.")
            roots.setdefault(id(error), error)
        chain = chain or below
    made = DependencyError(
        me, Link.on(me, chain), tuple(roots.values())[:_MOST_ROOTS], len(roots) + untold
    )
    made.__cause__ = made.roots[0] if made.roots else None
    return made


_MOST_ROOTS = 100
