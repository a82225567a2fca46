"""Who is not asked in gets nothing, learns nothing and harms nobody: seen from outside of a run.

What a known peer may do wrong is tested beside the interchange; here a whole run is looked at from
the network, from the folder that it works in, and from the list of processes.
"""

import contextlib
import os
import random
import re
import select
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import weft
from weft import python_app
from weft.errors import ConfigurationError, WeftError
from weft_htex import messages
from weft_htex.keys import BlockKeys, read_block

BOUND = 60.0
LOOPBACK = "127.0.0.1"
HANDSHAKE = 60.0
"""Seconds after which who does not prove who he is has been cut off."""

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.parametrize("kind", ["htex", "direct"]),
]

Make = Callable[..., weft.Config]


@python_app
def double(number: int) -> int:
    return 2 * number


@python_app
def length(text: str) -> int:
    return len(text)


@python_app
def seen(name: str) -> str:
    return os.environ[name]


@python_app
def hold(path: str, secret: str) -> int:
    """Runs until somebody writes into the pipe."""
    with Path(path).open() as pipe:
        return len(pipe.read()) + len(secret)


@pytest.fixture(name="config")
def _over_the_network(config: Make) -> Make:
    """Configurations whose managers come over the network, as they do from other machines."""

    def make(executor: dict[str, Any] | None = None, **options: Any) -> weft.Config:
        return config(executor={"addresses": [LOOPBACK], **(executor or {})}, **options)

    return make


def details(run: weft.Session) -> Any:
    return next(iter(run.status().executors.values())).details


def port_of(run: weft.Session) -> int:
    [one] = [one for one in details(run)["addresses"] if one.startswith("tcp:")]
    return int(one.rpartition(":")[2])


def keys_of(folder: Path) -> BlockKeys:
    [file] = folder.rglob("*.keys")
    return read_block(file)


def listening(pids: list[int]) -> list[str]:
    """The TCP addresses at which these processes listen, as the system writes them."""
    inodes = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.update(re.findall(r"socket:\[(\d+)\]", str(entry.readlink())))
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    found.append(fields[1])
    return found


