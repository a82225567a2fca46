"""A task can ruin its worker in many ways, and with it nothing but its own future."""

import ctypes
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app
from weft.errors import PoisonTask
from weft.values.task import Ended

BOUND = 60.0
DEATHS = 3
"""Deaths of workers after which a task is not tried again."""

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.parametrize("kind", ["processes", "htex", "direct"]),
]

Make = Callable[..., weft.Config]


@python_app
def worker() -> int:
    return os.getpid()


@python_app
def double(number: int) -> int:
    return 2 * number


@python_app
def attempt(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def read_nowhere() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def exit_at_once() -> None:
    os._exit(3)


def exit_as_if_all_were_well() -> None:
    os._exit(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate_itself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def kill_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


def recurse_beyond_the_stack() -> None:
    # The stack of this process ends long before the limit of Python does.
    sys.setrecursionlimit(1 << 30)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))

    class Endless:
        def __repr__(self) -> str:
            return repr([self])

    repr(Endless())


def run_out_of_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass


DEADLY = [
    read_nowhere,
    abort,
    exit_at_once,
    exit_as_if_all_were_well,
    kill_itself,
    terminate_itself,
    kill_its_group,
]


def test_what_ends_its_worker_is_poison_after_three_deaths_and_harms_no_other(
    config: Make,
) -> None:
    with weft.load(config(workers=2)):
        bad = [(function, attempt(function)) for function in DEADLY]
        good = [double(number) for number in range(200)]
        for function, future in bad:
            error = future.exception(BOUND)
            assert isinstance(error, PoisonTask), (function, error)
            assert "attempt" in str(error)
            assert [one.ended for one in future.tries] == [Ended.KILLED] * DEATHS, function
            assert [one.charged for one in future.tries] == [0.0] * DEATHS
        assert [future.result(BOUND) for future in good] == [2 * n for n in range(200)]


def test_recursion_beyond_the_stack_harms_no_other(config: Make) -> None:
    with weft.load(config(workers=2)):
        bad = attempt(recurse_beyond_the_stack)
        # Python from 3.12 on sees the end of the stack by itself.
        assert isinstance(bad.exception(BOUND), (PoisonTask, RecursionError))
        assert double(2).result(BOUND) == 4


def test_a_death_says_by_what_signal_or_with_what_code(config: Make) -> None:
    with weft.load(config(workers=1, losses=0)):
        assert "SIGKILL" in str(attempt(kill_itself).exception(BOUND))
        assert "exit code 3" in str(attempt(exit_at_once).exception(BOUND))
        crashed = str(attempt(read_nowhere).exception(BOUND))
        assert "SIGSEGV" in crashed
        assert "read_nowhere" in crashed


def close_all_descriptors() -> None:
    os.closerange(3, 4096)


def write_to_all_descriptors() -> None:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"junk" * 100)
        except OSError:
            continue


@pytest.mark.parametrize("function", [close_all_descriptors, write_to_all_descriptors])
def test_who_ruins_all_descriptors_alone_is_blamed(
    config: Make, function: Callable[[], None]
) -> None:
    with weft.load(config(workers=2)):
        futures = [double(number) for number in range(50)]
        bad = attempt(function)
        futures += [double(number) for number in range(50, 100)]
        error = bad.exception(BOUND)
        assert error is None or isinstance(error, PoisonTask)
        assert [future.result(BOUND) for future in futures] == [2 * n for n in range(100)]


def fork_and_return() -> int:
    return os.fork()


def fork_and_stay(pipe: str) -> int:
    child = os.fork()
    if child:
        return child
    with Path(pipe).open() as held:  # nobody writes
        held.read()
    os._exit(0)


def test_a_task_that_forks_is_answered_once(config: Make) -> None:
    with weft.load(config(workers=1)):
        first = worker().result(BOUND)
        assert attempt(fork_and_return).result(BOUND) > 0
        assert worker().result(BOUND) == first


def test_a_child_that_a_task_leaves_ends_with_the_session(
    config: Make, tmp_path: Path, family: Any
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with weft.load(config(workers=1)):
        child = attempt(fork_and_stay, str(pipe)).result(BOUND)
        assert child in family.alive()
        assert double(2).result(BOUND) == 4
    family.gone()


def test_threads_that_a_task_leaves_keep_nobody(config: Make) -> None:
    def leave_threads() -> int:
        for _ in range(5):
            threading.Thread(target=threading.Event().wait).start()
        return os.getpid()

    with weft.load(config(workers=1)):
        pid = attempt(leave_threads).result(BOUND)
        assert worker().result(BOUND) == pid


def take_all_memory() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), hard))
    try:
        taken = [bytearray(1 << 20) for _ in range(1 << 20)]
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return len(taken)


def test_a_task_that_finds_no_more_memory_is_told_so_and_the_worker_goes_on(config: Make) -> None:
    with weft.load(config(workers=1)):
        pid = worker().result(BOUND)
        assert isinstance(attempt(take_all_memory).exception(BOUND), MemoryError)
        assert worker().result(BOUND) == pid


def test_a_result_for_which_there_is_no_memory_harms_itself_alone(config: Make) -> None:
    """What is packed takes as much again, so the value is there and the bytes cannot be."""

    def large_in_little() -> Any:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        made = ["x" * (1 << 20) + str(n) for n in range(48)]
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (16 << 20), hard))
        return made

    with weft.load(config(workers=1)):
        error = attempt(large_in_little).exception(BOUND)
        assert error is not None
        assert double(2).result(BOUND) == 4


def test_a_task_that_takes_all_its_processor_time_is_ended_and_harms_no_other(
    config: Make,
) -> None:
    with weft.load(config(workers=2, losses=0)):
        bad = attempt(run_out_of_time)
        assert double(2).result(BOUND) == 4
        assert isinstance(bad.exception(BOUND), weft.errors.TaskLost)


def change_everything(folder: str) -> None:
    os.chdir(folder)
    os.umask(0o777)
    os.environ.clear()
    sys.stdout = sys.stderr = None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.alarm(1)


def state() -> Any:
    mask = os.umask(0)
    os.umask(mask)
    names = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    handlers = [repr(signal.getsignal(number)) for number in names]
    streams = sys.stdout is None or sys.stderr is None
    alarm = signal.alarm(0)
    return str(Path.cwd()), mask, sorted(os.environ), handlers, streams, alarm


def test_a_clean_worker_keeps_nothing_of_a_task(config: Make, tmp_path: Path) -> None:
    with weft.load(config(workers=1)):
        pid = worker().result(BOUND)
        before = attempt(state).result(BOUND)
        attempt(change_everything, str(tmp_path)).result(BOUND)
        assert attempt(state).result(BOUND) == before
        assert worker().result(BOUND) == pid
