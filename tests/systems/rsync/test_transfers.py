"""What goes wrong between two ends is told as it is, and what had come so far is used again."""

from __future__ import annotations

import os
import random
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.wires import wire_to
from weft.errors import StagingError
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeContext
from weft.values.files import File
from weft_rsync.settings import Rsync
from weft_rsync.stager import RsyncStager, build

if TYPE_CHECKING:
    from tests.systems.rsync.conftest import Daemon, Host

pytestmark = pytest.mark.filterwarnings("error")

MANY = random.Random(7).randbytes(4 * 1024 * 1024)


class Desk:
    """A stager, and the folder of its tasks."""

    def __init__(self, stager: RsyncStager, context: FakeContext, folder: Path) -> None:
        self.stager, self.context, self.folder = stager, context, folder

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

    def refused(self, url: str, way: Way = Way.IN, content: bytes | None = None) -> StagingError:
        plan = self.plan(url, way)
        if content is not None:
            plan.placed.as_path().write_bytes(content)
        with pytest.raises(StagingError) as caught:
            self.stager.move(plan)
        return caught.value

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


def desk_with(tmp_path: Path, **options: object) -> Iterator[Desk]:
    folder = tmp_path / "tasks"
    folder.mkdir(exist_ok=True)
    stager = build(Rsync(**{"connect_timeout": 20, "read_timeout": 30, **options}))  # type: ignore[arg-type]
    with FakeContext(tmp_path) as context:
        stager.start(context)
        yield Desk(stager, context, folder)
        stager.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from desk_with(tmp_path)


@pytest.fixture
def over_ssh(tmp_path: Path, host: Host) -> Iterator[Desk]:
    yield from desk_with(tmp_path, **host.options())


@pytest.fixture
def there(daemon: Daemon, tmp_path: Path) -> Path:
    folder = daemon.files / tmp_path.name
    folder.mkdir()
    return folder


# ------------------------------------------------------------------------------------- of a daemon


def test_files_go_out_and_come_back(desk: Desk, daemon: Daemon, there: Path) -> None:
    url = daemon.url(f"{there.name}/new/folder/a.bin")

    desk.send(url, MANY)

    assert (there / "new/folder/a.bin").read_bytes() == MANY
    assert desk.bring(url) == MANY
    assert desk.context.went[-1] == (url, len(MANY), len(MANY))


@pytest.mark.parametrize(
    ("module", "path", "said"),
    [
        ("files", "not there", "link_stat"),
        ("nowhere", "a", "Unknown module 'nowhere'"),
        ("locked", "a", "auth failed on module locked"),
        ("full", "a", "max connections"),
    ],
)
def test_what_a_daemon_refuses_is_told(
    desk: Desk, daemon: Daemon, module: str, path: str, said: str
) -> None:
    error = desk.refused(daemon.url(path, module))

    assert said in error.reason
    assert error.again == (module == "full")
    assert not desk.left()


def test_folders_are_not_brought(desk: Desk, daemon: Daemon, there: Path) -> None:
    error = desk.refused(daemon.url(there.name))

    assert "is no file" in error.reason
    assert not error.again


def test_what_may_not_be_written_is_told(desk: Desk, daemon: Daemon, there: Path) -> None:
    error = desk.refused(daemon.url(f"{there.name}/a", "reading"), Way.OUT, b"content")

    assert "read only" in error.reason
    assert not error.again
    assert not list(there.iterdir())


def test_a_password_comes_from_a_file(daemon: Daemon, there: Path, tmp_path: Path) -> None:
    (there / "a").write_bytes(b"content")
    url = daemon.url(f"{there.name}/a", "locked", "me")
    for desk in desk_with(tmp_path, password_file=str(daemon.password)):
        assert desk.bring(url) == b"content"


