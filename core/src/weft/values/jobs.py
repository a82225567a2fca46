"""What a provider is asked for, and what it says of it."""

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

__all__ = ["JOB_ENDED", "Job", "JobId", "JobState", "JobStatus"]

JobId = str
"""The scheduler's own name for a job."""


class JobState(enum.StrEnum):
    """Where a job is, as far as its provider knows."""

    QUEUED = "queued"
    """Accepted, waiting for machines."""
    RUNNING = "running"
    """On its machines."""
    DONE = "done"
    """Ended by itself with exit code 0."""
    FAILED = "failed"
    """Ended by itself with another exit code, or the scheduler says that it failed."""
    CANCELLED = "cancelled"
    """Ended because someone asked for that."""
    EXPIRED = "expired"
    """Ended by the scheduler at the end of its time."""
    UNKNOWN = "unknown"
    """The scheduler did not say this time. Not an end: ask again."""


JOB_ENDED: frozenset[JobState] = frozenset(
    {JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}
)


@attrs.frozen(kw_only=True)
class Job:
    """What to run, and on how many machines.

    Attributes:
        name: for people; made of ``[A-Za-z0-9_.-]``.
        command: shell text, to be run once by ``/bin/sh`` on the first machine of the job; a
            launcher has already made it start on all of them where that is wanted.
        nodes: machines.
        folder: a folder of this job's own for its script and its output; it exists.
        environment: variables added to the job's environment.
        files: those of the variables that name files of the client which the job reads. Where the
            machines do not see its file system, the provider takes the files along, into a folder
            that is private to the job, and names their new places in the variables.
    """

    name: str = attrs.field(validator=attrs.validators.matches_re(r"[A-Za-z0-9_.-]+"))
    command: str
    nodes: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    folder: Path
    environment: Mapping[str, str] = attrs.field(factory=dict)
    files: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class JobStatus:
    """What the scheduler says of one job.

    Attributes:
        state: where it is.
        reason: the scheduler's own words, for people; may be empty.
        exit_code: of an ended job, where it is known; negative for a signal.
        stdout, stderr: where the job's output is found, where it is known.
    """

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    stdout: Path | None = None
    stderr: Path | None = None
