"""The thread that owns the transfers: it alone speaks with the service.

    move ──order──▶ inbox ──▶ group ──join_window──▶ record ──submit──▶ task
      ▲                         │ what is known of the sources           │ asked how it is
      └──── done, or why not ◀──┴────────────── renamed ◀── ended ◀──────┘

One task of the service moves all files that go between the same two collections and come at about
the same time. A task is asked about at growing intervals, since the service tells of nothing by
itself. One that stands still is ended: after ``patience`` for what stays so, after ``outage`` for
what may pass. One that nobody waits for any more is cancelled.

What is under way is on disk before the service hears of it, by the name of the submission, under
which the service makes one task however often it is asked.
"""

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from weft.interfaces.stager import StagerContext, Way
from weft_globus.arrival import appear, discard
from weft_globus.orders import Group, Order
from weft_globus.records import Item, Record, Records
from weft_globus.service import Refused, Service, link_of
from weft_globus.settings import Globus
from weft_globus.sides import path_here
from weft_globus.urls import Position
from weft_globus.words import (
    FRESH,
    Facts,
    Fault,
    Refusal,
    TaskView,
    hopeless,
    task_refusal,
    the_guilty,
)

__all__ = ["NAME", "Owner"]

NAME: Final = "weft-globus"

_FIRST: Final = 1.0
"""Seconds until a new task is asked about, at most."""
_SLOWER: Final = 1.5
"""How much longer each next interval is."""
_CANCELLING: Final = 60.0
"""Seconds that the service may take to end a task."""
_CLOSING: Final = 10.0
"""The same when the run closes."""

_CLOSED: Final = Refusal(reason="The run is closing, so its transfers were cancelled.")
_UNWANTED: Final = Refusal(reason="Nobody waits for it any more.")
_GONE: Final = "ClientError.NotFound"


@attrs.define(eq=False)
class Active:
    """A task of the service that is waited for.

    Attributes:
        record: the submission.
        orders: who waits, by the number of the item.
        due: when to ask next, by the owner's clock.
        interval: how long until the time after that.
        view: how it was last.
        stuck: since when nothing moves, for a trouble that the service tells.
        silent: since when the service does not answer about it.
        ending: why it is being cancelled, and until when that is waited for.
    """

    record: Record
    orders: dict[int, Order]
    due: float
    interval: float
    view: TaskView = attrs.field(factory=lambda: TaskView(status="ACTIVE"))
    stuck: float | None = None
    silent: float | None = None
    ending: tuple[Refusal, float] | None = None
    warned: bool = False


@attrs.define(eq=False)
class Sweep:
    """A task of the service that removes what a transfer has left at the other side.

    Attributes:
        task_id: its id.
        failures: who hears that it failed once nothing of it is left.
        due: when to ask next.
        until: when to wait no more.
    """

    task_id: str
    failures: Sequence[tuple[Order, Refusal]]
    due: float
    until: float