@pytest.fixture
def outside() -> Iterator[Callable[[int, BlockKeys | None], zmq.Socket[bytes]]]:
    """Sockets of somebody who is not part of the run."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def connect(port: int, keys: BlockKeys | None) -> zmq.Socket[bytes]:
        one = context.socket(zmq.DEALER)
        made.append(one)
        one.set(zmq.LINGER, 0)
        if keys is not None:
            one.set(zmq.CURVE_SERVERKEY, keys.server.encode())
            one.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
            one.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        one.connect(f"tcp://{LOOPBACK}:{port}")
        return one

    yield connect
    for one in made:
        one.close(0)
    context.term()


def registration(block: str) -> list[Any]:
    said = messages.Register(
        version=messages.VERSION,
        python="3.11.0",
        weft=weft.__version__,
        packages={},
        block=block,
        host="elsewhere",
        pid=1,
        workers=64,
        cores=64.0,
        memory=1 << 40,
        accelerators=0,
        ends=0.0,
    )
    return messages.control_out(said)


# ------------------------------------------------------------------------------------- the network


def test_one_port_is_open_and_none_where_nobody_comes_over_the_network(
    config: Make, family: Any
) -> None:
    # Other tests of this process may have servers of their own.
    before = listening([os.getpid()])
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        [one] = [at for at in listening([os.getpid(), *family.alive()]) if at not in before]
        assert int(one.rpartition(":")[2], 16) == port_of(run)
    with weft.load(config(workers=1, executor={"addresses": ()})):
        assert double(1).result(BOUND) == 2
        assert set(listening([os.getpid(), *family.alive()])) <= set(before)


def test_junk_oversized_frames_and_half_a_greeting_end_connections_and_nothing_else(
    config: Make,
) -> None:
    chance = random.Random(5)
    greeting = bytes.fromhex("ff00000000000000017f0300") + b"CURVE".ljust(20, b"\0") + bytes(32)
    junk = [
        b"GET / HTTP/1.0\r\n\r\n" * 1000,
        b"\0" * 100_000,
        greeting,
        greeting[:20],
        greeting + b"\x04\xff",
        greeting + b"\x06" + struct.pack(">Q", 1 << 40),  # a frame of a terabyte is announced
        greeting + b"\x04\x05HELLO",
        *(chance.randbytes(2000) for _ in range(30)),
    ]
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        for said in junk:
            with (
                contextlib.suppress(OSError),  # it may be cut off before it has said all
                socket.create_connection((LOOPBACK, port_of(run)), BOUND) as raw,
            ):
                raw.sendall(said)
                raw.shutdown(socket.SHUT_WR)
        assert [double(n).result(BOUND) for n in range(20)] == [2 * n for n in range(20)]


def test_who_connects_and_says_nothing_is_cut_off(config: Make) -> None:
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        silent = [socket.create_connection((LOOPBACK, port_of(run)), BOUND) for _ in range(50)]
        futures = [double(n) for n in range(50)]
        assert [one.result(BOUND) for one in futures] == [2 * n for n in range(50)]
        for one in silent:
            one.settimeout(HANDSHAKE)
            with contextlib.suppress(ConnectionError):
                while one.recv(4096):
                    pass  # its half of the greeting
            one.close()


def test_a_flood_before_the_handshake_takes_no_memory(config: Make, family: Any) -> None:
    """A stranger that announces a large frame, and sends it, is not given room for it."""
    flood = 64 << 20
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        where = details(run)["interchange"]
        pid = int(where.split()[-1])
        before = resident(pid)
        greeting = bytes.fromhex("ff00000000000000017f0300") + b"NULL".ljust(20, b"\0") + bytes(32)
        for _ in range(4):
            with (
                contextlib.suppress(ConnectionError, TimeoutError),
                socket.create_connection((LOOPBACK, port_of(run)), BOUND) as raw,
            ):
                raw.sendall(greeting + b"\x02" + struct.pack(">Q", flood))
                for _ in range(flood >> 20):
                    raw.sendall(bytes(1 << 20))
        assert double(3).result(BOUND) == 6
        assert resident(pid) - before < 16 << 20


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("the system does not say")


class Tap:
    """Stands between a peer and the run, and keeps what the peer says, byte for byte."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._target = port
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        here, _ = self._listener.accept()
        with here, socket.create_connection((LOOPBACK, self._target)) as there:
            while not self._end.is_set():
                for one in select.select([here, there], [], [], 0.05)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is here:
                        self.heard += data
                    (there if one is here else here).sendall(data)

    def close(self) -> None:
        self._end.set()
        self._thread.join(BOUND)
        self._listener.close()


def test_what_a_block_said_once_is_not_heard_when_somebody_says_it_again(
    config: Make, tmp_path: Path, outside: Any, eventually: Any
) -> None:
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        keys = keys_of(tmp_path)
        tap = Tap(port_of(run))
        known = outside(tap.port, keys)
        known.send_multipart(registration(keys.block))
        eventually(lambda: len(details(run)["managers"]) == 2)
        known.send_multipart(messages.control_out(messages.Close(timeout=0.0)))
        eventually(lambda: len(details(run)["managers"]) == 1)
        known.close(0)
        tap.close()
        ignored = details(run)["messages ignored"]

        with socket.create_connection((LOOPBACK, port_of(run)), BOUND) as again:
            again.settimeout(HANDSHAKE)
            with contextlib.suppress(ConnectionError):
                again.sendall(bytes(tap.heard))
                while again.recv(4096):
                    pass  # until it is cut off
        eventually(lambda: details(run)["messages ignored"] > ignored)
        assert len(details(run)["managers"]) == 1
        assert double(2).result(BOUND) == 4


def test_the_key_of_a_block_that_is_over_opens_nothing(
    config: Make, tmp_path: Path, outside: Any, eventually: Any
) -> None:
    with weft.load(config(workers=1)) as run:
        assert double(1).result(BOUND) == 2
        old = keys_of(tmp_path)
        [manager] = details(run)["managers"].values()
        os.kill(manager["pid"], 9)
        assert double(2).result(BOUND) == 4  # on the next block
        eventually(
            lambda: [one["block"] for one in details(run)["managers"].values()] != [old.block]
        )
        ignored = details(run)["messages ignored"]
        late = outside(port_of(run), old)
        late.send_multipart(registration(old.block))
        eventually(lambda: details(run)["messages ignored"] > ignored)
        assert not late.poll(0)
        assert double(3).result(BOUND) == 6


