"""What is shown of a status: pure functions, looked at through a console that records."""

import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from weft.cli import progress
from weft.cli.progress import Outlet, Progress, causes_of, summary
from weft.cli.view import (
    APPS,
    MARGIN,
    Pace,
    app_lines,
    clock,
    in_words,
    plain_line,
    table,
    view_of,
)
from weft.eventlog.figures import RunFigures, Timeline, figures_of
from weft.eventlog.story import RunStory
from weft.interfaces.executor import ExecutorStatus
from weft.session import Status
from weft.values.events import TaskMoved, TaskSubmitted
from weft.values.states import TaskState

DONE, FAILED, CANCELLED = TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED
LAUNCHED, PENDING, JOINING = TaskState.LAUNCHED, TaskState.PENDING, TaskState.JOINING


def a_status(
    apps: Mapping[str, Mapping[TaskState, int]],
    *,
    elapsed: float = 10.0,
    from_memory: Mapping[str, int] | None = None,
    failures: Sequence[Any] = (),
    closed: bool = False,
) -> Status:
    counts = {state: sum(states.get(state, 0) for states in apps.values()) for state in TaskState}
    return Status(
        counts=counts,
        apps=apps,
        from_memory=from_memory or {},
        executors={"threads": ExecutorStatus(workers=2, running=2, waiting=5)},
        failures=failures,
        elapsed=elapsed,
        run_folder=Path("weft-runs/0007"),
        closed=closed,
    )


def a_failure(app: str, error: str, example: str, *, count: int = 1, task: int = 3) -> Any:
    return SimpleNamespace(app=app, error=error, example=example, count=count, task=task)


def last_words(status: Status, figures: RunFigures | None = None) -> str:
    """What is said at the end, as it is read."""
    return text_of(summary(status, causes_of(status, figures)))


