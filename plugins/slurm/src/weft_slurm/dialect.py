"""What Slurm is told, and what its answers mean: ``weft.batch`` does the rest.

submit ──▶ script.py ──▶ sbatch
status ──▶ squeue ──not there──▶ sacct, where the cluster keeps accounts
└──ended, and no code──▶ scontrol
cancel ──▶ scancel
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import attrs

from weft.batch.arrays import Array, ArrayDialect
from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Met, Refusal, Seen, Source
from weft.values.jobs import Job, JobId
from weft_slurm import parse
from weft_slurm.script import SCRIPT, inherited, script, script_of_array
from weft_slurm.settings import Slurm
from weft_slurm.site import SETTINGS, Site, judged

__all__ = ["SlurmDialect"]

_MOST: Final = 200
_SQUEUE: Final = (
    *("squeue", "--noheader", "--states=all", "--array"),
    f"--format={parse.SQUEUE_FORMAT}",
)


class SlurmDialect(ArrayDialect):
    """Slurm, as the settings have it.

    Attributes:
        cluster: what the cluster has said of itself, once it was met.
    """

    scheduler: ClassVar[str] = "Slurm"
    ids: ClassVar["re.Pattern[str]"] = re.compile(r"\d+(_\d+)?")
    needed: ClassVar[Sequence[str]] = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
    hint: ClassVar[str] = (
        "Run the script on a login node of the cluster; some sites want 'module load slurm' first."
    )

    def __init__(self, settings: Slurm) -> None:
        self._settings = settings
        self.cluster: Site | None = None
        # How many jobs the arrays have that were submitted here, by their numbers.
        self._arrays: dict[str, int] = {}

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

    @property
    def most(self) -> int:
        """As many as the cluster has numbers for, and as few as one command can ask about."""
        return min(self.cluster.array_size, _MOST) if self.cluster is not None else 1

    def array_files(self, array: Array) -> Mapping[str, str]:
        """The script, with the options in it."""
        return {SCRIPT: script_of_array(self._settings, array)}

    def array_submission(self, array: Array) -> Line:
        """One sbatch."""
        return self._line("sbatch", "--parsable", str(array.folder / SCRIPT))

    def array_submitted(self, said: Said, array: Array) -> Sequence[JobId]:
        """The number that sbatch prints, with those of its jobs behind it."""
        number = parse.submitted(said.out)
        self._arrays[number] = array.size
        return [f"{number}_{place}" for place in range(array.size)]

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The queue, and accounts if the cluster keeps them."""
        queue = Source(
            name="squeue",
            line=lambda ids: self._line(*_SQUEUE, "--jobs", _numbers(ids)),
            seen=lambda said: self._spread(_queued(said)),
        )
        accounts = Source(
            name="sacct",
            line=lambda ids: self._line(
                *("sacct", "--noheader", "--parsable2", "--allocations"),
                *(f"--format={parse.SACCT_FORMAT}", f"--jobs={_numbers(ids)}"),
            ),
            seen=lambda said: self._spread(parse.accounted(said.good())),
        )
        has_accounts = self.cluster is not None and self.cluster.accounts
        return (queue, accounts) if has_accounts else (queue,)

    def _spread(self, found: Sequence[Seen]) -> Sequence[Seen]:
        """What is said of an array is said of all of its jobs that have no line of their own.

        Those that were cancelled before they began have none.
        """
        whole = [one for one in found if one.id in self._arrays]
        spread = [
            attrs.evolve(one, id=f"{one.id}_{place}")
            for one in whole
            for place in range(self._arrays[one.id])
        ]
        return [*spread, *found]

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


def _numbers(ids: Sequence[JobId]) -> str:
    """The ids as commands take them: an array once, since it is told of by and for all its jobs."""
    return ",".join(dict.fromkeys(one.partition("_")[0] for one in ids))


def _queued(said: Said) -> Sequence[Seen]:
    if said.code and parse.knows_none(said.err):
        return []
    return parse.queued(said.good())
