"""Pure: settings and a job become the text that sbatch is given."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from weft.batch.arrays import Array
from weft.batch.files import ERR, OUT
from weft.batch.script import array_script
from weft.batch.script import script as batch_script
from weft.values.jobs import Job
from weft_slurm.settings import Slurm

__all__ = ["SCRIPT", "inherited", "script", "script_of_array"]

SCRIPT: Final = "job.sbatch"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:,=+@%^-]+")

# An option in the environment overrules one in the script, so one that is configured must go:
# sbatch(1), "INPUT ENVIRONMENT VARIABLES".
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "partition": ("SBATCH_PARTITION",),
    "account": ("SBATCH_ACCOUNT",),
    "qos": ("SBATCH_QOS",),
    "constraint": ("SBATCH_CONSTRAINT",),
    "gpus_per_node": ("SBATCH_GPUS_PER_NODE", "SBATCH_GPUS", "SBATCH_GPUS_PER_TASK"),
    "gres": ("SBATCH_GRES",),
    "reservation": ("SBATCH_RESERVATION",),
    "memory_per_node": ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU"),
}
_ALWAYS: Final = frozenset(
    {
        *("SBATCH_ARRAY_INX", "SBATCH_ERROR", "SBATCH_EXCLUSIVE", "SBATCH_EXPORT", "SBATCH_INPUT"),
        *("SBATCH_JOB_NAME", "SBATCH_OUTPUT", "SBATCH_REQUEUE", "SBATCH_NO_REQUEUE"),
        *("SBATCH_OPEN_MODE", "SBATCH_TIMELIMIT", "SBATCH_WAIT", "SBATCH_CLUSTERS"),
    }
)
# What leads to the cluster. All else of SLURM_* describes the job within which the client itself
# runs, and would become part of the new one.
_KEPT: Final = frozenset(
    {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_CLUSTERS", "SLURM_SACK_KEY"}
)
# What would change the answers of these commands.
_ANSWERS: Final = ("SQUEUE_", "SACCT_", "SINFO_", "SCANCEL_", "SCONTROL_")


def script(settings: Slurm, job: Job) -> str:
    """The batch script of a job.

    Raises:
        ValueError: its folder has a name that sbatch cannot be told, or its command cannot be read
            by a shell; the message says why.
    """
    folder = _pattern(job.folder)
    return batch_script(job, _lines(_options(settings, job.name, job.nodes, folder)))


def script_of_array(settings: Slurm, array: Array) -> str:
    """The batch script of an array of jobs.

    Raises:
        ValueError: its folder has a name that sbatch cannot be told.
    """
    # %a is the number of a job in its array, and there is a link of that name for each.
    options = _options(settings, array.name, array.nodes, f"{_pattern(array.folder)}/%a")
    options.insert(0, f"--array=0-{array.size - 1}")
    return array_script(str(array.folder), "SLURM_ARRAY_TASK_ID", _lines(options))


def _lines(options: Iterable[str]) -> list[str]:
    return [f"#SBATCH {option}" for option in options]


def _options(settings: Slurm, name: str, nodes: int, folder: str) -> list[str]:
    found = [
        _option("job-name", name),
        _option("output", f"{folder}/{OUT}"),
        _option("error", f"{folder}/{ERR}"),
        # As srun has it, too: one process of ours on each node.
        _option("nodes", nodes),
        _option("ntasks-per-node", 1),
        _option("time", settings.walltime),
        # A block that comes back would be taken for one that is long gone.
        "--no-requeue",
        # weft's own: whatever the site or the user's environment says.
        "--export=ALL",
        "--open-mode=truncate",
    ]
    named = {
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "cpus-per-task": settings.cores_per_node,
        "mem": _memory(settings.memory_per_node),
        "constraint": settings.constraint,
        "gpus-per-node": settings.gpus_per_node,
        "gres": settings.gres,
        "reservation": settings.reservation,
    }
    found += [_option(name, value) for name, value in named.items() if value is not None]
    if settings.exclusive:
        found.append("--exclusive")
    return [*found, *settings.scheduler_options]


def _option(name: str, value: str | int) -> str:
    return f"--{name}={_quoted(str(value))}"


def _quoted(value: str) -> str:
    """A value as lines of #SBATCH have it: as in a shell's double quotes, and nothing expands."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pattern(path: Path) -> str:
    text = str(path.absolute())
    if "\\" in text or not all(one.isprintable() for one in text):
        raise ValueError(
            f"sbatch cannot be told of a folder with a backslash or a control character in its "
            f"name: {text!r}"
        )
    return text.replace("%", "%%")


def _memory(size: int | None) -> str | None:
    # Rounded up: less than what was asked for may be too little.
    return None if size is None else f"{-(-size // 1024)}K" if size else "0"


def inherited(settings: Slurm, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands of Slurm: that of the client, without what misleads them."""
    overruled = {
        variable
        for name, variables in _VARIABLES.items()
        if getattr(settings, name) is not None
        for variable in variables
    }
    return {
        name: value
        for name, value in environ.items()
        if not (
            name in overruled
            or name in _ALWAYS
            or name.startswith(_ANSWERS)
            or (name.startswith("SLURM_") and name not in _KEPT)
        )
    }
