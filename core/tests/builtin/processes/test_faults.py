"""Whatever a task does, its own outcome tells, and the others go on."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.errors import ExecutorFailed, RemoteError, SerializationError, TaskLost, TaskTimeout
from weft.values.task import Ended, Needs, split_place

# The conftest's classes cannot be imported here, so its fixtures are typed by what they can do.
Driver = Any


def double(number: int) -> int:
    return 2 * number


def pid() -> int:
    return os.getpid()


def wait_for_file(path: str, *, beat: str = "") -> int:
    """Runs until a file is there; leaves its process's number in another one at the beginning."""
    import time

    if beat:
        Path(beat + ".part").write_text(str(os.getpid()))
        Path(beat + ".part").rename(beat)
    while not Path(path).exists():
        time.sleep(0.002)
    return os.getpid()


# -------------------------------------------------------------------- tasks that end their worker


def segfault() -> None:
    ctypes.string_at(0)


def leave_at_once() -> None:
    os._exit(7)


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("deadly", "words"),
    [
        (segfault, "SIGSEGV"),
        (leave_at_once, "exit code 7"),
        (kill_myself, "SIGKILL"),
    ],
)
def test_a_task_that_ends_its_worker_is_reported_as_killed_and_harms_no_other(
    driver: Driver, deadly: Callable[[], None], words: str
) -> None:
    before = driver.submit_all(double, [(n,) for n in range(50)])
    bad = driver.submit(deadly)
    after = driver.submit_all(double, [(n,) for n in range(50)])

    outcome = driver.wait(bad)
    assert outcome.ended is Ended.KILLED
    assert isinstance(outcome.value, TaskLost)
    assert 0 < outcome.begun <= time.time()
    assert outcome.seconds is not None
    assert split_place(outcome.place)[1] == socket.gethostname()
    assert words in str(outcome.value)
    assert deadly.__name__ in str(outcome.value)
    for number, task in enumerate(before + after):
        assert driver.wait(task).value == 2 * (number % 50)


def test_a_crash_in_compiled_code_shows_where_it_happened(driver: Driver) -> None:
    assert "string_at" in str(driver.run(segfault).value)


def test_a_worker_that_died_is_replaced(driver: Driver, eventually: Any) -> None:
    driver.run(double, 1)
    eventually(lambda: driver.status().workers == 2)
    driver.run(leave_at_once)
    eventually(lambda: driver.status().workers == 2)
    assert driver.run(double, 2).value == 4


@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1)])
def test_idle_workers_that_are_killed_are_replaced_and_nothing_is_lost(
    driver: Driver, eventually: Any, victims: tuple[int, ...], tmp_path: Path
) -> None:
    pids = two_pids(driver, tmp_path, eventually)
    for victim in victims:
        os.kill(pids[victim], signal.SIGKILL)
    tasks = driver.submit_all(double, [(n,) for n in range(100)])
    assert [driver.wait(task).value for task in tasks] == [2 * n for n in range(100)]
    eventually(lambda: driver.status().workers == 2)


@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1)])
def test_busy_workers_that_are_killed_report_what_they_ran_and_the_others_go_on(
    driver: Driver, victims: tuple[int, ...], tmp_path: Path, eventually: Any
) -> None:
    gate = tmp_path / "gate"
    beats = [str(tmp_path / f"beat-{n}") for n in range(2)]
    tasks = [driver.submit(wait_for_file, str(gate), beat=beat) for beat in beats]
    eventually(lambda: all(Path(beat).exists() for beat in beats))
    waiting = driver.submit_all(double, [(n,) for n in range(20)])
    for victim in victims:
        os.kill(int(Path(beats[victim]).read_text()), signal.SIGKILL)
    for victim in victims:
        assert driver.wait(tasks[victim]).ended is Ended.KILLED
    gate.touch()
    for survivor in {0, 1} - set(victims):
        assert driver.wait(tasks[survivor]).ended is Ended.VALUE
    assert [driver.wait(task).value for task in waiting] == [2 * n for n in range(20)]


