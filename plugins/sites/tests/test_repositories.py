"""Repositories: folders, real git, a real web server; and what is refused, with nothing changed."""

import hashlib
import io
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from weft.errors import WeftError
from weft_sites.repositories import PUBLIC, Repositories, home

SITE = '[site]\ntitle = "{title}"\nsource = "s"\ndate = 2026-01-31\n'


@pytest.fixture
def shelf(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path / "home")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "ours.toml").write_text(SITE.format(title="Ours"))
    (folder / "Not A Site.toml").write_text("")
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=serving.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}", folder
    serving.shutdown()
    serving.server_close()
    thread.join(60)


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True, timeout=30)


def names(shelf: Repositories, repository: str) -> list[str]:
    return [one.name for one in shelf.entries() if one.repository.name == repository]


# ------------------------------------------------------------------------------------------ folders


def test_a_folder_is_read_as_it_is(shelf: Repositories, mine: Path) -> None:
    shelf.add("mine", str(mine))
    (mine / "later.toml").write_text(SITE.format(title="Later"))

    assert names(shelf, "mine") == ["later", "ours"]
    assert shelf.site("later").title == "Later"
    assert shelf.site("mine:ours").title == "Ours"


def test_sites_may_be_in_a_folder_of_their_own(shelf: Repositories, mine: Path) -> None:
    (mine / "sites").mkdir()
    (mine / "sites" / "inner.toml").write_text(SITE.format(title="Inner"))
    shelf.add("mine", str(mine))

    assert names(shelf, "mine") == ["inner"]


def test_what_was_added_last_hides_the_others(shelf: Repositories, mine: Path) -> None:
    (mine / "slurm.toml").write_text(SITE.format(title="Our Slurm"))
    shelf.add("mine", str(mine))

    assert shelf.site("slurm").title == "Our Slurm"
    assert shelf.site(f"{PUBLIC}:slurm").title != "Our Slurm"
    assert [one.qualified for one in shelf.entries() if one.hidden] == [f"{PUBLIC}:slurm"]


def test_a_base_is_looked_for_beside_its_site_first(shelf: Repositories, mine: Path) -> None:
    (mine / "slurm.toml").write_text(SITE.format(title="Ours") + "[config]\nretries = 7\n")
    text = SITE.format(title="Upper")
    (mine / "upper.toml").write_text(text.replace("date", 'base = "slurm"\ndate'))
    (mine / "other.toml").write_text(text.replace("date", 'base = "laptop"\ndate'))
    shelf.add("mine", str(mine))

    assert shelf.site("upper").config["retries"] == 7
    assert "htex" in shelf.site("other").executors


def test_a_folder_that_is_gone_has_no_sites(shelf: Repositories, mine: Path) -> None:
    shelf.add("mine", str(mine))
    mine.rename(mine.with_name("moved"))

    assert names(shelf, "mine") == []
    assert shelf.site("laptop").title


# ---------------------------------------------------------------------------------------------- git


def test_a_checkout_stays_as_it_is_until_it_is_updated(
    shelf: Repositories, mine: Path, tmp_path: Path
) -> None:
    git(mine, "init", "-q", "-b", "main")
    git(mine, "add", ".")
    git(mine, "commit", "-qm", "one")
    made = shelf.add("mine", f"file://{mine}")
    (mine / "ours.toml").write_text(SITE.format(title="Newer"))
    git(mine, "commit", "-qam", "two")

    assert shelf.site("ours").title == "Ours"
    before, after = shelf.update("mine")

    assert (made.kind, len(made.pin)) == ("git", 40)
    assert before.pin == made.pin != after.pin
    assert shelf.site("ours").title == "Newer"
    assert shelf.all()[0] == after


def test_a_revision_of_git(shelf: Repositories, mine: Path) -> None:
    git(mine, "init", "-q", "-b", "main")
    git(mine, "add", ".")
    git(mine, "commit", "-qm", "one")
    git(mine, "tag", "v1")
    (mine / "ours.toml").write_text(SITE.format(title="Newer"))
    git(mine, "commit", "-qam", "two")

    shelf.add("mine", f"file://{mine}", revision="v1")

    assert shelf.site("ours").title == "Ours"


@pytest.mark.parametrize("location", ["file:///no/such/folder.git", "ext::sh -c touch% x"])
def test_what_git_refuses_is_quoted(shelf: Repositories, location: str, tmp_path: Path) -> None:
    with pytest.raises(WeftError) as raised:
        shelf.add("mine", location)

    assert raised.value.why
    assert shelf.all() == shelf.all()[-1:]
    assert [one.name for one in (tmp_path / "home").glob("*")] == []


# -------------------------------------------------------------------------------------------- a web


