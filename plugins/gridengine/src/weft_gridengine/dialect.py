"""What Grid Engine is told, and what its answers mean.

    submit ──▶ qsub -terse FOLDER/job.sge
    status ──▶ qstat -xml ──E, or waiting──▶ qstat -xml -j, for the reason
                   └──not there──▶ the job's own exit code ──none──▶ qacct, for each job alone
    cancel ──▶ qdel

Grid Engine keeps no word of a job that was deleted while it waited, and what ``qacct`` reads lags,
or lies where other machines do not see it. So a job that qmaster has shown, and has no more, has
ended; but never well, unless its own word or ``qacct`` says so.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from weft.batch.commands import Commands, Line, Said
from weft.batch.dialect import Dialect, Met, Refusal, Seen, Source
from weft.values.jobs import Job, JobId
from weft.values.problem import Finding, Severity
from weft_gridengine import parse
from weft_gridengine.script import CLIENT, SCRIPT, client_text, script, verification
from weft_gridengine.settings import GridEngine, seconds_of
from weft_gridengine.site import Site, judged, verified

__all__ = ["GridEngineDialect"]


class GridEngineDialect(Dialect):
    """Son of Grid Engine, and its relatives of the same commands."""

    scheduler: ClassVar[str] = "Grid Engine"
    needed: ClassVar[Sequence[str]] = ("qsub", "qstat", "qdel", "qacct", "qconf", "qselect")
    forgets: ClassVar[bool] = True
    lag: ClassVar[float] = 20.0  # accounts are written every 15 s: sge_conf(5), flush_time
    hint: ClassVar[str] = (
        "Run this on a machine from which jobs of Grid Engine are submitted, with its commands on "
        "PATH; many sites want '. $SGE_ROOT/default/common/settings.sh' for that."
    )

    def __init__(self, settings: GridEngine, user: str, environ: Mapping[str, str]) -> None:
        self._settings, self._user = settings, user
        self._client = dict(environ)
        self._site: Site | None = None

    # ------------------------------------------------------------------------------ at the start

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """That of the client, with answers in the words that are understood here."""
        kept = {
            name: value
            for name, value in environ.items()
            # The latter add words of their own to every answer.
            if name not in {"SGE_DEBUG_LEVEL", "SGE_DEBUG_TARGET", "SGE_ENABLE_MSG_ID"}
        }
        return {**kept, "LC_ALL": "C"}

    def meet(self, commands: Commands) -> Met:
        """Ask qmaster for its queues and what else the settings name.

        Raises:
            NoAnswer: it does not answer.
        """
        site = self._asked(commands)
        findings = list(judged(self._settings, site))
        self._site = site
        if not any(one.severity is Severity.ERROR for one in findings):
            said = commands.ask(Line(verification(self._settings, site.exclusive)), self.passing)
            findings.append(self._verified(said))
        return Met(site=f"gridengine:{site.name}@{site.qmaster}", findings=findings)

    def _asked(self, commands: Commands) -> Site:
        settings = self._settings

        def ask(*words: str) -> str:
            return commands.ask(Line(words), self.passing).good()

        qmaster = ask("qconf", "-sss").strip()
        queues = parse.names(ask("qconf", "-sql"))
        selected = queues
        if settings.queue is not None:
            # It ends badly where nothing fits, which is an answer.
            said = commands.ask(Line(("qselect", "-q", settings.queue)), self.passing)
            selected = [] if said.code else parse.queues_of(said.out)
        environments: Sequence[str] = ()
        rule = ""
        if (wanted := settings.parallel_environment) is not None:
            environments = self._some(commands, "-spl")
            if wanted in environments:
                (environment,) = parse.attributes(ask("qconf", "-sp", wanted))
                rule = environment.get("allocation_rule", "")
        complexes = ask("qconf", "-sc")
        return Site(
            name=_cluster(commands.environment),
            qmaster=qmaster,
            queues=queues,
            selected=parse.attributes(ask("qconf", "-sq", ",".join(selected))) if selected else (),
            environments=environments,
            rule=rule,
            projects=self._some(commands, "-sprjl") if settings.project is not None else (),
            resources=frozenset(parse.resource_names(complexes)),
            exclusive=parse.exclusive_resource(complexes),
        )

    def _verified(self, said: Said) -> Finding:
        """What came of the question.

        Raises:
            NoAnswer: nothing; qmaster was not there.
        """
        refusal = parse.refusal(said) if said.code else None
        if refusal is not None and (refusal.later or refusal.doubtful):
            # Too many jobs are no answer either, and no reason not to start.
            if self.passing(said):
                said.good()
            refusal = None
        return verified(refusal)

    def _some(self, commands: Commands, which: str) -> Sequence[str]:
        """Names; where there are none, qconf ends badly, and says so."""
        said = commands.ask(Line(("qconf", which)), self.passing)
        if said.code and ("no " in said.err or "no " in said.out):
            return ()
        return tuple(parse.names(said.good()))

    # ------------------------------------------------------------------------------- submissions

    def files(self, job: Job) -> Mapping[str, str]:
        """The script, and the environment of the client."""
        if job.nodes > 1 and self._site is not None and self._site.rule == "$pe_slots":
            raise ValueError(
                f"the parallel environment {self._settings.parallel_environment!r} grants all "
                f"slots on one host, and the job is for {job.nodes} nodes; name one with a fixed "
                "number of slots for each host"
            )
        exclusive = self._site.exclusive if self._site is not None else "exclusive"
        return {
            SCRIPT: script(self._settings, job, exclusive),
            CLIENT: client_text(self._client),
        }

    def submission(self, job: Job) -> Line:
        """``qsub``; where it runs is where the job begins."""
        return Line(("qsub", "-terse", "-sync", "n", str(job.folder.absolute() / SCRIPT)))

    def submitted(self, said: Said) -> JobId:
        """The id in what qsub printed."""
        return parse.submitted(said.out)

    def refusal(self, said: Said) -> Refusal:
        """What qsub says of a job that it did not submit."""
        return parse.refusal(said)

    # ---------------------------------------------------------------------------------- questions

    def sources(self) -> Sequence[Source]:
        """One list of all jobs of the user; then the account of each job that has gone."""
        return (
            Source(name="qstat", line=lambda _: self._list(), seen=_listed, batch=1000),
            Source(
                name="qacct",
                line=lambda ids: Line(("qacct", "-j", *ids)),
                seen=self._accounted,
                batch=1,
                costly=True,
            ),
        )

    def _list(self) -> Line:
        return Line(("qstat", "-xml", "-u", self._user, "-s", "a"))

    def _accounted(self, said: Said) -> list[Seen]:
        # It ends badly for a job that it does not know (yet), and where there is nothing to read.
        if said.code:
            return []
        walltime = seconds_of(self._settings.walltime)
        ends = (parse.account(one, walltime) for one in parse.accounted(said.out))
        return [end for end in ends if end is not None]

    def mine(self, names: Sequence[str]) -> Line:
        """The detailed form, which has the paths of scripts."""
        return Line(("qstat", "-xml", "-u", self._user, "-j", ",".join(names)))

    def reasons(self) -> Source | None:
        """Why jobs wait, or were not started, is said by the detailed form alone."""
        return Source(
            name="qstat",
            line=lambda ids: Line(("qstat", "-xml", "-j", ",".join(ids))),
            seen=_reasons,
            batch=50,
        )

    def passing(self, said: Said) -> bool:
        """Whether qmaster was not there, such as while it is started again."""
        return parse.is_passing(said)

    # ------------------------------------------------------------------------------------ the end

    def cancellation(self, ids: Sequence[JobId]) -> Line:
        """``qdel``."""
        return Line(("qdel", *ids))

    def spent(self, said: Said) -> bool:
        """Whether jobs are only not there any more."""
        return parse.gone(said)


def _listed(said: Said) -> list[Seen]:
    return parse.listed(said.good())


def _reasons(said: Said) -> list[Seen]:
    return parse.explained(said.good())


def _cluster(environment: Mapping[str, str]) -> str:
    """The name of the cluster, or of its cell where it has none: both are in files of the cell."""
    root, cell = environment.get("SGE_ROOT", ""), environment.get("SGE_CELL") or "default"
    if name := environment.get("SGE_CLUSTER_NAME"):
        return name
    with contextlib.suppress(OSError):
        return Path(root, cell, "common", "cluster_name").read_text("utf-8").strip() or cell
    return cell
