"""What Flux is told, and what its answers mean; everything else is ``weft.batch``.

    submit ──▶ flux batch job.flux, in the folder of the job
    status ──▶ flux jobs --json
    cancel ──▶ flux cancel

All jobs of an executor are asked about at once.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import attrs

from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Source
from weft.batch.provider import BatchProvider
from weft.values.jobs import Job, JobId
from weft.values.problem import Finding, Severity
from weft_flux import parse
from weft_flux.parse import Queue
from weft_flux.script import SCRIPT, text
from weft_flux.settings import Flux, seconds_of

__all__ = ["FluxDialect", "build", "judged"]


def build(settings: Flux) -> BatchProvider:
    """The provider ``flux`` with these settings."""
    return BatchProvider(FluxDialect(settings), settings)


class FluxDialect(Dialect):
    """Flux; ``flux jobs --json`` has to be there."""

    scheduler: ClassVar[str] = "Flux"
    needed: ClassVar[Sequence[str]] = ("flux",)
    ids: ClassVar["re.Pattern[str]"] = parse.ID
    hint: ClassVar[str] = "Run the script where 'flux resource list' shows nodes."

    def __init__(self, settings: Flux) -> None:
        self._settings = settings
        self._queues: Sequence[Queue] = ()

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, with the instance that the settings name."""
        uri = self._settings.uri
        return {**environ, **({"FLUX_URI": uri} if uri is not None else {})}

    def meet(self, commands: Commands) -> Met:
        """Ask where this is, which release, and for the queues."""

        def asked(*words: str) -> Said:
            return commands.ask(Line(["flux", *words]), parse.passing)

        hosts = asked("getattr", "hostlist").good().strip()
        # An instance within another one is a job there; the outermost is none.
        within = asked("getattr", "jobid")
        number = "" if within.code else f"/{within.out.strip()}"
        release = parse.version(asked("version").good())
        # Not every release shows limits in this form; then a job is what finds out.
        limits = asked("queue", "list", "--no-header", f"--format={parse.QUEUES}")
        self._queues = parse.queues(
            asked("queue", "status").good(), "" if limits.code else limits.out
        )
        met = Finding(what=f"The Flux instance on {hosts} answers, with version {release}.")
        return Met(
            site=f"flux:{hosts}{number}", findings=[met, *judged(self._settings, self._queues)]
        )

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script."""
        return {SCRIPT: text(self._settings, job)}

    def submission(self, job: Job) -> Line:
        """``flux batch``: the script runs on the first node, in an instance that has them all."""
        return Line(["flux", "batch", SCRIPT], folder=job.folder)

    def submitted(self, said: Said) -> JobId:
        """The id, with an ``f`` at its beginning."""
        return parse.submitted(said)

    def refusal(self, said: Said) -> Refusal:
        """By the words of flux and of its plugins."""
        found = parse.refusal(said)
        names = [one.name for one in self._queues if one.name]
        return attrs.evolve(found, known=names) if found.about == "queue" else found

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The command knows ended jobs until the instance is told to forget them."""
        return (
            Source(
                name="flux jobs",
                line=lambda ids: Line(["flux", "jobs", "--json", *ids]),
                seen=parse.seen,
            ),
        )

    def mine(self, names: Sequence[str]) -> Line:
        """All jobs of this user that have not ended: flux jobs takes one name only."""
        return Line(["flux", "jobs", "--json"])

    def passing(self, said: Said) -> bool:
        """Whether the broker did not answer."""
        return parse.passing(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One flux cancel for all."""
        return Line(["flux", "cancel", *ids])

    def spent(self, said: Said) -> bool:
        """Whether the jobs have ended, or are not known any more."""
        return parse.spent(said)


def judged(settings: Flux, queues: Sequence[Queue]) -> Iterator[Finding]:
    """What is to be said of the queue that the settings name, or that there is without a name."""
    names = [one.name for one in queues if one.name]
    queue = next((one for one in queues if one.name == (settings.queue or "")), None)
    if settings.queue is not None and queue is None:
        yield Finding(
            what=f"The Flux instance has no queue {settings.queue!r}.",
            severity=Severity.ERROR,
            why=f"Its queues are: {', '.join(names)}." if names else "It has no queues at all.",
            remedy="Name one of them in the option queue." if names else "Leave out queue.",
        )
        return
    if queue is None:
        yield Finding(
            what=f"No queue is named, so jobs go to the instance's own; there are "
            f"{', '.join(names)}."
        )
        return
    called = f"The queue {queue.name!r}" if queue.name else "The Flux instance"
    if queue.closed or queue.stopped:
        yield Finding(
            what=f"{called} {'takes' if queue.closed else 'starts'} no jobs now.",
            severity=Severity.WARNING,
            why=f"Flux says: {queue.closed}." if queue.closed else "Its scheduling is stopped.",
            remedy="Name another queue, or wait until it is opened.",
        )
    else:
        limit = f", with at most {queue.limit} for a job" if queue.limit else ""
        unlimited = ", with no limit of time" if queue.limit == "" else ""
        yield Finding(what=f"{called} takes jobs{limit}{unlimited}.")
    if queue.limit:
        wanted, most = seconds_of(settings.walltime), seconds_of(queue.limit)
        if most is not None and (wanted is None or wanted > most):
            yield Finding(
                what=f"The walltime {settings.walltime!r} is more than the {queue.limit} that "
                f"{called[0].lower()}{called[1:]} gives.",
                severity=Severity.ERROR,
                why="Flux refuses such a job.",
                remedy="Ask for less in the option walltime, or name another queue.",
            )
