"""The options of the provider ``flux``. Light."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import setting

__all__ = ["Flux", "seconds_of"]

_DURATION: Final = re.compile(r"(?P<value>\d+(\.\d+)?|\.\d+)(?P<unit>ms|[smhd]?)")
_CLOCK: Final = re.compile(r"(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 60.0}
_WORD: Final = r"[A-Za-z0-9_.+@/-]+"

# What the provider itself says in each job; another value would have it lose the job, or part of
# it.
_OURS: Final = {
    "--job-name": "jobs are found again by their names",
    "--output": "the output of a block is kept in its folder",
    "--error": "the output of a block is kept in its folder",
    "--input": "a block reads nothing",
    "--cwd": "a block runs in its folder",
    "--nodes": "it is nodes_per_block of the executor",
    "-N": "it is nodes_per_block of the executor",
    "--nslots": "it is nodes_per_block of the executor",
    "-n": "it is nodes_per_block of the executor",
    "--time-limit": "it is the option 'walltime'",
    "-t": "it is the option 'walltime'",
    "--wrap": "the script of the block is what runs",
    "--quiet": "the id of the job is read from what flux says",
    "--dry-run": "nothing would be submitted",
    "--help": "nothing would be submitted",
    "-h": "nothing would be submitted",
}


def seconds_of(walltime: str) -> float | None:
    """How long a time is; ``None`` for ``UNLIMITED`` and its other names.

    The forms are those of ``flux batch --time-limit``: minutes, or a number with one of the units
    s, m, h and d (RFC 23). As many write it for other schedulers, hours:minutes:seconds is
    understood, too.

    Raises:
        ValueError: it is none of them.
    """
    text = walltime.strip()
    if text.lower() in {"unlimited", "infinity", "inf"}:
        return None
    if clock := _CLOCK.fullmatch(text):
        return 3600.0 * int(clock["h"]) + 60 * int(clock["m"]) + int(clock["s"])
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time as Flux has it; write '30m', '12h' or '2d', '90' for minutes "
            "or 'UNLIMITED'"
        )
    return float(found["value"]) * _UNITS[found["unit"]]


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    seconds = seconds_of(value)
    if seconds is not None and (seconds == 0 or math.isinf(seconds)):
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _is_line(_instance: object, field: Any, value: str) -> None:
    if not value.strip() or not value.isprintable():
        raise ValueError(
            f"{field.name} is one line of text that can be printed and is not empty, not {value!r}"
        )


def _are_options(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            f"scheduler_options is a sequence of lines, such as ('--urgency=20',), not {value!r}"
        )
    for line in value:
        _check_option(line)


def _check_option(value: object) -> None:
    if not isinstance(value, str) or not value.startswith("-") or not value.isprintable():
        raise ValueError(
            "each of scheduler_options is what stands behind '#flux:' in one line, such as "
            f"'--urgency=20', not {value!r}"
        )
    if '"""' in value or "'''" in value:
        raise ValueError(f"scheduler_options holds {value!r}: a line has no room for three quotes")
    try:
        words = shlex.split(value, comments=True)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        # Flux takes every beginning of a long name that fits one option alone.
        long = [one for one in _OURS if len(name) > 3 and one.startswith(name)]
        known = name if name in _OURS else (long[0] if len(long) == 1 else "")
        if known and word.startswith("-"):
            raise ValueError(f"scheduler_options holds {word!r}, and {_OURS[known]}")


@attrs.frozen(kw_only=True)
class Flux(BatchSettings):
    """Nodes that a Flux instance hands out: each block is a batch job, an instance of its own.

    The instance is that of the machine, or the one within which the script itself runs. What is
    left out is what it has by default.
    """

    plugin: ClassVar[str] = "flux"

    queue: str | None = setting(
        None,
        help="The queue; the instance's own when left out, if it has any.",
        validator=optional(matches_re(_WORD)),
    )
    bank: str | None = setting(
        None,
        help="The bank that pays; the user's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "10m",
        help="The longest life of a job: '30m', '12h', '2d', '90' for minutes, 'UNLIMITED' for "
        "none.",
        validator=[instance_of(str), _is_time],
    )
    exclusive: bool = setting(
        True,
        help="Whether nodes are shared with no other job.",
        validator=instance_of(bool),
    )
    cores_per_node: int | None = setting(
        None,
        help="Cores asked for on each node; with exclusive, a node has to have as many.",
        unit="cores",
        validator=optional([instance_of(int), ge(1)]),
    )
    gpus_per_node: int | None = setting(
        None,
        help="GPUs asked for on each node.",
        unit="GPUs",
        validator=optional([instance_of(int), ge(1)]),
    )
    requires: str | None = setting(
        None,
        help="Properties that nodes have to have, such as 'bigmem and -host:node7'.",
        validator=optional([instance_of(str), _is_line]),
    )
    uri: str | None = setting(
        None,
        help="Another instance than that of this machine, as 'flux uri' names it.",
        validator=optional([instance_of(str), _is_line]),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of 'flux batch', each as it stands behind '#flux:' in one line, such as "
        "'--urgency=20'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )
