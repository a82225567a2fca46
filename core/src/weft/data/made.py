"""What a task made, opened by a stager that is to take it away."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from weft.errors import StagingError
from weft.interfaces.stager import Transfer

__all__ = ["open_made"]


def open_made(transfer: Transfer) -> BinaryIO:
    """The file that a task made, for reading.

    It is opened once and looked at afterwards, so that nobody can put another one in its place
    between the look and the reading. A pipe is not waited for.

    Args:
        transfer: one whose way is out.

    Raises:
        StagingError: there is none; it is no regular file; or it is a link that leads out of the
            folder of the place.
    """
    path = transfer.placed.as_path()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _refused(
            transfer,
            f"The task did not make {str(path)!r}.",
            "Check the name, and whether the task wrote the file somewhere else.",
        ) from None
    except OSError as error:
        raise _refused(
            transfer,
            f"{str(path)!r} cannot be read: {error.strerror or error}.",
            "Look at what the task left there, and at its permissions.",
        ) from error
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            what = "a folder" if stat.S_ISDIR(facts.st_mode) else "no regular file"
            raise _refused(
                transfer,
                f"{str(path)!r} is {what}.",
                "Have the task write one file; pack a folder, such as with tar.",
            )
        _must_be_inside(descriptor, path, transfer)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _must_be_inside(descriptor: int, path: Path, transfer: Transfer) -> None:
    folder = transfer.place.folder.resolve()
    real = path.resolve()
    opened, found = os.fstat(descriptor), real.stat()
    same = (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
    if not same or folder not in real.parents:
        raise _refused(
            transfer,
            f"{str(path)!r} leads to {str(real)!r}, outside of {str(folder)!r}, the folder of the "
            "tasks of that executor.",
            "Let the task write the file itself, not a link to another place.",
        )


def _refused(transfer: Transfer, why: str, todo: str) -> StagingError:
    return StagingError(transfer.file.url, transfer.way, why, todo)
