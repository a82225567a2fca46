"""The options of the provider ``pbs``. Light."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, in_, instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import setting

__all__ = ["Pbs", "seconds_of"]

_WORD: Final = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_QUEUE: Final = rf"{_WORD}(@{_WORD}(:\d+)?)?"
_CHUNK: Final = r"[A-Za-z0-9_][A-Za-z0-9_.]*(=[^:+\s\"']+)?"
_TIME: Final = re.compile(r"((?:\d+:){0,3})(\d+)")

# What the provider itself says in each job; another value would have it lose the job, or part of
# it.
_OURS: Final = {
    "-A": "it is the option 'account'",
    "-C": "jobs are submitted with '#PBS'",
    "-I": "a block runs without a terminal",
    "-J": "a block is one job",
    "-N": "jobs are found again by their names",
    "-P": "it is the option 'project'",
    "-S": "the script of a block is for /bin/sh",
    "-X": "a block runs without a terminal",
    "-e": "the output of a block is kept in its folder",
    "-j": "the output of a block is kept in its folder",
    "-o": "the output of a block is kept in its folder",
    "-q": "it is the option 'queue'",
    "-r": "a block that is lost is replaced by a new one, and does not come back",
    "-t": "a block is one job",
    "-z": "the id of the job is read from what qsub says",
    "--": "the script of a block is what runs",
    "--version": "nothing would be submitted",
}
_OUR_RESOURCES: Final = {
    "nodes": "it is nodes_per_block of the executor",
    "place": "it is the option 'place'",
    "select": "it is nodes_per_block of the executor, with the option 'select_options'",
    "walltime": "it is the option 'walltime'",
}
_OUR_CHUNK: Final = {
    "host": "a block may be on any nodes",
    "mem": "it is the option 'memory_per_node'",
    "mpiprocs": "each node is listed once, and the launcher says how many copies start there",
    "ncpus": "it is the option 'cores_per_node'",
    "ngpus": "it is the option 'gpus_per_node'",
    "gpus": "it is the option 'gpus_per_node'",
    "ppn": "it is the option 'cores_per_node'",
}


def seconds_of(walltime: str) -> float:
    """How long a time of PBS is: seconds, or up to days:hours:minutes:seconds.

    The forms are those of ``pbs_resources(7)``; days are TORQUE's alone.

    Raises:
        ValueError: it is none of them.
    """
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time as PBS has it; write '12:00:00' for hours, '30:00' for "
            "minutes, '90' for seconds"
        )
    parts = [int(part) for part in walltime.strip().split(":")]
    units = (1, 60, 3600, 86400)
    return float(sum(part * unit for part, unit in zip(reversed(parts), units, strict=False)))


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    if seconds_of(value) == 0:
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _is_chunk(_instance: object, field: Any, value: str) -> None:
    for part in value.split(":"):
        if not re.fullmatch(_CHUNK, part):
            raise ValueError(
                f"{field.name} is what each node has to have, such as 'system=polaris:ngpus=4', "
                f"not {value!r}"
            )
        name = part.partition("=")[0]
        if name in _OUR_CHUNK:
            raise ValueError(f"{field.name} holds {part!r}, and {_OUR_CHUNK[name]}")


def _are_options(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            f"scheduler_options is a sequence of lines, such as ('-m e',), not {value!r}"
        )
    for line in value:
        _check_option(line)


def _check_option(value: object) -> None:
    if not isinstance(value, str) or not value.startswith("-") or not value.isprintable():
        raise ValueError(
            "each of scheduler_options is what stands behind #PBS in one line, such as '-m e', "
            f"not {value!r}"
        )
    try:
        words = shlex.split(value)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if not word.startswith("-"):
            continue
        name = word if word.startswith("--") else word[:2]
        if name in _OURS:
            raise ValueError(f"scheduler_options holds {word!r}, and {_OURS[name]}")
        if name == "-l":
            _check_resources(value, word[2:] or after)
        if name == "-W" and re.search(r"(^|,)\s*(block|interactive)\b", word[2:] or after):
            raise ValueError(
                f"scheduler_options holds {value!r}, and blocks are submitted without waiting for "
                "them"
            )


def _check_resources(line: str, given: str) -> None:
    for part in given.split(","):
        name = part.partition("=")[0].strip()
        if name in _OUR_RESOURCES:
            raise ValueError(f"scheduler_options holds {line!r}, and {_OUR_RESOURCES[name]}")


@attrs.frozen(kw_only=True)
class Pbs(BatchSettings):
    """Nodes of a cluster that PBS Professional, OpenPBS or TORQUE hands out, each block as a job.

    What is left out is what the site has by default.
    """

    plugin: ClassVar[str] = "pbs"

    queue: str | None = setting(
        None,
        help="Where jobs go: a queue, or a reservation of yours, which PBS has as a queue; the "
        "site's own when left out.",
        validator=optional(matches_re(_QUEUE)),
    )
    account: str | None = setting(
        None,
        help="The account that pays, as 'qsub -A' has it.",
        validator=optional(matches_re(_WORD)),
    )
    project: str | None = setting(
        None,
        help="The project, as 'qsub -P' of PBS Professional has it; some sites charge by it.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job, as PBS writes it: '12:00:00' is hours, '30:00' minutes, "
        "'90' seconds.",
        validator=[instance_of(str), _is_time],
    )
    cores_per_node: int | None = setting(
        None,
        help="Cores asked for on each node: ncpus, or ppn of TORQUE.",
        unit="cores",
        validator=optional([instance_of(int), ge(1)]),
    )
    memory_per_node: int | None = setting(
        None,
        help="Memory asked for on each node.",
        unit="bytes",
        validator=optional([instance_of(int), ge(1)]),
    )
    gpus_per_node: int | None = setting(
        None,
        help="GPUs asked for on each node: ngpus, or gpus of TORQUE.",
        unit="GPUs",
        validator=optional([instance_of(int), ge(1)]),
    )
    select_options: str | None = setting(
        None,
        help="What else each node has to have, as a chunk of 'qsub -l select' has it, such as "
        "'system=polaris:gputype=a100'; of TORQUE, properties such as 'bigmem:infiniband'.",
        validator=optional([instance_of(str), _is_chunk]),
    )
    exclusive: bool = setting(
        True,
        help="Whether nodes are shared with no other job.",
        validator=instance_of(bool),
    )
    place: str | None = setting(
        None,
        help="How the nodes lie, as 'qsub -l place' of PBS Professional has it, such as "
        "'scatter:excl:group=rack'; what exclusive says is then not said.",
        validator=optional(matches_re(r"[A-Za-z0-9_.:=-]+")),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of qsub, each as it stands behind #PBS in one line, such as '-m e'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )
    dialect: str = setting(
        "auto",
        help="'pbspro' for PBS Professional and OpenPBS, 'torque', or 'auto' to ask 'qstat "
        "--version' which of them is here.",
        validator=in_(("auto", "pbspro", "torque")),
    )
