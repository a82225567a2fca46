"""What a task returns or is given harms one future at most, and the message says what it was."""

import math
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app
from weft.errors import SerializationError

BOUND = 60.0
SEPARATE = ["processes", "htex", "direct"]
LARGE = 50_000_000


@python_app
def worker() -> tuple[int, int]:
    """Which process and thread this is."""
    return os.getpid(), threading.get_ident()


@python_app
def made_by(make: Callable[[], Any]) -> Any:
    return make()


@python_app
def asked(question: Callable[[Any], Any], value: Any) -> Any:
    return question(value)


class HoldsALock:
    def __init__(self) -> None:
        self.handle = threading.Lock()


class ExplodesOnLoad:
    def __init__(self) -> None:
        self.state = 1

    def __setstate__(self, state: Any) -> None:
        raise ValueError("bang")


class ExplodesOnPacking:
    def __reduce__(self) -> Any:
        raise ValueError("will not be packed")


class ExitsOnPacking:
    def __reduce__(self) -> Any:
        raise SystemExit(4)


def lock() -> Any:
    return threading.Lock()


def lock_inside() -> Any:
    return {"deep": [0, HoldsALock()]}


def generator() -> Any:
    return (n for n in range(3))


def open_file() -> Any:
    return Path(os.devnull).open()


def module() -> Any:
    return math


def lambda_with_a_step() -> Any:
    step = 3
    return lambda n: n + step


def of_a_class_made_here() -> Any:
    class Local:
        def get(self) -> int:
            return 5

    return Local()


def nested() -> Any:
    made: list[Any] = []
    for _ in range(50_000):
        made = [made]
    return made


def large() -> bytes:
    return bytes(LARGE)


def nan_keys() -> Any:
    return {math.nan: 1, float("nan"): 2}


def self_containing() -> Any:
    made: list[Any] = [1]
    made.append(made)
    return made


# What a process cannot give back, and what the message says of it.
UNPACKABLE: list[tuple[Callable[[], Any], str]] = [
    (lock, ""),
    (lock_inside, "['deep'][1].handle"),
    (generator, ""),
    (open_file, ""),
    (ExplodesOnLoad, "bang"),
    (ExplodesOnPacking, "will not be packed"),
    (ExitsOnPacking, "SystemExit"),
    (nested, "nested too deeply"),
]

# What every executor takes there and back, and how one can tell.
WHOLE: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (module, lambda value: value.floor(1.5) == 1),
    (lambda_with_a_step, lambda value: value(4) == 7),
    (of_a_class_made_here, lambda value: value.get() == 5),
    (large, lambda value: len(value) == LARGE and not any(value[:1000])),
    (nan_keys, lambda value: sorted(value.values()) == [1, 2]),
    (self_containing, lambda value: value[1] is value and value[0] == 1),
]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_result_that_cannot_be_packed_harms_its_own_future_alone(
    run: weft.Session, kind: str
) -> None:
    first = worker().result(BOUND)
    for make, words in UNPACKABLE:
        error = made_by(make).exception(BOUND)
        if kind == "threads":  # nothing is packed there
            assert error is None
        else:
            assert isinstance(error, SerializationError), make
            assert words in str(error)
            assert any("made_by" in note for note in error.__notes__)
        assert worker().result(BOUND) == first, make


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_an_argument_that_cannot_be_packed_harms_its_own_future_alone(
    run: weft.Session, kind: str
) -> None:
    first = worker().result(BOUND)
    for make, words in UNPACKABLE:
        error = asked(lambda _: None, make()).exception(BOUND)
        if kind == "threads":
            assert error is None
        else:
            assert error is not None, make
            assert words in str(error)
        assert worker().result(BOUND) == first, make


@pytest.mark.parametrize("kind", SEPARATE)
def test_the_message_names_the_path_of_what_cannot_be_packed(run: weft.Session) -> None:
    error = asked(len, {"deep": [0, HoldsALock()]}).exception(BOUND)
    assert isinstance(error, SerializationError)
    assert error.path == "args[1]['deep'][1].handle"
    assert "args[1]['deep'][1].handle" in str(error)
    assert "asked" in str(error)

    named = asked(len, value=[lock()]).exception(BOUND)
    assert isinstance(named, SerializationError)
    assert "['value'][0]" in named.path or "value[0]" in named.path

    back = made_by(lock_inside).exception(BOUND)
    assert isinstance(back, SerializationError)
    assert back.path == "result['deep'][1].handle"


def test_odd_values_come_back_whole(run: weft.Session) -> None:
    for make, holds in WHOLE:
        assert holds(made_by(make).result(BOUND)), make


def test_odd_values_arrive_whole(run: weft.Session) -> None:
    for make, holds in WHOLE:
        assert asked(holds, make()).result(BOUND), make


def test_odd_values_go_from_task_to_task(run: weft.Session) -> None:
    for make, holds in WHOLE:
        assert asked(holds, made_by(make)).result(BOUND), make


def test_a_good_task_among_many_bad_ones_is_not_harmed(run: weft.Session) -> None:
    futures = []
    for number in range(20):
        futures.append(asked(lambda n: 2 * n, number))
        _ = asked(lambda n: n, lock_inside()), made_by(lock), asked(len, ExplodesOnLoad())
    assert [future.result(BOUND) for future in futures] == [2 * n for n in range(20)]
    assert run.wait(BOUND)


def test_a_task_that_needs_what_cannot_be_packed_ends_too(run: weft.Session, kind: str) -> None:
    error = asked(lambda _: None, made_by(lock)).exception(BOUND)
    if kind != "threads":
        assert isinstance(error, weft.errors.DependencyError)
        assert "made_by" in str(error)
    else:
        assert error is None


def test_none_of_it_changes_how_deep_this_process_may_recurse(run: weft.Session) -> None:
    before = sys.getrecursionlimit()
    made_by(nested).exception(BOUND)
    asked(lambda _: None, nested()).exception(BOUND)
    assert sys.getrecursionlimit() == before
