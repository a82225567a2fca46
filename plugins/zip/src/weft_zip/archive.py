"""An archive that is read: found, understood, and a member of it checked and unpacked."""

import contextlib
import difflib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from weft_zip.settings import Zip
from weft_zip.trouble import Trouble, of_system

__all__ = ["PIECE", "Archive", "check", "find", "missing", "opened", "unpack"]

PIECE: Final = 1024 * 1024
"""Bytes that are read at once."""

_ALWAYS: Final = 16 * 2**20
"""Bytes of a member that may be packed as tightly as it likes."""

_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Those of ISO/IEC 21320-1. Others are not unpacked by zipfile within a bound of memory."""

_NAMES: Final = {
    9: "deflate64",
    12: "bzip2",
    14: "lzma",
    93: "zstd",
    95: "xz",
    98: "ppmd",
    99: "encrypted by AES",
}
"""Of methods that are met; APPNOTE.TXT of PKWARE, section 4.4.5."""

_ENCRYPTED: Final = 0x1 | 0x40
_UNIX: Final = 3
"""Where a member comes from whose attributes say what kind of file it is."""

_DAMAGED: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    OverflowError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What zipfile raises of bytes that are no archive, or not all of one."""

_SIMILAR: Final = 3
_LOOKED_AT: Final = 10_000


@attrs.frozen(eq=False)
class Archive:
    """An archive that is open for reading.

    What was opened stays what it is when another one is put in its place.

    Attributes:
        path: where it is, links resolved.
        file: it.
        facts: of the file, when it was opened.
        zip: as zipfile reads it.
        members: by their names; of several with one name, the last, as other programs have it.
    """

    path: Path
    file: BinaryIO
    facts: os.stat_result
    zip: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]

    def must_be_unchanged(self) -> None:
        """See that nobody has written into it since.

        Raises:
            Trouble: somebody has.
        """
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.facts.st_size, self.facts.st_mtime_ns):
            raise Trouble(
                f"{str(self.path)!r} was changed while it was read.",
                "Let what writes it put a new one in its place, by renaming.",
                again=True,
            )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive of that path.

    Raises:
        FileNotFoundError: there is none.
        Trouble: it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            # A pipe is not waited for.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            file = stack.enter_context(os.fdopen(os.open(path, flags), "rb"))
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise Trouble(f"{str(path)!r} is a pipe or a device.", "Name a file.")
            archive = stack.enter_context(_understood(path, file))
        except FileNotFoundError:
            raise
        except IsADirectoryError:
            raise Trouble(
                f"{str(path)!r} is a folder.",
                "Where an archive lies in a folder whose name ends in .zip, write "
                "zip:///path/archive.zip#member.",
            ) from None
        except OSError as error:
            raise of_system(error, f"{str(path)!r} cannot be read") from error
        members = {info.orig_filename: info for info in archive.infolist()}
        yield Archive(path, file, facts, archive, members)


def _understood(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    begins = file.read(4)
    file.seek(0)
    try:
        return zipfile.ZipFile(file)
    except (*_DAMAGED, OSError) as error:
        if isinstance(error, OSError) and begins[:2] != b"PK":
            raise
        if begins == b"PK\3\4":
            raise Trouble(
                f"{str(path)!r} begins as a zip archive and does not end as one: it is cut short, "
                f"or something was written over it. zipfile says: {error}.",
                "Get it again, or repair it, such as with zip -FF.",
            ) from error
        raise Trouble(
            f"{str(path)!r} is no zip archive. zipfile says: {error}.",
            "Look at what it is, such as with the command file.",
        ) from error


def missing(path: Path) -> Trouble:
    """That there is no archive, and what there is."""
    folder = path.parent
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_LOOKED_AT), strict=False)]
    except OSError:
        return Trouble(f"There is no archive {str(path)!r}, nor its folder.", "Mend the path.")
    return Trouble(
        f"There is no archive {str(path)!r}. {_like(path.name, names, 'In that folder')}",
        "Mend the path.",
    )


