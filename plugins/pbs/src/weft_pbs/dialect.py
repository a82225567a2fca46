"""What PBS is told, and what its answers mean: ``weft.batch`` does the rest.

submit ──▶ script.py ──▶ qsub
status ──▶ qstat -f, with -x where the server keeps a history
cancel ──▶ qdel
"""

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import attrs

from weft.batch.commands import Commands, Line, NoAnswer, Said
from weft.batch.dialect import Dialect, Met, Refusal, Seen, Source
from weft.values.jobs import Job, JobId, JobState
from weft_pbs import parse
from weft_pbs.script import SCRIPT, inherited, script
from weft_pbs.settings import Pbs
from weft_pbs.site import Site, judged

__all__ = ["PbsDialect"]

_MOST: Final = 1 << 20
# qstat cannot be asked for the jobs of one user in full, and all jobs of a large site are many.
_MINE: Final = (
    "user=$1; shift; ids=''\n"
    'for name; do ids="$ids $(qselect -u "$user" -N "$name")" || exit; done\n'
    f'case $ids in *[0-9]*) exec qstat -f $ids ;; *) echo "{parse.NONE}" ;; esac'
)


class PbsDialect(Dialect):
    """PBS Professional, OpenPBS or TORQUE, as the settings have it.

    Attributes:
        cluster: what the server has said of itself, once it was met.
    """

    scheduler: ClassVar[str] = "PBS"
    needed: ClassVar[Sequence[str]] = ("qsub", "qstat", "qdel", "qselect")
    ids = parse.ID
    # TORQUE keeps ended jobs for minutes, and PBS Professional none if it keeps no history.
    forgets: ClassVar[bool] = True
    hint: ClassVar[str] = (
        "Run the script on a login node of the cluster; some sites want 'module load pbs' first."
    )

    def __init__(self, settings: Pbs) -> None:
        self._settings = settings
        self.cluster: Site | None = None

    # ------------------------------------------------------------------------------ at the start

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, without what would change options or answers."""
        return inherited(environ)

    def meet(self, commands: Commands) -> Met:
        """Ask qstat whose it is, and the server for its settings and its queues."""
        torque = self._settings.dialect == "torque"
        if self._settings.dialect == "auto":
            torque = parse.is_torque(commands.ask(Line(("qstat", "--version"))))
        said = commands.ask(Line(("qstat", "-Bf")), self.passing).good()
        name, found = parse.server(said)
        queues = commands.ask(Line(("qstat", "-Qf")), self.passing).good()
        site = Site.of(name, found, parse.queues(queues), torque=torque)
        self.cluster = site
        return Met(site=f"pbs:{name}", findings=tuple(judged(self._settings, site)))

    @property
    def _site(self) -> Site:
        assert self.cluster is not None, "asked for before it was met"
        return self.cluster

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, with the options in it."""
        text = script(self._settings, job, torque=self._site.torque, folder=Path.cwd())
        return {SCRIPT: text}

    def submission(self, job: Job) -> Line:
        """One qsub, in the job's folder, by which the job is known again."""
        folder = job.folder.absolute()
        return Line(("qsub", str(folder / SCRIPT)), folder=folder)

    def submitted(self, said: Said) -> JobId:
        """The id that qsub prints."""
        return parse.submitted(said.out)

    def refusal(self, said: Said) -> Refusal:
        """What qsub means, and which queues there are if it is about that."""
        found = parse.refusal(said)
        if found.about != "queue":
            return found
        return attrs.evolve(found, known=[one.name for one in self._site.queues])

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The server, which shows ended jobs as well, as long as it knows them."""
        words = ("qstat", "-x", "-f") if self._site.history else ("qstat", "-f")
        return [Source(name="qstat", line=lambda ids: Line((*words, *ids)), seen=self._seen)]

    def _seen(self, said: Said) -> Sequence[Seen]:
        if parse.has_no_history(said):  # any more
            self.cluster = attrs.evolve(self._site, history=False)
            raise NoAnswer(f"qstat: {said.words}")
        return parse.seen(said)

    def mine(self, names: Sequence[str]) -> Line:
        """The ids of this user's jobs with these names, and then those jobs."""
        return Line(("sh", "-c", _MINE, "qselect", getpass.getuser(), *names))

    def left(self, job: Job, job_id: JobId) -> tuple[JobState, str] | None:
        """What PBS has written into its own file of the job, which is there since it ran."""
        file = job.folder / f"{job.name}.o{job_id.partition('.')[0]}"
        try:
            with file.open(encoding="utf-8", errors="replace") as opened:
                text = opened.read(_MOST)
        except OSError:
            return None
        return parse.killed(text)

    def passing(self, said: Said) -> bool:
        """Whether the server was not there, or had no time."""
        return parse.is_busy(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One qdel."""
        return Line(("qdel", *ids))

    def spent(self, said: Said) -> bool:
        """Whether the jobs have ended, or are ending."""
        return parse.is_spent(said)
