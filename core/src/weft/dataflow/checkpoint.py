"""Results on disk."""

from pathlib import Path
from typing import Any
from weft.values.task import message

__all__ = ["Output", "Recalled", "still_there"]


@message
class Output:
    """A local file that a task made, as it was then: its absolute path, and its size in bytes."""

    path: str
    size: int


@message
class Recalled:
    """A value that was found, and the files that belong to it."""

    value: Any
    outputs: tuple[Output, ...] = ()


def still_there(found: Recalled) -> Recalled | None:
    """``found`` if all its files are there with their sizes, else ``None``. Asks the file system."""
    for output in found.outputs:
        try:
            if Path(output.path).stat().st_size != output.size:
                return None
        except (OSError, ValueError):
            return None
    return found
