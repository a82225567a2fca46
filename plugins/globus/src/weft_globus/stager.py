"""The stager ``globus``: has the service move files, and waits.

``plan`` and ``move`` run in any thread; all that is said to the service is said by one,
``weft-globus``, which starts with the first file.
"""

import os
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from weft.data.names import name_for_url
from weft.errors import StagingError
from weft.interfaces.stager import Place, Stager, StagerContext, Transfer, Way
from weft.values.files import File
from weft_globus.orders import Order, watched
from weft_globus.owner import Owner
from weft_globus.service import Refused
from weft_globus.settings import Globus
from weft_globus.sides import leg_of, named
from weft_globus.words import FRESH, Facts

__all__ = ["GlobusStager", "build"]


def build(settings: Globus) -> "GlobusStager":
    """The stager with these settings."""
    return GlobusStager(settings)


class GlobusStager(Stager):
    """Moves files between collections."""

    def __init__(self, settings: Globus) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._owner: Owner | None = None
        self._context: StagerContext
        self._closed = False

    def start(self, context: StagerContext) -> None:
        """Nothing is asked for yet: whether somebody is logged in shows with the first file."""
        self._context = context

    def plan(self, way: Way, file: File, place: Place) -> Transfer:
        """A name in the folder of the place, made of the collection and the path."""
        name = name_for_url(named(file.url, way).url)
        where = os.path.join(os.path.abspath(place.folder), name)  # noqa: PTH118, PTH100
        return Transfer(way=way, file=file, placed=file.placed(where), place=place)

    def move(self, transfer: Transfer) -> None:
        """Have the file moved, together with others that are asked for at about the same time."""
        (outcome,) = self.move_all([transfer])
        if outcome is not None:
            raise outcome

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        """Have all moved; those that go the same way by one task of the service."""
        outcomes: list[Exception | None] = [None] * len(transfers)
        bell = threading.Condition()
        orders: dict[int, Order] = {}
        for n, transfer in enumerate(transfers):
            try:
                orders[n] = self._ordered(transfer, bell)
            except StagingError as error:
                outcomes[n] = error
        if not orders:
            return outcomes
        owner = self._running()
        if owner is None:
            raise _closing(transfers[0].file, transfers[0].way)
        owner.order(list(orders.values()))
        try:
            errors = watched(list(orders.values()), bell, self._context)
        finally:
            for order in orders.values():
                if not order.over:
                    owner.drop(order)
        for n, failure in zip(orders, errors, strict=True):
            outcomes[n] = failure
        return outcomes

    def validator(self, file: File) -> str | None:
        """The time of the last change, and the size; none while it may change unseen."""
        where = named(file.url, Way.IN)
        owner = self._running()
        if owner is None:
            raise _closing(file, Way.IN)
        try:
            facts: Facts = owner.ask(lambda service: service.facts(where))
        except Refused as refused:
            said = refused.refusal
            raise StagingError(
                file.url, Way.IN, said.reason, said.todo, again=said.again
            ) from refused
        if facts.kind != "file" or facts.when is None:
            return None
        return facts.seen if facts.when + FRESH < time.time() else None

    def close(self) -> None:
        """Cancel what is under way."""
        with self._lock:
            self._closed = True
            owner = self._owner
        if owner is not None:
            owner.close()

    # -------------------------------------------------------------------------------------- inside

    def _running(self) -> Owner | None:
        """The owner of the transfers, started if need be; none once this is closed."""
        with self._lock:
            if self._closed:
                return None
            if self._owner is None:
                self._owner = Owner(self._settings, self._context)
                self._owner.start()
            return self._owner

    def _ordered(self, transfer: Transfer, bell: threading.Condition) -> Order:
        """What the service is asked for, once what this machine knows of the file is in order."""
        leg = leg_of(transfer, self._settings)
        size = None
        if leg.here is not None and transfer.way is Way.OUT:
            size = _made(leg.here, transfer)
        return Order(transfer, leg, size, bell)


def _closing(file: File, way: Way) -> StagingError:
    return StagingError(file.url, way, "The run is closing.")


def _made(path: Path, transfer: Transfer) -> int:
    """The size of what a task made, in a folder of this machine.

    Raises:
        StagingError: it is not there, or no file, or a link to somewhere else.
    """
    url, way = transfer.file.url, transfer.way
    try:
        facts = path.lstat()
    except OSError as error:
        raise StagingError(
            url,
            way,
            f"The task did not make {str(path)!r}: {error.strerror}.",
            "Check the name, and whether the task wrote the file somewhere else.",
        ) from None
    if not stat.S_ISREG(facts.st_mode):
        what = "a link" if stat.S_ISLNK(facts.st_mode) else "no file"
        raise StagingError(
            url,
            way,
            f"{str(path)!r} is {what}.",
            "Let the task write one file itself; a folder can be packed into one.",
        )
    return facts.st_size