def find(archive: Archive, member: str) -> zipfile.ZipInfo:
    """The member of that name.

    Raises:
        Trouble: there is none.
    """
    info = archive.members.get(member)
    if info is not None:
        return info
    if any(name.startswith(f"{member}/") for name in archive.members):
        raise Trouble(
            f"{member!r} is a folder in {str(archive.path)!r}.",
            "Name each file of it.",
        )
    raise Trouble(
        f"{str(archive.path)!r} has no member {member!r}. "
        f"{_like(member, list(archive.members)[:_LOOKED_AT], 'In the archive')}",
        "Mend the name; it is case-sensitive.",
    )


def _like(name: str, names: list[str], where: str) -> str:
    folded = {other.casefold(): other for other in names}
    close = [
        folded[one]
        for one in difflib.get_close_matches(name.casefold(), folded, n=_SIMILAR, cutoff=0.6)
    ]
    ends = [other for other in names if other.endswith(f"/{name}")]
    found = list(dict.fromkeys([*ends, *close]))[:_SIMILAR]
    if found:
        return f"{where} are: {', '.join(map(repr, found))}."
    return f"{where} no name is like it." if names else f"{where} is nothing."


def check(info: zipfile.ZipInfo, settings: Zip) -> None:
    """See that a member is a file that may be unpacked, by what the archive says of it.

    Raises:
        Trouble: it is not.
    """
    name, mode = info.orig_filename, info.external_attr >> 16
    if info.create_system == _UNIX and stat.S_ISLNK(mode):
        raise Trouble(
            f"The member {name!r} is a symbolic link, which is not followed.",
            "Name the member that it leads to.",
        )
    if info.create_system == _UNIX and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise Trouble(f"The member {name!r} is a folder or a special file, and no file.")
    if info.flag_bits & _ENCRYPTED:
        raise Trouble(
            f"The member {name!r} is encrypted.",
            "Decrypt it first, such as with 7z, and pack it anew.",
        )
    if info.compress_type not in _METHODS:
        known = _NAMES.get(info.compress_type, "unknown")
        raise Trouble(
            f"The member {name!r} is packed by method {info.compress_type} ({known}); only stored "
            "and deflated ones are unpacked.",
            "Pack it anew, such as with zip.",
        )
    if info.file_size > settings.max_size:
        raise Trouble(
            f"The member {name!r} has {info.file_size} bytes, and at most {settings.max_size} are "
            "allowed.",
            "If it is meant to be so large, raise the option max_size.",
        )
    if info.file_size > max(_ALWAYS, info.compress_size * settings.max_ratio):
        raise Trouble(
            f"The member {name!r} has {info.file_size} bytes that are packed into "
            f"{info.compress_size}: more than {settings.max_ratio} to one, as in archives that are "
            "made to fill disks.",
            "If it is what it should be, raise the option max_ratio.",
        )


def unpack(
    archive: Archive, info: zipfile.ZipInfo, into: BinaryIO, heard: Callable[[int, int], None]
) -> None:
    """Write a member to a file, and see that it is whole.

    Args:
        archive: it is of.
        info: of the member, which has been checked.
        into: the file.
        heard: told the bytes so far, and all of them; what it raises ends the work.

    Raises:
        Trouble: it is damaged, or the archive was changed meanwhile.
        OSError: it cannot be written.
    """
    done = 0
    heard(done, info.file_size)
    try:
        with archive.zip.open(info) as packed:
            while piece := packed.read(PIECE):
                into.write(piece)
                done += len(piece)
                heard(done, info.file_size)
    except _DAMAGED as error:
        archive.must_be_unchanged()
        raise _damaged(info, str(error) or "it ends too early") from error
    archive.must_be_unchanged()
    if done != info.file_size:
        raise _damaged(info, f"{done} of its {info.file_size} bytes are there")


def _damaged(info: zipfile.ZipInfo, said: str) -> Trouble:
    return Trouble(
        f"The member {info.orig_filename!r} is damaged: {said.rstrip('.')}.",
        "Get the archive again, or repair it.",
    )
