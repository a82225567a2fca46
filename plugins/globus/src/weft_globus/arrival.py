"""What arrived on this machine gets its name, or goes."""

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path

from weft_globus.words import Refusal

__all__ = ["appear", "discard"]


def appear(part: Path, final: Path) -> Refusal | None:
    """Give a file its name, whatever file system either is on. Returns why not."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.replace(final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _across(part, final)
    except FileNotFoundError:
        return Refusal(
            reason=f"Globus says that it is there, but {str(part)!r} is not.",
            todo="Look whether the options local_path and collection_path name the same folder: on "
            "this machine, and as the collection has it.",
        )
    except OSError as error:
        return Refusal(
            reason=f"It arrived as {str(part)!r}, and could not be put at {str(final)!r}: "
            f"{error.strerror}.",
            todo="Look at the space and the permissions there.",
        )
    return None


def discard(part: Path) -> None:
    """Remove what is not wanted, if it is there."""
    with contextlib.suppress(OSError):
        part.unlink(missing_ok=True)


def _across(part: Path, final: Path) -> None:
    beside = final.with_name(f".{uuid.uuid4().hex}.part")
    try:
        shutil.copyfile(part, beside)
        os.replace(beside, final)  # noqa: PTH105 - as the other one, of which this is a part
    finally:
        discard(beside)
    discard(part)
