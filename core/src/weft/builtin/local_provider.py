"""This machine as a provider: each job is a group of processes that never outlives its client.

No thread: the provider is called by one, and learns of an end by the verdict that a job's guard
writes.
The guard (``local_guard.py``) is a small process per job. It holds the other end of a pipe, the
lifeline; whatever ends the client, be it ``kill -9``, closes that pipe, and the guard ends the job.

    provider ──lifeline──▶ guard ──▶ /bin/sh job.sh ──▶ …      output in job.out and job.err
       ▲                     │
       └──────verdict────────┘
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from weft.builtin.settings import Local
from weft.errors import WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Provider
from weft.values.jobs import Job, JobId, JobState, JobStatus

__all__ = ["LocalProvider", "build"]

# As a module, so that it is compiled once; last on the path, so that it finds Python's own first.
_GUARD: Final = (
    f"import sys; sys.path.append({str(Path(__file__).parent)!r}); "
    "from local_guard import main; main(sys.argv[1:])"
)
# What a guard may take beyond the grace of its job: to start, to notice, to kill and to write.
_SLACK: Final = 5.0


def build(settings: Local) -> "LocalProvider":
    """The local provider with these settings."""
    return LocalProvider(settings)


@attrs.define(eq=False)
class _Running:
    """A job, its guard, and the two pipes between them."""

    guard: "subprocess.Popen[bytes]"
    lifeline: int
    verdict: int
    status: JobStatus
    said: bytes = b""
    stopped: bool = False

    @property
    def ended(self) -> bool:
        return self.verdict < 0


class LocalProvider(Provider):
    """Runs jobs on this machine."""

    def __init__(self, settings: Local) -> None:
        self._grace = settings.grace
        self._jobs: dict[JobId, _Running] = {}
        self._closed = False

    def start(self, context: Context) -> None:
        """Look for what jobs need.

        Raises:
            WeftError: there is no ``/bin/sh``, or no Python to run a guard with.
        """
        if not os.access("/bin/sh", os.X_OK):
            raise WeftError(
                "The provider 'local' cannot run jobs here.",
                why="Jobs are run by /bin/sh, which is not there.",
                todo="Use weft.executor('processes') for tasks on this machine.",
            )
        if not sys.executable:
            raise WeftError(
                "The provider 'local' cannot run jobs here.",
                why="Each job has a guard that runs in Python, and sys.executable does not say "
                "where that is.",
                todo="Start the script by a Python program, or set sys.executable to one.",
            )

    def submit(self, job: Job) -> JobId:
        """Start a job.

        Raises:
            WeftError: it asks for what this machine cannot give, or could not be started.
        """
        if self._closed:
            raise _refusal(job, "The provider has been closed.", "Submit before closing it.")
        if job.nodes != 1:
            raise _refusal(
                job,
                f"It asks for {job.nodes} machines, and this provider gives one: this machine.",
                "Ask for one node, or use the provider of a scheduler.",
            )
        try:
            running = self._started(job)
        except (OSError, ValueError) as error:
            raise _refusal(
                job,
                f"{_said(error)}.",
                "Give each job an empty folder of its own that can be written.",
            ) from error
        job_id = f"local-{len(self._jobs) + 1}"
        self._jobs[job_id] = running
        return job_id

    def _started(self, job: Job) -> _Running:
        script, out, err = (job.folder / f"job.{end}" for end in ("sh", "out", "err"))
        environment = {**os.environ, **job.environment}
        text = f"#!/bin/sh\n{job.command}\n".encode("utf-8", "surrogateescape")
        if b"\0" in text:
            raise ValueError("the command holds a NUL character, which no shell can read")
        open_now: list[int] = []
        try:
            open_now.append(_made(script, 0o700))
            _write_all(open_now[0], text)
            open_now += [_made(out, 0o600), _made(err, 0o600), *os.pipe(), *os.pipe()]
            _, to_out, to_err, lifeline_end, lifeline, verdict, verdict_end = open_now
            guard = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _GUARD),
                    *(os.fspath(script.absolute()), repr(self._grace)),
                    *(str(os.getpid()), str(verdict_end)),
                ],
                stdin=lifeline_end,
                stdout=to_out,
                stderr=to_err,
                pass_fds=(verdict_end,),
                env=environment,
                start_new_session=True,
            )
            open_now = [one for one in open_now if one not in (lifeline, verdict)]
        except BaseException:
            _close_all(open_now)
            raise
        _close_all(open_now)
        os.set_blocking(verdict, False)
        status = JobStatus(state=JobState.RUNNING, stdout=out, stderr=err)
        return _Running(guard, lifeline, verdict, status)

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How the jobs are; a quick look at a pipe for each."""
        return {job_id: self._status(job_id) for job_id in ids}

    def _status(self, job_id: JobId) -> JobStatus:
        running = self._jobs.get(job_id)
        if running is None:
            return JobStatus(
                state=JobState.UNKNOWN, reason="no job of that name was submitted here"
            )
        _look(running)
        return running.status

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Have jobs ended by their guards; does not wait for it."""
        for job_id in ids:
            if (running := self._jobs.get(job_id)) is not None:
                _stop(running)

    def close(self) -> None:
        """End every job, and wait until nothing is left of it."""
        self._closed = True
        left = [running for running in self._jobs.values() if not running.ended]
        for running in left:
            _stop(running)
        until = time.monotonic() + self._grace + _SLACK
        for running in left:
            _wait(running, until)


def _look(running: _Running) -> None:
    """Read what the guard has said, and take note if that was its last."""
    if running.ended:
        return
    try:
        while chunk := os.read(running.verdict, 4096):
            running.said += chunk
            if running.said.endswith(b"\n"):
                break
    except BlockingIOError:
        return
    _take_verdict(running)


def _take_verdict(running: _Running) -> None:
    try:
        running.guard.wait(_SLACK)
    except subprocess.TimeoutExpired:
        _kill(running)
    os.close(running.verdict)
    running.verdict = -1
    _cut(running)
    state, reason, code = _understood(running.said.decode("utf-8", "replace").strip(), running)
    running.status = attrs.evolve(running.status, state=state, reason=reason, exit_code=code)


def _understood(said: str, running: _Running) -> tuple[JobState, str, int | None]:
    how, _, rest = said.partition(" ")
    if how == "self":
        code = int(rest)
        if running.stopped and code != 0:
            return JobState.CANCELLED, "ended while it was being cancelled", code
        return (JobState.DONE if code == 0 else JobState.FAILED), _in_words(code), code
    if how == "stopped":
        why = "cancelled" if running.stopped else "its guard was told to stop"
        return JobState.CANCELLED, why, int(rest)
    if how == "error":
        return JobState.FAILED, f"/bin/sh could not be started: {rest}", None
    if running.stopped:
        return JobState.CANCELLED, "killed, since it did not end in time", None
    return JobState.FAILED, "the guard of the job was killed, and the job with it", None


def _in_words(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def _stop(running: _Running) -> None:
    _look(running)
    if running.ended or running.stopped:
        return
    running.stopped = True
    # A byte as well as the end: a process that the client forked may hold the pipe open.
    with contextlib.suppress(OSError):
        os.write(running.lifeline, b".")
    _cut(running)


def _cut(running: _Running) -> None:
    if running.lifeline >= 0:
        os.close(running.lifeline)
        running.lifeline = -1


def _wait(running: _Running, until: float) -> None:
    """Wait for the end of a job that was told to stop; kill it when its time is up."""
    try:
        running.guard.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        _kill(running)
    _look(running)
    if not running.ended:
        _take_verdict(running)


def _kill(running: _Running) -> None:
    """The last resort for a guard that does not answer: its job's first process dies with it."""
    running.guard.kill()
    running.guard.wait()


def _made(path: Path, mode: int) -> int:
    # A folder is for one job: what is there already belongs to another and is not overwritten.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, mode)
    os.fchmod(descriptor, mode)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {str(error.filename)!r}" if error.filename else error.strerror
    return str(error)


def _refusal(job: Job, why: str, todo: str) -> WeftError:
    return WeftError(
        f"The job {job.name!r} could not be started on this machine.", why=why, todo=todo
    )
