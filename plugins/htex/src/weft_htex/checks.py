"""What ``weft doctor`` looks at for htex, so that managers find their way.

The library, private files, the machine's name, its ports, and its addresses. Nothing is guessed
that can be tried: an interchange is started as the settings say, a key is admitted, and at each
address that managers would try somebody knocks with that key, from this machine. What lies between
this machine and its nodes is not seen from here.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs
import zmq
from zmq.utils.monitor import parse_monitor_message

from weft.values.problem import Finding, Severity
from weft_htex import messages
from weft_htex.addresses import LOOPBACK, candidates, is_loopback
from weft_htex.broker import Broker
from weft_htex.door import knocked as through
from weft_htex.keys import BlockKeys, private_folder, read_block, write_block
from weft_htex.settings import HTEX

__all__ = ["Knock", "checks", "knocked"]

LIBZMQ: Final = (4, 3, 5)
"""The oldest libzmq without a known weakness that matters here."""

_HELLO: Final = 10.0
_KNOCK: Final = 5.0
_ENOUGH: Final = 1.0
_SLOW: Final = 2.0
_BLOCK: Final = "doctor"
_EVENTS: Final = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


def checks(settings: HTEX, folder: Path) -> Iterator[Finding]:
    """Look at all of it. Takes a second, or some more where an address does not answer."""
    yield from library(settings)
    yield from private_files(folder)
    yield from host_name(settings)
    yield from ipv6(settings)
    yield from port_range(settings)
    yield from ways(settings, folder)


# ------------------------------------------------------------------------------------- the library


def library(
    settings: HTEX, version: tuple[int, ...] | None = None, *, curve: bool | None = None
) -> Iterator[Finding]:
    """Whether libzmq can encrypt, and is recent enough."""
    version = zmq.zmq_version_info()[:3] if version is None else version
    shown = ".".join(map(str, version))
    where = f"libzmq {shown} (pyzmq {zmq.__version__})"
    if version < LIBZMQ:
        yield Finding(
            what=f"{where} is older than {'.'.join(map(str, LIBZMQ))}.",
            severity=Severity.ERROR if settings.encrypted else Severity.WARNING,
            why="Older ones have weaknesses that somebody on the network can use.",
            remedy="Run 'pip install --upgrade pyzmq'; its wheels bring a libzmq of their own.",
        )
    if not (zmq.has("curve") if curve is None else curve):
        yield Finding(
            what=f"{where} was built without CURVE.",
            severity=Severity.ERROR if settings.encrypted else Severity.WARNING,
            why="Nodes prove who they are by it, and it encrypts what travels.",
            remedy="Run 'pip install --force-reinstall --only-binary :all: pyzmq'.",
        )
    elif version >= LIBZMQ:
        yield Finding(what=f"{where} can encrypt.")


# ------------------------------------------------------------------------------------ private files


def private_files(folder: Path) -> Iterator[Finding]:
    """Whether keys that are put there can be read by their owner alone."""
    try:
        private = private_folder(folder / "keys")
        path = private / "doctor.keys"
        write_block(path, block=_BLOCK, server="", addresses=())
        read_block(path)
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (private, path)]
    except OSError as trouble:
        yield Finding(
            what=f"Keys cannot be kept where run folders are, in {folder.parent}: {trouble}.",
            severity=Severity.ERROR,
            why="Some network drives keep no owners and modes, so that others could read keys.",
            remedy="Give the configuration a run_dir in your home folder, or another one that "
            "nodes can read and that keeps modes.",
        )
        return
    yield Finding(
        what=f"Keys in {folder.parent} are their owner's alone (folder {modes[0]:04o}, file "
        f"{modes[1]:04o})."
    )


# ------------------------------------------------------------------------------------- the machine


def host_name(settings: HTEX) -> Iterator[Finding]:
    """Whether this machine's name leads to it."""
    name = socket.gethostname()
    began = time.monotonic()
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as trouble:
        matters = name in settings.addresses
        yield Finding(
            what=f"The name of this machine, {name!r}, leads nowhere: {trouble}.",
            severity=Severity.ERROR if matters else Severity.WARNING,
            why="Neither /etc/hosts nor the name service knows it. Addresses are found without it.",
            remedy="Give addresses=(...) with the one that nodes reach, should they find none.",
        )
        return
    took = time.monotonic() - began
    if took > _SLOW:
        yield Finding(
            what=f"It took {took:.0f} s to find out what the name of this machine leads to.",
            severity=Severity.WARNING,
            why="A server of the name service does not answer.",
            remedy="Have /etc/resolv.conf mended, or the name put into /etc/hosts.",
        )
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if all(is_loopback(one) for one in found):
        yield Finding(
            what=f"The name of this machine, {name!r}, leads to {', '.join(found)} alone, which "
            "only this machine reaches. Addresses are found without it.",
            severity=Severity.ERROR if name in settings.addresses else None,
            remedy="Give the address itself in addresses=(...)."
            if name in settings.addresses
            else "",
        )
    else:
        yield Finding(what=f"The name of this machine, {name!r}, leads to {', '.join(found)}.")


