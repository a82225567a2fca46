"""Brings files from web servers, and sends them what tasks made.

in   GET ──▶ part beside the final name ──▶ length, checksums ──rename──▶ folder/name
              └ the connection broke: kept, and the next try asks for the rest of it
out  folder/name ──PUT──▶ URL
"""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from weft.data.made import open_made
from weft.data.names import name_for_url
from weft.data.urls import masked
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_http.addresses import Address, expected_sum, parse
from weft_http.bring import Bringing
from weft_http.connections import Connections
from weft_http.parts import Part
from weft_http.send import send
from weft_http.settings import Http
from weft_http.trouble import Trouble, of_disk

__all__ = ["HttpStager", "build"]

_SAME_AS_GET: Final = frozenset({403, 405, 501})
"""What servers answer to HEAD that have the file for GET, such as to a signed URL."""


def build(settings: Http) -> "HttpStager":
    """The stager with these settings."""
    return HttpStager(settings)


class HttpStager(Stager):
    """Moves files of ``http`` and ``https`` URLs."""

    def __init__(self, settings: Http) -> None:
        self._settings = settings
        self._connections = Connections(settings)
        self._progress: Callable[[Transfer, int, int | None], None] = _unheard

    def start(self, context: StagerContext) -> None:
        """Connections are opened as files need them."""
        self._progress = context.progress

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder, made of the URL; one with a password in it is refused."""
        try:
            parse(file.url)
        except Trouble as trouble:
            raise _error(file, way, trouble) from None
        placed = file.placed(os.fspath(Path(place.folder, name_for_url(file.url)).absolute()))
        return Transfer(way=way, file=file, placed=placed, place=place)

    def move(self, transfer: Transfer) -> None:
        """Bring it, or send it."""
        try:
            address = parse(transfer.file.url)
            sums = expected_sum(transfer.file.url, self._settings.checksums)
            if transfer.way is Way.IN:
                self._bring(transfer, address, sums)
            else:
                self._send(transfer, address, sums)
        except Trouble as trouble:
            raise _error(transfer.file, transfer.way, trouble) from trouble.__cause__

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """As many at once as there are connections for, each of which is used again and again."""
        if len(transfers) < 2:
            return super().move_all(transfers)
        outcomes: list[Exception | None] = [None] * len(transfers)
        waiting = iter(enumerate(transfers))
        taking = threading.Lock()

        def work() -> None:
            while True:
                with taking:
                    found = next(waiting, None)
                if found is None:
                    return
                number, transfer = found
                outcomes[number] = super(HttpStager, self).move_all([transfer])[0]

        movers = [
            threading.Thread(target=work, name=f"weft-http-{number}", daemon=True)
            for number in range(1, min(self._settings.connections, len(transfers)) + 1)
        ]
        for mover in movers:
            mover.start()
        for mover in movers:
            mover.join()
        return outcomes

    def validator(self, file: File) -> str | None:
        """A checksum or strong entity tag; else the time of the last change with the length."""
        try:
            address = parse(file.url)
            expected = expected_sum(file.url, self._settings.checksums)
            if expected is not None:
                return ":".join(expected)
            with self._connections.ask("HEAD", address, {}) as answer:
                if 200 <= answer.status < 300:
                    return answer.facts().validator
                if answer.status not in _SAME_AS_GET:
                    raise answer.refused()
            with self._connections.ask("GET", address, {"Range": "bytes=0-0"}) as answer:
                if answer.status not in {200, 206}:
                    raise answer.refused()
                return answer.facts().validator
        except Trouble as trouble:
            raise _error(file, Way.IN, trouble) from trouble.__cause__

    def close(self) -> None:
        """Close the connections. What is being moved ends at its next piece."""
        self._connections.close()

    def _bring(
        self, transfer: Transfer, address: Address, expected: tuple[str, str] | None
    ) -> None:
        final = transfer.placed.as_path()
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            part = Part(final, transfer.file.url, keep=self._settings.resume)
            bringing = Bringing(
                connections=self._connections,
                address=address,
                part=part,
                expected=expected,
                unknown_length=self._settings.unknown_length,
                told=functools.partial(self._progress, transfer),
            )
            try:
                bringing.fetch()
                part.finish(sync=self._settings.sync)
            except Trouble as trouble:
                if trouble.again:
                    part.leave()
                raise
            finally:
                part.drop()
        except OSError as error:
            raise of_disk(error, os.fspath(final)) from error

    def _send(self, transfer: Transfer, address: Address, expected: tuple[str, str] | None) -> None:
        with open_made(transfer) as made:
            send(
                made,
                self._connections,
                address,
                expected,
                functools.partial(self._progress, transfer),
            )


def _error(file: File, way: Way, trouble: Trouble) -> StagingError:
    return StagingError(
        masked(file.url),
        way,
        trouble.reason,
        trouble.todo,
        again=trouble.again,
        retry_after=trouble.retry_after,
    )


def _unheard(transfer: Transfer, done: int, total: int | None) -> None:
    """Nobody listens before the start."""
