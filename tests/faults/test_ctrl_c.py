"""Ctrl-C ends a script: once, when what runs has ended or its time is over; twice, at once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BOUND = 90.0

# Where these tests run in the background, and so with Ctrl-C ignored, the script takes it all the
# same.
SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path
import weft
from weft.builtin.processes.settings import Processes
from weft.builtin.settings import Threads
from weft_htex.settings import HTEX

@weft.python_app
def hold(pipe, beat):
    Path(beat).touch()
    with open(pipe) as opened:
        return opened.read()

@weft.python_app
def after(value):
    return value

if __name__ == "__main__":
    one = {{
        "threads": Threads(max_threads=2),
        "processes": Processes(max_workers=2),
        "htex": HTEX(workers_per_node=2),
        "direct": HTEX(workers_per_node=2, mode="direct"),
    }}[{kind!r}]
    with weft.load(weft.Config(executors=[one], run_dir="runs", close_timeout={timeout})):
        held = hold("{folder}/pipe", "{folder}/beat")
        futures = [after(held) for _ in range(3)]
        {inside}
"""

INSIDE = {"in_the_block": "held.result()", "at_its_end": "pass"}


class Script:
    """A script that runs, and what it says."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        os.mkfifo(folder / "pipe")
        (folder / "script.py").write_text(text)
        self.program = subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self._watchdog = threading.Timer(BOUND, self.program.kill)
        self._watchdog.start()

    def interrupt(self) -> None:
        self.program.send_signal(signal.SIGINT)

    def await_words(self, words: str) -> None:
        assert self.program.stderr is not None
        while words not in self.said:
            line = self.program.stderr.readline()
            assert line, f"{words!r} was not said; this was:\n{self.said}"
            self.said += line

    def ended(self) -> int:
        assert self.program.stderr is not None
        self.said += self.program.stderr.read()
        return self.program.wait(BOUND)

    def close(self) -> None:
        self._watchdog.cancel()
        self.program.kill()
        self.program.communicate()


Start = Callable[..., Script]


@pytest.fixture
def start(tmp_path: Path, kind: str, eventually: Any, family: Any) -> Iterator[Start]:
    scripts: list[Script] = []

    def begin(timeout: float, inside: str) -> Script:
        text = SCRIPT.format(kind=kind, timeout=timeout, inside=inside, folder=tmp_path)
        scripts.append(Script(tmp_path, text))
        eventually((tmp_path / "beat").exists)
        return scripts[-1]

    yield begin
    for script in scripts:
        script.close()


@pytest.mark.parametrize("where", INSIDE)
def test_once_says_for_what_it_waits_and_ends_when_that_has(
    start: Start, family: Any, tmp_path: Path, where: str
) -> None:
    script = start(600, INSIDE[where])
    script.interrupt()
    script.await_words("1 running: hold")
    assert "press Ctrl-C again to stop at once" in script.said
    (tmp_path / "pipe").write_text("go on")
    assert script.ended() == -signal.SIGINT
    assert "KeyboardInterrupt" in script.said
    family.gone()


def test_once_ends_also_when_what_runs_does_not(start: Start, family: Any) -> None:
    script = start(0.2, INSIDE["in_the_block"])
    script.interrupt()
    script.await_words("1 running: hold")
    assert script.ended() == -signal.SIGINT
    family.gone()


@pytest.mark.parametrize("where", INSIDE)
def test_twice_ends_at_once(start: Start, family: Any, where: str) -> None:
    script = start(600, INSIDE[where])
    script.interrupt()
    script.await_words("press Ctrl-C again")
    script.interrupt()
    assert script.ended() == -signal.SIGINT
    assert "stopping at once" in script.said
    family.gone()
