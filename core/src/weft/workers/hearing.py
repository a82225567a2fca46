"""Hears what a process prints, and passes each text on; records are heard by ``weft.bodies``.

Nothing is taken away: what is heard goes where it went before.
"""

from __future__ import annotations

import sys

from weft.bodies import hearing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Heard", "hear_streams", "lower"]


def lower(logging: Any, level: int) -> None:
    """Have loggers that nobody gave a level make records from this one on."""
    root = logging.getLogger()
    if root.level > level:
        root.setLevel(level)


class Heard:
    """Stands in for a text stream, and passes on what is printed to it.

    Args:
        stream: the real one.
        hear: gets each text, in the thread that printed it.
    """

    def __init__(self, stream: Any, hear: Callable[[str], None]) -> None:
        self._stream, self._hear = stream, hear

    def write(self, text: str) -> int:
        """Print it, and pass it on."""
        count: int = self._stream.write(text)
        if not hearing.told:
            self._hear(text)
        return count

    def writelines(self, lines: Any) -> None:
        """Print them, and pass them on."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def hear_streams(hear: Callable[[str, str], None]) -> Callable[[], None]:
    """Have what is printed to ``sys.stdout`` and ``sys.stderr`` passed on, with its level.

    Returns: what ends that, as far as nobody has put something else in place.
    """
    from weft.workers.lines import ERR, OUT

    placed: dict[str, tuple[Any, Any]] = {}
    for name, level in (("stdout", OUT), ("stderr", ERR)):
        stream = getattr(sys, name)
        if stream is None:
            continue

        def passed(text: str, level: str = level) -> None:
            hear(level, text)

        placed[name] = (stream, Heard(stream, passed))
        setattr(sys, name, placed[name][1])

    def end() -> None:
        for name, (stream, heard) in placed.items():
            if getattr(sys, name) is heard:
                setattr(sys, name, stream)

    return end
