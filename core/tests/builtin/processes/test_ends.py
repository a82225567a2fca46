"""Whoever ends, and however: nothing is left, and nobody waits for what cannot come."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.bodies import BashBody
from weft.errors import BashExit, TaskTimeout
from weft.values.task import Ended, Needs

Driver = Any  # as in test_faults


def stubborn(beat: str) -> None:
    """Ignores what one can ignore, and does not end."""
    import time

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Path(beat + ".part").write_text(str(os.getpid()))
    Path(beat + ".part").rename(beat)
    while True:
        time.sleep(1)


def with_children(beat: str) -> None:
    """Starts processes, one of them in a group of its own, and does not end."""
    import time

    children = [
        subprocess.Popen(["sleep", "300"]),
        subprocess.Popen(["sleep", "300"], process_group=0),
    ]
    words = " ".join(str(n) for n in (os.getpid(), *[child.pid for child in children]))
    Path(beat + ".part").write_text(words)
    Path(beat + ".part").rename(beat)
    while True:
        time.sleep(1)


def hold_the_lock(beat: str) -> None:
    import ctypes

    Path(beat + ".part").write_text(str(os.getpid()))
    Path(beat + ".part").rename(beat)
    ctypes.PyDLL(None).sleep(300)


def command(beat: str) -> str:
    return f"sleep 300 & echo $$ $! {os.getpid()} > {beat}.part; mv {beat}.part {beat}; wait"


def double(number: int) -> int:
    return 2 * number


FOREVER: list[Callable[..., Any]] = [stubborn, with_children, hold_the_lock, BashBody(command)]


@pytest.mark.parametrize("function", FOREVER, ids=lambda f: getattr(f, "__name__", "bash"))
def test_close_ends_whatever_runs_in_bounded_time(
    driver: Driver, function: Callable[..., Any], tmp_path: Path, eventually: Any, alive: Any
) -> None:
    beat = tmp_path / "beat"
    driver.submit(function, str(beat))
    eventually(beat.exists)
    pids = [int(word) for word in beat.read_text().split()]
    begin = time.monotonic()
    driver.executor.close(0.2)
    assert time.monotonic() - begin < 60
    # It waits for a tenth of a second for the death of those that it kills: that may take longer.
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_close_lets_tasks_end_that_do_so_in_time(
    floor: Any, tmp_path: Path, eventually: Any
) -> None:
    driver = floor(max_workers=1)
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    script = f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.01; done"
    task = driver.submit(subprocess.call, ["bash", "-c", script])
    # What a worker was given and has not begun would be taken back.
    eventually(begun.exists)
    opener = threading.Timer(0.3, gate.touch)
    opener.start()
    driver.executor.close(20)
    opener.join()
    assert driver.outcomes[task, 1].value == 0


def test_close_is_quick_when_nothing_runs_and_may_come_twice(driver: Driver) -> None:
    assert driver.run(double, 2).value == 4
    begin = time.monotonic()
    driver.executor.close(600)
    driver.executor.close(600)
    assert time.monotonic() - begin < 60, "it waited though nothing runs"


def test_what_is_submitted_after_close_ends_with_an_error(driver: Driver) -> None:
    driver.executor.close(1)
    outcome = driver.run(double, 2)
    assert outcome.ended is Ended.ERROR
    assert "closed" in str(outcome.value)


def test_close_right_after_start_leaves_nothing(floor: Any) -> None:
    floor().executor.close(0)


CLIENT = """
import sys
sys.path[:] = {path!r}
import threading, tempfile
from pathlib import Path
from weft.builtin.processes.executor import build
from weft.builtin.processes.settings import Processes
from weft.values.task import NEEDS_NOTHING, Task
from weft.values.watch import NOTHING
sys.path.insert(0, {here!r})
import importlib.util
spec = importlib.util.spec_from_file_location("ends", {file!r})
module = importlib.util.module_from_spec(spec)
sys.modules["ends"] = module
spec.loader.exec_module(module)

