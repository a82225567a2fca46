"""What one try of a task logs and prints, as rows that are bounded in size and number. Pure.

A try may say ``BURST`` lines and ``BURST_SIZE`` characters at once; both fill up again by ``RATE``
and ``SIZE_RATE`` per second. What is more is counted, and the count told with the next line, or at
the end of the try. A long text loses its middle: its beginning says what it is, and the end of a
traceback why.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Row = tuple[float, str, str, str, int]
    """When, level, logger, text, and how many lines before it were left out."""

__all__ = ["BURST", "BURST_SIZE", "ERR", "OUT", "RATE", "SIZE_RATE", "TEXT", "Lines", "cut"]

OUT, ERR = "OUT", "ERR"
"""The levels of what was printed."""

TEXT = 8192
"""Characters of one text that are told, but for what says how many are not."""
BURST, RATE = 1000, 100.0
"""Lines that a try may say at once, and per second."""
BURST_SIZE, SIZE_RATE = 262_144, 32_768.0
"""Characters that a try may say at once, and per second."""

_HALF = TEXT // 2
_NAME = 200
_WARNING = "WARNING"


def cut(text: str, begin: int = 0, end: int | None = None) -> str:
    """The text between two places, without its middle if it is long, and fit to be written down.

    Lone surrogates, which no encoding writes, stand in it as escapes.
    """
    end = len(text) if end is None else end
    if end - begin <= TEXT:
        return _writable(text if end - begin == len(text) else text[begin:end])
    return _shown(text[begin : begin + _HALF], text[end - _HALF : end], end - begin)


def _shown(head: str, tail: str, length: int) -> str:
    lacks = f"[{length - TEXT:,} characters are left out here]"
    return _writable(f"{head}…{lacks}…{tail}")


def _writable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class _Line:
    """A line that grows until it ends; of a long one, its two ends are kept."""

    __slots__ = ("_head", "_length", "_tail")

    def __init__(self) -> None:
        self._head, self._tail, self._length = "", "", 0

    def add(self, text: str, begin: int, end: int) -> None:
        """Take what stands between two places of a text."""
        self._length += end - begin
        room = min(_HALF - len(self._head), end - begin)
        self._head += text[begin : begin + room]
        begin += room
        self._tail = (self._tail + text[max(begin, end - _HALF) : end])[-_HALF:]

    def shown(self) -> str:
        """It, without its middle if it is long."""
        if self._length <= TEXT:
            return _writable(self._head + self._tail)
        return _shown(self._head, self._tail, self._length)


class Lines:
    """What one try says.

    Args:
        now: the time, by a clock that is never set.

    Attributes:
        dropped: lines that were left out since the last one that was not.
    """

    __slots__ = ("_at", "_lines", "_rests", "_size", "dropped")

    def __init__(self, now: float) -> None:
        self._at, self._lines, self._size = now, float(BURST), float(BURST_SIZE)
        self.dropped = 0
        self._rests: dict[str, _Line] = {}

    def _may(self, now: float) -> bool:
        """Whether it may say another line."""
        passed = now - self._at
        if passed > 0:
            self._at = now
            self._lines = min(float(BURST), self._lines + passed * RATE)
            self._size = min(float(BURST_SIZE), self._size + passed * SIZE_RATE)
        if self._lines < 1 or self._size <= 0:
            self.dropped += 1
            return False
        return True

    def _row(self, time: float, level: str, logger: str, text: str) -> Row:
        self._lines -= 1
        self._size -= len(text)
        dropped, self.dropped = self.dropped, 0
        return time, level, logger, text, dropped

    def logged(self, record: Any, now: float) -> Row | None:
        """The row of a record of ``logging``; ``None`` if it is left out.

        Nothing that a record is made of raises here, but what ends a task.
        """
        if not self._may(now):
            return None
        return self._row(
            float(record.created), _name(record.levelname), _name(record.name), _text(record)
        )

    def printed(self, stream: str, text: str, time: float, now: float) -> list[Row]:
        """The rows of what was printed now, line by line; what has no end yet waits for it.

        Args:
            stream: ``OUT`` or ``ERR``.
            text: what was printed.
            time: in seconds since the epoch.
            now: by the other clock.
        """
        rows: list[Row] = []
        begin = 0
        while (end := text.find("\n", begin)) >= 0:
            if not self._may(now):
                # All but this one, which is counted.
                last = text.rfind("\n")
                self.dropped += text.count("\n", begin, last)
                self._rests.pop(stream, None)
                begin = last + 1
                break
            line = self._rests.pop(stream, None) or _Line()
            line.add(text, begin, end)
            rows.append(self._row(time, stream, "", line.shown()))
            begin = end + 1
        if begin < len(text):
            self._rests.setdefault(stream, _Line()).add(text, begin, len(text))
        return rows

    def ended(self, time: float, now: float) -> list[Row]:
        """What is still to be said when the try has come to its end."""
        rows: list[Row] = []
        rests, self._rests = self._rests, {}
        for stream, rest in rests.items():
            if self._may(now):
                rows.append(self._row(time, stream, "", rest.shown()))
        if self.dropped:
            count = f"{self.dropped:,} lines were" if self.dropped > 1 else "1 line was"
            said = f"{count} left out: this task said more than is told of one."
            rows.append(self._row(time, _WARNING, "weft", said))
        return rows


def _name(name: Any) -> str:
    """The name of a level or a logger, which may be any object."""
    try:
        return cut(str(name)[:_NAME])
    except Exception as trouble:  # noqa: BLE001 - __str__ is anybody's code
        return f"({type(trouble).__name__})"


def _text(record: Any) -> str:
    """What a record says, with the traceback of its exception."""
    try:
        message = record.getMessage()
        said = cut(message if type(message) is str else str(message))
    except Exception as trouble:  # noqa: BLE001 - anybody's __str__, and any arguments
        said = f"(cannot be shown: {type(trouble).__name__}) {_raw(record.msg)}"
    if record.exc_info and record.exc_info[0] is not None:
        try:
            from traceback import format_exception

            said += "\n" + cut("".join(format_exception(*record.exc_info)).rstrip("\n"))
        except Exception as trouble:  # noqa: BLE001 - as above
            said += f"\n(its exception cannot be shown: {type(trouble).__name__})"
    if record.stack_info:
        said += "\n" + cut(str(record.stack_info))
    return said


def _raw(message: Any) -> str:
    return cut(message) if type(message) is str else f"({type(message).__name__})"
