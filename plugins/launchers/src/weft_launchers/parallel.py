"""The launcher ``gnu-parallel``: machines that share nothing but ssh.

``parallel --nonall`` runs one command on each of the machines it is given (``parallel(1)`` of GNU
parallel). What it gets passes its own replacement strings, a line of ssh, and the login shell of
the other machine, which need not be one of Bourne's kind; so the command travels as letters,
digits and octal escapes, in single quotes, which all of them leave alone.
"""

import shlex
from typing import Final

from weft.interfaces.launcher import Launcher
from weft_launchers.settings import GnuParallel
from weft_launchers.text import (
    check,
    copies,
    double_quoted,
    exported,
    line,
    program_of,
    saying,
    subshell,
)

__all__ = ["GnuParallelLauncher", "armoured"]

_PLAIN: Final = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _./:,=@+-"
)
# GNU parallel takes half of what the system passes in one argument, 128 KiB, and makes four letters
# of three on the way; the rest is for the folder and the like.
_LONGEST: Final = 45_000

_NAMED_BY: Final = """\
if [ -n "${PBS_NODEFILE-}" ]; then cat "$PBS_NODEFILE"
elif [ -n "${COBALT_NODEFILE-}" ]; then cat "$COBALT_NODEFILE"
elif [ -n "${LSB_DJOB_HOSTFILE-}" ]; then cat "$LSB_DJOB_HOSTFILE"
elif [ -n "${PE_HOSTFILE-}" ]; then cut -d ' ' -f 1 "$PE_HOSTFILE"
elif [ -n "${SLURM_JOB_NODELIST-}" ]; then scontrol show hostnames "$SLURM_JOB_NODELIST"
"""
"""Where schedulers name the machines of a job: a line for each, or for each core of each."""


class GnuParallelLauncher(Launcher):
    """Copies by GNU parallel, over ssh."""

    def __init__(self, settings: GnuParallel) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Text that starts the copies, and waits for all of them.

        Raises:
            ValueError: it is no command, or too long, or a number is below 1.
        """
        check(command, nodes, per_node)
        settings = self._settings
        words = line(
            program_of(settings, "parallel"),
            '--nonall --jobs 0 --sshlogin "$weft_hosts" --workdir "$PWD"',
            f"--ssh {shlex.quote(settings.ssh)}" if settings.ssh != "ssh" else "",
            "--tag" if settings.debug else "",
            "$weft_export",
            settings.overrides,
        )
        run = armoured(copies(command, per_node * settings.ranks_per_node))
        if (size := len(run)) > _LONGEST:
            length = len(command.encode(errors="surrogateescape"))
            raise ValueError(
                f"the command is too long to pass through ssh: {length} bytes, where about "
                f"{length * _LONGEST // size} of its kind would do; put it into a script, and "
                "launch that"
            )
        return subshell(
            _machines(settings, nodes),
            exported("--env", tuple(settings.environment)),
            f"{saying(settings, words)}exec {words} {shlex.quote(run)} </dev/null",
        )


def armoured(command: str) -> str:
    """Text for any login shell that has ``/bin/sh`` run the command."""
    # A digit after an escape belongs to it only up to the third, and each has three.
    letters = "".join(
        chr(byte) if byte in _PLAIN else f"\\0{byte:03o}"
        for byte in command.encode(errors="surrogateescape")
    )
    return f'/bin/sh -c \'eval "$(printf %b "{letters}")"\''


def _machines(settings: GnuParallel, nodes: int) -> str:
    """Text that sets ``$weft_hosts`` to the machines, or ends with the reason why not."""
    if settings.node_file:
        named = f"cat {double_quoted(settings.node_file)}"
    else:
        # A job of one machine needs nobody to name it: to GNU parallel a colon is this one.
        alone = "else echo :\n" if nodes == 1 else ""
        named = f"{_NAMED_BY}{alone}fi"
    return (
        f"weft_hosts=$(\n{named}\n) || exit 1\n"
        "weft_hosts=$(printf '%s\\n' \"$weft_hosts\" | awk 'NF && !seen[$1]++ {print $1}' "
        f"| head -n {nodes})\n"
        f'set -- $weft_hosts\nif [ "$#" -ne {nodes} ]; then\n'
        f"  printf 'weft: {nodes} machines are wanted, and %s named for this job. Name them: "
        'weft.launcher("gnu-parallel", node_file=...)\\n\' "$#" >&2\n  exit 1\nfi\n'
        "weft_hosts=$(printf '%s\\n' \"$weft_hosts\" | paste -s -d , -)"
    )
