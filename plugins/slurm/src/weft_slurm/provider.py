"""The provider: thin, over ``sbatch``, ``squeue``, ``scancel``, ``scontrol`` and ``sacct``.

No thread: the pool of blocks calls it from one, and each call is a few commands with a time each.

    submit ──▶ script.py ──▶ sbatch
    status ──▶ squeue ──ended──▶ scontrol, for the exit code
                 └──not there──▶ sacct ──not there──▶ the code that the job wrote ──none──▶ UNKNOWN
    cancel ──▶ scancel

*No end is invented.* ``squeue`` forgets an ended job after minutes, accounts lag, and either may be
silent: a job is ended only when one of the three says how.

*No job is lost.* An sbatch that does not come back may have been heard all the same. What it would
have submitted is looked for by name and script, and cancelled, before there is another one.
"""

import contextlib
import getpass
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Lasting, Paced, Provider
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft.values.problem import Severity
from weft_slurm import parse
from weft_slurm.commands import Commands, Said, Silent
from weft_slurm.parse import Seen
from weft_slurm.script import CODE, ENVIRONMENT, SCRIPT, environment_text, inherited, script
from weft_slurm.settings import Slurm
from weft_slurm.site import SETTINGS, Site, judged

__all__ = ["SlurmProvider", "build", "commands_for", "site_of"]

_NEEDED: Final = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
_BATCH: Final = 200
"""Jobs that one command is asked about: a line of arguments has an end."""


def build(settings: Slurm) -> "SlurmProvider":
    """The provider ``slurm`` with these settings."""
    return SlurmProvider(settings)


def commands_for(settings: Slurm) -> Commands:
    """The commands that the settings lead to."""
    return Commands(
        environment=inherited(settings, os.environ),
        timeout=settings.command_timeout,
        cluster=settings.cluster or "",
    )


def site_of(commands: Commands) -> Site:
    """What the cluster says of itself.

    Raises:
        WeftError: it does not answer, or a command is missing.
    """
    missing = [name for name in _NEEDED if commands.find(name) is None]
    if missing:
        raise WeftError(
            "The provider 'slurm' cannot reach Slurm from here.",
            why=f"There is no command {' and no '.join(missing)} on PATH.",
            todo="Run the script on a login node of the cluster; some sites want 'module load "
            "slurm' first.",
        )
    config = _asked(commands, "scontrol", "show", "config")
    lines = _asked(commands, "sinfo", "--noheader", f"--format={parse.SINFO_FORMAT}")
    return Site.of(parse.settings_of(config, SETTINGS), parse.partitions(lines))


def _asked(commands: Commands, name: str, *words: str) -> str:
    try:
        said = commands.run(name, *words)
        trouble = said.words if said.code else ""
    except (OSError, Silent) as error:
        trouble = str(error)
    if trouble:
        raise WeftError(
            "Slurm does not answer.",
            why=f"'{name} {' '.join(words)}' says: {trouble}",
            todo="Try 'sinfo' in a terminal. If it says the same, the cluster's controller is down "
            "or this machine does not belong to it: ask whoever runs it.",
        )
    return said.out


@attrs.define(eq=False)
class _Known:
    """A job that was submitted here.

    Attributes:
        folder: its folder.
        status: what was last said of it.
    """

    folder: Path
    status: JobStatus

    @property
    def ended(self) -> bool:
        return self.status.state in JOB_ENDED


