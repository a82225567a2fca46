"""Pure: settings and a job become the text that bsub reads.

The options stand in the script, which is kept, so that ``bsub < job.lsf`` in its folder does the
same by hand. bsub is run in the folder of the job, and so are the names of its output: a path with
blanks, quotes or ``%J`` in it is never said to LSF.
"""

from collections.abc import Mapping
from typing import Final

from weft.batch.files import ERR, OUT, word_of
from weft.batch.script import script
from weft.values.jobs import Job
from weft_lsf.settings import LSF, minutes_of

__all__ = ["SCRIPT", "inherited", "text"]

SCRIPT: Final = "job.lsf"

# What would change what bsub prints, or has it wait or only check: lsf.conf(5), "Environment
# variables". The rest describes the job within which the client itself runs.
_MISLEADING: Final = (
    *("BSUB_", "LSB_BJOBS_FORMAT", "LSB_BQUEUES_FORMAT", "LSB_CHKPNT", "LSB_DJOB_", "LSB_EXEC"),
    *("LSB_EXIT_", "LSB_HOSTS", "LSB_INTERACTIVE", "LSB_JOB", "LSB_MCPU_HOSTS", "LSB_QUEUE"),
    *("LSB_SUB_", "LSB_BATCH_JID", "LSB_AFFINITY_HOSTFILE", "LSB_DEFAULT_JOBGROUP"),
)


def text(settings: LSF, job: Job) -> str:
    """The batch script of a job, as bsub reads it from its standard input.

    Raises:
        ValueError: it cannot be said; the message says why.
    """
    lines = [f"#BSUB {option}" for option in _options(settings, job)]
    if not (settings.by_nodes or settings.exclusive):
        # LSF counts slots, and few sites bind a job to the cores that they stand for.
        lines.append(f"export WEFT_CORES={settings.cores_per_node}")
    return script(job, lines)


def _options(settings: LSF, job: Job) -> list[str]:
    found = [
        f"-J {job.name}",
        f"-Jd {word_of(job.folder)}",
        f"-oo {OUT}",
        f"-eo {ERR}",
        f"-W {minutes_of(settings.walltime)}",
        # A block that comes back would be taken for one that is long gone.
        "-rn",
    ]
    if settings.by_nodes:
        found.append(f"-nnodes {job.nodes}")
    else:
        found.append(f"-n {job.nodes * settings.cores_per_node}")
        found.append(f'-R "span[ptile={settings.cores_per_node}]"')
    named = {
        "-q": settings.queue,
        "-P": settings.project,
        "-G": settings.user_group,
        "-app": settings.application,
        "-U": settings.reservation,
    }
    found += [f"{name} {value}" for name, value in named.items() if value is not None]
    if settings.exclusive:
        found.append("-x")
    if settings.memory_per_node is not None:
        # Rounded up: less than what was asked for may be too little.
        size = -(-settings.memory_per_node // 1024)
        found += [f"-M {size}KB", f'-R "rusage[mem={size}KB]"']
    if settings.gpus_per_node is not None:
        gpus = settings.gpus_per_node
        found.append(f'-gpu "{f"num={gpus}" if isinstance(gpus, int) else gpus}"')
    if settings.resources is not None:
        quotes = "'" if '"' in settings.resources else '"'
        found.append(f"-R {quotes}{settings.resources}{quotes}")
    return [*found, *settings.scheduler_options]


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands of LSF: that of the client, without what misleads them."""
    return {name: value for name, value in environ.items() if not name.startswith(_MISLEADING)}
