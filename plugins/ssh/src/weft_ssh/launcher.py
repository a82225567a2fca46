"""The launcher ``ssh``: the text says that it is for every host, and the provider heeds it.

A host of a block need not be able to reach another one; the client reaches them all, and has a
connection to each. So it is the provider that starts the text on each of them.
"""

import shlex
from typing import Final

from weft.interfaces.launcher import Launcher
from weft_ssh.settings import SSHHosts

__all__ = ["EVERYWHERE", "SSHLauncher", "build"]

EVERYWHERE: Final = "# weft-ssh: on every host of the block\n"
"""How a text begins that the provider starts on each host."""


def build(settings: SSHHosts) -> "SSHLauncher":
    """The launcher ``ssh`` with these settings."""
    return SSHLauncher(settings)


class SSHLauncher(Launcher):
    """Starts on every host of a block."""

    def __init__(self, settings: SSHHosts) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """The command, marked; several copies for a host run side by side.

        Raises:
            ValueError: there is no command, or no node.
        """
        if not command.strip():
            raise ValueError("there is no command to launch")
        if "\0" in command:
            raise ValueError("the command holds a NUL character, which no shell can read")
        if nodes < 1 or per_node < 1:
            raise ValueError(f"nodes and per_node are at least 1, not {nodes} and {per_node}")
        if per_node == 1:
            return f"{EVERYWHERE}(\n{command}\n)"
        return (
            f"{EVERYWHERE}(\n"
            # The line break keeps eval from taking a leading dash for an option.
            f"weft_copy={shlex.quote(chr(10) + command)}\n"
            f"weft_left={per_node} weft_all='' weft_code=0\n"
            'while [ "$weft_left" -gt 0 ]; do\n'
            '  (eval "$weft_copy") &\n'
            '  weft_all="$weft_all $!" weft_left=$((weft_left - 1))\n'
            "done\n"
            'for weft_one in $weft_all; do wait "$weft_one" || weft_code=$?; done\n'
            'exit "$weft_code"\n'
            ")"
        )
