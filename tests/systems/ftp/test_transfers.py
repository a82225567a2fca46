"""Files go to real servers and come back, as those who may have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_ftp.settings import FTP
from weft_ftp.stager import FTPStager, build

if TYPE_CHECKING:
    from tests.systems.ftp.conftest import Server

MANY = bytes(n * 7 % 251 for n in range(1_000_000))


class Desk:
    """A stager, and the folder of its tasks."""

    def __init__(self, stager: FTPStager, folder: Path) -> None:
        self.stager, self.folder = stager, folder

    def plan(self, url: str, way: Way = Way.IN) -> Transfer:
        return self.stager.plan(way, File(url), Place(executor="test", folder=self.folder))

    def bring(self, url: str) -> bytes:
        plan = self.plan(url)
        self.stager.move(plan)
        return plan.placed.as_path().read_bytes()

    def send(self, url: str, content: bytes) -> None:
        plan = self.plan(url, Way.OUT)
        plan.placed.as_path().write_bytes(content)
        self.stager.move(plan)


def desk_with(tmp_path: Path, options: dict[str, object]) -> Iterator[Desk]:
    (tmp_path / "tasks").mkdir(exist_ok=True)
    stager = build(FTP(**options))  # type: ignore[arg-type]
    with FakeContext(tmp_path) as context:
        stager.start(context)
        yield Desk(stager, tmp_path / "tasks")
        stager.close()


def refused(desk: Desk, url: str, way: Way = Way.IN) -> StagingError:
    plan = desk.plan(url, way)
    if way is Way.OUT:
        plan.placed.as_path().write_bytes(b"content")
    with pytest.raises(StagingError) as caught:
        desk.stager.move(plan)
    assert "sesame" not in str(caught.value)
    return caught.value


@pytest.fixture
def there(tmp_path: Path) -> str:
    """The name of a folder over there that is nobody else's."""
    return tmp_path.name


def test_files_go_out_and_come_back(server: Server, tmp_path: Path, there: str) -> None:
    url = server.url(f"{there}/new/two%20words/%C3%A9.bin")
    for desk in desk_with(tmp_path, server.options()):
        desk.send(url, MANY)
        assert (server.files / there / "new/two words/é.bin").read_bytes() == MANY
        assert desk.bring(url) == MANY


@pytest.mark.parametrize(
    "name", ["#hash?query=1&x;y", "-n", " spaces  ", "[1]{2}*~!", "100%.csv", "~", "q\"'$HOME `id`"]
)
def test_names_are_what_they_are(server: Server, tmp_path: Path, there: str, name: str) -> None:
    from urllib.parse import quote

    for desk in desk_with(tmp_path, server.options()):
        desk.send(server.url(f"{there}/{quote(name)}"), b"content")
        assert desk.bring(server.url(f"{there}/{quote(name)}")) == b"content"
    assert [path.name for path in (server.files / there).iterdir()] == [name]


