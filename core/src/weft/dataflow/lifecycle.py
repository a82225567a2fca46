"""The state machine of a task: what may happen, and what follows; no thread, clock or executor.

    Submitted ─▶ pending ── inputs there ──▶ (memory?) ──▶ (stage in?) ──▶ LAUNCH ──▶ launched
                    ▲                                                                   │
                    └──────── BACK_OFF ◀── error within the budget, or a loss ◀─────────┤
                                                                                        ▼
              SETTLE ◀── (keep?) ◀── (stage out?) ◀── (join: wait for what it returned) ◀── value

``advance(record, event)`` moves the record and returns the effects that its owner is to perform, in
order. The record says of itself which answer it waits for (``awaits``); an event that answers
something else is late or foreign, and changes nothing. Whatever the order of events, a record comes
to exactly one final state, and ``SETTLE`` is returned exactly once, then.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from weft.dataflow.graph import blame
from weft.errors import PoisonTask, SerializationError, TaskLost, WeftError
from weft.values.states import FINAL, TaskState
from weft.values.task import Ended, Outcome, TaskId, TaskSpec, Try

if TYPE_CHECKING:
    from weft.dataflow.futures import AppFuture

__all__ = [
    "ASKED_TO_CANCEL",
    "INPUT_DONE",
    "NOT_KNOWN",
    "SUBMITTED",
    "Aside",
    "Awaits",
    "Costed",
    "Effect",
    "Event",
    "Failed",
    "Found",
    "History",
    "InputFailed",
    "Limits",
    "Returned",
    "Signal",
    "TaskRecord",
    "Todo",
    "advance",
    "ended",
    "submitted",
]

PENDING, STAGING_IN, LAUNCHED, JOINING, STAGING_OUT, DONE, FAILED, CANCELLED = TaskState


class Todo:
    """The stations of a task's way that most tasks do not have; plain numbers to be added up."""

    RECALL: Final = 1
    """Ask memory before running."""
    STAGE_IN: Final = 2
    """Bring files first."""
    JOIN: Final = 4
    """The function returns futures to wait for."""
    STAGE_OUT: Final = 8
    """Take files away afterwards."""
    KEEP: Final = 16
    """Write the value to the checkpoint before anybody is told."""
    PRICE: Final = 32
    """Ask a handler what a failure costs."""


class Awaits(enum.IntEnum):
    """The answer that a record waits for."""

    NOTHING = 0
    SUBMISSION = 1
    INPUTS = 2
    MEMORY = 3
    STAGED_IN = 4
    ATTEMPT = 5
    PRICE = 6
    RETRY = 7
    INNER = 8
    STAGED_OUT = 9
    KEPT = 10


# Members as names of this module: looking one up in its class costs more than what is done with it.
_NOTHING, _SUBMISSION, _INPUTS, _ATTEMPT = (
    Awaits.NOTHING,
    Awaits.SUBMISSION,
    Awaits.INPUTS,
    Awaits.ATTEMPT,
)
_VALUE = Ended.VALUE


class Effect(enum.IntEnum):
    """What the owner of a record is to do. What it needs for that stands in the record."""

    RECALL = 1
    """Ask memory; answer with ``Found``, ``NOT_KNOWN`` or ``Failed``."""
    STAGE_IN = 2
    """Bring the files; answer with ``DONE_WITH_IT`` or ``Failed``."""
    LAUNCH = 3
    """Hand try ``record.attempt`` to an executor; answer with its ``Outcome``."""
    PRICE = 4
    """Ask the retry handler about ``record.error``; answer with ``Costed`` or ``Failed``."""
    BACK_OFF = 5
    """Wait ``as long as the back-off says``; answer with ``RETRY_DUE``."""
    JOIN = 6
    """Find the futures in ``record.value``; answer each with ``INPUT_DONE`` or ``InputFailed``."""
    GATHER = 10
    """The futures that a join waits for have all ended; answer with ``Returned`` or ``Failed``."""
    STAGE_OUT = 7
    """Take the files away; answer with ``DONE_WITH_IT`` or ``Failed``."""
    KEEP = 8
    """Write ``record.value`` to the checkpoint; answer with ``DONE_WITH_IT``."""
    SETTLE = 9
    """Tell everybody; the record is final."""