def ipv6(settings: HTEX) -> Iterator[Finding]:
    """Whether IPv6 can be used, where it is asked for."""
    asked = [one for one in settings.addresses if ":" in one]
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError as trouble:
        yield Finding(
            what=f"This machine has no IPv6 ({trouble}).",
            severity=Severity.ERROR if asked else None,
            why=f"addresses names {', '.join(asked)}." if asked else "",
            remedy="Name IPv4 addresses, or have IPv6 switched on." if asked else "",
        )
    else:
        yield Finding(what="This machine has IPv6.")


def port_range(settings: HTEX) -> Iterator[Finding]:
    """Whether there is a free port in the range."""
    if settings.ports is None:
        low, high = _ephemeral()
        more = f", most likely one from {low} to {high}" if high else ""
        yield Finding(
            what=f"Any free port is listened at{more}; ports=(first, last) says which ones."
        )
        return
    first, last = settings.ports
    host = "" if settings.encrypted else LOOPBACK
    taken = {port: why for port in range(first, last + 1) if (why := _refused(host, port))}
    free = last - first + 1 - len(taken)
    if free:
        yield Finding(
            what=f"{free} of the {last - first + 1} ports from {first} to {last} are free.",
            severity=Severity.WARNING if free == 1 and taken else None,
            why="A second script at the same time finds none." if free == 1 and taken else "",
        )
        return
    examples = ", ".join(f"{port}: {why}" for port, why in list(taken.items())[:3])
    yield Finding(
        what=f"None of the ports from {first} to {last} can be listened at ({examples}).",
        severity=Severity.ERROR,
        why="Others listen there already, or the system keeps them for itself.",
        remedy="Give a wider range in ports=(first, last), one that a firewall lets through.",
    )


