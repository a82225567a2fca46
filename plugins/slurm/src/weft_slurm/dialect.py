"""What Slurm is told, and what its answers mean: ``weft.batch`` does the rest.

submit ──▶ script.py ──▶ sbatch
status ──▶ squeue ──not there──▶ sacct, where the cluster keeps accounts
└──ended, and no code──▶ scontrol
cancel ──▶ scancel
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Seen, Source
from weft.values.jobs import Job, JobId
from weft_slurm import parse
from weft_slurm.script import SCRIPT, inherited, script
from weft_slurm.settings import Slurm
from weft_slurm.site import SETTINGS, Site, judged

__all__ = ["SlurmDialect"]

_SQUEUE: Final = (
    *("squeue", "--noheader", "--states=all"),
    f"--format={parse.SQUEUE_FORMAT}",
)


class SlurmDialect(Dialect):
    """Slurm, as the settings have it.

    Attributes:
        cluster: what the cluster has said of itself, once it was met.
    """

    scheduler: ClassVar[str] = "Slurm"
    needed: ClassVar[Sequence[str]] = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
    hint: ClassVar[str] = (
        "Run the script on a login node of the cluster; some sites want 'module load slurm' first."
    )

    def __init__(self, settings: Slurm) -> None:
        self._settings = settings
        self.cluster: Site | None = None

    def _line(self, name: str, *words: str) -> Line:
        where = (f"--clusters={self._settings.cluster}",) if self._settings.cluster else ()
        return Line((name, *where, *words))

    # ------------------------------------------------------------------------------ at the start

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, without what would change options or answers."""
        return inherited(self._settings, environ)

    def meet(self, commands: Commands) -> Met:
        """Ask the controller for its settings and its partitions."""
        config = commands.ask(self._line("scontrol", "show", "config"), self.passing).good()
        lines = commands.ask(
            self._line("sinfo", "--noheader", f"--format={parse.SINFO_FORMAT}"), self.passing
        ).good()
        site = Site.of(parse.settings_of(config, SETTINGS), parse.partitions(lines))
        self.cluster = site
        return Met(
            # There are many clusters called alike.
            site=f"slurm:{site.name}@{site.controller}",
            findings=tuple(judged(self._settings, site)),
        )

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, with the options in it."""
        return {SCRIPT: script(self._settings, job)}

    def submission(self, job: Job) -> Line:
        """One sbatch."""
        return self._line("sbatch", "--parsable", str(job.folder.absolute() / SCRIPT))

    def submitted(self, said: Said) -> JobId:
        """The number that sbatch prints."""
        return parse.submitted(said.out)

    def refusal(self, said: Said) -> Refusal:
        """What sbatch means, and which partitions there are if it is about that."""
        found = parse.refusal(said.err or said.out)
        if found.about != "partition" or self.cluster is None:
            return found
        return Refusal(
            said=found.said,
            todo=found.todo,
            about=found.about,
            known=[one.name for one in self.cluster.partitions],
        )

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The queue, and accounts if the cluster keeps them."""
        queue = Source(
            name="squeue",
            line=lambda ids: self._line(*_SQUEUE, "--jobs", ",".join(ids)),
            seen=_queued,
        )
        accounts = Source(
            name="sacct",
            line=lambda ids: self._line(
                *("sacct", "--noheader", "--parsable2", "--allocations"),
                *(f"--format={parse.SACCT_FORMAT}", f"--jobs={','.join(ids)}"),
            ),
            seen=lambda said: parse.accounted(said.good()),
        )
        has_accounts = self.cluster is not None and self.cluster.accounts
        return (queue, accounts) if has_accounts else (queue,)

    def mine(self, names: Sequence[str]) -> Line:
        """The queue, by names."""
        return self._line(*_SQUEUE, "--name", ",".join(names))

    def codes(self) -> Source:
        """The controller itself, one job at a time: squeue does not tell."""
        return Source(
            name="scontrol",
            line=lambda ids: self._line("scontrol", "--oneliner", "show", "job", *ids),
            seen=lambda said: [] if said.code else parse.coded(said.out),
            batch=1,
        )

    def passing(self, said: Said) -> bool:
        """Whether the controller was not there, or did not listen."""
        return parse.is_busy(said.err)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One scancel."""
        return self._line("scancel", *ids)

    def spent(self, said: Said) -> bool:
        """Whether the jobs have ended."""
        return parse.is_spent(said.err)


def _queued(said: Said) -> Sequence[Seen]:
    if said.code and parse.knows_none(said.err):
        return []
    return parse.queued(said.good())
