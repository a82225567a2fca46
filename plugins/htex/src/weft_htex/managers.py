"""What has become of managers, from one piece of news to the next; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weft.values.blocks import BlockId
from weft.values.events import ManagerChanged
from weft_htex.messages import News

__all__ = ["Managers"]


class Managers:
    """The managers that there are, as the interchange told of them last.

    Args:
        executor: the label of their executor.
    """

    def __init__(self, executor: str) -> None:
        self._executor = executor
        self._known: dict[str, Mapping[str, Any]] = {}

    def changes(self, news: News, now: float) -> Iterator[ManagerChanged]:
        """What has changed, by news: each manager that came, changed its state or is gone."""
        for name, one in news.managers.items():
            before = self._known.get(name)
            self._known[name] = one
            if before is None or before["state"] != one["state"]:
                yield self._changed(now, name, one, one["state"])
        for name, state, why in news.gone:
            gone = self._known.pop(name, None)
            if gone is not None:
                yield self._changed(now, name, gone, state, why)

    def over(self, state: str, why: str, now: float) -> Iterator[ManagerChanged]:
        """All of them are gone, with the interchange."""
        while self._known:
            name, one = self._known.popitem()
            yield self._changed(now, name, one, state, why)

    def _changed(
        self, now: float, name: str, one: Mapping[str, Any], state: str, why: str = ""
    ) -> ManagerChanged:
        versions = sorted(one["packages"].items())
        return ManagerChanged(
            time=now,
            executor=self._executor,
            block=BlockId(one["block"]),
            manager=name,
            host=one["host"],
            state=state,
            pid=one["pid"],
            workers=one["workers"],
            python=one["python"],
            packages=",".join(
                f"{what}=={version}" if version else what for what, version in versions
            ),
            reason=why,
        )
