"""A provider over any dialect.

No thread: the pool of blocks calls it from one, and each call is a few commands with a time each.

    submit ──▶ files of the job ──▶ the line that submits
    status ──▶ queue ──not there──▶ history ──not there──▶ what the job left itself ──▶ UNKNOWN
    cancel ──▶ the line that cancels

*No end is invented.* Queues forget an ended job, histories lag, and either may be silent. A job has
ended when one of them says how, or when it has left the exit code that it writes as its last deed.
That the scheduler has it no more is an end in two cases alone: it was asked to cancel the job, or
it is one that forgets, has shown the job before, and was asked several times.

*No job is lost.* A submission that does not come back may have been heard all the same. What it may
have left is looked for by name and folder, and cancelled, before there is another one.

*States move forward.* A job that goes back into the queue stays what it was; an end is an end.
"""

import contextlib
import getpass
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import attrs

from weft.batch.commands import Commands, Line, NoAnswer, NotStarted, Said, Silent
from weft.batch.dialect import Dialect, Met, Refusal, Seen, Source
from weft.batch.files import ENVIRONMENT, ERR, OUT, environment_text, own_code, written
from weft.batch.settings import BatchSettings
from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Lasting, Paced, Provider
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft.values.problem import Severity

__all__ = ["BatchProvider", "commands_of", "met"]

_T = TypeVar("_T")

_GONE: Final = 3
"""Answers in a row without a job after which a scheduler that forgets has it no more."""
_SHARE: Final = 2
"""Times of a command after which a call asks nothing more: the last question may take one, too."""
_SIGNALS: Final = 128
"""Above this, an exit code of a shell stands for the signal that ended its command."""


def commands_of(dialect: Dialect, settings: BatchSettings) -> Commands:
    """The commands of the scheduler, as the settings have it."""
    return Commands(environment=dialect.environment(os.environ), timeout=settings.command_timeout)


def met(dialect: Dialect, commands: Commands) -> Met:
    """What the scheduler says of itself; for a provider's start, and for its checks.

    Raises:
        WeftError: it does not answer, or a command is missing.
    """
    missing = commands.missing(dialect.needed)
    if missing:
        raise WeftError(
            f"{dialect.scheduler} cannot be reached from here.",
            why=f"There is no command {' and no '.join(missing)} on PATH.",
            todo=dialect.hint,
        )
    try:
        return dialect.meet(commands)
    except (NoAnswer, ValueError) as error:
        raise WeftError(
            f"{dialect.scheduler} does not answer.",
            why=f"{error}.",
            todo="Try that command in a terminal. If it says the same, the scheduler is down or "
            "this machine does not belong to it: ask whoever runs it.",
        ) from error


@attrs.define(eq=False)
class _Known:
    """A job that was submitted here.

    Attributes:
        job: what was submitted.
        status: what was last said of it.
        cancelled: whether the scheduler was asked to end it.
        shown: whether the scheduler has ever shown it.
        absent: answers in a row that did not have it.
        gone: when the first of those came, by the monotonic clock.
    """

    job: Job
    status: JobStatus
    cancelled: bool = False
    shown: bool = False
    absent: int = 0
    gone: float = 0.0

    @property
    def ended(self) -> bool:
        return self.status.state in JOB_ENDED

    def ended_by_itself(self) -> bool:
        """Whether it came to its last deed, and no signal had kept it from all before that."""
        code = own_code(self.job.folder)
        return code is not None and code < _SIGNALS

    def note(self, state: JobState, reason: str, code: int | None = None) -> None:
        self.status = attrs.evolve(self.status, state=state, reason=reason, exit_code=code)