def test_without_encryption_only_this_machine_is_listened_to_and_others_are_refused(
    config: Make, family: Any
) -> None:
    before = listening([os.getpid()])
    with weft.load(config(workers=1, executor={"encrypted": False})) as run:
        assert double(1).result(BOUND) == 2
        [one] = [at for at in listening([os.getpid(), *family.alive()]) if at not in before]
        assert one.startswith("0100007F:")
        assert port_of(run)
    with pytest.raises((ValueError, ConfigurationError, WeftError), match="loopback"):
        config(executor={"encrypted": False, "addresses": ["192.0.2.1"]})


# ------------------------------------------------------------------------------------- the secrets

SECRET = "an-argument-that-is-nobodys-business"
VALUE = "a-variable-that-is-nobodys-business"
QUOTED = "a folder with spaces; touch 'PWNED' $(touch PWNED) \"and quotes\""


def test_secrets_are_in_no_command_no_environment_and_no_file(
    config: Make, tmp_path: Path, family: Any, eventually: Any
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with weft.load(config(workers=1, executor={"environment": {"PRIVATE": VALUE}})) as run:
        assert length(SECRET).result(BOUND) == len(SECRET)
        keys = keys_of(tmp_path)
        held = hold(str(pipe), SECRET)
        eventually(lambda: next(iter(run.status().executors.values())).running == 1)
        for pid in family.alive():
            folder = Path(f"/proc/{pid}")
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes()
                around = (folder / "environ").read_bytes()
                for secret in (keys.secret, keys.server, SECRET):
                    assert secret.encode() not in words + around
                assert VALUE.encode() not in words
        pipe.write_text("12")
        assert held.result(BOUND) == 2 + len(SECRET)
        assert seen("PRIVATE").result(BOUND) == VALUE
        files = [one for one in (tmp_path / "runs").rglob("*") if one.is_file()]
        with_key = [one.suffix for one in files if keys.secret.encode() in one.read_bytes()]
        assert with_key == [".keys"]
        assert [one for one in files if SECRET.encode() in one.read_bytes()] == []
        # The manager must be told of its workers' variables, in a file that nobody else reads.
        assert {one.suffix for one in files if VALUE.encode() in one.read_bytes()} <= {".json"}
    left = [one for one in (tmp_path / "runs").rglob("*") if one.is_file()]
    for one in left:
        text = one.read_bytes()
        assert not any(word.encode() in text for word in (keys.secret, SECRET, VALUE)), one


def test_nothing_of_a_run_can_be_read_or_changed_by_others(config: Make, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with weft.load(config(workers=1)):
            assert double(1).result(BOUND) == 2
            during = list((tmp_path / "runs").rglob("*"))
            modes = {one: stat.S_IMODE(one.lstat().st_mode) for one in during}
    finally:
        os.umask(before)
    after = list((tmp_path / "runs").rglob("*"))
    modes |= {one: stat.S_IMODE(one.lstat().st_mode) for one in after}
    assert len(modes) > 5
    assert {one: oct(mode) for one, mode in modes.items() if mode & 0o077} == {}


def test_names_with_shell_text_and_folders_with_spaces_are_only_names(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weft_htex.settings import HTEX

    place = tmp_path / QUOTED.replace("/", "_")
    place.mkdir()
    monkeypatch.chdir(place)
    one = HTEX(workers_per_node=1, mode="direct" if kind == "direct" else "broker")
    with weft.load(weft.Config(executors=[one], run_dir=place / "my runs")):
        assert double(1).result(BOUND) == 2
        assert length("$(touch PWNED)").result(BOUND) == 14
    assert not list(tmp_path.rglob("PWNED"))


def test_a_label_is_a_name_and_nothing_else(kind: str) -> None:
    with pytest.raises((ValueError, WeftError), match="label"):
        weft.executor("htex", label="a; touch PWNED")
