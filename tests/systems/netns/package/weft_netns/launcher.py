"""Starts a command on each node of a job: text in, text out."""

import shlex

from weft.interfaces.launcher import Launcher
from weft_netns.settings import EachNode

__all__ = ["NODES", "EachNodeLauncher", "build"]

NODES = "WEFT_NETNS_NODES"
"""The variable of a job's environment that names its nodes."""


def build(settings: EachNode) -> "EachNodeLauncher":
    """The factory that the declaration names."""
    return EachNodeLauncher()


class EachNodeLauncher(Launcher):
    """Enters the namespaces of each node."""

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Text that starts the copies and waits for all of them."""
        enter = 'nsenter --target "$weft_node" --net --uts --time -- /bin/sh -c "$weft_text"'
        return (
            "(\n"
            f"weft_text={shlex.quote(command)} weft_copies='' weft_code=0\n"
            f"for weft_node in {f'${NODES} ' * per_node}; do\n"
            f'  {enter} & weft_copies="$weft_copies $!"\n'
            "done\n"
            'for weft_copy in $weft_copies; do wait "$weft_copy" || weft_code=$?; done\n'
            'exit "$weft_code"\n'
            ")"
        )
