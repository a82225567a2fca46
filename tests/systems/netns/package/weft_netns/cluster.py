"""A login host, compute hosts, and sessions of htex on the one that use the others."""

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import weft
from weft import Config
from weft_netns.network import Host, Network
from weft_netns.settings import EachNode, Netns
from weft_netns.wire import Wire

__all__ = ["BOUND", "Cluster", "Gate", "eventually", "managers"]

BOUND = 60.0
"""Seconds within which anything awaited must happen; mostly it takes a fraction of that."""


def eventually(happened: Callable[[], Any], bound: float = BOUND) -> Any:
    """Wait for something that nobody tells of. Returns what is true in the end."""
    until, tick = time.monotonic() + bound, threading.Event()
    while not (found := happened()):
        assert time.monotonic() < until, f"not within {bound} s"
        tick.wait(0.02)
    return found


class Gate:
    """Tasks say that they have begun, and wait to be let through.

    Attributes:
        folder: passed to tasks, for ``begin`` in the tests.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def begun(self) -> list[str]:
        """What each task that has begun said of itself."""
        return [one.read_text() for one in sorted(self.folder.glob("begun-*.txt"))]

    def open(self) -> None:
        """Let all through that have begun, and nobody who begins later."""
        for one in sorted(self.folder.glob("begun-*.txt")):
            gate = one.with_suffix(".gate")
            if not gate.exists():
                continue  # it was let through before
            try:
                way = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # it was killed at its gate
                    raise
            else:
                os.write(way, b"!")
                os.close(way)
            gate.unlink()


class Cluster:
    """Hosts on one network.

    Attributes:
        network: for more links, and for taking them away.
        login: where sessions are opened.
        nodes: where managers run.
        wires: those of the nodes, where wires were asked for.
    """

    def __init__(
        self,
        network: Network,
        run_dir: Path,
        *,
        nodes: int = 2,
        login: Sequence[str] = ("10.77.0.1/24",),
        address: str = "10.77.0.{}/24",
        ahead: float = 0.0,
        wired: bool = False,
    ) -> None:
        """Bring it up.

        Args:
            network: to make it in.
            run_dir: for sessions.
            nodes: how many.
            login: the addresses of the login host.
            address: of a node, with a place for its number.
            ahead: how far the clock of each node is ahead of that of the one before, in seconds.
            wired: whether the links of nodes can be made to fail.
        """
        self.network, self.run_dir = network, run_dir
        self.login = network.host("login")
        if login:
            network.link(self.login, login)
        self.nodes = [network.host(f"node{at}", ahead=ahead * at) for at in range(1, nodes + 1)]
        self.wires: list[Wire] = []
        for number, node in enumerate(self.nodes, 11):
            if wired:
                self.wires.append(network.wire(node, [address.format(number)]))
            else:
                network.link(node, [address.format(number)])

    def config(self, options: dict[str, Any] | None = None, **htex: Any) -> Config:
        """A configuration of htex on the nodes: two workers on each, frequent signs of life."""
        given: dict[str, Any] = {
            "provider": Netns(nodes=tuple(node.pid for node in self.nodes)),
            "launcher": EachNode(),
            "workers_per_node": 2,
            "heartbeat": 0.5,
            "lost_after": 5.0,
            # The hosts share their files, and so the door of the interchange: it is kept shut.
            "local_sockets": False,
            **htex,
        }
        executor = weft.executor("htex", **given)
        return Config(
            executors=[executor], run_dir=self.run_dir, **{"close_timeout": 5.0, **(options or {})}
        )

    @contextlib.contextmanager
    def session(self, options: dict[str, Any] | None = None, **htex: Any) -> Iterator[weft.Session]:
        """A session on the login host."""
        with self.login, weft.load(self.config(options, **htex)) as session:
            yield session

    def left(self) -> dict[str, dict[int, str]]:
        """What runs on which host."""
        running = {host.name: host.processes() for host in (self.login, *self.nodes)}
        return {name: processes for name, processes in running.items() if processes}

    def node(self, name: str) -> Host:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)


def managers(session: weft.Session) -> dict[str, Any]:
    """The managers, as the status shows them."""
    details = session.status().executors["htex"].details
    return dict(details.get("managers", {}))