def test_a_password_comes_from_the_environment(
    desk: Desk, daemon: Daemon, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (there / "a").write_bytes(b"content")
    url = daemon.url(f"{there.name}/a", "locked", "me")
    assert "auth failed" in desk.refused(url).reason

    monkeypatch.setenv("RSYNC_PASSWORD", daemon.password.read_text().strip())

    assert desk.bring(url) == b"content"


def test_a_file_of_passwords_that_others_can_read_is_refused(
    daemon: Daemon, there: Path, tmp_path: Path
) -> None:
    (there / "a").write_bytes(b"content")
    open_one = tmp_path / "open"
    open_one.write_text("the word\n")
    open_one.chmod(0o644)
    for desk in desk_with(tmp_path, password_file=str(open_one)):
        error = desk.refused(daemon.url(f"{there.name}/a", "locked", "me"))
        assert "password file must not be other-accessible" in error.reason
        assert "only its owner can read" in str(error)


def test_links_over_there_are_followed_and_none_comes(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    (there / "real").write_bytes(b"content")
    (there / "link").symlink_to("real")

    assert desk.bring(daemon.url(f"{there.name}/link")) == b"content"
    assert not any(path.is_symlink() for path in desk.folder.rglob("*"))


def test_the_validator_is_another_for_another_content(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    path, file = there / "a b", File(daemon.url(f"{there.name}/a%20b"))
    path.write_bytes(b"content")
    os.utime(path, (1_700_000_000, 1_700_000_000))

    assert desk.stager.validator(file) == "2023-11-14T22:13:20-7"

    os.utime(path, (1_700_000_001, 1_700_000_001))
    assert desk.stager.validator(file) == "2023-11-14T22:13:21-7"
    with pytest.raises(StagingError, match="No such file"):
        desk.stager.validator(File(daemon.url(f"{there.name}/b")))
    with pytest.raises(StagingError, match="is no file"):
        desk.stager.validator(File(daemon.url(there.name)))


# ----------------------------------------------------------------------------------- many together


def test_many_go_together_and_each_has_its_own_outcome(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    (there / "deep").mkdir()
    for n in range(40):
        (there / "deep" / f"{n}").write_bytes(b"%d" % n)
    urls = [daemon.url(f"{there.name}/deep/{n}") for n in range(40)]
    urls[7] = daemon.url(f"{there.name}/not there")
    urls[8] = daemon.url(there.name)
    urls[9] = daemon.url("a", "nowhere")
    urls[10] = urls[11]
    with wire_to(daemon.port) as wire:
        # Through a wire, so that connections are counted by what a daemon says first in each.
        plans = [desk.plan(url.replace(f":{daemon.port}", f":{wire.port}")) for url in urls]
        outcomes = desk.stager.move_all(plans)
        assert wire.connections <= 5

    for n, (plan, outcome) in enumerate(zip(plans, outcomes, strict=True)):
        if n in {7, 8, 9}:
            assert isinstance(outcome, StagingError)
            assert outcome.url == plan.file.url
        else:
            assert outcome is None
            assert plan.placed.as_path().read_bytes() == b"%d" % (11 if n == 10 else n)
    assert "No such file" in str(outcomes[7])
    assert "is no file" in str(outcomes[8])
    assert "Unknown module" in str(outcomes[9])


def test_many_are_taken_together(desk: Desk, daemon: Daemon, there: Path) -> None:
    plans = [desk.plan(daemon.url(f"{there.name}/{n}/out"), Way.OUT) for n in range(5)]
    for n, plan in enumerate(plans):
        if n != 3:
            plan.placed.as_path().write_bytes(b"%d" % n)

    outcomes = desk.stager.move_all(plans)

    assert [outcome is None for outcome in outcomes] == [True, True, True, False, True]
    assert "did not make" in str(outcomes[3])
    for n in (0, 1, 2, 4):
        assert (there / f"{n}/out").read_bytes() == b"%d" % n


def test_one_that_nobody_waits_for_does_not_keep_the_others(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    for name in "ab":
        (there / name).write_bytes(name.encode())
    plans = [desk.plan(daemon.url(f"{there.name}/{name}")) for name in "ab"]
    desk.context.unwanted.add(plans[0].file.url)

    outcomes = desk.stager.move_all(plans)

    assert "Nobody waits" in str(outcomes[0])
    assert outcomes[1] is None
    assert not plans[0].placed.as_path().exists()


# ------------------------------------------------------------------------------ a wire that is bad


def test_what_was_cut_is_gone_on_with(desk: Desk, daemon: Daemon, there: Path) -> None:
    (there / "big").write_bytes(MANY)
    with wire_to(daemon.port) as wire:
        url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
        wire.after = 3 * 1024 * 1024
        error = desk.refused(url)
        assert error.again
        assert "connection" in error.reason
        assert [name.endswith(".part") for name in desk.left()] == [True]
        wire.after, wire.came = None, 0

        assert desk.bring(url) == MANY

        assert wire.came < 2 * 1024 * 1024
    assert len(desk.left()) == 1


def test_what_changed_meanwhile_is_brought_as_it_is_now(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    (there / "big").write_bytes(MANY)
    with wire_to(daemon.port) as wire:
        url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
        wire.after = 3 * 1024 * 1024
        desk.refused(url)
        other = random.Random(8).randbytes(len(MANY))
        (there / "big").write_bytes(other)
        wire.after = None

        assert desk.bring(url) == other


def test_what_was_cut_on_the_way_out_leaves_nothing(
    desk: Desk, daemon: Daemon, there: Path
) -> None:
    with wire_to(daemon.port) as wire:
        url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
        wire.after = 100
        error = desk.refused(url, Way.OUT, MANY)
    assert error.again
    assert not [path for path in there.rglob("*") if path.is_file()]


def test_silence_has_an_end(daemon: Daemon, there: Path, tmp_path: Path) -> None:
    (there / "big").write_bytes(MANY)
    for desk in desk_with(tmp_path, read_timeout=1):
        with wire_to(daemon.port) as wire:
            wire.after, wire.silent = 1024 * 1024, True
            url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
            error = desk.refused(url)
    assert "silent for too long" in error.reason
    assert error.again


def test_who_never_greets_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for desk in desk_with(tmp_path, read_timeout=1, connect_timeout=1):
            error = desk.refused(f"rsync://127.0.0.1:{mute.getsockname()[1]}/files/a")
    assert error.again


def test_who_speaks_something_else_is_told_of(tmp_path: Path, desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            one, _ = other.accept()
            with one:
                one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                one.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        error = desk.refused(f"rsync://127.0.0.1:{other.getsockname()[1]}/files/a")
        thread.join(60)
    assert "rsync:" in error.reason


def test_a_port_where_nobody_listens_is_told(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    error = desk.refused(f"rsync://127.0.0.1:{port}/files/a")
    assert "Connection refused" in error.reason
    assert error.again


def test_it_ends_when_nobody_waits(desk: Desk, daemon: Daemon, there: Path) -> None:
    (there / "big").write_bytes(MANY)
    with wire_to(daemon.port) as wire:
        wire.after, wire.silent = 1024 * 1024, True
        url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
        errors: list[StagingError] = []
        thread = threading.Thread(target=lambda: errors.append(desk.refused(url)))
        thread.start()
        desk.context.wait_until(lambda: len(desk.context.went) > 1, 60)
        desk.context.unwanted.add(url)
        thread.join(60)
        assert not thread.is_alive()
    assert "Nobody waits" in errors[0].reason
    assert not desk.left()


def test_closing_ends_what_goes_on(desk: Desk, daemon: Daemon, there: Path) -> None:
    (there / "big").write_bytes(MANY)
    with wire_to(daemon.port) as wire:
        wire.after, wire.silent = 1024 * 1024, True
        url = daemon.url(f"{there.name}/big").replace(f":{daemon.port}", f":{wire.port}")
        errors: list[StagingError] = []
        thread = threading.Thread(target=lambda: errors.append(desk.refused(url)))
        thread.start()
        desk.context.wait_until(lambda: len(desk.context.went) > 1, 60)
        desk.stager.close()
        thread.join(60)
        assert not thread.is_alive()
    assert "has ended" in errors[0].reason


# --------------------------------------------------------------------------------------- over ssh


def test_files_go_over_ssh_and_come_back(over_ssh: Desk, host: Host, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    url = host.url(tmp_path / "link" / "new" / "it's $HOME `id` *.bin").replace(" ", "%20")

    over_ssh.send(url, MANY)

    # The link in its path is still one.
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/new/it's $HOME `id` *.bin").read_bytes() == MANY
    assert over_ssh.bring(url) == MANY


def test_the_home_over_there_is_the_tilde(over_ssh: Desk, host: Host) -> None:
    error = over_ssh.refused(host.url("~/no such folder of weft/a"))

    assert f'"{Path.home()}/no such folder of weft/a"' in error.reason


def test_a_host_that_is_not_known_is_not_talked_to(host: Host, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for desk in desk_with(tmp_path, **host.options(known_hosts=str(empty))):
        error = desk.refused(host.url(tmp_path / "a"))
    assert "Host key verification failed" in error.reason
    assert "fingerprint" in str(error)
    assert not error.again


def test_a_key_that_is_not_taken_is_told(host: Host, tmp_path: Path) -> None:
    from tests.systems.ssh.conftest import key_in

    for desk in desk_with(tmp_path, **host.options(key=str(key_in(tmp_path, "other")))):
        error = desk.refused(host.url(tmp_path / "a"))
    assert "Permission denied (publickey)" in error.reason
    assert "ssh-copy-id" in str(error)
    assert not error.again


def test_a_host_without_rsync_is_told(host: Host, tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, **host.options(remote_program="/no/such/rsync")):
        error = desk.refused(host.url(tmp_path / "a"))
    assert "/no/such/rsync" in error.reason
    assert "remote_program" in str(error)
    assert not error.again


def test_many_over_ssh_are_one_connection(over_ssh: Desk, host: Host, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for n in range(30):
        (tmp_path / "there" / f"{n}").write_bytes(b"%d" % n)
    plans = [over_ssh.plan(host.url(tmp_path / "there" / f"{n}")) for n in range(30)]
    before = host.server.accepted()

    assert not any(over_ssh.stager.move_all(plans))

    assert host.server.accepted(before + 1) == before + 1
    assert [plan.placed.as_path().read_bytes() for plan in plans] == [b"%d" % n for n in range(30)]


# -------------------------------------------------------------------------------- without a program


def test_without_the_program_it_says_what_to_install(tmp_path: Path) -> None:
    for desk in desk_with(tmp_path, program="no-such-rsync"):
        error = desk.refused("rsync://127.0.0.1:1/files/a")
    assert "'no-such-rsync' is not on this machine" in error.reason
    assert "Install rsync" in str(error)
    assert not error.again


def test_the_program_is_found(tmp_path: Path) -> None:
    from weft_rsync.checks import checks

    assert shutil.which("rsync")
    assert [f.what for f in checks(Rsync(), tmp_path)] == []
    assert "does not run" in next(checks(Rsync(program="no-such-rsync"), tmp_path)).what
    found = list(checks(Rsync(program="true", ssh="no-such-ssh"), tmp_path))
    assert "of an unknown version" in found[0].what
    assert "no program 'no-such-ssh'" in found[1].what
