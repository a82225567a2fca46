"""Kept copies of files in a folder, for tasks, runs and processes of one user. Holds no thread.

    <folder>/v1/kept/9f/9f86d0…          a content; only ever put here whole, and not writable
    <folder>/v1/kept/9f/9f86d0….json     how it looked then; the time of its last use
    <folder>/v1/fetching/9f86d0….lock    locked by who fetches that content now
    <folder>/v1/fetching/9f86d0….HOST/   what has come of it so far

*A hit* reads the record, looks at the content, and links it to where it is wanted: no lock, no
index, nothing that others wait for. What looks other than its record says is not used; so nothing
that was cut off, by a kill or by a full disk, is ever taken for whole, and a content that somebody
wrote into through a link is fetched anew.

*A miss* is fetched by whoever gets the lock, one at a time; the others look again until it is there
or the lock is free, which the system sees to when a process is killed. The content is linked to
where it is wanted first, then put under its key, then recorded: after a kill at any point, the
next one finds a good entry or none.

*Room.* When what is kept passes the limit, what was not used for longest goes until a tenth is
free. Nobody loses a file by that: what a task was given stays, as a name of its own.

Locks are those of ``flock``, which also holds between machines on NFS; where a file system has
none, two may fetch the same file, each in a folder of its own, and nothing else is lost.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import socket
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from weft.data.entries import (
    Entry,
    Look,
    Record,
    Verdict,
    checksum_in,
    judged,
    key_of,
    parsed,
    shown,
    victims,
    written,
)
from weft.data.links import placed, unlinked
from weft.data.locks import NO_LOCK, locked
from weft.errors import StagingError

__all__ = ["LIMIT", "Cache", "Pruned", "cache_folder"]

LIMIT: Final = 50 * 10**9
"""Bytes that a cache keeps at most, unless it is told otherwise."""

_FORMAT: Final = "v1"
_SPARE: Final = 10
"""One part in so many is made free when the limit is passed."""
_STALE: Final = 86_400.0
"""Seconds after which what has come of a file that nobody fetches any more is removed."""
_ORPHANED: Final = 3600.0
"""Seconds after which a content without a record is removed: those that come in have none yet."""
_LOOKS: Final = (0.002, 0.1)
"""Seconds from one look to the next for who waits: at first, and at most."""
_LONGEST: Final = 1 << 16
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where files are kept: in ``WEFT_CACHE``, or else in ``weft/files`` of the user's caches.

    Raises:
        OSError: the user has no home folder.
    """
    given = environ.get("WEFT_CACHE")
    if given:
        return Path(given).expanduser()
    caches = environ.get("XDG_CACHE_HOME", "")
    if Path(caches).is_absolute():  # the rule of the XDG base directories: others are ignored
        return Path(caches) / "weft" / "files"
    try:
        return Path.home() / ".cache" / "weft" / "files"
    except RuntimeError as trouble:
        raise OSError(errno.ENOENT, str(trouble)) from trouble


def _unheard(level: str, text: str) -> None:
    """Nobody wants to hear of it."""


@attrs.frozen(kw_only=True)
class Pruned:
    """What was removed.

    Attributes:
        entries: contents that are no longer kept.
        freed: bytes that are free now, also of what had come in part. Not those of contents that
            are still files of tasks.
        parts: files that had come in part, and that nobody fetched any more.
        left: bytes that are still kept.
    """

    entries: int
    freed: int
    parts: int
    left: int