def two_pids(driver: Driver, folder: Path, eventually: Any) -> list[int]:
    """The processes of both workers, by keeping both busy at once."""
    gate = folder / "both"
    beats = [str(folder / f"pid-{n}") for n in range(2)]
    tasks = [driver.submit(wait_for_file, str(gate), beat=beat) for beat in beats]
    eventually(lambda: all(Path(beat).exists() for beat in beats))
    gate.touch()
    return [driver.wait(task).value for task in tasks]


# ------------------------------------------------------ tasks that raise what one does not expect


def exit_politely() -> None:
    sys.exit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


class Odd(BaseException):
    pass


def raise_odd() -> None:
    raise Odd("odd")


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (exit_politely, SystemExit),
        (interrupt, KeyboardInterrupt),
        (raise_odd, Odd),
        (recurse, RecursionError),
    ],
)
def test_whatever_a_task_raises_is_its_error_and_costs_no_worker(
    floor: Any, function: Callable[[], Any], kind: type[BaseException]
) -> None:
    driver = floor(max_workers=1)
    worker = driver.run(pid).value
    outcome = driver.run(function)
    assert outcome.ended is Ended.ERROR
    assert type(outcome.value) is kind
    assert driver.run(pid).value == worker


class TwoArguments(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class KeywordOnly(Exception):
    def __init__(self, *, name: str) -> None:
        super().__init__()
        self.name = name

    def __str__(self) -> str:
        return f"no {self.name}"


class HoldsALock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class ReduceRaises(Exception):
    def __reduce__(self) -> Any:
        raise ValueError("no reduce")


class StrRaises(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class SetstateRaises(Exception):
    def __setstate__(self, state: Any) -> None:
        raise ValueError("no state")


class ReprRaises(Exception):
    def __repr__(self) -> str:
        raise ValueError("no repr")


def raising(kind: type[BaseException], *args: Any, **kwargs: Any) -> None:
    raise kind(*args, **kwargs)


@pytest.mark.parametrize(
    ("kind", "args", "kwargs", "text"),
    [
        (TwoArguments, (3, "lost"), {}, "3: lost"),
        (KeywordOnly, (), {"name": "luck"}, "no luck"),
        (HoldsALock, ("locked",), {}, "locked"),
        (ReprRaises, ("shown",), {}, "shown"),
        (UnicodeDecodeError, ("utf8", b"x", 0, 1, "bad"), {}, "bad"),
        (FileNotFoundError, (2, "gone", "/file"), {}, "gone"),
        (ReduceRaises, ("reduced",), {}, "reduced"),
        (SetstateRaises, ("stated",), {}, "stated"),
    ],
)
def test_exceptions_with_odd_classes_arrive_as_themselves(
    driver: Driver, kind: type[BaseException], args: Any, kwargs: Any, text: str
) -> None:
    outcome = driver.run(raising, kind, *args, **kwargs)
    assert outcome.ended is Ended.ERROR
    assert type(outcome.value) is kind
    assert text in str(outcome.value)
    assert "in raising" in str(outcome.value.__cause__)


def test_an_exception_without_text_is_still_an_error(driver: Driver) -> None:
    outcome = driver.run(raising, StrRaises, "x")
    assert outcome.ended is Ended.ERROR
    assert type(outcome.value) is StrRaises or "StrRaises" in str(outcome.value)


def raise_local() -> None:
    class Local(Exception):
        pass

    raise Local("only here")


def test_an_exception_of_a_class_that_only_the_worker_knows_is_readable(driver: Driver) -> None:
    outcome = driver.run(raise_local)
    assert outcome.ended is Ended.ERROR
    assert "only here" in str(outcome.value)
    assert type(outcome.value).__name__ in {"Local", "RemoteError"}


class ExitsOnPacking(Exception):
    def __reduce__(self) -> Any:
        os._exit(3)


def test_an_exception_that_ends_the_process_when_packed_harms_itself_alone(driver: Driver) -> None:
    assert driver.run(raising, ExitsOnPacking).ended is Ended.KILLED
    assert driver.run(double, 4).value == 8


def with_cause() -> None:
    try:
        raise KeyError("inner")
    except KeyError as inner:
        error = ValueError("outer")
        error.add_note("look at the inner one")
        raise error from inner


def test_causes_and_notes_arrive(driver: Driver) -> None:
    error = driver.run(with_cause).value
    assert isinstance(error, ValueError)
    text = str(error.__cause__)
    assert "KeyError: 'inner'" in text
    assert "direct cause" in text
    notes = error.__notes__
    assert "look at the inner one" in notes
    assert any("with_cause" in note and "worker" in note for note in notes)


# -------------------------------------------------------------------------- arguments and results


class Unpicklable:
    def __init__(self) -> None:
        self.handle = threading.Lock()


def test_an_argument_that_cannot_be_packed_is_named(driver: Driver) -> None:
    outcome = driver.run(double, 1, {"deep": [0, Unpicklable()]})
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, SerializationError)
    assert outcome.value.path == "args[1]['deep'][1].handle"


class ExplodesOnLoad:
    def __init__(self, where: int) -> None:
        self.where = where

    def __setstate__(self, state: Any) -> None:
        raise ValueError("bang")


def test_an_argument_that_explodes_on_the_worker_harms_its_own_task(driver: Driver) -> None:
    outcome = driver.run(double, ExplodesOnLoad(1))
    assert outcome.ended is Ended.ERROR
    assert "bang" in str(outcome.value)
    assert driver.run(double, 4).value == 8


def make(kind: type, *args: Any) -> Any:
    return kind(*args)


def test_a_result_that_cannot_be_packed_is_an_error_that_names_the_part(driver: Driver) -> None:
    outcome = driver.run(make, Unpicklable)
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, SerializationError)
    assert outcome.value.path == "result.handle"


