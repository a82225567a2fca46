"""How tasks share workers: clean, in order of priority, none behind a long one."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from weft.values.task import Ended, Needs

Driver = Any  # as in test_faults


def number_of(value: int) -> int:
    return value


def pid() -> int:
    return os.getpid()


def leave_a_mess(folder: str) -> int:
    os.chdir(folder)
    os.environ["WEFT_MESS"] = "1"
    os.environ.pop("HOME", None)
    os.umask(0o777)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.alarm(1)
    sys.stdout = None
    return os.getpid()


def look() -> dict[str, Any]:
    mask = os.umask(0)
    os.umask(mask)
    return {
        "folder": str(Path.cwd()),
        "environ": dict(os.environ),
        "mask": mask,
        "handler": signal.getsignal(signal.SIGUSR1),
        "alarm": signal.alarm(0),
        "stdout": sys.stdout is not None,
        "pid": os.getpid(),
    }


def test_a_clean_worker_keeps_nothing_of_a_task(floor: Any, tmp_path: Path) -> None:
    driver = floor(max_workers=1)
    before = driver.run(look).value
    assert driver.run(leave_a_mess, str(tmp_path)).value == before["pid"]
    assert driver.run(look).value == before


def test_a_folder_that_a_task_removes_under_itself_is_left(floor: Any, tmp_path: Path) -> None:
    driver = floor(max_workers=1)
    here = driver.run(os.getcwd).value
    doomed = tmp_path / "doomed"
    doomed.mkdir()

    def stand_in_nothing() -> None:
        os.chdir(doomed)
        doomed.rmdir()

    assert driver.run(stand_in_nothing).ended is Ended.VALUE
    assert driver.run(os.getcwd).value == here


def test_without_isolation_tasks_share_what_they_leave(floor: Any, tmp_path: Path) -> None:
    driver = floor(max_workers=1, isolation="none")
    driver.run(os.chdir, str(tmp_path))
    assert driver.run(os.getcwd).value == str(tmp_path)


def test_workers_have_the_environment_that_was_asked_for(floor: Any) -> None:
    driver = floor(max_workers=1, environment={"WEFT_FLAVOUR": "sour"})
    assert driver.run(os.getenv, "WEFT_FLAVOUR").value == "sour"
    assert driver.run(os.getenv, "WEFT_WORKER").value == "1"


def test_a_worker_is_replaced_after_so_many_tasks(floor: Any) -> None:
    driver = floor(max_workers=1, tasks_per_worker=3)
    pids = [driver.run(pid).value for _ in range(9)]
    assert len(set(pids)) == 3
    assert pids == sorted(pids, key=pids.index)
    many = driver.submit_all(number_of, [(n,) for n in range(20)])
    assert [driver.wait(task).value for task in many] == list(range(20))


def wait_for_file(path: str, beat: str = "") -> str:
    import time

    if beat:
        Path(beat).touch()
    while not Path(path).exists():
        time.sleep(0.002)
    return path


def test_lower_priorities_go_first(floor: Any, tmp_path: Path, eventually: Any) -> None:
    driver = floor(max_workers=1)
    beat, gate = tmp_path / "beat", tmp_path / "gate"
    first = driver.submit(wait_for_file, str(gate), str(beat))
    eventually(beat.exists)
    late = [driver.submit_with(Needs(priority=5), number_of, n) for n in range(3)]
    soon = [driver.submit_with(Needs(priority=-5), number_of, n) for n in range(3)]
    gate.touch()
    for task in late + soon:
        driver.wait(task)
    assert driver.order == [first, *soon, *late]


def sometimes_long(path: str, beat: str) -> str:
    """As quick as a no-op, until it is given a file to wait for."""
    return wait_for_file(path, beat) if path else ""


def test_no_task_waits_behind_a_long_one_while_a_worker_has_nothing_to_do(
    driver: Driver, tmp_path: Path
) -> None:
    # So many that it is known to be short, and several are dealt to each worker.
    for task in driver.submit_all(sometimes_long, [("", "")] * 200):
        driver.wait(task)
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    tasks = driver.submit_all(sometimes_long, [("", "")] * 5 + [(str(gate), str(beat))])
    others = driver.submit_all(sometimes_long, [("", "")] * 100)
    for task in tasks[:5] + others:
        assert driver.wait(task, 10).value == ""
    assert (tasks[5], 1) not in driver.outcomes
    gate.touch()
    assert driver.wait(tasks[5]).value == str(gate)


class Delaying:
    """An argument that is packed when the test lets it."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.reached.set()
        assert self.go.wait(30)
        return int, (1,)


class Seen:
    """An argument that knows whether it was packed."""

    packed = False

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        self.packed = True
        return int, (2,)


def test_what_is_cancelled_before_its_turn_is_never_dealt(driver: Driver, eventually: Any) -> None:
    eventually(lambda: driver.status().workers == 2)
    delaying, seen = Delaying(), [Seen() for _ in range(5)]
    # Both workers are dealt theirs at once, one after the other: nothing is heard of in between.
    first, *later = driver.submit_all(number_of, [(one,) for one in (delaying, *seen)])
    assert delaying.reached.wait(30)
    cancelled = driver.executor.cancel(later)
    delaying.go.set()

    assert set(cancelled) == set(later)
    assert driver.wait(first).value == 1
    assert {driver.wait(one).ended for one in later} == {Ended.CANCELLED}
    assert not any(one.packed for one in seen)


def test_many_tasks_with_kills_in_between_all_end_exactly_once(driver: Driver) -> None:
    def sometimes_deadly(number: int) -> int:
        if number % 500 == 499:
            os._exit(1)
        return number

    tasks = driver.submit_all(sometimes_deadly, [(n,) for n in range(4000)])
    for number, task in enumerate(tasks):
        outcome = driver.wait(task)
        if number % 500 == 499:
            assert outcome.ended is Ended.KILLED
        else:
            assert outcome.value == number


def test_a_large_payload_does_not_hold_up_small_ones(driver: Driver) -> None:
    large = driver.submit(len, bytes(64_000_000))
    small = driver.submit_all(number_of, [(n,) for n in range(50)])
    assert [driver.wait(task).value for task in small] == list(range(50))
    assert driver.wait(large).value == 64_000_000


def test_a_worker_imports_next_to_nothing(floor: Any) -> None:
    driver = floor(max_workers=1)
    loaded = driver.run(eval, "list(__import__('sys').modules)").value
    weft = {name for name in loaded if name.split(".")[0] == "weft"}
    assert weft == {
        "weft",
        "weft.bodies",
        "weft.calls",
        "weft.calls.batches",
        "weft.calls.chunks",
        "weft.calls.mirror",
        "weft.calls.running",
        "weft.workers",
        "weft.workers.memory",
        "weft.workers.protocol",
        "weft.workers.worker",
    }
    heavy = {
        "attr",
        "attrs",
        "click",
        "dill",
        "pluggy",
        "rich",
        "typeguard",
        "subprocess",
        "socket",
    }
    assert heavy & set(loaded) == set()


def test_status_counts_what_is_there(driver: Driver, tmp_path: Path, eventually: Any) -> None:
    gate, beat = tmp_path / "gate", tmp_path / "beat"
    eventually(lambda: driver.status().workers == 2)
    tasks = [driver.submit(wait_for_file, str(gate), str(beat)) for _ in range(5)]
    eventually(lambda: driver.status().running == 2)
    assert driver.status().waiting == 3
    gate.touch()
    for task in tasks:
        driver.wait(task)
    eventually(lambda: (driver.status().running, driver.status().waiting) == (0, 0))
