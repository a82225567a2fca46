"""A launcher ends with its task, whatever ends that, and so does all that it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from weft_mpi import guard

BOUND = 60.0
GUARD = [sys.executable, "-IS", guard.__file__]


class Nodes:
    """The FIFO of a task's nodes, as a manager has it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hold"
        os.mkfifo(self.path)
        self.hears = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.own = os.open(self.path, os.O_WRONLY)
        self.environment = {**os.environ, guard.HOLD: str(self.path)}

    def let_go(self) -> None:
        if self.own >= 0:
            os.close(self.own)
            self.own = -1

    def are_free(self) -> None:
        """Wait until nobody holds them."""
        self.let_go()
        while True:
            ready, _, _ = select.select([self.hears], [], [], BOUND)
            assert ready, "somebody holds the nodes"
            if not os.read(self.hears, 4096):
                return

    def keeper(self) -> int:
        """Wait until somebody says that it holds them, and who that is."""
        ready, _, _ = select.select([self.hears], [], [], BOUND)
        assert ready, "nobody came"
        return int(os.read(self.hears, 4096))


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    yield made
    made.let_go()
    os.close(made.hears)


def run(nodes: Nodes, text: str, said: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*GUARD, "/bin/sh", "-c", text],
        env=nodes.environment,
        input=said,
        capture_output=True,
        check=False,
        timeout=BOUND,
    )


def begun(nodes: Nodes, text: str, prefix: list[str] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*(prefix or GUARD), "/bin/sh", "-c", text],
        env=nodes.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def first_word(one: subprocess.Popen[bytes]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().decode().strip()


def gone(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    _, alive = psutil.wait_procs([process], timeout=BOUND)
    return not alive


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_input_output_and_exit_code_are_those_of_the_launcher(nodes: Nodes, code: int) -> None:
    ran = run(nodes, f"cat; echo said >&2; exit {code}", b"given")
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, b"given", b"said\n")
    nodes.are_free()


def test_it_ends_by_the_signal_that_ended_the_launcher(nodes: Nodes) -> None:
    assert run(nodes, "kill -KILL $$").returncode == -signal.SIGKILL
    assert run(nodes, "kill -TERM $$").returncode == -signal.SIGTERM


def test_what_the_launcher_leaves_is_ended_when_it_has_ended(nodes: Nodes) -> None:
    ran = run(nodes, "sleep 600 >/dev/null 2>&1 & echo $!")
    nodes.are_free()
    assert gone(int(ran.stdout))


def test_a_program_that_is_not_there_is_told(nodes: Nodes) -> None:
    ran = subprocess.run(
        [*GUARD, "no-such-launcher", "x"],
        env=nodes.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )
    assert (ran.returncode, ran.stdout) == (127, "")
    assert ran.stderr == "weft: no-such-launcher cannot be started: No such file or directory\n"


@pytest.mark.parametrize("hold", ["", "/no/such/fifo", "deaf"])
def test_nothing_is_started_on_nodes_that_are_nobody_s(hold: str, tmp_path: Path) -> None:
    if hold == "deaf":  # its task has ended, and nobody reads any more
        hold = str(tmp_path / "deaf")
        os.mkfifo(hold)
    ran = subprocess.run(
        [*GUARD, "/bin/echo", "started"],
        env={**os.environ, guard.HOLD: hold},
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no ranks are started" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_is_asked_to_end_asks_the_launcher(nodes: Nodes, number: signal.Signals) -> None:
    text = "trap 'echo asked; kill $!; exit 5' TERM; sleep 600 & echo $!; wait"
    with begun(nodes, text) as one:
        child = int(first_word(one))
        one.send_signal(number)
        assert first_word(one) == "asked"
        assert one.wait(BOUND) == 5
    nodes.are_free()
    assert gone(child)


def test_who_is_killed_takes_the_launcher_along(nodes: Nodes) -> None:
    # As a worker is killed: with all of its session.
    with begun(nodes, "echo $$; exec sleep 600") as one:
        launcher = int(first_word(one))
        os.killpg(one.pid, signal.SIGKILL)
        one.wait(BOUND)
    nodes.are_free()
    assert gone(launcher)


def test_a_keeper_that_is_asked_ends_the_launcher(nodes: Nodes) -> None:
    # As a manager does for what a task has left behind.
    with begun(nodes, "echo $$; exec sleep 600") as one:
        launcher = int(first_word(one))
        os.kill(nodes.keeper(), signal.SIGTERM)
        assert one.wait(BOUND) == -signal.SIGTERM
    nodes.are_free()
    assert gone(launcher)


def test_a_launcher_that_does_not_listen_is_killed_with_what_it_started(nodes: Nodes) -> None:
    quick = (
        f"import sys; sys.path.insert(0, {str(Path(guard.__file__).parent)!r}); import guard; "
        "guard.TERM_GRACE, guard.KILL_GRACE = 0.2, 0.5; guard.main(sys.argv[1:])"
    )
    # Both are deaf, and the second is no child of whoever ends the first.
    text = "trap '' TERM INT HUP; sh -c 'echo $$; exec sleep 600' & echo $$; wait"
    with begun(nodes, text, [sys.executable, "-IS", "-c", quick]) as one:
        both = [int(first_word(one)), int(first_word(one))]
        one.kill()
        one.wait(BOUND)
    nodes.are_free()
    assert all(map(gone, both))
