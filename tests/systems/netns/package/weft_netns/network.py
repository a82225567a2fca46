"""Hosts, and the wires between them, made of namespaces of this machine.

A host is a network and a UTS namespace, held by a process that ends with its standard input; so
nothing is left when whoever made it ends, however that happens. All bridges are in a namespace of
their own, and the namespace of the machine is not touched.

    host ── eth0 ═══ veth ═══ port ──┐
    host ── eth0 ═══ veth ═══ port ──┼── bridge "lan"     in the namespace of the switch
    host ── eth0 ═══ Wire ═══ port ──┘

A :class:`~weft_netns.wire.Wire` is a link whose frames pass through this process, which may lose
or delay them.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from weft_netns.wire import Wire

__all__ = ["Host", "Network", "trouble"]

_BOUND: Final = 60.0
_NAMESPACES: Final = {"net": 0x40000000, "uts": 0x04000000}
_libc: Final = ctypes.CDLL(None, use_errno=True)


def trouble() -> str:
    """Why no namespaces can be made here; empty when they can."""
    bridge = ("ip", "link", "add", "name", "probe", "type", "bridge")
    try:
        subprocess.run(
            ["unshare", "--net", "--uts", "--", *bridge],
            check=True,
            capture_output=True,
            timeout=_BOUND,
        )
    except FileNotFoundError as missing:
        return f"{missing.filename} is not installed (util-linux, iproute2)"
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", b"") or b""
        return f"network namespaces cannot be made: {error} {said.decode(errors='replace')}"
    return ""


class Host:
    """A host: a name and interfaces of its own.

    Attributes:
        name: what it calls itself.
        pid: the process that holds its namespaces.
    """

    def __init__(self, name: str, *, ahead: float = 0.0) -> None:
        """Make it.

        Args:
            name: what it is to call itself.
            ahead: by how many seconds its clock that only goes forward is ahead of that of others.
        """
        clock = ("--time", "--monotonic", f"{ahead:.0f}", "--boottime", f"{ahead:.0f}", "--fork")
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "--uts", *(clock if ahead else ()), "--", "cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self.name = name
        self.pid = _until(lambda: _named("cat", self._keeper.pid))
        self.run("hostname", name)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words: str) -> list[str]:
        """A command that runs on this host."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", "--time", "--", *words]

    def run(self, *words: str) -> str:
        """Run a command on this host. Returns its output.

        Raises:
            RuntimeError: it failed.
        """
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=_BOUND, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {done.stderr}")
        return done.stdout

    def __enter__(self) -> Self:
        """Have this thread, and those that it starts, be on this host."""
        with contextlib.ExitStack() as back:
            for kind, flag in _NAMESPACES.items():
                here = os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                back.callback(_return, here, flag)
                there = os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _setns(there, flag)
                finally:
                    os.close(there)
            self._back = back.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Be where it was before."""
        self._back.close()

    def processes(self) -> dict[int, str]:
        """The processes on this host, but for this one, and the command of each."""
        here = (os.getpid(), self.pid, self._keeper.pid)
        mine = Path(f"/proc/{self.pid}/ns/net").readlink()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) in here:
                continue
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is a zombie
                if (folder / "ns" / "net").readlink() == mine:
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(folder.name)] = words.decode(errors="replace").strip()
        return found

    def listening(self) -> list[int]:
        """The TCP ports that are listened at beyond loopback."""
        ports = set()
        for family in ("tcp", "tcp6"):
            for line in self.run("cat", f"/proc/net/{family}").splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, port = local.partition(":")
                if state == "0A" and address not in {"0100007F", "0" * 24 + "01000000"}:
                    ports.add(int(port, 16))
        return sorted(ports)

    def close(self) -> None:
        """End what runs on it, and let go of its namespaces."""
        until = time.monotonic() + _BOUND
        while (left := self.processes()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(_BOUND)


class Network:
    """Hosts and the links between them. A context manager, whose end is theirs."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._ports: dict[tuple[str, str], str] = {}
        self._bridges: set[str] = set()
        self._made = 0

    def __enter__(self) -> Self:
        """Make the switch."""
        self._switch = self.host("switch")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of everything."""
        self._stack.close()

    def host(self, name: str, *, ahead: float = 0.0) -> Host:
        """A new host, without a link."""
        made = Host(name, ahead=ahead)
        self._stack.callback(made.close)
        return made

    def link(
        self, host: Host, addresses: Sequence[str], *, lan: str = "lan", interface: str = "eth0"
    ) -> None:
        """Give a host a link to a network, and addresses such as ``10.0.0.1/24`` there."""
        port = self._port(host, interface)
        switch = self._switch
        switch.run(
            *("ip", "link", "add", "name", port, "type", "veth"),
            *("peer", "name", interface, "netns", str(host.pid)),
        )
        self._join(port, lan)
        _configure(host, interface, addresses)

    def wire(
        self, host: Host, addresses: Sequence[str], *, lan: str = "lan", interface: str = "eth0"
    ) -> Wire:
        """The same with a link that can be made to fail."""
        port = self._port(host, interface)
        with host:
            near = Wire.tap(interface)
        with self._switch:
            far = Wire.tap(port)
        made = Wire(near, far)
        self._stack.callback(made.close)
        self._join(port, lan)
        _configure(host, interface, addresses)
        return made

    def unplug(self, host: Host, interface: str = "eth0") -> None:
        """Take a link away."""
        self._switch.run("ip", "link", "set", self._ports[host.name, interface], "down")

    def plug(self, host: Host, interface: str = "eth0") -> None:
        """Give it back."""
        self._switch.run("ip", "link", "set", self._ports[host.name, interface], "up")

    @contextlib.contextmanager
    def unplugged(self, *hosts: Host) -> Iterator[None]:
        """Without the links of these hosts."""
        for host in hosts:
            self.unplug(host)
        yield
        for host in hosts:
            self.plug(host)

    def _port(self, host: Host, interface: str) -> str:
        self._made += 1
        port = self._ports[host.name, interface] = f"port{self._made}"
        return port

    def _join(self, port: str, lan: str) -> None:
        switch = self._switch
        if lan not in self._bridges:
            self._bridges.add(lan)
            switch.run(
                *("ip", "link", "add", "name", lan, "type", "bridge"),
                *("forward_delay", "0", "mcast_snooping", "0"),
            )
            switch.run("ip", "link", "set", lan, "up")
        switch.run("ip", "link", "set", port, "master", lan, "up")


def _configure(host: Host, interface: str, addresses: Sequence[str]) -> None:
    host.run("ip", "link", "set", interface, "up")
    for address in addresses:
        # Nobody else has it, which need not be found out first.
        own = ("nodad",) if ":" in address else ()
        host.run("ip", "address", "add", address, "dev", interface, *own)


def _setns(descriptor: int, flag: int) -> None:
    if _libc.setns(descriptor, flag):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _return(descriptor: int, flag: int) -> None:
    try:
        _setns(descriptor, flag)
    finally:
        os.close(descriptor)


def _named(name: str, pid: int) -> int:
    """The process, or its child, that runs a program; 0 while it does not yet."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{one}/comm").read_text().strip() == name:
                return one
    return 0


def _until(found: Callable[[], int]) -> int:
    """Wait for something of which the system does not tell."""
    until, tick = time.monotonic() + _BOUND, threading.Event()
    while not (value := found()):
        if time.monotonic() > until:
            raise TimeoutError("a host did not come up")
        tick.wait(0.005)
    return value
