"""The manager of a block: that of htex, handing out the block's nodes, not the parts of one.

It runs on the first node of the block. Its workers run the tasks there; the programs that these
start run on the nodes that each task got.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from weft.values.message import changed
from weft.workers.crew import CrewOwner, CrewSettings
from weft_htex.manager import main as htex_main
from weft_mpi.errors import NoNodes
from weft_mpi.hands import NodeHands
from weft_mpi.hosts import NoList, block_hosts

if TYPE_CHECKING:
    from weft_htex.hands import Hands, Hire
    from weft_htex.orders import Orders

__all__ = ["main"]

_ASK: Final = 60.0


def _asked(words: Sequence[str]) -> str:
    """What a command prints.

    Raises:
        OSError: it cannot be run, or does not end well.
    """
    try:
        ran = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK, check=True
        )
    except subprocess.TimeoutExpired as trouble:
        raise TimeoutError(f"it did not end within {_ASK:g} s") from trouble
    except subprocess.CalledProcessError as trouble:
        words_of = (trouble.stderr or b"").decode("utf-8", "replace").strip()
        raise OSError(f"it ended with exit code {trouble.returncode}: {words_of}") from trouble
    return ran.stdout.decode("utf-8", "replace")


def _hosts(extra: dict[str, Any]) -> tuple[str, list[str]]:
    """Who told of the nodes of this block, and which they are.

    Raises:
        NoNodes: nobody did, or there are too few.
    """
    wanted, launcher = int(extra["nodes"]), str(extra["launcher"])
    if extra["hosts"]:
        return "the option hosts", list(extra["hosts"])
    try:
        source, hosts = block_hosts(
            os.environ,
            flux_first=launcher == "flux",
            here="localhost",
            read=lambda path: Path(path).read_text(),
            ask=_asked,
        )
    except NoList as trouble:
        raise NoNodes(trouble.source, str(trouble)) from trouble
    if launcher == "jsrun" and len(hosts) > wanted:
        hosts = hosts[1:]  # the node of the job's script, on which jsrun starts nothing
    if len(hosts) < wanted:
        named = ", ".join(hosts)
        raise NoNodes(source, f"it names {len(hosts)} of {wanted} nodes: {named}.")
    return source, hosts


def _prepared(orders: Orders, log: Callable[[str], None]) -> tuple[Orders, Hire]:
    source, hosts = _hosts(dict(orders.extra))
    log(f"hands out {len(hosts)} nodes, told of by {source}: {', '.join(hosts)}")

    def hire(settings: CrewSettings, selector: selectors.BaseSelector, owner: CrewOwner) -> Hands:
        return NodeHands(settings, selector, owner, hosts, log)

    return changed(orders, accelerators=hosts), hire


def main() -> NoReturn:
    """Be the manager of a block. Ends with a code."""
    htex_main(_prepared)


if __name__ == "__main__":
    main()
