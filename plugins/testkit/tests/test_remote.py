"""The other side of a stager: a folder by its own URLs, or one that a server on this machine has.

What stands between "shown" and "until here" is in the guide for authors of plugins.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import attrs
import pytest

from weft.errors import StagingError
from weft.interfaces.context import Context
from weft.interfaces.stager import Place, Stager, Transfer, Way
from weft.values.files import File
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft_testkit import StagerConformance
from weft_testkit.remote import LocalRemote, Remote


# shown: the other side is a server
@contextlib.contextmanager
def served(folder: Path) -> Iterator[LocalRemote]:
    """A folder behind a server on the loopback interface, on a port that the system chose."""
    words = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), "0"]
    with subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        restore_signals=False,  # on a full disk a write fails; the signal would end the server
    ) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline().split()  # when it says its port, it takes connections
            port = int(said[said.index("port") + 1])
            yield LocalRemote(folder, f"http://127.0.0.1:{port}/", server=server.pid)
        finally:
            server.terminate()


# until here


class Http(Stager):
    """Brings what an HTTP server on this machine gives."""

    def start(self, context: Context) -> None:
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        if way is Way.OUT:
            raise StagingError(file.url, way, "this one only brings")
        name = hashlib.sha256(file.url.encode()).hexdigest()
        placed = file.placed(place.folder / name)
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        here = transfer.placed.as_path()
        part = here.with_name(f".{here.name}.{os.urandom(4).hex()}")
        try:
            try:
                with self._opener.open(transfer.file.url, timeout=60) as answer:
                    part.write_bytes(answer.read())
                part.replace(here)
            finally:
                part.unlink(missing_ok=True)
        except OSError as trouble:
            if isinstance(trouble, urllib.error.HTTPError):
                trouble.close()  # it is an answer, too
            raise StagingError(transfer.file.url, transfer.way, str(trouble)) from trouble

    def close(self) -> None:
        pass


class TestHttp(StagerConformance):
    """The whole kit, with a server for the other side."""

    name = "file"

    @classmethod
    def component(cls) -> Component:
        sound = super().component()
        capabilities = {
            **dict.fromkeys(sound.capabilities, Support.NOT_IMPLEMENTED),
            Way.IN.value: Support.FULL,
            Way.OUT.value: Support.UNSUPPORTED,
        }
        return attrs.evolve(sound, schemes=("http",), capabilities=capabilities)

    def open(self, settings: Settings) -> Any:
        return Http()

    # shown: the fixture
    @pytest.fixture
    def remote(self, scratch: Path) -> Iterator[Remote]:
        with served(scratch / "there") as there:
            yield there

    # until there


# ---------------------------------------------------------------------------------- of its own


ODD = "a b%2f#?é\n.txt"


@pytest.mark.parametrize("base", ["", "far://127.0.0.1:1/files/"])
def test_a_folder_has_the_urls_that_it_is_given(tmp_path: Path, base: str) -> None:
    remote = LocalRemote(tmp_path / "of a", base)

    file = remote.publish(b"content", ODD)

    assert file == remote.address(ODD)
    assert file.url.startswith(base or "file:///")
    assert unquote(file.url).endswith(ODD)
    assert remote.fetch(file) == b"content"
    assert remote.fetch(remote.address("other")) is None
    assert remote.names() == {ODD}


@pytest.mark.parametrize("base", ["", "far://127.0.0.1:1/files/"])
def test_a_file_is_refused_to_who_asks_for_it(tmp_path: Path, base: str) -> None:
    remote = LocalRemote(tmp_path / "of a", base)
    remote.publish(b"content", ODD)

    assert remote.forbid(remote.address(ODD))

    with pytest.raises(OSError, match=r"denied|symbolic links"):
        (tmp_path / "of a" / ODD).read_bytes()


WRITER = """
import sys
print("ready", flush=True)
for name in sys.stdin:
    try:
        with open(name.strip(), "wb") as file:
            file.write(bytes(2000))
        print("written", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there can another process be limited")
def test_a_server_has_no_space_while_it_is_to_have_none(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-c", WRITER],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        restore_signals=False,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def say(name: str) -> str:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(f"{name}\n")
            server.stdin.flush()
            return server.stdout.readline().strip()

        assert server.stdout.readline() == "ready\n"
        breaking = LocalRemote(tmp_path, "far:///", server=server.pid).breaking(1000)
        assert breaking is not None
        assert say("before") == "written"
        with breaking:
            assert say("meanwhile") == "File too large"
            (tmp_path / "mine").write_bytes(bytes(2000))  # the tests' own process is not limited
        assert say("afterwards") == "written"
