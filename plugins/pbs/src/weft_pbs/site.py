"""Pure: what a server says of itself, held against the settings."""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from weft.values.problem import Finding, Severity
from weft_pbs.parse import Node, Queue
from weft_pbs.settings import Pbs, seconds_of

__all__ = ["Site", "judged", "judged_nodes"]


@attrs.frozen(kw_only=True)
class Site:
    """A server with its queues.

    Attributes:
        name: that of the server.
        version: of PBS.
        torque: whether it is TORQUE.
        history: whether it shows ended jobs when it is asked for them.
        default: the queue of jobs that name none; empty if there is none.
        queues: those that this user sees.
    """

    name: str
    version: str
    torque: bool
    history: bool
    default: str
    queues: Sequence[Queue]

    @classmethod
    def of(
        cls, name: str, found: Mapping[str, str], queues: Sequence[Queue], *, torque: bool
    ) -> "Site":
        """What ``qstat -Bf`` and ``qstat -Qf`` say."""
        return cls(
            name=name,
            version=found.get("pbs_version", ""),
            torque=torque,
            history=not torque and found.get("job_history_enable", "") == "True",
            default=found.get("default_queue", ""),
            queues=tuple(queues),
        )

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"{'TORQUE' if self.torque else 'PBS'} {self.version}".strip()


def judged(settings: Pbs, site: Site) -> Iterator[Finding]:
    """What is to be said of the queue that the settings name, and of what they ask for."""
    if site.torque:
        yield from _not_in_torque(settings)
    if settings.queue is not None and "@" in settings.queue:
        yield Finding(what=f"The queue {settings.queue!r} is another server's, and not looked at.")
        return
    known = {one.name: one for one in site.queues}
    name = settings.queue or site.default
    names = ", ".join(known) or "none"
    if not name:
        yield Finding(
            what=f"No queue is named, and the server {site.name!r} has no queue for such jobs.",
            severity=Severity.ERROR,
            why=f"Its queues are: {names}.",
            remedy="Name one of them in the option queue.",
        )
    elif name not in known:
        # A default that is not shown is the server's own matter.
        if settings.queue:
            yield Finding(
                what=f"The server {site.name!r} has no queue {name!r} that you can see.",
                severity=Severity.ERROR,
                why=f"Its queues are: {names}.",
                remedy="Name one of them in the option queue.",
            )
    else:
        yield from _of_queue(settings, known[name])
    if not site.torque and not site.history:
        yield Finding(
            what=f"The server {site.name!r} keeps no history of jobs.",
            why="How a job ended is read from what the job writes itself as its last deed; of one "
            "that PBS ends, only that it is gone is known.",
        )


def _not_in_torque(settings: Pbs) -> Iterator[Finding]:
    for option in ("project", "place"):
        if getattr(settings, option) is not None:
            yield Finding(
                what=f"The option {option} means nothing to TORQUE.",
                severity=Severity.ERROR,
                why=f"Its qsub has no such thing; here it is {getattr(settings, option)!r}.",
                remedy="Leave it out; the option account is there in both.",
            )


def _of_queue(settings: Pbs, queue: Queue) -> Iterator[Finding]:
    if not queue.enabled:
        yield Finding(
            what=f"The queue {queue.name!r} takes no jobs now.",
            severity=Severity.ERROR,
            why="It is not enabled.",
            remedy="Name another queue in the option queue, or wait until the site opens it.",
        )
    elif not queue.started:
        yield Finding(
            what=f"The queue {queue.name!r} starts no jobs now.",
            severity=Severity.WARNING,
            why="It is not started; jobs are taken, and wait.",
            remedy="Name another queue in the option queue, or wait until the site starts it.",
        )
    else:
        limit = f"of {queue.limit} at most" if queue.limit else "with no limit of time of its own"
        yield Finding(what=f"The queue {queue.name!r} takes and starts jobs, {limit}.")
    if queue.limit and _is_more(settings.walltime, queue.limit):
        yield Finding(
            what=f"The walltime {settings.walltime!r} is more than the {queue.limit} that the "
            f"queue {queue.name!r} gives.",
            severity=Severity.ERROR,
            why="Such a job is refused.",
            remedy="Ask for less in the option walltime, or name another queue.",
        )


def _is_more(walltime: str, limit: str) -> bool:
    try:
        return seconds_of(walltime) > seconds_of(limit)
    except ValueError:  # a limit that is written as the site likes it
        return False


def judged_nodes(settings: Pbs, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether there is a node that has what the settings ask of each."""
    up = [one for one in nodes if one.up]
    yield Finding(what=f"There are {len(nodes)} nodes, of which {len(up)} are up.")
    for option, wanted, most in (
        ("cores_per_node", settings.cores_per_node, _most(one.cores for one in up)),
        ("memory_per_node", settings.memory_per_node, _most(one.memory for one in up)),
    ):
        if wanted is not None and most is not None and wanted > most:
            yield Finding(
                what=f"No node that is up has {option}={wanted}.",
                severity=Severity.WARNING,
                why=f"The most that one has is {most}; such a job waits, perhaps for ever.",
                remedy=f"Ask for less in the option {option}.",
            )


def _most(values: "Iterator[int | None]") -> int | None:
    return max((one for one in values if one is not None), default=None)
