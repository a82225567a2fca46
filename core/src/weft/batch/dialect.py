"""What differs from one batch scheduler to the next.

How a dialect is written. Subclass ``Dialect``; it runs nothing, it only says what to run and what
an answer means, so that it is tested with recorded text.

1.  ``scheduler``, ``needed``, ``ids``: its name, its commands, what its ids look like.
2.  ``meet``: ask whatever tells where this is; give a ``Met`` whose ``site`` is the same for every
    client of this scheduler and for no other, with ``Finding`` for what the settings get wrong.
3.  ``files``: the files of a job, its script from ``weft.batch.script`` among them.
4.  ``submission`` and ``submitted``: the line, and the id in what it prints.
5.  ``refusal``: what its words mean when it does not take a job: later, never, or an option.
6.  ``sources``: where jobs are seen. The first is the queue, and knows all that wait or run; those
    that follow are asked for what it does not know, and only the ends that they tell count.
    ``reasons`` and ``codes`` are where those are told apart from that.
7.  ``mine``: the line for the queue about all jobs with some names.
8.  ``cancellation`` and ``spent``: the line, and whether its complaint is only that a job is over.
9.  ``passing``: whether a failure of a question may be over in a second.
10. A parser raises ``ValueError`` for what is no answer, and ``NoAnswer`` (``Said.good``) for what
    is a refusal to answer. *To say nothing of a job is to say that the scheduler has it no more.*
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import attrs

from weft.batch.commands import Commands, Line, Said
from weft.values.jobs import Job, JobId, JobState
from weft.values.problem import Finding

__all__ = ["Dialect", "Met", "Refusal", "Seen", "Source"]

_DIGITS: Final = re.compile(r"\d+")


@attrs.frozen(kw_only=True)
class Seen:
    """A job as a command of the scheduler shows it.

    Attributes:
        id: the id under which it was asked for.
        state: what its state comes to; ``UNKNOWN`` for a word that is not understood.
        reason: the scheduler's own words for that, and why; for people.
        code: its exit code, where it is told; negative for a signal.
        user: whose it is; empty where it is not told.
        name: its name; empty where it is not told.
        in_array: whether ``name`` is that of the array that it is part of.
        path: its script, a file of its output, or its folder, all of which are in the folder that
            it was given and so tell it from every other job; empty where it is not told.
        stuck: whether it has failed and is kept all the same, until somebody sets it free or
            cancels it; the provider cancels it, since what is replaced must not come back.
    """

    id: JobId
    state: JobState
    reason: str = ""
    code: int | None = None
    user: str = ""
    name: str = ""
    in_array: bool = False
    path: str = ""
    stuck: bool = False

    def has_name(self, name: str) -> bool:
        """Whether it may be the job with this name, as far as names are told."""
        return self.name in {"", name} or (self.in_array and name.startswith(self.name))


@attrs.frozen(kw_only=True)
class Source:
    """A command that shows jobs.

    Attributes:
        name: the command, for people.
        line: the line that asks about some jobs.
        seen: the jobs in what it says; others than those asked for may be among them. Raises
            ``ValueError`` or ``NoAnswer`` if it is no answer.
        batch: jobs that one line asks about at most: a line of arguments has an end.
        costly: whether each question is long to answer, such as one by one from a large file. Then
            it is not asked about jobs whose end is known without it: by their own exit code, or
            since they were cancelled.
    """

    name: str
    line: Callable[[Sequence[JobId]], Line]
    seen: Callable[[Said], Sequence[Seen]]
    batch: int = 200
    costly: bool = False


@attrs.frozen(kw_only=True)
class Refusal:
    """What it means that a job was not taken.

    Attributes:
        said: the scheduler's own words.
        later: whether asking again makes sense.
        doubtful: whether the scheduler may have taken the job all the same.
        todo: what to do about it.
        about: the option that it is about; empty for none in particular.
        known: what there is instead, where it is known, such as the queues of the site.
    """

    said: str
    later: bool = False
    doubtful: bool = False
    todo: str = ""
    about: str = ""
    known: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class Met:
    """What a scheduler has said of itself.

    Attributes:
        site: names it, as ``Lasting.site`` has it.
        findings: what is to be said of the settings; an error among them ends the start.
    """

    site: str
    findings: Sequence[Finding] = ()


class Dialect(ABC):
    """What one kind of batch scheduler is told and says; how to write one is said above."""

    scheduler: ClassVar[str]
    """Its name, for people."""
    needed: ClassVar[Sequence[str]]
    """The commands without which nothing works."""
    ids: ClassVar["re.Pattern[str]"] = _DIGITS
    """What ids of its jobs look like; of others it is not asked."""
    executable: ClassVar[frozenset[str]] = frozenset()
    """Those of ``files`` that have to be executable."""
    forgets: ClassVar[bool] = False
    """Whether it may keep no word of a job that has ended. Then a job that it has shown before, and
    does not show any more when asked several times, has ended, however that was."""
    lag: ClassVar[float] = 0.0
    """Seconds by which it may be late to tell how a job has ended; so long is waited for that."""
    hint: ClassVar[str] = "Run the script on a machine from which jobs are submitted."
    """What to do where commands are missing."""

    # ------------------------------------------------------------------------------ at the start

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment of its commands: that of the client, without what misleads them."""
        return dict(environ)

    @abstractmethod
    def meet(self, commands: Commands) -> Met:
        """Look whether the scheduler answers, and has what the settings name.

        The one method that runs commands: questions alone. All commands are known to be there.

        Raises:
            NoAnswer: it does not answer.
            WeftError: nor will it; the message says why.
        """

    # ------------------------------------------------------------------------------- submissions

    @abstractmethod
    def files(self, job: Job) -> Mapping[str, str]:
        """The files that the job needs in its folder, by name: its script, and what else.

        Its variables, ``job.env``, and its output, ``job.out`` and ``job.err``, are made anyway.

        Raises:
            ValueError: the job cannot be said to this scheduler; the message says why.
        """

    @abstractmethod
    def submission(self, job: Job) -> Line:
        """The line that submits a job whose files are written."""

    @abstractmethod
    def submitted(self, said: Said) -> JobId:
        """The id in what a submission has said that ended well.

        Raises:
            ValueError: there is none.
        """

    @abstractmethod
    def refusal(self, said: Said) -> Refusal:
        """What a submission has said that did not end well, and what to do."""

    # ---------------------------------------------------------------------------------- questions

    @abstractmethod
    def sources(self) -> Sequence[Source]:
        """Where jobs are seen: the queue, then what is asked for those that it does not know."""

    @abstractmethod
    def mine(self, names: Sequence[str]) -> Line:
        """The line that asks the queue about this user's jobs with these names, or all of them."""

    def codes(self) -> Source | None:
        """Where exit codes of ended jobs are told, if the sources do not tell them."""
        return None

    def reasons(self) -> Source | None:
        """Where the reasons of jobs that wait or are stuck are told, if not by the queue."""
        return None

    def left(self, job: Job, job_id: JobId) -> tuple[JobState, str] | None:
        """What files in its folder say of the end of a job that no source knows any more.

        Asked for where the job has not written its exit code itself.
        """
        return None

    def passing(self, said: Said) -> bool:
        """Whether a question, or a cancel, failed for a reason that may be over in a second."""
        return False

    # ------------------------------------------------------------------------------------ the end

    @abstractmethod
    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """The line that asks for jobs to be ended."""

    def spent(self, said: Said) -> bool:
        """Whether a cancellation failed only because jobs have ended, or are not known any more."""
        return False