class Limits:
    """What tries may cost.

    The retry budget, the losses that are forgiven, and the deaths that make a task poison.
    """

    __slots__ = ("deaths", "losses", "retries")

    def __init__(self, retries: float = 0, losses: int = 3, deaths: int = 3) -> None:
        self.retries, self.losses, self.deaths = retries, losses, deaths


class History:
    """What happened to a task that did not go straight through."""

    __slots__ = ("deaths", "lost", "spent", "tries")

    def __init__(self) -> None:
        self.tries: list[Try] = []
        self.spent = 0.0
        self.lost: list[str] = []
        self.deaths = 0


class Aside:
    """What only some tasks carry.

    Attributes:
        key: the memory's key of this call.
        leader: the task that runs an identical call, while this one waits for it.
        kept: output files that were recorded with a value from disk.
        transfers: files to be taken away after the task.
        outcome: the try whose price is being asked.
        errand: what is moved where the task runs, before and after its function.
        asked: the arguments, as they were before files among them got their places.
        call: what the call is called in other runs, where that matters; else empty.
        follows: where only some calls are executed, whether this one follows from those.
        former: there, whether the key is that of a call of a former function, under which nothing
            new is kept.
    """

    __slots__ = (
        "asked", "call", "errand", "follows", "former", "kept", "key", "leader", "outcome",
        "transfers",
    )  # fmt: skip

    def __init__(self) -> None:
        self.asked: tuple[tuple[Any, ...], Mapping[str, Any]] | None = None
        self.key: bytes | None = None
        self.leader: TaskRecord | None = None
        self.kept: Sequence[Any] = ()
        self.transfers: Sequence[Any] = ()
        self.outcome: Outcome | None = None
        self.errand: Any = None
        self.call = ""
        self.follows = self.former = False


class TaskRecord:
    """One task, as its owner knows it.

    Mutable, owned by the kernel's thread, dropped when it is final.

    Attributes:
        id, spec, args, kwargs: what was asked; ``args`` and ``kwargs`` may still hold futures.
        future: what the user has.
        state, awaits, todo: where it is, the answer it waits for, and the stations still before it.
        unmet: how many futures it still waits for, inputs first, then those of a join.
        waits_for: those futures; emptied when they have all been seen.
        failed: those of them that failed.
        dependents: the records that wait for this one.
        attempt, executor: the latest try, and where it runs.
        value, error: what became of it.
        ran: how the latest try to end did that; ``None`` before the first.
        history: tries, costs and losses; ``None`` while nothing went wrong.
        tally, lanes: where its owner counts states, and where it may run.
        aside: what the drivers of rare stations keep with it.
    """

    __slots__ = (
        "args", "aside", "attempt", "awaits", "dependents", "error", "executor", "failed", "future",
        "history", "id", "kwargs", "lanes", "ran", "spec", "state", "tally", "todo", "unmet",
        "value", "waits_for",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - made once for each task, and names would cost more than places
        self,
        id: TaskId,  # noqa: A002 - it is one
        spec: TaskSpec,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        future: AppFuture[Any],
        todo: int = 0,
        waits_for: Sequence[Future[Any]] = (),
    ) -> None:
        self.id = id
        self.spec = spec
        self.args = args
        self.kwargs = kwargs
        self.future = future
        self.state = PENDING
        self.awaits = _SUBMISSION
        self.todo = todo
        self.unmet = 0
        self.waits_for = waits_for
        self.failed: list[Future[Any]] | None = None
        self.dependents: list[TaskRecord] | None = None
        self.attempt = 0
        self.executor = ""
        self.value: Any = None
        self.error: BaseException | None = None
        self.ran: Outcome | None = None
        self.history: History | None = None
        self.tally: list[int] | None = None
        self.lanes: Any = None
        self.aside: Aside | None = None

    def beside(self) -> Aside:
        """Where the drivers of rare stations keep what they need; made when first asked for."""
        if self.aside is None:
            self.aside = Aside()
        return self.aside


