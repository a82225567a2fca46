"""Packed calls, as a worker that does not have this script sees them."""

import abc
import collections
import concurrent.futures
import dataclasses
import enum
import functools
import os
import pickle
import queue
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from weft.calls import (
    Packer,
    RemoteTraceback,
    Runner,
    calls_message,
    error_of,
    opened,
    pack_error,
    results_message,
    value_of,
)
from weft.calls.batches import opened_calls
from weft.errors import RemoteError, SerializationError

SOURCE = Path(__file__).parents[2] / "src"

WORKER = """
import sys, pickle
sys.path[:] = {path!r}
from weft.calls import mirror
mirror.begin()
from weft.calls.running import Runner
from weft.calls.batches import opened_calls, results_message
runner, results = Runner(), []
_, definitions, rows = opened_calls(pickle.load(sys.stdin.buffer))
for definition in definitions:
    runner.define(*definition)
for number, function, needs, head, buffers in rows:
    results.append((number, runner.run(function, needs, head, buffers), 0, 0.0))
pickle.dump([bytes(part) for part in results_message(results)], sys.stdout.buffer)
"""


def elsewhere(*calls: Any) -> list[Any]:
    """The outcomes of calls in another process that has only the path of this one."""
    packer = Packer()
    packed = [(n, packer.pack(f, args, kwargs)) for n, (f, args, kwargs) in enumerate(calls)]
    parts = [bytes(part) for part in calls_message(packed, {})]
    path = [entry for entry in sys.path if entry and "tests" not in entry]
    answer = subprocess.run(
        [sys.executable, "-c", WORKER.format(path=path)],
        input=pickle.dumps(parts),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
        cwd="/",
    )
    outcomes = []
    for _, kind, head, buffers, *_ in opened(pickle.loads(answer.stdout))[1]:
        outcomes.append(error_of(head) if kind else value_of(head, buffers))
    return outcomes


FACTOR = 3


@dataclasses.dataclass
class Point:
    x: int
    tags: list[str] = dataclasses.field(default_factory=list)

    def scaled(self) -> "Point":
        return Point(self.x * FACTOR, self.tags)


@attrs.define
class Slotted:
    value: int = 1

    def next(self) -> "Slotted":
        return Slotted(self.value + 1)


class Color(enum.Enum):
    RED = 1
    BLUE = 2

    def shout(self) -> str:
        return self.name + "!"


class Shape(abc.ABC):
    sides = 0

    @abc.abstractmethod
    def area(self) -> int: ...

    @property
    def twice(self) -> int:
        return 2 * self.area()


class Square(Shape):
    sides = 4

    def __init__(self, edge: int) -> None:
        super().__init__()
        self.edge = edge

    def area(self) -> int:
        return self.edge**2

    @classmethod
    def unit(cls) -> "Square":
        return cls(1)

    @staticmethod
    def name() -> str:
        return "square"