def _refused(host: str, port: int) -> str:
    """Why a port cannot be listened at; empty if it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As libzmq does it: what ended a moment ago does not hold a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as trouble:
            return trouble.strerror or str(trouble)
    return ""


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 0, 0


# ---------------------------------------------------------------------------------------- the ways


@attrs.frozen(kw_only=True)
class Knock:
    """What came of knocking at one address.

    Attributes:
        seconds: after which the interchange answered; ``None`` if it did not.
        connected: whether somebody took the connection.
        refused: whether it was refused, or the address is nowhere.
    """

    seconds: float | None = None
    connected: bool = False
    refused: bool = False


def ways(settings: HTEX, folder: Path) -> Iterator[Finding]:
    """At which addresses managers would seek the interchange, and whether it answers there."""
    local = settings.provider is None or settings.provider.plugin == "local"
    yield from _tried(settings, folder / "as-set", elsewhere=not local)
    if local and settings.encrypted and not settings.addresses:
        outward = candidates()
        yield Finding(
            what="Managers run on this machine. With a provider of other ones they would try "
            f"{', '.join(outward)}, in this order."
        )
        wider = attrs.evolve(settings, addresses=outward)
        for finding in _tried(wider, folder / "outward", elsewhere=True):
            yield attrs.evolve(finding, severity=finding.severity and Severity.WARNING)


def _tried(settings: HTEX, folder: Path, *, elsewhere: bool) -> Iterator[Finding]:
    try:
        knocks = knocked(settings, folder)
    except OSError as trouble:
        yield Finding(
            what=f"The interchange cannot be started: {trouble}",
            severity=Severity.ERROR,
            why="It listens as the settings addresses, ports and encrypted say.",
            remedy="Mend what the words above name; ports and addresses are looked at above.",
        )
        return
    good = [address for address, knock in knocks.items() if knock.seconds is not None]
    for address, knock in knocks.items():
        yield _told(address, knock, any_good=bool(good))
    if elsewhere and good and all(is_loopback(_host(address)) for address in good):
        yield Finding(
            what="The interchange answers at loopback addresses alone, which no other machine "
            "reaches.",
            severity=Severity.ERROR,
            why="No interface with another address was found, or encrypted=False keeps it to "
            "loopback.",
            remedy="Give the address that nodes reach in addresses=(...).",
        )


def _host(address: str) -> str:
    return address.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def _told(address: str, knock: Knock, *, any_good: bool) -> Finding:
    if knock.seconds is not None:
        return Finding(what=f"{address} answers, in {1000 * knock.seconds:.0f} ms.")
    if knock.connected:
        what = f"{address} takes connections, and whoever does it is not this interchange."
        why = "The address belongs to another machine, or something stands between."
    elif knock.refused:
        what = f"{address} refuses connections, from this machine itself."
        why = "The interchange does not listen there, the name is unknown, or a firewall refuses."
    else:
        what = f"{address} did not answer within {_KNOCK:g} s, to this machine itself."
        why = "A firewall drops what comes, or the address is not this machine's."
    return Finding(
        what=what,
        severity=Severity.WARNING if any_good else Severity.ERROR,
        why=why,
        remedy="Managers go on to the next address; name the good ones in addresses=(...)."
        if any_good
        else "Ask whoever runs this machine which addresses and ports nodes may connect to, and "
        "give them in addresses=(...) and ports=(first, last).",
    )


def knocked(settings: HTEX, folder: Path) -> Mapping[str, Knock]:
    """Start an interchange, and knock at each address that its managers would be told.

    Raises:
        OSError: it did not start; the message says why.
    """
    broker = Broker(attrs.evolve(settings, mode="direct"), folder)
    try:
        hello = _greeted(broker)
        path = folder / "doctor.keys"
        public = write_block(
            path,
            block=_BLOCK,
            server=hello.key if settings.encrypted else "",
            addresses=hello.addresses,
        )
        broker.line.say(messages.Admit(block=_BLOCK, key=public))
        if not hello.addresses:
            return _knock_here(hello.doors)
        return _knock_at(read_block(path))
    finally:
        broker.kill("It is not needed any more.")
        broker.close()


def _greeted(broker: Broker) -> messages.Hello:
    """What the interchange says first."""
    until = time.monotonic() + _HELLO
    with selectors.DefaultSelector() as selector:
        selector.register(broker.line.fd, selectors.EVENT_READ, "line")
        selector.register(broker.handle, selectors.EVENT_READ, "ended")
        while (left := until - time.monotonic()) > 0:
            ended = any(key.data == "ended" for key, _ in selector.select(left))
            while (parts := broker.line.receive()) is not None:
                if parts and messages.kind_of(parts) == messages.CONTROL:
                    said = messages.control_in(parts)
                    if isinstance(said, messages.Hello):
                        return said
            if ended:
                raise OSError(broker.close())
    raise OSError(f"It said nothing for {_HELLO:g} s.")


def _knock_here(doors: Sequence[str]) -> Mapping[str, Knock]:
    """Connect as a manager of this machine does."""
    found = {}
    for address in doors:
        began = time.monotonic()
        end = through(address)
        found[address] = Knock(refused=True)
        if end is not None:
            end.close()
            found[address] = Knock(seconds=time.monotonic() - began)
    return found


def _knock_at(keys: BlockKeys, patience: float = _KNOCK) -> Mapping[str, Knock]:
    """Connect to all addresses at once, as a manager does."""
    found = {address: Knock() for address in keys.addresses}
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    sockets, monitors = [], {}
    began = time.monotonic()
    try:
        for address in keys.addresses:
            one = context.socket(zmq.DEALER)
            one.setsockopt(zmq.LINGER, 0)
            one.setsockopt(zmq.IPV6, 1)
            if keys.server:
                one.curve_serverkey = keys.server.encode()
                one.curve_publickey = keys.public.encode()
                one.curve_secretkey = keys.secret.encode()
            monitor = one.get_monitor_socket(_EVENTS)
            sockets += [(one, monitor)]
            monitors[monitor] = address
            poller.register(monitor, zmq.POLLIN)
            with contextlib.suppress(zmq.ZMQError):  # a name that leads nowhere
                one.connect(address)
        while monitors and (left := began + patience - time.monotonic()) > 0:
            for monitor, _ in poller.poll(int(1000 * left) + 1):
                address = monitors[monitor]
                found[address] = _heard(found[address], monitor, began)
                if found[address].seconds is not None:
                    poller.unregister(monitor)
                    del monitors[monitor]
            if time.monotonic() - began > _ENOUGH and all(
                found[address].refused for address in monitors.values()
            ):
                break
    finally:
        for one, monitor in sockets:
            one.disable_monitor()
            monitor.close(0)
            one.close(0)
        context.term()
    return found


def _heard(knock: Knock, monitor: zmq.Socket[bytes], began: float) -> Knock:
    event = parse_monitor_message(monitor.recv_multipart())["event"]
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        return attrs.evolve(knock, seconds=time.monotonic() - began)
    if event == zmq.EVENT_CONNECT_RETRIED:
        return attrs.evolve(knock, refused=True)
    return attrs.evolve(knock, connected=True)