def test_a_result_that_explodes_when_opened_explodes_on_the_worker(driver: Driver) -> None:
    outcome = driver.run(make, ExplodesOnLoad, 1)
    assert outcome.ended is Ended.ERROR
    assert "bang" in str(outcome.value)


class ExitsOnLoad:
    def __reduce__(self) -> Any:
        return (os._exit, (9,))


def test_a_result_that_ends_whoever_opens_it_does_not_end_the_client(driver: Driver) -> None:
    assert driver.run(make, ExitsOnLoad).ended is Ended.KILLED
    assert driver.run(double, 4).value == 8


def home_only() -> int:
    return os.getpid()


class ExplodesAtHome:
    """Opens well in the process that made it, and nowhere else."""

    def __init__(self) -> None:
        self.maker = os.getpid()

    def __setstate__(self, state: Any) -> None:
        if os.getpid() != state["maker"]:
            raise ValueError("not at home")
        self.__dict__.update(state)


def test_a_result_that_explodes_at_home_alone_is_an_error(driver: Driver) -> None:
    outcome = driver.run(make, ExplodesAtHome)
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, SerializationError)
    assert "not at home" in str(outcome.value)
    assert driver.run(double, 4).value == 8


def nested(depth: int) -> Any:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def test_nesting_without_end_is_an_error_there_and_back(driver: Driver) -> None:
    there = driver.run(double, nested(50_000))
    assert there.ended is Ended.ERROR
    assert isinstance(there.value, SerializationError)
    back = driver.run(nested, 50_000)
    assert back.ended is Ended.ERROR
    assert isinstance(back.value, SerializationError)
    assert "nested too deeply" in str(back.value)


class Shape:
    def __init__(self, size: int) -> None:
        self.size = size


def grow(shape: Shape) -> Shape:
    assert type(shape) is Shape
    return Shape(shape.size + 1)


def test_objects_of_classes_that_a_worker_cannot_import_keep_their_class(driver: Driver) -> None:
    grown = driver.run(grow, Shape(3)).value
    assert type(grown) is Shape
    assert grown.size == 4


def local_class() -> Any:
    class Local:
        def __init__(self) -> None:
            self.value = 5

        def get(self) -> int:
            return self.value

    return Local()


