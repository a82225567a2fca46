"""The options of the launchers, as frozen data. A light module."""

import re
import shlex
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import attrs

from weft.values.settings import LauncherSettings, setting

__all__ = ["Aprun", "Flux", "GnuParallel", "Ibrun", "Jsrun", "Launched", "Mpi", "Mpiexec", "Mpirun"]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _is_text(_instance: object, field: Any, value: str) -> None:
    if not value.strip():
        raise ValueError(f"{field.name} is empty")
    if "\0" in value or "\n" in value:
        raise ValueError(f"{field.name} is one line of text without a NUL character: {value!r}")


def _is_words(_instance: object, field: Any, value: str) -> None:
    """Shell words, and nothing that would make the shell do more than pass them on."""
    if "\0" in value or "\n" in value:
        raise ValueError(f"{field.name} is one line of text without a NUL character: {value!r}")
    try:
        shlex.split(value)
        parts = shlex.shlex(value, posix=False, punctuation_chars=True)
        parts.commenters = ""
        parts.whitespace_split = True
        tokens = list(parts)
    except ValueError as error:
        raise ValueError(f"{field.name} cannot be split into words ({error}): {value!r}") from None
    for token in tokens:
        if token[0] in "();<>|&#":
            raise ValueError(
                f"{field.name} holds {token!r}, which the shell would not pass on as a word; "
                f"put it in quotes: {value!r}"
            )


def _are_names(_instance: object, field: Any, value: Sequence[str]) -> None:
    if isinstance(value, str):
        raise ValueError(f"{field.name} is a list of names, not the text {value!r}")  # noqa: TRY004 - all of them are ValueErrors
    for name in value:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{field.name} holds {name!r}, which is no name of a variable")


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


_at_least_one: Final = [attrs.validators.instance_of(int), attrs.validators.ge(1)]
_is_bool: Final = attrs.validators.instance_of(bool)
_is_binding: Final = attrs.validators.optional(attrs.validators.matches_re(r"[\w.,:=/+*^-]+"))


@attrs.frozen(kw_only=True)
class Launched(LauncherSettings):
    """What all launchers of this package can be told."""

    program: str = setting(
        "",
        help="The program, if it is not found by its usual name on the machine where the job "
        "starts; a name or a path.",
        validator=attrs.validators.matches_re(r"[^\0\n]*"),
    )
    overrides: str = setting(
        "",
        help="Words put behind the program's other options, as shell text; variables such as "
        "$HOME are replaced where the job starts.",
        validator=[attrs.validators.instance_of(str), _is_words],
    )
    ranks_per_node: int = setting(
        1,
        help="Copies started on each machine for each one that is asked for.",
        unit="copies",
        validator=_at_least_one,
    )
    debug: bool = setting(
        False,
        help="Whether what is started is written to the error output first, and lines of the "
        "copies are marked by rank or machine where the program can do that.",
        validator=_is_bool,
    )


@attrs.frozen(kw_only=True)
class Aprun(Launched):
    """Copies by aprun."""

    plugin: ClassVar[str] = "aprun"
    cpu_bind: str | None = setting(
        "none",
        help="Which cores a copy may use: a word or list for -cc, such as 'cpu', 'depth' or "
        "'numa_node'; None leaves it to aprun.",
        validator=_is_binding,
    )


@attrs.frozen(kw_only=True)
class Flux(Launched):
    """Copies by flux run."""

    plugin: ClassVar[str] = "flux"
    cpu_bind: str | None = setting(
        "off",
        help="Which cores a copy may use: a word for the shell option cpu-affinity, 'off', 'on' or "
        "'per-task'; None leaves it to Flux.",
        validator=_is_binding,
    )
    exclusive: bool = setting(
        True,
        help="Whether the copies get whole machines, all cores of them, and no other job does.",
        validator=_is_bool,
    )


@attrs.frozen(kw_only=True)
class Ibrun(Launched):
    """Copies by ibrun."""

    plugin: ClassVar[str] = "ibrun"
    offset: int = setting(
        0,
        help="How many tasks of the job come before the first one used.",
        unit="tasks",
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
    )


