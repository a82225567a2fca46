"""The interchange as the client sees it: started, spoken to, noticed when it ends, ended.

    mode 'broker'   a process in a session of its own, whose standard input is the way to here
    mode 'direct'   a thread, weft-htex-<label>-interchange

Belongs to the executor's thread. In both modes ``handle`` can be waited for: it is readable when
the interchange has ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final
from weakref import WeakSet

from weft.workers.process import handle_of
from weft_htex.door import DOOR
from weft_htex.keys import private_folder
from weft_htex.orders import Parameters
from weft_htex.paths import own_path
from weft_htex.settings import HTEX
from weft_htex.stream import Stream, pair

__all__ = ["Broker"]

# What is imported is kept, so that to look for garbage in between finds none.
_BOOT: Final = (
    "import gc, sys; gc.disable(); sys.path[:0] = [p for p in {path!r} if p not in sys.path]; "
    "from weft_htex.interchange import main; main()"
)
_LOG_SHOWN: Final = 4000
_END: Final = 5.0


class Broker:
    """The interchange of one executor.

    Args:
        settings: the executor's.
        folder: for its log; made if it is not there.

    Attributes:
        line: to it; belongs to the executor's thread.
        handle: readable when it has ended; -1 where the system has no such thing.
        place: where it is, for people.

    Raises:
        OSError: the folder cannot be used, or the process not be started.
    """

    def __init__(self, settings: HTEX, folder: Path) -> None:
        self._settings = settings
        self._folder = private_folder(folder)
        self._killed = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        if settings.mode == "direct":
            self._start_thread()
        else:
            self._start_process()

    def _parameters(self) -> Parameters:
        settings = self._settings
        provider = settings.provider
        return Parameters(
            folder=str(self._folder),
            label=settings.called,
            addresses=tuple(settings.addresses),
            local=not settings.addresses and (provider is None or provider.plugin == "local"),
            ports=settings.ports,
            encrypted=settings.encrypted,
            door=settings.local_sockets,
            heartbeat=settings.heartbeat,
            lost_after=settings.lost_after,
            selector=settings.selector,
            prefetch=None if settings.prefetch == "auto" else settings.prefetch,
            max_message=2 * settings.max_message,
        )

    # ------------------------------------------------------------------------------------ a process

    def _start_process(self) -> None:
        self._errors = self._folder / "interchange.err"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        errors = os.open(self._errors, flags, 0o600)
        ours, theirs = pair()
        self.line = Stream(ours)
        _living.add(self)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT.format(path=own_path())],
                stdin=theirs.fileno(),
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        except OSError:
            self.line.close()
            raise
        finally:
            theirs.close()
            os.close(errors)
        process = self._process
        self.line.send([self._parameters().to_json().encode()])
        self.place = f"process {process.pid}"
        self.handle = handle_of(process.pid)

    # ------------------------------------------------------------------------------------- a thread

    def _start_thread(self) -> None:
        # Not needed where the interchange is a process of its own, and not light.
        from weft_htex.interchange import Interchange

        ours, theirs = pair()
        self.line = Stream(ours)
        self._interchange = Interchange(self._parameters(), theirs)
        self._trouble: BaseException | None = None
        self.handle, self._ended = os.pipe()
        self.place = f"thread of process {os.getpid()}"
        self._thread = threading.Thread(
            target=self._serve, name=f"weft-htex-{self._settings.called}-interchange", daemon=True
        )
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._interchange.run()
        except BaseException as trouble:  # noqa: BLE001 - it is told where its end is noticed
            self._trouble = trouble
        finally:
            os.close(self._ended)

    # ------------------------------------------------------------------------------------- its end

    def ended(self) -> bool:
        """Whether it has ended."""
        if self._process is not None:
            return self._process.poll() is not None
        return self._thread is None or not self._thread.is_alive()

    def kill(self, why: str) -> None:
        """End it by force."""
        self._killed = self._killed or why
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._interchange.stop()

    def abandon(self) -> None:
        """In a child that was forked from this process: close what stands for a living client."""
        self.line.abandon()

    def close(self) -> str:
        """Let go of it, once it has ended or been killed. Returns how that was, in words."""
        self.line.close()
        with contextlib.suppress(OSError):  # it does so itself, unless it was killed
            (self._folder / DOOR).unlink(missing_ok=True)
        _living.discard(self)
        if self._process is not None:
            how = self._process_ended(self._process)
        else:
            how = self._thread_ended()
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        return f"{how}. {self._killed}".rstrip() if self._killed else how

    def _process_ended(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait()
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        words = _end_of(self._errors)
        return f"{how}. Its last words were:\n{words}\n" if words else f"{how}."

    def _thread_ended(self) -> str:
        if self._thread is not None:
            self._thread.join(_END)
        trouble = self._trouble
        return f"ended: {type(trouble).__name__}: {trouble}." if trouble is not None else "ended."


_living: WeakSet[Broker] = WeakSet()


def _let_go_in_child() -> None:
    """In a child of this process: hold nothing that would stand for a living client."""
    for broker in list(_living):
        broker.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_SHOWN))
            text = file.read(_LOG_SHOWN).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    if not text:
        path.unlink(missing_ok=True)
    return text