def text_of(what: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    console.print(what)
    return console.export_text()


# -------------------------------------------------------------------------------- numbers and words


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (67, "1:07"), (750, "12:30"), (3723.9, "1:02:03")]
)
def test_a_duration_is_shown_as_a_clock_shows_it(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_tasks_by_app_are_told_with_the_most_first_and_the_rest_together() -> None:
    counts = {"a": 1, "b": 4, "none": 0, "c": 2, "d": 1}
    assert in_words(counts, limit=2) == "4 of b, 2 of c, 2 of other apps"
    assert in_words({}) == ""


def test_an_app_line_counts_every_task_once() -> None:
    states = dict.fromkeys(TaskState, 1)
    [line] = app_lines(a_status({"a": states}))
    assert line.total == len(TaskState)
    assert line.ended + line.launched + line.waiting == line.total
    assert (line.done, line.failed, line.cancelled, line.launched) == (1, 1, 1, 2)


def test_a_rate_is_known_once_there_is_something_to_measure() -> None:
    pace = Pace()
    pace.look(a_status({"a": {DONE: 10, PENDING: 90}}, elapsed=2))
    assert app_lines(a_status({"a": {DONE: 10, PENDING: 90}}), pace)[0].rate is None

    pace.look(a_status({"a": {DONE: 30, PENDING: 70}}, elapsed=7))
    [line] = app_lines(a_status({"a": {DONE: 30, PENDING: 70}}), pace)
    assert line.rate == pytest.approx(4.0)
    assert line.left == pytest.approx(70 / 4)


def test_a_rate_forgets_what_is_long_ago() -> None:
    pace = Pace()
    for second in range(60):
        pace.look(a_status({"a": {DONE: 100 * min(second, 20)}}, elapsed=second))
    assert pace.rate("a") is None


def test_a_finished_app_has_neither_rate_nor_time_left() -> None:
    pace = Pace()
    for second, done in ((0, 0), (5, 50)):
        pace.look(a_status({"a": {DONE: done}}, elapsed=second))
    [line] = app_lines(a_status({"a": {DONE: 50}}), pace)
    assert line.rate is None
    assert line.left is None


# ----------------------------------------------------------------------------------- the live table

BUSY = {
    "measure": {DONE: 16, LAUNCHED: 35, FAILED: 1},
    "merge": {DONE: 2, PENDING: 23},
    "survey": {JOINING: 4},
}


def test_the_table_has_a_line_for_each_app_with_what_is_left_of_it() -> None:
    shown = text_of(table(view_of(a_status(BUSY)), None, 100))
    assert "threads 2 of 2 busy, 5 queued" in shown
    measure, merge, survey = (
        next(line for line in shown.splitlines() if line.startswith(app)) for app in BUSY
    )
    assert "17/52" in measure
    assert "35 launched, 1 failed" in measure
    assert "23 waiting" in merge
    assert "4 launched" in survey


@pytest.mark.parametrize("width", [20, 40, 62, 84, 200])
def test_the_table_never_reaches_the_edge_of_the_terminal(width: int) -> None:
    failure = a_failure("measure", "ValueError", "a long story " * 40)
    shown = text_of(table(view_of(a_status(BUSY, failures=[failure])), Pace(), width), width)
    assert all(len(line.rstrip()) <= width - MARGIN for line in shown.splitlines())
    assert "measure" in shown or width < 40


def test_of_many_apps_those_that_have_work_left_are_shown() -> None:
    finished = {f"old{number}": {DONE: 1} for number in range(APPS)}
    shown = text_of(table(view_of(a_status({**finished, "busy": {LAUNCHED: 1}})), None, 100))
    assert "busy" in shown
    assert "and 1 more app\n" in shown


def test_the_newest_kind_of_failure_is_told_in_one_line() -> None:
    failures = [
        a_failure("a", "OSError", "old", count=9, task=1),
        a_failure("b", "KeyError", "new", task=70),
    ]
    shown = text_of(table(view_of(a_status({"a": {FAILED: 9}}, failures=failures)), None, 100))
    assert "failed: b (task 70): KeyError: new" in shown


def test_names_are_not_read_as_markup() -> None:
    failure = a_failure("[red]x", "ValueError", "[/nonsense]")
    status = a_status({"[red]x": {FAILED: 1}}, failures=[failure])
    for shown in (text_of(table(view_of(status), None, 100)), last_words(status)):
        assert "[red]x" in shown
        assert "[/nonsense]" in shown


def test_a_line_that_was_begun_is_the_first() -> None:
    shown = text_of(table(view_of(a_status(BUSY)), None, 100, "Your name? "))
    assert shown.startswith("Your name?")


# ---------------------------------------------------------------------- plain lines and the summary


def test_the_plain_line_is_one_line_of_ascii() -> None:
    line = plain_line(view_of(a_status(BUSY)))
    assert line == (
        "weft 0:10 | done 18 of 81 | launched 39 | waiting 23 | failed 1 | "
        "unfinished: 35 of measure, 23 of merge, 4 of survey"
    )
    assert line.isascii()


def test_the_summary_tells_tasks_failures_memory_and_where_to_look() -> None:
    status = a_status(
        {"measure": {DONE: 40, FAILED: 3}, "merge": {DONE: 2, CANCELLED: 1}},
        elapsed=75,
        from_memory={"measure": 30},
        failures=[
            a_failure("merge", "DependencyError", "merge was not started (task 8)", task=8),
            a_failure("measure", "ValueError", "no good: 3", count=3, task=5),
        ],
    )
    shown = last_words(status)
    assert (
        "weft: 46 tasks in 1:15: 42 done, 3 failed, 1 cancelled; answered from memory: 30" in shown
    )
    assert "3 x measure: ValueError: no good: 3 (task 5 was the first)" in shown
    # Causes first, and what failed for want of them last.
    assert shown.index("ValueError") < shown.index("DependencyError")
    assert "weft-runs/0007" in shown
    heads = "app tasks done from memory failed cancelled"
    assert shown.splitlines()[1].split() == heads.split()


def test_the_summary_of_a_good_run_has_no_column_of_zeros() -> None:
    shown = last_words(a_status({"a": {DONE: 2}}, elapsed=0.25))
    assert "weft: 2 tasks in 0.2 s: 2 done" in shown
    assert "failed" not in shown
    assert "cancelled" not in shown


def a_log(*, dead: int) -> RunFigures:
    """Of a run in which one task failed, and others for want of its result."""
    events: list[Any] = [TaskMoved(1.0, 5, "measure", FAILED, 1, "", "ValueError: no good: 3")]
    for number in range(6, 6 + dead):
        events += [
            TaskSubmitted(0.0, number, "merge", (5,)),
            TaskMoved(2.0, number, "merge", FAILED, 0, "", "DependencyError: no measure"),
        ]
    return figures_of(RunStory().fold(events), Timeline().fold(events))


def test_the_summary_tells_what_caused_failures_as_the_report_does() -> None:
    status = a_status(
        {"measure": {FAILED: 1}, "merge": {FAILED: 50}},
        failures=[
            a_failure("merge", "DependencyError", "no measure", count=50, task=6),
            a_failure("measure", "ValueError", "no good: 3", task=5),
        ],
    )
    shown = last_words(status, a_log(dead=50))
    assert "  1 x measure: ValueError: no good: 3 (task 5; 50 tasks failed because of it)" in shown
    assert "DependencyError" not in shown

    shown = last_words(status, a_log(dead=49))
    assert "50 x merge: DependencyError: no measure" in shown, "a log that lacks some tells less"


def test_what_was_left_out_is_told_apart_from_failures() -> None:
    groups = [
        a_failure("measure", "ValueError", "no good: 3", task=5),
        a_failure("merge", "LeftOut", "merge (task 6) was left out", count=9, task=6),
    ]
    shown = last_words(a_status({"measure": {FAILED: 1}, "merge": {FAILED: 9}}, failures=groups))
    failures, left_out = shown.split("left out by --only")
    assert "1 x measure: ValueError" in failures
    assert "merge" not in failures.partition("failures, by")[2]
    assert "  9 calls of merge\n" in left_out


def test_only_so_many_kinds_of_failure_are_told() -> None:
    failures = [a_failure("a", f"Error{number}", "x", count=2) for number in range(10)]
    shown = last_words(a_status({"a": {FAILED: 20}}, failures=failures))
    assert "Error7" in shown
    assert "Error8" not in shown
    assert "and 4 more of other causes" in shown


# ------------------------------------------------------------------------------------ while it runs


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_nothing_is_polled_between_two_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "PLAIN", 0.01)
    looked = threading.Event()
    stream = io.StringIO()
    states = iter([a_status(BUSY), a_status(BUSY), a_status(BUSY, closed=True)])

    def look() -> Status:
        status = next(states)
        if status.closed:
            looked.set()
        return status

    shown = Progress(look, Console(file=stream, width=10_000))
    shown.start()
    assert looked.wait(60)
    shown.close()
    shown.close()

    assert stream.getvalue() == plain_line(view_of(a_status(BUSY))) + "\n"
    assert shown.last.closed


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def outlet(screen: Screen) -> Outlet:
    made = Outlet()
    made.terminal.close()
    made.terminal = screen
    return made


def console_of(screen: Screen) -> Console:
    return Console(file=screen, force_terminal=True, width=80)


def test_the_table_goes_when_the_session_has_closed(screen: Screen, outlet: Outlet) -> None:
    states = iter([a_status(BUSY), a_status(BUSY)])
    ended = a_status({"measure": {DONE: 52}}, closed=True)
    shown = Progress(lambda: next(states, ended), console_of(screen), outlet)
    shown.start()
    shown.wait()
    shown.close()
    assert shown.last is ended
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is shown again


def test_lines_go_above_the_table_as_they_are(screen: Screen, outlet: Outlet) -> None:
    shown = Progress(lambda: a_status(BUSY), console_of(screen), outlet)
    shown.start()
    long = "[bold]" + "x" * 200
    outlet._take(f"{long}\nbegun")
    assert f"{long}\n" in screen.getvalue()
    assert outlet.held == "begun"
    shown.close()
    outlet._take(" and ended\n")
    assert screen.getvalue().endswith("begun and ended\n")


def test_without_a_table_everything_goes_on_as_it_comes(screen: Screen, outlet: Outlet) -> None:
    outlet._take("50 %\r100 %")
    assert screen.getvalue() == "50 %\r100 %"
