"""The provider: a queue of jobs and the nodes that they run on.

As with a scheduler, a job goes on when its client is gone: nothing here ends it then. A job whose
processes do not end in their grace is killed. No thread; a job that ends is noticed, and one that
waits is started, when the provider is asked.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

import attrs

from weft.interfaces.context import Context
from weft.interfaces.provider import Paced, Provider
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft_netns.launcher import NODES
from weft_netns.settings import Netns

__all__ = ["Scheduler", "build"]


def build(settings: Netns) -> "Scheduler":
    """The factory that the declaration names."""
    return Scheduler(settings)


@attrs.define(eq=False)
class _Entry:
    job: Job
    status: JobStatus
    nodes: tuple[int, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None
    cancelled: bool = False


class Scheduler(Provider, Paced):
    """Jobs on namespaces."""

    def __init__(self, settings: Netns) -> None:
        self._free = list(settings.nodes)
        self._grace = settings.grace
        self._jobs: dict[JobId, _Entry] = {}

    @property
    def interval(self) -> float:
        """It is a look at a few processes."""
        return 0.25

    @property
    def patience(self) -> float:
        """Closing takes longest."""
        return 4 * self._grace

    def start(self, context: Context) -> None:
        """There is nothing to make ready."""

    def submit(self, job: Job) -> JobId:
        """Queue a job, and start it if there are nodes."""
        job_id = f"netns-{len(self._jobs) + 1}"
        self._jobs[job_id] = _Entry(job, JobStatus(state=JobState.QUEUED, reason="no node is free"))
        self._look()
        return job_id

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How jobs are."""
        self._look()
        unknown = JobStatus(state=JobState.UNKNOWN)
        return {i: self._jobs[i].status if i in self._jobs else unknown for i in ids}

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Send them TERM."""
        for entry in [self._jobs[i] for i in ids if i in self._jobs]:
            if entry.status.state in JOB_ENDED or entry.cancelled:
                continue
            entry.cancelled = True
            if entry.process is None:
                entry.status = JobStatus(state=JobState.CANCELLED, reason="it had not begun")
            else:
                _send(entry.process, signal.SIGTERM)
        self._look()

    def close(self) -> None:
        """End all jobs, by force if they take too long."""
        self.cancel(list(self._jobs))
        until, tick = time.monotonic() + self._grace, threading.Event()
        for entry in self._jobs.values():
            if (process := entry.process) is not None:
                # Its first process may be gone before the others of its group.
                while process.poll() is None or _send(process, 0):
                    if time.monotonic() >= until:
                        _send(process, signal.SIGKILL)
                    tick.wait(0.01)
        self._look()

    def _look(self) -> None:
        for entry in self._jobs.values():
            if entry.process is not None and entry.status.state not in JOB_ENDED:
                self._look_at(entry, entry.process)
        for entry in self._jobs.values():
            if entry.status.state is JobState.QUEUED and len(self._free) >= entry.job.nodes:
                self._begin(entry)

    def _look_at(self, entry: _Entry, process: "subprocess.Popen[bytes]") -> None:
        code = process.poll()
        if code is None:
            return
        self._free.extend(entry.nodes)
        state = JobState.DONE if code == 0 else JobState.FAILED
        if entry.cancelled:
            state = JobState.CANCELLED
        entry.status = attrs.evolve(
            entry.status, state=state, exit_code=code, reason=f"ended with exit code {code}"
        )

    def _begin(self, entry: _Entry) -> None:
        job = entry.job
        entry.nodes, self._free = tuple(self._free[: job.nodes]), self._free[job.nodes :]
        out, err = job.folder / "job.out", job.folder / "job.err"
        nodes = " ".join(map(str, entry.nodes))
        with out.open("xb") as to_out, err.open("xb") as to_err:
            entry.process = subprocess.Popen(
                ["/bin/sh", "-c", job.command],
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                env={**os.environ, **job.environment, NODES: nodes},
                start_new_session=True,
            )
        entry.status = JobStatus(state=JobState.RUNNING, stdout=out, stderr=err)


def _send(process: "subprocess.Popen[bytes]", number: int) -> bool:
    """Signal the group of a process. Returns whether there was anything left of it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
