"""Who watches what, in the loop of the server.

A view that several clients watch is made once, and so is the text of each of its updates. No client
has a queue: it knows the version it has, and is sent the patch to the next one, or all of the view
if it is further behind. So a client that does not read costs the text it was sent last, and has the
view as it is now when it reads again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

from weft_dashboard.changes import as_json
from weft_dashboard.watcher import Key, Trouble, Update, Watcher

__all__ = ["Full", "Topic", "Topics"]

_TOPICS: Final = 512
_CLIENTS: Final = 4_000


class Full(Exception):
    """There are as many watchers as there may be."""


class Topic:
    """A view that is watched.

    Attributes:
        version: counts the updates; 0 before the first.
        trouble: why there will be no more of them; ``None`` while there may be.
    """

    def __init__(self, key: Key, number: int) -> None:
        self.key, self.number = key, number
        self.version = 0
        self.clients = 0
        self.trouble: Trouble | None = None
        self._update: Update | None = None
        self._whole: bytes | None = None
        self._patch: bytes | None = None
        self._changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def publish(self, told: Update | Trouble) -> None:
        """Take in what the watcher tells."""
        if isinstance(told, Trouble):
            self.trouble = told
        else:
            self.version += 1
            self._update, self._whole, self._patch = told, None, None
        self.wake()

    def wake(self) -> None:
        """Have those that wait look again."""
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)

    async def changed(self, version: int, seconds: float) -> bool:
        """Wait until there is something newer than a version, for no longer than so many seconds.

        Returns:
            Whether there is.
        """
        if self.version == version and self.trouble is None:
            await asyncio.wait([self._changed], timeout=seconds)
        return self.version != version or self.trouble is not None

    def since(self, version: int) -> tuple[str, bytes]:
        """What makes the newest version of that one, as a name of an event and JSON."""
        update = self._update
        assert update is not None, "asked before the first update"
        if update.patch is not None and version == self.version - 1 and version:
            if self._patch is None:
                self._patch = as_json(update.patch)
            return "patch", self._patch
        if self._whole is None:
            self._whole = as_json(update.data)
        return "snapshot", self._whole


class Topics:
    """All views that are watched.

    Args:
        watcher: which makes them.

    Attributes:
        clients: how many watch something.
        asked: how many have asked for something once.
        ended: whether nobody is to watch any more.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._topics: dict[Key, Topic] = {}
        self._numbers = 0
        self.clients = self.asked = 0
        self.ended = False

    @asynccontextmanager
    async def watching(self, key: Key) -> AsyncIterator[Topic]:
        """Watch a view.

        Raises:
            Full: there are too many watchers already.
        """
        topic = self._topics.get(key)
        if self.clients >= _CLIENTS or (topic is None and len(self._topics) >= _TOPICS):
            raise Full
        if topic is None or topic.trouble is not None:
            topic = self._topics[key] = Topic(key, self._number())
            loop = asyncio.get_running_loop()
            self._watcher.watch(topic.number, key, partial(_post, loop, topic.publish))
        self.clients += 1
        topic.clients += 1
        try:
            yield topic
        finally:
            self.clients -= 1
            topic.clients -= 1
            if topic.clients == 0:
                self._watcher.leave(topic.number)
                if self._topics.get(key) is topic:
                    del self._topics[key]

    def end(self) -> None:
        """Have all that watch leave."""
        self.ended = True
        for topic in self._topics.values():
            topic.wake()

    async def once(self, key: Key) -> Update | Trouble:
        """A view as it is now."""
        if self.asked >= _TOPICS:
            raise Full
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Update | Trouble] = loop.create_future()

        def settle(what: Update | Trouble) -> None:
            if not answer.done():  # cancelled: the client has gone
                answer.set_result(what)

        number = self._number()
        self._watcher.ask(number, key, partial(_post, loop, settle))
        self.asked += 1
        try:
            return await answer
        finally:
            self.asked -= 1
            self._watcher.leave(number)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


def _post(
    loop: asyncio.AbstractEventLoop,
    take: Callable[[Update | Trouble], None],
    what: Update | Trouble,
) -> None:
    """Have the loop take what the watcher tells, on whose thread this is called."""
    with suppress(RuntimeError):  # the loop has ended: nobody watches any more
        loop.call_soon_threadsafe(take, what)
