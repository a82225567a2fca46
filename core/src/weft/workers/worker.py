"""A worker: gets calls from its client, runs one at a time, sends the results back.

    main thread      read ─▶ calls ─▶ run ─▶ results ─▶ write (at the end of a batch, or after 2 ms)
                                       │         │
    shared memory    number of the call it is at │
                                                 │
    watching thread  waits for the end of the client; writes results that lie behind a long call

The main thread runs the tasks, so that signal handlers and libraries that want the main thread work
in them. The watching thread sleeps but for these: the client is gone, then it kills the process
group and with it the worker; or a batch of calls runs, then it looks every few milliseconds whether
results wait behind a call that takes longer.

A task that holds the interpreter's lock in compiled code would keep the watching thread from
noticing the end of the client; so where the system can send a signal by itself at that moment, it
is asked to send SIGKILL to the process group.

Nothing is imported here that the first task can do without.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from _signal import (  # type: ignore[import-not-found]  # what signal wraps in enumerations
    SIG_DFL,
    SIGINT,
    alarm,
    default_int_handler,
    getsignal,
    signal,
)
from _thread import allocate_lock, start_new_thread
from collections import deque
from mmap import mmap
from select import POLLIN, poll
from time import perf_counter, time

from weft import bodies
from weft.calls import mirror
from weft.calls.batches import opened_calls, results_message
from weft.calls.chunks import spread
from weft.calls.running import Runner
from weft.workers.protocol import (
    BEGUN,
    CALLS,
    CURRENT,
    EPOCH,
    GROUP,
    READY,
    RESULTS,
    SINCE,
    SLOT,
    STOP,
    TOLD,
    Reader,
    framed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from weft.calls.running import Result
    from weft.workers.sampling import Sampler
    from weft.workers.telling import Outbox

__all__ = ["main"]

_FLUSH = 0.002
_LOOK = 5  # milliseconds
_TELL = 0.1
_BIG = 1 << 20


class Worker:
    """Serves one client until it says stop or is gone."""

    def __init__(self, stream: int, lifeline: int, slots: memoryview, *, clean: bool) -> None:
        self._stream, self._lifeline, self._slots = stream, lifeline, slots
        self._clean = Clean() if clean else None
        self._runner = Runner(chunks=True)
        self._reader = Reader()
        self._done: deque[tuple[int, Result, int, float]] = deque()
        self._dropped: tuple[int, list[int]] = (0, [])
        self._writing = allocate_lock()
        self._flushed = perf_counter()
        self._busy = False
        self._watching = False
        self._wake_read, self._wake_write = os.pipe()
        self._forked = False
        self._outbox: Outbox | None = None
        self._sampler: Sampler | None = None

    # ---------------------------------------------------------------------------------------- main
    # thread

    def serve(self) -> None:
        """Run what comes, until the client says stop or is gone."""
        os.register_at_fork(after_in_child=self._in_child)
        start_new_thread(self._watch, ())
        self._write(framed(READY, [str(os.getpid()).encode()]))
        while True:
            count = os.readv(self._stream, [self._reader.space()])
            if not count:
                return
            for kind, parts in self._reader.advance(count):
                if kind == STOP:
                    return
                if kind == CALLS:
                    self._run_all(parts)

    def tell(self, level: int, prints: bool, period: float) -> None:
        """Tell the client what tasks log from a level on, what they print, and what they use."""
        if level:

            def arrived(logging: Any) -> None:
                if self._forked:  # a child that a task made has no way to tell anything
                    return
                from weft.workers.hearing import lower

                lower(logging, level)
                bodies.hear_records(logging, self._to_tell(level).record)

            bodies.on_import("logging", arrived)
        if prints:
            from weft.workers.hearing import hear_streams

            hear_streams(self._to_tell(level).printed)
            if self._clean is not None:
                self._clean.take_streams()
        if period:
            outbox = self._to_tell(level)
            try:
                from weft.workers.sampling import Sampler
            except ImportError as trouble:
                outbox.remark(f"No samples are taken on this worker: {trouble}.")
            else:
                self._sampler = Sampler(period, outbox.sample)

    def _to_tell(self, level: int) -> Outbox:
        if self._outbox is None:
            from weft.workers.telling import Outbox

            slots, wake = self._slots, self._wake_write

            def stir() -> None:
                try:
                    os.write(wake, b"!")
                except OSError:  # a task closed it: what waits goes with the next result
                    return

            self._outbox = Outbox(level, lambda: int(slots[CURRENT]), stir)
        return self._outbox

    def _run_all(self, parts: list[Any]) -> None:
        (epoch, forget), definitions, rows = opened_calls(parts)
        parts.clear()  # so that each payload goes with its own call
        if forget:
            self._runner.forget()
        for digest, blob in definitions:
            self._runner.define(digest, blob)
        self._busy = len(rows) > 1
        if self._busy and not self._watching:
            os.write(self._wake_write, b"!")
        slots = self._slots
        begun = 0
        rows.reverse()
        while rows:
            number, function, needs, head, buffers = rows.pop()
            # First what it is at, then whether it may: the client looks the other way round.
            slots[CURRENT] = number
            if slots[EPOCH] != epoch:
                self._dropped = (epoch, [number, *[row[0] for row in reversed(rows)]])
                break
            begun = number
            payload = [head, buffers]
            del head, buffers
            self._run_one(number, function, needs, payload, last=not rows)
        if begun:
            # A task may have closed the way on which its result is to be told.
            slots[BEGUN] = begun
        slots[CURRENT] = 0
        self._busy = False
        self._flush()
        if begun and self._clean is not None:
            # Nobody waits for this, and nothing runs before it is done.
            self._clean.restore()

    def _run_one(
        self, number: int, digest: bytes | None, needs: Any, payload: list[Any], *, last: bool
    ) -> None:
        if self._sampler is not None:
            self._sampler.begin(number)
        begun, begin = time(), perf_counter()
        self._slots[SINCE] = int(begun * 1e6)
        result = self._runner.run_taken(digest, needs, payload)
        if self._clean is not None and not last:
            self._clean.restore()
        if (
            self._forked
        ):  # a child that the task made has come back from the task: it has no business here
            os._exit(0)
        now = perf_counter()
        if self._sampler is not None:
            self._sampler.end()
        if self._outbox is not None:
            self._outbox.ended(number)
        self._done.append((number, result, int((now - begin) * 1e6), begun))
        if now - self._flushed > _FLUSH or len(result.head) > _BIG or result.buffers:
            self._flush()

    # ---------------------------------------------------------------------------------------- both
    # threads

    def _flush(self) -> None:
        """Send the results that are there."""
        with self._writing:
            self._flushed = perf_counter()
            done, results = self._done, []
            while done:
                results.append(done.popleft())
            dropped, self._dropped = self._dropped, (0, [])
            outbox = self._outbox
            if outbox is not None and outbox.waiting:
                self._write(framed(TOLD, outbox.take()))
            if results or dropped[1]:
                self._write(framed(RESULTS, *spread(results_message(results, dropped))))

    def _write(self, buffers: list[Any]) -> None:
        while buffers:
            count = os.writev(self._stream, buffers[:64])
            while buffers and count >= len(buffers[0]):
                count -= len(buffers.pop(0))
            if count:
                buffers[0] = memoryview(buffers[0])[count:]

    # --------------------------------------------------------------------------------------
    # watching thread

    def _watch(self) -> None:
        events = poll()
        events.register(self._lifeline, 0)  # its end is told unasked
        events.register(self._wake_read, POLLIN)
        while True:
            # In this order, and the main thread the other way round: one of the two sees the other.
            self._watching = False
            self._watching = self._busy
            outbox = self._outbox
            told = outbox is not None and outbox.waiting
            for fd, _ in events.poll(_LOOK if self._watching else _TELL * 1000 if told else None):
                if fd == self._lifeline:
                    end_with_group()
                os.read(fd, 64)
                self._watching = True
            if self._done and perf_counter() - self._flushed > _FLUSH * 2:
                self._flush()
            if outbox is not None and outbox.waiting and perf_counter() - outbox.since > _TELL:
                self._flush()

    # -------------------------------------------------------------------------------------------
    # children

    def _in_child(self) -> None:
        """In a child that a task makes by forking: let go of what belongs to the worker."""
        self._forked = True
        if self._outbox is not None:
            self._outbox.off()
        for fd in (self._stream, self._lifeline, self._wake_read, self._wake_write):
            try:
                os.close(fd)
            except OSError:
                continue


def end_with_group() -> None:
    """End this worker, the commands it runs, and the processes that its tasks started."""
    bodies.stop_all()
    os.killpg(0, 9)


class Clean:
    """Puts back what a task may have changed for the tasks after it, where it has changed."""

    # All that can be handled and that Python's own code does not need for itself.
    _SIGNALS = tuple(number for number in range(1, 32) if number not in {9, 19})

    def __init__(self) -> None:
        self._folder = os.getcwd()  # noqa: PTH109 - pathlib is not loaded on workers
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._environ = dict(os.environ._data)  # type: ignore[attr-defined]  # noqa: SLF001 - without decoding all of it
        self._handlers = [getsignal(number) for number in self._SIGNALS]
        self.take_streams()

    def take_streams(self) -> None:
        """The streams that are there now are those to be put back."""
        self._stdout, self._stderr = sys.stdout, sys.stderr

    def restore(self) -> None:
        """Make it as it was."""
        try:
            if os.getcwd() != self._folder:  # noqa: PTH109 - as above
                os.chdir(self._folder)
        except OSError:  # the task removed the folder it was in
            os.chdir(self._folder)
        os.umask(self._mask)
        if os.environ._data != self._environ:  # type: ignore[attr-defined]  # noqa: SLF001 - as above
            self._restore_environ()
        alarm(0)
        if [getsignal(number) for number in self._SIGNALS] != self._handlers:
            self._restore_handlers()
        sys.stdout, sys.stderr = self._stdout, self._stderr

    def _restore_environ(self) -> None:
        for name in [name for name in os.environb if name not in self._environ]:
            del os.environb[name]
        for name, value in self._environ.items():
            if os.environb.get(name) != value:
                os.environb[name] = value

    def _restore_handlers(self) -> None:
        for number, handler in zip(self._SIGNALS, self._handlers, strict=True):
            # None is a handler of compiled code: of a library, which stays loaded and may need it.
            if getsignal(number) not in {None, handler}:
                signal(number, SIG_DFL if handler is None else handler)


def _ask_for_the_end(lifeline: int) -> Any:
    """Have the system kill the process group when the client ends. Returns its switch."""
    import fcntl

    owner, number = getattr(fcntl, "F_SETOWN", None), getattr(fcntl, "F_SETSIG", 10)
    if not sys.platform.startswith("linux") or owner is None:
        return lambda _on: None
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, owner, -os.getpgrp())
    fcntl.fcntl(lifeline, number, 9)

    def switch(on: bool) -> None:
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | fcntl.FASYNC if on else flags)

    switch(True)
    return switch


def main() -> None:
    """Be a worker; the client says how by the arguments of the command."""
    stream, lifeline, shared, slot, errors, clean = (int(word) for word in sys.argv[2:8])
    for fd in (stream, lifeline, shared, errors):
        os.set_inheritable(fd, False)
    import faulthandler

    log = os.dup(2)
    faulthandler.enable(file=log, all_threads=False)
    memory = mmap(shared, 0)
    slots = memoryview(memory).cast("Q")[slot * SLOT : (slot + 1) * SLOT]
    switch = _ask_for_the_end(lifeline)
    told = sys.argv[8]

    def command_runs(group: int) -> None:
        # While there is a command, in its own group, the watching thread must live long enough to
        # kill that too; it can, for the main thread only waits then.
        slots[GROUP] = group
        switch(not group)

    bodies.own_process(command_runs)
    signal(SIGINT, default_int_handler)
    sys.argv = sys.argv[:1]
    gc.enable()
    mirror.begin()
    worker = Worker(stream, lifeline, slots, clean=bool(clean))
    os.dup2(errors, 2)
    os.close(errors)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = 0
    try:
        if told:
            level, prints, period = told.split(":")
            worker.tell(int(level), prints == "1", float(period))
        worker.serve()
    except (
        BrokenPipeError,
        ConnectionResetError,
    ):  # the client is gone, or has given this worker up
        code = 1
    except BaseException:  # noqa: BLE001 - the log is the last place where it can be said
        import traceback

        words = traceback.format_exc().encode("utf-8", "replace")
        code = 1
        try:
            os.write(log, words)
        except OSError:  # a task closed it
            code = 2
    atexit._run_exitfuncs()  # noqa: SLF001 - threads of tasks must not keep the process alive
    bodies.stop_all()
    os._exit(code)