@attrs.frozen(kw_only=True)
class Jsrun(Launched):
    """Copies by jsrun: one resource set on each machine, shared by the copies there."""

    plugin: ClassVar[str] = "jsrun"
    cpu_bind: str | None = setting(
        "none",
        help="Which cores a copy may use: a word for --bind, 'none', 'rs' or 'packed:4'; None "
        "leaves it to jsrun, which gives each copy one core.",
        validator=_is_binding,
    )
    cpus: str = setting(
        "ALL_CPUS",
        help="Cores of the resource set on each machine: a number, or ALL_CPUS.",
        validator=attrs.validators.matches_re(r"[1-9]\d*|ALL_CPUS"),
    )
    gpus: str = setting(
        "ALL_GPUS",
        help="Accelerators of the resource set on each machine: a number, or ALL_GPUS.",
        validator=attrs.validators.matches_re(r"\d+|ALL_GPUS"),
    )


@attrs.frozen(kw_only=True)
class Mpi(Launched):
    """What the starter of an MPI implementation can be told."""

    implementation: Literal["auto", "mpich", "openmpi", "pals"] = setting(
        "auto",
        help="Whose options the program takes: 'mpich' also for Intel MPI, MVAPICH and others "
        "with the Hydra process manager, 'pals' for HPE Cray's; 'auto' asks the program for "
        "its version when the job starts, which tells the first two apart.",
        validator=attrs.validators.in_(("auto", "mpich", "openmpi", "pals")),
    )
    cpu_bind: str | None = setting(
        "none",
        help="Which cores a copy may use: a word for -bind-to, --bind-to or --cpu-bind, such as "
        "'none', 'core' or 'numa'; None leaves it to the program.",
        validator=_is_binding,
    )
    node_file: str = setting(
        "",
        help="A file with the names of the machines, one on a line, where the program does not "
        "find them by itself, such as '$PBS_NODEFILE'; variables are replaced where the job "
        "starts.",
        validator=attrs.validators.matches_re(r"[^\0\n]*"),
    )
    allow_run_as_root: bool = setting(
        False,
        help="Whether Open MPI may be started by root, as in a container; it refuses otherwise.",
        validator=_is_bool,
    )
    oversubscribe: bool = setting(
        False,
        help="Whether Open MPI may start more copies on a machine than the scheduler gave it "
        "slots there; it refuses otherwise.",
        validator=_is_bool,
    )
    environment: Sequence[str] = setting(
        (),
        help="Variables that Open MPI takes to the other machines, besides those whose names "
        "begin with WEFT_; the other implementations take all.",
        validator=_are_names,
        converter=_tuple,
    )

    def __attrs_post_init__(self) -> None:
        if self.implementation in {"auto", "openmpi"}:
            return
        for name in ("allow_run_as_root", "oversubscribe", "environment"):
            if getattr(self, name):
                raise ValueError(
                    f"{name} is an option of Open MPI alone, and the implementation is "
                    f"{self.implementation!r}"
                )


@attrs.frozen(kw_only=True)
class Mpiexec(Mpi):
    """Copies by mpiexec."""

    plugin: ClassVar[str] = "mpiexec"


@attrs.frozen(kw_only=True)
class Mpirun(Mpi):
    """Copies by mpirun."""

    plugin: ClassVar[str] = "mpirun"


@attrs.frozen(kw_only=True)
class GnuParallel(Launched):
    """Copies by GNU parallel, which reaches the machines by ssh."""

    plugin: ClassVar[str] = "gnu-parallel"
    node_file: str = setting(
        "",
        help="A file with the names of the machines, one on a line; variables are replaced where "
        "the job starts. When left out, what PBS, Cobalt, LSF, Grid Engine or Slurm says.",
        validator=attrs.validators.matches_re(r"[^\0\n]*"),
    )
    ssh: str = setting(
        "ssh",
        help="The command that reaches a machine, such as 'ssh -F my-config'. It must not ask "
        "questions.",
        validator=[attrs.validators.instance_of(str), _is_text],
    )
    environment: Sequence[str] = setting(
        (),
        help="Variables that are taken to the machines, besides those whose names begin with "
        "WEFT_.",
        validator=_are_names,
        converter=_tuple,
    )
