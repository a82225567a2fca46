"""A tiny job, taken from its submission to its end and told step by step.

What ``weft provider try`` shows. The provider is used as the pool of blocks uses it, by one thread:
started, given a job, asked as often as it wants to be, told to cancel what does not end, closed.
The job says where it runs and with which Python, so that a launcher that starts nothing on the
second node, or nodes that lack what the submitting machine has, are seen before real work is.
"""

import json
import platform
import shlex
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from weft import __version__
from weft.blocks.diagnosis import tail
from weft.errors import SubmitLater, WeftError
from weft.interfaces.context import Context
from weft.interfaces.launcher import Launcher
from weft.interfaces.provider import Paced, Provider, Telling
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft.values.problem import Finding, Severity

__all__ = ["Place", "Trial", "judged", "places", "probe_command"]

_MARK: Final = "weft-probe "
_FIRST_PAUSE: Final = 0.25
_USUAL_PAUSE: Final = 10.0
# Seconds that a scheduler gets to end a job that it was told to end.
_ENDING: Final = 60.0

# Run by the Python of a node, which may be an old one and may not have weft.
_PROBE: Final = f"""\
import json, os, platform, sys
try:
    from weft import __version__ as weft
except ImportError:
    weft = ""
seen = {{"host": platform.node(), "python": platform.python_version(), "weft": weft}}
seen["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
sys.stdout.write({_MARK!r} + json.dumps(seen) + "\\n")
"""


@attrs.frozen(kw_only=True)
class Place:
    """What a copy of the job said of where it runs.

    Attributes:
        host: the name of the machine.
        python, weft: versions; ``weft`` is empty where it is not installed.
        cores: that the job may use; 0 where the system does not say.
    """

    host: str
    python: str
    weft: str
    cores: int


def probe_command(python: str = "", init: str = "") -> str:
    """Shell text that says where it runs.

    Args:
        python: the interpreter of the nodes; the one that runs now when left out.
        init: shell text to be run before it.
    """
    probe = f"exec {shlex.quote(python or sys.executable)} -c {shlex.quote(_PROBE)}"
    return f"{init}\n{probe}" if init else probe


def places(output: str) -> tuple[Place, ...]:
    """What the copies of a job said, found in what the job wrote; what is not theirs is skipped."""
    found = []
    for line in output.splitlines():
        _, mark, told = line.partition(_MARK)
        try:
            said: Any = json.loads(told) if mark else None
        except ValueError:
            continue
        if isinstance(said, dict) and {"host", "python", "weft", "cores"} <= said.keys():
            found.append(
                Place(
                    host=str(said["host"]),
                    python=str(said["python"]),
                    weft=str(said["weft"]),
                    cores=int(said["cores"]),
                )
            )
    return tuple(found)