def packed(kind: str) -> bytes:
    content = SITE.format(title="Packed").encode()
    into = io.BytesIO()
    members = ["sites/packed.toml", "../../outside.toml", "README.md"]
    if kind == "zip":
        with zipfile.ZipFile(into, "w") as archive:
            for name in members:
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=into, mode="w:gz") as tar:
            for name in members:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            link = tarfile.TarInfo("link.toml")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    return into.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tgz"])
def test_an_archive_of_a_web_server(
    shelf: Repositories, server: tuple[str, Path], kind: str, tmp_path: Path
) -> None:
    address, folder = server
    data = packed(kind)
    (folder / f"all.{kind}").write_bytes(data)

    made = shelf.add("web", f"{address}/all.{kind}", sha256=hashlib.sha256(data).hexdigest())

    assert made.kind == "http"
    assert names(shelf, "web") == ["outside", "packed"]
    assert shelf.site("packed").title == "Packed"
    assert not (tmp_path / "outside.toml").exists()
    with pytest.raises(WeftError, match="what its checksum says"):
        shelf.update("web")


def test_one_file_of_a_web_server(shelf: Repositories, server: tuple[str, Path]) -> None:
    address, folder = server
    data = SITE.format(title="Alone").encode()
    (folder / "alone.toml").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()

    shelf.add("web", f"{address}/alone.toml", sha256=digest.upper())

    assert shelf.site("alone").title == "Alone"


def test_without_the_right_checksum_nothing_is_taken(
    shelf: Repositories, server: tuple[str, Path]
) -> None:
    address, folder = server
    (folder / "all.zip").write_bytes(packed("zip"))
    digest = hashlib.sha256((folder / "all.zip").read_bytes()).hexdigest()

    with pytest.raises(WeftError, match=digest) as without:
        shelf.add("web", f"{address}/all.zip")
    with pytest.raises(WeftError, match="was asked for"):
        shelf.add("web", f"{address}/all.zip", sha256="0" * 64)

    assert f"--sha256 {digest}" in without.value.todo
    assert len(shelf.all()) == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("all.zip", b"no zip", "cannot be unpacked"),
        ("all.tar.gz", b"no tar", "cannot be unpacked"),
        ("missing.zip", None, "404"),
    ],
)
def test_what_a_web_server_sends_may_be_nothing_of_use(
    shelf: Repositories, server: tuple[str, Path], name: str, data: bytes | None, said: str
) -> None:
    address, folder = server
    if data is not None:
        (folder / name).write_bytes(data)
    digest = hashlib.sha256(data or b"").hexdigest()

    with pytest.raises(WeftError, match=said):
        shelf.add("web", f"{address}/{name}", sha256=digest)

    assert len(shelf.all()) == 1


# ------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "..", PUBLIC])
def test_names_that_no_repository_can_have(shelf: Repositories, mine: Path, name: str) -> None:
    with pytest.raises(WeftError):
        shelf.add(name, str(mine))


def test_no_name_twice(shelf: Repositories, mine: Path) -> None:
    shelf.add("mine", str(mine))
    with pytest.raises(WeftError, match="already"):
        shelf.add("mine", str(mine))
    shelf.remove("mine")
    with pytest.raises(WeftError, match="no repository"):
        shelf.remove("mine")
    assert (mine / "ours.toml").exists()


def test_a_folder_that_is_not_there(shelf: Repositories, tmp_path: Path) -> None:
    with pytest.raises(WeftError, match="no such folder"):
        shelf.add("mine", str(tmp_path / "nowhere"))


def test_a_list_that_was_spoilt_is_named(tmp_path: Path) -> None:
    (tmp_path / "repositories.json").write_text("[]")
    with pytest.raises(WeftError, match=r"repositories\.json"):
        Repositories(tmp_path).all()


@pytest.mark.parametrize("data", [b"\xff", b"x" * 2_000_000, b"[site]"])
def test_a_spoilt_file_spoils_no_other(shelf: Repositories, mine: Path, data: bytes) -> None:
    (mine / "bad.toml").write_bytes(data)
    shelf.add("mine", str(mine))

    with pytest.raises(WeftError, match="mine:bad"):
        shelf.site("bad")
    assert shelf.site("ours").title == "Ours"


def test_a_site_that_is_not_there_has_neighbours(shelf: Repositories) -> None:
    with pytest.raises(WeftError, match="slurm"):
        shelf.site("slrum")


def test_where_they_are_kept(tmp_path: Path) -> None:
    assert home({"WEFT_SITES": "/x"}) == Path("/x")
    assert home({"XDG_CONFIG_HOME": "/c"}) == Path("/c/weft/sites")
    assert home({"XDG_CONFIG_HOME": "c"}) == Path.home() / ".config" / "weft" / "sites"
