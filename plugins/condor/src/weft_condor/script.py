"""Pure: settings and a job become a script, and the description that condor_submit is given.

Both lie in the folder of the job, from which condor_submit is run, so ``condor_submit job.sub``
there does the same by hand. HTCondor carries the script and the variables to the machine that it
finds, and the output back; the folder itself need not be seen there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from weft.batch.arrays import Array
from weft.batch.files import ENVIRONMENT, ERR, OUT, OWN, word_of
from weft.batch.script import script
from weft.errors import WeftError
from weft.values.jobs import Job
from weft_condor.settings import Condor, seconds_of

__all__ = [
    "ARRAY",
    "ARRAY_TEXT",
    "DESCRIPTION",
    "SCRIPT",
    "described",
    "described_array",
    "inherited",
    "text",
]

SCRIPT: Final = OWN
DESCRIPTION: Final = "job.sub"
ARRAY: Final = "array.sh"
ARRAY_TEXT: Final = f"#!/bin/sh\nexec /bin/sh ./{OWN}\n"
"""What runs all jobs of an array: to each of them its own script is carried."""

# Nothing binds a job to the cores and the memory of its slot, so a manager has to be told of them.
# They stand in a file, the memory in MiB.
_SLOT: Final = (
    'if [ -r "${_CONDOR_MACHINE_AD-}" ]; then',
    '  weft_of() { sed -n "s/^$1 = \\([0-9][0-9]*\\)$/\\1/p" "$_CONDOR_MACHINE_AD"; }',
    "  weft_cores=$(weft_of Cpus) weft_memory=$(weft_of Memory)",
    '  if [ -n "$weft_cores" ]; then export WEFT_CORES="$weft_cores"; fi',
    '  if [ -n "$weft_memory" ]; then export WEFT_MEMORY="$((weft_memory * 1048576))"; fi',
    "fi",
)
# What a job of HTCondor finds in its environment, should the client itself run in one.
_OUTER: Final = frozenset(
    f"_CONDOR_{name}"
    for name in (
        *("AssignedGPUs", "BIN", "CHIRP_CONFIG", "CREDS", "JOB_AD", "JOB_IWD", "JOB_PIDS"),
        *("MACHINE_AD", "SCRATCH_DIR", "SLOT", "SLOT_NAME", "WRAPPER_ERROR_FILE"),
    )
)


def text(job: Job) -> str:
    """The script of a job, to be run where HTCondor has carried it.

    Raises:
        ValueError: no shell can read it.
        WeftError: the job asks for more than one machine.
    """
    if job.nodes > 1:
        raise WeftError(
            f"HTCondor was not given the job {job.name!r}.",
            why=f"It asks for {job.nodes} machines, and a job of HTCondor has a slot on one. Only "
            "pools with a dedicated scheduler have jobs of the parallel universe, which are not "
            "supported.",
            todo="Set nodes_per_block=1, and max_blocks as high as there are to be machines.",
        )
    return script(job, _SLOT, carried=True)


def described(settings: Condor, job: Job) -> str:
    """The submit description of a job."""
    named = {
        "executable": SCRIPT,
        "batch_name": job.name,
        "+WeftFolder": f'"{word_of(job.folder)}"',
    }
    return _said(settings, named, (ENVIRONMENT,), "queue")


def described_array(settings: Condor, array: Array) -> str:
    """The submit description of several jobs, each at home in the folder of its number."""
    named = {
        "executable": ARRAY,
        "initialdir": "$(Process)",
        "batch_name": array.name,
        "+WeftFolder": f'"{word_of(array.folder)}"',
        "+WeftArray": "true",
    }
    return _said(settings, named, (OWN, ENVIRONMENT), f"queue {array.size}")


def _said(settings: Condor, own: Mapping[str, str], files: Sequence[str], queue: str) -> str:
    named = {
        **own,
        "output": OUT,
        "error": ERR,
        "notification": "never",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_input_files": ", ".join((*files, *_files(settings))),
        # Its output alone comes back; what else it writes where it runs, goes with that.
        "transfer_output_files": '""',
        "periodic_remove": _over(settings),
        "request_cpus": settings.cores_per_node,
        "request_memory": _size(settings.memory_per_node),
        "request_disk": _size(settings.disk_per_node),
        "request_gpus": settings.gpus_per_node,
        "requirements": settings.requirements,
        "accounting_group": settings.accounting_group,
        "accounting_group_user": settings.accounting_user,
        "+ProjectName": f'"{settings.project}"' if settings.project is not None else None,
        "getenv": ", ".join(settings.getenv) or None,
    }
    found = [f"{name} = {value}" for name, value in named.items() if value is not None]
    return "".join(f"{line}\n" for line in (*found, *settings.scheduler_options, queue))


def _files(settings: Condor) -> list[str]:
    """The files to be carried; those of the client's folder by their whole paths."""
    return [
        one if "://" in one else str(Path(one).absolute()) for one in settings.transfer_input_files
    ]


def _over(settings: Condor) -> str:
    """When a job is taken out of the queue, whether a client is there or not.

    At the end of its time, and when its machine has been taken away: a block that comes back would
    be taken for one that is long gone.
    """
    seconds = seconds_of(settings.walltime)
    lost = "(JobStatus == 1 && NumJobStarts > 0)"
    if seconds is None:
        return lost
    return f"(JobStatus == 2 && time() - EnteredCurrentStatus >= {seconds:.0f}) || {lost}"


def _size(size: int | None) -> str | None:
    # Rounded up: less than what was asked for may be too little.
    return None if size is None else f"{-(-size // 1024)}K"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands of HTCondor: the client's, but for what its own job has.

    Other variables that begin with ``_CONDOR_`` are settings, and lead to the pool.
    """
    return {name: value for name, value in environ.items() if name not in _OUTER}