class BatchProvider(Provider, Paced, Lasting):
    """Gets machines from the batch scheduler whose dialect it is given."""

    def __init__(self, dialect: Dialect, settings: BatchSettings) -> None:
        self._dialect, self._settings = dialect, settings
        self._commands = commands_of(dialect, settings)
        self._jobs: dict[JobId, _Known] = {}
        # Folders of submissions that may have been heard, by their jobs' names.
        self._doubtful: dict[str, Path] = {}
        self._met: Met | None = None
        self._user = ""
        self._closed = False
        # When the call that is being made asks no more questions.
        self._until = 0.0

    # ------------------------------------------------------------------------------------- itself

    @property
    def interval(self) -> float:
        """Seconds between two questions about jobs."""
        return self._settings.poll_interval

    @property
    def patience(self) -> float:
        """Seconds in which the few commands of a call have come back, or have been ended."""
        return 3 * self._settings.command_timeout + 10.0

    @property
    def site(self) -> str:
        """The scheduler, as its dialect names it."""
        assert self._met is not None, "asked for before start"
        return self._met.site

    def start(self, context: Context) -> None:
        """Look whether the scheduler answers, and has what the settings name.

        Raises:
            WeftError: it does not, or has not.
        """
        self._user = getpass.getuser()
        found = met(self._dialect, self._commands)
        for finding in found.findings:
            if finding.severity is Severity.ERROR:
                raise WeftError(finding.what, why=finding.why, todo=finding.remedy)
            if finding.severity is Severity.WARNING:
                context.notice("warning", f"{finding.what} {finding.why} {finding.remedy}")
        self._met = found

    # ------------------------------------------------------------------------------------- submit

    def submit(self, job: Job) -> JobId:
        """Hand over a job.

        Raises:
            SubmitLater: the scheduler does not answer, or takes no job now.
            WeftError: it was refused, with the scheduler's words.
        """
        self._begin(job.name)
        with self._writing(job.name):
            self._write(job, self._dialect.files(job))
        job_id = self._said_of(
            self._dialect.submission(job), self._dialect.submitted, job.name, job.folder
        )
        self._take(job_id, job)
        return job_id

    def _begin(self, name: str) -> None:
        """Before something is submitted: it may be, and nothing is open of what was before."""
        if self._closed:
            raise self._refused(name, "The provider has been closed.", "Submit before closing it.")
        self._end_doubtful()

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise self._refused(
                name,
                f"Its script could not be written: {_said(error)}.",
                "Give each job a folder of its own that exists, is empty and can be written.",
            ) from error

    def _write(self, job: Job, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            mode = 0o700 if name in self._dialect.executable else 0o600
            written(job.folder, name, text, mode)
        written(job.folder, ENVIRONMENT, environment_text(job.environment))
        # Made here, so that nobody else can read them: what schedulers make, many can.
        written(job.folder, OUT, "")
        written(job.folder, ERR, "")

    def _said_of(self, line: Line, read: Callable[[Said], _T], name: str, folder: Path) -> _T:
        """Submit something, which has this name and folder, and read what comes back.

        Raises:
            SubmitLater: it was not taken now, or it is not known whether it was.
            WeftError: it was refused.
        """
        try:
            said = self._commands.once(line)
        except NotStarted as error:
            why = f"{line.name} could not be run: {error}."
            raise self._refused(name, why, self._dialect.hint) from error
        except Silent as error:
            raise self._doubted(name, folder, str(error)) from error
        if said.code < 0:  # nor has this one come to say what it did
            raise self._doubted(name, folder, f"{said.name}: {said.words}")
        if said.code:
            refusal = self._dialect.refusal(said)
            if refusal.doubtful:
                raise self._doubted(name, folder, refusal.said)
            raise self._understood(name, line, refusal)
        try:
            return read(said)
        except ValueError as error:
            self._doubtful[name] = folder
            raise self._refused(
                name,
                f"{error}.",
                f"Find out what stands in the place of {line.name} on this machine; the job that "
                "it may have submitted is looked for and cancelled.",
            ) from error

    def _take(self, job_id: JobId, job: Job) -> None:
        """From now on the job is one of ours."""
        out, err = (job.folder / name for name in (OUT, ERR))
        status = JobStatus(state=JobState.QUEUED, reason="submitted", stdout=out, stderr=err)
        self._jobs[job_id] = _Known(job=job, status=status)

    def _doubted(self, name: str, folder: Path, why: str) -> SubmitLater:
        self._doubtful[name] = folder
        return SubmitLater(
            f"{why}; whether {self._dialect.scheduler} has the job all the same is looked for "
            "before the next one"
        )

    def _understood(self, name: str, line: Line, refusal: Refusal) -> WeftError:
        """The error for what was not taken."""
        if refusal.later:
            return SubmitLater(refusal.said)
        why = f"{line.name} says: {refusal.said}"
        given = getattr(self._settings, refusal.about) if refusal.about else None
        if given:
            why += f" (The option {refusal.about} is {given!r}.)"
        if refusal.known:
            why += f" There is {', '.join(refusal.known)}."
        return self._refused(name, why, refusal.todo)

    def _end_doubtful(self) -> None:
        """Have cancelled what submissions may have left that did not come back.

        Raises:
            SubmitLater: it cannot be found out whether there is such a job.
        """
        if not self._doubtful:
            return
        queue = self._dialect.sources()[0]
        try:
            said = self._commands.ask(
                self._dialect.mine(tuple(self._doubtful)), self._dialect.passing
            )
            found = [
                seen.id
                for seen in _parsed(queue, said)
                if _is_there(seen)
                and seen.id not in self._jobs
                and _is_in(seen.path, self._doubtful.get(seen.name))
            ]
            self._end(found)
        except NoAnswer as error:
            raise SubmitLater(
                f"{error}; a job may be there of which its submission did not tell"
            ) from error
        self._doubtful.clear()

    # ------------------------------------------------------------------------------------- status

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How jobs are: by the queue, or the history, or what the job itself has left."""
        self._until = time.monotonic() + _SHARE * self._settings.command_timeout
        asked = [one for one in dict.fromkeys(ids) if self._may_be(one)]
        found, trouble = self._seen(asked)
        self._fill_reasons(found)
        self._end_stuck(found)
        for job_id in asked:
            if (known := self._jobs.get(job_id)) is not None:
                self._note(job_id, known, found.get(job_id), trouble)
        self._fill_codes(found)
        return {job_id: self._told(job_id, found.get(job_id), trouble) for job_id in ids}

    def _may_be(self, job_id: JobId) -> bool:
        """Whether there is something to ask about a job."""
        known = self._jobs.get(job_id)
        is_over = known is not None and known.ended
        return not is_over and self._dialect.ids.fullmatch(job_id) is not None

    def _seen(self, ids: Sequence[JobId]) -> tuple[dict[JobId, Seen], str]:
        """What the sources say of jobs, one after the other; and why that may be too little."""
        found: dict[JobId, Seen] = {}
        for place, source in enumerate(self._dialect.sources()):
            left = [one for one in ids if one not in found]
            if source.costly:
                left = [one for one in left if not self._is_told(one)]
            try:
                for seen in self._asked(source, left):
                    # What a history takes to go on, the queue has forgotten: it lags.
                    if seen.id in left and (place == 0 or seen.state in JOB_ENDED):
                        found[seen.id] = seen
            except NoAnswer as error:
                # While one of them is silent, nothing is known to have ended.
                return found, str(error)
        return found, ""

    def _is_told(self, job_id: JobId) -> bool:
        """Whether it is known how a job that has gone has ended."""
        known = self._jobs.get(job_id)
        return known is not None and (known.cancelled or own_code(known.job.folder) is not None)

    def _asked(self, source: Source, ids: Sequence[JobId]) -> Iterator[Seen]:
        for some in _batches(ids, source.batch):
            if time.monotonic() >= self._until:
                raise NoAnswer(f"{source.name} is asked next time: there was no time left for it")
            yield from _parsed(source, self._commands.ask(source.line(some), self._dialect.passing))

    def _note(self, job_id: JobId, known: _Known, seen: Seen | None, trouble: str) -> None:
        """Take down what was said of a job of ours; what it has been once stays."""
        if seen is None:
            if not trouble:
                if not known.absent:
                    known.gone = time.monotonic()
                known.absent += 1
                self._note_absent(job_id, known)
            return
        known.absent, known.shown = 0, True
        state, reason = seen.state, seen.reason
        if state is JobState.UNKNOWN:
            return
        if state is JobState.QUEUED and known.status.state is JobState.RUNNING:
            state, reason = JobState.RUNNING, f"{reason}, after it had run"
        asked_for = known.cancelled and not seen.stuck and not known.ended_by_itself()
        if state is JobState.FAILED and asked_for:
            state, reason = JobState.CANCELLED, f"{reason}, since it was cancelled"
        known.note(state, reason, seen.code if state in JOB_ENDED else None)

    def _note_absent(self, job_id: JobId, known: _Known) -> None:
        """The scheduler has the job no more: believe what it left itself, or what we asked for."""
        scheduler = self._dialect.scheduler
        code = own_code(known.job.folder)
        if code is not None:
            state = JobState.FAILED if code else JobState.DONE
            reason = f"{scheduler} has forgotten the job, which wrote exit code {code} at its end"
            known.note(state, reason, code)
        elif (left := self._dialect.left(known.job, job_id)) is not None:
            state, reason = left
            if state is JobState.FAILED and known.cancelled:
                state, reason = JobState.CANCELLED, f"{reason}, since it was cancelled"
            known.note(state, reason)
        elif known.cancelled:
            known.note(JobState.CANCELLED, f"it was cancelled, and {scheduler} has it no more")
        elif self._dialect.forgets and known.shown and self._is_gone(known):
            reason = f"{scheduler} has it no more, and does not say how it ended"
            known.note(JobState.FAILED, reason)

    def _is_gone(self, known: _Known) -> bool:
        """Whether there has been time enough for word of its end."""
        since = time.monotonic() - known.gone
        return known.absent >= _GONE and since >= self._dialect.lag

    def _fill_reasons(self, found: dict[JobId, Seen]) -> None:
        """Reasons that the queue did not tell, behind what it did."""
        source = self._dialect.reasons()
        why = [one for one, seen in found.items() if seen.stuck or seen.state is JobState.QUEUED]
        if source is None or not why:
            return
        # How they are is known all the same.
        with contextlib.suppress(NoAnswer):
            for seen in self._asked(source, why):
                if seen.reason and (shown := found.get(seen.id)) is not None:
                    reason = f"{shown.reason}: {seen.reason}" if shown.reason else seen.reason
                    found[seen.id] = attrs.evolve(shown, reason=reason)

    def _end_stuck(self, found: dict[JobId, Seen]) -> None:
        """Have cancelled what has failed and would stay. While it stays, it has not ended."""
        stuck = [one for one, seen in found.items() if seen.stuck and one in self._jobs]
        try:
            self._end(stuck)
        except NoAnswer:
            for job_id in stuck:
                found[job_id] = attrs.evolve(found[job_id], state=JobState.UNKNOWN)

    def _fill_codes(self, found: Mapping[JobId, Seen]) -> None:
        """Exit codes that the sources did not tell: by the job itself, or by whoever knows."""
        # A cancelled job has the code of what ended it, which says nothing.
        missing = {
            job_id: known
            for job_id in found
            if (known := self._jobs.get(job_id)) is not None
            and known.status.exit_code is None
            and known.status.state in _CODED
        }
        for job_id, known in list(missing.items()):
            code = own_code(known.job.folder)
            # One that wrote its code, and came to another end after that, has none.
            if code is not None and (code == 0) == (known.status.state is JobState.DONE):
                known.status = attrs.evolve(known.status, exit_code=code)
                del missing[job_id]
        source = self._dialect.codes()
        if source is None:
            return
        # How they ended is known all the same.
        with contextlib.suppress(NoAnswer):
            for seen in self._asked(source, list(missing)):
                if (known_one := missing.get(seen.id)) is not None:
                    known_one.status = attrs.evolve(known_one.status, exit_code=seen.code)

    def _told(self, job_id: JobId, seen: Seen | None, trouble: str) -> JobStatus:
        known = self._jobs.get(job_id)
        if known is not None and (known.ended or _is_clear(seen)):
            return known.status
        if seen is not None and _is_clear(seen):
            code = seen.code if seen.state in JOB_ENDED else None
            return JobStatus(state=seen.state, reason=seen.reason, exit_code=code)
        if trouble:
            reason = f"it could not be asked: {trouble}"
        elif seen is not None:
            reason = seen.reason
        elif self._dialect.ids.fullmatch(job_id) is None:
            reason = f"{job_id!r} is no id of a job of {self._dialect.scheduler}"
        else:
            names = [source.name for source in self._dialect.sources()]
            reason = f"the job is not known to {' or '.join(names)}"
        unknown = JobStatus(state=JobState.UNKNOWN, reason=reason)
        if known is not None:
            unknown = attrs.evolve(unknown, stdout=known.status.stdout, stderr=known.status.stderr)
        return unknown

    # ----------------------------------------------------------------------------------- the end

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Ask for jobs to be ended; how long they have to do so is the scheduler's rule.

        Raises:
            WeftError: the scheduler does not answer, or will not.
        """
        wanted = [one for one in dict.fromkeys(ids) if self._may_be(one)]
        try:
            self._end(wanted)
        except NoAnswer as error:
            line = self._dialect.cancellation(wanted)
            raise WeftError(
                f"Jobs could not be cancelled: {', '.join(wanted)}.",
                why=f"{error}.",
                todo=f"It is tried again. Should they stay, run '{line}'.",
            ) from error

    def _end(self, ids: Sequence[JobId]) -> None:
        for some in _batches(ids, self._dialect.sources()[0].batch):
            try:
                said = self._commands.ask(self._dialect.cancellation(some), self._dialect.passing)
            except Silent:  # it may have been heard
                self._note_cancelled(some)
                raise
            # That a job has ended, or is not known any more, is as good.
            if said.code and not self._dialect.spent(said):
                said.good()
            self._note_cancelled(some)

    def _note_cancelled(self, ids: Sequence[JobId]) -> None:
        for job_id in ids:
            if (known := self._jobs.get(job_id)) is not None:
                known.cancelled = True

    def listed(self, jobs: Mapping[JobId, str]) -> Collection[JobId]:
        """Those of these jobs that wait or run, are this user's, and have the name given.

        Raises:
            RuntimeError: the queue does not say.
        """
        self._until = time.monotonic() + _SHARE * self._settings.command_timeout
        ids = [one for one in jobs if self._dialect.ids.fullmatch(one)]
        try:
            found = list(self._asked(self._dialect.sources()[0], ids))
        except NoAnswer as error:
            raise RuntimeError(str(error)) from error
        return {
            one.id
            for one in found
            if one.id in jobs
            and one.user in {"", self._user}
            and one.has_name(jobs[one.id])
            and _is_there(one)
        }

    def close(self) -> None:
        """Cancel every job that is not known to have ended."""
        self._closed = True
        left = [job_id for job_id, known in self._jobs.items() if not known.ended]
        if self._met is None or not (left or self._doubtful):
            return
        with contextlib.suppress(SubmitLater):
            self._end_doubtful()
        self.cancel(left)

    def _refused(self, name: str, why: str, todo: str) -> WeftError:
        return WeftError(
            f"{self._dialect.scheduler} was not given the job {name!r}.", why=why, todo=todo
        )


_CODED: Final = JOB_ENDED - {JobState.CANCELLED}


def _parsed(source: Source, said: Said) -> Sequence[Seen]:
    """The jobs in an answer.

    Raises:
        NoAnswer: it is none.
    """
    try:
        return source.seen(said)
    except ValueError as error:
        raise NoAnswer(f"{source.name} says what is not understood: {error}") from error


def _is_there(seen: Seen) -> bool:
    """Whether the scheduler still has a job that may go on, as one that is stuck may."""
    return seen.stuck or seen.state not in JOB_ENDED


def _is_clear(seen: Seen | None) -> bool:
    return seen is not None and seen.state is not JobState.UNKNOWN


def _is_in(path: str, folder: Path | None) -> bool:
    """Whether a path that a scheduler shows is a job's folder, or a file of it."""
    if not path or folder is None:
        return False
    shown, wanted = Path(path), folder.absolute()
    # Some schedulers show where a link leads to.
    return not {wanted, wanted.resolve()}.isdisjoint({shown, shown.parent})


def _batches(ids: Iterable[_T], size: int) -> Iterator[list[_T]]:
    every = list(ids)
    for begin in range(0, len(every), size):
        yield every[begin : begin + size]


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {str(error.filename)!r}" if error.filename else error.strerror
    return str(error)
