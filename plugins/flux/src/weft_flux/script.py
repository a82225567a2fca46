"""Pure: settings and a job become the text that ``flux batch`` is given.

The options stand in the script, as RFC 36 of Flux has them, so that ``flux batch job.flux`` in its
folder does the same by hand. It is submitted from the folder of the job, and so are the names of
its output: braces in a path would be a template.
"""

import re
import shlex
from typing import Final

from weft.batch.files import ERR, OUT
from weft.batch.script import script
from weft.values.jobs import Job
from weft_flux.settings import Flux, seconds_of

__all__ = ["SCRIPT", "text"]

SCRIPT: Final = "job.flux"

# RFC 36: what may stand before the word, and both of its forms.
_DIRECTIVE: Final = re.compile(r"^[^\w\n]*(?:flux|FLUX):", re.MULTILINE)


def text(settings: Flux, job: Job) -> str:
    """The batch script of a job.

    Raises:
        ValueError: it cannot be said; the message says why.
    """
    if found := _DIRECTIVE.search(job.command):
        raise ValueError(
            f"the command has a line that begins with {found[0]!r}, which flux takes for an option"
        )
    return script(job, [f"#flux: {option}" for option in _options(settings, job)])


def _options(settings: Flux, job: Job) -> list[str]:
    found = [
        f"--job-name={job.name}",
        f"--output={OUT}",
        f"--error={ERR}",
        f"--nodes={job.nodes}",
        f"--nslots={job.nodes}",
        f"--time-limit={_limit(settings.walltime)}",
    ]
    named = {
        "queue": settings.queue,
        "bank": settings.bank,
        "cores-per-slot": settings.cores_per_node,
        "gpus-per-slot": settings.gpus_per_node,
        "requires": settings.requires,
    }
    found += [
        f"--{name}={shlex.quote(str(value))}" for name, value in named.items() if value is not None
    ]
    if settings.exclusive:
        found.append("--exclusive")
    return [*found, *settings.scheduler_options]


def _limit(walltime: str) -> str:
    seconds = seconds_of(walltime)
    return "0" if seconds is None else f"{seconds:g}s" if seconds < 1e6 else f"{seconds:.0f}s"
