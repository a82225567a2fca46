"""Jobs that a client has, on record, so that they can be ended when the client no longer can.

A scheduler's jobs outlive a client that is killed. So each pool whose provider has such jobs keeps
a *lease*: a file of its own in a folder of the user's, written when there is a job and removed when
all of them are over. A pool that starts later looks for leases of the same scheduler whose client
is gone, and has cancelled what is still listed of their jobs.

    submit ──▶ note ──┐                                ┌──▶ alive: left alone
    look ────▶ over ──┼──▶ <folder>/<run>-<label> ──▶ found
    close ───▶ end ───┘    (one line of JSON each)     └──▶ gone: lock, listed?, cancel, remove

*Whether a client is gone* is known for certain where it ran: its process is not there, or began at
another time. "Where it ran" means the same boot of the same machine and the same process
namespace; in all other cases, a machine that shares the home folder among them, a client counts as
gone when it has not touched its lease for an hour, and it does so every five minutes. Touches are
compared with the clock of the file system that keeps them, so clocks that differ do no harm.

*Nothing is shared.* Each lease is written by its own client alone; whoever clears up after it locks
the file first, and a job that a living client has on record too is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from weft.interfaces.provider import Lasting, Provider
from weft.values.jobs import JobId

__all__ = [
    "LAPSE",
    "TOUCH",
    "Client",
    "Found",
    "Lease",
    "Reclaimed",
    "found",
    "jobs_folder",
    "reclaim",
]

TOUCH: Final = 300.0
"""Seconds between two touches of a lease."""
LAPSE: Final = 3600.0
"""Seconds without a touch after which a client that cannot be looked at counts as gone."""

_SUFFIX: Final = ".lease"
_VERSION: Final = 1
_LONGEST: Final = 1 << 20
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_ENDED_STATES: Final = frozenset("ZXx")


def jobs_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where leases are: in ``WEFT_STATE``, or else in ``weft`` of the user's folder for state.

    Raises:
        OSError: the user has no home folder.
    """
    given = environ.get("WEFT_STATE")
    if given:
        return Path(given) / "jobs"
    state = environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():  # the rule of the XDG base directories: others are ignored
        return Path(state) / "weft" / "jobs"
    try:
        return Path.home() / ".local" / "state" / "weft" / "jobs"
    except RuntimeError as trouble:
        raise OSError(errno.ENOENT, str(trouble)) from trouble


# --------------------------------------------------------------------------------------- the client


@attrs.frozen(kw_only=True)
class Client:
    """A process, so that it can be told from every other one.

    Attributes:
        host: its machine, for people.
        boot: the boot of that machine; empty where the system does not say.
        space: the process namespace in which ``pid`` counts; empty where there is none.
        pid: its number.
        started: when it began, in the system's own measure; empty where the system does not say.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Client:
        """This process."""
        return cls(
            host=socket.gethostname(),
            boot=_first_line("/proc/sys/kernel/random/boot_id"),
            space=_link("/proc/self/ns/pid"),
            pid=os.getpid(),
            started=_started(os.getpid()) or "",
        )

    def can_see(self, other: Client) -> bool:
        """Whether this process can look whether the other one is there."""
        return bool(self.boot and self.space and other.started) and (
            (self.boot, self.space) == (other.boot, other.space)
        )

    def runs(self) -> bool:
        """Whether it is there; only to be asked of one that can be seen from here."""
        return _started(self.pid) == self.started


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text("ascii").partition("\n")[0].strip()
    except (OSError, ValueError):
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the boot; ``None`` if there is none, or only its end."""
    try:
        # The name, in brackets, may hold anything, so what follows the last bracket counts.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        state, started = fields[0].decode("ascii"), fields[19].decode("ascii")
    except (OSError, IndexError, ValueError):
        return None
    return None if state in _ENDED_STATES else started


# ---------------------------------------------------------------------------------- one's own lease


