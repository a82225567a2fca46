"""The options of the provider ``psij``. Light."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

import attrs
from attrs.validators import ge, in_, instance_of, matches_re, optional

from weft.values.settings import ProviderSettings, setting

__all__ = ["BATCH", "EXECUTORS", "PSIJ", "seconds_of"]

BATCH: Final = ("slurm", "pbs", "pbs_classic", "lsf", "cobalt")
"""The executors of PSI/J that hand scripts to a batch system."""
EXECUTORS: Final = ("local", *BATCH, "flux", "rp")
"""All executors that PSI/J 0.9.11 has."""

_TIME: Final = re.compile(r"(?P<h>\d+):(?P<m>[0-5]\d):(?P<s>[0-5]\d)")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_]+\.[A-Za-z0-9_-]+")
_WORD: Final = r"(?!-)[A-Za-z0-9_.+@:/-]+"


def seconds_of(walltime: str) -> int:
    """How long ``hours:minutes:seconds`` are.

    Raises:
        ValueError: it is no such time.
    """
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time; write hours:minutes:seconds, such as '12:00:00'"
        )
    return 3600 * int(found["h"]) + 60 * int(found["m"]) + int(found["s"])


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    if seconds_of(value) == 0:
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _are_attributes(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{field.name} maps names to values, such as {{'slurm.qos': 'debug'}}")
    for name, text in value.items():
        if not isinstance(name, str) or not _ATTRIBUTE.fullmatch(name):
            raise ValueError(
                f"{field.name} names {name!r}; a name is that of the executor, a dot, and the "
                "option of its batch system, such as 'slurm.qos'"
            )
        if not isinstance(text, str) or not text.isprintable() or set(text) & set('"`$\\'):
            raise ValueError(
                f"{field.name}[{name!r}] is {text!r}; PSI/J puts it between quotes into a script, "
                "so it is one line without quotes, backslash, '$' and '`'"
            )


@attrs.frozen(kw_only=True)
class PSIJ(ProviderSettings):
    """Nodes of any batch system that PSI/J speaks to: each block is one job.

    What is left out is what the site has by default. PSI/J runs in a process of its own, whose
    Python need not be that of the script.
    """

    plugin: ClassVar[str] = "psij"

    executor: Literal["local", "slurm", "pbs", "pbs_classic", "lsf", "cobalt", "flux", "rp"] = (
        setting(
            help="The executor of PSI/J, which is where jobs go: 'slurm'; 'pbs' for "
            "PBS Pro and OpenPBS, 'pbs_classic' for Torque; 'lsf'; 'cobalt'; 'flux'; 'rp' for "
            "RADICAL-Pilot; 'local' for this machine.",
            validator=in_(EXECUTORS),
        )
    )
    queue: str | None = setting(
        None,
        help="The queue, or partition; the site's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    account: str | None = setting(
        None,
        help="The account, or project, that pays; the user's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    reservation: str | None = setting(
        None,
        help="The reservation that the job runs in.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job, as hours:minutes:seconds.",
        validator=[instance_of(str), _is_time],
    )
    exclusive: bool = setting(
        True,
        help="Whether nodes are shared with no other job, where PSI/J can say so.",
        validator=instance_of(bool),
    )
    attributes: Mapping[str, str] = setting(
        factory=dict,
        help="More options of the batch system, as PSI/J's custom attributes, such as "
        "{'slurm.qos': 'debug', 'slurm.constraint': 'gpu'}.",
        validator=_are_attributes,
    )
    python: str | None = setting(
        None,
        help="The Python that has psij-python, from 0.9.11 on: a path, or a name on PATH; the one "
        "that runs the script when left out.",
        validator=optional([instance_of(str), matches_re(r"(?!-)[^\0\n]+")]),
    )
    poll_interval: float = setting(
        10.0,
        help="Time between two questions of PSI/J to the batch system; one command asks about all "
        "jobs.",
        unit="seconds",
        validator=ge(0.1),
    )
    command_timeout: float = setting(
        60.0,
        help="How long PSI/J may take to submit or to cancel a job before its process is ended and "
        "another one started.",
        unit="seconds",
        validator=ge(1),
    )