class Cache:
    """Kept copies of files.

    Any number of these may use one folder at once, in threads, in processes, and on machines that
    share it.

    Args:
        folder: where they are kept; made if need be, and seen by its owner alone.
        limit: bytes that are kept at most; each process may be a tenth beyond it for a while.
        patience: seconds to wait for another one that fetches the same file, before it is fetched
            past the cache.
        notice: told what a user may want to know: how bad it is, as ``"warning"``, and a sentence.

    Raises:
        OSError: the folder cannot be made, or belongs to another user.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        limit: int = LIMIT,
        patience: float = 600.0,
        notice: Callable[[str, str], object] = _unheard,
    ) -> None:
        root = Path(folder).absolute() / _FORMAT
        self.folder, self.limit = Path(folder), limit
        self._kept, self._fetching = str(root / "kept"), str(root / "fetching")
        self._patience, self._notice = patience, notice
        self._host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
        self._counting = threading.Lock()
        self._room: float = 0.0
        self._said: set[str] = set()
        _make_private(root)
        for one in (self._kept, self._fetching):
            with contextlib.suppress(FileExistsError):
                os.mkdir(one, 0o700)  # noqa: PTH102 - a text, see _path

    # -------------------------------------------------------------------------------------- getting

    def get(
        self,
        url: str,
        validator: str,
        target: str | os.PathLike[str],
        fetch: Callable[[Path], object],
        *,
        waiting: Callable[[], object] | None = None,
    ) -> bool:
        """Put the content of a URL at a path, and keep it.

        The file there may be a further name of what is kept: it must not be written to, and has no
        permission for that. What is at the path already is replaced.

        Args:
            url: where it comes from.
            validator: what is said of its content there; a content is taken from here only if the
                same was said of it. One of the form ``sha256:HEX``, ``sha512:HEX`` or
                ``blake2b:HEX`` is believed to be its checksum, and compared: then the same content
                of another URL is as good.
            target: the path; its folder is made if need be.
            fetch: called with a path, brings the file there. Called at most once, but again for
                ``target`` itself if the cache cannot hold the file.
            waiting: called from time to time while another one fetches it; what it raises ends the
                wait.

        Returns:
            Whether nothing had to be fetched.

        Raises:
            StagingError: what was fetched has another checksum.
            OSError: nothing can be put at ``target``.
            Exception: what ``fetch`` or ``waiting`` raised.
        """
        asked = _Asked(url, validator, key_of(url, validator), os.fspath(target))
        if self._use(asked) is Verdict.GOOD:
            return True
        try:
            for _ in _looks(self._patience, waiting):
                with self._turn(asked.key) as folder:
                    if folder is not None:
                        return self._fetched(asked, fetch, folder)
                if self._use(asked) is Verdict.GOOD:
                    return True
        except _CannotKeep as trouble:
            self._say(asked, f"cannot be kept: {trouble}")
        fetch(Path(asked.target))
        return False

    def _use(self, asked: "_Asked") -> Verdict:
        """Put what is kept where it is wanted, if it is good."""
        path, target = self._path(asked.key), asked.target
        verdict = judged(_read(path, asked.key), _look(path))
        if verdict is not Verdict.GOOD:
            return verdict
        try:
            placed(path, target)
        except FileNotFoundError:
            folder = os.path.dirname(target)  # noqa: PTH120 - on the way of every task
            if not folder or os.path.isdir(folder):  # noqa: PTH112 - as above
                return Verdict.GONE  # it was removed at this moment
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - as above
            return self._use(asked)
        with contextlib.suppress(OSError):  # a cache that is read alone serves all the same
            os.utime(f"{path}.json")
        return verdict

    def _fetched(self, asked: "_Asked", fetch: Callable[[Path], object], folder: str) -> bool:
        """Fetch it, as the only one to do so; returns what ``get`` does."""
        verdict = self._use(asked)
        if verdict is Verdict.GOOD:
            return True
        if verdict is Verdict.CHANGED:
            self._say(asked, "was changed by a task that wrote into its input; it is fetched anew.")
        part = f"{folder}/content"
        try:
            fetch(Path(part))
        except Exception as error:
            if not _is_full(error) or not self.prune(limit=0).freed:
                raise
            raise _CannotKeep("the disk is full.") from error
        facts = os.lstat(part)
        if not stat.S_ISREG(facts.st_mode):
            raise _CannotKeep("it is no regular file.")
        _compare(part, asked)
        _make_lasting(part, facts.st_mode)
        os.makedirs(os.path.dirname(asked.target) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - as above
        placed(part, asked.target)
        if facts.st_size <= self.limit:
            try:
                self._keep(asked, part)
            except OSError as error:
                self._say(asked, f"cannot be kept: {error.strerror or error}.")
            else:
                self._count(facts.st_size, asked.key)
        return False

    def _keep(self, asked: "_Asked", part: str) -> None:
        path, line = self._path(asked.key), f"{part}.json"
        record = Record.of(asked.url, asked.validator, _look_of(os.lstat(part)))
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(path), 0o700)  # noqa: PTH102, PTH120 - texts, see _path
        make = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(line, make, 0o600), "wb") as file:
            file.write(written(record))
        os.replace(part, path)  # noqa: PTH105 - as above
        os.replace(line, f"{path}.json")  # noqa: PTH105 - as above

    def _path(self, key: str) -> str:
        # A text: a Path of each costs a task as much as all the rest.
        return f"{self._kept}/{key[:2]}/{key}"

    def _say(self, asked: "_Asked", what: str) -> None:
        with self._counting:
            if what in self._said:
                return  # a disk that is full is so for ten thousand files
            self._said.add(what)
        self._notice("warning", f"The copy of {shown(asked.url)!r} in {str(self.folder)!r} {what}")

    # ------------------------------------------------------------------------------- one at a time

    @contextlib.contextmanager
    def _turn(self, key: str) -> Iterator[str | None]:
        """A folder to fetch into, for one at a time; ``None`` while it is the turn of another."""
        base = f"{self._fetching}/{key}"
        with contextlib.ExitStack() as ends:
            try:
                lock = locked(f"{base}.lock")
                if lock != NO_LOCK:
                    ends.callback(os.close, lock)
                    ends.callback(unlinked, f"{base}.lock")
                folder = f"{base}.{self._host}" + (
                    "" if lock != NO_LOCK else f"-{uuid.uuid4().hex}"
                )
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o700)  # noqa: PTH102 - a text, see _path
                _emptied(folder)  # it was left by a kill: whole it may be or not
            except BlockingIOError:
                yield None
                return
            except OSError as error:
                raise _CannotKeep(f"{error.strerror or error}.") from error
            ends.callback(_emptied, folder, last=True)
            yield folder

    # ------------------------------------------------------------------------------- what is kept

    def entries(self) -> list[Entry]:
        """What is kept, in no order; what is on its way in or out is left out."""
        return [one for _, one, _ in self._scan() if one is not None]

    def prune(self, *, limit: float | None = None, before: float = float("-inf")) -> Pruned:
        """Remove what is too much: while others use the cache, too.

        Args:
            limit: bytes that may stay; that of the cache when left out.
            before: seconds since 1970; what was used last before that goes.
        """
        return self._pruned(self.limit if limit is None else limit, before=before)

    def _pruned(
        self, limit: float, *, spare: float = 0.0, before: float = float("-inf"), keep: str = ""
    ) -> Pruned:
        """Remove what is too much, and then as much more as ``spare`` bytes."""
        found, orphans = [], []
        now = time.time()
        for key, entry, changed in self._scan():
            if entry is not None:
                found.append(entry)
            elif limit <= 0 or now - changed > _ORPHANED:
                orphans.append(key)
        total = sum(one.record.look.size for one in found)
        gone = victims(found, limit if total <= limit else limit - spare, before=before, keep=keep)
        for key in [*orphans, *(one.record.key for one in gone)]:
            path = self._path(key)
            # The record first: a content without one is not used, and a record alone is not either.
            unlinked(f"{path}.json")
            unlinked(path)
        parts, freed = self._clear(now, all_of_them=limit <= 0)
        return Pruned(
            entries=len(gone),
            freed=freed + sum(one.record.look.size for one in gone if not one.others),
            parts=parts,
            left=total - sum(one.record.look.size for one in gone),
        )

    def _scan(self) -> Iterator[tuple[str, Entry | None, float]]:
        """Each key, its entry unless it has no good record, and when it was changed last."""
        for shard in _names(self._kept):
            keys = {name.removesuffix(".json") for name in _names(f"{self._kept}/{shard}")}
            for key in keys:
                path = self._path(key)
                entry, changed = None, 0.0
                with contextlib.suppress(OSError):
                    changed = os.lstat(path).st_ctime
                    record, used = _read(path, key), os.lstat(f"{path}.json").st_mtime
                    facts = os.lstat(path)
                    if record is not None:
                        good = judged(record, _look_of(facts)) is Verdict.GOOD
                        entry = Entry(
                            record=record, used=used, others=facts.st_nlink - 1, good=good
                        )
                yield key, entry, changed

    def _count(self, size: int, key: str) -> None:
        """Note that so many bytes have come in, and make room when that may be too many."""
        with self._counting:
            self._room -= size
            if self._room > 0:
                return
            spare = self._room = self.limit / _SPARE  # so that others do not count meanwhile
        left = self._pruned(self.limit, spare=spare, keep=key).left
        with self._counting:
            # Others add to it too, so all of it is counted anew at least each time that a tenth has
            # come in here.
            self._room = min(spare, self.limit - left)

    def _clear(self, now: float, *, all_of_them: bool) -> tuple[int, int]:
        """Remove what came in part and nobody fetches; how many files that were, and bytes."""
        count = size = 0
        for name in _names(self._fetching):
            path = f"{self._fetching}/{name}"
            locked_by = f"{self._fetching}/{name.partition('.')[0]}.lock"
            try:
                stale = now - os.lstat(path).st_mtime > _STALE
                if not (stale or all_of_them):
                    continue
                lock = locked(locked_by)
            except OSError:  # it is being fetched, or gone
                continue
            # Without locks, nobody knows whether it is being fetched.
            if lock != NO_LOCK or stale:
                if os.path.isdir(path):  # noqa: PTH112 - as above
                    count, size = count + 1, size + _size_of(path)
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    unlinked(path)
            if lock != NO_LOCK:
                unlinked(locked_by)
                os.close(lock)
        return count, size


@attrs.frozen
class _Asked:
    """What is wanted where."""

    url: str
    validator: str
    key: str
    target: str


class _CannotKeep(Exception):
    """The cache is of no use for this file; the text says why."""


# ------------------------------------------------------------------------------------ small things


def _looks(patience: float, waiting: Callable[[], object] | None) -> Iterator[None]:
    """Comes back until the patience is over, more and more seldom.

    The end of another process that holds a lock is told to those who wait for it without a bound,
    and to nobody else; so it is looked for.
    """
    until = time.monotonic() + patience
    pause, longest = _LOOKS
    while True:
        yield
        left = until - time.monotonic()
        if left <= 0:
            return
        if waiting is not None:
            waiting()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest)


def _make_private(root: Path) -> None:
    """Make the folder, and see that nobody else can put anything into it."""
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.mkdir(mode=0o700, exist_ok=True)
    facts = root.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "files are kept in a folder of one's own", str(root))
    if facts.st_mode & 0o077:
        root.chmod(0o700)


def _make_lasting(path: str, mode: int) -> None:
    """Have a content written out, and make it one that is not written to."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fchmod(file, (mode & 0o555) | stat.S_IRUSR)
        os.fsync(file)
    finally:
        os.close(file)


