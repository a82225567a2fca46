"""What the rest of weft may rely on when it tells."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.errors import RunFolderError, WeftError
from weft.interfaces.context import Context
from weft.interfaces.monitor import Interest, Monitor
from weft.monitoring import BATCH, Monitoring
from weft.values.events import (
    BEGUN,
    DONE,
    SHORT_FORMS,
    Event,
    ExecutorStarted,
    Notice,
    RunEnded,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.message import as_mapping
from weft.values.states import TaskState

PATIENCE = 60.0


def moved(number: int, state: TaskState = TaskState.DONE) -> TaskMoved:
    return TaskMoved(float(number), number, "app", state)


@attrs.define(eq=False)
class Sink:
    """Collects what it is told; the crank is a count to wait for."""

    told: list[Event] = attrs.field(factory=list)
    batches: list[int] = attrs.field(factory=list)
    changed: threading.Condition = attrs.field(factory=threading.Condition)

    def __call__(self, events: Sequence[Event]) -> None:
        with self.changed:
            self.told += events
            self.batches.append(len(events))
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.told) >= count, PATIENCE), self.told


class Custom(Monitor):
    """A monitor made of what a test gives it."""

    def __init__(
        self,
        handle: Callable[[Sequence[Event]], None] = lambda events: None,
        interests: Collection[Interest] | None = None,
        start: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
        *,
        rows: bool = False,
    ) -> None:
        self._rows = rows
        self._handle, self._interests, self._start, self._close = handle, interests, start, close
        self.closed = 0

    def start(self, context: Context) -> None:
        self._start()

    def interests(self) -> Collection[Interest] | None:
        return self._interests

    def takes_rows(self) -> bool:
        return self._rows

    def handle(self, events: Sequence[Event]) -> None:
        self._handle(events)

    def close(self) -> None:
        self.closed += 1
        self._close()


class Here:
    """A context that no monitor of these tests uses."""

    run_id, folder, program = "r", Path("/"), "p"

    def tell(self, event: Event) -> None: ...

    def notice(self, level: str, text: str) -> None: ...


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(said: list[str]) -> Iterator[Callable[..., Monitoring]]:
    made: list[Monitoring] = []

    def making(*observers: Callable[[Sequence[Event]], None], **options: Any) -> Monitoring:
        options.setdefault("interval", 0.001)
        made.append(Monitoring(observers, report=said.append, **options))
        return made[-1]

    yield making
    for monitoring in made:
        monitoring.close()
    assert not [t for t in threading.enumerate() if t.name == "weft-monitor"]


Make = Callable[..., Monitoring]


def test_everything_told_is_passed_on_in_order(make: Make) -> None:
    sink = Sink()
    monitoring = make(sink)
    monitoring.start()

    events = [moved(n) for n in range(5000)]
    for event in events:
        monitoring.tell(event)
    monitoring.close()

    assert sink.told == events
    assert max(sink.batches) <= BATCH
    assert monitoring.lost == 0


def test_a_single_event_is_told_without_another_one_coming(make: Make) -> None:
    sink = Sink()
    monitoring = make(sink)
    monitoring.start()
    for count in range(1, 20):
        monitoring.tell(moved(count))
        sink.wait_for(count)


def test_many_threads_may_tell_at_once(make: Make) -> None:
    sink = Sink()
    monitoring = make(sink)
    monitoring.start()
    go = threading.Barrier(8)

    def tell(first: int) -> None:
        go.wait(PATIENCE)
        for n in range(1000):
            monitoring.tell(moved(first + n))

    threads = [threading.Thread(target=tell, args=(k * 1000,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.wait_for(8000)

    numbers = [event.id for event in sink.told if isinstance(event, TaskMoved)]
    assert sorted(numbers) == list(range(8000))
    for k in range(8):
        mine = [n for n in numbers if n // 1000 == k]
        assert mine == sorted(mine)


def test_nobody_listens_means_no_thread_and_nothing_wanted(make: Make) -> None:
    monitoring = make()
    monitoring.start()

    monitoring.tell(moved(1))

    assert not monitoring.active
    assert not any(monitoring.moves)
    assert not [t for t in threading.enumerate() if t.name == "weft-monitor"]


def test_what_is_wanted_is_known_before_an_event_is_made(make: Make) -> None:
    monitoring = make()
    monitoring.attach("log", Custom(interests=(Notice, TaskState.FAILED)), Here())
    monitoring.start()

    assert monitoring.active
    assert Notice in monitoring.wants
    assert TaskSubmitted not in monitoring.wants
    assert [state for state in TaskState if monitoring.moves[state]] == [TaskState.FAILED]


def test_each_monitor_gets_only_what_it_asked_for(make: Make) -> None:
    failures, notices, everything = Sink(), Sink(), Sink()
    monitoring = make(everything)
    monitoring.attach("f", Custom(failures, interests=(TaskState.FAILED,)), Here())
    monitoring.attach("n", Custom(notices, interests=(Notice,)), Here())
    monitoring.start()

    bad, good = moved(1, TaskState.FAILED), moved(2)
    notice = Notice(3.0, "info", "test", "hello")
    for event in (bad, good, notice):
        monitoring.tell(event)
    monitoring.close()

    assert failures.told == [bad]
    assert notices.told == [notice]
    assert everything.told == [bad, good, notice]


def test_a_short_form_reaches_each_monitor_as_the_events_that_it_wants(make: Make) -> None:
    calls, launches, ends, moves, failures, everything = [Sink() for _ in range(6)]
    recorded: list[Any] = []
    monitoring = make(everything)
    interests: Sequence[tuple[Sink, Interest]] = (
        (calls, TaskSubmitted),
        (launches, TaskState.LAUNCHED),
        (ends, TaskState.DONE),
        (moves, TaskMoved),
        (failures, TaskState.FAILED),
    )
    for sink, interest in interests:
        monitoring.attach("one", Custom(sink, interests=(interest,)), Here())
    monitoring.record("all", recorded.extend, lambda: None)
    monitoring.start()
    assert monitoring.begins

    begun, done = (BEGUN, 1.0, 7, "app", "threads"), (DONE, 2.0, 7, "app", 1, "here", 1.5, 0.25)
    for row in (begun, done):
        monitoring.tell_row(row)
    monitoring.close()

    def shown(sink: Sink) -> list[Any]:
        return [(type(event), as_mapping(event)) for event in sink.told]

    call = TaskSubmitted(1.0, 7, "app", ())
    launch = TaskMoved(1.0, 7, "app", TaskState.LAUNCHED, 1, "threads")
    end = TaskMoved(2.0, 7, "app", TaskState.DONE, 1, "", "", "here", 1.5, 0.25)
    assert shown(calls) == shown(Sink([call]))
    assert shown(launches) == shown(Sink([launch]))
    assert shown(ends) == shown(Sink([end]))
    assert shown(moves) == shown(Sink([launch, end]))
    assert shown(failures) == []
    assert shown(everything) == shown(Sink([call, launch, end]))
    assert recorded == [begun, done]


def test_rows_reach_monitors_that_take_them_and_want_everything(make: Make) -> None:
    takes, some, none = Sink(), Sink(), Sink()
    monitoring = make()
    monitoring.attach("takes", Custom(takes, rows=True), Here())
    monitoring.attach("some", Custom(some, rows=True, interests=(TaskMoved,)), Here())
    monitoring.attach("none", Custom(none), Here())
    monitoring.start()
    begun, row = (BEGUN, 1.0, 7, "app", "threads"), (TaskMoved, 2.0, 7, "app", TaskState.FAILED)
    for told in (begun, row):
        monitoring.tell_row(told)
    monitoring.close()
    as_told: list[Any] = [*takes.told]
    assert as_told == [begun, row]
    kinds = [[type(event) for event in sink.told] for sink in (some, none)]
    assert kinds == [[TaskMoved, TaskMoved], [TaskSubmitted, TaskMoved, TaskMoved]]


def test_a_monitor_that_cannot_say_whether_it_takes_rows_does_not_start(make: Make) -> None:
    class CannotSay(Custom):
        def takes_rows(self) -> bool:
            raise LookupError("of what?")

    monitor = CannotSay()
    with pytest.raises(WeftError) as raised:
        make().attach("one", monitor, Here())
    assert raised.value.why == "LookupError: of what?"
    assert monitor.closed == 1


def test_what_a_short_form_says_of_itself_is_what_it_makes() -> None:
    for short in SHORT_FORMS.values():
        made = short.made(*range(len(short.fields)))
        assert len(made) == short.count
        assert short.interests == {
            event.state if isinstance(event, TaskMoved) else type(event) for event in made
        }
        assert all(event.time == 0 for event in made), "the time comes first in every row"


def test_short_forms_that_are_dropped_are_counted_by_their_events(make: Make) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(_events: Sequence[Any]) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)

    monitoring = make(limit=10)
    monitoring.record("slow", slow, lambda: None)
    monitoring.start()
    monitoring.tell(moved(0))
    assert entered.wait(PATIENCE)
    for n in range(15):
        monitoring.tell_row((BEGUN, 1.0, n, "app", "threads"))
    go_on.set()
    monitoring.close()
    assert monitoring.lost == 10


def test_calls_and_launches_are_told_in_one_only_if_both_are_wanted(make: Make) -> None:
    monitoring = make()
    monitoring.attach("m", Custom(interests=(TaskSubmitted, TaskState.DONE)), Here())
    monitoring.start()
    assert not monitoring.begins


def test_interest_in_all_moves_is_interest_in_each(make: Make) -> None:
    monitoring = make()
    monitoring.attach("m", Custom(interests=(TaskMoved,)), Here())
    monitoring.start()
    assert all(monitoring.moves)


def test_a_slow_monitor_stops_nobody_and_what_it_missed_is_counted(
    make: Make, said: list[str]
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    sink = Sink()

    def slow(events: Sequence[Event]) -> None:
        entered.set()
        assert go_on.wait(PATIENCE)
        sink(events)

    monitoring = make(slow, limit=100)
    monitoring.start()
    monitoring.tell(moved(0))
    assert entered.wait(PATIENCE)
    for n in range(1, 1001):
        monitoring.tell(moved(n))
    monitoring.tell(RunEnded(2000.0, "r", 1001, 0, 0))
    go_on.set()
    monitoring.close()

    assert monitoring.lost == 900
    ended = sink.told[-1]
    assert isinstance(ended, RunEnded), "the rare events are kept when the queue is full"
    assert ended.lost_events == 900
    assert len(sink.told) == 102
    assert said == ["900 events were not told to monitors, because they were too slow."]


def test_a_monitor_that_raises_is_reported_once_and_the_others_go_on(
    make: Make, said: list[str]
) -> None:
    sink = Sink()
    calls = []

    def now_and_then(events: Sequence[Event]) -> None:
        calls.append(events)
        if len(calls) % 2:
            raise OSError("no space")

    monitoring = make()
    monitoring.attach("bad", Custom(now_and_then, interests=(TaskMoved,)), Here())
    monitoring.attach("good", Custom(sink, interests=(TaskMoved,)), Here())
    monitoring.start()
    for n in range(1, 9):
        monitoring.tell(moved(n))
        sink.wait_for(n)
    monitoring.close()

    assert len(calls) == 8
    assert monitoring.failures == {"bad": 4}
    assert said == ["The monitor 'bad' failed; the run goes on. Why: OSError: no space"]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt()])
def test_three_failures_in_a_row_switch_a_monitor_off(
    make: Make, said: list[str], error: BaseException
) -> None:
    sink = Sink()
    calls = []

    def bad(events: Sequence[Event]) -> None:
        calls.append(events)
        raise error

    monitoring = make()
    monitoring.attach("bad", Custom(bad, interests=(TaskMoved,)), Here())
    monitoring.attach("good", Custom(sink, interests=(TaskState.DONE, Notice)), Here())
    monitoring.start()
    for n in range(1, 7):
        monitoring.tell(moved(n))
        sink.wait_for(n)
    monitoring.close()

    assert len(calls) == 3
    assert len(said) == 2
    assert "is told no more" in said[1]
    assert [e.text for e in sink.told if isinstance(e, Notice)] == said
    assert monitoring.failures == {"bad": 3}


def test_what_only_a_switched_off_monitor_wanted_is_wanted_no_more(make: Make) -> None:
    reported = threading.Event()

    def bad(events: Sequence[Event]) -> None:
        raise ValueError

    def report(text: str) -> None:
        if "no more" in text:
            reported.set()

    monitoring = Monitoring(report=report, interval=0.001, batch=1)
    monitoring.attach("bad", Custom(bad), Here())
    monitoring.start()
    for n in range(3):
        monitoring.tell(moved(n))
    assert reported.wait(PATIENCE)
    monitoring.close()
    assert not monitoring.active


def test_a_monitor_that_hangs_does_not_hold_up_the_end(said: list[str]) -> None:
    go_on, entered = threading.Event(), threading.Event()

    def hangs(events: Sequence[Event]) -> None:
        entered.set()
        go_on.wait(PATIENCE)

    monitoring = Monitoring(report=said.append, interval=0.001)
    monitoring.attach("stuck", Custom(hangs), Here())
    monitoring.start()
    monitoring.tell(moved(1))
    assert entered.wait(PATIENCE)

    monitoring.close(0.05)

    assert said == ["The monitor 'stuck' did not end within 0.05 s; what it was not told is lost."]
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "weft-monitor":
            thread.join(PATIENCE)


def test_monitors_are_closed_once_and_their_errors_stay_with_them(
    make: Make, said: list[str]
) -> None:
    def broken() -> None:
        raise OSError("gone")

    bad, good = Custom(close=broken), Custom()
    monitoring = make()
    monitoring.attach("bad", bad, Here())
    monitoring.attach("good", good, Here())
    monitoring.start()
    monitoring.close()
    monitoring.close()

    assert (bad.closed, good.closed) == (1, 1)
    assert said == ["The monitor 'bad' failed while it closed. Why: OSError: gone"]


def test_a_monitor_that_cannot_start_is_closed_and_named(make: Make) -> None:
    def refuses() -> None:
        raise ValueError("no server")

    bad, good = Custom(start=refuses), Custom()
    monitoring = make()
    monitoring.attach("good", good, Here())

    with pytest.raises(WeftError, match="monitor 'bad' did not start") as raised:
        monitoring.attach("bad", bad, Here())
    monitoring.close()

    assert "no server" in raised.value.why
    assert (bad.closed, good.closed) == (1, 1)


def test_an_error_of_weft_at_the_start_of_a_monitor_is_left_as_it_is(make: Make) -> None:
    def refuses() -> None:
        raise RunFolderError("/x", "read-only")

    with pytest.raises(RunFolderError):
        make().attach("bad", Custom(start=refuses), Here())


def test_telling_before_the_start_and_after_the_end_has_no_effect(make: Make) -> None:
    sink = Sink()
    monitoring = make(sink)
    monitoring.tell(moved(1))
    monitoring.start()
    monitoring.close()
    monitoring.tell(ExecutorStarted(1.0, "a", "threads"))
    assert sink.told == []


def test_listeners_are_added_only_before_the_start(make: Make) -> None:
    monitoring = make(Sink())
    monitoring.start()
    with pytest.raises(RuntimeError):
        monitoring.observe(Sink())
