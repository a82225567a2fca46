"""What alone is to be executed of a run: apps, and calls that are known in every run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from weft.values.message import message

__all__ = ["CALL", "WAS", "Choice", "choice_of"]

CALL: Final = "call:"
"""What the name of a call begins with, where it stands beside names of apps."""
WAS: Final = "was:"
"""What a former function of an app begins with there: ``was:`` its digest ``:`` the app's name."""
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_FORMER: Final = re.compile(r"([0-9a-f]{64}):(.+)", re.DOTALL)


@message(eq=True)
class Choice:
    """What is to be executed of what memory does not answer.

    Attributes:
        apps: the names of apps.
        calls: the names of calls, as ``weft.values.events.CallFailed`` has them.
        former: apps and what their functions were when results were kept that are to be used
            although the functions are others now.
    """

    apps: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    former: tuple[tuple[str, bytes], ...] = ()

    def formerly(self, app: str) -> list[bytes]:
        """What the function of an app was."""
        return [function for name, function in self.former if name == app]


def choice_of(words: Sequence[str]) -> Choice:
    """The choice that words make: names of apps, ``call:`` and names of calls, and ``was:``.

    Raises:
        ValueError: a word is empty, or is no name of a call or a function.
    """
    apps, calls = set[str](), set[str]()
    former: dict[tuple[str, bytes], None] = {}
    for word in words:
        if word.startswith(CALL):
            name = word.removeprefix(CALL)
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{word!r} is no name of a call, which has 32 digits from 0 to f")
            calls.add(name)
        elif word.startswith(WAS):
            found = _FORMER.fullmatch(word.removeprefix(WAS))
            if found is None:
                what = "a former function, which is 64 digits, ':' and an app's name"
                raise ValueError(f"{word!r} is not {what}")
            former[found[2], bytes.fromhex(found[1])] = None
        elif word:
            apps.add(word)
        else:
            raise ValueError("an app with no name cannot be chosen")
    return Choice(frozenset(apps), frozenset(calls), tuple(former))