def _compare(path: str, asked: _Asked) -> None:
    checksum = checksum_in(asked.validator)
    if checksum is None:
        return
    kind, wanted = checksum
    with open(path, "rb") as file:  # noqa: PTH123 - a text, see Cache._path
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != wanted:
        raise StagingError(
            shown(asked.url),
            "in",
            f"Its checksum was to be {kind}:{wanted}, and what came has {kind}:{found}.",
            "Try again: it may have changed on the way. If it goes on, what serves the file does "
            "not know its checksum.",
            again=True,
        )


def _read(path: str, key: str) -> Record | None:
    try:
        file = os.open(f"{path}.json", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return parsed(os.read(file, _LONGEST), key)
    except OSError:
        return None
    finally:
        os.close(file)


def _look(path: str) -> Look | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return _look_of(facts) if stat.S_ISREG(facts.st_mode) else None


def _look_of(facts: os.stat_result) -> Look:
    return Look(facts.st_size, facts.st_mtime_ns, facts.st_ino)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except OSError:
        return []


def _size_of(folder: str) -> int:
    size = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(f"{base}/{name}").st_size
    return size


def _emptied(folder: str, *, last: bool = False) -> None:
    """Remove what is no part of a file, and at last the folder if nothing is in it.

    What a stager left besides is what has come so far; the next one goes on with it.
    """
    for path in (f"{folder}/content", f"{folder}/content.json"):
        unlinked(path)
        if os.path.isdir(path):  # noqa: PTH112 - a text, see Cache._path
            shutil.rmtree(path, ignore_errors=True)
    if last:
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 - as above


def _is_full(error: BaseException) -> bool:
    """Whether a disk that is full is behind an error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        seen = seen.__cause__
    return False
