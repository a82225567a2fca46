"""The launchers that need one machine and its shell: text in, text out."""

import shlex

from weft.builtin.settings import Simple, SingleNode, Wrapped
from weft.interfaces.launcher import Launcher

__all__ = [
    "SimpleLauncher",
    "SingleNodeLauncher",
    "WrappedLauncher",
    "build_simple",
    "build_single_node",
    "build_wrapped",
]


def build_simple(settings: Simple) -> "SimpleLauncher":
    """The simple launcher with these settings."""
    return SimpleLauncher(settings)


def build_single_node(settings: SingleNode) -> "SingleNodeLauncher":
    """The single-node launcher with these settings."""
    return SingleNodeLauncher(settings)


def build_wrapped(settings: Wrapped) -> "WrappedLauncher":
    """The wrapping launcher with these settings."""
    return WrappedLauncher(settings)


class SimpleLauncher(Launcher):
    """Runs the command as it is, once, on the first machine of the job."""

    def __init__(self, settings: Simple) -> None:
        self._spans_nodes = settings.spans_nodes

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """The command itself.

        Raises:
            ValueError: several copies are asked for, or several machines without ``spans_nodes``.
        """
        _check(command, nodes, per_node)
        if per_node != 1:
            raise ValueError(
                f"the launcher 'simple' runs a command once, not {per_node} times; "
                "use weft.launcher('single-node') for copies on one machine"
            )
        if nodes != 1 and not self._spans_nodes:
            raise ValueError(
                f"the launcher 'simple' would leave {nodes - 1} of {nodes} machines unused; use "
                "one "
                "that starts the command on all of them, or weft.launcher('simple', "
                "spans_nodes=True) if the command does that itself"
            )
        return command


class SingleNodeLauncher(Launcher):
    """Runs copies of the command side by side on one machine."""

    def __init__(self, settings: SingleNode) -> None:
        self._settings = settings

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Text that starts the copies and waits for all of them.

        Raises:
            ValueError: more than one machine is asked for.
        """
        _check(command, nodes, per_node)
        _check_one("single-node", nodes)
        return copies(command, per_node)


class WrappedLauncher(Launcher):
    """Runs the command through another one, such as that of a container."""

    def __init__(self, settings: Wrapped) -> None:
        self._prepend = settings.prepend

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """The other command, and the whole of this one as its arguments.

        Raises:
            ValueError: more than one machine is asked for.
        """
        _check(command, nodes, per_node)
        _check_one("wrapped", nodes)
        # A shell of its own: 'a && b' put behind the other command as it is would run b outside.
        return copies(f"{self._prepend} /bin/sh -c {shlex.quote(command)}", per_node)


def copies(command: str, count: int) -> str:
    """Shell text that runs the command ``count`` times at once.

    It ends when all have ended; with exit code 0 only if each did, else with the code of the last
    one that failed, in the order in which they were started.
    """
    if count == 1:
        return command
    # The text is held once, whatever the count, and each copy reads it in a subshell of its own.
    # The line break before it keeps eval from taking a leading dash for an option.
    text = shlex.quote("\n" + command)
    return (
        "(\n"
        f"weft_command={text}\n"
        f"weft_left={count} weft_copies='' weft_code=0\n"
        'while [ "$weft_left" -gt 0 ]; do\n'
        '  (eval "$weft_command") &\n'
        '  weft_copies="$weft_copies $!" weft_left=$((weft_left - 1))\n'
        "done\n"
        'for weft_copy in $weft_copies; do wait "$weft_copy" || weft_code=$?; done\n'
        'exit "$weft_code"\n'
        ")"
    )


def _check(command: str, nodes: int, per_node: int) -> None:
    if not command.strip():
        raise ValueError("there is no command to launch")
    if "\0" in command:
        raise ValueError("the command holds a NUL character, which no shell can read")
    if nodes < 1 or per_node < 1:
        raise ValueError(f"nodes and per_node are at least 1, not {nodes} and {per_node}")


def _check_one(name: str, nodes: int) -> None:
    if nodes != 1:
        raise ValueError(
            f"the launcher {name!r} starts commands on one machine, not on {nodes}; use the "
            "launcher of the machine's scheduler"
        )
