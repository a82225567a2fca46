"""A provider gets machines: it hands jobs to whatever owns the machines, and says how they are."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from weft.errors import WeftError
from weft.interfaces.context import Context
from weft.values.jobs import Job, JobId, JobStatus

__all__ = [
    "CAPABILITIES",
    "VERSION",
    "Forwarding",
    "Lasting",
    "Paced",
    "Provider",
    "Several",
    "Telling",
]

VERSION: Final = "1.0"

CAPABILITIES: Final[Mapping[str, str]] = {
    "cancel": "ends jobs when asked",
    "nodes": "gives more than one machine to one job",
    "exit-code": "says the exit code of an ended job",
}
"""Names that the ``capabilities`` of a provider's declaration may use, and what each promises."""


class Provider(ABC):
    """Gets machines for blocks.

    *Life.* ``start``, then any number of calls, one after another and from one thread, then
    ``close``, which may be called twice. Calls may block, each for a bounded time that the
    provider's settings name. A call that does not come back in time is given up: those that follow
    come from another thread, and a job that it brings after all is cancelled.

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
            SubmitLater: it was not taken now, but asking again makes sense.
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


class Paced(ABC):
    """A provider that says how often it may be asked, and how long it may take to answer.

    An ability beside ``Provider``; without it, jobs are asked about every 10 seconds at most, and a
    call is given up after 40.
    """

    @property
    @abstractmethod
    def interval(self) -> float:
        """Seconds between two calls of ``status``; the first ones for a job come sooner."""

    @property
    @abstractmethod
    def patience(self) -> float:
        """Seconds after which a call is given up; more than it takes when all is well."""


class Several(ABC):
    """A provider that takes several jobs at once, for about the price of one.

    An ability beside ``Provider``; without it, jobs are handed over one by one.
    """

    @abstractmethod
    def submit_all(self, jobs: Sequence[Job]) -> Sequence[JobId | WeftError]:
        """Hand over jobs, each of which is from then on a job as any other.

        Returns:
            For each job, in order: its id, or the error that ``submit`` would have raised for it.

        Raises:
            SubmitLater: none was taken now, but asking again makes sense.
            WeftError: none was taken; the message carries the scheduler's own words.
        """


class Telling(ABC):
    """A provider that tells by itself when something happens to a job.

    An ability beside ``Provider``; without it, the provider is asked again and again.
    """

    @abstractmethod
    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called whenever ``status`` would give a new answer for any job.

        Called once, before ``start``. ``changed`` may be called from any thread; it never blocks.
        """


class Forwarding(ABC):
    """A provider that can lead its machines to the client, where the network does not.

    An ability beside ``Provider``; without it, machines are taken to reach the client by the
    network, at one of its own addresses.
    """

    @abstractmethod
    def forward(self, port: int) -> str:
        """Lead every job that is submitted from now on to this port of the client's loopback.

        Called before ``start``; never blocks. Whoever may use the way is for the provider to say,
        so what listens at the port has to ask by itself who comes.

        Returns:
            The variable in which each job finds where the way begins on its machine, such as
            ``tcp://127.0.0.1:41234`` or ``ipc:///tmp/way.sock``. Empty if this provider leads
            nowhere, as its settings say: then machines find the client themselves.
        """


class Lasting(ABC):
    """A provider whose jobs may outlive the client that submitted them.

    An ability beside ``Provider``, and the rule for batch schedulers. Without it, jobs are taken to
    end with their client, and their ids to mean nothing to another one. With it, what a client that
    was killed has left behind is cancelled when the next one starts.
    """

    @property
    @abstractmethod
    def site(self) -> str:
        """Names the scheduler that the ids of jobs belong to, such as ``slurm:cluster``.

        The same for every client that reaches that scheduler, and for no other scheduler. Asked for
        after ``start``; never blocks.
        """

    @abstractmethod
    def listed(self, jobs: Mapping[JobId, str]) -> Collection[JobId]:
        """Those of these jobs that the scheduler still has, waiting or running.

        Called as the other calls are. What it gives is cancelled, so a job counts only if it
        belongs to this user and, as far as the scheduler tells names, has the one that is given.

        Args:
            jobs: the names under which jobs were submitted, perhaps by an earlier client, by id.

        Raises:
            Exception: the scheduler does not say; it is asked again when the next client starts.
        """
