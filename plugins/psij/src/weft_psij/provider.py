"""The provider: asks the process in which PSI/J runs, and believes ends that are proved.

    weft-blocks-…-calls   submit, status, cancel ──▶ line.py ──▶ desk.py ──▶ PSI/J ──▶ sbatch, …
    weft-psij             news of jobs ──▶ what was last said ──▶ judge.py ──▶ status

PSI/J tells of a change by itself, so it is not asked again and again. A process that does not
answer is ended, and what a submission may have left with the batch system ends at once when it
begins: its script is gone. The next process takes up the other jobs by their ids.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from weft.batch.files import ENVIRONMENT, ERR, OUT, environment_text, own_code, written
from weft.batch.script import script
from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Lasting, Paced, Provider, Telling
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft_psij.judge import Heard, judged
from weft_psij.line import Failed, Gone, Line, Silent
from weft_psij.settings import BATCH, PSIJ, seconds_of

__all__ = ["LastingPsijProvider", "PsijProvider", "build", "opened", "python_of"]

SCRIPT: Final = "job.sh"

_LATER: Final = re.compile(
    r"timed out|unable to contact|cannot connect|connection refused|temporarily|try again"
    r"|MaxSubmit|would exceed",
    re.IGNORECASE,
)
_PLACES: Final = ("SLURM_CONF", "SLURM_CLUSTERS", "PBS_SERVER", "PBS_CONF_FILE", "LSF_ENVDIR")
_NAMED: Final[Mapping[str, str]] = {"slurm": "slurm.job-name", "lsf": "lsf.J"}
_RANK: Final = {JobState.QUEUED: 0, JobState.RUNNING: 1, **dict.fromkeys(JOB_ENDED, 2)}


def build(settings: PSIJ) -> PsijProvider:
    """The provider ``psij`` with these settings; jobs of batch systems outlive their client."""
    return (LastingPsijProvider if settings.executor in BATCH else PsijProvider)(settings)


def python_of(settings: PSIJ) -> str:
    """The Python that has PSI/J."""
    return settings.python or sys.executable or "python3"


def opened(settings: PSIJ, line: Line, work: Path) -> str:
    """Have PSI/J loaded, and the executor that is used. Returns the version of PSI/J.

    Raises:
        WeftError: it is not there, too old, or has no such executor.
    """
    what = "PSI/J cannot be used."
    python = python_of(settings)
    try:
        said = line.ask(
            "open",
            settings.command_timeout,
            executor=settings.executor,
            work=str(work),
            interval=settings.poll_interval,
        )
    except Failed as error:
        if error.kind in {"ModuleNotFoundError", "ImportError"} and "psij" in error.words:
            raise WeftError(
                what,
                why=f"The Python {python!r} does not have it: {error.words}.",
                todo="Install it there with 'pip install \"psij-python>=0.9.11\"', or name a "
                "Python that has it in the option python; it may be one of an environment of its "
                "own.",
            ) from error
        raise WeftError(
            what,
            why=f"Its executor {settings.executor!r} cannot be opened: {error}.",
            todo="Some executors need more: 'flux' the Python package of Flux, 'rp' "
            "radical.pilot, in the environment that has psij-python.",
        ) from error
    except (Silent, Gone) as error:
        raise WeftError(
            what,
            why=f"{error}.",
            todo=f"See what this says: {python} -c 'import psij; print(psij.__version__)'",
        ) from error
    version = str(said["psij"])
    if _numbers(version) < (0, 9, 11):
        raise WeftError(
            what,
            why=f"The Python {python!r} has psij-python {version}, and 0.9.11 or newer is needed. "
            "A newer psutil or packaging in the same environment keeps pip from choosing it.",
            todo="Install psij-python>=0.9.11 in an environment of its own, and name its Python "
            "in the option python.",
        )
    return version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version)[:3])


@attrs.frozen(kw_only=True)
class _Said:
    """What PSI/J said of a job; replaced as a whole by the thread that reads.

    Attributes:
        state, words, code: as it said them last.
        seen: whether the batch system has shown the job.
        gone: answers in a row that did not have it.
        attempt: which of the objects that stood for the job said so.
    """

    state: str = "QUEUED"
    words: str = ""
    code: int | None = None
    seen: bool = False
    gone: int = 0
    attempt: int = -1


@attrs.define(eq=False)
class _Known:
    """A job that was submitted here. Belongs to the thread of the calls.

    Attributes:
        key: its name in questions.
        native: its id.
        job: what was submitted.
        status: what was last said of it.
        cancelled: whether it was asked to end.
        attempt: how often it was taken up anew.
        again: not before this is it taken up once more.
        lost: why PSI/J cannot take it up any more; empty as long as it can.
    """

    key: str
    native: str
    job: Job
    status: JobStatus
    cancelled: bool = False
    attempt: int = 0
    again: float = 0.0
    lost: str = ""

    @property
    def ended(self) -> bool:
        return self.status.state in JOB_ENDED


class PsijProvider(Provider, Paced, Telling):
    """Gets nodes by PSI/J."""

    def __init__(self, settings: PSIJ) -> None:
        self._settings = settings
        self._name = f"PSI/J ({settings.executor})"
        self._jobs: dict[JobId, _Known] = {}
        self._said: dict[str, _Said] = {}
        self._line: Line | None = None
        self._work = Path()
        self._lines = 0
        self._changed: Callable[[], None] = lambda: None
        self._context: Context | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------- itself

    @property
    def interval(self) -> float:
        """Seconds between two questions; changes are told by themselves."""
        return self._settings.poll_interval

    @property
    def patience(self) -> float:
        """Seconds in which PSI/J has answered, or was ended, and a fresh one has."""
        return 3 * self._settings.command_timeout + 20.0

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called when PSI/J has told of a job."""
        self._changed = changed

    def start(self, context: Context) -> None:
        """Start the process, and have PSI/J loaded in it.

        Raises:
            WeftError: there is no PSI/J, or it has no such executor.
        """
        self._context = context
        self._work = context.folder / "psij"
        if self._settings.executor in BATCH and set(str(self._work)) & set('"$`\\'):
            raise WeftError(
                "PSI/J cannot be used in this run folder.",
                why=f"It puts the path into scripts between quotes: {str(self._work)!r}.",
                todo="Choose a run folder without quotes, '$', '`' and backslashes in its path.",
            )
        self._work.mkdir(mode=0o700, exist_ok=True)
        self._line = self._begun()

    def _begun(self) -> Line:
        self._lines += 1
        log = self._work / f"desk-{self._lines}.log"
        try:
            line = Line(python_of(self._settings), log, self._hear, self._changed)
        except OSError as error:
            raise WeftError(
                "PSI/J cannot be used.",
                why=f"The Python {python_of(self._settings)!r} cannot be started: {error}.",
                todo="Name one that has psij-python in the option python.",
            ) from error
        try:
            opened(self._settings, line, self._work)
        except BaseException:
            line.kill()
            raise
        return line

    def _living(self) -> Line:
        """The process; if it has ended, a fresh one that has taken up the jobs that there are.

        Raises:
            WeftError: there is none, and none can be started.
        """
        if self._line is not None and self._line.lives:
            return self._line
        if self._line is not None:
            words = self._line.last_words()
            self._line.kill()
            self._line = None
            if self._context is not None:
                self._context.notice(
                    "warning", f"The process of {self._name} is started again: {words}."
                )
        self._line = self._begun()
        for known in self._jobs.values():
            if not known.ended:
                self._take_up(known, self._line, anew=True)
        return self._line

    def _cut(self) -> None:
        """End a process that does not answer; the next question gets a fresh one."""
        if self._line is not None:
            self._line.kill()

    # --------------------------------------------------------------------- the thread that reads

    def _hear(self, said: Mapping[str, Any]) -> None:
        """Take down what PSI/J tells of a job."""
        job = str(said["job"])
        before = self._said[job]
        attempt, state, code = int(said["try"]), str(said["state"]), said["code"]
        if attempt < before.attempt:
            return  # of one that was given up
        gone = 0
        if state == "COMPLETED" and code is None:
            anew = attempt > before.attempt or before.state != "COMPLETED"
            gone = before.gone + int(anew)
        self._said[job] = _Said(
            state=state,
            words=str(said["words"]),
            code=code if isinstance(code, int) else None,
            # PSI/J calls a job that it has just handed over queued, whatever the system thinks.
            seen=before.seen or state == "ACTIVE" or (state == "QUEUED" and attempt > 0),
            gone=gone,
            attempt=attempt,
        )
        self._changed()

    # ------------------------------------------------------------------------------------- submit

    def submit(self, job: Job) -> JobId:
        """Hand a job to PSI/J.

        Raises:
            SubmitLater: the batch system, or PSI/J, does not answer, or takes no more jobs now.
            WeftError: it was refused; the words of the batch system.
        """
        if self._closed:
            raise self._refused(job, "The provider has been closed.", "Submit before closing it.")
        if job.nodes > 1 and self._settings.executor == "local":
            raise self._refused(
                job,
                f"It asks for {job.nodes} machines, and the executor 'local' has this one.",
                "Ask for one node, or use the executor of a batch system.",
            )
        try:
            spec = self._written(job)
        except (OSError, ValueError) as error:
            raise self._refused(
                job,
                f"Its script could not be written: {_in_words(error)}.",
                "Give each job a folder of its own that exists, is empty and can be written.",
            ) from error
        line = self._living()
        key = f"j{len(self._said) + 1}"
        self._said[key] = _Said()
        try:
            answer = line.ask(
                "submit",
                self._settings.command_timeout,
                job=key,
                spec=spec,
                attributes=self._attributes(job),
            )
        except Failed as error:
            raise self._understood(job, error) from error
        except (Silent, Gone) as error:
            self._cut()
            self._void(job)
            raise SubmitLater(
                f"{error}; should the batch system have the job all the same, it ends at once"
            ) from error
        native = str(answer["id"])
        job_id = native if self._settings.executor != "local" else f"local-{key}"
        out, err = (job.folder / name for name in (OUT, ERR))
        status = JobStatus(state=JobState.QUEUED, reason="submitted", stdout=out, stderr=err)
        self._jobs[job_id] = _Known(key=key, native=native, job=job, status=status)
        return job_id

    def _written(self, job: Job) -> dict[str, Any]:
        """Write the files of a job. Returns what PSI/J is told of it."""
        folder = job.folder.absolute()
        if any(not c.isprintable() for c in str(folder)):
            raise ValueError(f"PSI/J cannot be told of the folder {str(folder)!r}")
        # A submission that was given up may still begin, beside one that took its place.
        mark = secrets.token_hex(8)
        # The launchers of PSI/J cannot write to a path that holds a blank.
        out, err = (shlex.quote(str(folder / name)) for name in (OUT, ERR))
        text = script(
            job, lines=[f'[ "$1" = {mark} ] || exit 0', f"exec >{out} 2>{err} </dev/null"]
        )
        written(folder, SCRIPT, text)
        written(folder, ENVIRONMENT, environment_text(job.environment))
        for name in (OUT, ERR):
            written(folder, name, "")
        return {
            "name": job.name,
            "nodes": job.nodes,
            "exclusive": self._settings.exclusive,
            "folder": str(self._work),
            "arguments": [str(folder / SCRIPT), mark],
        }

    def _attributes(self, job: Job) -> dict[str, Any]:
        settings = self._settings
        # PSI/J does not pass the name of a job on.
        name = _NAMED.get(settings.executor)
        named = {name: job.name} if name else {}
        return {
            "seconds": seconds_of(settings.walltime),
            "queue": settings.queue,
            "account": settings.account,
            "reservation": settings.reservation,
            "custom": {**named, **settings.attributes},
        }

    @staticmethod
    def _void(job: Job) -> None:
        """Have a job that nobody knows the id of do nothing, should it ever begin."""
        (job.folder / SCRIPT).unlink(missing_ok=True)

    def _understood(self, job: Job, error: Failed) -> WeftError:
        if _LATER.search(error.words):
            self._void(job)
            return SubmitLater(error.words)
        if error.kind == "FileNotFoundError":
            return self._refused(
                job,
                f"A command of the batch system is not there: {error.words}.",
                "Run the script where jobs are submitted from, with those commands on PATH.",
            )
        return self._refused(
            job,
            f"{self._name} says: {error.words}",
            "Look at the options queue, account, reservation, walltime and attributes.",
        )

    def _refused(self, job: Job, why: str, todo: str) -> WeftError:
        return WeftError(f"{self._name} was not given the job {job.name!r}.", why=why, todo=todo)

    # ------------------------------------------------------------------------------------- status

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How jobs are: by what PSI/J has told, and what they have left themselves."""
        trouble = ""
        if any(one in self._jobs and not self._jobs[one].ended for one in ids):
            try:
                self._living()
            except WeftError as error:
                trouble = f"{error.what} {error.why}"
        return {one: self._told(one, trouble) for one in ids}

    def _told(self, job_id: JobId, trouble: str) -> JobStatus:
        known = self._jobs.get(job_id)
        if known is None:
            return JobStatus(
                state=JobState.UNKNOWN, reason="no job of that name was submitted here"
            )
        if known.ended:
            return known.status
        said = self._said[known.key]
        verdict = judged(
            Heard(
                state="FAILED" if known.lost else said.state,
                words=known.lost or said.words,
                code=said.code,
                own=own_code(known.job.folder),
                cancelled=known.cancelled,
                seen=said.seen,
                gone=said.gone,
            ),
            self._name,
        )
        if verdict.again and self._line is not None and self._line.lives:
            self._take_up(known, self._line)
        state, reason = verdict.state, verdict.reason
        if state is JobState.UNKNOWN or (trouble and state not in JOB_ENDED):
            return attrs.evolve(known.status, state=JobState.UNKNOWN, reason=trouble or reason)
        if _RANK[state] < _RANK[known.status.state]:
            state, reason = known.status.state, f"{reason}, after it had run"
        known.status = attrs.evolve(
            known.status, state=state, reason=reason, exit_code=verdict.code
        )
        return known.status

    def _take_up(self, known: _Known, line: Line, *, anew: bool = False) -> None:
        """Have PSI/J ask about a job that it considers as settled, or does not know.

        Args:
            known: the job.
            line: the process.
            anew: whether that process is fresh; else it is not done before the last time was
                answered, nor too often.
        """
        now = time.monotonic()
        waits = now < known.again or self._said[known.key].attempt < known.attempt
        if waits and not anew:
            return
        known.again = now + self._settings.poll_interval
        known.attempt += 1
        try:
            line.ask(
                "attach",
                self._settings.command_timeout,
                job=known.key,
                native=known.native,
                attempt=known.attempt,
            )
        except Failed as error:
            # Of the executor 'local': its process is no more.
            known.lost = f"it cannot be found any more: {error.words}"
        except (Silent, Gone):
            self._cut()

    # ----------------------------------------------------------------------------------- the end

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Ask for jobs to be ended.

        Raises:
            WeftError: the batch system, or PSI/J, does not take it.
        """
        wanted = [self._jobs[one] for one in ids if one in self._jobs]
        wanted = [one for one in wanted if not one.ended]
        if not wanted:
            return
        until = time.monotonic() + self._settings.command_timeout
        line = self._living()
        failed: list[str] = []
        for known in wanted:
            known.cancelled = True
            try:
                line.ask("cancel", until - time.monotonic(), job=known.key)
            except Failed as error:
                if error.kind != "KeyError":  # it has ended meanwhile
                    failed.append(f"{known.native}: {error.words}")
            except (Silent, Gone) as error:
                self._cut()
                failed.append(f"{known.native}: {error}")
                break
        if failed:
            raise WeftError(
                "Jobs could not be cancelled.",
                why=f"{self._name} says: {'; '.join(failed)}.",
                todo="It is tried again. Should they stay, cancel them by a command of the batch "
                "system.",
            )

    def close(self) -> None:
        """End every job that is not known to have ended, and the process."""
        self._closed = True
        try:
            if self._line is not None and self._settings.executor != "local":
                self.status(list(self._jobs))
                self.cancel(list(self._jobs))
        finally:
            if self._line is not None:
                line, self._line = self._line, None
                line.close()


