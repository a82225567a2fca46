"""The options of the provider ``slurm`` and of the launchers ``srun``, ``srun-mpi``. Light."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import LauncherSettings, setting

__all__ = ["Slurm", "Srun", "SrunMPI", "seconds_of"]

_TIME: Final = re.compile(
    r"""(?P<days>\d+)-(?P<dh>\d+)(:(?P<dm>\d+)(:(?P<ds>\d+))?)?
      | (?P<h>\d+):(?P<hm>\d+):(?P<hs>\d+)
      | (?P<m>\d+)(:(?P<s>\d+))?""",
    re.VERBOSE,
)
_LIST: Final = r"[A-Za-z0-9_.+@-]+(,[A-Za-z0-9_.+@-]+)*"
_WORD: Final = r"[A-Za-z0-9_.+@-]+"

# What the provider itself says in each job; another value would have it lose the job, or part of
# it.
_OURS: Final = {
    "--array": "a block is one job",
    "-a": "a block is one job",
    "--clusters": "it is the option 'cluster'",
    "-M": "it is the option 'cluster'",
    "--error": "the output of a block is kept in its folder",
    "-e": "the output of a block is kept in its folder",
    "--help": "nothing would be submitted",
    "-h": "nothing would be submitted",
    "--job-name": "jobs are found again by their names",
    "-J": "jobs are found again by their names",
    "--nodes": "it is nodes_per_block of the executor",
    "-N": "it is nodes_per_block of the executor",
    "--output": "the output of a block is kept in its folder",
    "-o": "the output of a block is kept in its folder",
    "--parsable": "the id of the job is read from what sbatch says",
    "--requeue": "a block that is lost is replaced by a new one, and does not come back",
    "--test-only": "nothing would be submitted",
    "--version": "nothing would be submitted",
    "-V": "nothing would be submitted",
    "--wait": "blocks are submitted without waiting for them",
    "-W": "blocks are submitted without waiting for them",
    "--wrap": "the script of the block is what runs",
}


def seconds_of(walltime: str) -> float | None:
    """How long a time of Slurm is; ``None`` for ``UNLIMITED`` and its other names.

    The forms are those of ``sbatch --time``: minutes, minutes:seconds, hours:minutes:seconds,
    days-hours, days-hours:minutes, days-hours:minutes:seconds.

    Raises:
        ValueError: it is none of them.
    """
    if walltime.strip().lower() in {"unlimited", "infinite", "-1"}:
        return None
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time as Slurm has it; write '30' for minutes, '12:00:00' for "
            "hours, '2-00:00:00' for days, or 'UNLIMITED'"
        )
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    hours = 24 * part["days"] + part["dh"] + part["h"]
    minutes = part["dm"] + part["hm"] + part["m"]
    return 3600.0 * hours + 60 * minutes + part["ds"] + part["hs"] + part["s"]


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    if seconds_of(value) == 0:
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _is_line(_instance: object, field: Any, value: str) -> None:
    if not value.strip() or not value.isprintable():
        raise ValueError(
            f"{field.name} is one line of text that can be printed and is not empty, not {value!r}"
        )


def _is_gpus(_instance: object, field: Any, value: object) -> None:
    if type(value) is int and value > 0:
        return
    if not isinstance(value, str) or not re.fullmatch(r"([\w.-]+:)?[1-9]\d*", value):
        raise ValueError(
            f"{field.name} is a number from 1, or a kind and a number such as 'a100:4', not "
            f"{value!r}"
        )


def _are_options(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            f"scheduler_options is a sequence of lines, such as ('--mail-type=END',), not {value!r}"
        )
    for line in value:
        _check_option(line)


def _check_option(value: object) -> None:
    if not isinstance(value, str) or not value.startswith("-") or not value.isprintable():
        raise ValueError(
            "each of scheduler_options is what stands behind #SBATCH in one line, such as "
            f"'--mail-type=END', not {value!r}"
        )
    try:
        words = shlex.split(value, comments=True)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word in words:
        name = word.partition("=")[0] if word.startswith("--") else word[:2]
        # Slurm takes every beginning of a long name that fits one option alone.
        long = [one for one in _OURS if len(name) > 3 and one.startswith(name)]
        known = name if name in _OURS else (long[0] if len(long) == 1 else "")
        if known and word.startswith("-"):
            raise ValueError(f"scheduler_options holds {word!r}, and {_OURS[known]}")


def _are_words(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(word, str) and word and "\0" not in word for word in value
    ):
        raise ValueError(
            f"{field.name} is a sequence of words, such as ('--mem-per-cpu=2G',), not {value!r}"
        )


@attrs.frozen(kw_only=True)
class Slurm(BatchSettings):
    """Nodes of a cluster that Slurm hands out: each block is a batch job.

    What is left out is what the site has by default. Each name is that of the option of ``sbatch``
    that it becomes, as far as there is one.
    """

    plugin: ClassVar[str] = "slurm"

    partition: str | None = setting(
        None,
        help="The partition, or several separated by commas, of which the first that can start the "
        "job does; the site's own when left out.",
        validator=optional(matches_re(_LIST)),
    )
    account: str | None = setting(
        None,
        help="The account that pays; the user's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    qos: str | None = setting(
        None,
        help="The quality of service; the account's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job, in a form that sbatch knows: '30' is minutes, '12:00:00' "
        "hours, '2-00:00:00' days, 'UNLIMITED' none.",
        validator=[instance_of(str), _is_time],
    )
    cores_per_node: int | None = setting(
        None,
        help="Cores asked for on each node; with exclusive, a node has to have as many.",
        unit="cores",
        validator=optional([instance_of(int), ge(1)]),
    )
    memory_per_node: int | None = setting(
        None,
        help="Memory asked for on each node; 0 for all that it has.",
        unit="bytes",
        validator=optional([instance_of(int), ge(0)]),
    )
    exclusive: bool = setting(
        True,
        help="Whether nodes are shared with no other job.",
        validator=instance_of(bool),
    )
    constraint: str | None = setting(
        None,
        help="Features that nodes have to have, such as 'haswell|skylake'.",
        validator=optional([instance_of(str), _is_line]),
    )
    gpus_per_node: int | str | None = setting(
        None,
        help="GPUs asked for on each node, such as 4 or 'a100:4'.",
        unit="GPUs",
        validator=optional(_is_gpus),
    )
    gres: str | None = setting(
        None,
        help="Generic resources asked for on each node, such as 'gpu:a100:4,nvme:1'.",
        validator=optional([instance_of(str), _is_line]),
    )
    reservation: str | None = setting(
        None,
        help="The reservation that the job runs in.",
        validator=optional(matches_re(_LIST)),
    )
    cluster: str | None = setting(
        None,
        help="Another cluster than that of this machine, where the site has several.",
        validator=optional(matches_re(_WORD)),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of sbatch, each as it stands behind #SBATCH in one line, such as "
        "'--mail-type=END'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )


@attrs.frozen(kw_only=True)
class Srun(LauncherSettings):
    """One step of srun on all nodes."""

    plugin: ClassVar[str] = "srun"
    mpi: str | None = setting(
        None,
        help="The kind of MPI that is prepared for, as 'srun --mpi=list' names them.",
        validator=optional(matches_re(r"[A-Za-z0-9_.-]+")),
    )
    options: Sequence[str] = setting(
        (),
        help="More options of srun, each a word of its own; they come last, and so overrule.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_words,
    )


@attrs.frozen(kw_only=True)
class SrunMPI(LauncherSettings):
    """A step of srun for each copy of the command, so that each can start MPI programs itself."""

    plugin: ClassVar[str] = "srun-mpi"
    mpi: str | None = setting(
        None,
        help="The kind of MPI that is prepared for, as 'srun --mpi=list' names them.",
        validator=optional(matches_re(r"[A-Za-z0-9_.-]+")),
    )
    options: Sequence[str] = setting(
        (),
        help="More options of srun, each a word of its own; they come last, and so overrule.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_words,
    )