class Refused(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


@functools.cache
def remembered(n: int) -> int:
    return n + FACTOR


def use_all(point: Point, color: Color) -> Any:
    assert isinstance(point, Point)
    assert color is Color.RED
    assert color.shout() == "RED!"
    assert Square.unit().twice == 2
    assert Square.name() == "square"
    assert remembered(1) == 4
    assert [field.name for field in dataclasses.fields(point)] == ["x", "tags"]
    return point.scaled(), Color.BLUE, Slotted().next(), Square(3), fibonacci(10)


def test_what_a_script_defines_goes_there_and_comes_back_as_itself() -> None:
    [(point, color, slotted, square, number)] = elsewhere((use_all, (Point(1), Color.RED), {}))
    assert type(point) is Point
    assert point == Point(3)
    assert color is Color.BLUE
    assert type(slotted) is Slotted
    assert slotted == Slotted(2)
    assert type(square) is Square
    assert square.area() == 9
    assert number == 55


def refuse() -> None:
    raise Refused(3, "no")


def test_exceptions_of_the_script_come_back_as_themselves() -> None:
    [error] = elsewhere((refuse, (), {}))
    assert type(error) is Refused
    assert error.code == 3
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in refuse" in str(error.__cause__)


def test_functions_that_refer_to_each_other_and_to_shared_variables() -> None:
    count = 0

    def up() -> int:
        nonlocal count
        count += 1
        return count if count > 2 else down()

    def down() -> int:
        return up()

    assert elsewhere((up, (), {})) == [3]


def test_functions_that_can_be_imported_go_by_name() -> None:
    packer = Packer()
    call = packer.pack(textwrap.dedent, ("x",), {})
    assert call.function is not None
    assert len(call.function.blob) < 60


def test_a_decorated_function_is_found_behind_its_decoration(tmp_path: Path) -> None:
    (tmp_path / "decorated.py").write_text(
        "import functools\n"
        "def app(f):\n"
        "    class App:\n"
        "        def __call__(self, *a): raise AssertionError('the app, not the function')\n"
        "    return functools.update_wrapper(App(), f)\n"
        "@app\n"
        "def triple(x): return 3 * x\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        import decorated  # type: ignore[import-not-found]

        assert elsewhere((decorated.triple.__wrapped__, (4,), {})) == [12]
        call = Packer().pack(decorated.triple.__wrapped__, (), {})
        assert call.function is not None
        assert len(call.function.blob) < 120
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("decorated", None)


MAIN = """
import sys
sys.path[:0] = {path!r}
import pickle, subprocess
from weft.calls import Packer, calls_message, opened, value_of
class Mine:
    def __init__(self, n): self.n = n
limit = 10
def check(mine, others):
    return type(mine) is Mine and all(type(o) is Mine for o in others), Mine(limit)
packer = Packer()
parts = calls_message([(0, packer.pack(check, (Mine(1), [Mine(2)]), {{}}))], {{}})
answer = subprocess.run(
    [sys.executable, "-c", {worker!r}],
    input=pickle.dumps([bytes(p) for p in parts]), stdout=subprocess.PIPE, check=True)
[(_, kind, head, buffers, *_)] = opened(pickle.loads(answer.stdout))[1]
good, mine = value_of(head, buffers)
assert kind == 0 and good and type(mine) is Mine and mine.n == 10
print("good")
"""


def test_the_main_script_itself(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    path = [str(SOURCE), *[entry for entry in sys.path if entry]]
    script.write_text(MAIN.format(path=path, worker=WORKER.format(path=path)))
    said = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert said.stdout == "good\n", said.stderr


# --------------------------------------------------------------------- here, without a worker


def here(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Packs, runs and unpacks within this process."""
    runner = Runner()
    parts = calls_message([(5, Packer().pack(function, args, kwargs))], {}, "extra")
    extra, definitions, rows = opened_calls(parts)
    assert extra == "extra"
    for definition in definitions:
        runner.define(*definition)
    [(number, *call)] = rows
    _, [(again, kind, head, buffers, took, begun)] = opened(
        results_message([(number, runner.run(*call), 7, 1.5)])
    )
    assert (again, took, begun) == (5, 7, 1.5)
    return error_of(head) if kind else value_of(head, buffers)


def identity(thing: Any) -> Any:
    return thing


def test_large_arrays_travel_beside_the_message_and_can_be_written() -> None:
    array = np.arange(100_000.0)
    call = Packer().pack(identity, (array,), {})
    assert len(call.head) < 500
    assert call.size > 800_000
    back = here(identity, array)
    assert (back == array).all()
    assert (here(identity, array[::2]) == array[::2]).all()
    assert (here(identity, np.arange(10)) == np.arange(10)).all()


def test_a_function_is_packed_once_for_as_long_as_it_lives() -> None:
    packer = Packer()

    def local(x: int) -> int:
        return x

    one, two = packer.pack(local, (1,), {}), packer.pack(local, (2,), {})
    assert one.function is two.function
    sent: dict[bytes, int] = {}
    first = calls_message([(1, one), (2, two)], sent)
    second = calls_message([(3, one)], sent)
    assert len(opened_calls(first)[1]) == 1
    assert opened_calls(second)[1] == []
    del local, one, two
    assert packer._functions == {}


class Adder:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, n: int) -> int:
        return n + self.step


def test_a_callable_that_can_change_is_packed_for_each_call() -> None:
    packer, adder = Packer(), Adder(1)
    runner = Runner()

    def run() -> Any:
        _, _, [(_, *call)] = opened_calls(calls_message([(0, packer.pack(adder, (1,), {}))], {}))
        return value_of(runner.run(*call).head)

    assert run() == 2
    adder.step = 5
    assert run() == 6


LOCK = threading.Lock()


class Holder:
    def __init__(self) -> None:
        self.fine = 1
        self._lock = threading.Lock()


class Slots:
    __slots__ = ("handle",)

    def __init__(self) -> None:
        self.handle = threading.Lock()


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((1, threading.Lock()), {}, "args[1]"),
        ((1, Holder()), {}, "args[1]._lock"),
        ((), {"x": [0, 1, 2, Holder()]}, "kwargs['x'][3]._lock"),
        (({"a": (1, {2: Slots()})},), {}, "args[0]['a'][1][2].handle"),
        ((lambda lock=LOCK: lock,), {}, "args[0] (its default of 'lock')"),
    ],
)
def test_what_cannot_be_packed_is_named_by_its_path(args: Any, kwargs: Any, path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        Packer().pack(identity, args, kwargs, "'align' (task 3)")
    assert caught.value.path == path
    assert "'align' (task 3)" in str(caught.value)


def test_the_search_for_the_part_that_cannot_be_packed_is_bounded() -> None:
    calls = 0

    class Counting:
        def __reduce__(self) -> Any:
            nonlocal calls
            calls += 1
            return (int, ())

    with pytest.raises(SerializationError) as caught:
        Packer().pack(identity, ([Counting() for _ in range(5000)] + [threading.Lock()],), {})
    assert caught.value.path.startswith("args")
    assert calls < 30_000


def test_an_argument_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="nested too deeply"):
        Packer().pack(identity, (deep,), {})
    assert isinstance(here(eval, "(lambda f: f(f, 50000))(lambda f, n: n)"), int)


def test_a_function_that_holds_what_cannot_be_packed_by_us_is_tried_with_dill() -> None:
    lock = threading.Lock()

    def locked() -> bool:
        return lock.locked()

    assert here(locked) is False


def test_an_exception_is_shown_with_its_causes_even_if_it_cannot_be_rebuilt() -> None:
    class Stubborn(Exception):
        def __init__(self, text: str) -> None:
            super().__init__(text)

        def __reduce__(self) -> Any:
            return (open, ("/no/such/file",))

        def __str__(self) -> str:
            if os.getpid() < 0:
                raise ValueError
            return "stubborn"

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

    def fail() -> None:
        raise Stubborn("text") from KeyError("root")

    error = here(fail)
    assert "stubborn" in str(error)
    text = error.traceback if isinstance(error, RemoteError) else str(error.__cause__)
    assert "KeyError: 'root'" in text


@pytest.mark.parametrize("junk", [b"", b"junk", pickle.dumps(3), pickle.dumps((1, 2))])
def test_junk_in_place_of_an_error_is_a_remote_error(junk: bytes) -> None:
    assert isinstance(error_of(junk), RemoteError)


def test_a_very_long_traceback_is_cut_in_the_middle() -> None:
    packed = pack_error(ValueError("x" * 1_000_000))
    assert len(packed) < 1_500_000
    assert "left out" in str(error_of(packed).__cause__)


def test_a_function_that_is_only_here_and_holds_a_lock_is_told_with_both_causes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("made_here")
    exec(  # a module that was loaded in some other way
        "import threading\nguard = threading.Lock()\ndef locked():\n    return guard.locked()\n",
        module.__dict__,
    )
    monkeypatch.setitem(sys.modules, "made_here", module)

    with pytest.raises(SerializationError) as raised:
        Packer().pack(module.locked, (), {}, "'locked'")

    said = str(raised.value)
    assert "function (the global 'guard')" in said
    assert "lock" in raised.value.reason.partition(";")[0]
    assert "workers cannot import the module 'made_here'" in said


def _uses(handle: Any) -> Callable[[], Any]:
    return lambda: handle


class Job:
    def __init__(self, part: Any) -> None:
        self.config = {"name": "x", "part": part}


@pytest.mark.parametrize(
    ("make", "place", "todo"),
    [
        (threading.Lock, "", "make one where the task needs it"),
        (threading.Event, "", "A lock holds within one process only"),
        (lambda: Path(os.devnull).open(), "", "Send its path"),  # noqa: SIM115 - closed below
        (socket.socket, "", "Send the address"),
        (lambda: sqlite3.connect(":memory:"), "", "what it takes to connect"),
        (lambda: (n for n in "ab"), "", r"list\(\.\.\.\)"),
        (queue.Queue, "", "A queue of threads"),
        (concurrent.futures.Future, "", "weft waits for futures"),
        (lambda: weakref.ref(LOCK), "", "the object itself"),
        (lambda: memoryview(b"abc"), "", r"bytes\(\.\.\.\)"),
        (lambda: functools.partial(print, end=LOCK), ".keywords['end']", "A lock"),
        (lambda: _uses(LOCK), " (its variable 'handle')", "A lock"),
        (lambda: collections.deque([1, LOCK]), "[1]", "A lock"),
    ],
)
def test_the_error_goes_to_the_part_and_says_what_to_do_about_it(
    make: Callable[[], Any], place: str, todo: str
) -> None:
    thing = make()
    with pytest.raises(SerializationError, match=todo) as caught:
        Packer().pack(identity, ([1, Job(thing)],), {}, "'align' (task 3)")
    assert caught.value.path == f"args[0][1].config['part']{place}"
    assert "in the parameter 'thing'" in caught.value.why
    close = getattr(thing, "close", None)
    if close is not None:
        close()


def test_compiled_code_imports_in_functions_of_modules_that_are_not_there() -> None:
    """What imports by ``PyImport_Import`` looks for the builtins in the globals of its caller."""
    name = "weft_test_not_there"
    module = types.ModuleType(name)
    exec(
        "import datetime\n"
        "def parsed(text):\n"
        "    return datetime.datetime.strptime(text, '%Y')\n",  # imports _strptime
        module.__dict__,
    )
    sys.modules[name] = module
    try:
        (parsed,) = elsewhere((module.__dict__["parsed"], ("2024",), {}))
    finally:
        del sys.modules[name]
    assert parsed.year == 2024