def judged(seen: Sequence[Place], nodes: int) -> Iterator[Finding]:
    """What is to be said of where the copies of a job ran.

    Args:
        seen: what they said, one for each node.
        nodes: how many there should be.
    """
    for place in seen:
        cores = f"{place.cores} cores, " if place.cores else ""
        version = f"weft {place.weft}" if place.weft else "no weft"
        yield Finding(what=f"{place.host}: {cores}Python {place.python}, {version}.")
    if len(seen) != nodes:
        yield Finding(
            what=f"The job ran on {len(seen)} of {nodes} nodes.",
            severity=Severity.ERROR,
            why="The launcher did not start a copy on each node, or their output is elsewhere.",
            remedy="Choose the launcher that the site's documentation names for programs on "
            "several nodes, with --launcher.",
        )
    here = platform.python_version()
    other = sorted({p.python for p in seen if _minor(p.python) != _minor(here)})
    if other:
        yield Finding(
            what=f"Nodes have Python {', '.join(other)}, and this machine has {here}.",
            severity=Severity.ERROR,
            why="Functions travel between interpreters of the same minor version alone.",
            remedy="Have the environment of this Python on a file system that the nodes share, or "
            "load the same one there with worker_init and python of the executor.",
        )
    without = sorted({p.host for p in seen if not p.weft})
    versions = sorted({p.weft for p in seen if p.weft and p.weft != __version__})
    if without:
        yield Finding(
            what=f"There is no weft for that Python on {', '.join(without)}.",
            severity=Severity.ERROR,
            remedy="Install it there, or share the environment of this machine with the nodes.",
        )
    if versions:
        yield Finding(
            what=f"Nodes have weft {', '.join(versions)}, and this machine has {__version__}.",
            severity=Severity.WARNING,
            remedy="Other minor versions work together; the same one is better.",
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


@attrs.define(eq=False)
class Trial:
    """One job, from ``steps``.

    Attributes:
        provider: the provider, not yet started; closed in the end whatever happens.
        launcher: starts the job's copies.
        context: of the provider.
        folder: an empty folder that the nodes see, for the job.
        nodes: machines for it.
        command: what runs on each.
        timeout: seconds for all of it until the job has ended.
        clock: seconds from any start.
        well: whether everything went well; known once the steps are over.
    """

    provider: Provider = attrs.field(kw_only=True)
    launcher: Launcher = attrs.field(kw_only=True)
    context: Context = attrs.field(kw_only=True)
    folder: Path = attrs.field(kw_only=True)
    nodes: int = attrs.field(kw_only=True, default=1)
    command: str = attrs.field(kw_only=True, factory=probe_command)
    timeout: float = attrs.field(kw_only=True, default=600.0)
    clock: Callable[[], float] = attrs.field(kw_only=True, default=time.monotonic)
    well: bool = attrs.field(init=False, default=False)
    _changed: threading.Event = attrs.field(init=False, factory=threading.Event)
    _until: float = attrs.field(init=False, default=0.0)

    def steps(self) -> Generator[Finding, None, None]:
        """Do it, and say of each step how it went as soon as it is over.

        The provider is closed, and with it the job ended, when the iterator is exhausted or closed.
        """
        self._until = self.clock() + self.timeout
        errors = 0
        try:
            for finding in self._steps():
                errors += finding.severity is Severity.ERROR
                yield finding
        finally:
            trouble = self._close()
        if trouble is not None:
            yield trouble
        self.well = not errors and trouble is None

    def _steps(self) -> Iterator[Finding]:
        try:
            if isinstance(self.provider, Telling):
                self.provider.watch(self._changed.set)
            self.provider.start(self.context)
            yield Finding(what="The scheduler answers.")
            job = Job(
                name="weft-try",
                command=self.launcher.compose(self.command, nodes=self.nodes),
                nodes=self.nodes,
                folder=self.folder,
            )
            began = self.clock()
            job_id = yield from self._submitted(job)
            yield Finding(what=f"Submitted as job {job_id}, in {self.clock() - began:.1f} s.")
            status = yield from self._watched(job_id)
            yield from self._outcome(job_id, status)
        except WeftError as trouble:
            yield Finding(
                what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
            )
        except (OSError, ValueError) as trouble:
            # A launcher that cannot serve so many nodes, a folder that cannot be written.
            yield Finding(what=f"{trouble}.", severity=Severity.ERROR)

    def _submitted(self, job: Job) -> Generator[Finding, None, JobId]:
        pause = 1.0
        while True:
            try:
                return self.provider.submit(job)
            except SubmitLater as later:
                if self.clock() + pause >= self._until:
                    raise
                yield Finding(
                    what="It was not taken now; it is tried again.",
                    severity=Severity.WARNING,
                    why=str(later),
                )
            self._changed.wait(pause)
            pause = min(2 * pause, self._interval())

    def _interval(self) -> float:
        return self.provider.interval if isinstance(self.provider, Paced) else _USUAL_PAUSE

    def _watched(self, job_id: JobId) -> Generator[Finding, None, JobStatus]:
        """Tell each change until the job has ended, or has had all its time."""
        told: tuple[JobState, str] | None = None
        pause, began = _FIRST_PAUSE, self.clock()
        while True:
            self._changed.clear()
            status = self._asked(job_id)
            now = (status.state, status.reason)
            if now != told and status.state not in JOB_ENDED:
                yield Finding(what=_sentence(status, self.clock() - began))
                told = now
            left = self._until - self.clock()
            if status.state in JOB_ENDED or left <= 0:
                return status
            self._changed.wait(min(pause, left))
            pause = min(2 * pause, self._interval())

    def _asked(self, job_id: JobId) -> JobStatus:
        return self.provider.status([job_id])[job_id]

    def _outcome(self, job_id: JobId, status: JobStatus) -> Iterator[Finding]:
        if status.state not in JOB_ENDED:
            yield Finding(
                what=f"The job has not ended within {self.timeout:g} s.",
                severity=Severity.ERROR,
                why=f"The scheduler says: {status.reason}." if status.reason else "",
                remedy="Give it more time with --timeout, or ask for something that the scheduler "
                "can give sooner. The job is cancelled.",
            )
            yield from self._cancelled(job_id)
            return
        out, err = tail(status.stdout), tail(status.stderr)
        if status.state is JobState.DONE:
            yield Finding(what="The job has ended well.")
            yield from judged(places(out), self.nodes)
            return
        code = "" if status.exit_code is None else f", exit code {status.exit_code}"
        said = (err or out).strip().splitlines()
        yield Finding(
            what=f"The job ended as {status.state.value}{code}.",
            severity=Severity.ERROR,
            why=" ".join(
                [
                    *([f"The scheduler says: {status.reason}."] if status.reason else []),
                    *([f"The job wrote: {' / '.join(said[-3:])}"] if said else []),
                ]
            ),
            remedy=_remedy(status, " ".join(said)),
        )

    def _cancelled(self, job_id: JobId) -> Iterator[Finding]:
        self.provider.cancel([job_id])
        until, pause = self.clock() + _ENDING, _FIRST_PAUSE
        while (status := self._asked(job_id)).state not in JOB_ENDED:
            if self.clock() >= until:
                yield Finding(
                    what=f"Job {job_id} was cancelled, and is {status.state.value} still.",
                    severity=Severity.WARNING,
                    why=status.reason,
                    remedy="See with the scheduler's own command whether it goes away.",
                )
                return
            self._changed.wait(pause)
            pause = min(2 * pause, self._interval())
        yield Finding(what=f"Job {job_id} is cancelled.")

    def _close(self) -> Finding | None:
        try:
            self.provider.close()
        except Exception as trouble:  # noqa: BLE001 - a provider may come from a plugin
            return Finding(
                what="The provider could not be closed.",
                severity=Severity.ERROR,
                why=str(trouble),
                remedy="See with the scheduler's own command whether a job is left.",
            )
        return None


def _sentence(status: JobStatus, after: float) -> str:
    reason = f" ({status.reason})" if status.reason else ""
    return f"After {after:.1f} s it is {status.state.value}{reason}."


def _remedy(status: JobStatus, said: str) -> str:
    if status.exit_code in {126, 127} or "not found" in said:
        return (
            "A program that the job names is not on the nodes. Python has to be at the same path "
            "there, or be named by the executor's option python; --launcher names what starts it."
        )
    return "What it wrote is in the folder named below."
