"""Pure: settings and a job become the script and the words that qsub is given.

Options with a value are words of the command line, which may hold any character; those of the
user are lines of ``#COBALT`` in the script. Where both say something, the command line counts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weft.batch.files import ERR, OUT
from weft.batch.script import script as batch_script
from weft.values.jobs import Job
from weft_cobalt.settings import Cobalt

__all__ = ["LOG", "SCRIPT", "inherited", "script", "words"]

SCRIPT: Final = "job.cobalt"
LOG: Final = "job.cobaltlog"
"""What Cobalt writes of the job; the one place where it tells of its end."""


def script(settings: Cobalt, job: Job) -> str:
    """The script of a job.

    Raises:
        ValueError: no shell can read its command, or Cobalt cannot be told of its folder.
    """
    if "$jobid" in str(job.folder.absolute()):
        raise ValueError("Cobalt puts the number of the job in the place of '$jobid' in a path")
    return batch_script(job, [f"#COBALT {line}" for line in settings.scheduler_options])


def words(settings: Cobalt, job: Job, folder: Path) -> list[str]:
    """The command line that submits a job whose script is written.

    Args:
        settings: the options.
        job: the job.
        folder: where its command starts.
    """
    own = job.folder.absolute()
    named = {
        "--nodecount": str(job.nodes),
        "--time": settings.walltime,
        "--mode": "script",
        "--cwd": str(folder),
        "--output": str(own / OUT),
        "--error": str(own / ERR),
        "--debuglog": str(own / LOG),
        "--jobname": job.name,
        "--queue": settings.queue,
        "--project": settings.account,
        "--attrs": settings.attributes,
    }
    options = [part for name, value in named.items() if value is not None for part in (name, value)]
    return ["qsub", *options, str(own / SCRIPT)]


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the commands of Cobalt: that of the client, without what misleads them.

    ``QSTAT_HEADER`` and ``QSTAT_HEADER_FULL`` choose columns, and ``COBALT_*`` describes the job
    within which the client itself runs, but for ``COBALT_CONFIG_FILES``, which leads to the server.
    """
    return {
        name: value
        for name, value in environ.items()
        if name == "COBALT_CONFIG_FILES" or not name.startswith(("QSTAT_HEADER", "COBALT_"))
    }
