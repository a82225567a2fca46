"""Whole runs, as a user starts them: client, interchange, managers and workers on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import Config, Resources, bash_app, python_app
from weft.errors import ExecutorFailed, PoisonTask, SerializationError, TaskTimeout, WeftError
from weft_htex.errors import DoesNotFit, PayloadTooLarge

BOUND = 60.0
MARK = "WEFT_HTEX_TEST"


def marked(mark: str) -> dict[int, str]:
    """The processes, but for this one, that carry a mark in their environment."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z":
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = words.decode(errors="replace")
    return found


def eventually(happened: Callable[[], Any], bound: float = BOUND) -> Any:
    """Wait for something that nobody tells of, in a process that is not ours."""
    until = time.monotonic() + bound
    turn = threading.Event()
    while not (found := happened()):
        assert time.monotonic() < until, happened
        turn.wait(0.02)
    return found


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Marks all that the test starts, and sees that nothing of it is left."""
    name = uuid.uuid4().hex
    monkeypatch.setenv(MARK, name)
    yield name
    try:
        eventually(lambda: not marked(name))
    finally:
        for pid in marked(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def run(tmp_path: Path, mark: str) -> Callable[..., Any]:
    """Opens a session on htex."""

    def opened(config: dict[str, Any] | None = None, **options: Any) -> weft.Session:
        options = {"workers_per_node": 2, **options}
        executor = weft.executor("htex", **options)
        return weft.load(
            Config(
                executors=[executor], run_dir=tmp_path, **{"close_timeout": 2.0, **(config or {})}
            )
        )

    return opened


def manager_pids(session: weft.Session) -> list[int]:
    details = session.status().executors["htex"].details
    return [one["pid"] for one in details["managers"].values()]


@python_app
def double(x: Any) -> Any:
    return x + x


@python_app
def size_of(data: bytes) -> tuple[int, bytes]:
    return len(data), data


@python_app
def whose() -> int:
    return os.getpid()


@python_app
def fail(text: str) -> None:
    raise ValueError(text)


@python_app
def begin_and_hang(begun: str, times: int = 1) -> int:
    """Says that it has begun; does not end the first times."""
    import signal
    from pathlib import Path

    with Path(begun).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(Path(begun).read_text().splitlines()) <= times:
        signal.pause()
    return os.getpid()


@python_app
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# ----------------------------------------------------------------------------------------- results


@pytest.mark.parametrize("mode", ["broker", "direct"])
def test_many_tasks_and_their_values(run: Any, mode: str) -> None:
    with run(mode=mode):
        futures = [double(n) for n in range(2000)]
        assert [one.result(BOUND) for one in futures] == [2 * n for n in range(2000)]


def test_an_error_comes_back_as_it_was_raised(run: Any) -> None:
    with run():
        future = fail("of its own accord")
        with pytest.raises(ValueError, match="of its own accord") as raised:
            future.result(BOUND)
    assert any("worker" in note for note in raised.value.__notes__)


def test_what_does_not_pickle_harms_one_task_alone(run: Any) -> None:
    with run():
        bad = double(threading.Lock())
        good = double(3)
        with pytest.raises(SerializationError):
            bad.result(BOUND)
        assert good.result(BOUND) == 6


@pytest.mark.parametrize("mode", ["broker", "direct"])
def test_a_hundred_megabytes_there_and_back(run: Any, mode: str) -> None:
    data = os.urandom(1 << 20) * 100
    with run(mode=mode, workers_per_node=1):
        size, back = size_of(data).result(BOUND)
    assert size == len(data)
    assert back == data


def test_a_payload_above_the_limit_is_an_error_that_says_so(run: Any) -> None:
    with run(max_message=1 << 20):
        with pytest.raises(
            PayloadTooLarge, match=r"sent to a worker[^$]*Pass a File[^$]*max_message"
        ):
            double(bytes(2 << 20)).result(BOUND)
        with pytest.raises(WeftError, match=r"brought back[^$]*Return a File[^$]*max_message"):
            double(bytes(600_000)).result(BOUND)
        assert double(2).result(BOUND) == 4


def test_without_encryption_on_loopback(run: Any) -> None:
    with run(encrypted=False):
        assert double(2).result(BOUND) == 4


# ---------------------------------------------------------------------------- cancel and walltime


def test_a_task_that_runs_and_one_that_waits_are_cancelled(run: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with run(workers_per_node=1):
        running = begin_and_hang(str(begun))
        waiting = double(1)
        eventually(lambda: begun.exists() and begun.read_text())
        assert waiting.cancel()
        assert running.cancel()
        assert double(2).result(BOUND) == 4
        assert running.cancelled()
        assert waiting.cancelled()


def test_a_walltime_ends_a_task_whatever_it_does(run: Any) -> None:
    with run(workers_per_node=1):
        deaf: Any = python_app(_deaf)
        late = deaf(walltime=0.5)
        with pytest.raises(TaskTimeout, match=r"0\.5 s"):
            late.result(BOUND)
        assert double(2).result(BOUND) == 4


def _deaf() -> int:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32)) - {9, 19})
    return sum(1 for _ in iter(int, 1))


def test_a_task_that_fits_no_node_fails_and_does_not_wait(run: Any) -> None:
    needy: Any = double
    with run(workers_per_node=1):
        with pytest.raises(DoesNotFit, match=r"asks for 100,000 cores; the most that a node has"):
            needy(1, resources=Resources(cores=100_000)).result(BOUND)
        with pytest.raises(DoesNotFit, match=r"asks for 2 accelerators; .* has is 0 accelerators"):
            needy(1, resources=Resources(accelerators=2)).result(BOUND)
        assert needy(2, resources=Resources(cores=1)).result(BOUND) == 4


@bash_app
def echoed() -> str:
    return "echo"


@pytest.mark.parametrize(("app", "walltime"), [(double, 60.0), (echoed, 58.0)])
def test_a_task_that_may_outlast_every_block_fails_and_does_not_wait(
    run: Any, app: Any, walltime: float
) -> None:
    with run(block_walltime=60.0):
        arguments = (1,) if app is double else ()
        with pytest.raises(DoesNotFit, match="and a block lives for 60 s"):
            app.options(walltime=walltime)(*arguments).result(BOUND)
        app.options(walltime=30)(*arguments).result(BOUND)


# ------------------------------------------------------------------------------------------ deaths


def test_a_task_that_kills_its_worker_each_time_is_poison(run: Any) -> None:
    with run():
        bad = die()
        good = [double(n) for n in range(50)]
        with pytest.raises(PoisonTask):
            bad.result(BOUND)
        assert [one.result(BOUND) for one in good] == [2 * n for n in range(50)]


def test_an_idle_worker_that_is_killed_is_replaced(run: Any) -> None:
    with run(workers_per_node=1):
        pid = whose().result(BOUND)
        os.kill(pid, signal.SIGKILL)
        assert whose().result(BOUND) != pid


def test_a_manager_that_is_killed_costs_nothing_but_time(run: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with run(workers_per_node=1) as session:
        running = begin_and_hang(str(begun))
        others = [double(n) for n in range(20)]
        eventually(lambda: begun.exists() and begun.read_text())
        first = int(begun.read_text())
        os.kill(eventually(lambda: manager_pids(session))[0], signal.SIGKILL)
        assert running.result(BOUND) != first
        assert [one.result(BOUND) for one in others] == [2 * n for n in range(20)]
        assert len(running.tries) == 2
        assert running.tries[0].charged == 0


def test_an_interchange_that_is_killed_costs_nothing_but_time(run: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with run(workers_per_node=1) as session:
        running = begin_and_hang(str(begun))
        eventually(lambda: begun.exists() and begun.read_text())
        where = session.status().executors["htex"].details["interchange"]
        os.kill(int(where.split()[1]), signal.SIGKILL)
        assert running.result(BOUND) != int(begun.read_text().split()[0])
        assert double(4).result(BOUND) == 8


def test_everything_ends_with_a_client_that_is_killed(tmp_path: Path, mark: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import signal, sys
            import weft
            from weft import Config, python_app

            @python_app
            def hang(path):
                print("begun", file=open(path, "w"), flush=True)
                signal.pause()

            if __name__ == "__main__":
                with weft.load(Config(executors=[weft.executor("htex", workers_per_node=1)])):
                    hang(sys.argv[1]).result()
            """
        )
    )
    begun = tmp_path / "begun"
    client = subprocess.Popen([sys.executable, str(script), str(begun)], cwd=tmp_path)
    try:
        eventually(lambda: begun.exists() and begun.read_text())
        assert len(marked(mark)) >= 4
    finally:
        client.kill()
        client.wait()
    eventually(lambda: not marked(mark))