def test_results_of_classes_that_only_the_worker_knows_come_back(driver: Driver) -> None:
    assert driver.run(local_class).value.get() == 5


def test_closures_and_lambdas_are_functions_and_arguments(driver: Driver) -> None:
    step = 3
    assert driver.run(lambda n: n + step, 4).value == 7
    assert driver.run(lambda f, n: f(n), lambda n: n * step, 4).value == 12


def test_half_a_megabyte_and_much_more_come_back_whole(driver: Driver) -> None:
    for size in (1, 65_535, 65_536, 262_144, 500_000, 20_000_000):
        assert driver.run(bytes, size).value == bytes(size)
        assert driver.run(len, bytes(size)).value == size


# --------------------------------------------------------------------------- tasks that misbehave


def fork_and_return() -> int:
    os.fork()
    return os.getpid()


def test_a_task_that_forks_is_answered_once(driver: Driver, eventually: Any) -> None:
    outcome = driver.run(fork_and_return)
    assert outcome.ended is Ended.VALUE
    assert driver.run(double, 4).value == 8


def close_everything() -> None:
    os.closerange(3, 256)


def test_a_task_that_closes_all_descriptors_ends_and_harms_no_other(driver: Driver) -> None:
    outcome = driver.run(close_everything)
    assert outcome.ended in {Ended.KILLED, Ended.VALUE}
    for number in range(20):
        assert driver.run(double, number).value == 2 * number


def test_the_one_that_closed_all_descriptors_is_found_among_many(floor: Any) -> None:
    driver = floor(max_workers=1)
    assert driver.run(double, 0).value == 0  # so that the next are dealt many at once
    first = driver.submit_all(double, [(number,) for number in range(20)])
    bad = driver.submit(close_everything)
    others = driver.submit_all(double, [(number,) for number in range(20)])
    assert driver.wait(bad).ended is Ended.KILLED
    assert [driver.wait(one).ended for one in [*first, *others]] == [Ended.VALUE] * 40


def write_to_everything() -> None:
    for fd in range(3, 64):
        try:
            os.write(fd, b"junk" * 100)
        except OSError:
            continue


def test_a_task_that_writes_junk_to_all_descriptors_harms_no_other(driver: Driver) -> None:
    outcome = driver.run(write_to_everything)
    assert outcome.ended in {Ended.KILLED, Ended.VALUE}
    for number in range(20):
        assert driver.run(double, number).value == 2 * number


def print_much() -> int:
    line = "x" * 99
    for _ in range(20_000):
        print(line)  # noqa: T201 - to print is the point
    return 1


def test_a_task_that_prints_much_is_heard_and_ends(driver: Driver, capfd: Any) -> None:
    driver_outcome = driver.run(print_much)
    assert driver_outcome.value == 1


def test_what_a_task_prints_goes_where_this_process_prints(floor: Any, capfd: Any) -> None:
    driver = floor(max_workers=1)
    driver.run(print, "hello from afar")
    driver.run(print, "trouble from afar", file=None)
    assert "hello from afar" in capfd.readouterr().out


# ---------------------------------------------------------------------------- walltime and cancel


def hold_the_lock(seconds: int) -> None:
    """Sleeps in compiled code without letting go of the interpreter's lock."""
    ctypes.PyDLL(None).sleep(seconds)


def sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)


@pytest.mark.parametrize("function", [sleep, hold_the_lock])
def test_a_task_that_outlasts_its_walltime_is_stopped(
    driver: Driver, function: Callable[[int], None]
) -> None:
    outcome = driver.wait(driver.submit_with(Needs(walltime=0.2), function, 60))
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, TaskTimeout)
    assert outcome.begun > 0
    assert outcome.seconds is not None
    assert 0.1 < outcome.seconds < 60
    after = driver.run(double, 4)
    assert after.value == 8
    assert after.seconds is not None
    assert outcome.begun < after.begun <= after.begun + after.seconds <= time.time() + 0.001
    assert after.place.startswith("worker ")
    assert split_place(after.place)[1] == socket.gethostname()


