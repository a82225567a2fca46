"""What a worker's process uses, with all that its task started: now and then, and at the end.

    main thread   begin ─▶ the task ─▶ end: the last sample, for its result waits until then
    sampling      one soon after the start, kept for a task that takes longer than a period;
                  then one each period

Loaded only where samples are asked for, since it takes psutil.

Of a short task there is one sample, that of its end. Processor time and transferred bytes are
what was added since the task began. Those of children that have ended are in what the system counts
for their parent; of those that go on, their own are added.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread
from contextlib import suppress
from time import monotonic, time
from typing import Any

import psutil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from weft.workers.telling import Sample

__all__ = ["Meter", "Sampler", "Use", "added", "schedule"]

_SOON = 1.0
_SHARE = 0.25


class Use:
    """What processes use at one moment, and have used since they are there.

    Attributes:
        user, system: seconds of processor time.
        resident, virtual: bytes of memory.
        read, written: bytes by system calls; ``None`` where that is not counted.
        processes: how many there are.
        gpu: bytes of memory of accelerators; ``None`` where that is not known.
    """

    __slots__ = ("gpu", "processes", "read", "resident", "system", "user", "virtual", "written")

    def __init__(self) -> None:
        self.user = self.system = 0.0
        self.resident = self.virtual = 0
        self.read: int | None = None
        self.written: int | None = None
        self.processes = 0
        self.gpu: int | None = None


def added(now: Use, before: Use, peak: int, at: float, *, last: bool) -> Sample:
    """The sample of what was used since ``before``."""
    return (
        at,
        last,
        max(0.0, now.user - before.user),
        max(0.0, now.system - before.system),
        now.resident,
        now.virtual,
        peak,
        _more(now.read, before.read),
        _more(now.written, before.written),
        now.processes,
        now.gpu,
    )


def _more(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else max(0, now - before)


def schedule(period: float, taken: int) -> float:
    """Seconds from the start of a task to its next sample, when so many were taken."""
    return min(_SOON, period * _SHARE) if not taken else period * taken


class _Gpus:
    """The memory of accelerators that processes use, where NVIDIA's library tells."""

    def __init__(self) -> None:
        self._library: Any = None
        try:
            import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]

            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(count)]
            self._library = pynvml
        except Exception:  # noqa: BLE001 - not installed, no driver, or none that it knows
            return

    def of(self, pids: set[int]) -> int | None:
        """Bytes that these processes have, on all devices together; ``None`` if nobody knows."""
        library = self._library
        if library is None:
            return None
        found = 0
        try:
            for device in self._devices:
                for one in library.nvmlDeviceGetComputeRunningProcesses(device):
                    if one.pid not in pids:
                        continue
                    if one.usedGpuMemory is None:  # as for parts of a device that others share
                        return None
                    found += one.usedGpuMemory
        except Exception:  # noqa: BLE001 - the library's own errors; one will do
            self._library = None
            return None
        return found


class Meter:
    """Measures this process and those that it started. Belongs to one thread at a time."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._gpus = _Gpus()
        self._resets = True

    def begin(self) -> Use:
        """What was used until now. From now on, the peak is that of a new task."""
        self._resets = _reset_peak()
        return self.measure()

    def measure(self) -> Use:
        """What is used now."""
        use = Use()
        pids = set()
        for process in (self._own, *self._children()):
            with suppress(psutil.Error, OSError):  # it has just ended
                _count(process, use)
                pids.add(process.pid)
        use.gpu = self._gpus.of(pids)
        return use

    def own_peak(self) -> int:
        """The most memory that this process had since the task began; 0 where nobody knows."""
        return _peak() if self._resets else 0

    def _children(self) -> list[psutil.Process]:
        # To find them, psutil looks at all processes of the machine; most often there are none.
        if not _has_children():
            return []
        try:
            return self._own.children(recursive=True)
        except (psutil.Error, OSError):
            return []


def _count(process: psutil.Process, use: Use) -> None:
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        moved = None
        if hasattr(process, "io_counters"):  # not on macOS
            with suppress(psutil.AccessDenied):
                moved = process.io_counters()
    use.user += times.user + times.children_user
    use.system += times.system + times.children_system
    use.resident += memory.rss
    use.virtual += memory.vms
    use.processes += 1
    if moved is not None:
        use.read = (use.read or 0) + getattr(moved, "read_chars", moved.read_bytes)
        use.written = (use.written or 0) + getattr(moved, "write_chars", moved.write_bytes)


def _has_children() -> bool:
    """Whether this process may have any."""
    try:
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - pathlib is not loaded here
            with open(f"/proc/self/task/{thread}/children", "rb") as file:  # noqa: PTH123 - as above
                if file.read(1):
                    return True
    except OSError:  # a thread has ended, or this system has no such files
        return True
    return False


def _reset_peak() -> bool:
    """Have the system forget the most memory that this process had. Returns whether it has."""
    try:
        fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, b"5")
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _peak() -> int:
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123 - as above
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return 0
    return 0


class Sampler:
    """Takes samples of the calls that a worker runs.

    Args:
        period: seconds between two.
        tell: gets each with the number of its call; none of a call after its last.
        meter: measures.
    """

    def __init__(
        self, period: float, tell: Callable[[int, Sample], None], meter: Meter | None = None
    ) -> None:
        self._period, self._tell = period, tell
        self._meter = meter or Meter()
        self._lock = allocate_lock()
        self._bell = allocate_lock()
        self._bell.acquire()
        self._asleep = False
        self._number = self._taken = 0
        self._began = 0.0
        self._before = Use()
        self._peak = 0
        self._first: Sample | None = None
        start_new_thread(self._work, ())

    def begin(self, number: int) -> None:
        """A call begins."""
        with self._lock:
            self._number, self._taken, self._peak, self._first = number, 0, 0, None
            self._began = monotonic()
            self._before = self._meter.begin()
        if self._asleep:
            self._asleep = False
            if self._bell.locked():
                self._bell.release()

    def end(self) -> None:
        """The call has come to its end: its last sample."""
        with self._lock:
            number, self._number = self._number, 0
            if number:
                self._tell(number, self._sample(last=True))

    def _sample(self, *, last: bool) -> Sample:
        now = self._meter.measure()
        self._peak = max(self._peak, now.resident, self._meter.own_peak())
        return added(now, self._before, self._peak, time(), last=last)

    # ------------------------------------------------------------------------------- its own thread

    def _work(self) -> None:
        while True:
            # In this order, and who begins a call the other way round: one of the two sees it.
            self._asleep = not self._number
            if self._number:
                self._asleep = False
                self._bell.acquire(timeout=max(0.001, self._due()))
            else:
                self._bell.acquire()
            self._look()

    def _due(self) -> float:
        return self._began + schedule(self._period, self._taken) - monotonic()

    def _look(self) -> None:
        with self._lock:
            if not self._number or self._due() > 0:
                return
            sample = self._sample(last=False)
            self._taken += 1
            if self._taken == 1:
                self._first = sample  # told only of a task that takes longer than a period
                return
            if self._first is not None:
                self._tell(self._number, self._first)
                self._first = None
            self._tell(self._number, sample)
