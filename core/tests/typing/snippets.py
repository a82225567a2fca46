"""What a type checker is to say of calls of apps. Never run: mypy reads it.

A line that is right stands as it is; a line that is wrong carries the error that it must give, and
mypy's ``warn_unused_ignores`` makes an error of one that gives none.
"""

from collections.abc import Sequence
from concurrent.futures import Future, as_completed, wait
from typing import Any, assert_type

import weft
from weft import AppFuture, DataFuture, File, Session, bash_app, join_app, python_app
from weft.values.states import TaskState
from weft.values.task import TaskSpec


@python_app
def add(x: int, y: int = 1, *, scale: float = 1.0) -> float:
    return (x + y) * scale


@python_app(cache=True, version="3")
def name_of(number: int) -> str:
    return str(number)


@python_app(returns=2)
def both(x: int) -> tuple[int, str]:
    return x, str(x)


@python_app
async def later(x: int) -> bytes:
    return bytes(x)


@bash_app
def command(path: str, stdout: str | None = None) -> str:
    return f"wc -l {path} > {stdout}"


@bash_app(executors="cpu")
def arguments(path: str) -> list[str]:
    return ["wc", "-l", path]


@join_app
def one(x: int) -> AppFuture[str]:
    return name_of(x)


@join_app
def many(x: int) -> list[AppFuture[str]]:
    return [name_of(n) for n in range(x)]


@join_app(returns=3)
def some(x: int) -> list[AppFuture[str]]:
    return [name_of(x)] * 3


@join_app
def named(x: int) -> dict[str, AppFuture[str]]:
    return {"a": name_of(x)}


@join_app
def mixed(x: int) -> tuple[Any, ...]:
    return name_of(x), [add(x)]


class Model:
    @python_app
    def fit(self, data: list[float]) -> float:
        return sum(data)


def right_calls(session: Session) -> None:
    _ = assert_type(add(1), AppFuture[float])
    _ = assert_type(add(1, 2, scale=0.5), AppFuture[float])
    assert_type(add(1).result(), float)
    assert_type(add(x=1, y=2).result(timeout=3), float)
    assert_type(name_of(1).result(), str)
    assert_type(both(1).result(), tuple[int, str])
    assert_type(later(3).result(), bytes)
    assert_type(command("x", stdout="y").result(), int)
    assert_type(arguments("x").result(), int)
    assert_type(one(1).result(), str)
    assert_type(many(1).result(), list[str])
    assert_type(some(1).result(), list[str])
    assert_type(named(1).result(), dict[str, str])
    assert_type(mixed(1).result(), Any)
    assert_type(add.options(walltime=3.0, session=session)(1).result(), float)
    assert_type(add(1).exception(), BaseException | None)
    assert_type(add(1).cancel(), bool)


def futures_in_the_place_of_values() -> None:
    first = add(1)
    _ = assert_type(name_of(first), AppFuture[str])
    _ = assert_type(add(1, first), AppFuture[float])
    assert_type(name_of(first).result(), str)
    outside: Future[int] = Future()
    _ = assert_type(name_of(outside), AppFuture[str])


def futures_of_the_standard_library() -> None:
    futures = [add(n) for n in range(3)]
    plain: Sequence[Future[float]] = futures
    for done in as_completed(futures):
        assert_type(done.result(), float)
    assert_type(wait(plain).done, set[Future[float]])
    with weft.load() as session:
        assert_type(session.wait(3.0), bool)


async def awaiting() -> None:
    assert_type(await add(1), float)
    assert_type(await name_of(1), str)


def parts() -> None:
    _ = assert_type(both(1)[0], AppFuture[Any])
    _ = assert_type(both(1).real, AppFuture[Any])
    left, right = both(1)
    _ = assert_type(left, AppFuture[Any])
    assert_type(right.result(), Any)
    outputs: Sequence[DataFuture] = add(1).outputs
    assert_type(outputs[0].result(), File)


def wrong_calls() -> None:
    _ = add("one")  # type: ignore[arg-type]
    _ = add()  # type: ignore[call-overload]
    _ = add(1, 2, 3)  # type: ignore[call-overload]
    _ = add(1, scale="large")  # type: ignore[call-overload]
    _ = add(1, unknown=2)  # type: ignore[call-overload]
    _ = name_of(1.5)  # type: ignore[call-overload]
    _ = command(1)  # type: ignore[call-overload]
    _ = many("x")  # type: ignore[arg-type]


def wrong_uses() -> None:
    number: int = name_of(1).result()  # type: ignore[assignment]
    text: str = command("x").result()  # type: ignore[assignment]
    del number, text


def messages_are_frozen(future: AppFuture[int], session: Session) -> None:
    # Nothing guards them at run time, so type checkers are told.
    view, attempt, spec = session.tasks()[0], future.tries[0], TaskSpec(name="x", function=len)
    view.state = TaskState.DONE  # type: ignore[misc]
    attempt.number = 2  # type: ignore[misc]
    spec.name = "y"  # type: ignore[misc]


def wrong_decorators() -> None:
    python_app(cash=True)  # type: ignore[call-overload]
    join_app(executors="cpu")  # type: ignore[call-overload]

    @bash_app  # type: ignore[type-var, arg-type, call-overload, unused-ignore]
    def number() -> int:
        return 1

    del number
