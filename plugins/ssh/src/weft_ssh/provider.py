"""The provider: takes hosts for a job, has it begun on them, and tells how it is.

    weft-blocks-…-calls   submit, cancel, close ──post──▶ weft-ssh   (switchboard.py)
                          status ◀── what was last written down ──┘
    weft-ssh ── ssh ── sshd ── watcher.py ── /bin/sh job.sh ── …

A job is submitted once it has begun: a host that does not answer, is not known, or does not take
the key is found out while another one may still be tried in its place. A job ends with its client,
whatever ends that: the watcher on each host ends its part when the connection ends, or is silent
for too long.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import attrs

from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Forwarding, Paced, Provider, Telling
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft_ssh.command import connection, end_of_jump, shown
from weft_ssh.connection import Connection
from weft_ssh.hosts import Hosts
from weft_ssh.launcher import EVERYWHERE
from weft_ssh.outcome import End, outcome
from weft_ssh.settings import SSH
from weft_ssh.switchboard import Switchboard
from weft_ssh.words import Trouble, last_words, refused_there, understood

__all__ = ["HOSTS", "NODE", "WAY", "SSHProvider", "build"]

HOSTS: Final = "WEFT_SSH_HOSTS"
"""The variable with the names of all hosts of a job, separated by spaces."""
NODE: Final = "WEFT_SSH_NODE"
"""The variable with the number of the host among them, from 0."""
WAY: Final = "WEFT_SSH_WAY"
"""The variable with the address at which the way to the client begins."""

_SLACK: Final = 5.0
_BEGIN: Final = 10.0
_INTERVAL: Final = 10.0
_CONTROL: Final = "weft-ssh-jump-"
_STALE: Final = 600.0


def build(settings: SSH) -> SSHProvider:
    """The provider ``ssh`` with these settings."""
    return SSHProvider(settings)


@attrs.define(eq=False)
class _Part:
    """A connection, and the words that made it."""

    connection: Connection
    words: list[str]
    way: str
    greeted: bool = False


@attrs.define(eq=False)
class _Running:
    """A job that has begun. Belongs to the thread of the switchboard, but for ``status``.

    Attributes:
        parts: its connections, in the order of its hosts.
        everywhere: whether it runs on all of them, or on the first.
        status: what is said of it; replaced as a whole.
    """

    parts: Sequence[Connection]
    everywhere: bool
    status: JobStatus
    cancelled: bool = False
    stopping: bool = False


class SSHProvider(Provider, Paced, Telling, Forwarding):
    """Runs jobs on hosts that are named."""

    def __init__(self, settings: SSH) -> None:
        self._settings = settings
        self._hosts = Hosts(settings.hosts)
        self._jobs: dict[JobId, _Running] = {}
        self._prefix = f"ssh-{secrets.token_hex(4)}"
        self._board: Switchboard | None = None
        # What the connections that are not over belong to; the switchboard's.
        self._owners: dict[Connection, _Running] = {}
        self._control: Path | None = None
        # Hosts whose connection has ended, and whether it was lost; put here by the switchboard.
        self._freed: deque[tuple[str, bool]] = deque()
        self._changed: Callable[[], None] = lambda: None
        self._context: Context | None = None
        self._port = 0
        self._told: set[tuple[str, str]] = set()
        self._closed = False

    # -------------------------------------------------------------------------------------- itself

    @property
    def interval(self) -> float:
        """Seconds between two questions; ends are told by themselves."""
        return _INTERVAL

    @property
    def patience(self) -> float:
        """Seconds in which hosts have answered and begun a job, or others in their place."""
        return 3 * self._settings.connect_timeout + self._settings.grace + _BEGIN + 2 * _SLACK

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called when a job has begun or ended."""
        self._changed = changed

    def forward(self, port: int) -> str:
        """Lead jobs to this port, with ``tunnel=True``."""
        self._port = port if self._settings.tunnel else 0
        return WAY if self._port else ""

    def start(self, context: Context) -> None:
        """See that there is a program ``ssh``; hosts are asked when there is a job.

        Raises:
            WeftError: there is none.
        """
        self._context = context
        if shutil.which("ssh") is None:
            raise WeftError(
                "The provider 'ssh' cannot reach any host from here.",
                why="There is no program ssh on PATH.",
                todo="Install the client of OpenSSH.",
            )
        for name in ("key", "ssh_config", "known_hosts"):
            path = getattr(self._settings, name)
            if path is not None and not os.access(Path(path).expanduser(), os.R_OK):
                raise WeftError(
                    f"The provider 'ssh' cannot use its option {name}.",
                    why=f"The file {path} is not there, or cannot be read.",
                    todo="Name one that can.",
                )

    # -------------------------------------------------------------------------------------- submit

    def submit(self, job: Job) -> JobId:
        """Have a job begun on as many hosts as it asks for.

        Raises:
            SubmitLater: too few hosts are free.
            WeftError: there are too few of them, or none that can be used, or the job cannot be
                run; the message says why.
        """
        if self._closed:
            raise _refusal(job, "The provider has been closed.", "Submit before closing it.")
        if job.nodes > len(self._hosts):
            raise _refusal(
                job,
                f"It asks for {job.nodes} hosts, and the option hosts names {len(self._hosts)}.",
                "Name more hosts, or ask for fewer with nodes_per_block.",
            )
        self._take_freed()
        files = self._prepared(job)
        events: SimpleQueue[tuple[Connection, str]] = SimpleQueue()
        parts = self._connected(job, events)
        try:
            running = self._begun(job, parts, files, events)
        except BaseException:
            self._drop(parts)
            raise
        job_id = f"{self._prefix}-{len(self._jobs) + 1}"
        self._jobs[job_id] = running
        # From here on its ends are noted, those that have come meanwhile, too.
        self._switchboard().post(lambda: self._take_over(running))
        return job_id

    def _take_freed(self) -> None:
        while self._freed:
            host, lost = self._freed.popleft()
            self._hosts.free(host)
            if lost:
                self._aside(host)

    def _aside(self, host: str) -> None:
        """Leave a host alone; one that was lost may still be ending what ran there."""
        wait = max(self._settings.retry_after, self._settings.lost_after)
        self._hosts.put_aside(host, time.monotonic() + wait)

    def _prepared(self, job: Job) -> dict[str, tuple[str, str]]:
        """Write the script of a job; what goes along to hosts that do not see our files."""
        for name, value in job.environment.items():
            if not name or "=" in name or "\0" in name + value:
                why = f"No process can be given the variable {name!r}."
                raise _refusal(job, why, "Take it out of the job's environment.")
        if "\0" in job.command:
            why = "Its command holds a NUL character, which no shell can read."
            raise _refusal(job, why, "Take it out of the command.")
        try:
            file = _made(job.folder / "job.sh")
            with os.fdopen(file, "wb") as opened:
                opened.write(_script(job).encode("utf-8", "surrogateescape"))
            if self._settings.folder is None:
                return {}
            return {
                name: (f"{at}-{path.name}", base64.b64encode(path.read_bytes()).decode())
                for at, name in enumerate(job.files)
                for path in (Path(job.environment[name]),)
            }
        except (OSError, ValueError, KeyError) as error:
            raise _refusal(
                job,
                f"{_said(error)}.",
                "Give each job an empty folder of its own that can be written.",
            ) from error

    # ------------------------------------------------------------------------------- connections

    def _connected(self, job: Job, events: SimpleQueue[tuple[Connection, str]]) -> list[_Part]:
        """Connections to as many hosts as the job asks for, whose watchers are there.

        Raises:
            SubmitLater: too few hosts are free.
            WeftError: too few can be used.
        """
        until = time.monotonic() + 2 * self._settings.connect_timeout
        troubles: dict[str, Trouble] = {}
        ready: list[_Part] = []
        while len(ready) < job.nodes:
            missing = job.nodes - len(ready)
            names = self._hosts.take(missing, time.monotonic(), but=troubles)
            if not names or time.monotonic() >= until:
                for name in names:
                    self._hosts.free(name)
                self._drop(ready)
                raise self._too_few(job, troubles)
            trying = [self._opened(job, name, events) for name in names]
            wait = min(until, time.monotonic() + self._settings.connect_timeout + 2.0)
            self._await(trying, "greeted", events, wait)
            for part in trying:
                if part.greeted and not part.connection.over:
                    self._hosts.good(part.connection.host)
                    ready.append(part)
                else:
                    troubles[part.connection.host] = self._given_up(part)
        return ready

    def _opened(self, job: Job, host: str, events: SimpleQueue[tuple[Connection, str]]) -> _Part:
        way = f"/tmp/weft-{secrets.token_hex(8)}.sock" if self._port else ""  # noqa: S108 - on the host; sshd makes it, for the user alone
        words = connection(
            self._settings,
            host,
            control=self._shared() if self._settings.jump else "",
            way=(way, self._port) if way else None,
        )

        def told(one: Connection, what: str) -> None:
            events.put((one, what))
            if what == "over":
                self._over(one)

        try:
            made = Connection(host, words, job.folder / f"ssh-{_plain(host)}.log", told)
        except OSError as error:
            self._hosts.free(host)
            raise _refusal(
                job, f"ssh could not be started: {_said(error)}.", "Have ssh on PATH."
            ) from error
        self._switchboard().add(made)
        return _Part(connection=made, words=words, way=way)

    def _await(
        self,
        parts: Sequence[_Part],
        what: str,
        events: SimpleQueue[tuple[Connection, str]],
        until: float,
    ) -> None:
        """Wait until each of these has said this, or is over, or the time is up."""
        waiting = {one.connection: one for one in parts}
        while waiting and (left := until - time.monotonic()) > 0:
            try:
                one, said = events.get(timeout=left)
            except Empty:
                return
            if one in waiting and said in {what, "over"}:
                waiting.pop(one).greeted |= said == "greeted"

    def _given_up(self, part: _Part) -> Trouble:
        """Why a host cannot be used; it is left alone for a while."""
        one = part.connection
        log = one.log()
        self._switchboard().post(one.end)
        if one.verdict is not None and one.verdict["how"] == "refused":
            trouble = refused_there(str(one.verdict.get("why", "")))
        else:
            trouble = understood(log, try_it=f"'{shown(part.words)}'", odd=one.trouble)
        self._aside(one.host)
        if (one.host, trouble.why) not in self._told and self._context is not None:
            self._told.add((one.host, trouble.why))
            self._context.notice(
                "warning",
                f"The host {one.host!r} cannot be used: {trouble.why}.\nDo: {trouble.todo}",
            )
        return trouble

    def _too_few(self, job: Job, troubles: Mapping[str, Trouble]) -> WeftError:
        used, usable = self._hosts.used(troubles), len(self._hosts) - len(troubles)
        if not troubles or (used and usable >= job.nodes):
            return SubmitLater(
                f"{used} of the {len(self._hosts)} hosts are in use"
                + (f", and {', '.join(troubles)} cannot be used now" if troubles else "")
            )
        words = " ".join(f"{host}: {one.why}." for host, one in troubles.items())
        *_, last = troubles.values()
        return _refusal(job, f"Too few hosts can be used. {words}", last.todo)

    def _drop(self, parts: Sequence[_Part]) -> None:
        """Let go of connections of a job that is not to be."""
        for part in parts:
            self._switchboard().post(part.connection.end)

    # ------------------------------------------------------------------------------------ begin

    def _begun(
        self,
        job: Job,
        parts: Sequence[_Part],
        files: Mapping[str, tuple[str, str]],
        events: SimpleQueue[tuple[Connection, str]],
    ) -> _Running:
        """Hand the job over to all its hosts, and wait until it has begun on them.

        Raises:
            WeftError: it has not.
        """
        everywhere = job.command.startswith(EVERYWHERE)
        out, err = (job.folder / f"job.{end}" for end in ("out", "err"))
        try:
            for path in (out, err):
                os.close(_made(path))
            for at in range(len(parts)):
                self._order(job, parts, at, files, run=everywhere or at == 0)
        except OSError as error:
            why = f"Its output cannot be kept: {_said(error)}."
            raise _refusal(job, why, "Give each job an empty folder of its own.") from error
        wait = time.monotonic() + self._settings.connect_timeout + _BEGIN
        self._await(parts, "begun", events, wait)
        for part in parts:
            if not part.connection.begun:
                trouble = self._given_up(part)
                raise _refusal(job, f"{part.connection.host}: {trouble.why}.", trouble.todo)
        where = ", ".join(part.connection.host for part in parts)
        status = JobStatus(state=JobState.RUNNING, reason=f"on {where}", stdout=out, stderr=err)
        return _Running([part.connection for part in parts], everywhere, status)

    def _order(
        self,
        job: Job,
        parts: Sequence[_Part],
        at: int,
        files: Mapping[str, tuple[str, str]],
        *,
        run: bool,
    ) -> None:
        settings, part = self._settings, parts[at]
        environment = dict(job.environment)
        environment[HOSTS] = " ".join(one.connection.host for one in parts)
        environment[NODE] = str(at)
        if part.way:
            environment[WAY] = f"ipc://{part.way}"
        orders: dict[str, Any] = {
            "name": job.name,
            "home": str(job.folder.absolute()),
            "folder": settings.folder or "",
            "script": _script(job),
            "environment": environment,
            "files": files,
            "run": run,
            "grace": settings.grace,
            "lease": settings.lost_after,
            "way": part.way,
        }
        one = part.connection
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        opened: dict[str, int] = {}
        try:
            for end in ("out", "err"):
                opened[end] = os.open(job.folder / f"job.{end}", flags)
        except OSError:
            for file in opened.values():
                os.close(file)
            raise
        home = job.folder / f"from-{_plain(one.host)}"
        self._switchboard().post(lambda: one.order(orders, opened, home))

    def _switchboard(self) -> Switchboard:
        if self._board is None:
            self._board = Switchboard(self._settings.lost_after / 4)
        return self._board

    def _shared(self) -> str:
        """Where the connection to the jump host is shared: in a folder that is ours alone."""
        if self._control is None:
            _tidy(Path(tempfile.gettempdir()))
            self._control = Path(tempfile.mkdtemp(prefix=_CONTROL))
        return str(self._control / "jump")

    # ---------------------------------------------------------------------- switchboard's thread

    def _over(self, one: Connection) -> None:
        """Nothing more comes from a host."""
        lost = one.begun and one.verdict is None
        self._freed.append((one.host, lost))
        if (running := self._owners.pop(one, None)) is not None:
            self._note(running)

    def _take_over(self, running: _Running) -> None:
        """A job has begun, and perhaps ended."""
        self._owners.update({one: running for one in running.parts if not one.over})
        self._note(running)

    def _note(self, running: _Running) -> None:
        """Take down how a job is, when something has ended."""
        if running.status.state in JOB_ENDED:
            return
        runs = list(running.parts if running.everywhere else running.parts[:1])
        if all(one.over for one in runs) and not running.stopping:
            # Hosts that were only held are held no longer.
            running.stopping = True
            for one in running.parts:
                one.stop(self._settings.grace + _SLACK)
        if not all(one.over for one in running.parts):
            return
        how = outcome(
            [_end_of(one, runs=one in runs) for one in running.parts], cancelled=running.cancelled
        )
        running.status = attrs.evolve(
            running.status, state=how.state, reason=how.reason, exit_code=how.code
        )
        self._changed()

    def _stop(self, running: _Running) -> None:
        if running.status.state in JOB_ENDED or running.cancelled:
            return
        running.cancelled = running.stopping = True
        for one in running.parts:
            one.stop(self._settings.grace + _SLACK)

    # ------------------------------------------------------------------------------------- status

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How jobs are, by what their hosts said last."""
        unknown = JobStatus(state=JobState.UNKNOWN, reason="no job of that name was begun here")
        return {one: self._jobs[one].status if one in self._jobs else unknown for one in ids}

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Have jobs ended on their hosts; does not wait for it."""
        for job_id in ids:
            running = self._jobs.get(job_id)
            if running is not None and self._board is not None:
                self._board.post(lambda running=running: self._stop(running))  # type: ignore[misc]

    def close(self) -> None:
        """End every job, and every connection."""
        self._closed = True
        if self._board is not None:
            self.cancel(list(self._jobs))
            self._board.close(self._settings.grace + _SLACK)
            self._board = None
        if self._control is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    end_of_jump(self._settings, str(self._control / "jump")),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=_SLACK,
                    check=False,
                )
            shutil.rmtree(self._control, ignore_errors=True)
            self._control = None


