"""What LSF is told, and what its answers mean; everything else is ``weft.batch``.

    submit ──▶ bsub < job.lsf, in the folder of the job
    status ──▶ bjobs -o … -json ──not there──▶ bhist -l
    cancel ──▶ bkill

All jobs of an executor are asked about at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Source
from weft.batch.provider import BatchProvider
from weft.values.jobs import Job, JobId
from weft.values.problem import Finding, Severity
from weft_lsf import parse
from weft_lsf.parse import Queue
from weft_lsf.script import SCRIPT, inherited, text
from weft_lsf.settings import LSF, minutes_of

__all__ = ["LSFDialect", "build", "judged"]

_BJOBS = ("bjobs", "-o", parse.FIELDS, "-json")


def build(settings: LSF) -> BatchProvider:
    """The provider ``lsf`` with these settings."""
    return BatchProvider(LSFDialect(settings), settings)


class LSFDialect(Dialect):
    """LSF, from release 10.1 on."""

    scheduler: ClassVar[str] = "LSF"
    needed: ClassVar[Sequence[str]] = ("bsub", "bjobs", "bhist", "bkill", "bqueues", "lsid")
    hint: ClassVar[str] = (
        "Run the script on a machine from which jobs of LSF are submitted; some sites want "
        "'source …/profile.lsf' or 'module load lsf' first."
    )

    def __init__(self, settings: LSF) -> None:
        self._settings = settings
        self._queues: Sequence[Queue] = ()

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, without what changes what commands print."""
        return inherited(environ)

    def meet(self, commands: Commands) -> Met:
        """Ask for the cluster's name, its queues, and the limit of the one that is named."""
        name, product = parse.cluster(commands.ask(Line(["lsid"]), parse.passing).good())
        self._queues = parse.queues(commands.ask(Line(["bqueues", "-w"]), parse.passing).good())
        limit = None
        queue = self._settings.queue
        if any(one.name == queue for one in self._queues):
            said = commands.ask(Line(["bqueues", "-l", str(queue)]), parse.passing)
            limit = parse.queue_limit(said.good())
        met = Finding(what=f"The cluster {name!r} answers, with {product.rstrip('.')}.")
        findings = [met, *judged(self._settings, name, self._queues, limit)]
        return Met(site=f"lsf:{name}", findings=findings)

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, as bsub reads it."""
        return {SCRIPT: text(self._settings, job)}

    def submission(self, job: Job) -> Line:
        """``bsub < job.lsf``: options in a script that is named instead are read by few sites."""
        return Line(["bsub"], stdin=text(self._settings, job), folder=job.folder)

    def submitted(self, said: Said) -> JobId:
        """The number in the line that begins with ``Job``."""
        return parse.submitted(said)

    def refusal(self, said: Said) -> Refusal:
        """By the messages of the library that all commands of LSF use."""
        found = parse.refusal(said)
        if found.about != "queue":
            return found
        return Refusal(
            said=found.said,
            todo=found.todo,
            about=found.about,
            known=[one.name for one in self._queues],
        )

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """bjobs, which forgets a job an hour after its end, and the history."""
        return (
            Source(name="bjobs", line=lambda ids: Line([*_BJOBS, *ids]), seen=parse.seen),
            Source(name="bhist", line=lambda ids: Line(["bhist", "-l", *ids]), seen=parse.ended),
        )

    def mine(self, names: Sequence[str]) -> Line:
        """All jobs of this user that have not ended: bjobs takes one name only."""
        return Line(_BJOBS)

    def passing(self, said: Said) -> bool:
        """Whether LSF, or its daemon on this machine, did not answer."""
        return parse.passing(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One bkill for all."""
        return Line(["bkill", *ids])

    def spent(self, said: Said) -> bool:
        """Whether the jobs have ended, or are not known any more."""
        return parse.spent(said)


def judged(
    settings: LSF, cluster: str, queues: Sequence[Queue], limit: float | None
) -> Iterator[Finding]:
    """What is to be said of the queue that the settings name.

    Args:
        settings: those of the provider.
        cluster: its name.
        queues: those that this user sees.
        limit: the longest time for a job in the queue that is named, in minutes.
    """
    names = ", ".join(one.name for one in queues) or "none"
    if settings.queue is None:
        yield Finding(what=f"No queue is named, so jobs go to the site's own; there are {names}.")
        return
    queue = next((one for one in queues if one.name == settings.queue), None)
    if queue is None:
        yield Finding(
            what=f"The cluster {cluster!r} has no queue {settings.queue!r} that you can see.",
            severity=Severity.ERROR,
            why=f"Its queues are: {names}.",
            remedy="Name one of them in the option queue.",
        )
        return
    if queue.takes and queue.starts:
        time = f"at most {limit:g} minutes for a job" if limit else "no limit of time"
        yield Finding(what=f"The queue {queue.name!r} is open, with {time}.")
    else:
        yield Finding(
            what=f"The queue {queue.name!r} {'starts' if queue.takes else 'takes'} no jobs now.",
            severity=Severity.WARNING,
            why=f"LSF says that it is {queue.status}.",
            remedy="Name another one, or wait until the site opens it.",
        )
    wanted = minutes_of(settings.walltime)
    if limit is not None and wanted > limit:
        yield Finding(
            what=f"The walltime {settings.walltime!r} is more than the {limit:g} minutes that the "
            f"queue {queue.name!r} gives.",
            severity=Severity.ERROR,
            why="LSF refuses such a job.",
            remedy="Ask for less in the option walltime, or name another queue.",
        )
