"""Which tasks run again when a user asks for that, in which order, and with which arguments.

    align ✗ ──▶ sort (could not start) ──▶ merge (could not start)      run again: all three
    index ✓ ──────────────────────────────────┘                         from before: its value

Pure but for looking at futures that have ended. A task that failed keeps how it was called on its
future, so what can be run again is what somebody still holds, with all that it was to get.

A task submitted in the place of another is its successor; whatever is to get the value of the one
gets that of the other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from weft.bodies import SPECIAL
from weft.dataflow.arguments import fill
from weft.dataflow.futures import AppFuture, DataFuture
from weft.dataflow.graph import error_of, name_of
from weft.errors import CannotRetry, DependencyError, ForeignFuture
from weft.values.message import message

if TYPE_CHECKING:
    from weft.dataflow.futures import Owner

__all__ = [
    "Call",
    "arguments_again",
    "call_of",
    "check_named",
    "given_again",
    "latest",
    "order",
    "replacements",
]


@message
class Call:
    """How a task that failed was called.

    Attributes:
        args, kwargs: as they were gathered, with the futures still in them.
        inner: of a join app, those of the futures it returned that failed.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inner: tuple[Future[Any], ...] = ()


def call_of(future: AppFuture[Any]) -> Call | None:
    """How a task was called, if it has failed or was cancelled and the session still ran then."""
    return future._extra.call if future._extra is not None else None


def latest(future: AppFuture[Any]) -> AppFuture[Any]:
    """The last of the successors of a task; the task itself, if it has none."""
    while (successor := future.retried_as) is not None:
        future = successor
    return future


def check_named(named: Iterable[Any], owner: "Owner") -> list[AppFuture[Any]]:
    """The tasks behind futures that a user wants to have run again, each once.

    Raises:
        CannotRetry: one is no future of a task, or its task has not failed.
        ForeignFuture: one is of another session.
    """
    found: dict[AppFuture[Any], None] = {}
    for future in named:
        task = future.parent if isinstance(future, DataFuture) else future
        if not isinstance(task, AppFuture):
            raise CannotRetry(
                f"A {type(future).__name__} cannot be retried.",
                why="It is no future of an app.",
                todo="Pass futures that calls of apps have returned.",
            )
        if task._owner is not owner:
            raise ForeignFuture("retry", name_of(task))
        task = latest(task)
        if call_of(task) is None:
            raise CannotRetry(
                f"{name_of(task)} cannot be retried.",
                why=f"It has not failed: it is {task.task_state().label}.",
                todo="Pass futures of tasks that have failed or were cancelled.",
            )
        found[task] = None
    return list(found)


def order(
    named: Collection[AppFuture[Any]] | None,
    known: Iterable[AppFuture[Any]],
    given: Collection[AppFuture[Any]] = (),
) -> list[AppFuture[Any]]:
    """The tasks to be run again, each after those whose values it gets.

    Args:
        named: the tasks that a user names: they run again, and before them what they could not
            start without; ``None`` for all that failed and were not cancelled.
        known: all tasks that have failed or were cancelled and that are still held.
        given: those that get other arguments, whatever became of their inputs.

    Raises:
        CannotRetry: a task that is named needs a value that is not to be had.

    Tasks that failed because one of these did run again as well, unless another input of theirs is
    left as it failed. What a join app had submitted is submitted anew by the join app.
    """
    dead = sorted(
        (one for one in known if one.retried_as is None and call_of(one) is not None),
        key=lambda one: one.task_id,
    )
    if named is None:
        chosen = {one for one in dead if not one.cancelled()}
        chosen -= _within_joins(chosen)
    else:
        chosen = _with_inputs(named, given)
        for one in dead:  # in the order of submission, so that inputs come first
            call = call_of(one)
            assert call is not None
            inputs = {*_dead_inputs(one), *filter(None, map(_dead_task, call.inner))}
            if inputs & chosen and not one.cancelled():
                chosen.add(one)
    # Where an input stays as it failed, running again would only fail again.
    for one in sorted(chosen, key=lambda one: one.task_id):
        if one in given:
            continue
        lacking = next((f for f in _inputs(one) if not _is_to_come(f, chosen)), None)
        if lacking is not None:
            chosen.discard(one)
            if one in (named or ()):
                raise CannotRetry(
                    f"{name_of(one)} cannot be retried.",
                    why=f"It needs the value of {name_of(lacking)}, which has failed and does not "
                    "run again.",
                    todo="Give it other arguments: retry(arguments={future: (args, kwargs)}).",
                )
    return sorted(chosen, key=lambda one: one.task_id)


