"""The server: pages, the data they show, and its updates. It only reads.

GET /                                the page, which is the same for all of these
GET /runs/RUN[/VIEW[/TASK]]
GET /static/...                      what the page is made of
GET /api/runs                        the list of runs
GET /api/runs/RUN/VIEW?...           a view of a run, as JSON
GET /api/events?run=RUN&view=VIEW... the same, and what is new in it for as long as one listens
GET /healthz                         whether it is there
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from weft_dashboard.changes import as_json
from weft_dashboard.guard import Access, Guard
from weft_dashboard.topics import Full, Topic, Topics
from weft_dashboard.views import VIEWS
from weft_dashboard.watcher import Key, Trouble, Watcher

__all__ = ["Dashboard", "Serving"]

STATIC: Final = Path(__file__).parent / "static"
_QUIET: Final = 15.0
"""Seconds without news after which a client is told that there are none."""
_ASKED: Final = 500
"""The longest text that may be asked for."""


class Dashboard(Guard):
    """The pages of a folder, and what they ask for.

    Args:
        folder: a folder of runs, or the folder of one.
        access: who may look.
    """

    def __init__(self, folder: Path, access: Access) -> None:
        watcher = Watcher(folder)
        self._topics = Topics(watcher)
        super().__init__(_pages(watcher, self._topics), access)

    def end(self) -> None:
        """Have all that watch leave."""
        self._topics.end()


class Serving(uvicorn.Server):
    """A server of a dashboard, whose end waits for nobody who watches.

    Args:
        dashboard: which one.
    """

    def __init__(self, dashboard: Dashboard) -> None:
        super().__init__(
            uvicorn.Config(
                dashboard,
                access_log=False,  # in which the token would be
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )
        self._dashboard = dashboard

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: those that watch leave, and those that do not read are cut off."""
        self._dashboard.end()
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it would tell of each one
        await super().shutdown(sockets)


def _pages(watcher: Watcher, topics: Topics) -> Starlette:
    api = _Api(topics)
    return Starlette(
        routes=[
            Route("/api/runs", api.runs),
            Route("/api/runs/{run}/{view}", api.view),
            Route("/api/events", _Events(topics)),
            Route("/healthz", _healthy),
            Route("/favicon.ico", _icon),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/", _page),
            Route("/runs/{run}", _page),
            Route("/runs/{run}/{view}", _page),
            Route("/runs/{run}/{view}/{task:int}", _page),
        ],
        lifespan=_living(watcher),
    )


def _living(
    watcher: Watcher,
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def living(_app: Starlette) -> AsyncIterator[None]:
        watcher.start()
        try:
            yield
        finally:
            await asyncio.to_thread(watcher.close)

    return living


async def _page(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})


async def _icon(_request: Request) -> Response:
    return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


class _Api:
    """Views as JSON, once."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def runs(self, _request: Request) -> Response:
        return await self._answer(Key("", "runs"))

    async def view(self, request: Request) -> Response:
        key = _key(request.path_params["run"], request.path_params["view"], request.query_params)
        return await self._answer(key)

    async def _answer(self, key: Key | Trouble) -> Response:
        if isinstance(key, Trouble):
            return _trouble(key)
        try:
            told = await self._topics.once(key)
        except Full:
            return _full()
        if isinstance(told, Trouble):
            return _trouble(told)
        return Response(as_json(told.data), media_type="application/json")


class _Events:
    """Views, and what is new in them, as server-sent events.

    ``snapshot`` brings all of a view, ``patch`` a JSON merge patch to what came before, ``trouble``
    the reason why there will be nothing more.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client has gone."""
        asked = QueryParams(scope["query_string"])
        key = _key(asked.get("run", ""), asked.get("view", "runs"), asked)
        if isinstance(key, Trouble):
            await _trouble(key)(scope, receive, send)
            return
        try:
            async with self._topics.watching(key) as topic:
                await _until_gone(receive, self._send(topic, send))
        except Full:
            await _full()(scope, receive, send)

    async def _send(self, topic: Topic, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),  # for a proxy that would wait for more
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _write(send, b"retry: 2000\n\n")
        version = 0
        while not self._topics.ended:
            if not await topic.changed(version, _QUIET):
                await _write(send, b": nothing new\n\n")
                continue
            if topic.version != version:
                kind, data = topic.since(version)
                version = topic.version
                head = f"event: {kind}\nid: {version}\ndata: ".encode()
                await _write(send, head + data + b"\n\n")
            elif topic.trouble is not None:
                data = as_json({"status": topic.trouble.status, "text": topic.trouble.text})
                await _write(send, b"event: trouble\ndata: " + data + b"\n\n")
                break
        await _write(send, b"", more=False)


async def _write(send: Send, data: bytes, *, more: bool = True) -> None:
    """Returns when the client has taken all but the last of what it was sent."""
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _until_gone(receive: Receive, sending: Coroutine[None, None, None]) -> None:
    """Send for as long as the client is there."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(gone()), asyncio.ensure_future(sending)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _key(run: str, view: str, asked: QueryParams) -> Key | Trouble:
    """What is asked for, in one spelling; or why it cannot be."""
    rest = sorted((name, text) for name, text in asked.items() if name not in ("run", "view"))
    if any(len(text) > _ASKED for pair in rest for text in pair) or len(rest) > 10:
        return Trouble(400, "That is too much to ask for.")
    if not run:
        return Key("", "runs")
    if view not in VIEWS:
        return Trouble(404, f"There is no view {view[:40]!a}: there are {', '.join(VIEWS)}.")
    return Key(run, view, tuple(rest))


def _trouble(trouble: Trouble) -> Response:
    return PlainTextResponse(trouble.text + "\n", trouble.status)


def _full() -> Response:
    return PlainTextResponse(
        "There are too many watchers at once. Close some pages.\n", 503, {"retry-after": "5"}
    )