def test_a_task_within_its_walltime_is_not_stopped(floor: Any) -> None:
    driver = floor(max_workers=1)
    worker = driver.run(pid).value
    assert driver.wait(driver.submit_with(Needs(walltime=20), double, 2)).value == 4
    assert driver.wait(driver.submit_with(Needs(walltime=20), pid)).value == worker


def test_a_task_that_waits_is_cancelled(floor: Any, tmp_path: Path) -> None:
    driver = floor(max_workers=1)
    gate = tmp_path / "gate"
    first = driver.submit(wait_for_file, str(gate))
    second = driver.submit(double, 1)
    assert set(driver.executor.cancel([second, 999])) == {second}
    assert driver.wait(second).ended is Ended.CANCELLED
    gate.touch()
    assert driver.wait(first).ended is Ended.VALUE


def leave_a_mark(path: str, number: int) -> None:
    with Path(path).open("a") as marks:
        marks.write(f"{number}\n")


def test_what_was_dropped_never_begins_whatever_is_dealt_at_that_instant(
    driver: Driver, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    certain: set[int] = set()
    tasks: list[int] = []
    for _ in range(20):
        new = driver.submit_all(leave_a_mark, [(str(marks), n) for n in range(10)])
        certain.update(driver.executor.drop(new))
        tasks += new
    ended = {task: driver.wait(task).ended for task in tasks}
    assert {ended[task] for task in certain} <= {Ended.CANCELLED}
    assert set(ended.values()) <= {Ended.CANCELLED, Ended.VALUE}
    begun = marks.read_text().splitlines() if marks.exists() else []
    assert len(begun) == sum(1 for one in ended.values() if one is Ended.VALUE)


class DroppedWhilePacked:
    """Drops its own task at the very moment in which that is given to a worker."""

    driver: Any = None
    answer: Any = None

    def __reduce__(self) -> Any:
        DroppedWhilePacked.answer = self.driver.executor.drop([0])
        return int, (3,)


def test_what_is_being_dealt_is_not_said_to_be_dropped(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DroppedWhilePacked, "driver", driver)
    assert driver.run(double, DroppedWhilePacked()).value == 6
    assert DroppedWhilePacked.answer == set()


def test_a_task_that_runs_is_cancelled_and_the_others_are_not(
    driver: Driver, tmp_path: Path, eventually: Any, alive: Any
) -> None:
    beat = tmp_path / "beat"
    running = driver.submit(wait_for_file, str(tmp_path / "never"), beat=str(beat))
    eventually(beat.exists)
    worker = int(beat.read_text())
    others = driver.submit_all(double, [(n,) for n in range(50)])
    assert set(driver.executor.cancel([running])) == {running}
    assert driver.wait(running).ended is Ended.CANCELLED
    assert [driver.wait(task).value for task in others] == [2 * n for n in range(50)]
    eventually(lambda: not alive(worker))


# --------------------------------------------------------------------------------------- starting


def test_workers_that_never_start_are_an_error_in_their_own_words(
    tmp_path: Path, floor: Any
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys\nsys.stderr.write('no licence\\n')\nsys.stderr.flush()\nos._exit(4)\n"
    )
    driver = floor(environment={"PYTHONPATH": str(broken)})
    driver.submit(double, 1)
    driver.until(lambda: driver.failure is not None)
    assert isinstance(driver.failure, ExecutorFailed)
    assert "no licence" in str(driver.failure)
    assert "exit code 4" in str(driver.failure)


def test_a_worker_that_hangs_at_its_start_is_given_up(tmp_path: Path, floor: Any) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import time\ntime.sleep(60)\n")
    driver = floor(environment={"PYTHONPATH": str(broken)}, start_timeout=0.3, max_workers=1)
    driver.until(lambda: driver.failure is not None)
    assert "did not start within 0.3 s" in str(driver.failure)


def test_remote_errors_are_a_kind_of_their_own() -> None:
    assert issubclass(RemoteError, Exception)
