"""Pure: settings and a job become the text that qsub is given.

Three things are done otherwise than qsub(1) would have it done:

- *The environment of the client* is in a file that only its owner can read. With ``-V`` every user
  of the cluster could read it: ``qstat -j`` shows it.
- *Output* is opened by the script where the path of its folder holds one of the characters that
  ``-o`` and ``-e`` take for their own, such as ``$`` and ``:``.
- *Exit codes* 99 and 100 are not passed on. They would put the job back into the queue, whatever
  ``-r`` says, or keep it there in error: sge_diagnostics(5). The job's own word has the true one.
"""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from weft.batch.files import ERR, OUT, environment_text
from weft.batch.script import script as batch_script
from weft.values.jobs import Job
from weft_gridengine.settings import GridEngine, seconds_of

__all__ = ["CLIENT", "RESERVED", "SCRIPT", "client_text", "options", "script", "verification"]

SCRIPT: Final = "job.sge"
CLIENT: Final = "job.client"
"""The environment of the client, for the job."""
RESERVED: Final = (99, 100)
"""Exit codes that mean something to Grid Engine."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./+@%=-]+")

# What Grid Engine tells each job of itself, qsub(1) under "ENVIRONMENTAL VARIABLES", or what only
# means something where the client runs.
_THEIRS: Final = frozenset(
    {
        *("ARC", "ENVIRONMENT", "HOME", "HOSTNAME", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "LOGNAME"),
        *("NHOSTS", "NQUEUES", "NSLOTS", "OLDPWD", "PE", "PE_HOSTFILE", "PWD", "QUEUE", "REQNAME"),
        *("REQUEST", "RESTARTED", "SHELL", "SHLVL", "TMP", "TMPDIR", "USER", "_"),
        # Set where the site has Grid Engine hand out GPUs.
        "CUDA_VISIBLE_DEVICES",
        *("DISPLAY", "TERM", "XAUTHORITY"),
    }
)


def script(settings: GridEngine, job: Job, exclusive: str = "exclusive") -> str:
    """The batch script of a job.

    Args:
        settings: what is asked for.
        job: the job.
        exclusive: the resource by which the site gives nodes to one job alone.

    Raises:
        ValueError: the job cannot be said to Grid Engine; the message says why.
    """
    folder = job.folder.absolute()
    lines = [f"#$ {option}" for option in options(settings, job, exclusive)]
    if not _said_by_option(folder):
        out, err = (shlex.quote(f"{folder}/{name}") for name in (OUT, ERR))
        lines.append(f"exec >> {out} 2>> {err}")
    lines.append(f". {shlex.quote(f'{folder}/{CLIENT}')} || exit 1")
    return batch_script(job, lines, reserved=RESERVED)


def _said_by_option(folder: Path) -> bool:
    return _PLAIN.fullmatch(str(folder)) is not None


def options(settings: GridEngine, job: Job, exclusive: str = "exclusive") -> list[str]:
    """The options of qsub, each as it stands behind ``#$``.

    Raises:
        ValueError: several nodes are wanted, and there is nothing to grant them.
    """
    folder = job.folder.absolute()
    plain = _said_by_option(folder)
    found = [
        f"-N {job.name}",
        f"-o {folder / OUT if plain else '/dev/null'}",
        f"-e {folder / ERR if plain else '/dev/null'}",
        # Said, since the site's and the user's own defaults may be others.
        "-j n",
        "-S /bin/sh",
        "-cwd",
        # A block that comes back would be taken for one that is long gone.
        "-r n",
        f"-l {','.join(_resources(settings, exclusive))}",
    ]
    if settings.queue is not None:
        found.append(f"-q {settings.queue}")
    if settings.project is not None:
        found.append(f"-P {settings.project}")
    slots = job.nodes * (settings.slots_per_node or 1)
    if settings.parallel_environment is not None:
        found.append(f"-pe {settings.parallel_environment} {slots}")
    elif job.nodes > 1:
        raise ValueError(
            f"a job on {job.nodes} nodes needs the option parallel_environment, and it is not set; "
            "'qconf -spl' lists those that there are"
        )
    return [*found, *settings.scheduler_options]


def verification(settings: GridEngine, exclusive: str = "exclusive") -> list[str]:
    """The words of a question whether any queue could run a job on one node; submits nothing."""
    job = Job(name="weft-question", command="true", folder=Path("/"))
    asked = [word for line in options(settings, job, exclusive) for word in shlex.split(line)]
    # The last one counts, and with -w v nothing is submitted, whatever the others say.
    return ["qsub", *asked, "-b", "y", "-w", "v", "true"]


def _resources(settings: GridEngine, exclusive: str) -> Sequence[str]:
    # Seconds: a form that all releases read alike.
    seconds = seconds_of(settings.walltime)
    asked: dict[str, object] = {"h_rt": "INFINITY" if seconds is None else f"{seconds:.0f}"}
    if settings.memory:
        asked[settings.memory_resource] = settings.memory
    if settings.exclusive:
        asked[exclusive] = True
    asked.update(settings.resources)
    return [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in asked.items()
    ]


def client_text(environ: Mapping[str, str]) -> str:
    """Shell text that gives a job the environment of its client, beside what it has of its own."""
    kept = {
        name: value
        for name, value in environ.items()
        if name not in _THEIRS
        and not name.startswith("SGE_")
        and _VARIABLE.fullmatch(name)  # functions of bash have names that no other shell takes
        and "\0" not in value
    }
    # The job's own folder of programs comes first, as with -V: some environments put rsh there.
    path = kept.pop("PATH", os.defpath)
    first = f'export PATH="${{TMPDIR:+$TMPDIR:}}"{shlex.quote(path)}\n'
    return first + environment_text(kept)