class Lease:
    """What one pool has on record. Each call is one write, so any thread may make it.

    Args:
        folder: where leases are; made if it is not there.
        site: the scheduler, as :attr:`~weft.interfaces.provider.Lasting.site` names it.
        label: the executor's.
        run_id: the run's.
        run_folder: for people.
        program: for people.
    """

    def __init__(
        self, folder: Path, *, site: str, label: str, run_id: str, run_folder: str, program: str
    ) -> None:
        self.folder = folder
        self.path = folder / f"{run_id[:16]}-{label}{_SUFFIX}"
        self.client = Client.here()
        self._head = {
            "weft": _VERSION,
            "site": site,
            "label": label,
            "run_folder": run_folder,
            "program": program,
            "client": attrs.asdict(self.client),
        }

    def note(self, job: JobId, name: str) -> None:
        """A job was handed over.

        Raises:
            OSError: it cannot be recorded; the message says why.
        """
        self._write({"job": job, "name": name, "at": time.time()})

    def over(self, jobs: Collection[JobId]) -> None:
        """Jobs have ended.

        Raises:
            OSError: that cannot be recorded.
        """
        if jobs and self.path.exists():
            self._write({"over": sorted(jobs)})

    def touch(self) -> None:
        """The client is still there.

        Raises:
            OSError: that cannot be recorded.
        """
        with contextlib.suppress(FileNotFoundError):  # it has no job, or was taken for gone
            os.utime(self.path)

    def end(self) -> None:
        """No job is left.

        Raises:
            OSError: the lease cannot be removed.
        """
        self.path.unlink(missing_ok=True)

    def _write(self, line: Mapping[str, Any]) -> None:
        _private(self.folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(self.path, flags, 0o600)
        try:
            lines = [line] if os.fstat(file).st_size else [self._head, line]
            os.write(file, b"".join(json.dumps(one).encode() + b"\n" for one in lines))
            os.fsync(file)
        finally:
            os.close(file)


def _private(folder: Path) -> None:
    """Make a folder that is ours alone, or see that nobody else can write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.stat()
    if seen.st_uid != os.geteuid() or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            errno.EPERM, "it belongs to somebody else, or others may write to it", str(folder)
        )


# --------------------------------------------------------------------------------- those of others


@attrs.frozen(kw_only=True)
class Found:
    """A lease, as somebody else reads it.

    Attributes:
        path: its file.
        client: whose it is.
        site: the scheduler.
        label: the executor's.
        run_folder, program: for people.
        jobs: the names under which jobs that are not known to be over were handed over, by id.
        silent: seconds since it was last touched, by the clock of its file system.
        gone: whether its client is gone.
    """

    path: Path
    client: Client
    site: str
    label: str
    run_folder: str
    program: str
    jobs: Mapping[JobId, str]
    silent: float
    gone: bool

    def __str__(self) -> str:
        return (
            f"{', '.join(self.jobs) or 'no job'} of {self.site}, asked for by {self.program} "
            f"(process {self.client.pid} on {self.client.host}, run folder {self.run_folder})"
        )


def found(folder: Path, me: Client | None = None) -> list[Found]:
    """Every lease that can be read, in no particular order. Nothing is changed.

    Raises:
        OSError: the folder is there and cannot be used.
    """
    me = me or Client.here()
    if not folder.exists():
        return []
    _private(folder)
    now = _clock_of(folder)
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    return [one for path in paths if (one := _read(path, me, now)) is not None]


def _clock_of(folder: Path) -> float:
    """The time by the clock that stamps files there."""
    import tempfile  # not light, and seldom needed

    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()  # a full disk: to read is still possible


def _read(path: Path, me: Client, now: float) -> Found | None:
    try:
        with _opened(path, os.O_RDONLY) as file:
            return _parsed(path, file, me, now)
    except OSError:
        return None  # it is gone by now, or not ours


@contextlib.contextmanager
def _opened(path: Path, how: int) -> Iterator[int]:
    file = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        seen = os.fstat(file)
        ours = seen.st_uid == os.geteuid() and not seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISREG(seen.st_mode) or not ours or not seen.st_nlink:
            raise PermissionError(errno.EPERM, "it is no lease of ours", str(path))
        yield file
    finally:
        os.close(file)


def _parsed(path: Path, file: int, me: Client, now: float) -> Found | None:
    """What a lease says. A line that was torn by a full disk, or by a crash, is left out."""
    said = []
    for line in os.pread(file, _LONGEST, 0).splitlines():
        with contextlib.suppress(ValueError):
            said.append(json.loads(line))
    rows: list[dict[str, Any]] = [one for one in said if isinstance(one, dict)]
    if not rows or rows[0].get("weft") != _VERSION:
        return None
    try:
        client = Client(**rows[0]["client"])
        texts = [str(rows[0][name]) for name in ("site", "label", "run_folder", "program")]
        if type(client.pid) is not int:
            return None
    except (KeyError, TypeError):
        return None
    jobs: dict[JobId, str] = {}
    for row in rows[1:]:
        if isinstance(row.get("job"), str):
            jobs[row["job"]] = str(row.get("name", ""))
        for job in row.get("over", ()):
            jobs.pop(job, None)
    silent = max(0.0, now - os.fstat(file).st_mtime)
    gone = not client.runs() if me.can_see(client) else silent > LAPSE
    site, label, run_folder, program = texts
    return Found(
        path=path,
        client=client,
        site=site,
        label=label,
        run_folder=run_folder,
        program=program,
        jobs=jobs,
        silent=silent,
        gone=gone,
    )


# ----------------------------------------------------------------------------------------- clear up


@attrs.frozen(kw_only=True)
class Reclaimed:
    """What became of the jobs of a client that is gone.

    Attributes:
        lease: as it was found.
        cancelled: those that were still listed, and were asked to end.
        trouble: why they could not be asked to; then the lease is kept.
    """

    lease: Found
    cancelled: Sequence[JobId] = ()
    trouble: str = ""


def reclaim(folder: Path, provider: Provider) -> list[Reclaimed]:
    """Have cancelled what clients that are gone have left with the scheduler of a provider.

    Returns what was done, lease by lease; nothing for a provider whose jobs do not last.

    Raises:
        OSError: the folder cannot be used.
    """
    if not isinstance(provider, Lasting):
        return []
    me = Client.here()
    all_of_site = [one for one in found(folder, me) if one.site == provider.site]
    living = {job for one in all_of_site if not one.gone for job in one.jobs}
    done = []
    for lease in all_of_site:
        if lease.gone:
            one = _reclaimed(lease, provider, me, living)
            if one is not None:
                done.append(one)
    return done


def _reclaimed(
    lease: Found, provider: Provider, me: Client, living: Collection[JobId]
) -> Reclaimed | None:
    assert isinstance(provider, Lasting)
    try:
        with _opened(lease.path, os.O_RDWR) as file, _locked(file):
            now = _parsed(lease.path, file, me, os.fstat(file).st_mtime + lease.silent)
            if now is None or not os.fstat(file).st_nlink or not now.gone:
                return None  # another one was quicker
            jobs = {job: name for job, name in now.jobs.items() if job not in living}
            try:
                listed = [job for job in provider.listed(jobs) if job in jobs] if jobs else []
                if listed:
                    provider.cancel(listed)
            except Exception as trouble:  # noqa: BLE001 - a provider may come from a plugin
                return Reclaimed(lease=now, trouble=f"{type(trouble).__name__}: {trouble}")
            lease.path.unlink(missing_ok=True)
            return Reclaimed(lease=now, cancelled=listed)
    except OSError:
        return None  # another one has the lock, or has removed it


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as trouble:
        # Where nothing can be locked two may cancel the same job, which is no error.
        if trouble.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            # A process that was forked meanwhile would hold it on.
            fcntl.flock(file, fcntl.LOCK_UN)
