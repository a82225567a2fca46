"""The options of the provider ``lsf``. Light."""

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

__all__ = ["LSF", "minutes_of"]

_TIME: Final = re.compile(r"(?P<m>\d+)|(?P<h>\d+):(?P<hm>\d+)(:(?P<hs>\d+))?")
_WORD: Final = r"[A-Za-z0-9_.+@/-]+"

# What the provider itself says in each job; another value would have it lose the job, or part of
# it. Interactive jobs are -I, -Ip, -Is, -IS and so on.
_OURS: Final = {
    "-J": "jobs are found again by their names",
    "-Jd": "jobs are found again by their descriptions",
    "-o": "the output of a block is kept in its folder",
    "-oo": "the output of a block is kept in its folder",
    "-e": "the output of a block is kept in its folder",
    "-eo": "the output of a block is kept in its folder",
    "-i": "a block reads nothing",
    "-is": "a block reads nothing",
    "-cwd": "a block runs in its folder",
    "-n": "it is nodes_per_block of the executor, and cores_per_node",
    "-nnodes": "it is nodes_per_block of the executor, with by_nodes",
    "-W": "it is the option 'walltime'",
    "-r": "a block that is lost is replaced by a new one, and does not come back",
    "-rn": "the provider says so itself",
    "-K": "blocks are submitted without waiting for them",
    "-h": "nothing would be submitted",
    "-V": "nothing would be submitted",
}


def minutes_of(walltime: str) -> int:
    """How many minutes a time is, rounded up: LSF knows nothing shorter.

    The forms are those of ``bsub -W``: minutes, and hours:minutes. As many write it for other
    schedulers, hours:minutes:seconds is understood, too.

    Raises:
        ValueError: it is none of them.
    """
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time as LSF has it; write '90' for minutes or '12:00' for hours "
            "and minutes"
        )
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    return 60 * part["h"] + part["hm"] + part["m"] + math.ceil(part["hs"] / 60)


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    if minutes_of(value) == 0:
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _is_line(_instance: object, field: Any, value: str) -> None:
    if not value.strip() or not value.isprintable():
        raise ValueError(
            f"{field.name} is one line of text that can be printed and is not empty, not {value!r}"
        )
    if '"' in value and "'" in value:
        raise ValueError(f"{field.name} cannot hold both kinds of quotes, as {value!r} does")


def _is_gpus(_instance: object, field: Any, value: object) -> None:
    if type(value) is int and value > 0:
        return
    if not isinstance(value, str) or not re.fullmatch(r"[\w.-]+=[\w.-]+(:[\w.-]+=[\w.-]+)*", value):
        raise ValueError(
            f"{field.name} is a number from 1, or what 'bsub -gpu' takes, such as "
            f"'num=4:j_exclusive=yes', not {value!r}"
        )


def _are_options(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            f"scheduler_options is a sequence of lines, such as ('-sla fast',), not {value!r}"
        )
    for line in value:
        _check_option(line)


def _check_option(value: object) -> None:
    if not isinstance(value, str) or not value.startswith("-") or not value.isprintable():
        raise ValueError(
            "each of scheduler_options is what stands behind #BSUB in one line, such as "
            f"'-sla fast', not {value!r}"
        )
    try:
        words = shlex.split(value)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word in words:
        why = _OURS.get(word)
        if why is None and re.fullmatch(r"-n\d+|-I[pPsSX]*", word):
            why = _OURS["-n"] if word[1] == "n" else "nobody talks with a block"
        if why is not None:
            raise ValueError(f"scheduler_options holds {word!r}, and {why}")


@attrs.frozen(kw_only=True)
class LSF(BatchSettings):
    """Machines of a cluster that LSF hands out: each block is a batch job.

    What is left out is what the site has by default.
    """

    plugin: ClassVar[str] = "lsf"

    queue: str | None = setting(
        None,
        help="The queue; the site's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    project: str | None = setting(
        None,
        help="The project that pays; the site's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    user_group: str | None = setting(
        None,
        help="The group of users whose share of the cluster the job uses.",
        validator=optional(matches_re(_WORD)),
    )
    application: str | None = setting(
        None,
        help="The application profile of the site.",
        validator=optional(matches_re(_WORD)),
    )
    reservation: str | None = setting(
        None,
        help="The advance reservation that the job runs in, as 'brsvs' lists it.",
        validator=optional(matches_re(r"[A-Za-z0-9_.+@#/-]+")),
    )
    walltime: str = setting(
        "0:10",
        help="The longest life of a job: '90' is minutes, '12:00' hours and minutes.",
        validator=[instance_of(str), _is_time],
    )
    cores_per_node: int = setting(
        1,
        help="Job slots asked for on each machine, which most sites have one of for each core. Not "
        "asked for with by_nodes.",
        unit="slots",
        validator=[instance_of(int), ge(1)],
    )
    by_nodes: bool = setting(
        False,
        help="Whether whole nodes are asked for instead of slots, as clusters with the job step "
        "manager want it ('bsub -nnodes').",
        validator=instance_of(bool),
    )
    exclusive: bool = setting(
        False,
        help="Whether machines are shared with no other job. Not every queue takes such jobs.",
        validator=instance_of(bool),
    )
    memory_per_node: int | None = setting(
        None,
        help="Memory asked for on each machine, and the limit that is set there.",
        unit="bytes",
        validator=optional([instance_of(int), ge(1)]),
    )
    gpus_per_node: int | str | None = setting(
        None,
        help="GPUs asked for on each machine, such as 4, or what 'bsub -gpu' takes, such as "
        "'num=4:j_exclusive=yes'.",
        unit="GPUs",
        validator=optional(_is_gpus),
    )
    resources: str | None = setting(
        None,
        help="What machines have to have, as 'bsub -R' takes it, such as "
        "'select[type==X86_64 && !gpu]'.",
        validator=optional([instance_of(str), _is_line]),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of bsub, each as it stands behind #BSUB in one line, such as "
        "'-sla fast'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )
