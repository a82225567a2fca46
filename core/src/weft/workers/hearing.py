"""Hears what a process logs and prints, and passes each record and each text on.

Nothing is taken away: what is heard goes where it went before, and ``logging`` looks as if nobody
heard. A handler of the root would change what a program does, since ``logging.basicConfig`` and the
handler of last resort look whether there is one.
"""

from __future__ import annotations

import sys
from _thread import _local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Heard", "hear_records", "hear_streams", "lower"]


class _Own(_local):
    """What a thread is at.

    Attributes:
        told: whether it handles a record that was passed on, so that what a handler prints of it
            is not to be passed on again.
    """

    told = False


_own = _Own()


def hear_records(logging: Any, hear: Callable[[Any], bool]) -> Callable[[], None]:
    """Have each record that passes its logger's level and filters passed on before it is handled.

    Args:
        logging: the module.
        hear: gets each record, in the thread that made it; says whether it takes it.

    Returns: what ends that. It does nothing to whoever began to listen later.
    """
    handle = logging.Logger.callHandlers

    def callHandlers(self: Any, record: Any) -> None:  # noqa: N802 - logging's name
        if not hear(record):
            handle(self, record)
            return
        before, _own.told = _own.told, True
        try:
            handle(self, record)
        finally:
            _own.told = before

    logging.Logger.callHandlers = callHandlers

    def end() -> None:
        nonlocal hear
        if logging.Logger.callHandlers is callHandlers:
            logging.Logger.callHandlers = handle
        else:
            hear = _nothing

    return end


def _nothing(_record: Any) -> bool:
    """Nobody listens any more."""
    return False


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
        if not _own.told:
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
