"""A provider whose jobs start and end when the test says so."""

import threading
from collections.abc import Mapping, Sequence

from weft.errors import WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Provider
from weft.testing.contexts import PATIENCE, NothingHappened
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus

__all__ = ["FakeProvider"]


class FakeProvider(Provider):
    """Queues every job until the test moves it. May be used from any thread.

    Attributes:
        jobs: every job that was submitted, by its id, in order.
        cancelled: the ids that were to be cancelled, in order.
        asked: how often ``status`` was called.
        closed: how often it was closed.
        refuses: while set, raised by ``submit``.
        silent: while true, ``status`` says UNKNOWN of every job.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._statuses: dict[JobId, JobStatus] = {}
        self.jobs: dict[JobId, Job] = {}
        self.cancelled: list[JobId] = []
        self.asked = self.closed = 0
        self.refuses: WeftError | None = None
        self.silent = False

    # -------------------------------------------------------------------------------- the interface

    def start(self, context: Context) -> None:
        """Nothing to make ready."""

    def submit(self, job: Job) -> JobId:
        """Queue the job, or raise what ``refuses`` holds."""
        with self._changed:
            if self.refuses is not None:
                raise self.refuses
            job_id = f"job-{len(self.jobs) + 1}"
            self.jobs[job_id] = job
            self._statuses[job_id] = JobStatus(state=JobState.QUEUED)
            self._changed.notify_all()
            return job_id

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """What the test made of the jobs."""
        unknown = JobStatus(state=JobState.UNKNOWN)
        with self._changed:
            self.asked += 1
            if self.silent:
                return dict.fromkeys(ids, unknown)
            return {job_id: self._statuses.get(job_id, unknown) for job_id in ids}

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Have the jobs cancelled at once."""
        with self._changed:
            self.cancelled += ids
        for job_id in ids:
            if job_id in self.jobs:
                self._move(job_id, JobStatus(state=JobState.CANCELLED, reason="cancelled"))

    def close(self) -> None:
        """End what is left."""
        self.closed += 1
        self.cancel([job_id for job_id in self.jobs if not self._ended(job_id)])

    # ------------------------------------------------------------------------------------ the crank

    def wait(self, count: int = 1, timeout: float = PATIENCE) -> list[JobId]:
        """Wait until that many jobs were submitted in all. Returns their ids.

        Raises:
            NothingHappened: fewer came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.jobs) >= count, timeout):
                raise NothingHappened(
                    f"{len(self.jobs)} of {count} jobs were submitted within {timeout:g} s"
                )
            return list(self.jobs)

    def begin(self, job_id: JobId) -> None:
        """Let a job run."""
        self._move(job_id, JobStatus(state=JobState.RUNNING))

    def finish(self, job_id: JobId, exit_code: int = 0) -> None:
        """Let a job end by itself."""
        state = JobState.DONE if exit_code == 0 else JobState.FAILED
        self._move(
            job_id, JobStatus(state=state, exit_code=exit_code, reason=f"exit code {exit_code}")
        )

    def lose(self, job_id: JobId, reason: str = "node failure") -> None:
        """Let the scheduler take a job away."""
        self._move(job_id, JobStatus(state=JobState.FAILED, reason=reason))

    def expire(self, job_id: JobId) -> None:
        """Let a job reach the end of its time."""
        self._move(job_id, JobStatus(state=JobState.EXPIRED, reason="time limit"))

    def _ended(self, job_id: JobId) -> bool:
        with self._changed:
            return self._statuses[job_id].state in JOB_ENDED

    def _move(self, job_id: JobId, status: JobStatus) -> None:
        with self._changed:
            # States only move forward: an end is an end.
            if self._statuses[job_id].state not in JOB_ENDED:
                self._statuses[job_id] = status
                self._changed.notify_all()