def test_a_manager_that_cannot_start_is_told_of_with_its_words(run: Any) -> None:
    with run(worker_init="echo the module is not there >&2; exit 7"):
        future = double(1)
        with pytest.raises(ExecutorFailed) as raised:
            future.result(BOUND)
    assert "the module is not there" in str(raised.value)


def test_a_processor_that_no_node_has_ends_the_executor_with_its_number(run: Any) -> None:
    with run(cpu_affinity="list:99999"), pytest.raises(ExecutorFailed) as raised:
        double(1).result(BOUND)
    assert "cannot keep workers to the processors 99999" in str(raised.value)


def test_a_manager_that_is_sent_term_says_so_where_its_block_is_looked_at(
    run: Any, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with run(workers_per_node=1) as session:
        running = begin_and_hang(str(begun))
        eventually(lambda: begun.exists() and begun.read_text())
        os.kill(eventually(lambda: manager_pids(session))[0], signal.SIGTERM)
        assert running.result(BOUND)
        said = (session.status().run_folder / "htex/blocks/htex-1/job.err").read_text()
    assert "It was sent TERM" in said
    assert "It was sent TERM" in str(running.tries[0].error)


# ------------------------------------------------------------------------------------------- close


def test_close_stops_what_does_not_end(run: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with run({"on_exit": "cancel", "close_timeout": 0.5}, workers_per_node=1):
        _running = begin_and_hang(str(begun))
        eventually(lambda: begun.exists() and begun.read_text())
        started = time.monotonic()
    assert time.monotonic() - started < BOUND


def test_status_shows_managers_and_blocks(run: Any) -> None:
    with run() as session:
        double(1).result(BOUND)
        eventually(lambda: session.status().executors["htex"].workers == 2)
        details = session.status().executors["htex"].details
    assert len(details["blocks"]) == 1
    assert [one["workers"] for one in details["managers"].values()] == [2]


def test_blocks_are_given_back_whenever_they_are_idle(run: Any) -> None:
    def states() -> set[str]:
        return {one["state"] for one in session.status().executors["htex"].details["blocks"]}

    with run(init_blocks=0, max_idle=0.1, heartbeat=0.5) as session:
        for number in range(8):
            assert double(number).result(BOUND) == 2 * number
            eventually(lambda: states() == {"ended"})


def test_isolated_tasks_never_share_a_process(run: Any) -> None:
    with run(workers_per_node=1, isolation="process"):
        assert len({whose().result(BOUND) for _ in range(3)}) == 3


def test_accelerators_are_pinned(run: Any) -> None:
    @python_app
    def seen() -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    with run(accelerators=["a", "b"], workers_per_node=None):
        found = {seen().result(BOUND) for _ in range(20)}
    assert found <= {"a", "b"}
