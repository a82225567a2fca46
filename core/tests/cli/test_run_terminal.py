"""At a terminal: the program runs in a pseudo-terminal, where keys are pressed and text is read."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weft.eventlog.runs import open_run

BOUND = 60.0
"""Seconds within which anything awaited here must happen; in fact it takes a fraction of one."""

# Makes the pseudo-terminal the one that the program is controlled by, as a login does; and where
# these tests run in the background, and so with Ctrl-C ignored, the program takes it all the same.
LOGIN = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); main = 'from weft.cli import main; main()'; "
    "os.execv(sys.executable, [sys.executable, '-c', main, *sys.argv[1:]])"
)

# One task holds on until somebody opens the pipe; the others wait for it.
SCRIPT = """
import weft

@weft.python_app
def hold(pipe):
    print("holding", flush=True)
    with open(pipe) as opened:
        return opened.read()

@weft.python_app
def after(value):
    return value

with weft.load():
    held = hold({pipe!r})
    futures = [after(held) for _ in range(3)]
    [future.result() for future in futures]
"""


class Terminal:
    """A program in a terminal of its own, and what it has written there."""

    def __init__(
        self, words: list[str], folder: Path, stdout: str = "", size: tuple[int, int] | None = None
    ) -> None:
        self.master, slave = os.openpty()
        self.seen = ""
        self.size = {"COLUMNS": "100", "LINES": "30"}
        if size is not None:
            self.size = {}
            self.resize(*size)
        out = os.open(folder / stdout, os.O_WRONLY | os.O_CREAT, 0o600) if stdout else os.dup(slave)
        self.program = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *words],
            cwd=folder,
            stdin=slave,
            stdout=out,
            stderr=slave,
            start_new_session=True,
            env={
                **{name: it for name, it in os.environ.items() if name not in ("COLUMNS", "LINES")},
                "TERM": "xterm-256color",
                **self.size,
            },
        )
        os.close(slave)
        os.close(out)

    def await_text(self, pattern: str) -> str:
        """Read until the pattern is there; colours and cursor movements do not count."""
        deadline = time.monotonic() + BOUND
        while not re.search(pattern, self.text):
            if not self._read(deadline - time.monotonic()):
                pytest.fail(f"{pattern!r} was not written; this was:\n{self.text}")
        return self.text

    def _read(self, timeout: float) -> bool:
        if timeout <= 0 or not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            chunk = os.read(self.master, 65536)
        except OSError:  # what Linux says when nobody holds the other end any more
            return False
        self.seen += chunk.decode(errors="replace")
        return bool(chunk)

    @property
    def text(self) -> str:
        """What was written, without control sequences; where a line was erased another begins."""
        lines = self.seen.replace("\x1b[2K", "\n").replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", lines)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def press_ctrl_c(self) -> None:
        self.press(b"\x03")

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, of which the system tells the program."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def exit_code(self) -> int:
        """Read to the end, and say how the program ended."""
        deadline = time.monotonic() + BOUND
        while self._read(deadline - time.monotonic()):
            pass
        return self.program.wait(max(0.1, deadline - time.monotonic()))

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self.master)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_terminal(
        *words: str, stdout: str = "", size: tuple[int, int] | None = None
    ) -> Terminal:
        opened.append(Terminal(list(words), tmp_path, stdout, size))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    made = tmp_path / "pipe"
    os.mkfifo(made)
    (tmp_path / "script.py").write_text(SCRIPT.format(pipe=str(made)))
    return made


def test_ctrl_c_once_waits_for_what_runs_and_says_for_what(terminal: Open, pipe: Path) -> None:
    running = terminal("run", "script.py")
    running.await_text(r"holding")

    running.press_ctrl_c()
    said = running.await_text(r"again to stop at once.*\n")
    assert re.search(r"1 running: hold", said)
    assert running.program.poll() is None

    pipe.write_text("go on")
    assert running.exit_code() == 130
    assert re.search(r"4 tasks in .*: 1 done, 3 cancelled", running.text)
    assert "Traceback" not in running.text


def test_ctrl_c_twice_stops_at_once(terminal: Open, pipe: Path) -> None:
    running = terminal("run", "script.py")
    running.await_text(r"holding")

    running.press_ctrl_c()
    running.await_text(r"again to stop at once.*\n")
    running.press_ctrl_c()

    assert running.exit_code() == 130
    assert "stopping at once" in running.text
    assert "Traceback" not in running.text


def test_ctrl_c_while_the_end_of_the_script_waits_for_its_tasks(
    terminal: Open, pipe: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(script.read_text().replace("[future.result() for future in futures]", ""))
    running = terminal("run", "script.py")
    running.await_text(r"holding")

    running.press_ctrl_c()
    running.await_text(r"again to stop at once.*\n")

    pipe.write_text("go on")
    assert running.exit_code() == 130


def test_ctrl_c_before_any_session_just_ends_the_script(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('here', flush=True)\ninput()\n")
    running = terminal("run", "script.py")
    running.await_text(r"here")

    running.press_ctrl_c()

    assert running.exit_code() == 130
    assert "Traceback" not in running.text


def test_what_the_script_prints_stands_whole_above_the_table(terminal: Open, pipe: Path) -> None:
    script = pipe.with_name("script.py")
    long = "x" * 250
    script.write_text(
        script.read_text().replace("futures = [", f"print('{long}')\n    futures = [")
    )
    running = terminal("run", "script.py")
    running.await_text(r"hold .* 0/1")

    pipe.write_text("go on")

    assert running.exit_code() == 0
    assert long in running.text
    assert "[/" not in running.text


def test_a_question_of_the_script_is_shown_and_its_answer_read(
    terminal: Open, pipe: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    asks = "answer = input('colour? ')\n    print('so', answer)\n    futures = ["
    script.write_text(script.read_text().replace("futures = [", asks))
    running = terminal("run", "script.py")
    running.await_text(r"colour\? ")

    os.write(running.master, b"blue\n")
    running.await_text(r"so blue")

    pipe.write_text("go on")
    assert running.exit_code() == 0


LOUD = """
import os
import weft

