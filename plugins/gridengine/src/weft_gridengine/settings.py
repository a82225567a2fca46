"""The options of the provider ``gridengine`` and of the launcher ``qrsh``. Light."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import LauncherSettings, setting

__all__ = ["GridEngine", "Qrsh", "seconds_of"]

_TIME: Final = re.compile(r"(?:(?:(?P<h>\d*):)?(?P<m>\d*):)?(?P<s>\d+)")
_NAME: Final = r"[A-Za-z0-9_.@+-]+"
# Patterns, too: '*.q', 'gpu.q@node[12]', 'all.q@@bigmem', each of several behind a comma.
_QUEUES: Final = r"[A-Za-z0-9_.@+*?!|&()\[\]-]+(,[A-Za-z0-9_.@+*?!|&()\[\]-]+)*"
# What stands behind '=': no shell reads it, and Grid Engine parts it at blanks, commas and quotes.
_VALUE: Final = re.compile(r"[^\s,'\"`\\]+")

# What the provider itself says in each job; another value would have it lose the job, or part of
# it.
_OURS: Final = {
    "-b": "the script of the block is what runs",
    "-C": "options are found by their beginning '#$'",
    "-clear": "the options of the site would be lost",
    "-cwd": "a job begins where the script that submits it runs",
    "-e": "the output of a block is kept in its folder",
    "-help": "nothing would be submitted",
    "-j": "the output of a block is kept in its folder",
    "-N": "jobs are found again by their names",
    "-now": "a job may wait",
    "-o": "the output of a block is kept in its folder",
    "-pe": "it is the option parallel_environment",
    "-r": "a block that is lost is replaced by a new one, and does not come back",
    "-S": "the script is written for /bin/sh",
    "-sync": "blocks are submitted without waiting for them",
    "-t": "a block is one job",
    "-tc": "a block is one job",
    "-terse": "the id of the job is read from what qsub says",
    "-verify": "nothing would be submitted",
    "-wd": "a job begins where the script that submits it runs",
}


def seconds_of(time: str) -> float | None:
    """How long a time of Grid Engine is; ``None`` for ``INFINITY``.

    The form is that of ``TIME`` in sge_types(1): seconds, or hours, minutes and seconds with colons
    between them, of which what stands before a colon may be left out.

    Raises:
        ValueError: it is neither.
    """
    if time.strip().upper() == "INFINITY":
        return None
    found = _TIME.fullmatch(time.strip())
    if found is None:
        raise ValueError(
            f"{time!r} is no time as Grid Engine has it; write '12:00:00' for hours, minutes and "
            "seconds, '3600' for seconds, or 'INFINITY'"
        )
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    return 3600.0 * part["h"] + 60 * part["m"] + part["s"]


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_time(_instance: object, field: Any, value: str) -> None:
    if seconds_of(value) == 0:
        raise ValueError(f"{field.name} is {value!r}, which is no time at all")


def _are_resources(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{field.name} is a mapping of names to values, such as {{'gpu': 2}}, not {value!r}"
        )
    for name, one in value.items():
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise ValueError(f"{field.name} names {name!r}, which is no name of a resource")
        if name == "h_rt":
            raise ValueError(f"{field.name} holds 'h_rt', which is the option walltime")
        if not isinstance(one, (str, int, float)) or not _VALUE.fullmatch(str(one)):
            raise ValueError(
                f"{field.name} has {one!r} for {name!r}; a value is a number, a truth, or text "
                "without blanks, commas and quotes"
            )


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
            "each of scheduler_options is what stands behind #$ in one line, such as '-m e', not "
            f"{value!r}"
        )
    try:
        words = shlex.split(value)
    except ValueError as trouble:
        raise ValueError(
            f"scheduler_options holds {value!r}, whose quotes do not match"
        ) from trouble
    for word in words:
        if word in _OURS:
            raise ValueError(f"scheduler_options holds {word!r}, and {_OURS[word]}")


def _are_words(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(word, str) and word and "\0" not in word for word in value
    ):
        raise ValueError(
            f"{field.name} is a sequence of words, such as ('-noshell',), not {value!r}"
        )


@attrs.frozen(kw_only=True)
class GridEngine(BatchSettings):
    """Slots of a cluster that Grid Engine hands out: each block is a batch job.

    What is left out is what the site has by default.
    """

    plugin: ClassVar[str] = "gridengine"

    queue: str | None = setting(
        None,
        help="The queue, or several separated by commas, as 'qsub -q' has it: 'all.q', '*.q', "
        "'gpu.q@node1'; any queue that fits when left out.",
        validator=optional([instance_of(str), matches_re(_QUEUES)]),
    )
    project: str | None = setting(
        None,
        help="The project that pays; the user's own when left out.",
        validator=optional([instance_of(str), matches_re(_NAME)]),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job, as 'qsub -l h_rt' has it: '12:00:00', seconds, or "
        "'INFINITY'.",
        validator=[instance_of(str), _is_time],
    )
    slots_per_node: int | None = setting(
        None,
        help="Slots asked for on each node, most often one for each core; more than one needs a "
        "parallel_environment.",
        unit="slots",
        validator=optional([instance_of(int), ge(1)]),
    )
    parallel_environment: str | None = setting(
        None,
        help="The parallel environment that grants slots: one that keeps to a host for several "
        "slots on one node, one with a fixed number on each host for several nodes.",
        validator=optional([instance_of(str), matches_re(_NAME)]),
    )
    memory_per_slot: int | None = setting(
        None,
        help="Memory asked for with each slot; Grid Engine ends a job that takes more.",
        unit="bytes",
        validator=optional([instance_of(int), ge(1)]),
    )
    memory_resource: str = setting(
        "h_vmem",
        help="The resource in which the site counts memory, such as 'h_vmem' or 'mem_free'.",
        validator=[instance_of(str), matches_re(_NAME)],
    )
    exclusive: bool = setting(
        False,
        help="Whether nodes are shared with no other job, where the site has a resource for that.",
        validator=instance_of(bool),
    )
    resources: Mapping[str, str | int | float | bool] = setting(
        factory=dict,
        help="More resources, as 'qsub -l' has them, such as {'gpu': 2}; True is written 'true'.",
        validator=_are_resources,
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More options of qsub, each as it stands behind #$ in one line, such as '-m e'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_options,
    )

    @property
    def memory(self) -> str:
        """What is asked for with each slot, as Grid Engine writes it; empty for nothing."""
        # Rounded up: less than what was asked for may be too little. K is 1024 bytes.
        return "" if self.memory_per_slot is None else f"{-(-self.memory_per_slot // 1024)}K"

    def __attrs_post_init__(self) -> None:
        if (self.slots_per_node or 1) > 1 and self.parallel_environment is None:
            raise ValueError(
                f"slots_per_node is {self.slots_per_node}, and no parallel_environment is named, "
                "without which a job of Grid Engine has one slot; 'qconf -spl' lists those that "
                "there are"
            )
        if self.memory_per_slot is not None and self.memory_resource in self.resources:
            raise ValueError(
                f"resources holds {self.memory_resource!r}, and memory_per_slot asks for it, too"
            )


@attrs.frozen(kw_only=True)
class Qrsh(LauncherSettings):
    """A task of the job on each of its hosts, by ``qrsh -inherit``."""

    plugin: ClassVar[str] = "qrsh"
    options: Sequence[str] = setting(
        (),
        help="More options of qrsh, each a word of its own.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_words,
    )
