"""The other side of a stager: what holds the files behind the URLs of its schemes."""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote, unquote

from weft.values.files import File
from weft_testkit.limits import no_file_beyond, no_file_beyond_in

__all__ = ["LocalRemote", "Remote"]


class Remote(ABC):
    """Holds files behind URLs, for the kit for stagers; asked behind the stager's back.

    A server of the scheme on the loopback interface will do, or the folder that it serves.

    Attributes:
        folder: where its files are, if that is a folder of this machine; then the kernel is asked
            whether a file was to be seen there before it was whole.
    """

    folder: Path | None = None

    @abstractmethod
    def address(self, name: str) -> File:
        """The file of that name, which need not be there. The name stands at the URL's end.

        Names hold any character but ``/`` and the zero byte; the URL has them encoded as the scheme
        wants it.
        """

    @abstractmethod
    def publish(self, content: bytes, name: str) -> File:
        """Put a file there, in place of what was there under that name."""

    @abstractmethod
    def fetch(self, file: File) -> bytes | None:
        """What is there now; ``None`` if nothing is."""

    @abstractmethod
    def names(self) -> Collection[str]:
        """The names of all that is there, also of what is half-done."""

    def forbid(self, file: File) -> bool:
        """Have a file that is there refused to who asks for it. False if that cannot be done."""
        return False

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        """While this holds, putting a file there fails after so many bytes of it.

        ``None`` if that cannot be done.
        """
        return None

    def cutting(self, after: int) -> AbstractContextManager[None] | None:
        """While this holds, only so many bytes of a file are given, and then the connection ends.

        ``None`` if that cannot be done.
        """
        return None

    def gone(self) -> AbstractContextManager[None] | None:
        """While this holds, nobody answers; afterwards all is as it was.

        ``None`` if that cannot be done. A process that is started for it is ended with the rule; so
        for a server that several rules share, have what stands before it go away, such as a
        listener that hands on.
        """
        return None

    def given(self, file: File) -> int | None:
        """How many bytes of that file have been given out so far, to anybody, all in all.

        ``None`` if that is not counted.
        """
        return None

    def later(self, file: File, seconds: float) -> None:  # noqa: B027 - times need not play a part
        """Have a file that is there look as if it had been changed that much later than it was.

        For stagers that tell a change by its time, which some protocols say in whole seconds.
        """


class LocalRemote(Remote):
    """A folder of this machine, by ``file`` URLs or those of a server of that folder.

    Args:
        folder: where the files are; made if it is not there.
        base: what stands before a name in a URL, with the slash at its end, such as
            ``"rsync://127.0.0.1:8730/files/"``; of ``file`` URLs if left out.
        server: the process that writes files to the folder, where that is not the one of the tests:
            the one that ``breaking`` limits, with what it starts from then on. It must ignore
            SIGXFSZ, or a full disk would be its end:
            ``subprocess.Popen(..., restore_signals=False)`` starts it so. For a server that cannot
            be limited, have ``breaking`` return ``None``.
    """

    def __init__(self, folder: Path, base: str = "", *, server: int | None = None) -> None:
        self.folder: Path = folder
        self._base, self._server = base or f"{folder.absolute().as_uri()}/", server
        folder.mkdir(mode=0o700, exist_ok=True)

    def address(self, name: str) -> File:
        """A URL, percent-encoded."""
        return File(self._base + quote(name))

    def publish(self, content: bytes, name: str) -> File:
        """Write it, for its owner alone."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)
        return self.address(name)

    def fetch(self, file: File) -> bytes | None:
        """Read it."""
        try:
            return self._path(file).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> Collection[str]:
        """All in the folder."""
        return {path.name for path in self.folder.iterdir()}

    def forbid(self, file: File) -> bool:
        """Take its rights away; from who may do everything, make it a link that leads to itself."""
        path = self._path(file)
        if os.geteuid() != 0:
            path.chmod(0)
        else:
            path.unlink()
            path.symlink_to(path.name)
        return True

    def later(self, file: File, seconds: float) -> None:
        """Set the time of its last change."""
        path = self._path(file)
        facts = path.stat()
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + int(seconds * 1e9)))

    def breaking(self, after: int) -> AbstractContextManager[None] | None:
        """As a full disk; ``None`` where the system cannot limit another process."""
        if self._server is None:
            return no_file_beyond(after)
        return no_file_beyond_in(self._server, after)

    def _path(self, file: File) -> Path:
        assert file.url.startswith(self._base), f"{file.url!r} is not behind {self._base!r}"
        return self.folder / unquote(file.url.removeprefix(self._base))
