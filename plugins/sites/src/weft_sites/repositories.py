"""Where site files come from: folders, checkouts of git, files of web servers, and this package.

    <folder>/repositories.json      which there are, the first asked first
    <folder>/NAME/                  what was fetched for one

A site is looked for in each repository in turn, the one that was added last first, and among those
of this package last. What was fetched stays as it is until it is updated: a commit or a checksum
says what it is.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any, Final

import attrs

from weft.errors import WeftError
from weft_sites.layers import layered
from weft_sites.values import NAME, BadSite, Site, parsed

__all__ = ["PUBLIC", "Entry", "Repositories", "Repository", "home"]

PUBLIC: Final = "public"
"""The repository of this package."""

_FILE: Final = "repositories.json"
_MOST: Final = 1 << 20
_LARGEST: Final = 8 << 20
_COUNT: Final = 2_000
_FETCH: Final = 30.0
_GIT: Final = 120.0
_ARCHIVES: Final = (".toml", ".zip", ".tar.gz", ".tgz")


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Where repositories are kept: ``WEFT_SITES``, or ``weft/sites`` of the user's settings.

    Raises:
        WeftError: the user has no home folder.
    """
    if environ.get("WEFT_SITES"):
        return Path(environ["WEFT_SITES"])
    given = environ.get("XDG_CONFIG_HOME", "")
    if Path(given).is_absolute():  # the rule of the XDG base directories: others are ignored
        return Path(given) / "weft" / "sites"
    try:
        return Path.home() / ".config" / "weft" / "sites"
    except RuntimeError as trouble:
        raise WeftError(
            "There is no place for repositories of sites.",
            why=f"{trouble}.",
            todo="Set WEFT_SITES to a folder.",
        ) from None


@attrs.frozen(kw_only=True)
class Repository:
    """Where some site files are from.

    Attributes:
        name: what it is called here.
        kind: ``folder``, ``git``, ``http``, or ``package`` for this one.
        location: a path or an address.
        pin: the commit or the SHA-256 of what was fetched; empty for folders.
    """

    name: str
    kind: str
    location: str
    pin: str = ""


