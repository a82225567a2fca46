"""What of tasks is told while they run: what they log, what they print, what they use."""

from __future__ import annotations

from typing import Final

from weft.values.message import message

__all__ = ["LEVELS", "NOTHING", "Watch"]

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
"""The levels of ``logging``, as numbers."""


@message(eq=True)
class Watch:
    """What an executor is to tell of its tasks while they run, as far as it can.

    Attributes:
        level: the least level of records of ``logging`` that are told, as ``logging`` numbers them;
            0 for none.
        prints: whether what tasks print by Python's ``sys.stdout`` and ``sys.stderr`` is.
        period: seconds between two samples of what a task uses; 0 for none.
    """

    level: int = 0
    prints: bool = False
    period: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is."""
        return bool(self.level or self.prints or self.period)

    def word(self) -> str:
        """It as one word, for the command of a process; empty for nothing."""
        return f"{self.level}:{int(self.prints)}:{self.period!r}" if self else ""

    @classmethod
    def of_word(cls, word: str) -> Watch:
        """What :meth:`word` was made of.

        Raises:
            ValueError: it is something else.
        """
        if not word:
            return NOTHING
        level, prints, period = word.split(":")
        return cls(int(level), prints == "1", float(period))


NOTHING: Final = Watch()
"""Nothing is told."""
