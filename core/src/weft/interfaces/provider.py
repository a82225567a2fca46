"""A provider gets machines: it hands jobs to whatever owns the machines, and says how they are."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final

from weft.interfaces.context import Context
from weft.values.jobs import Job, JobId, JobStatus

__all__ = ["CAPABILITIES", "VERSION", "Provider"]

VERSION: Final = "1.0"

CAPABILITIES: Final[Mapping[str, str]] = {
    "cancel": "ends jobs when asked",
    "nodes": "gives more than one machine to one job",
    "exit-code": "says the exit code of an ended job",
}
"""Names that the ``capabilities`` of a provider's declaration may use, and what each promises."""


class Provider(ABC):
    """Gets machines for blocks.

    *Life.* ``start``, then any number of calls from one thread, then ``close``, which may be called
    twice. Calls may block, each for a bounded time that the provider's settings name.

    *Promises.* A job is known from the moment ``submit`` returns: a ``status`` that cannot find it
    says ``UNKNOWN`` until there is evidence of its end. States only move forward. What the
    scheduler said is kept in ``reason``. Jobs go on when the client ends only as long as their own
    lease allows.
    """

    @abstractmethod
    def start(self, context: Context) -> None:
        """Make ready, and check what can be checked without a job.

        Raises:
            WeftError: the settings cannot work here; the message says why.
        """

    @abstractmethod
    def submit(self, job: Job) -> JobId:
        """Hand over a job.

        Raises:
            WeftError: it was refused; the message carries the scheduler's own words.
        """

    @abstractmethod
    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How the jobs are: an entry for every id asked for."""

    @abstractmethod
    def cancel(self, ids: Sequence[JobId]) -> None:
        """Ask for jobs to be ended. Asking twice, or for an ended job, is not an error."""

    @abstractmethod
    def close(self) -> None:
        """End every job that is still there, as far as possible, and leave nothing behind."""
