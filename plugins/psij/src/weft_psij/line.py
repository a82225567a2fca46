"""The way to the process in which PSI/J runs: questions, answers in bounded time, and news.

calls ──ask──▶ stdin  ┐
                      ├ desk.py
weft-psij ◀── stdout  ┘   answers to whoever asked, news to whoever is told

Its end is told, too, and what waits for an answer is told of it at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

__all__ = ["Failed", "Gone", "Line", "Silent"]

_DESK: Final = Path(__file__).with_name("desk.py")
# By its text, so that the folder of this package is no place in which modules are looked for.
_BOOT: Final = (
    "import sys; sys.path[:] = [one for one in sys.path if one]; "
    "exec(compile(open(sys.argv[1]).read(), sys.argv[1], 'exec'))"
)
_GOODBYE: Final = 8.0
_LOG: Final = 4000


class Silent(Exception):
    """No answer has come in time."""


class Gone(Exception):
    """The process has ended."""


class Failed(Exception):
    """PSI/J could not do it.

    Attributes:
        kind: the name of the exception that it raised.
        words: its words.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind, self.words = kind, words


class Line:
    """A process with PSI/J, from its start to its end.

    Args:
        python: the Python that has PSI/J.
        log: a file for what it prints.
        news: is called with each piece of news, from the thread that reads.
        ended: is called once when the process has ended, from there.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        python: str,
        log: Path,
        news: Callable[[Mapping[str, Any]], None],
        ended: Callable[[], None],
    ) -> None:
        self._news, self._ended, self._log = news, ended, log
        self._number = 0
        self._waiting: dict[int, SimpleQueue[Mapping[str, Any] | None]] = {}
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        errors = os.open(log, flags, 0o600)
        try:
            self._process = subprocess.Popen(
                [python, "-c", _BOOT, os.fspath(_DESK)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        finally:
            os.close(errors)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="weft-psij", daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return not self._over.is_set()

    def ask(self, do: str, within: float, **what: Any) -> Mapping[str, Any]:
        """Ask, and wait for the answer.

        Args:
            do: what is to be done.
            within: seconds.
            what: with what.

        Raises:
            Silent: no answer has come in time.
            Gone: the process has ended; its last words.
            Failed: PSI/J could not do it.
        """
        self._number += 1
        number, answers = self._number, SimpleQueue[Mapping[str, Any] | None]()
        self._waiting[number] = answers
        if not self.lives:
            raise Gone(self.last_words())
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"n": number, "do": do, "with": what}).encode() + b"\n")
            stdin.flush()
            said = answers.get(timeout=max(0.0, within))
        except Empty:
            raise Silent(f"PSI/J has not answered within {within:.0f} s") from None
        except OSError:
            raise Gone(self.last_words()) from None
        finally:
            self._waiting.pop(number, None)
        if said is None:
            raise Gone(self.last_words())
        if "error" in said:
            raise Failed(str(said["error"]), str(said["words"]))
        return said

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # nobody else writes there; a line that was cut by its end
            if "n" in said:
                if (answers := self._waiting.get(said["n"])) is not None:
                    answers.put(said)
            else:
                self._news(said)
        self._over.set()
        for answers in list(self._waiting.values()):
            answers.put(None)
        self._ended()

    def last_words(self) -> str:
        """What it printed last."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return "its process has ended"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f"its process has ended; it said: {lines[-1]}" if lines else "its process has ended"

    def kill(self) -> None:
        """End it at once, with every command that it waits for."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._let_go()

    def close(self) -> None:
        """Let it end by itself, and by force if it does not."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):
            stdin.close()
        until = time.monotonic() + _GOODBYE
        self._over.wait(_GOODBYE)
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.1, until - time.monotonic()))
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._let_go()

    def _let_go(self) -> None:
        self._process.wait()
        self._thread.join(_GOODBYE)
        for end in (self._process.stdin, self._process.stdout):
            if end is not None and not self._thread.is_alive():
                with contextlib.suppress(OSError):
                    end.close()