class Owner:
    """Does what others order. Each public method may be called from any thread.

    Args:
        settings: those of the stager.
        context: of the stager; its folder is for the records.
        service: makes what speaks with Globus; called in the thread.
    """

    def __init__(
        self,
        settings: Globus,
        context: StagerContext,
        service: Callable[[Globus], Service] = Service,
    ) -> None:
        self._settings, self._context = settings, context
        self._folder, self._notice = context.folder, context.notice
        self._make = service
        self._changed = threading.Condition()
        self._inbox: deque[Callable[[], None]] = deque()
        self._stopped = False
        # All below is the thread's own.
        self._groups: dict[tuple[str, str], Group] = {}
        self._active: list[Active] = []
        self._sweeps: list[Sweep] = []
        self._left: dict[tuple[str, ...], tuple[Record, int]] = {}
        self._own: set[str] = set()
        self._service: Service
        self._records: Records
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)

    # -------------------------------------------------------------------------- from other threads

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def order(self, orders: Sequence[Order]) -> None:
        """Have files moved; they are waited for by ``Order.wait``."""
        if not self._post(lambda: self._take(orders)):
            for order in orders:
                order.failed(_CLOSED)

    def drop(self, order: Order) -> None:
        """Say that nobody waits for a file any more."""
        self._post(lambda: self._forget(order))

    def ask(self, question: Callable[[Service], Any]) -> Any:
        """Have something asked of the service, and wait for the answer.

        Raises:
            Refused: it was not answered.
        """
        answered = threading.Event()
        answer: list[Any] = []

        def put() -> None:
            try:
                answer.append(question(self._service))
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
                answer.append(error)
            answered.set()

        if not self._post(put):
            raise Refused(_CLOSED)
        # The service is given up after so long for one request, which is made twice at most; there
        # may be others before it.
        while not answered.wait(self._settings.request_timeout):
            if not self._thread.is_alive():
                raise Refused(_CLOSED)
        (value,) = answer
        if isinstance(value, BaseException):
            raise value
        return value

    def close(self) -> None:
        """Cancel what is under way, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(_CLOSING + 2 * self._settings.request_timeout)
        if self._thread.is_alive():
            self._notice(
                "warning",
                f"The thread {NAME} still waits for an answer of Globus and was left behind.",
            )

    def _post(self, message: Callable[[], None]) -> bool:
        with self._changed:
            if self._stopped:
                return False
            self._inbox.append(message)
            self._changed.notify_all()
            return True

    # ---------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        why = _CLOSED
        with contextlib.ExitStack() as opened:
            try:
                self._service = self._make(self._settings)
                opened.callback(self._service.close)
                self._records = Records(self._folder)
                opened.callback(self._records.close)
                if self._settings.resume:
                    self._inherit()
                while not self._stopped:
                    self._step()
            except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
                why = Refusal(reason=f"The stager failed: {type(error).__name__}: {error}.")
            self._end(why)

    def _step(self) -> None:
        """Take what has come, and do what is due."""
        with self._changed:
            if not self._inbox and not self._stopped:
                self._changed.wait(self._idle())
            messages = list(self._inbox)
            self._inbox.clear()
        for message in messages:
            message()
        now = time.monotonic()
        for ends, group in list(self._groups.items()):
            full = len(group.orders) >= self._settings.join_files
            if full or now - group.since >= self._settings.join_window:
                # In this order: what cannot be sent is still known to those who end it all.
                self._send(ends, group.orders)
                del self._groups[ends]
        for one in list(self._active):
            if one.due <= time.monotonic():
                self._look_at(one)
        for sweep in list(self._sweeps):
            if sweep.due <= time.monotonic():
                self._look_after(sweep)

    def _idle(self) -> float | None:
        """How long there is nothing to do."""
        times = [one.due for one in self._active] + [one.due for one in self._sweeps]
        times += [group.since + self._settings.join_window for group in self._groups.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _take(self, orders: Sequence[Order]) -> None:
        for order in orders:
            leg = order.leg
            ends = (leg.source.collection, leg.target.collection)
            group = self._groups.setdefault(ends, Group(since=time.monotonic()))
            group.orders.append(order)

    # --------------------------------------------------------------------------------- submitting

    def _send(self, ends: tuple[str, str], orders: Sequence[Order]) -> None:
        """Have the service move files that go the same way."""
        try:
            known = self._service.look([order.leg.source for order in orders])
        except Refused as refused:
            _fail(orders, refused.refusal)
            return
        new: list[tuple[Order, Facts]] = []
        for order in orders:
            facts = known[order.leg.source]
            refusal = _unfit(order, facts)
            if refusal is not None:
                order.failed(refusal)
                continue
            assert isinstance(facts, Facts)  # the others are unfit
            order.size = facts.size
            if not self._adopt(order, facts):
                new.append((order, facts))
        most = self._settings.join_files
        for n in range(0, len(new), most):
            self._submit(ends, new[n : n + most])

    def _submit(self, ends: tuple[str, str], new: Sequence[tuple[Order, Facts]]) -> None:
        source, target = ends
        orders = [order for order, _ in new]
        try:
            submission = self._service.submission_id()
        except Refused as refused:
            _fail(orders, refused.refusal)
            return
        items = tuple(
            Item(
                source=order.leg.source.path,
                target=order.leg.target.path,
                part=self._part(order.leg.target),
                seen=facts.seen,
            )
            for order, facts in new
        )
        record = Record(submission_id=submission, source=source, target=target, items=items)
        self._own.add(submission)
        try:
            self._records.write(record)
        except OSError as error:
            _fail(orders, Refusal(reason=f"{str(self._folder)!r}: {error.strerror}.", again=True))
            return
        self._begin(record, dict(enumerate(orders)))

    def _begin(self, record: Record, orders: dict[int, Order]) -> None:
        """Ask for the task of a record; or again, which gives the same task."""
        if not record.task_id:
            items = [(item.source, item.part) for item in record.items]
            try:
                task = self._service.submit(
                    record.submission_id, record.source, record.target, items
                )
            except Refused as refused:
                _fail(orders.values(), refused.refusal)
                if refused.refusal.again:
                    # It may have been accepted all the same: who asks next finds it.
                    self._leave(record)
                else:
                    self._records.remove(record)
                return
            record = attrs.evolve(record, task_id=task)
            self._keep(record)
        first = min(_FIRST, self._settings.poll_interval)
        self._active.append(
            Active(
                record=record,
                orders=orders,
                due=time.monotonic() + (0 if orders and _all_adopted(orders) else first),
                interval=first,
            )
        )

    def _keep(self, record: Record) -> None:
        """Have on disk what is known by now."""
        # Without it, what is there is asked for again by its submission, or moved once more.
        with contextlib.suppress(OSError):
            self._records.write(record)

    def _part(self, target: Position) -> str:
        if not self._settings.rename:
            return target.path
        return target.beside(f".{uuid.uuid4().hex}.part").path

    # ----------------------------------------------------------------------- what others have begun

    def _inherit(self) -> None:
        """Know what runs that were killed have left."""
        for record in self._records.left():
            if time.time() - record.requested < self._settings.deadline:
                self._leave(record)
                continue
            # The service has ended it long ago.
            if record.target == self._settings.local_collection.lower():
                for item in record.items:
                    self._discard(item)
            self._records.remove(record)

    def _leave(self, record: Record) -> None:
        """Keep a submission for who asks for its files next."""
        for n, item in enumerate(record.items):
            source, target = record.positions(item)
            self._left[str(source), target.collection] = record, n
            self._left[str(source), target.collection, target.path] = record, n

    def _adopt(self, order: Order, facts: Facts) -> bool:
        """Wait for a transfer that was begun before, if there is one, and of the same content."""
        found = self._left.get(order.key)
        if found is None:
            return False
        record, n = found
        self._unleave(record, n)
        running = next(
            (one for one in self._active if one.record.submission_id == record.submission_id), None
        )
        if running is not None and n in running.orders:
            return False
        item, mine = record.items[n], record.submission_id in self._own
        # One that was young then may have changed once more after it was seen; not within a run,
        # where nobody would ask for it again.
        settled = facts.when is not None and facts.when + FRESH < record.requested
        if facts.seen != item.seen or not (mine or settled) or (running and running.ending):
            if running is None and len(record.items) == 1:
                self._drop(record)
            return False
        order.adopted = True
        if running is not None:
            running.orders[n] = order
            running.due = time.monotonic()
        else:
            self._begin(record, {n: order})
        return True

    def _drop(self, record: Record) -> None:
        """Have a transfer ended that nobody came back for."""
        if not record.task_id:
            self._records.remove(record)  # it was refused, or nobody will hear of it again
            return
        self._own.add(record.submission_id)  # so that nothing of it is kept
        one = Active(record=record, orders={}, due=0.0, interval=_FIRST)
        self._active.append(one)
        self._cancel(one, _UNWANTED)

    def _unleave(self, record: Record, n: int) -> None:
        self._left = {
            key: one
            for key, one in self._left.items()
            if (one[0].submission_id, one[1]) != (record.submission_id, n)
        }

    # ------------------------------------------------------------------------------------ watching

    def _look_at(self, one: Active) -> None:
        """Ask how a task is, and see what follows."""
        now = time.monotonic()
        try:
            view = self._service.task(one.record.task_id)
        except Refused as refused:
            self._unanswered(one, refused.refusal, now)
            return
        one.silent = None
        went_on = view.moved > one.view.moved or view.files > one.view.files
        one.view = view
        for order in one.orders.values():
            # The service counts the bytes of all files of a task together.
            order.told(view.moved // len(one.record.items))
        if view.ended:
            self._ended(one)
            return
        if one.ending is not None:
            refusal, until = one.ending
            if now >= until:
                self._settle(one, {}, refusal)
                return
        elif went_on or not view.trouble:
            one.stuck = None
        else:
            self._stands(one, now)
        one.interval = min(one.interval * _SLOWER, self._settings.poll_interval)
        one.due = now + (one.interval if one.ending is None else min(one.interval, _FIRST))

    def _stands(self, one: Active, now: float) -> None:
        """Wait a while for a task that stands still, then end it."""
        one.stuck = now if one.stuck is None else one.stuck
        faults = self._faults(one)
        for_good = (
            one.view.status == "INACTIVE"
            or hopeless(one.view.trouble)
            or (not one.view.paused and any(hopeless(fault.code) for fault in faults[:1]))
        )
        refusal = task_refusal(
            one.view, faults, link_of(one.record.task_id), self._settings.client_id
        )
        if not one.warned:
            one.warned = True
            self._notice(
                "warning", f"A transfer of Globus stands still. {refusal.reason} {refusal.todo}"
            )
        limit = self._settings.patience if for_good else self._settings.outage
        if now - one.stuck >= limit:
            reason = f"{refusal.reason} It had stood still for {limit:g} s, so it was ended."
            self._cancel(one, attrs.evolve(refusal, reason=reason))
        else:
            one.interval = min(one.interval, max(0.05, limit - (now - one.stuck)))

    def _faults(self, one: Active) -> list[Fault]:
        try:
            return self._service.faults(one.record.task_id)
        except Refused:
            return []  # the task itself says something, too

    def _unanswered(self, one: Active, refusal: Refusal, now: float) -> None:
        """Go on waiting for an answer, for a while; the service goes on by itself meanwhile."""
        one.silent = now if one.silent is None else one.silent
        if refusal.again and now - one.silent < self._settings.outage and one.ending is None:
            one.interval = min(one.interval * _SLOWER, self._settings.poll_interval)
            one.due = now + one.interval
            return
        self._active.remove(one)
        if refusal.code.startswith(_GONE):
            self._records.remove(one.record)
            refusal = attrs.evolve(refusal, again=True)
        else:
            self._leave(one.record)
        _fail(one.orders.values(), one.ending[0] if one.ending else refusal)

    # -------------------------------------------------------------------------------------- ending

    def _ended(self, one: Active) -> None:
        """Have those that arrived appear, and say why the others did not."""
        if one.view.status == "SUCCEEDED":
            self._settle(one, dict(enumerate(one.record.items)), None)
            return
        try:
            there = self._service.arrived(one.record.task_id)
        except Refused:
            there = set()  # they are moved again
        arrived = {n: item for n, item in enumerate(one.record.items) if item.part in there}
        faults = self._faults(one)
        if one.ending is not None:
            refusal, _ = one.ending
        else:
            refusal = task_refusal(
                one.view, faults, link_of(one.record.task_id), self._settings.client_id
            )
        missing = [n for n in range(len(one.record.items)) if n not in arrived]
        items = one.record.items
        guilty = the_guilty(faults, [(items[n].source, items[n].part) for n in missing])
        innocent = attrs.evolve(
            refusal,
            reason=f"It was in one transfer with a file that failed. {refusal.reason}",
            again=True,
        )
        by_item = {n: refusal if k in guilty else innocent for k, n in enumerate(missing)}
        self._settle(one, arrived, refusal, by_item)

    def _settle(
        self,
        one: Active,
        arrived: dict[int, Item],
        refusal: Refusal | None,
        by_item: dict[int, Refusal] | None = None,
    ) -> None:
        """A task is over: each who waits hears what became of it, and nothing is left behind."""
        if one in self._active:
            self._active.remove(one)
        waste: list[Item] = []
        kept: list[Item] = []
        there: list[Order] = []
        failures: list[tuple[Order, Refusal]] = []
        inherited = one.record.submission_id not in self._own
        for n, item in enumerate(one.record.items):
            self._unleave(one.record, n)
            order = one.orders.get(n)
            if order is None or order.over:
                # What a killed run had brought may be asked for later in this one.
                (kept if inherited and order is None and n in arrived else waste).append(item)
                continue
            if n in arrived:
                trouble = self._wanted(order) or self._appear(one.record, item, order)
            else:
                trouble = (by_item or {}).get(n, refusal)
                assert trouble is not None  # only a task that failed lacks files
            if trouble is None:
                there.append(order)
            else:
                waste.append(item)
                failures.append((order, trouble))
        later = bool(waste) and self._settings.rename and self._swept(one, waste, failures)
        if kept:
            record = attrs.evolve(one.record, items=tuple(kept))
            self._keep(record)
            self._leave(record)
        else:
            self._records.remove(one.record)
        for order in there:
            order.done()
        for order, trouble in () if later else failures:
            order.failed(trouble)

    def _wanted(self, order: Order) -> Refusal | None:
        """Why what arrived is not to appear: nobody waits for it any more."""
        unwanted = order.tell(self._context, order.size or 0)
        return None if unwanted is None else Refusal(reason=unwanted.reason)

    def _appear(self, record: Record, item: Item, order: Order) -> Refusal | None:
        """Give what arrived its name. Returns why not."""
        target = order.leg.target
        if item.part == target.path:
            return None
        if order.leg.here is not None and order.transfer.way is Way.IN:
            part = path_here(item.part, self._settings)
            assert part is not None  # it is beside a file of this machine
            return appear(part, order.leg.here)
        try:
            self._service.rename(record.target, item.part, target.path)
        except Refused as refused:
            said = refused.refusal
            return attrs.evolve(
                said,
                reason=f"It arrived under another name and could not be renamed. {said.reason}",
                todo="Set rename=False where a collection cannot put a file in the place of "
                "another by renaming it.",
            )
        return None

    def _swept(
        self, one: Active, waste: Sequence[Item], failures: Sequence[tuple[Order, Refusal]]
    ) -> bool:
        """Remove what has another name still, and is not wanted.

        Returns whether that takes a while, after which who failed hears of it.
        """
        record = one.record
        here = [path_here(item.part, self._settings) for item in waste]
        if record.target == self._settings.local_collection.lower() and None not in here:
            for item in waste:
                self._discard(item)
            return False
        if not one.view.moved and not one.view.files:
            return False  # nothing has got so far
        try:
            task = self._service.delete(record.target, [item.part for item in waste])
        except Refused as refused:
            self._notice(
                "warning",
                f"Parts of files were left at {record.target}: "
                f"{', '.join(item.part for item in waste)}. {refused.refusal.reason}",
            )
            return False
        now = time.monotonic()
        first = min(_FIRST, self._settings.poll_interval)
        self._sweeps.append(Sweep(task, failures, due=now + first, until=now + _CANCELLING))
        return True

    def _look_after(self, sweep: Sweep) -> None:
        """See whether what was left is gone."""
        now = time.monotonic()
        try:
            ended = self._service.task(sweep.task_id).ended
        except Refused:
            ended = False
        if not ended and now < sweep.until and not self._stopped:
            sweep.due = now + min(_FIRST, self._settings.poll_interval)
            return
        self._sweeps.remove(sweep)
        for order, refusal in sweep.failures:
            order.failed(refusal)

    def _discard(self, item: Item) -> None:
        here = path_here(item.part, self._settings)
        if here is not None and item.part != item.target:
            discard(here)

    def _cancel(self, one: Active, refusal: Refusal) -> None:
        """Have the service end a task; what follows is seen when it has."""
        now = time.monotonic()
        one.ending, one.due = (refusal, now + _CANCELLING), now
        try:
            self._service.cancel(one.record.task_id)
        except Refused as refused:
            self._notice(
                "warning",
                f"A transfer of Globus could not be cancelled: {refused.refusal.reason} "
                f"It is at {link_of(one.record.task_id)}",
            )

    def _forget(self, order: Order) -> None:
        """Nobody waits for it: end what is done for it alone."""
        order.failed(_UNWANTED)
        for ends, group in list(self._groups.items()):
            if order in group.orders:
                group.orders.remove(order)
                if not group.orders:
                    del self._groups[ends]
        for one in list(self._active):
            one.orders = {n: other for n, other in one.orders.items() if other is not order}
            if not one.orders and one.ending is None:
                self._cancel(one, _UNWANTED)

    def _end(self, why: Refusal) -> None:
        """Let go of all who wait, cancel what is under way, and see it ended."""
        with self._changed:
            self._stopped = True
            messages = list(self._inbox)
            self._inbox.clear()
        for message in messages:
            message()
        for group in self._groups.values():
            _fail(group.orders, why)
        self._groups.clear()
        for sweep in self._sweeps:
            _fail([order for order, _ in sweep.failures], why)
        for one in self._active:
            _fail(one.orders.values(), why)
        # What there is no time for stays on disk, for the next run.
        until = time.monotonic() + _CLOSING
        for one in self._active:
            if one.ending is None and time.monotonic() < until:
                self._cancel(one, why)
        for record in {one.submission_id: one for one, _ in self._left.values()}.values():
            if record.submission_id in self._own and time.monotonic() < until:
                self._drop(record)
        self._see_ended(until)

    def _see_ended(self, until: float) -> None:
        """Wait a while until what was cancelled has ended."""
        while self._active and time.monotonic() < until:
            for one in list(self._active):
                if one.due <= time.monotonic():
                    self._look_at(one)
            pause = min((one.due for one in self._active), default=0.0) - time.monotonic()
            if pause > 0:
                time.sleep(min(pause, _CLOSING))  # nobody speaks to this thread any more


def _fail(orders: Any, refusal: Refusal) -> None:
    for order in orders:
        order.failed(refusal)


def _all_adopted(orders: dict[int, Order]) -> bool:
    return all(order.adopted for order in orders.values())


def _unfit(order: Order, facts: Facts | Refusal) -> Refusal | None:
    """Why a source is not moved, if it is not."""
    made = order.transfer.way is Way.OUT
    if isinstance(facts, Refusal):
        if made and "NotFound" in facts.code and order.leg.here is not None:
            return attrs.evolve(
                facts,
                reason=f"{str(order.leg.here)!r} is there, but {order.leg.source} is not. "
                f"{facts.reason}",
                todo="Look whether the options local_path and collection_path name the same "
                "folder: on this machine, and as the collection has it.",
            )
        if made and "NotFound" in facts.code:
            return attrs.evolve(
                facts,
                reason=f"The task did not make it. {facts.reason}",
                todo="Check the name, and whether the task wrote the file somewhere else.",
            )
        return facts
    if facts.kind != "file":
        return Refusal(
            reason=f"{order.leg.source} is no file, but {facts.kind!r}.",
            todo="Name one file; a folder can be packed into one.",
        )
    if made and facts.link:
        return Refusal(
            reason=f"{order.leg.source} is a link, to {facts.link!r}.",
            todo="Let the task write the file itself, not a link to another place.",
        )
    return None