def _end_of(one: Connection, *, runs: bool) -> End:
    verdict = one.verdict
    if verdict is None:
        words = one.trouble or last_words(one.log()) or f"ssh ended with exit code {one.code}"
        return End(host=one.host, runs=runs, lost=words)
    code = verdict.get("code")
    return End(
        host=one.host,
        runs=runs,
        code=code if isinstance(code, int) else None,
        stopped=verdict["how"] == "stopped",
        left=[str(name) for name in verdict.get("left", ())],
    )


def _tidy(folder: Path) -> None:
    """Remove what clients that were killed have left: their connections ended, the folders stay."""
    for one in folder.glob(f"{_CONTROL}*"):
        with contextlib.suppress(OSError):  # it is somebody else's, or in use
            if time.time() - one.stat().st_mtime > _STALE:
                one.rmdir()


def _script(job: Job) -> str:
    return f"#!/bin/sh\n{job.command}\n"


def _plain(host: str) -> str:
    """A host's name as part of that of a file."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in host)


def _made(path: Path) -> int:
    # A folder is for one job: what is there already belongs to another and is not overwritten.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {str(error.filename)!r}" if error.filename else error.strerror
    if isinstance(error, KeyError):
        return f"the file of the variable {error} is not in its environment"
    return str(error)


def _refusal(job: Job, why: str, todo: str) -> WeftError:
    return WeftError(f"The job {job.name!r} was not begun on any host.", why=why, todo=todo)