@attrs.frozen(kw_only=True)
class Entry:
    """A site file that is there.

    Attributes:
        name: of the site.
        repository: where it is from.
        path: the file.
        hidden: whether the bare name means one of another repository.
    """

    name: str
    repository: Repository
    path: Path
    hidden: bool = False

    @property
    def qualified(self) -> str:
        """The name that no other repository can hide."""
        return f"{self.repository.name}:{self.name}"

    def read(self) -> Site:
        """What the file says.

        Raises:
            WeftError: it cannot be read, or is no site file.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_MOST + 1)
            if len(data) > _MOST:
                raise BadSite(f"It is larger than {_MOST} bytes.")
            return parsed(self.name, data.decode("utf-8"))
        except (OSError, UnicodeDecodeError) as trouble:
            raise _broken(self, str(trouble)) from None
        except BadSite as trouble:
            raise _broken(self, " ".join(map(str, trouble.args))) from None


def _broken(entry: Entry, why: str) -> WeftError:
    return WeftError(
        f"The site file {entry.qualified} cannot be used.",
        why=why,
        todo=f"Mend {entry.path}, or tell whoever keeps it: {entry.repository.location}",
    )


class Repositories:
    """Those of one user.

    Args:
        folder: where they are kept; made when something is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    # ---------------------------------------------------------------------------------- looking up

    def all(self) -> list[Repository]:
        """All repositories, in the order in which they are asked.

        Raises:
            WeftError: the list of them cannot be read.
        """
        path = self._folder / _FILE
        own: list[Repository] = []
        try:
            given: Any = json.loads(path.read_text("utf-8"))
            own = [Repository(**one) for one in given["repositories"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, KeyError) as trouble:
            raise WeftError(
                "The list of repositories of sites cannot be read.",
                why=f"{path}: {trouble}.",
                todo="Mend or remove that file; then add the repositories again.",
            ) from None
        return [*own, Repository(name=PUBLIC, kind="package", location="weft-sites")]

    def entries(self) -> list[Entry]:
        """All site files, in the order in which names are looked for."""
        found: list[Entry] = []
        names: set[str] = set()
        for repository in self.all():
            found += [
                Entry(
                    name=path.stem,
                    repository=repository,
                    path=path,
                    hidden=path.stem in names,
                )
                for path in sorted(self._files(repository))
            ]
            names |= {one.name for one in found}
        return found

    def _files(self, repository: Repository) -> Iterator[Path]:
        folder = self._folder / repository.name
        if repository.kind == "folder":
            folder = Path(repository.location)
        elif repository.kind == "package":
            folder = Path(str(files("weft_sites"))) / "data"
        if (folder / "sites").is_dir():
            folder /= "sites"
        with contextlib.suppress(OSError):  # a folder that is gone has no files
            yield from (p for p in folder.glob("*.toml") if NAME.fullmatch(p.stem))

    def entry(self, name: str) -> Entry:
        """The site file that a name means: ``NAME`` or ``REPOSITORY:NAME``.

        Raises:
            WeftError: there is none; the message has those that are like it.
        """
        entries = self.entries()
        for one in entries:
            if name in {one.name, one.qualified}:
                return one
        from difflib import get_close_matches

        names = [one.name for one in entries if not one.hidden]
        near = get_close_matches(name.rpartition(":")[2], names, n=3, cutoff=0.5)
        raise WeftError(
            f"There is no site {name!r}.",
            why=f"Did you mean {' or '.join(near)}?" if near else "",
            todo="'weft site list' shows all; 'weft site add' brings those of your institution.",
        )

    def site(self, name: str) -> Site:
        """A site with the values of its bases.

        Raises:
            WeftError: there is none, or one of its files cannot be used.
        """
        entry = self.entry(name)

        def base(named: str) -> Site:
            with contextlib.suppress(WeftError):
                return self.entry(f"{entry.repository.name}:{named}").read()
            return self.entry(named).read()

        try:
            return layered(entry.read(), base)
        except BadSite as trouble:
            raise _broken(entry, " ".join(map(str, trouble.args))) from None

    # ------------------------------------------------------------------------------------ changing

    def add(self, name: str, location: str, *, sha256: str = "", revision: str = "") -> Repository:
        """Fetch a repository, and ask it before all others from now on.

        Args:
            name: what to call it.
            location: a folder, what ``git clone`` takes, or the address of a ``.toml``, ``.zip`` or
                ``.tar.gz``.
            sha256: of what a web server sends, in hexadecimal.
            revision: a branch or a tag of git; the repository's own when left out.

        Raises:
            WeftError: it cannot be had as asked; nothing has changed.
        """
        if not NAME.fullmatch(name) or name == PUBLIC:
            raise WeftError(
                f"A repository cannot be called {name!r}.",
                why=f"{PUBLIC!r} is the name of those that come with weft-sites."
                if name == PUBLIC
                else "Names are small letters and digits, in words joined by '.', '_' or '-'.",
                todo="Take another name, such as that of your institution.",
            )
        known = self.all()
        if name in {one.name for one in known}:
            raise WeftError(
                f"There is a repository {name!r} already.",
                todo=f"Take another name, or remove it first: weft site remove {name}",
            )
        made = self._fetched(name, location, sha256.lower(), revision)
        self._write([made, *known[:-1]])
        return made

    def _fetched(self, name: str, location: str, sha256: str, revision: str) -> Repository:
        path = Path(location).expanduser()
        if path.is_dir() and not revision:
            if sha256:
                raise _not_added(location, "A folder has no checksum.", "Leave --sha256 out.")
            return Repository(name=name, kind="folder", location=str(path.resolve()))
        web = re.match(r"https?://", location) is not None
        if web and (sha256 or location.endswith(_ARCHIVES)):
            return self._from_web(name, location, sha256)
        if not web and "://" not in location and "@" not in location and not path.exists():
            raise _not_added(
                location,
                "There is no such folder, and it is no address.",
                "Give a folder, what 'git clone' takes, or https://… of a .toml, .zip or .tar.gz.",
            )
        return self._from_git(name, location, revision)

    def _from_git(self, name: str, location: str, revision: str) -> Repository:
        with self._making(name) as folder:
            branch = ["--branch", revision] if revision else []
            _git(location, "clone", "--quiet", "--depth=1", *branch, "--", location, str(folder))
            pin = _git(location, "-C", str(folder), "rev-parse", "HEAD")
        return Repository(name=name, kind="git", location=location, pin=pin)

    def _from_web(self, name: str, location: str, sha256: str) -> Repository:
        data = _downloaded(location)
        seen = hashlib.sha256(data).hexdigest()
        if not sha256:
            raise _not_added(
                location,
                "What a web server sends has to be what its keepers publish, so a checksum is "
                f"needed. That of what came now is {seen}",
                f"Compare it with theirs; then give --sha256 {seen}",
            )
        if seen != sha256:
            raise _not_added(
                location,
                f"Its SHA-256 is {seen}, and {sha256} was asked for.",
                "Ask its keepers; it may be a newer one, or not be theirs.",
            )
        with self._making(name) as folder:
            for file, content in _unpacked(location, data):
                (folder / file).write_bytes(content)
        return Repository(name=name, kind="http", location=location, pin=sha256)

    @contextlib.contextmanager
    def _making(self, name: str) -> Iterator[Path]:
        """A folder that takes its place when it is whole."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=self._folder))
        except OSError as trouble:
            raise _not_added(name, f"{trouble}.", "Set WEFT_SITES to a folder of yours.") from None
        try:
            made = scratch / "it"
            made.mkdir()
            yield made
            target = self._folder / name
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def update(self, name: str) -> tuple[Repository, Repository]:
        """Fetch a checkout of git again. Returns what it was and what it is.

        Raises:
            WeftError: there is none of that name, it is not of git, or it cannot be fetched.
        """
        known = self.all()
        before = next((one for one in known if one.name == name), None)
        if before is None or before.kind != "git":
            raise WeftError(
                f"{name!r} is no repository that can be updated."
                if before
                else f"There is no repository {name!r}.",
                why="" if before is None else _UNCHANGING[before.kind],
            )
        branch = _git(before.location, "-C", str(self._folder / name), "branch", "--show-current")
        after = self._from_git(name, before.location, branch)
        self._write([after if one.name == name else one for one in known[:-1]])
        return before, after

    def remove(self, name: str) -> None:
        """Forget a repository, and remove what was fetched for it. A folder is left as it is.

        Raises:
            WeftError: there is none of that name.
        """
        known = self.all()
        if name not in {one.name for one in known[:-1]}:
            raise WeftError(
                f"There is no repository {name!r} that could be removed.",
                todo="'weft site list' names them.",
            )
        self._write([one for one in known[:-1] if one.name != name])
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _write(self, repositories: list[Repository]) -> None:
        text = json.dumps({"repositories": [attrs.asdict(one) for one in repositories]}, indent=2)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{_FILE}.{os.getpid()}"
            part.write_text(f"{text}\n", encoding="utf-8")
            part.replace(self._folder / _FILE)
        except OSError as trouble:
            raise WeftError(
                "The list of repositories of sites cannot be written.",
                why=f"{trouble}.",
                todo="Set WEFT_SITES to a folder of yours.",
            ) from None


_UNCHANGING: Final = {
    "folder": "A folder is read as it is, each time.",
    "http": "It is what its checksum says. For a newer one, remove it and add that.",
    "package": "It comes with weft-sites: update that package.",
}


def _not_added(location: str, why: str, todo: str) -> WeftError:
    return WeftError(f"{location} was not added.", why=why, todo=todo)


def _git(location: str, *words: str) -> str:
    """What a command of git prints. It asks nobody for a password."""
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    }
    try:
        done = subprocess.run(
            ["git", "-c", "protocol.ext.allow=never", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT,
            check=False,
        )
    except FileNotFoundError:
        raise _not_added(location, "There is no git on PATH.", "Install git.") from None
    except subprocess.TimeoutExpired:
        raise _not_added(location, f"git took longer than {_GIT:g} s.", "Try it again.") from None
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise _not_added(location, f"git says: {said}", "Try the same with 'git clone'.")
    return done.stdout.strip()


def _downloaded(location: str) -> bytes:
    try:
        # Only http and https come here.
        with urllib.request.urlopen(location, timeout=_FETCH) as answer:  # noqa: S310
            data = bytes(answer.read(_LARGEST + 1))
            if location.startswith("https:") and not answer.url.startswith("https:"):
                raise _not_added(location, f"It leads to {answer.url}, in the clear.", "")
    except (OSError, ValueError, urllib.error.URLError) as trouble:
        raise _not_added(location, f"{trouble}.", "See whether a browser gets it.") from None
    if len(data) > _LARGEST:
        raise _not_added(location, f"It is larger than {_LARGEST} bytes.", "Make it smaller.")
    return data


def _unpacked(location: str, data: bytes) -> list[tuple[str, bytes]]:
    """The site files in what was sent. Of archives, members are read and paths are not followed."""
    try:
        found = [*_members(location, data)]
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as trouble:
        raise _not_added(location, f"It cannot be unpacked: {trouble}.", "") from None
    named = {name: content for name, content in found if NAME.fullmatch(name.removesuffix(".toml"))}
    if not named:
        raise _not_added(
            location, "There is no site file in it.", "Site files are called NAME.toml."
        )
    return [*named.items()]


def _members(location: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if location.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist()[:_COUNT]:
                name = PurePosixPath(member.filename).name
                if name.endswith(".toml") and member.file_size <= _MOST:
                    yield name, archive.read(member)
    elif location.endswith((".tar.gz", ".tgz")):
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as packed:
            for count, one in enumerate(packed):
                if count >= _COUNT:
                    return
                name = PurePosixPath(one.name).name
                file = packed.extractfile(one) if one.isreg() and one.size <= _MOST else None
                if file is not None and name.endswith(".toml"):
                    yield name, file.read()
    else:
        name = PurePosixPath(location.partition("?")[0]).name
        yield name if name.endswith(".toml") else f"{name}.toml", data
