"""Whatever happens to a task, in whatever order: it ends once, in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.dataflow.futures import AppFuture, Owner
from weft.dataflow.lifecycle import (
    ASKED_TO_CANCEL,
    INPUT_DONE,
    NOT_KNOWN,
    SUBMITTED,
    Awaits,
    Costed,
    Effect,
    Event,
    Failed,
    Found,
    InputFailed,
    Limits,
    Returned,
    Signal,
    TaskRecord,
    Todo,
    advance,
)
from weft.errors import (
    DependencyError,
    ExecutorFailed,
    PoisonTask,
    SerializationError,
    TaskLost,
)
from weft.values.states import FINAL, MOVES, TaskState
from weft.values.task import Ended, Outcome, TaskSpec

RETRY_DUE, DONE_WITH_IT = Signal.RETRY_DUE, Signal.DONE_WITH_IT
NOBODY = cast("Owner", None)
ALL_TODO = (
    Todo.RECALL,
    Todo.STAGE_IN,
    Todo.JOIN,
    Todo.STAGE_OUT,
    Todo.KEEP,
    Todo.PRICE,
)


def nothing() -> None:
    return None


def record_of(
    *todo: int, unmet: int = 0, join: bool = False, in_session: bool = False
) -> TaskRecord:
    spec = TaskSpec(
        name="align", function=nothing, join=join or Todo.JOIN in todo, in_session=in_session
    )
    future: AppFuture[Any] = AppFuture(NOBODY, 7, spec)
    record = TaskRecord(7, spec, (), {}, future, sum(todo))
    record.unmet = unmet
    record.executor = "cpu"
    return record


def outcome(record: TaskRecord, ended: Ended, value: Any = None, *, attempt: int = 0) -> Outcome:
    return Outcome(record.id, attempt or record.attempt, ended, value, "node-3")


def failed_future(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def run(record: TaskRecord, *events: Event, limits: Limits | None = None) -> tuple[Effect, ...]:
    """The effects of the last event."""
    effects: tuple[Effect, ...] = ()
    for event in events:
        effects = advance(record, event, limits or Limits())
    return effects


def check_state(record: TaskRecord, state: TaskState) -> None:
    assert record.state is state


def launched(*todo: int, **options: Any) -> TaskRecord:
    record = record_of(*todo, **options)
    run(record, SUBMITTED)
    return record


# ---------------------------------------------------------------------- every station, one by one


def test_a_task_without_inputs_is_launched_at_once() -> None:
    record = record_of()

    assert advance(record, SUBMITTED) == (Effect.LAUNCH,)
    assert (record.state, record.awaits, record.attempt) == (
        TaskState.LAUNCHED,
        Awaits.ATTEMPT,
        1,
    )


def test_a_task_is_launched_when_its_last_input_is_there_and_not_before() -> None:
    record = record_of(unmet=3)

    assert [advance(record, event) for event in (SUBMITTED, INPUT_DONE, INPUT_DONE)] == [()] * 3
    assert record.state is TaskState.PENDING
    assert advance(record, INPUT_DONE) == (Effect.LAUNCH,)


def test_a_value_ends_the_task() -> None:
    record = launched()

    assert advance(record, outcome(record, Ended.VALUE, 42)) == (Effect.SETTLE,)
    assert (record.state, record.value, record.awaits) == (TaskState.DONE, 42, Awaits.NOTHING)


def test_a_failed_input_is_waited_out_with_the_others_and_then_named() -> None:
    record = record_of(unmet=2)
    trouble = ValueError("no such gene")

    assert run(record, SUBMITTED, InputFailed(failed_future(trouble))) == ()
    assert advance(record, INPUT_DONE) == (Effect.SETTLE,)

    assert record.state is TaskState.FAILED
    assert isinstance(record.error, DependencyError)
    assert record.error.roots == (trouble,)
    assert record.error.__cause__ is trouble
    assert record.attempt == 0


def test_an_input_that_had_failed_before_the_call_ends_the_task_at_once() -> None:
    record = record_of()
    record.failed = [failed_future(ValueError("before"))]

    assert advance(record, SUBMITTED) == (Effect.SETTLE,)
    assert isinstance(record.error, DependencyError)


def test_memory_is_asked_before_files_are_brought_and_files_are_brought_before_the_launch() -> None:
    record = record_of(Todo.RECALL, Todo.STAGE_IN)

    assert advance(record, SUBMITTED) == (Effect.RECALL,)
    check_state(record, TaskState.PENDING)
    assert advance(record, NOT_KNOWN) == (Effect.STAGE_IN,)
    check_state(record, TaskState.STAGING_IN)
    assert advance(record, DONE_WITH_IT) == (Effect.LAUNCH,)


def test_what_memory_knows_is_not_run() -> None:
    record = record_of(Todo.RECALL, Todo.STAGE_IN, Todo.KEEP)

    assert run(record, SUBMITTED, Found("kept")) == (Effect.SETTLE,)
    assert (record.state, record.value, record.attempt) == (TaskState.DONE, "kept", 0)
    assert record.future.from_memory()


def test_a_value_goes_through_join_stage_out_and_checkpoint_in_this_order() -> None:
    record = launched(Todo.JOIN, Todo.STAGE_OUT, Todo.KEEP)

    assert advance(record, outcome(record, Ended.VALUE, ["futures"])) == (Effect.JOIN,)
    check_state(record, TaskState.JOINING)
    record.unmet = 2
    assert advance(record, INPUT_DONE) == ()
    assert advance(record, INPUT_DONE) == (Effect.GATHER,)
    assert advance(record, Returned(["values"])) == (Effect.STAGE_OUT,)
    check_state(record, TaskState.STAGING_OUT)
    assert advance(record, DONE_WITH_IT) == (Effect.KEEP,)
    assert advance(record, DONE_WITH_IT) == (Effect.SETTLE,)
    assert (record.state, record.value) == (TaskState.DONE, ["values"])


@pytest.mark.parametrize(
    ("todo", "events", "state"),
    [
        ((Todo.RECALL,), (SUBMITTED,), TaskState.PENDING),
        ((Todo.STAGE_IN,), (SUBMITTED,), TaskState.STAGING_IN),
        ((), (SUBMITTED,), TaskState.LAUNCHED),
        ((Todo.JOIN,), (SUBMITTED, Ended.VALUE), TaskState.JOINING),
        ((Todo.STAGE_OUT,), (SUBMITTED, Ended.VALUE), TaskState.STAGING_OUT),
        ((Todo.KEEP,), (SUBMITTED, Ended.VALUE), TaskState.STAGING_OUT),
        ((Todo.PRICE,), (SUBMITTED, Ended.ERROR), TaskState.LAUNCHED),
        ((), (SUBMITTED, Ended.LOST), TaskState.PENDING),
    ],
)
@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_at_every_station_a_task_can_fail_and_can_be_cancelled(
    todo: tuple[int, ...], events: Sequence[Any], state: TaskState, how: str
) -> None:
    record = record_of(*todo)
    for event in events:
        value = ValueError("bad") if event in (Ended.ERROR, Ended.LOST) else None
        advance(record, outcome(record, event, value) if isinstance(event, Ended) else event)
    assert record.state is state

    trouble = OSError("no space")
    effects = advance(record, Failed(trouble) if how == "fails" else ASKED_TO_CANCEL)

    assert effects == (Effect.SETTLE,)
    if how == "fails":
        check_state(record, TaskState.FAILED)
        assert record.error is trouble
    else:
        check_state(record, TaskState.CANCELLED)


@pytest.mark.parametrize("awaits", list(Awaits))
def test_only_the_awaited_answer_moves_a_task(awaits: Awaits) -> None:
    bad_input = InputFailed(failed_future(ValueError()))
    answers: dict[Awaits, tuple[Event, ...]] = {
        Awaits.NOTHING: (),
        Awaits.SUBMISSION: (SUBMITTED,),
        Awaits.INPUTS: (INPUT_DONE, bad_input),
        Awaits.MEMORY: (NOT_KNOWN, Found(1)),
        Awaits.STAGED_IN: (DONE_WITH_IT,),
        Awaits.ATTEMPT: (Outcome(7, 2, Ended.VALUE, 1),),
        Awaits.PRICE: (Costed(1.0),),
        Awaits.RETRY: (RETRY_DUE,),
        Awaits.INNER: (INPUT_DONE, bad_input, Returned(1)),
        Awaits.STAGED_OUT: (DONE_WITH_IT,),
        Awaits.KEPT: (DONE_WITH_IT,),
    }
    every: list[Event] = [event for events in answers.values() for event in events]
    for event in every:
        if any(event is answer for answer in answers[awaits]):
            continue
        record = record_of(unmet=1)
        record.attempt, record.awaits = 2, awaits
        before = (record.state, record.awaits, record.attempt, record.unmet, record.todo)

        assert advance(record, event) == ()
        assert (record.state, record.awaits, record.attempt, record.unmet, record.todo) == before


def test_more_answers_than_inputs_change_nothing() -> None:
    record = launched(Todo.JOIN)
    advance(record, outcome(record, Ended.VALUE, []))
    record.unmet = 1

    assert advance(record, INPUT_DONE) == (Effect.GATHER,)
    assert advance(record, INPUT_DONE) == ()


# ------------------------------------------------------------------------------- errors and tries


def test_an_error_beyond_the_budget_ends_the_task_with_it() -> None:
    record = launched()
    trouble = ValueError("bad")

    assert advance(record, outcome(record, Ended.ERROR, trouble)) == (Effect.SETTLE,)
    assert record.error is trouble


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_a_task_has_as_many_tries_as_retries_allow_and_one(retries: int) -> None:
    record = launched()
    limits = Limits(retries=retries)
    errors = [ValueError(str(n)) for n in range(retries + 1)]

    for error in errors[:-1]:
        assert advance(record, outcome(record, Ended.ERROR, error), limits) == (Effect.BACK_OFF,)
        assert record.state is TaskState.PENDING
        assert advance(record, RETRY_DUE, limits) == (Effect.LAUNCH,)
    assert advance(record, outcome(record, Ended.ERROR, errors[-1]), limits) == (Effect.SETTLE,)

    assert record.error is errors[-1]
    assert record.history is not None
    assert [(one.number, one.error, one.charged) for one in record.history.tries] == [
        (n, error, 1.0) for n, error in enumerate(errors, 1)
    ]
    assert {(one.executor, one.place, one.ended) for one in record.history.tries} == {
        ("cpu", "node-3", Ended.ERROR)
    }


def test_a_try_that_is_good_after_bad_ones_is_recorded_with_them() -> None:
    record = launched()
    limits = Limits(retries=1)
    run(record, outcome(record, Ended.ERROR, ValueError()), RETRY_DUE, limits=limits)

    assert advance(record, outcome(record, Ended.VALUE, 5), limits) == (Effect.SETTLE,)
    assert record.history is not None
    assert [one.ended for one in record.history.tries] == [Ended.ERROR, Ended.VALUE]


@pytest.mark.parametrize(
    ("costs", "retries", "tries"),
    [
        ([0.5, 0.5, 0.5], 1, 3),  # 0.5 and 1.0 are within, 1.5 is not
        ([10.0], 5, 1),
        ([0.0, 0.0, 1.0], 0, 3),
        ([float("inf")], 100, 1),
        ([float("nan")], 100, 1),
    ],
)
def test_a_failure_costs_what_the_handler_says(
    costs: list[float], retries: int, tries: int
) -> None:
    record = launched(Todo.PRICE)
    limits = Limits(retries=retries)

    for number, cost in enumerate(costs, 1):
        error = ValueError(str(number))
        assert advance(record, outcome(record, Ended.ERROR, error), limits) == (Effect.PRICE,)
        effects = advance(record, Costed(cost), limits)
        if number < tries:
            assert effects == (Effect.BACK_OFF,)
            advance(record, RETRY_DUE, limits)
        else:
            assert effects == (Effect.SETTLE,)
    assert record.attempt == tries
    assert record.history is not None
    assert len(record.history.tries) == tries


def test_a_handler_that_fails_does_not_hide_the_error_that_it_was_asked_about() -> None:
    record = launched(Todo.PRICE)
    theirs, its = ValueError("the task's"), KeyError("the handler's")
    advance(record, outcome(record, Ended.ERROR, theirs))

    assert advance(record, Failed(its)) == (Effect.SETTLE,)
    assert record.error is its
    assert its.__context__ is theirs
    assert record.history is not None
    assert [one.error for one in record.history.tries] == [theirs]


@pytest.mark.parametrize("losses", [0, 1, 3])
def test_losses_are_forgiven_as_often_as_allowed_and_cost_no_retries(losses: int) -> None:
    record = launched()
    limits = Limits(retries=0, losses=losses)

    for _ in range(losses):
        event = outcome(record, Ended.LOST, ExecutorFailed("cpu", "gone"))
        assert advance(record, event, limits) == (Effect.BACK_OFF,)
        assert advance(record, RETRY_DUE, limits) == (Effect.LAUNCH,)
    last = ExecutorFailed("cpu", "gone again")
    assert advance(record, outcome(record, Ended.LOST, last), limits) == (Effect.SETTLE,)

    assert type(record.error) is TaskLost
    assert record.error.__cause__ is last
    assert len(record.error.losses) == losses + 1
    assert record.history is not None
    assert record.history.spent == 0
    assert "align (task 7)" in str(record.error)


def test_a_task_that_was_there_at_three_deaths_is_poison_by_name() -> None:
    record = launched()
    limits = Limits(retries=100, losses=100)

    for _ in range(2):
        event = outcome(record, Ended.KILLED, ExecutorFailed("cpu", "signal 9"))
        assert run(record, event, RETRY_DUE, limits=limits) == (Effect.LAUNCH,)
    event = outcome(record, Ended.KILLED, ExecutorFailed("cpu", "signal 9"))
    assert advance(record, event, limits) == (Effect.SETTLE,)

    assert isinstance(record.error, PoisonTask)
    assert "align (task 7)" in str(record.error)
    assert record.attempt == 3


def test_losses_that_killed_nobody_make_no_poison() -> None:
    record = launched()
    limits = Limits(losses=5)
    for ended in (Ended.KILLED, Ended.LOST, Ended.KILLED, Ended.LOST):
        event = outcome(record, ended, ExecutorFailed("cpu", "gone"))
        assert run(record, event, RETRY_DUE, limits=limits) == (Effect.LAUNCH,)


def test_what_cannot_be_packed_once_is_not_tried_again() -> None:
    record = launched()
    error = SerializationError("the arguments of 'align'", "args[0]", "a lock")

    effects = advance(record, outcome(record, Ended.ERROR, error), Limits(retries=5))

    assert effects == (Effect.SETTLE,)
    assert record.error is error


@pytest.mark.parametrize("which", ["join", "in_session"])
def test_what_runs_beside_the_session_is_neither_tried_again_nor_priced(which: str) -> None:
    record = record_of(Todo.PRICE, join=which == "join", in_session=which == "in_session")
    advance(record, SUBMITTED)

    effects = advance(record, outcome(record, Ended.ERROR, ValueError()), Limits(retries=5))

    assert effects == (Effect.SETTLE,)


def test_a_try_that_was_cut_short_is_recorded() -> None:
    broken, cancelled = launched(), launched()

    advance(broken, Failed(ExecutorFailed("cpu", "gone")))
    advance(cancelled, ASKED_TO_CANCEL)

    for record, ended in ((broken, Ended.LOST), (cancelled, Ended.CANCELLED)):
        assert record.history is not None
        assert [(one.number, one.ended) for one in record.history.tries] == [(1, ended)]


def test_what_an_executor_reports_in_place_of_an_exception_is_shown() -> None:
    class Shy:
        def __str__(self) -> str:
            raise RuntimeError("do not look")

    for odd in ("just text", None, Shy()):
        record = launched()
        assert advance(record, outcome(record, Ended.ERROR, odd)) == (Effect.SETTLE,)
        assert isinstance(record.error, TaskLost)


def test_the_outcome_of_an_earlier_try_is_ignored() -> None:
    record = launched()
    limits = Limits(retries=3)
    run(record, outcome(record, Ended.ERROR, ValueError()), RETRY_DUE, limits=limits)
    assert record.attempt == 2

    assert advance(record, outcome(record, Ended.VALUE, "late", attempt=1), limits) == ()
    assert advance(record, outcome(record, Ended.VALUE, "early", attempt=3), limits) == ()
    assert record.awaits is Awaits.ATTEMPT


# ---------------------------------------------------------------------------- any order of events


ENDINGS = tuple(Ended)

EVENTS: st.SearchStrategy[Callable[[TaskRecord], Event]] = st.one_of(
    st.sampled_from(list(Signal)).map(lambda signal: lambda record: signal),
    st.tuples(st.sampled_from(ENDINGS), st.integers(-1, 1)).map(
        lambda drawn: (
            lambda record: Outcome(
                record.id,
                record.attempt + drawn[1],
                drawn[0],
                "v" if drawn[0] is Ended.VALUE else ValueError("x"),
            )
        )
    ),
    st.just(lambda record: InputFailed(failed_future(ValueError("input")))),
    st.just(lambda record: Found("known")),
    st.just(lambda record: Returned("gathered")),
    st.floats(0, 2).map(lambda cost: lambda record: Costed(cost)),
    st.just(lambda record: Failed(OSError("given up"))),
)


def answer(record: TaskRecord, choose: Callable[[Sequence[Any]], Any]) -> Event:
    """An answer to what the record waits for."""
    awaits = record.awaits
    if awaits is Awaits.SUBMISSION:
        return SUBMITTED
    if awaits is Awaits.INPUTS:
        return choose((INPUT_DONE, InputFailed(failed_future(ValueError("input")))))  # type: ignore[no-any-return]
    if awaits is Awaits.MEMORY:
        return choose((NOT_KNOWN, Found("known")))  # type: ignore[no-any-return]
    if awaits is Awaits.ATTEMPT:
        ended = choose(ENDINGS)
        value = "v" if ended is Ended.VALUE else ValueError("x")
        return Outcome(record.id, record.attempt, ended, value)
    if awaits is Awaits.PRICE:
        return Costed(choose((0.25, 1.0, 3.0)))
    if awaits is Awaits.RETRY:
        return RETRY_DUE
    if awaits is Awaits.INNER:
        return INPUT_DONE if record.unmet else Returned("gathered")
    assert awaits in (Awaits.STAGED_IN, Awaits.STAGED_OUT, Awaits.KEPT)
    return DONE_WITH_IT


class Watcher:
    """Performs effects, and holds the machine to its word."""

    def __init__(self, record: TaskRecord, limits: Limits, inner: int) -> None:
        self.record, self.limits, self.inner = record, limits, inner
        self.settled = 0

    def send(self, event: Event) -> None:
        record = self.record
        state, attempt, value, error = record.state, record.attempt, record.value, record.error
        final = state in FINAL

        effects = advance(record, event, self.limits)

        assert record.state is state or record.state in MOVES[state]
        assert record.attempt - attempt == effects.count(Effect.LAUNCH)
        if final:
            assert effects == ()
            assert (record.value, record.error) == (value, error)
        self.settled += effects.count(Effect.SETTLE)
        assert (record.state in FINAL) == (self.settled == 1)
        assert self.settled <= 1
        assert (record.awaits is Awaits.NOTHING) == (record.state in FINAL)
        for effect in effects:
            if effect is Effect.JOIN:
                # The owner counts what it is to wait for.
                record.unmet = self.inner
        self.check_budgets()

    def check_budgets(self) -> None:
        history, limits = self.record.history, self.limits
        if history is None:
            return
        spent = sum(one.charged for one in history.tries)
        assert history.spent == pytest.approx(spent)
        lost = sum(one.ended in (Ended.LOST, Ended.KILLED) for one in history.tries)
        deaths = sum(one.ended is Ended.KILLED for one in history.tries)
        numbers = [one.number for one in history.tries]
        assert numbers == sorted(set(numbers))
        if self.record.state not in FINAL and self.record.awaits is not Awaits.PRICE:
            # It goes on, so it may.
            assert history.spent <= limits.retries
            assert lost <= limits.losses
            assert deaths < limits.deaths


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_order_of_events_ends_in_exactly_one_final_state(data: st.DataObject) -> None:
    todo = data.draw(st.lists(st.sampled_from(ALL_TODO), unique=True))
    limits = Limits(
        retries=data.draw(st.sampled_from((0, 0.5, 1, 2))),
        losses=data.draw(st.integers(0, 4)),
        deaths=data.draw(st.integers(1, 3)),
    )
    record = record_of(*todo, unmet=data.draw(st.integers(0, 3)))
    watcher = Watcher(record, limits, data.draw(st.integers(0, 3)))

    for make in data.draw(st.lists(EVENTS, max_size=25)):
        watcher.send(make(record))
    # Driven to its end: whatever it waits for is answered. Nothing may keep it from ending.
    for _ in range(60):
        if record.state in FINAL:
            break
        assert record.awaits is not Awaits.NOTHING
        watcher.send(answer(record, lambda of: data.draw(st.sampled_from(of))))
    assert record.state in FINAL
    assert watcher.settled == 1
    # And nothing wakes it again.
    for make in data.draw(st.lists(EVENTS, max_size=10)):
        watcher.send(make(record))
    assert watcher.settled == 1


@settings(max_examples=100, deadline=None)
@given(
    endings=st.lists(st.sampled_from((Ended.ERROR, Ended.LOST, Ended.KILLED)), max_size=12),
    retries=st.integers(0, 4),
    losses=st.integers(0, 4),
    deaths=st.integers(1, 4),
)
def test_the_budgets_hold_exactly(
    endings: list[Ended], retries: int, losses: int, deaths: int
) -> None:
    """Beside a plain count of what should happen."""
    limits = Limits(retries=retries, losses=losses, deaths=deaths)
    record = launched()
    errors = lost = killed = 0
    for ended in endings:
        effects = advance(record, outcome(record, ended, ValueError("x")), limits)
        errors += ended is Ended.ERROR
        lost += ended is not Ended.ERROR
        killed += ended is Ended.KILLED
        over = errors > retries or lost > losses or killed >= deaths
        assert effects == ((Effect.SETTLE,) if over else (Effect.BACK_OFF,))
        if over:
            expected = (
                ValueError if ended is Ended.ERROR else PoisonTask if killed >= deaths else TaskLost
            )
            assert type(record.error) is expected
            return
        assert advance(record, RETRY_DUE, limits) == (Effect.LAUNCH,)
    assert record.state is TaskState.LAUNCHED
