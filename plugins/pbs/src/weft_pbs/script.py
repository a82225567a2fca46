"""Pure: settings and a job become the script that qsub is given, in either dialect.

What a job prints is written into its folder by its script, not by PBS, which keeps the output on
the node until the job is over, and copies it then, if it can. PBS's own words about a job, such as
the limit for which it was ended, are in the file that PBS makes, ``NAME.oNUMBER`` beside it.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from weft.batch.files import ERR, OUT
from weft.batch.script import script as batch_script
from weft.values.jobs import Job
from weft_pbs.settings import Pbs

__all__ = ["SCRIPT", "inherited", "script"]

SCRIPT: Final = "job.pbs"

# What would change options or answers: qsub(1B), qstat(1B), "ENVIRONMENT VARIABLES". All else of
# PBS_* may lead to the server.
_MISLEADING: Final = frozenset({"PBS_DPREFIX", "PBS_QSTAT_EXECONLY", "PBS_QSTAT_NO_COMPLETE"})
# What describes the job within which the client itself runs.
_SURROUNDING: Final = frozenset(
    {
        *("PBS_ARRAYID", "PBS_ARRAY_ID", "PBS_ARRAY_INDEX", "PBS_ENVIRONMENT", "PBS_GPUFILE"),
        *("PBS_JOBCOOKIE", "PBS_JOBDIR", "PBS_JOBID", "PBS_JOBNAME", "PBS_MOMPORT"),
        *("PBS_NODEFILE", "PBS_NODENUM", "PBS_NP", "PBS_NUM_NODES", "PBS_NUM_PPN", "PBS_QUEUE"),
        *("PBS_TASKNUM", "PBS_VERSION", "PBS_VNODENUM", "PBS_WALLTIME"),
    }
)


def script(settings: Pbs, job: Job, *, torque: bool, folder: Path) -> str:
    """The script of a job.

    Args:
        settings: the options.
        job: the job.
        torque: whether it is for TORQUE, and else for PBS Professional and OpenPBS.
        folder: where its command starts, if there is such a folder on the node.

    Raises:
        ValueError: no shell can read its command.
    """
    out, err = (shlex.quote(str(job.folder.absolute() / name)) for name in (OUT, ERR))
    command = (
        f"cd {shlex.quote(str(folder))} || :\n"
        # Some shells read the script itself from there.
        f"(\n{job.command}\n) </dev/null >{out} 2>{err}"
    )
    resources = _torque(settings, job.nodes) if torque else _pbspro(settings, job.nodes)
    options = [
        f"-N {job.name}",
        "-S /bin/sh",
        "-j oe",
        # A block that comes back would be taken for one that is long gone.
        "-r n",
        *(f"-l {one}" for one in resources),
    ]
    named = {"-q": settings.queue, "-A": settings.account, "-P": settings.project}
    options += [f"{name} {value}" for name, value in named.items() if value is not None]
    if not any(line.startswith("-m") for line in settings.scheduler_options):
        options.append("-m n")
    options += settings.scheduler_options
    return batch_script(
        attrs.evolve(job, command=command), [f"#PBS {option}" for option in options]
    )


def _pbspro(settings: Pbs, nodes: int) -> list[str]:
    """Chunks, one to a node, each of which is listed once in the file of nodes."""
    chunk = [
        str(nodes),
        *_given("ncpus", settings.cores_per_node),
        *_given("mem", _kilobytes(settings.memory_per_node)),
        *_given("ngpus", settings.gpus_per_node),
        "mpiprocs=1",
        *([settings.select_options] if settings.select_options else []),
    ]
    place = settings.place or ("scatter:exclhost" if settings.exclusive else "scatter")
    return [f"select={':'.join(chunk)}", f"place={place}", f"walltime={settings.walltime}"]


def _torque(settings: Pbs, nodes: int) -> list[str]:
    chunk = [
        str(nodes),
        f"ppn={settings.cores_per_node or 1}",
        *_given("gpus", settings.gpus_per_node),
        *([settings.select_options] if settings.select_options else []),
    ]
    found = [f"nodes={':'.join(chunk)}", f"walltime={settings.walltime}"]
    if settings.memory_per_node is not None:
        # Of the whole job: pbs_resources(7) of TORQUE.
        found.append(f"mem={_kilobytes(settings.memory_per_node * nodes)}")
    if settings.exclusive:
        # Of Moab and Maui; pbs_sched, which comes with TORQUE, takes no notice.
        found.append("naccesspolicy=singlejob")
    return found


def _given(name: str, value: str | int | None) -> list[str]:
    return [] if value is None else [f"{name}={value}"]


def _kilobytes(size: int | None) -> str | None:
    # Rounded up: less than what was asked for may be too little.
    return None if size is None else f"{-(-size // 1024)}kb"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands of PBS: that of the client, without what misleads them."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _MISLEADING and name not in _SURROUNDING and not name.startswith("PBS_O_")
    }
