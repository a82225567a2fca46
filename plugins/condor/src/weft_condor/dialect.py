"""What HTCondor is told, and what its answers mean; everything else is ``weft.batch``.

    submit ──▶ condor_submit -terse job.sub, in the folder of the job
    status ──▶ condor_q -json ──not there──▶ condor_history -json
    cancel ──▶ condor_rm

A job that is held, or waits to begin once more since it lost its machine, has failed as a block and
would stay in the queue: it is removed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

from weft.batch.arrays import Array, ArrayDialect, ArrayProvider
from weft.batch.commands import Commands, Line, NoAnswer, Said
from weft.batch.dialect import Met, Refusal, Source
from weft.values.jobs import Job, JobId
from weft.values.problem import Finding, Severity
from weft_condor import parse
from weft_condor.script import (
    ARRAY,
    ARRAY_TEXT,
    DESCRIPTION,
    SCRIPT,
    described,
    described_array,
    inherited,
    text,
)
from weft_condor.settings import Condor

__all__ = ["CondorDialect", "build"]

_JSON: Final = ("-json", "-attributes", ",".join(parse.ATTRIBUTES))
_MACHINE: Final = "Machine"
_MOST: Final = 1000
"""Jobs of one submission; a pool's limit, MAX_JOBS_PER_SUBMISSION, is 20000 as a rule."""


def build(settings: Condor) -> ArrayProvider:
    """The provider ``condor`` with these settings."""
    return ArrayProvider(CondorDialect(settings), settings)


class CondorDialect(ArrayDialect):
    """HTCondor, from release 9.0 on."""

    scheduler: ClassVar[str] = "HTCondor"
    needed: ClassVar[Sequence[str]] = (
        *("condor_submit", "condor_q", "condor_history", "condor_rm", "condor_status"),
    )
    ids: ClassVar["re.Pattern[str]"] = re.compile(r"\d+\.\d+")
    executable: ClassVar[frozenset[str]] = frozenset({SCRIPT, ARRAY})
    hint: ClassVar[str] = "Run the script on an access point, from which jobs are submitted."

    def __init__(self, settings: Condor) -> None:
        self._settings = settings

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, without what describes a job in which it may itself run."""
        return inherited(environ)

    def meet(self, commands: Commands) -> Met:
        """Ask the queue for its name, and the pool for a machine that has what is asked for."""
        answer = commands.ask(self._at("condor_q", "-totals"), parse.passing).good()
        name = parse.schedd(answer)
        met = Finding(what=f"The schedd {name!r} answers.")
        return Met(site=f"condor:{name}", findings=[met, *self._machines(commands)])

    def _machines(self, commands: Commands) -> Iterator[Finding]:
        pool = ("-pool", self._settings.pool) if self._settings.pool is not None else ()
        wanted = _wanted(self._settings)
        line = Line(
            [
                *("condor_status", *pool, "-json", "-attributes", _MACHINE, "-limit", "1"),
                *(("-constraint", wanted) if wanted else ()),
            ]
        )
        try:
            found = parse.ads(commands.ask(line, parse.passing))
        except (NoAnswer, ValueError) as error:
            yield Finding(
                what="Whether the pool has machines for the jobs could not be found out.",
                severity=Severity.WARNING,
                why=f"{error}.",
                remedy="Jobs are taken all the same, and wait.",
            )
            return
        asked = f" that fits {wanted!r}" if wanted else ""
        if found:
            yield Finding(what=f"The pool has a machine{asked}.")
        else:
            yield Finding(
                what=f"The pool has no machine{asked} now.",
                severity=Severity.WARNING,
                why="Jobs are taken all the same, and wait for one.",
                remedy="Ask for less per node, or look at the option requirements; 'condor_status "
                "-compact' shows what there is.",
            )

    def _at(self, name: str, *words: str) -> Line:
        """A line for the schedd that is named, or for that of this machine."""
        settings = self._settings
        pool = ("-pool", settings.pool) if settings.pool is not None else ()
        schedd = ("-name", settings.schedd) if settings.schedd is not None else ()
        return Line([name, *pool, *schedd, *words])

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, and the description of the job.

        Raises:
            ValueError: no shell can read the command.
            WeftError: the job asks for more than one machine.
        """
        return {SCRIPT: text(job), DESCRIPTION: described(self._settings, job)}

    def submission(self, job: Job) -> Line:
        """``condor_submit`` in the folder of the job, so that no path is in the description."""
        line = self._at("condor_submit", "-terse", DESCRIPTION)
        return Line(line.words, folder=job.folder)

    def submitted(self, said: Said) -> JobId:
        """Cluster and process, which is 0."""
        return parse.submitted(said)[0]

    def refusal(self, said: Said) -> Refusal:
        """By the words of condor_submit, and of the pool's own rules."""
        return parse.refusal(said)

    # ---------------------------------------------------------------------- several submissions

    @property
    def most(self) -> int:
        """As many as one cluster may well have."""
        return _MOST

    def own_script(self, job: Job) -> str:
        """That of a job by itself: HTCondor carries it, too."""
        return text(job)

    def array_files(self, array: Array) -> Mapping[str, str]:
        """The description of all, and the script that starts that of each."""
        return {ARRAY: ARRAY_TEXT, DESCRIPTION: described_array(self._settings, array)}

    def array_submission(self, array: Array) -> Line:
        """One condor_submit, in the folder of the links to the folders of the jobs."""
        line = self._at("condor_submit", "-terse", DESCRIPTION)
        return Line(line.words, folder=array.folder)

    def array_submitted(self, said: Said, array: Array) -> Sequence[JobId]:
        """The processes of one cluster."""
        return parse.submitted(said, array.size)

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """The queue, which jobs leave when they end, and the history."""
        return (
            Source(
                name="condor_q",
                line=lambda ids: self._at("condor_q", *ids, *_JSON),
                seen=parse.queued,
            ),
            Source(
                name="condor_history",
                # It is read from its end, until as many are found.
                line=lambda ids: self._at("condor_history", *ids, "-limit", str(len(ids)), *_JSON),
                seen=parse.ended,
                # Where it is long, or kept nowhere, a job's own word is enough.
                costly=True,
            ),
        )

    def mine(self, names: Sequence[str]) -> Line:
        """The jobs with these names."""
        listed = ", ".join(map(json.dumps, names))
        return self._at("condor_q", "-constraint", f"member(JobBatchName, {{{listed}}})", *_JSON)

    def passing(self, said: Said) -> bool:
        """Whether the schedd did not answer."""
        return parse.passing(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """One condor_rm for all."""
        return self._at("condor_rm", *ids)

    def spent(self, said: Said) -> bool:
        """Whether the jobs have gone, or are about to."""
        return parse.spent(said)


def _wanted(settings: Condor) -> str:
    """What machines have to have, as far as it can be asked of each of them alone."""
    parts = [
        f"{name} >= {-(-value // unit)}"
        for name, value, unit in (
            ("TotalSlotCpus", settings.cores_per_node, 1),
            ("TotalSlotMemory", settings.memory_per_node, 1 << 20),
            ("TotalSlotDisk", settings.disk_per_node, 1 << 10),
            ("TotalSlotGPUs", settings.gpus_per_node, 1),
        )
        if value is not None
    ]
    own = settings.requirements
    # An expression that speaks of the job, too, means nothing without it.
    if own is not None and not re.search(r"\b(?:MY|TARGET)\.", own, re.IGNORECASE):
        parts.append(f"({own})")
    return " && ".join(parts)
