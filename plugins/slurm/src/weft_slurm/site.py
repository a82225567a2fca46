"""Pure: what a cluster says of itself, held against the settings."""

from collections.abc import Iterator, Sequence

import attrs

from weft.values.problem import Finding, Severity
from weft_slurm.parse import Partition
from weft_slurm.settings import Slurm, seconds_of

__all__ = ["Site", "judged"]


@attrs.frozen(kw_only=True)
class Site:
    """A cluster.

    Attributes:
        name: its name.
        controller: the machine of its first controller.
        version: of Slurm.
        accounts: whether it keeps accounts, so that ``sacct`` knows of ended jobs.
        array_size: how many jobs an array may have; 1 where there are no arrays.
        partitions: those that this user sees.
    """

    name: str
    controller: str
    version: str
    accounts: bool
    array_size: int
    partitions: Sequence[Partition]

    @classmethod
    def of(cls, config: dict[str, str], found: Sequence[Partition]) -> "Site":
        """What ``scontrol show config`` and ``sinfo`` say."""
        storage, size = config.get("AccountingStorageType", ""), config.get("MaxArraySize", "")
        return cls(
            name=config.get("ClusterName", ""),
            controller=config.get("SlurmctldHost[0]", "").partition("(")[0],
            version=config.get("SLURM_VERSION", ""),
            accounts=storage not in {"", "(null)", "accounting_storage/none"},
            array_size=max(1, int(size)) if size.isdigit() else 1,
            partitions=tuple(found),
        )


SETTINGS = (
    *("ClusterName", "SlurmctldHost[0]", "SLURM_VERSION", "AccountingStorageType"),
    "MaxArraySize",
)
"""What ``Site.of`` wants of the configuration."""


def judged(settings: Slurm, site: Site) -> Iterator[Finding]:
    """What is to be said of the partitions that the settings name."""
    known = {one.name: one for one in site.partitions}
    names = settings.partition.split(",") if settings.partition else []
    for name in names:
        if name not in known:
            yield Finding(
                what=f"The cluster {site.name!r} has no partition {name!r} that you can see.",
                severity=Severity.ERROR,
                why=f"Its partitions are: {', '.join(known) or 'none'}.",
                remedy="Name one of them in the option partition.",
            )
            continue
        yield from _of_one(settings, known[name], alone=len(names) == 1)
    if not names:
        yield Finding(
            what=f"No partition is named, so jobs go to the site's own; there are "
            f"{', '.join(known) or 'none'}."
        )


def _of_one(settings: Slurm, partition: Partition, *, alone: bool) -> Iterator[Finding]:
    if not partition.up:
        yield Finding(
            what=f"The partition {partition.name!r} starts no jobs now.",
            severity=Severity.WARNING,
            why="It is down, drained or inactive; jobs are taken, and wait.",
            remedy="Name another one, or wait until the site opens it."
            if alone
            else "Another one that is named may take the job.",
        )
    else:
        limit = partition.limit or "no limit of time"
        yield Finding(
            what=f"The partition {partition.name!r} is up, with {partition.nodes} nodes and "
            f"{limit}."
        )
    if partition.limit:
        wanted, most = seconds_of(settings.walltime), seconds_of(partition.limit)
        if most is not None and (wanted is None or wanted > most):
            yield Finding(
                what=f"The walltime {settings.walltime!r} is more than the {partition.limit} that "
                f"the partition {partition.name!r} gives.",
                severity=Severity.ERROR if alone else Severity.WARNING,
                why="Such a job is refused, or waits for ever, as the site has it.",
                remedy="Ask for less in the option walltime, or name another partition.",
            )
