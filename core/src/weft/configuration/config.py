"""``Config``: a whole configuration as frozen data.

It holds settings objects, never anything that runs, so it can be loaded twice, compared, printed
and written to a file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from weft.configuration.options import explained
from weft.values.settings import (
    ExecutorSettings,
    MonitorSettings,
    SerializerSettings,
    Settings,
    StagerSettings,
    setting,
)

if TYPE_CHECKING:
    from weft.values.task import TaskView

__all__ = ["Backoff", "Config", "parts_of"]


@explained("Backoff")
@attrs.frozen(kw_only=True)
class Backoff:
    """How long to wait before a failed task is tried again.

    The wait before try ``n + 1`` is ``first * factor ** (n - 1)`` seconds, at most ``most``, times
    a random factor between ``1 - jitter`` and ``1``, so that tasks that failed together do not come
    back together.
    """

    first: float = setting(
        0.0, help="Wait before the first retry.", unit="seconds", validator=attrs.validators.ge(0)
    )
    factor: float = setting(
        2.0, help="Growth of the wait from one retry to the next.", validator=attrs.validators.ge(1)
    )
    most: float = setting(
        60.0, help="Longest wait.", unit="seconds", validator=attrs.validators.ge(0)
    )
    jitter: float = setting(
        0.5,
        help="Share of the wait that is left to chance.",
        validator=attrs.validators.and_(attrs.validators.ge(0), attrs.validators.le(1)),
    )

    def wait(self, retry: int, chance: float) -> float:
        """Seconds before retry number ``retry`` (from 1); ``chance`` is a number from 0 to 1."""
        try:
            full = min(self.most, self.first * self.factor ** (retry - 1))
        except OverflowError:  # after a thousand doublings
            full = self.most if self.first else 0.0
        return full * (1 - self.jitter * chance)


def _path(value: "str | Path") -> Path:
    return Path(value).expanduser()


def _tuple(value: Sequence[Any]) -> tuple[Any, ...]:
    # A single settings object is a common slip; the check reports it, so leave it to be seen.
    return tuple(value) if isinstance(value, (list, tuple)) else value  # type: ignore[return-value]


@explained("Config")
@attrs.frozen(kw_only=True)
class Config:
    """What a session is made of.

    Every option has a default; ``Config()`` is the embedded configuration: one thread executor,
    nothing to install.
    """

    executors: Sequence[ExecutorSettings] = setting(
        factory=tuple, converter=_tuple, help="Where tasks run; one thread executor when left out."
    )
    monitors: Sequence[MonitorSettings] = setting(
        factory=tuple,
        converter=_tuple,
        help="Who is told what happens; the log in the run folder when left out.",
    )
    stagers: Sequence[StagerSettings] = setting(
        factory=tuple,
        converter=_tuple,
        help="Options of stagers, or the choice among several for one scheme.",
    )
    serializer: SerializerSettings | None = setting(
        None, help="How results are written to the checkpoint; pickle, then dill, when left out."
    )
    # Not by `setting`: type checkers know of attrs' own function that the converter takes a str
    # too.
    run_dir: Path = attrs.field(
        default=Path("weft-runs"),
        converter=_path,
        metadata={"help": "Where run folders are made; each run gets a numbered one in it."},
    )
    event_log: bool = setting(
        True,
        help="Whether what happens is written to events.weft in the run folder, for 'weft runs' "
        "and whoever asks afterwards.",
    )
    summary: bool | None = setting(
        None,
        help="Whether standard error is told at the end what became of the tasks and where their "
        "time went; when left out, 'weft run' tells it, and a script by itself does not.",
    )
    task_logs: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = setting(
        "WARNING",
        help="The least level of what tasks log by Python's logging that is told, for 'weft logs'; "
        "nothing is with None.",
        validator=attrs.validators.in_(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", None)),
    )
    task_prints: bool = setting(
        False, help="Whether what tasks print by Python is told too, line by line."
    )
    task_values: Literal["failed", "all"] | None = setting(
        "failed",
        help="Of which tasks it is told with what they were called and what they returned, in "
        "short words: of those that failed, of all, or with None of none.",
        validator=attrs.validators.in_(("failed", "all", None)),
    )
    resource_samples: float | None = setting(
        None,
        help="How often it is told what a task uses of its node: at the end of each, and so often "
        "before; never when left out. Needs psutil where tasks run.",
        unit="seconds",
        validator=attrs.validators.optional(attrs.validators.ge(0.1)),
    )
    name: str = setting("", help="The run's name in reports; the script's name when left out.")

    retries: float = setting(
        0,
        help="What failures may cost a task in all; "
        "each costs 1 unless retry_handler says otherwise.",
        validator=attrs.validators.ge(0),
    )
    retry_handler: "Callable[[BaseException, TaskView], float] | None" = setting(
        None,
        help="Given the error and a view of the task, "
        "returns what this failure costs of `retries`.",
    )
    backoff: Backoff = setting(factory=Backoff, help="How long to wait before a retry.")
    losses: int = setting(
        3,
        help="How often a task that the infrastructure lost is tried again, "
        "without charge to `retries`.",
        validator=attrs.validators.ge(0),
    )

    memoize: bool = setting(True, help="Whether apps with cache=True are answered from memory.")
    checkpoint: bool | Literal["write"] = setting(
        False,
        help="Whether results of apps with cache=True are kept on disk, and those of earlier runs "
        "are used; 'write' keeps them, and uses none of earlier runs.",
        validator=attrs.validators.in_((False, True, "write")),
    )
    unknown_arguments: Literal["warn", "raise"] = setting(
        "warn",
        help="What to do when an argument of a cached app has no known identity: "
        "run the task, or refuse it.",
        validator=attrs.validators.in_(("warn", "raise")),
    )

    max_pending: int | None = setting(
        None, help="Unfinished tasks at most; no limit when left out.",
        validator=attrs.validators.optional(attrs.validators.ge(1)),
    )  # fmt: skip
    when_full: Literal["block", "raise"] = setting(
        "block", help="What a call does while max_pending tasks are unfinished.",
        validator=attrs.validators.in_(("block", "raise")),
    )  # fmt: skip
    resolver: Literal["deep", "shallow"] = setting(
        "deep",
        help="Where futures among arguments are found: anywhere inside lists, tuples, sets and "
        "dicts, or only as direct arguments and in `inputs`.",
        validator=attrs.validators.in_(("deep", "shallow")),
    )
    work_threads: int = setting(
        4, help="Threads for join apps, staging, memo keys and retry handlers.", unit="threads",
        validator=attrs.validators.ge(1),
    )  # fmt: skip

    transfer_retries: int = setting(
        3,
        help="How often a file that could not be moved is tried again, where that may help.",
        validator=attrs.validators.ge(0),
    )
    transfer_backoff: Backoff = setting(
        factory=lambda: Backoff(first=1.0), help="How long to wait before such a retry."
    )
    transfer_timeout: float | None = setting(
        None,
        help="How long one try of moving a file may take; stagers bound the time for which the "
        "other side is silent by options of their own.",
        unit="seconds",
        validator=attrs.validators.optional(attrs.validators.gt(0)),
    )
    transfer_threads: int = setting(
        8, help="Files that are moved at the same time.", unit="threads",
        validator=attrs.validators.ge(1),
    )  # fmt: skip

    cache: bool = setting(
        True,
        help="Whether files that are brought to this machine are kept, for tasks and runs that "
        "want the same ones later.",
    )
    # As `run_dir`.
    cache_dir: Path | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(_path),
        metadata={"help": "Where they are kept; in the user's folder for caches when left out."},
    )
    cache_size: int = setting(
        50 * 10**9,
        help="How much is kept at most; what was not used for longest goes first.",
        unit="bytes",
        validator=attrs.validators.gt(0),
    )

    on_exit: Literal["wait", "cancel"] = setting(
        "wait",
        help="What leaving the session does with unfinished tasks; "
        "after an exception they are cancelled.",
        validator=attrs.validators.in_(("wait", "cancel")),
    )
    close_timeout: float = setting(
        10.0,
        help="How long running tasks may go on once they have been cancelled by closing.",
        unit="seconds",
        validator=attrs.validators.ge(0),
    )

    prefer: Mapping[str, str] = setting(
        factory=dict,
        help="Which package wins where two offer one name: {'executor.htex': 'weft-htex'}.",
    )
    require_level: str | None = setting(
        None,
        help="Lowest maturity level that every component must have; others are refused.",
        validator=attrs.validators.optional(
            attrs.validators.in_(("experimental", "tested", "supported", "proven"))
        ),
    )
    allow: Sequence[str] | None = setting(
        None, help="The only packages whose plugins may be loaded."
    )
    block: Sequence[str] = setting(
        factory=tuple, converter=_tuple, help="Packages whose plugins may not be loaded."
    )
    hooks: bool = setting(True, help="Whether packages that observe runs through hooks are loaded.")


def parts_of(config: Config) -> Iterator[Settings]:
    """Every component that a configuration names, those within others too."""
    waiting: list[object] = [config]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Settings):
            yield one
        if isinstance(one, (Settings, Config)):
            waiting += [getattr(one, field.name) for field in attrs.fields(type(one))]
        elif isinstance(one, (list, tuple)):
            waiting += one