class Context:
    run_id = program = label = "processes"
    watch = NOTHING
    folder = Path(tempfile.mkdtemp())
    def report(self, outcomes): print(outcomes, flush=True)
    def failed(self, error): print(error, flush=True)
    def notice(self, level, text): print(level, text, flush=True)

executor = build(Processes(max_workers=4))
executor.start(Context())
import os
if os.fork() == 0:  # a child that outlives the client must not stand for it
    Path(sys.argv[1] + "child").write_text(str(os.getpid()))
    threading.Event().wait(20)
    os._exit(0)
executor.submit([
    Task(n, 1, "app", function, (sys.argv[1] + str(n),), {{}}, NEEDS_NOTHING)
    for n, function in enumerate(module.FOREVER)
])
threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_client_is_killed_everything_ends(
    tmp_path: Path, eventually: Any, alive: Any, number: int
) -> None:
    code = CLIENT.format(path=sys.path, here=str(tmp_path), file=__file__)
    beats = [tmp_path / f"beat-{n}" for n in range(len(FOREVER))]
    child = tmp_path / "beat-child"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "beat-")], stdout=subprocess.DEVNULL
    ) as client:
        try:
            eventually(lambda: child.exists() and child.read_text())
            eventually(lambda: all(beat.exists() for beat in beats))
            pids = [int(word) for beat in beats for word in beat.read_text().split()]
            client.send_signal(number)
            client.wait()
        finally:
            client.kill()
    try:
        # The one group that nobody tracks is that which a task made for itself, here of number 1.
        own_group = int(beats[1].read_text().split()[2])
        eventually(lambda: not any(alive(pid) for pid in pids if pid != own_group))
    finally:
        for pid in [*pids, int(child.read_text())]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_an_interrupt_at_the_terminal_does_not_reach_workers(driver: Driver) -> None:
    assert driver.run(os.getsid, 0).value != os.getsid(0)


# ------------------------------------------------------------------------------- bash, on workers


def test_a_command_that_fails_says_why(driver: Driver) -> None:
    outcome = driver.run(BashBody(lambda: "echo broken pump >&2; exit 3", "pump"))
    assert outcome.ended is Ended.ERROR
    assert isinstance(outcome.value, BashExit)
    assert outcome.value.exit_code == 3
    assert "broken pump" in outcome.value.tail


def test_a_command_that_is_late_says_what_it_was_doing(driver: Driver) -> None:
    body = BashBody(lambda: "echo still digging >&2; sleep 300", "dig")
    for walltime in (0.3, 3.0, 30.0):  # a shell that took long to start has said nothing yet
        error = driver.wait(
            driver.submit_with(Needs(walltime=walltime), body, walltime=walltime)
        ).value
        assert isinstance(error, TaskTimeout)
        if "still digging" in str(error):
            return
    pytest.fail(f"it is not said what it was doing: {error}")


def test_a_command_of_a_cancelled_task_is_killed(
    driver: Driver, tmp_path: Path, eventually: Any, alive: Any
) -> None:
    beat = tmp_path / "beat"
    task = driver.submit(BashBody(command), str(beat))
    eventually(beat.exists)
    pids = [int(word) for word in beat.read_text().split()]
    driver.executor.cancel([task])
    assert driver.wait(task).ended is Ended.CANCELLED
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_command_of_a_worker_that_is_killed_is_killed_too(
    driver: Driver, tmp_path: Path, eventually: Any, alive: Any
) -> None:
    beat = tmp_path / "beat"
    task = driver.submit(BashBody(command), str(beat))
    eventually(beat.exists)
    pids = [int(word) for word in beat.read_text().split()]
    os.kill(pids[2], signal.SIGKILL)
    assert driver.wait(task).ended is Ended.KILLED
    eventually(lambda: not any(alive(pid) for pid in pids))