# ------------------------------------------------------------------------------------------- events


class Signal(enum.IntEnum):
    """Events that say all by their name."""

    SUBMITTED = 1
    INPUT_DONE = 2
    NOT_KNOWN = 3
    DONE_WITH_IT = 4
    RETRY_DUE = 5
    ASKED_TO_CANCEL = 6


SUBMITTED: Final = Signal.SUBMITTED
INPUT_DONE: Final = Signal.INPUT_DONE
NOT_KNOWN: Final = Signal.NOT_KNOWN
ASKED_TO_CANCEL: Final = Signal.ASKED_TO_CANCEL


class InputFailed:
    """A future that the task waits for has failed or was cancelled."""

    __slots__ = ("future",)

    def __init__(self, future: Future[Any]) -> None:
        self.future = future


class Found:
    """Memory knows the value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Returned:
    """All that a join app returned is there: the value, with values in place of the futures."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Costed:
    """What the retry handler wants a failure to cost."""

    __slots__ = ("cost",)

    def __init__(self, cost: float) -> None:
        self.cost = cost


class Failed:
    """A station between the tries failed, or the owner gives the task up."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


Event = Signal | Outcome | InputFailed | Found | Returned | Costed | Failed

_NONE: Final[tuple[Effect, ...]] = ()
_LAUNCH: Final = (Effect.LAUNCH,)
_SETTLE: Final = (Effect.SETTLE,)
_RECALL: Final = (Effect.RECALL,)
_STAGE_IN: Final = (Effect.STAGE_IN,)
_PRICE: Final = (Effect.PRICE,)
_BACK_OFF: Final = (Effect.BACK_OFF,)
_JOIN: Final = (Effect.JOIN,)
_GATHER: Final = (Effect.GATHER,)
_STAGE_OUT: Final = (Effect.STAGE_OUT,)
_KEEP: Final = (Effect.KEEP,)

_DEFAULT_LIMITS: Final = Limits()


def advance(
    record: TaskRecord, event: Event, limits: Limits = _DEFAULT_LIMITS
) -> tuple[Effect, ...]:
    """Move a record by an event; the effects to perform, in order.

    An event that is not awaited changes nothing.
    """
    return _HANDLERS[type(event)](record, event, limits)


def submitted(record: TaskRecord) -> tuple[Effect, ...]:
    """``advance(record, SUBMITTED)``: by name, for the way that every task goes."""
    if record.awaits is not _SUBMISSION:
        return _NONE
    if record.unmet:
        record.awaits = _INPUTS
        return _NONE
    return _onward(record)


def _signal(record: TaskRecord, event: Signal, limits: Limits) -> tuple[Effect, ...]:
    awaits = record.awaits
    if event is SUBMITTED:
        return submitted(record)
    if event is INPUT_DONE and (awaits is _INPUTS or awaits is Awaits.INNER):
        return _input(record)
    if event is ASKED_TO_CANCEL:
        if awaits is _NOTHING:
            return _NONE
        _interrupted(record, Ended.CANCELLED, None)
        return _end(record, CANCELLED)
    if event is NOT_KNOWN and awaits is Awaits.MEMORY:
        record.todo &= ~Todo.RECALL
        return _onward(record)
    if event is Signal.RETRY_DUE and awaits is Awaits.RETRY:
        return _launch(record)
    if event is Signal.DONE_WITH_IT:
        if awaits is Awaits.STAGED_IN:
            record.todo &= ~Todo.STAGE_IN
            return _onward(record)
        if awaits is Awaits.STAGED_OUT:
            record.todo &= ~Todo.STAGE_OUT
            return _finishing(record)
        if awaits is Awaits.KEPT:
            record.todo &= ~Todo.KEEP
            return _finishing(record)
    return _NONE


def _input_failed(record: TaskRecord, event: InputFailed, limits: Limits) -> tuple[Effect, ...]:
    if record.awaits is not _INPUTS and record.awaits is not Awaits.INNER:
        return _NONE
    if record.failed is None:
        record.failed = []
    record.failed.append(event.future)
    return _input(record)


def _input(record: TaskRecord) -> tuple[Effect, ...]:
    if record.unmet <= 0:
        return _NONE
    record.unmet -= 1
    if record.unmet > 0:
        return _NONE
    if record.awaits is _INPUTS:
        return _onward(record)
    return _GATHER


def _onward(record: TaskRecord) -> tuple[Effect, ...]:
    """The inputs are there: the next station before the launch."""
    if record.failed:
        record.error = blame(record, record.failed)
        return _end(record, FAILED)
    todo = record.todo
    if not todo:
        return _launch(record)
    if todo & Todo.RECALL:
        record.awaits = Awaits.MEMORY
        return _RECALL
    if todo & Todo.STAGE_IN:
        record.state, record.awaits = STAGING_IN, Awaits.STAGED_IN
        return _STAGE_IN
    return _launch(record)


def _launch(record: TaskRecord) -> tuple[Effect, ...]:
    record.attempt += 1
    record.state, record.awaits = LAUNCHED, _ATTEMPT
    return _LAUNCH


def _found(record: TaskRecord, event: Found, limits: Limits) -> tuple[Effect, ...]:
    if record.awaits is not Awaits.MEMORY:
        return _NONE
    record.value = event.value
    record.future._memory = True
    return _end(record, DONE)


def ended(record: TaskRecord, event: Outcome, limits: Limits) -> tuple[Effect, ...]:
    """``advance(record, outcome)``: by name, for the way that every task goes."""
    if record.awaits is not _ATTEMPT or event.attempt != record.attempt:
        return _NONE
    record.ran = event
    how = event.ended
    if how is _VALUE:
        record.value = event.value
        if record.history is not None:
            _note(record, event, None, 0.0)
        return _finishing(record) if record.todo else _end(record, DONE)
    if how is Ended.CANCELLED:
        _interrupted(record, how, None)
        return _end(record, CANCELLED)
    error = (
        event.value
        if isinstance(event.value, BaseException)
        else TaskLost(_named(record), [_text(event.value)])
    )
    record.error = error
    if record.history is None:
        record.history = History()
    if how is Ended.ERROR:
        if record.todo & Todo.PRICE and not _hopeless(record):
            record.awaits = Awaits.PRICE
            record.beside().outcome = event
            return _PRICE
        return _charge(record, event, 1.0, limits)
    return _lost(record, event, error, limits)


def _costed(record: TaskRecord, event: Costed, limits: Limits) -> tuple[Effect, ...]:
    if record.awaits is not Awaits.PRICE:
        return _NONE
    aside = record.beside()
    outcome, aside.outcome = aside.outcome, None
    assert outcome is not None
    return _charge(record, outcome, event.cost, limits)


def _charge(
    record: TaskRecord, outcome: Outcome, cost: float, limits: Limits
) -> tuple[Effect, ...]:
    history = record.history
    assert history is not None
    history.spent += cost
    _note(record, outcome, record.error, cost)
    # Said in this way round, so that a cost that is no number ends the task as well.
    affordable = history.spent <= limits.retries
    return _again(record) if affordable and not _hopeless(record) else _end(record, FAILED)


def _hopeless(record: TaskRecord) -> bool:
    # What cannot be packed once cannot be packed twice. What runs beside the session is not tried
    # again: a join body may have submitted tasks already, and these have tries of their own.
    return (
        record.spec.join or record.spec.in_session or isinstance(record.error, SerializationError)
    )


def _lost(
    record: TaskRecord, outcome: Outcome, error: BaseException, limits: Limits
) -> tuple[Effect, ...]:
    history = record.history
    assert history is not None
    history.lost.append(
        "; ".join(error.losses) if isinstance(error, TaskLost) else _sentence(error)
    )
    history.deaths += outcome.ended is Ended.KILLED
    _note(record, outcome, error, 0.0)
    if history.deaths >= limits.deaths:
        record.error = PoisonTask(_named(record), history.lost)
    elif len(history.lost) > limits.losses:
        record.error = TaskLost(_named(record), history.lost)
    else:
        return _again(record)
    record.error.__cause__ = error
    return _end(record, FAILED)


def _again(record: TaskRecord) -> tuple[Effect, ...]:
    record.state, record.awaits = PENDING, Awaits.RETRY
    return _BACK_OFF


def _finishing(record: TaskRecord) -> tuple[Effect, ...]:
    """There is a value: the next station behind it."""
    todo = record.todo
    if todo & Todo.JOIN:
        record.todo &= ~Todo.JOIN
        record.state, record.awaits = JOINING, Awaits.INNER
        return _JOIN
    if todo & Todo.STAGE_OUT:
        record.state, record.awaits = STAGING_OUT, Awaits.STAGED_OUT
        return _STAGE_OUT
    if todo & Todo.KEEP:
        record.state, record.awaits = STAGING_OUT, Awaits.KEPT
        return _KEEP
    return _end(record, DONE)


def _returned(record: TaskRecord, event: Returned, limits: Limits) -> tuple[Effect, ...]:
    if record.awaits is not Awaits.INNER:
        return _NONE
    record.value = event.value
    return _finishing(record)


def _failed(record: TaskRecord, event: Failed, limits: Limits) -> tuple[Effect, ...]:
    if record.awaits is _NOTHING:
        return _NONE
    before, record.error = record.error, event.error
    if record.awaits is Awaits.PRICE and before is not None and event.error.__context__ is None:
        # A handler that failed must not hide what it was asked about.
        event.error.__context__ = before
    _interrupted(record, Ended.LOST, event.error)
    return _end(record, FAILED)


def _end(record: TaskRecord, state: TaskState) -> tuple[Effect, ...]:
    record.state, record.awaits = state, _NOTHING
    return _SETTLE


def _interrupted(record: TaskRecord, how: Ended, error: BaseException | None) -> None:
    """The task ends before its current try has: record that try as well."""
    if record.awaits is Awaits.PRICE:
        outcome = record.beside().outcome
        assert outcome is not None
        _note(
            record,
            outcome,
            outcome.value if isinstance(outcome.value, BaseException) else None,
            0.0,
        )
    elif record.awaits is _ATTEMPT and record.executor:
        if record.history is None:
            record.history = History()
        record.ran = Outcome(record.id, record.attempt, how, None)
        _note(record, record.ran, error, 0.0)


def _note(
    record: TaskRecord, outcome: Outcome, error: BaseException | None, charged: float
) -> None:
    assert record.history is not None
    record.history.tries.append(
        Try(
            number=record.attempt,
            executor=record.executor,
            ended=outcome.ended,
            error=error,
            place=outcome.place,
            charged=charged,
            begun=outcome.begun,
            seconds=outcome.seconds,
        )
    )


def _named(record: TaskRecord) -> str:
    return f"{record.spec.name} (task {record.id})"


def _sentence(error: BaseException) -> str:
    if isinstance(error, WeftError) and isinstance(error.what, str):
        return f"{error.what} {error.why}".strip()
    return f"{type(error).__name__}: {_text(error)}"


def _text(thing: object) -> str:
    try:
        return str(thing)
    except Exception as trouble:  # noqa: BLE001 - a user's object, whose text may raise anything
        return f"(its text cannot be shown: {type(trouble).__name__})"


_HANDLERS: Final[Mapping[type, Callable[[TaskRecord, Any, Limits], tuple[Effect, ...]]]] = {
    Signal: _signal,
    Outcome: ended,
    InputFailed: _input_failed,
    Found: _found,
    Returned: _returned,
    Costed: _costed,
    Failed: _failed,
}

assert {DONE, FAILED, CANCELLED} == FINAL