class SlurmProvider(Provider, Paced, Lasting):
    """Gets nodes from Slurm."""

    def __init__(self, settings: Slurm) -> None:
        self._settings = settings
        self._commands = commands_for(settings)
        self._jobs: dict[JobId, _Known] = {}
        # Scripts of submissions that did not come back, by their jobs' names.
        self._doubtful: dict[str, str] = {}
        self._site: Site | None = None
        self._user = ""
        self._closed = False

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
        """The cluster, and the machine of its controller: there are many clusters called alike."""
        assert self._site is not None, "asked for before start"
        return f"slurm:{self._site.name}@{self._site.controller}"

    def start(self, context: Context) -> None:
        """Look whether the cluster answers, and has what the settings name.

        Raises:
            WeftError: it does not answer, or has no such partition.
        """
        self._user = getpass.getuser()
        self._site = site_of(self._commands)
        for finding in judged(self._settings, self._site):
            if finding.severity is Severity.ERROR:
                raise WeftError(finding.what, why=finding.why, todo=finding.remedy)
            if finding.severity is Severity.WARNING:
                context.notice("warning", f"{finding.what} {finding.why} {finding.remedy}")

    # ------------------------------------------------------------------------------------- submit

    def submit(self, job: Job) -> JobId:
        """Hand a job to sbatch.

        Raises:
            SubmitLater: the controller does not answer, or there are too many jobs already.
            WeftError: it was refused, with the words of sbatch.
        """
        if self._closed:
            raise _refused(job, "The provider has been closed.", "Submit before closing it.")
        self._end_doubtful()
        try:
            path = self._written(job)
        except (OSError, ValueError) as error:
            raise _refused(
                job,
                f"Its script could not be written: {_said(error)}.",
                "Give each job a folder of its own that exists, is empty and can be written.",
            ) from error
        try:
            said = self._commands.run("sbatch", "--parsable", str(path))
        except OSError as error:
            raise _refused(
                job, f"sbatch could not be started: {error}.", "Have sbatch on PATH."
            ) from error
        except Silent as error:
            self._doubtful[job.name] = str(path)
            raise SubmitLater(
                f"{error}; whether Slurm has the job all the same is looked for before the next one"
            ) from error
        if said.code:
            raise self._understood(job, said)
        try:
            job_id = parse.submitted(said.out)
        except ValueError as error:
            self._doubtful[job.name] = str(path)
            raise _refused(
                job,
                f"{error}.",
                "Find out what stands in the place of sbatch on this machine; the job that it may "
                "have submitted is looked for and cancelled.",
            ) from error
        out, err = (job.folder / f"job.{end}" for end in ("out", "err"))
        status = JobStatus(state=JobState.QUEUED, reason="submitted", stdout=out, stderr=err)
        self._jobs[job_id] = _Known(folder=job.folder, status=status)
        return job_id

    def _written(self, job: Job) -> Path:
        text = script(self._settings, job)
        folder = job.folder.absolute()
        for name, content in (
            (SCRIPT, text),
            (ENVIRONMENT, environment_text(job.environment)),
            # Made here, so that nobody else can read them: what Slurm makes, many can.
            ("job.out", ""),
            ("job.err", ""),
        ):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as file:
                file.write(content.encode("utf-8", "surrogateescape"))
        return folder / SCRIPT

    def _understood(self, job: Job, said: Said) -> WeftError:
        """The error for what sbatch said."""
        refusal = parse.refusal(said.err or said.out)
        if refusal.later:
            return SubmitLater(refusal.said)
        why, todo = f"sbatch says: {refusal.said}", refusal.todo
        given = getattr(self._settings, refusal.about) if refusal.about else None
        if given:
            why += f" (The option {refusal.about} is {given!r}.)"
        if refusal.about == "partition" and self._site is not None:
            why += f" The cluster has {', '.join(p.name for p in self._site.partitions)}."
        return _refused(job, why, todo)

    def _end_doubtful(self) -> None:
        """Have cancelled what submissions may have left that did not come back.

        Raises:
            SubmitLater: it cannot be found out whether there is such a job.
        """
        if not self._doubtful:
            return
        try:
            found = [
                seen.id
                for seen in self._queue("--name", ",".join(self._doubtful))
                if self._doubtful.get(seen.name) == seen.command
            ]
            self._scancel(found)
        except (OSError, Silent, _Failed) as error:
            raise SubmitLater(
                f"{error}; a job may be there of which sbatch did not tell"
            ) from error
        self._doubtful.clear()

    # ------------------------------------------------------------------------------------- status

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        """How jobs are: by squeue, or accounts, or the code that the job itself has written."""
        asked = [one for one in ids if one.isdigit() and not self._is_over(one)]
        found, trouble = self._seen(asked)
        for job_id in asked:
            self._note(job_id, found.get(job_id), trouble)
        return {job_id: self._told(job_id, found.get(job_id), trouble) for job_id in ids}

    def _is_over(self, job_id: JobId) -> bool:
        known = self._jobs.get(job_id)
        return known is not None and known.ended

    def _seen(self, ids: Sequence[JobId]) -> tuple[dict[JobId, Seen], str]:
        """What squeue says of these, and accounts of the others; and why it may be too little."""
        found: dict[JobId, Seen] = {}
        try:
            for some in _batches(ids):
                found |= {one.id: one for one in self._queue("--jobs", ",".join(some))}
        except (OSError, Silent, _Failed) as error:
            # While the controller is silent, nothing is known to have ended.
            return found, str(error)
        left = [one for one in ids if one not in found]
        trouble = ""
        if left and self._site is not None and self._site.accounts:
            try:
                for some in _batches(left):
                    found |= {one.id: one for one in self._accounts(some)}
            except (OSError, Silent, _Failed) as error:
                trouble = str(error)
        try:
            for one in list(found.values()):
                if one.code is None and parse.state_of(one.state) in _CODED:
                    found[one.id] = attrs.evolve(one, code=self._code(one.id))
        except (OSError, Silent) as error:
            trouble = trouble or str(error)  # how they ended is known all the same
        return found, trouble

    def _queue(self, *which: str) -> list[Seen]:
        """What squeue says; jobs that it has forgotten are not among it."""
        said = self._commands.run(
            "squeue", "--noheader", "--states=all", f"--format={parse.SQUEUE_FORMAT}", *which
        )
        if said.code and parse.knows_none(said.err):
            return []
        if said.code:
            raise _Failed(f"squeue: {said.words}")
        return parse.queued(said.out)

    def _accounts(self, ids: Sequence[JobId]) -> list[Seen]:
        """The ends that accounts know. What they take to go on, the controller has forgotten."""
        said = self._commands.run(
            *("sacct", "--noheader", "--parsable2", "--allocations"),
            *(f"--format={parse.SACCT_FORMAT}", f"--jobs={','.join(ids)}"),
        )
        if said.code:
            raise _Failed(f"sacct: {said.words}")
        return [one for one in parse.accounted(said.out) if parse.state_of(one.state) in JOB_ENDED]

    def _code(self, job_id: JobId) -> int | None:
        said = self._commands.run("scontrol", "--oneliner", "show", "job", job_id)
        return None if said.code else parse.code_of(said.out)

    def _note(self, job_id: JobId, seen: Seen | None, trouble: str) -> None:
        """Take down what was said of a job of ours; what it has been once stays."""
        known = self._jobs.get(job_id)
        if known is None:
            return
        if seen is None:
            if not trouble:
                self._note_own_word(known)
            return
        state = parse.state_of(seen.state)
        if state is JobState.UNKNOWN:
            return
        reason = parse.words(seen)
        if state is JobState.QUEUED and known.status.state is JobState.RUNNING:
            state, reason = JobState.RUNNING, f"{reason}, after it had run"
        known.status = attrs.evolve(
            known.status,
            state=state,
            reason=reason,
            exit_code=seen.code if state in JOB_ENDED else None,
        )

    def _note_own_word(self, known: _Known) -> None:
        """Slurm has forgotten the job: believe what it wrote itself as its last deed."""
        try:
            code = int((known.folder / CODE).read_text("ascii"))
        except (OSError, ValueError):
            return
        known.status = attrs.evolve(
            known.status,
            state=JobState.FAILED if code else JobState.DONE,
            reason=f"Slurm has forgotten the job, which wrote exit code {code} at its end",
            exit_code=code,
        )

    def _told(self, job_id: JobId, seen: Seen | None, trouble: str) -> JobStatus:
        known = self._jobs.get(job_id)
        if known is not None and known.ended:
            return known.status
        if seen is not None and parse.state_of(seen.state) is not JobState.UNKNOWN:
            if known is not None:
                return known.status
            state = parse.state_of(seen.state)
            code = seen.code if state in JOB_ENDED else None
            return JobStatus(state=state, reason=parse.words(seen), exit_code=code)
        if trouble:
            reason = f"it could not be asked: {trouble}"
        elif seen is not None:
            reason = parse.words(seen)
        elif not job_id.isdigit():
            reason = f"{job_id!r} is no id of a job of Slurm"
        else:
            reason = "neither squeue nor accounts know the job"
        unknown = JobStatus(state=JobState.UNKNOWN, reason=reason)
        if known is not None:
            unknown = attrs.evolve(unknown, stdout=known.status.stdout, stderr=known.status.stderr)
        return unknown

    # ----------------------------------------------------------------------------------- the end

    def cancel(self, ids: Sequence[JobId]) -> None:
        """Ask for jobs to be ended; Slurm gives them the cluster's ``KillWait`` to do so.

        Raises:
            WeftError: the controller does not answer.
        """
        wanted = [one for one in ids if one.isdigit() and not self._is_over(one)]
        try:
            self._scancel(wanted)
        except (OSError, Silent, _Failed) as error:
            raise WeftError(
                f"Jobs could not be cancelled: {', '.join(wanted)}.",
                why=f"{error}.",
                todo=f"It is tried again. Should they stay, run 'scancel {' '.join(wanted)}'.",
            ) from error

    def _scancel(self, ids: Sequence[JobId]) -> None:
        for some in _batches(ids):
            said = self._commands.run("scancel", *some)
            # That a job has ended, or is not known any more, is as good.
            if said.code and not _SPENT.search(said.err):
                raise _Failed(f"scancel: {said.words}")

    def listed(self, jobs: Mapping[JobId, str]) -> Collection[JobId]:
        """Those of these jobs that wait or run, are this user's, and have the name given.

        Raises:
            OSError: squeue cannot be started.
            RuntimeError: it does not answer.
        """
        ids = [one for one in jobs if one.isdigit()]
        try:
            found = [one for some in _batches(ids) for one in self._queue("--jobs", ",".join(some))]
        except (Silent, _Failed) as error:
            raise RuntimeError(str(error)) from error
        return [
            one.id
            for one in found
            if one.user == self._user
            and one.name == jobs.get(one.id)
            and parse.state_of(one.state) not in JOB_ENDED
        ]

    def close(self) -> None:
        """Cancel every job that is not known to have ended."""
        self._closed = True
        left = [job_id for job_id, known in self._jobs.items() if not known.ended]
        if self._site is None or not (left or self._doubtful):
            return
        with contextlib.suppress(SubmitLater):
            self._end_doubtful()
        self.cancel(left)


class _Failed(Exception):
    """A command ended with an error; its words."""


# A cancelled job has the code of what ended it, which says nothing.
_CODED: Final = JOB_ENDED - {JobState.CANCELLED}
_SPENT: Final = re.compile(r"Invalid job id|already completing or completed", re.IGNORECASE)


def _batches(ids: Sequence[JobId]) -> Iterator[Sequence[JobId]]:
    for begin in range(0, len(ids), _BATCH):
        yield ids[begin : begin + _BATCH]


def _said(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {str(error.filename)!r}" if error.filename else error.strerror
    return str(error)


def _refused(job: Job, why: str, todo: str) -> WeftError:
    return WeftError(f"Slurm was not given the job {job.name!r}.", why=why, todo=todo)