@weft.bash_app
def command():
    return "echo from a command; echo and its errors >&2"

@weft.python_app
def worker(pipe):
    print("from a worker")
    os.write(1, b"by its descriptor\\n")
    with open(pipe) as opened:
        return opened.read()

with weft.load():
    command().result()
    print("from the script", worker({pipe!r}).result())
"""


@pytest.mark.parametrize("executor", ["threads", "processes:max_workers=1"])
def test_what_commands_and_workers_write_stands_whole_too(
    terminal: Open, pipe: Path, executor: str
) -> None:
    pipe.with_name("script.py").write_text(LOUD.format(pipe=str(pipe)))
    running = terminal("run", "--executor", executor, "script.py")
    running.await_text(r"worker .* 0/1")
    pipe.write_text("go on")

    assert running.exit_code() == 0
    lines = [line.strip() for line in running.text.splitlines()]
    for words in ("from a command", "and its errors", "from a worker", "by its descriptor"):
        assert words in lines
    assert "from the script go on" in lines


def test_output_that_goes_to_a_file_is_left_alone(terminal: Open, pipe: Path) -> None:
    pipe.with_name("script.py").write_text(LOUD.format(pipe=str(pipe)))
    running = terminal("run", "script.py", stdout="out.txt")
    running.await_text(r"worker .* 0/1")
    pipe.write_text("go on")

    assert running.exit_code() == 0
    written = pipe.with_name("out.txt").read_text().splitlines()
    assert sorted(written) == sorted(
        ["from a command", "from a worker", "by its descriptor", "from the script go on"]
    )
    assert "and its errors" in running.text


# The main thread takes no SIGINT, so another one does, and nothing wakes the main thread: as when
# the signal arrives just before it begins to wait.
OVERLOOKED = """
import signal, threading
from weft.cli.run import _Signals

def handler():
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
never = threading.Lock()
never.acquire()
other = threading.Thread(target=threading.Event().wait, daemon=True)
other.start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
with _Signals({signal.SIGINT: handler}):
    try:
        print("ready", flush=True)
        never.acquire()
    except KeyboardInterrupt:
        print("heard", flush=True)
"""


def test_a_signal_that_python_overlooks_is_brought_to_mind_again(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", OVERLOOKED], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=BOUND)[0] == "heard\n"
    finally:
        program.kill()
        program.communicate()


# ------------------------------------------------------------------------------------- weft top

WATCHED = """
import sys
import weft

@weft.python_app
def measure(number):
    return number

@weft.python_app
def fail(number):
    raise ValueError("no strand \\x1b]0;mine\\x07 here")

@weft.python_app
def after(value):
    return value

@weft.python_app
def hold():
    return sys.stdin.readline()

with weft.load(weft.Config(run_dir="weft-runs", name="night.py")) as session:
    [measure(number).result() for number in range(5)]
    after(fail(1)).exception()
    held = hold()
    print("ready", flush=True)
    held.result()
"""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A run that goes on until a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + BOUND
        with open_run(tmp_path / "weft-runs" / "0000") as run:
            while 7 not in run.story.launched:  # the log is a moment behind
                assert time.monotonic() < deadline
                time.sleep(0.01)
                run.refresh()
        yield process
    finally:
        process.kill()
        process.wait(60)
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_a_run_is_watched_in_a_terminal_of_any_size_until_q_or_its_death(
    terminal: Open, watched: "subprocess.Popen[bytes]"
) -> None:
    watching = terminal("top", size=(100, 30))
    # The line of the failure is the last one of a picture.
    shown = watching.await_text(r"failed: after \(task 6\), because of .* no strand \\x1b\]0;")
    assert re.search(r"0000 night\.py +running", shown)
    assert re.search(r"measure .* 5/5", shown)
    assert re.search(r"hold .* 0/1 +1 launched", shown)
    assert "because of fail (task 5): ValueError: no strand" in shown
    assert "\x1b]0;" not in watching.seen
    watching.await_text(r"longest: hold \(task 7\) for \d+:\d\d")

    watching.resize(50, 12)
    watching.await_text(r"hold +0/1")  # where there was a bar between, there is no room for one

    watching.press(b"q")
    assert watching.exit_code() == 0
    assert watched.poll() is None

    watching = terminal("top", "latest", size=(100, 30))
    watching.await_text(r"hold .* 0/1")
    watched.kill()
    assert watching.exit_code() == 1
    assert re.search(r"0000 night\.py +broken off", watching.text)
    assert "The run is dead" in watching.text
    assert "1 of its tasks had not ended" in " ".join(watching.text.split())


def test_watching_ends_with_the_run_and_writes_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, watched: "subprocess.Popen[bytes]"
) -> None:
    watching = subprocess.Popen(
        [sys.executable, "-m", "weft", "top", "0"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("0000 night.py 0:")
        assert watched.stdin is not None
        watched.stdin.write(b"go on\n")
        watched.stdin.flush()
        rest, _ = watching.communicate(timeout=BOUND)
    finally:
        watching.kill()
        watching.wait(60)
    assert watching.returncode == 0
    *_, last, verdict = rest.splitlines()
    assert "| done 6 of 8 | launched 0 | waiting 0 | failed 2" in last
    assert verdict == "✓ The run has ended."
    assert "\x1b" not in rest