class LastingPsijProvider(PsijProvider, Lasting):
    """Gets nodes by PSI/J from a batch system, whose jobs outlive their client."""

    @property
    def site(self) -> str:
        """The batch system as this machine reaches it: PSI/J knows no name for it."""
        told = "\0".join(f"{name}={os.environ[name]}" for name in _PLACES if name in os.environ)
        which = hashlib.sha256(told.encode()).hexdigest()[:8] if told else "default"
        return f"psij:{self._settings.executor}:{which}@{socket.gethostname()}"

    def listed(self, jobs: Mapping[JobId, str]) -> Collection[JobId]:
        """Those of these jobs that the batch system lists as this user's. It tells no names.

        Raises:
            WeftError: PSI/J cannot be started.
            RuntimeError: the batch system does not answer.
        """
        try:
            said = self._living().ask("list", self._settings.command_timeout)
        except (Failed, Silent, Gone) as error:
            raise RuntimeError(str(error)) from error
        found = {_short(one) for one in said["ids"]}
        left = [one for one in jobs if _short(one) in found]
        for job_id in left:
            self._adopt(job_id, jobs[job_id])
        return left

    def _adopt(self, job_id: JobId, name: str) -> None:
        """Know a job of an earlier client, so that it can be cancelled."""
        if job_id in self._jobs:
            return
        key = f"j{len(self._said) + 1}"
        self._said[key] = _Said(attempt=0)
        known = _Known(
            key=key,
            native=job_id,
            job=Job(name=name, command="true", folder=self._work / f"adopted-{key}"),
            status=JobStatus(state=JobState.QUEUED, reason="left by an earlier client"),
        )
        self._jobs[job_id] = known
        self._take_up(known, self._living())


def _short(job_id: str) -> str:
    """An id without the name of its server, which qstat cuts off."""
    return job_id.partition(".")[0]


def _in_words(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {str(error.filename)!r}" if error.filename else error.strerror
    return str(error)