def replacements(with_: Any, plan: Iterable[AppFuture[Any]]) -> Mapping[str, Any]:
    """The apps to be called in place of others, by the names of those.

    Args:
        with_: as a user gives it: an app, several, or a mapping. One app stands for the one that
            failed, if all that failed by themselves are of one; else for that of its name.
        plan: the tasks that run again.

    Raises:
        CannotRetry: what is given is no app, or is for no task that runs again.
    """
    plan = list(plan)
    if with_ is None or not plan:
        return {}
    apps: dict[str, Any]
    if isinstance(with_, Mapping):
        apps = {str(getattr(old, "name", old)): new for old, new in with_.items()}
    else:
        several = with_ if isinstance(with_, (list, tuple, set, frozenset)) else [with_]
        apps = {getattr(app, "name", ""): app for app in several}
    for app in apps.values():
        if not (callable(app) and hasattr(app, "options") and hasattr(app, "name")):
            raise CannotRetry(
                f"{app!r} cannot be called in place of an app.",
                why=f"It is a {type(app).__name__}, and no app.",
                todo="Decorate the function as the app that it replaces.",
            )
    there = dict.fromkeys(future.app for future in plan)
    roots: set[str] = {
        future.app for future in plan if not isinstance(error_of(future), DependencyError)
    }
    if len(apps) == 1 and not isinstance(with_, Mapping) and len(roots) == 1:
        # One app failed, and one is given: whatever that is called, it is clear what for.
        apps = {name: app for name in sorted(roots) for app in apps.values()}
    for name in apps:
        if name not in there:
            known = ", ".join(map(repr, there)) or "none"
            raise CannotRetry(
                f"An app was given for {name!r}, and no task of it runs again.",
                why=f"The apps of the tasks that run again are: {known}.",
                todo="Give the app the name of the one that it replaces, by options(name=...), or "
                "say which one that is: with_={'old name': app}.",
            )
    return apps


def arguments_again(call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, with the successors of tasks in the place of the tasks."""
    return fill(call.args, call.kwargs, _successor)


def given_again(
    future: AppFuture[Any],
    asked: Mapping[str, Any],
    given: tuple[Sequence[Any], Mapping[str, Any]],
    *,
    whole: bool,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Other arguments for a task, with what weft itself was told by keyword in the call before.

    Args:
        future: of the task.
        asked: its keywords before.
        given: the new arguments.
        whole: whether an app is called with them, which reads what weft is told.

    Raises:
        CannotRetry: weft is told something new, and no app is given that would read it.
    """
    args, kwargs = given
    new = [name for name in _TOLD if name in kwargs]
    if new and not whole:
        raise CannotRetry(
            f"{name_of(future)} cannot be retried with another {' and '.join(new)}.",
            why="That is read by the app when it is called, and the task runs again without it.",
            todo="Give the app, too: retry(arguments=..., with_=app).",
        )
    kept = {name: asked[name] for name in _TOLD if name in asked}
    return tuple(args), kept | dict(kwargs)


_TOLD: Final = tuple(name for name in SPECIAL if name != "inputs")
"""Keywords of a call that are read by weft."""


def _successor(future: Future[Any]) -> Future[Any]:
    if isinstance(future, DataFuture):
        parent = latest(future.parent)
        if parent is future.parent:
            return future
        place = next(n for n, one in enumerate(future.parent.outputs) if one is future)
        if place >= len(parent.outputs):
            raise CannotRetry(
                f"What needs {name_of(future)} cannot be retried.",
                why=f"{name_of(parent)}, which runs in its place, makes no such file.",
                todo="Give the new arguments as many outputs as the old ones had.",
            )
        return parent.outputs[place]
    return latest(future) if isinstance(future, AppFuture) else future


def _with_inputs(
    named: Iterable[AppFuture[Any]], given: Collection[AppFuture[Any]] = ()
) -> set[AppFuture[Any]]:
    chosen: set[AppFuture[Any]] = set()
    stack = list(named)
    while stack:
        one = stack.pop()
        if one not in chosen:
            chosen.add(one)
            stack += [] if one in given else _dead_inputs(one)
    return chosen


def _within_joins(chosen: Iterable[AppFuture[Any]]) -> set[AppFuture[Any]]:
    """What join apps among the tasks had submitted, and what that could not start without."""
    inner = (
        task
        for one in chosen
        if (call := call_of(one)) is not None
        for future in call.inner
        if (task := _dead_task(future)) is not None
    )
    return _with_inputs(inner)


def _inputs(task: AppFuture[Any]) -> list[Future[Any]]:
    """The futures among the arguments of a task, with successors in their places."""
    call = call_of(task)
    found: dict[Future[Any], None] = {}

    def note(future: Future[Any]) -> Future[Any]:
        found[_successor(future)] = None
        return future

    if call is not None:
        fill(call.args, call.kwargs, note)
    return list(found)


def _dead_inputs(task: AppFuture[Any]) -> Iterator[AppFuture[Any]]:
    for future in _inputs(task):
        dead = _dead_task(future)
        if dead is not None:
            yield dead


def _dead_task(future: Future[Any]) -> AppFuture[Any] | None:
    """The task behind a future, if it can be run again."""
    task = future.parent if isinstance(future, DataFuture) else future
    if not isinstance(task, AppFuture):
        return None
    task = latest(task)
    return task if call_of(task) is not None else None


def _is_to_come(future: Future[Any], chosen: Collection[AppFuture[Any]]) -> bool:
    """Whether there is, or may be, a value of a future."""
    task = future.parent if isinstance(future, DataFuture) else future
    if task in chosen:
        return True
    return not task.done() or error_of(task) is None
