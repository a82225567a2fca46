"""The launcher ``qrsh``: text in, text out."""

import shlex

from weft.interfaces.launcher import Launcher
from weft_gridengine.settings import Qrsh

__all__ = ["QrshLauncher", "build_qrsh"]

# The words behind the host are put together again and read by the login shell of the user, which
# may be any. So the command itself goes another way: -V carries the variable that it is in.
_REMOTE = "exec /bin/sh -c 'eval \"$weft_command\"'"


def build_qrsh(settings: Qrsh) -> "QrshLauncher":
    """The launcher ``qrsh`` with these settings."""
    return QrshLauncher(settings)


class QrshLauncher(Launcher):
    """Starts copies on the hosts of a job of Grid Engine, as tasks of the job."""

    def __init__(self, settings: Qrsh) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """A copy here, and one by ``qrsh -inherit`` on each other host that PE_HOSTFILE names.

        The text ends when all copies have, with the code of the last one that failed. It starts
        none where the job was given another number of hosts than ``nodes``.

        Raises:
            ValueError: there is no command, or no node.
        """
        if not command.strip():
            raise ValueError("there is no command to launch")
        if "\0" in command:
            raise ValueError("the command holds a NUL character, which no shell can read")
        if nodes < 1 or per_node < 1:
            raise ValueError(f"nodes and per_node are at least 1, not {nodes} and {per_node}")
        words = ["qrsh", "-inherit", "-nostdin", "-V", *self._settings.options]
        return (
            "(\n"
            f"export weft_command={shlex.quote(command)}\n"
            f"{_hosts(nodes)}"
            "weft_copies='' weft_code=0\n"
            "for weft_host; do\n"
            f"  weft_left={per_node}\n"
            '  while [ "$weft_left" -gt 0 ]; do\n'
            "    weft_left=$((weft_left - 1))\n"
            # Where this runs, the job has its first task already, and may be granted no other.
            '    if [ "$weft_host" = "$HOSTNAME" ]; then\n'
            '      /bin/sh -c "$weft_command" &\n'
            "    else\n"
            f'      {shlex.join(words)} "$weft_host" {shlex.quote(_REMOTE)} &\n'
            "    fi\n"
            '    weft_copies="$weft_copies $!"\n'
            "  done\n"
            "done\n"
            'for weft_copy in $weft_copies; do wait "$weft_copy" || weft_code=$?; done\n'
            'exit "$weft_code"\n'
            ")"
        )


def _hosts(nodes: int) -> str:
    """Text that makes the names of the hosts the arguments of the shell."""
    if nodes == 1:  # here, whether or not there is a parallel environment
        return 'set -- "$HOSTNAME"\n'
    return (
        # A host with several queues has several lines.
        "set -- $(awk '!seen[$1]++ {print $1}' \"$PE_HOSTFILE\")\n"
        f'if [ "$#" -ne {nodes} ]; then\n'
        f'  echo "weft: the job was given $# hosts, and {nodes} were asked for: $*" >&2\n'
        "  exit 1\n"
        "fi\n"
    )
