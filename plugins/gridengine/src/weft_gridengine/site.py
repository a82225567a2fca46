"""Pure: what a cluster says of itself, held against the settings."""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from weft.batch.dialect import Refusal
from weft.values.problem import Finding, Severity
from weft_gridengine.parse import limit_of
from weft_gridengine.settings import GridEngine, seconds_of

__all__ = ["Site", "judged", "verified"]


@attrs.frozen(kw_only=True)
class Site:
    """A cluster.

    Attributes:
        name: its name.
        qmaster: the machine that schedules.
        queues: all of its queues.
        selected: the attributes of those that the settings name, or of all.
        environments: its parallel environments.
        rule: how the parallel environment of the settings shares out slots; empty for none.
        projects: its projects.
        resources: what jobs may ask for.
        exclusive: the resource by which a job has a node for itself; empty for none.
    """

    name: str
    qmaster: str
    queues: Sequence[str]
    selected: Sequence[Mapping[str, str]]
    environments: Sequence[str]
    rule: str
    projects: Sequence[str]
    resources: frozenset[str]
    exclusive: str


def judged(settings: GridEngine, site: Site) -> Iterator[Finding]:
    """What is to be said of what the settings name: the first error is the one to mend first."""
    yield from _queues(settings, site)
    yield from _environment(settings, site)
    if settings.project is not None and settings.project not in site.projects:
        yield Finding(
            what=f"The cluster {site.name!r} has no project {settings.project!r}.",
            severity=Severity.ERROR,
            why=f"Its projects are: {_all(site.projects)}.",
            remedy="Name one of them in the option project, or leave it out.",
        )
    yield from _resources(settings, site)


def verified(refusal: Refusal | None) -> Finding:
    """What ``qsub -w v`` says of a job as it is asked for, on one node.

    That no queue fits is no error: it does not know of resources that hosts report only while they
    run. Anything else that it says would be said of each job, too.
    """
    if refusal is None:
        return Finding(what="A job as it is asked for could run here.")
    why = f"qsub says: {refusal.said}"
    if "no suitable queues" in refusal.said:
        return Finding(
            what="No queue could run a job as it is asked for, as far as Grid Engine can tell.",
            severity=Severity.WARNING,
            why=why,
            remedy="Ask for less, or for another queue: such a job is taken, and may stay waiting.",
        )
    return Finding(
        what="Grid Engine would not take a job as it is asked for.",
        severity=Severity.ERROR,
        why=why,
        remedy=refusal.todo,
    )


def _all(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _queues(settings: GridEngine, site: Site) -> Iterator[Finding]:
    asked = settings.queue
    if asked is not None and not site.selected:
        yield Finding(
            what=f"The cluster {site.name!r} has no queue {asked!r}.",
            severity=Severity.ERROR,
            why=f"Its queues are: {_all(site.queues)}.",
            remedy="Name one of them in the option queue.",
        )
        return
    limits = {one["qname"]: limit_of(one.get("h_rt", "")) for one in site.selected}
    shown = ", ".join(f"{name} ({limit or 'no limit of time'})" for name, limit in limits.items())
    yield Finding(what=f"Jobs go to the queues {shown or 'none'}.")
    wanted = seconds_of(settings.walltime)
    if limits and not any(_gives(limit, wanted) for limit in limits.values()):
        yield Finding(
            what=f"The walltime {settings.walltime!r} is more than any of its queues gives.",
            severity=Severity.ERROR,
            why=f"They are: {shown}. Such a job is taken, and waits for ever.",
            remedy="Ask for less in the option walltime, or name another queue.",
        )
    environment = settings.parallel_environment
    if environment in site.environments and not any(
        _offers(one, environment) for one in site.selected
    ):
        yield Finding(
            what=f"None of these queues has the parallel environment {environment!r}.",
            severity=Severity.ERROR,
            why=", ".join(f"{one.get('qname')} has {one.get('pe_list')}" for one in site.selected)
            + ".",
            remedy="Name one that a queue has in the option parallel_environment, or another "
            "queue.",
        )


def _gives(limit: str, wanted: float | None) -> bool:
    most = seconds_of(limit) if limit else None
    return most is None or (wanted is not None and wanted <= most)


def _offers(queue: Mapping[str, str], environment: str | None) -> bool:
    # Hosts may differ here, too: "smp mpi,[node1=smp],[@gpu=NONE]".
    listed = queue.get("pe_list", "")
    for sign in ",[]=":
        listed = listed.replace(sign, " ")
    return environment in listed.split()


def _environment(settings: GridEngine, site: Site) -> Iterator[Finding]:
    name = settings.parallel_environment
    if name is None:
        return
    if name not in site.environments:
        yield Finding(
            what=f"The cluster {site.name!r} has no parallel environment {name!r}.",
            severity=Severity.ERROR,
            why=f"Its parallel environments are: {_all(site.environments)}.",
            remedy="Name one of them in the option parallel_environment.",
        )
        return
    slots = settings.slots_per_node or 1
    if site.rule.isdigit() and int(site.rule) != slots:
        yield Finding(
            what=f"The parallel environment {name!r} grants {site.rule} slots on each host, and "
            f"slots_per_node is {slots}.",
            severity=Severity.ERROR,
            why="A block would get another number of nodes than nodes_per_block.",
            remedy=f"Write slots_per_node={site.rule}, or name another parallel environment.",
        )
    else:
        yield Finding(what=f"The parallel environment {name!r} shares out by {site.rule!r}.")


def _resources(settings: GridEngine, site: Site) -> Iterator[Finding]:
    if settings.exclusive and not site.exclusive:
        yield Finding(
            what=f"The cluster {site.name!r} has no resource for having a node alone.",
            severity=Severity.ERROR,
            why="None of those that 'qconf -sc' lists has the relation EXCL.",
            remedy="Leave out the option exclusive, and ask for all slots of a node instead.",
        )
    memory = [settings.memory_resource] if settings.memory else []
    for option, wanted in (("memory_resource", memory), ("resources", settings.resources)):
        for name in wanted:
            if name not in site.resources:
                yield Finding(
                    what=f"The cluster {site.name!r} has no resource {name!r} to ask for.",
                    severity=Severity.ERROR,
                    why=f"It is named in the option {option}.",
                    remedy="Name one that 'qconf -sc' lists as requestable.",
                )
