"""The parts of shell text that launchers have in common. Pure: text in, text out."""

import shlex
from typing import Final

from weft_launchers.settings import Launched

__all__ = [
    "RUN",
    "check",
    "copies",
    "double_quoted",
    "exported",
    "framed",
    "line",
    "program_of",
    "saying",
    "subshell",
]

# What Linux passes in one argument, 128 KiB, with room for what programs add on the way.
_LONGEST: Final = 120_000

RUN: Final = '/bin/sh -c "$weft_command"'
"""What each copy is: a shell of its own, so that a command of several parts stays one."""


def check(command: str, nodes: int, per_node: int) -> None:
    """See that it is something that can be started.

    Raises:
        ValueError: it is not; the message says why.
    """
    if not command.strip():
        raise ValueError("there is no command to launch")
    if "\0" in command:
        raise ValueError("the command holds a NUL character, which no shell can read")
    if (size := len(command.encode(errors="surrogateescape"))) > _LONGEST:
        raise ValueError(
            f"the command is {size} bytes long, and at most {_LONGEST} reach the machines of a "
            "job; put it into a script, and launch that"
        )
    if nodes < 1 or per_node < 1:
        raise ValueError(f"nodes and per_node are at least 1, not {nodes} and {per_node}")


def program_of(settings: Launched, usual: str) -> str:
    """The shell word of the program that starts the copies."""
    return shlex.quote(settings.program.strip() or usual)


def line(*parts: str) -> str:
    """Shell words in a line; empty parts are left out."""
    return " ".join(part for part in parts if part)


def subshell(*lines: str) -> str:
    """Text that runs the lines in a shell of their own.

    The last line may ``exec`` a program: what surrounds the text goes on after it.
    """
    return "\n".join(("(", *lines, ")"))


def framed(command: str, *lines: str) -> str:
    """Text that runs the lines in a subshell, where ``$weft_command`` is the command."""
    # The line break keeps a command that is a lone colon from being taken for what separates two
    # programs: MPICH's mpiexec crashes on it, Open MPI's starts a shell without a command.
    return subshell(f"weft_command={shlex.quote(chr(10) + command)}", *lines)


def saying(settings: Launched, started: str) -> str:
    """A line that writes what is started to the error output, if settings ask for that."""
    if not settings.debug:
        return ""
    # Not the command: it may be long, and may hold what is not for logs.
    return f"printf '%s\\n' {shlex.quote(f'weft: {started}')} >&2\n"


def double_quoted(path: str) -> str:
    """A shell word in which variables are replaced, and nothing else happens."""
    safe = path.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$(", "\\$(")
    return f'"{safe}"'


def exported(option: str, names: tuple[str, ...]) -> str:
    """A line that sets ``$weft_export`` to the option once for each variable to take along."""
    found = "env | sed -n 's/^\\(WEFT_[A-Za-z0-9_]*\\)=.*/\\1/p'"
    return (
        "weft_export=''\n"
        f"for weft_name in $({found}) {' '.join(names)}; do\n"
        '  if eval "[ -n \\"\\${$weft_name+set}\\" ]"; then\n'
        f'    weft_export="$weft_export {option} $weft_name"\n'
        "  fi\n"
        "done"
    )


def copies(command: str, count: int) -> str:
    """Shell text that runs a command several times at once, and fails if one of them does."""
    if count == 1:
        return command
    # The line break keeps eval from taking a leading dash for an option.
    return (
        f"weft_copy={shlex.quote(chr(10) + command)}\n"
        f"weft_left={count} weft_all='' weft_code=0\n"
        'while [ "$weft_left" -gt 0 ]; do\n'
        '  (eval "$weft_copy") &\n'
        '  weft_all="$weft_all $!" weft_left=$((weft_left - 1))\n'
        "done\n"
        'for weft_one in $weft_all; do wait "$weft_one" || weft_code=$?; done\n'
        'exit "$weft_code"'
    )
