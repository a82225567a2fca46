"""Pure: a job becomes the script that a scheduler runs on the first of its machines.

The script is read by others than its owner, by administrators among them, so the variables of the
job are in a file beside it. The exit code is written there too: some schedulers forget a job as
soon as it has ended.
"""

import shlex
from collections.abc import Sequence

from weft.batch.files import CODE, ENVIRONMENT, OWN
from weft.values.jobs import Job

__all__ = ["array_script", "script"]


def script(
    job: Job, lines: Sequence[str] = (), reserved: Sequence[int] = (), *, carried: bool = False
) -> str:
    """The script of a job.

    Args:
        job: the job.
        lines: what the scheduler reads at the beginning, such as ``#SBATCH --nodes=1``, and what a
            shell is to do there.
        reserved: exit codes by which a script tells the scheduler something, such as to run it once
            more. A job with one of them ends with 1 instead; its own word has the true one.
        carried: whether the scheduler carries the files of the job to where it runs. Then its
            variables are read where it starts, and its exit code is written if its folder is there.

    Raises:
        ValueError: no shell can read its command.
    """
    if "\0" in job.command:
        raise ValueError("the command holds a NUL character, which no shell can read")
    if any("\n" in line or "\0" in line for line in lines):
        raise ValueError("an option for the scheduler holds the end of a line, or a NUL character")
    folder = str(job.folder.absolute())
    environment, code, part = (
        shlex.quote(f"{folder}/{name}") for name in (ENVIRONMENT, CODE, f"{CODE}.part")
    )
    head = "".join(f"{line}\n" for line in lines)
    there = ""
    if carried:
        environment, there = f"./{ENVIRONMENT}", f"[ -d {shlex.quote(folder)} ] && "
    tail = (
        f"case $weft_code in {'|'.join(map(str, reserved))}) exit 1 ;; esac\n" if reserved else ""
    )
    return (
        f"#!/bin/sh\n{head}\n"
        f". {environment} || exit 1\n"
        # A shell of its own, so that its exit is not that of the script.
        f"(\n{job.command}\n)\n"
        "weft_code=$?\n"
        f'{there}echo "$weft_code" > {part} && mv {part} {code}\n'
        f'{tail}exit "$weft_code"\n'
    )


def array_script(links: str, index: str, lines: Sequence[str] = ()) -> str:
    """The script of an array of jobs, each of which has its own script by its number.

    Args:
        links: the folder in which each number leads to the folder of a job.
        index: the variable in which the scheduler tells the number, such as ``SGE_TASK_ID``.
        lines: what the scheduler reads at the beginning.
    """
    head = "".join(f"{line}\n" for line in lines)
    return f'#!/bin/sh\n{head}\nexec /bin/sh {shlex.quote(links)}/"${index}"/{OWN}\n'
