"""A launcher makes one command start on all the machines of a job: text in, text out."""

from abc import ABC, abstractmethod
from typing import Final

__all__ = ["VERSION", "Launcher"]

VERSION: Final = "1.0"


class Launcher(ABC):
    """Turns a command into one that starts on every machine of a job.

    Pure: the same input gives the same text, nothing is started, nothing is read from the machine.
    """

    @abstractmethod
    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """Shell text for ``/bin/sh`` that runs a command on the machines of a job, and waits.

        The command runs ``per_node`` times on each of ``nodes`` machines.

        The text ends with exit code 0 only if every copy did. Quoting within ``command`` survives.

        Raises:
            ValueError: this launcher cannot do that, such as more than one node; the message says
            so.
        """
