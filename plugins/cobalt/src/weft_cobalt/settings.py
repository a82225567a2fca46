"""The options of the provider ``cobalt``. Light."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import setting

__all__ = ["Cobalt", "seconds_of"]

_WORD: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_ATTRIBUTE: Final = r"[A-Za-z_][\w.-]*=[^:\s\"']+"
_TIME: Final = re.compile(r"(\d+)(?::(\d+))?(?::(\d+))?(?::(\d+))?")

# What the provider itself says in each job; another value would have it lose the job, or part of
# it. Long names with their short ones: Cobalt's option parser takes beginnings of long names, too.
_OURS: Final = {
    ("--attrs", ""): "it is the option 'attributes'",
    ("--cwd", ""): "a block starts where the script of its owner runs",
    ("--debuglog", ""): "how a block ended is read from the log in its folder",
    ("--error", "-e"): "the output of a block is kept in its folder",
    ("--jobname", ""): "jobs are found again by their names",
    ("--mode", ""): "the script of a block is what runs",
    ("--nodecount", "-n"): "it is nodes_per_block of the executor",
    ("--output", "-o"): "the output of a block is kept in its folder",
    ("--outputprefix", "-O"): "the output of a block is kept in its folder",
    ("--project", "-A"): "it is the option 'account'",
    ("--queue", "-q"): "it is the option 'queue'",
    ("--time", "-t"): "it is the option 'walltime'",
    ("--version", ""): "nothing would be submitted",
}


def seconds_of(walltime: str) -> float | None:
    """How long a time of Cobalt is; ``None`` for ``0``, which is as long as the queue gives.

    The forms are those of ``qsub --time``: minutes, hours:minutes, hours:minutes:seconds,
    days:hours:minutes:seconds.

    Raises:
        ValueError: it is none of them.
    """
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time as Cobalt has it; write '30' for minutes, '12:00:00' for "
            "hours, '2:00:00:00' for days, or '0' for as long as the queue gives"
        )
    parts = [int(part) for part in walltime.strip().split(":")]
    units = {1: (60,), 2: (3600, 60), 3: (3600, 60, 1), 4: (86400, 3600, 60, 1)}[len(parts)]
    total = float(sum(part * unit for part, unit in zip(parts, units, strict=True)))
    return total or None


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, _field: Any, value: str) -> None:
    seconds_of(value)


def _are_attributes(_instance: object, field: Any, value: str) -> None:
    if not re.fullmatch(rf"{_ATTRIBUTE}(:{_ATTRIBUTE})*", value):
        raise ValueError(
            f"{field.name} is what 'qsub --attrs' takes, such as 'mcdram=cache:numa=quad', not "
            f"{value!r}"
        )


def _are_options(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            f"scheduler_options is a sequence of lines, such as ('--dependencies 17',), not "
            f"{value!r}"
        )
    for line in value:
        _check_option(line)


def _check_option(value: object) -> None:
    if not isinstance(value, str) or not value.startswith("-") or not value.isprintable():
        raise ValueError(
            "each of scheduler_options is what stands behind #COBALT in one line, such as "
            f"'--dependencies 17', not {value!r}"
        )
    try:
        words = shlex.split(value)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        for (long, short), why in _OURS.items():
            if name == short or (len(name) > 2 and long.startswith(name)):
                raise ValueError(f"scheduler_options holds {word!r}, and {why}")


@attrs.frozen(kw_only=True)
class Cobalt(BatchSettings):
    """Nodes of a machine that Cobalt hands out: each block is a job in its mode ``script``.

    What is left out is what the site has by default. Cobalt gives whole nodes.
    """

    plugin: ClassVar[str] = "cobalt"

    queue: str | None = setting(
        None,
        help="The queue; Cobalt's own, 'default', when left out.",
        validator=optional(matches_re(_WORD)),
    )
    account: str | None = setting(
        None,
        help="The project that pays, as 'qsub -A' has it.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job, in a form that qsub knows: '30' is minutes, '12:00:00' "
        "hours, '2:00:00:00' days, '0' as long as the queue gives.",
        validator=[instance_of(str), _is_time],
    )
    attributes: str | None = setting(
        None,
        help="What nodes have to be, as 'qsub --attrs' takes it, such as 'mcdram=cache:numa=quad'.",
        validator=optional([instance_of(str), _are_attributes]),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of qsub, each as it stands behind #COBALT in one line, such as "
        "'--dependencies 17'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )
