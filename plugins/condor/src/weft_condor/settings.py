"""The options of the provider ``condor``. Light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, instance_of, matches_re, optional

from weft.batch.settings import BatchSettings
from weft.values.settings import setting

__all__ = ["Condor", "seconds_of"]

_TIME: Final = re.compile(r"((?P<d>\d+)-)?(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)")
_WORD: Final = r"[A-Za-z0-9_.+@:/-]+"
_LINE: Final = re.compile(r"(?P<name>(?:\+|MY\.)?[A-Za-z_][A-Za-z0-9_.]*)\s*=\s*(?P<value>.*)")

# What the provider itself says in each job; another value would have it lose the job, or part of
# it.
_OURS: Final = {
    "executable": "the script of the block is what runs",
    "cmd": "the script of the block is what runs",
    "arguments": "the script of the block is what runs",
    "args": "the script of the block is what runs",
    "shell": "the script of the block is what runs",
    "transfer_executable": "the script of the block is what runs",
    "input": "a block reads nothing",
    "output": "the output of a block is kept in its folder",
    "error": "the output of a block is kept in its folder",
    "initialdir": "a block is submitted from its folder",
    "initial_dir": "a block is submitted from its folder",
    "batch_name": "jobs are found again by their names",
    "+jobbatchname": "jobs are found again by their names",
    "+weftfolder": "jobs are found again by their folders",
    "should_transfer_files": "the script of a block has to be carried to its machine",
    "when_to_transfer_output": "the output of a block is carried back when it ends",
    "transfer_input_files": "it is the option 'transfer_input_files'",
    "requirements": "it is the option 'requirements'",
    "request_cpus": "it is the option 'cores_per_node'",
    "request_memory": "it is the option 'memory_per_node'",
    "request_disk": "it is the option 'disk_per_node'",
    "request_gpus": "it is the option 'gpus_per_node'",
    "getenv": "it is the option 'getenv'",
    "periodic_remove": "the walltime is said with it",
    "leave_in_queue": "a job that has ended leaves the queue",
    "on_exit_hold": "a block that has ended is over",
    "on_exit_remove": "a block that has ended is over",
    "max_retries": "a block that is lost is replaced by a new one, and does not come back",
    "queue": "a block is one job",
}
# A block of these would be on a machine that is not meant for work, or on none.
_UNIVERSES: Final = frozenset({"vanilla", "container", "docker"})


def seconds_of(walltime: str) -> float | None:
    """How long a time is; ``None`` for ``UNLIMITED``.

    HTCondor has no form of its own: hours:minutes:seconds, with days and a hyphen before it.

    Raises:
        ValueError: it is none.
    """
    if walltime.strip().upper() == "UNLIMITED":
        return None
    found = _TIME.fullmatch(walltime.strip())
    if found is None:
        raise ValueError(
            f"{walltime!r} is no time; write '12:00:00' for hours, minutes and seconds, "
            "'2-00:00:00' for days, or 'UNLIMITED'"
        )
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    return 86400.0 * part["d"] + 3600 * part["h"] + 60 * part["m"] + part["s"]


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


def _are_names(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(one, str) and re.fullmatch(r"!?[A-Za-z0-9_*]+", one) for one in value
    ):
        raise ValueError(
            f"{field.name} is a sequence of names of variables, such as ('PATH', 'LD_*'), not "
            f"{value!r}"
        )


def _are_files(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(one, str) and one.strip() and one.isprintable() and not set(one) & set(',"$')
        for one in value
    ):
        raise ValueError(
            f"{field.name} is a sequence of paths or URLs without commas, quotes and dollars, such "
            f"as ('model.bin',), not {value!r}"
        )


def _are_lines(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, tuple):
        raise TypeError(
            "scheduler_options is a sequence of lines, such as ('+WantGlidein = true',), not "
            f"{value!r}"
        )
    for line in value:
        _check_line(line)


def _check_line(value: object) -> None:
    found = _LINE.fullmatch(value) if isinstance(value, str) and value.isprintable() else None
    if found is None:
        raise ValueError(
            "each of scheduler_options is a line of a submit description, such as "
            f"'+WantGlidein = true', not {value!r}"
        )
    name = found["name"].lower().replace("my.", "+", 1)
    if why := _OURS.get(name):
        raise ValueError(f"scheduler_options holds {value!r}, and {why}")
    if name == "universe" and found["value"].strip().lower() not in _UNIVERSES:
        raise ValueError(
            f"scheduler_options holds {value!r}, and a block is a job of the universe vanilla, "
            "container or docker"
        )
    if found["value"].rstrip().endswith("\\"):
        raise ValueError(f"scheduler_options holds {value!r}, which would swallow the next line")


@attrs.frozen(kw_only=True)
class Condor(BatchSettings):
    """Machines of a pool that HTCondor hands out: each block is a job, on a slot of one machine.

    What is left out is what the pool has by default.
    """

    plugin: ClassVar[str] = "condor"

    accounting_group: str | None = setting(
        None,
        help="The accounting group that pays.",
        validator=optional(matches_re(_WORD)),
    )
    accounting_user: str | None = setting(
        None,
        help="The name within the accounting group; the user's own when left out.",
        validator=optional(matches_re(_WORD)),
    )
    project: str | None = setting(
        None,
        help="The project that pays, where a pool keeps accounts by the attribute ProjectName.",
        validator=optional(matches_re(_WORD)),
    )
    walltime: str = setting(
        "00:10:00",
        help="The longest life of a job once it runs: '12:00:00' is hours, '2-00:00:00' days, "
        "'UNLIMITED' none.",
        validator=[instance_of(str), _is_time],
    )
    cores_per_node: int | None = setting(
        None,
        help="Cores of the slot.",
        unit="cores",
        validator=optional([instance_of(int), ge(1)]),
    )
    memory_per_node: int | None = setting(
        None,
        help="Memory of the slot.",
        unit="bytes",
        validator=optional([instance_of(int), ge(1)]),
    )
    disk_per_node: int | None = setting(
        None,
        help="Room on the disk of the slot.",
        unit="bytes",
        validator=optional([instance_of(int), ge(1)]),
    )
    gpus_per_node: int | None = setting(
        None,
        help="GPUs of the slot.",
        unit="GPUs",
        validator=optional([instance_of(int), ge(1)]),
    )
    requirements: str | None = setting(
        None,
        help="What machines have to have, as a ClassAd expression, such as "
        "'OpSysMajorVer >= 9 && HasSingularity'.",
        validator=optional([instance_of(str), _is_line]),
    )
    getenv: Sequence[str] = setting(
        (),
        help="Variables of the script's own environment that jobs get, such as ('PATH', 'LD_*'); "
        "HTCondor gives a job none by itself.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_names,
    )
    transfer_input_files: Sequence[str] = setting(
        (),
        help="Files, folders and URLs that are carried to where the job starts, beside its script "
        "and its variables.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_files,
    )
    schedd: str | None = setting(
        None,
        help="The queue, by the name of its schedd; that of this machine when left out.",
        validator=optional(matches_re(_WORD)),
    )
    pool: str | None = setting(
        None,
        help="The pool, by the address of its collector; that of this machine when left out.",
        validator=optional(matches_re(_WORD)),
    )
    scheduler_options: Sequence[str] = setting(
        (),
        help="More lines of the submit description, such as '+WantGlidein = true'.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_lines,
    )
