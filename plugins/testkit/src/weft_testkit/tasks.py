"""What the kit for executors has tasks do. Imports the standard library alone, as workers must.

Some tasks wait until the kit lets them go on, by way of files in a folder that both can reach:

    NAME.begun   the task runs; holds the id of its process
    NAME.held    locked by the task for as long as it runs, however it ends
    NAME.go      written by the kit: go on

Files are looked for again and again, a hundred times a second: nothing tells of a file on every
system that has tasks. Every wait is bounded, so that no task outlives the tests for long.
"""

import fcntl
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

__all__ = [
    "LONGEST",
    "ExplodesWhenLoaded",
    "Hard",
    "Holder",
    "TwoParts",
    "add",
    "close_everything",
    "echo",
    "end_process",
    "explosive",
    "fail",
    "fail_hard",
    "hold",
    "hold_in_c",
    "hold_stubbornly",
    "leave_child",
    "log",
    "log_badly",
    "log_much",
    "meet",
    "nested",
    "note",
    "note_and_fail",
    "print_much",
    "print_some",
    "process",
    "recurse",
    "unsendable",
    "use_memory",
]

LONGEST: Final = 60.0
"""Seconds after which a task that waits goes on by itself."""


class TwoParts(Exception):
    """An exception that pickle cannot build again: it takes two arguments and keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


class Holder(Exception):
    """An exception that pickle refuses, since it holds a lock."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Hard(BaseException):
    """An exception that ``except Exception`` does not catch."""


def _explode() -> None:
    raise RuntimeError("exploded when it was loaded")


class ExplodesWhenLoaded:
    """Packs well, and cannot be unpacked."""

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """Lead to a function that raises."""
        return _explode, ()


# -------------------------------------------------------------------------------- what comes back


def add(one: int, other: int, *, extra: int = 0) -> int:
    """The sum."""
    return one + other + extra


def echo(value: Any) -> Any:
    """The value itself."""
    return value


def process() -> int:
    """The id of the process that runs this."""
    return os.getpid()


def fail(error: BaseException) -> None:
    """Raise it."""
    raise error


def fail_hard(how: str) -> None:
    """Raise what is not an ``Exception``."""
    raise {
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt("as if by hand"),
        "generator": GeneratorExit("over"),
        "hard": Hard("harder than most"),
    }[how]


def unsendable(how: str) -> None:
    """Raise what does not get through pickle."""
    if how == "two":
        raise TwoParts("bread", "butter")
    raise Holder("held fast")


def explosive() -> ExplodesWhenLoaded:
    """What cannot be unpacked."""
    return ExplodesWhenLoaded()


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def recurse(depth: int = 0) -> int:
    """Call itself without end."""
    return recurse(depth + 1) + 1


# --------------------------------------------------------------------------------- what is left


def note(file: str, text: str, seconds: float = 0.0) -> str:
    """Add a line to a file, whole, take so many seconds, and return it."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)
    time.sleep(seconds)
    return text


def note_and_fail(file: str, text: str) -> None:
    """Add a line to a file, and raise."""
    note(file, text)
    raise ValueError(text)


def print_much(size: int) -> int:
    """Write that many characters to either stream."""
    line = "x" * 99 + "\n"
    for stream in (sys.stdout, sys.stderr):
        for _ in range(size // 100):
            stream.write(line)
        stream.flush()
    return size


def leave_child() -> int:
    """Start a process that lives on, and return its id."""
    with Path(os.devnull).open("r+b") as nothing:
        to = nothing.fileno()
        return os.posix_spawn(
            "/bin/sleep",
            ["sleep", "60"],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, to, number) for number in (0, 1, 2)],
        )


# ------------------------------------------------------------------------------------ what waits


@contextmanager
def _held(folder: str, name: str) -> Iterator[Path]:
    place = Path(folder)
    with (place / f"{name}.held").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = place / f"{name}.beginning"
        begun.write_text(str(os.getpid()))
        begun.rename(place / f"{name}.begun")
        yield place / f"{name}.go"


def hold(folder: str, name: str) -> str:
    """Wait, in Python code, until the kit lets it go on."""
    end = time.monotonic() + LONGEST
    with _held(folder, name) as go:
        while not go.exists() and time.monotonic() < end:
            time.sleep(0.01)
    return name


def hold_in_c(folder: str, name: str) -> str:
    """Wait in compiled code, which nothing within the process can interrupt."""
    with _held(folder, name) as go:
        pipe = os.open(go.with_suffix(".pipe"), os.O_RDWR)
        try:
            select.select([pipe], [], [], LONGEST)
        finally:
            os.close(pipe)
    return name


def hold_stubbornly(folder: str, name: str) -> str:
    """As ``hold``, and do not listen to requests to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hold(folder, name)


def meet(folder: str, me: str, other: str, seconds: float) -> bool:
    """Whether another task runs at the same time; waits for it for some seconds.

    Either has a file there while it runs. Whoever finds that of the other takes it away, in one
    step: so the other one learns that it was seen, however soon this one ends.
    """
    here, there = Path(folder) / me, Path(folder) / other
    end = time.monotonic() + seconds
    here.write_text("")
    met = False
    while not met and time.monotonic() < end:
        try:
            there.rename(there.with_name(f"{other} was seen"))
        except FileNotFoundError:
            met = not here.exists()
            time.sleep(0.01)
        else:
            met = True
    try:
        here.unlink()
    except FileNotFoundError:
        return True  # seen by the other one, if only just now
    return met


# ------------------------------------------------------------------------------------ what harms


def end_process(code: int) -> None:
    """End the process at once."""
    os._exit(code)


def close_everything() -> str:
    """Close every descriptor of the process but the usual three."""
    os.closerange(3, 1024)
    return "closed"


def _logger() -> logging.Logger:
    """A logger whose records nobody prints."""
    made = logging.getLogger("weft_testkit.of_a_task")
    made.propagate = False
    if not made.handlers:
        made.addHandler(logging.NullHandler())
    return made


def log(mark: str) -> str:
    """Logs a line of each of three levels."""
    own = _logger()
    own.info("%s info", mark)
    own.warning("%s %s", mark, "warning")
    own.error("%s error", mark)
    return mark


def log_much(count: int) -> int:
    """Logs so many lines."""
    own = _logger()
    for number in range(count):
        own.warning("line %d", number)
    return count


class _Wordless:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def log_badly(size: int) -> str:
    """Logs what cannot be shown, and a text of so many characters."""
    own = _logger()
    for bad in ((_Wordless(),), ("%d", "no number")):
        # Handlers do not raise either, but for that of pytest, where tasks run beside it.
        with suppress(TypeError, RuntimeError):
            own.warning(*bad)
    own.warning("x" * size)
    own.warning("the last")
    return "ended"


def print_some(mark: str) -> str:
    """Prints lines by Python, to both streams."""
    sys.stdout.write(f"{mark} out\n")
    sys.stderr.write(f"{mark} err\n")
    return mark


def use_memory(size: int) -> int:
    """Has so many bytes for a moment, and the processor for a tenth of a second."""
    data = bytearray(size)
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    return len(data)
