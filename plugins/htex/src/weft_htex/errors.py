"""What goes wrong with blocks and their managers, beside what every executor may say.

WeftError
├── ManagerRefused       a manager and its interchange cannot work together
├── NoWayHome            a manager reached the interchange at none of its addresses
├── NoWorkerStarts       the workers of a node end before they are ready
├── NoSuchProcessor      cpu_affinity lists a processor that a node does not have
├── DoesNotFit           a task asks for more than any node has
└── PayloadTooLarge      a payload that is not carried (also a SerializationError)
"""

from collections.abc import Sequence

from weft.errors import SerializationError, WeftError

__all__ = [
    "DoesNotFit",
    "ManagerRefused",
    "NoSuchProcessor",
    "NoWayHome",
    "NoWorkerStarts",
    "PayloadTooLarge",
]

_WORDS = 8


class ManagerRefused(WeftError):
    """The interchange does not want this manager; most often the two are of different versions."""

    code = "W-HTX-001"

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"The manager on {host} was refused.",
            why=reason,
            todo="If it is for their versions, install the same ones of Python, weft and weft-htex "
            "on both sides; worker_init can choose an environment on the nodes. If not, "
            "interchange.log in the executor's folder says what came before.",
        )
        self.host, self.reason = host, reason


class NoWayHome(WeftError):
    """A manager found the interchange at none of the addresses that it was given."""

    code = "W-HTX-002"

    def __init__(self, host: str, tried: Sequence[str], seconds: float) -> None:
        super().__init__(
            f"The manager on {host} did not reach the interchange within {seconds:g} s.",
            why=f"It tried {', '.join(tried) or 'nothing, for it was given no address'}.",
            todo="Name an address of the submitting machine that nodes can reach with "
            "HTEX(addresses=...), and a range of open ports with HTEX(ports=...).",
        )
        self.host, self.tried, self.seconds = host, tuple(tried), seconds


class NoWorkerStarts(WeftError):
    """On a node, worker after worker ended before it was ready for a task.

    Attributes:
        host: the node.
        reason: how the last of them ended, in a line, and below it the last that it wrote.
    """

    code = "W-HTX-006"

    def __init__(self, host: str, reason: str) -> None:
        first, *words = reason.splitlines()
        super().__init__(
            f"The manager on {host} has no worker that starts.",
            # What a Python that cannot start says last is what says most.
            why="\n  ".join([first, *words[-_WORDS:]]),
            todo="Look at what environment and worker_init make of the workers' Python, and run "
            "it on a node with the same variables.",
        )
        self.host, self.reason = host, reason


class NoSuchProcessor(WeftError):
    """The option ``cpu_affinity`` lists a processor that a node does not have, or may not use."""

    code = "W-HTX-005"

    def __init__(self, host: str, asked: Sequence[int], there: Sequence[int]) -> None:
        super().__init__(
            f"The manager on {host} cannot keep workers to the processors {_numbers(asked)}.",
            why=f"cpu_affinity lists them, and those that may be used here are {_numbers(there)}.",
            todo="List processors that every node has, or let 'block' share them out.",
        )
        self.host, self.asked, self.there = host, tuple(asked), tuple(there)


def _numbers(listed: Sequence[int]) -> str:
    return ", ".join(map(str, listed))


class DoesNotFit(WeftError):
    """A task asks for more than a node of this executor has, so it would wait for ever."""

    code = "W-HTX-004"

    def __init__(self, app: str, task: int, reason: str) -> None:
        super().__init__(
            f"{app!r} (task {task}) fits no node.",
            why=reason,
            todo="Ask for less, or have the provider give larger nodes or longer blocks.",
        )
        self.app, self.task, self.reason = app, task, reason


class PayloadTooLarge(SerializationError):
    """A payload is larger than the executor carries."""

    code = "W-HTX-003"

    def __init__(self, subject: str, size: int, limit: int, *, back: bool = False) -> None:
        super().__init__(
            subject,
            "",
            f"It has {size:,} bytes, and max_message of the executor is {limit:,}.",
            f"{'Return' if back else 'Pass'} a File or a path instead, or raise max_message.",
        )
        if back:
            self.what = f"{subject} cannot be brought back from its worker."
        self.size, self.limit = size, limit
