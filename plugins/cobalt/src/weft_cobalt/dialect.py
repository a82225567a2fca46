"""What Cobalt is told, and what its answers mean: ``weft.batch`` does the rest.

submit ──▶ submission.py ──▶ qsub
status ──▶ qstat -l ──not there──▶ the log that Cobalt keeps of the job
cancel ──▶ qdel
"""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import attrs

from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Source
from weft.values.jobs import Job, JobId, JobState
from weft_cobalt import parse
from weft_cobalt.settings import Cobalt
from weft_cobalt.site import judged
from weft_cobalt.submission import LOG, SCRIPT, inherited, script, words

__all__ = ["CobaltDialect"]

_CONFIG: Final = "/etc/cobalt.conf"
_MOST: Final = 1 << 20
_QSTAT: Final = ("qstat", "-l", f"--header={parse.HEADER}")


class CobaltDialect(Dialect):
    """Cobalt, as the settings have it."""

    scheduler: ClassVar[str] = "Cobalt"
    needed: ClassVar[Sequence[str]] = ("qsub", "qstat", "qdel")
    executable: ClassVar[frozenset[str]] = frozenset({SCRIPT})
    # It knows a job no longer than it is there.
    forgets: ClassVar[bool] = True
    hint: ClassVar[str] = "Run the script on a machine from which jobs of Cobalt are submitted."

    def __init__(self, settings: Cobalt) -> None:
        self._settings = settings
        self._queues: Sequence[parse.Queue] = ()

    # ------------------------------------------------------------------------------ at the start

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, without what would change answers."""
        return inherited(environ)

    def meet(self, commands: Commands) -> Met:
        """Ask for the queues."""
        said = commands.ask(Line(("qstat", "-Q")), self.passing).good()
        self._queues = tuple(parse.queues(said))
        return Met(
            site=f"cobalt:{_location(os.environ)}",
            findings=tuple(judged(self._settings, self._queues)),
        )

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, with the user's options in it."""
        return {SCRIPT: script(self._settings, job)}

    def submission(self, job: Job) -> Line:
        """One qsub."""
        return Line(words(self._settings, job, Path.cwd()))

    def submitted(self, said: Said) -> JobId:
        """The number that qsub prints."""
        return parse.submitted(said.out)

    def refusal(self, said: Said) -> Refusal:
        """What qsub means, and which queues there are if it is about that."""
        found = parse.refusal(said)
        if found.about != "queue":
            return found
        return attrs.evolve(found, known=[one.name for one in self._queues])

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The queue manager, which knows the jobs that wait or run."""
        return [Source(name="qstat", line=lambda ids: Line((*_QSTAT, *ids)), seen=parse.seen)]

    def mine(self, names: Sequence[str]) -> Line:
        """All jobs of this user."""
        return Line((*_QSTAT, "-u", getpass.getuser()))

    def left(self, job: Job, job_id: JobId) -> tuple[JobState, str] | None:
        """What Cobalt has written into the log of the job."""
        try:
            with (job.folder / LOG).open(encoding="utf-8", errors="replace") as file:
                return parse.end(file.read(_MOST))
        except OSError:
            return None

    def passing(self, said: Said) -> bool:
        """Whether the queue manager was not there."""
        return parse.is_busy(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One qdel, which takes a second, and says nothing of jobs that are not there."""
        return Line(("qdel", *ids))


def _location(environ: Mapping[str, str]) -> str:
    """Where the components of this Cobalt are, by its configuration; else this machine."""
    for name in environ.get("COBALT_CONFIG_FILES", _CONFIG).split(":"):
        try:
            text = Path(name).read_text("utf-8", "replace")
        except OSError:
            continue
        if found := parse.location(text):
            return found
    return socket.gethostname()
