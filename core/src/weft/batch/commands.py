"""Runs the commands of a scheduler: each within a time, and once more where that is safe.

No command is run anywhere else, so no provider has deadlines or retries of its own.

    once ──▶ one run                                  for what must not happen twice: a submission
    ask ───▶ run ──passing trouble──▶ pause ──▶ run   for what may: a question, a cancel
             └──────── one time for all of it ────┘
"""

import contextlib
import os
import random
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import attrs

__all__ = ["Commands", "Line", "NoAnswer", "NotStarted", "Said", "Silent"]

_PAUSES: Final = (0.2, 0.8)
"""Seconds between two tries of a question; each is varied, since many clients ask one scheduler."""
_MOST: Final = 64 << 20
"""Bytes that a command may print: a thousand times what is said of a thousand jobs."""
_SHOWN: Final = 400
_LAST: Final = 5.0


class NoAnswer(Exception):
    """A command has not answered what it was asked; its text says which, and why."""


class NotStarted(NoAnswer):
    """A command is not there, or cannot be started: the scheduler has not heard of it."""


class Silent(NoAnswer):
    """A command was ended before it came back: whether the scheduler has heard it is not known."""


@attrs.frozen
class Line:
    """What is to be run.

    Attributes:
        words: the command, by its name or its path, and its arguments.
        stdin: what it reads.
        folder: where it runs; where the client runs, when left out.
    """

    words: Sequence[str]
    stdin: str = attrs.field(default="", kw_only=True)
    folder: Path | None = attrs.field(default=None, kw_only=True)

    @property
    def name(self) -> str:
        """The command, for people."""
        return Path(self.words[0]).name

    def __str__(self) -> str:
        return shlex.join(self.words)


@attrs.frozen(kw_only=True)
class Said:
    """What a command has said.

    Attributes:
        name: the command.
        code: its exit code; negative for a signal.
        out, err: what it printed.
    """

    name: str = ""
    code: int = 0
    out: str = ""
    err: str = ""

    @property
    def words(self) -> str:
        """What it said of its failure, in one line and not too long."""
        text = " ".join((self.err.strip() or self.out.strip()).split())
        if not text:
            text = f"ended by signal {-self.code}" if self.code < 0 else f"exit code {self.code}"
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"

    def good(self) -> str:
        """What it printed, if it ended well.

        Raises:
            NoAnswer: it did not; with its words.
        """
        if self.code:
            raise NoAnswer(f"{self.name}: {self.words}")
        return self.out


def _never(_said: Said) -> bool:
    return False


@attrs.frozen(kw_only=True)
class Commands:
    """The commands of one scheduler.

    Attributes:
        environment: that of the commands.
        timeout: seconds that each may take, and a question with all its tries.
        sleep: waits between two tries.
    """

    environment: Mapping[str, str] = attrs.field(repr=False)
    timeout: float
    sleep: Callable[[float], None] = attrs.field(default=time.sleep, repr=False)

    def find(self, name: str) -> str | None:
        """Where a command is; what lies in the current folder by chance is none."""
        path = self.environment.get("PATH", os.defpath).split(os.pathsep)
        return shutil.which(name, path=os.pathsep.join(p for p in path if Path(p).is_absolute()))

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these commands that are not there."""
        return [name for name in names if self.find(name) is None]

    def once(self, line: Line) -> Said:
        """Run a command to its end, once.

        Raises:
            NotStarted: it is not there, or cannot be started.
            Silent: it has not come back in time, or prints without end; it was ended with all that
                it had started.
        """
        return self._run(line, time.monotonic() + self.timeout)

    def ask(self, line: Line, passing: Callable[[Said], bool] = _never) -> Said:
        """Run a command that may be run again, until it says something that does not pass.

        Args:
            line: a question, or a cancel.
            passing: whether a failure is one that may well be over in a second.

        Raises:
            NotStarted, Silent: as for ``once``; the time is one for all tries.
        """
        until = time.monotonic() + self.timeout
        for pause in _PAUSES:
            said = self._run(line, until)
            wait = pause * random.uniform(0.5, 1.5)
            if not (said.code and passing(said)) or time.monotonic() + wait >= until:
                return said
            self.sleep(wait)
        return self._run(line, until)

    def _run(self, line: Line, until: float) -> Said:
        path = self.find(line.words[0])
        if path is None:
            raise NotStarted(f"there is no command {line.words[0]!r} on PATH")
        try:
            with _reading(line.stdin) as stdin:
                # A group of its own: sites put scripts in the place of commands, and those start
                # others.
                process = subprocess.Popen(
                    [path, *line.words[1:]],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=line.folder,
                    env=dict(self.environment),
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            raise NotStarted(f"{line.name} cannot be started: {error}") from error
        try:
            out, err = _read(process, until)
            code = process.wait(max(0.0, until - time.monotonic()))
        except _Endless:
            raise Silent(f"{line.name} prints more than {_MOST >> 20} MiB, and was ended") from None
        except subprocess.TimeoutExpired:
            raise Silent(f"{line.name} has not come back within {self.timeout:g} s") from None
        finally:
            _end(process)
        return Said(name=line.name, code=code, out=out, err=err)


class _Endless(Exception):
    """A command prints more than any answer has."""


@contextlib.contextmanager
def _reading(text: str) -> Any:
    """A file to read this text from: unlike a pipe, nobody has to write into it meanwhile."""
    if not text:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.seek(0)
        yield file


def _read(process: "subprocess.Popen[bytes]", until: float) -> tuple[str, str]:
    """All that a process prints, until both of its streams have ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    parts: dict[IO[bytes], list[bytes]] = {process.stdout: [], process.stderr: []}
    size = 0
    with selectors.DefaultSelector() as selector:
        for stream in parts:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = until - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise subprocess.TimeoutExpired(process.args, 0.0)
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                if not chunk:
                    selector.unregister(key.fileobj)
                size += len(chunk)
                parts[key.fileobj].append(chunk)  # type: ignore[index]  # one of those registered
            if size > _MOST:
                raise _Endless
    out, err = (b"".join(chunks).decode("utf-8", "replace") for chunks in parts.values())
    return out, err


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Leave nothing of a process, and of those that it started, if it has not ended by itself."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that hangs in the kernel cannot be waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LAST)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
