"""Pure: what a queue manager says of itself, held against the settings."""

from collections.abc import Iterator, Sequence

from weft.values.problem import Finding, Severity
from weft_cobalt.parse import Queue
from weft_cobalt.settings import Cobalt, seconds_of

__all__ = ["DEFAULT", "judged"]

DEFAULT = "default"
"""The queue of jobs that name none."""


def judged(settings: Cobalt, queues: Sequence[Queue]) -> Iterator[Finding]:
    """What is to be said of the queue that the settings name."""
    known = {one.name: one for one in queues}
    name = settings.queue or DEFAULT
    if name not in known:
        yield Finding(
            what=f"Cobalt has no queue {name!r}"
            + ("." if settings.queue else ", where jobs go that name none."),
            severity=Severity.ERROR,
            why=f"Its queues are: {', '.join(known) or 'none'}.",
            remedy="Name one of them in the option queue.",
        )
        return
    queue = known[name]
    if queue.state in {"draining", "dead"}:
        yield Finding(
            what=f"The queue {name!r} takes no jobs now.",
            severity=Severity.ERROR,
            why=f"It is {queue.state}.",
            remedy="Name another queue in the option queue, or wait until the site opens it.",
        )
    elif queue.state != "running":
        yield Finding(
            what=f"The queue {name!r} starts no jobs now.",
            severity=Severity.WARNING,
            why=f"It is {queue.state}; jobs are taken, and wait.",
            remedy="Name another queue in the option queue, or wait until the site starts it.",
        )
    else:
        limit = f"of {queue.limit} at most" if queue.limit else "with no limit of time"
        yield Finding(what=f"The queue {name!r} takes and starts jobs, {limit}.")
    wanted, most = seconds_of(settings.walltime), _limit(queue)
    if wanted is not None and most is not None and wanted > most:
        yield Finding(
            what=f"The walltime {settings.walltime!r} is more than the {queue.limit} that the "
            f"queue {name!r} gives.",
            severity=Severity.ERROR,
            why="Such a job is refused.",
            remedy="Ask for less in the option walltime, or name another queue.",
        )


def _limit(queue: Queue) -> float | None:
    try:
        return seconds_of(queue.limit) if queue.limit else None
    except ValueError:  # a limit that is written as the site likes it
        return None