def test_paths_begin_at_the_home_or_at_the_root(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    for desk in desk_with(tmp_path, server.options()):
        assert desk.bring(server.url(f"%2F{str(tmp_path)[1:]}/file")) == b"content"
        assert desk.bring(server.url(f"/{str(tmp_path)[1:]}/file")) == b"content"
        assert refused(desk, server.url(f"{str(tmp_path)[1:]}/file")).again is False


def test_nobody_in_particular_may_read_and_not_write(
    server: Server, tmp_path: Path, there: str
) -> None:
    (server.files / there).mkdir()
    (server.files / there / "file").write_bytes(b"content")
    empty = tmp_path / "netrc"
    empty.touch()
    for desk in desk_with(tmp_path, {"netrc": str(empty)}):
        assert desk.bring(server.url(f"{there}/file")) == b"content"
        error = refused(desk, server.url(f"{there}/other"), Way.OUT)
    assert "550" in error.reason
    assert not error.again
    assert [path.name for path in (server.files / there).iterdir()] == ["file"]


def test_a_wrong_password_is_told(server: Server, tmp_path: Path) -> None:
    wrong = tmp_path / "netrc"
    wrong.touch(mode=0o600)
    wrong.write_text("machine 127.0.0.1 login me password passé\n")
    for desk in desk_with(tmp_path, {"netrc": str(wrong)}):
        error = refused(desk, server.url("file"))
    assert "530" in error.reason
    assert "netrc" in str(error)
    assert "passé" not in str(error)
    assert not error.again


def test_connections_are_used_again(server: Server, tmp_path: Path, there: str) -> None:
    (server.files / there).mkdir()
    (server.files / there / "file").write_bytes(b"content")
    before = server.logged("PASS")
    for desk in desk_with(tmp_path, server.options()):
        for _ in range(5):
            desk.bring(server.url(f"{there}/file"))
            refused(desk, server.url(f"{there}/not there"))
    assert server.logged("PASS", before + 1) == before + 1


def test_the_validator_is_time_and_size(server: Server, tmp_path: Path, there: str) -> None:
    import os

    (server.files / there).mkdir()
    path = server.files / there / "file"
    path.write_bytes(b"content")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    for desk in desk_with(tmp_path, server.options()):
        assert desk.stager.validator(File(server.url(f"{there}/file"))) == "20231114221320-7"
        desk.bring(server.url(f"{there}/file"))
        placed = desk.plan(server.url(f"{there}/file")).placed.as_path()
        assert placed.stat().st_mtime == 1_700_000_000
        with pytest.raises(StagingError, match="550"):
            desk.stager.validator(File(server.url(f"{there}/other")))


# --------------------------------------------------------------------------------------- with TLS


def test_files_go_by_tls_both_ways(secured: Server, tmp_path: Path, there: str) -> None:
    url = secured.url(f"{there}/a/file")
    for desk in desk_with(tmp_path, secured.options()):
        desk.send(url, MANY)
        assert (secured.files / there / "a/file").read_bytes() == MANY
        assert desk.bring(url) == MANY
    assert secured.logged("PROT - 200", 1)


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Server, tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, {"netrc": str(secured.netrc)}):
        error = refused(desk, secured.url("file"))
    assert "is not to be trusted: self" in error.reason
    assert "ca_file" in str(error)
    assert not error.again


def test_a_certificate_of_another_host_is_refused(secured: Server, tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, {"ca_file": str(secured.certificate)}):
        error = refused(desk, secured.url("file").replace("127.0.0.1", "localhost"))
    assert "Hostname mismatch" in error.reason
    assert not error.again


def test_passwords_never_go_where_there_is_no_tls(server: Server, tmp_path: Path) -> None:
    before = server.logged("PASS")
    for desk in desk_with(tmp_path, server.options()):
        error = refused(desk, server.url("file").replace("ftp://", "ftps://"))
    assert "500" in error.reason or "502" in error.reason
    assert not error.again
    assert server.logged("AUTH", 1), "the log is behind"
    assert server.logged("PASS") == before


def test_tls_from_the_first_byte_is_not_spoken_by_this_one(server: Server, tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, server.options(implicit=True)):
        error = refused(desk, server.url("file").replace("ftp://", "ftps://"))
    assert "TLS" in error.reason
    assert "implicit" in str(error)


def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    from tests.systems.ftp.conftest import proftpd

    (tmp_path / "server").mkdir()
    with proftpd(tmp_path / "server", tls=True, more="TLSOptions UseImplicitSSL") as server:
        (server.files / "file").write_bytes(MANY)
        for desk in desk_with(tmp_path, server.options(implicit=True)):
            assert desk.bring(server.url("file")) == MANY


def test_certificates_that_are_not_there_are_told(secured: Server, tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, {"ca_file": str(tmp_path / "none")}):
        error = refused(desk, secured.url("file"))
    assert "option ca_file" in str(error)
    assert not error.again
