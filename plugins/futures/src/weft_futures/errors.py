"""What goes wrong in a pool, beside what every executor may say.

WeftError
└── PoolLost      the pool broke, or lost its grip on a task
"""

from weft.errors import WeftError

__all__ = ["PoolLost"]


class PoolLost(WeftError):
    """A try of a task was lost with the pool that had it.

    Attributes:
        label: the executor.
        reason: what the pool said.
        alone: whether this task was the only one in the pool, and so the one that broke it.
    """

    code = "W-FUT-001"

    def __init__(self, label: str, reason: str, *, alone: bool = False) -> None:
        if alone:
            what = f"The pool of the executor {label!r} broke with nothing but this task in it."
            todo = "Run it alone to see; most often it runs out of memory or crashes compiled code."
        else:
            what = f"The pool of the executor {label!r} lost this task."
            todo = "Nothing, if it goes well next time; it is tried again without charge."
        super().__init__(what, why=reason, todo=todo)
        self.label, self.reason, self.alone = label, reason, alone
