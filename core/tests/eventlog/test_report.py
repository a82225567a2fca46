"""Reports of runs: as text, as a page of HTML that needs nothing else, and what differs."""

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.eventlog.compare import Row, compare, lines_of
from weft.eventlog.figures import RunFigures, Timeline, figures_of
from weft.eventlog.page import _scale, page
from weft.eventlog.story import RunStory
from weft.eventlog.text import amount, columns, percent, report, span
from weft.values.events import (
    ExecutorStarted,
    ExecutorStopped,
    FileMoved,
    Notice,
    RunEnded,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.states import TaskState as S
from weft.values.task import TaskId

START = 1_700_000_000.0
DEPENDENCY = (
    "DependencyError: merge (task 4) was not started, because an input failed: "
    "merge (task 4) <- measure (task 2)."
)


def a_task(number: int, app: str, ran: float, error: str = "") -> list[Any]:
    """One that waits for a second, is on its way for two, runs, and is a second on its way back."""
    task, place = TaskId(number), f"worker {number % 2} on node1"
    end = S.FAILED if error else S.DONE
    return [
        TaskSubmitted(START, task, app, ()),
        TaskMoved(START + 1, task, app, S.LAUNCHED, 1, "far"),
        TaskMoved(START + 4 + ran, task, app, end, 1, "", error, place, START + 3, ran),
    ]


def figures(*tasks: list[Any], program: str = "survey.py", length: float = 20) -> RunFigures:
    events: list[Any] = [
        RunStarted(START, "id", "folder", program, "0.1", "login1", "ada", 7, "3.11.7"),
        ExecutorStarted(START, "far", "threads"),
    ]
    events += sorted((event for task in tasks for event in task), key=lambda event: event.time)
    events += [ExecutorStopped(START + length, "far"), RunEnded(START + length, "id", 0, 0, 0)]
    return figures_of(RunStory().fold(events), Timeline().fold(events))


def a_survey() -> RunFigures:
    return figures(
        a_task(0, "measure", 2),
        a_task(1, "measure", 4),
        a_task(2, "measure", 1, "ValueError: no strand"),
        a_task(3, "plot", 5),
        [
            TaskSubmitted(START + 9, TaskId(4), "merge", ()),
            TaskMoved(START + 9, TaskId(4), "merge", S.FAILED, 0, "", DEPENDENCY),
            FileMoved(START + 9, "file:///a", "in", "far", 1, 0.5, 1500),
        ],
    )


def test_the_report_tells_failures_by_cause_and_where_the_time_went() -> None:
    head, versions, *lines = report(a_survey(), "0007", "ended")
    assert head.startswith("0007 survey.py: ended, 20 s, since 2023-11-")
    assert versions == "weft 0.1, Python 3.11.7 on login1, as ada"
    assert lines == [
        "5 tasks: 3 done, 2 failed; 0.15 done per second",
        "",
        "FAILURES, by what caused them",
        "  1 x measure: ValueError: no strand (task 2; 1 task failed because of it)",
        "",
        "WHERE THE TIME OF THE TASKS WENT",
        "                                          in all  share  per task",
        "  waited for inputs or a retry               4 s   14 %    800 ms",
        "  in the executor's queue and on the way     8 s   29 %     1.6 s",
        "  ran                                       12 s   43 %     2.4 s",
        "  on the way back                            4 s   14 %    800 ms",
        "",
        "WORKERS",
        "  far: 30 % of 40 s of 2 workers that ran something",
        "",
        "APPS, those that ran longest in all first",
        "           tasks  failed  median  95 of 100  longest  in all",
        "  measure      3       1     2 s        4 s      4 s     6 s",
        "  plot         1       -     5 s        5 s      5 s     5 s",
        "",
        "LONGEST TASKS",
        "  plot (task 3)     worker 1 on node1  5 s",
        "  measure (task 1)  worker 1 on node1  4 s",
        "  measure (task 0)  worker 0 on node1  2 s",
        "  measure (task 2)  worker 0 on node1  1 s",
        "",
        "FILES: 1 file moved, 1.5 kB, in 500 ms",
    ]


def test_nothing_at_all_has_a_report_too() -> None:
    nothing = figures_of(RunStory(), Timeline())
    assert report(nothing, "0000", "unknown") == ["0000 a run: unknown, 0 s, since ?", "no tasks"]
    assert "no tasks" in page(nothing, "0000", "unknown")


def test_two_runs_are_compared_number_by_number() -> None:
    before = figures(a_task(0, "measure", 2), a_task(1, "measure", 4))
    after = figures(
        a_task(0, "measure", 2.2),
        a_task(1, "measure", 8, "OSError: no disk"),
        a_task(2, "plot", 1),
        length=24,
    )
    rows = {row.name: row for one in compare(before, after) for row in one.rows}
    assert rows["took"] == Row("took", "20 s", "24 s", "+20 %")
    assert rows["tasks"] == Row("tasks", "2", "3", "+50 %")
    assert rows["host"].differs is False
    assert rows["measure: median"] == Row("measure: median", "2 s", "2.2 s", "+10 %")
    assert rows["measure: 95 of 100"] == Row("measure: 95 of 100", "4 s", "2.2 s", "-45 %")
    assert rows["plot: tasks"] == Row("plot: tasks", "0", "1")
    assert rows["measure: OSError"] == Row("measure: OSError", "0", "1")
    assert rows["workers of far busy"].differs
    lines = list(lines_of(compare(before, after), ("0007", "0008")))
    assert lines[0].split() == ["0007", "0008"]
    assert "TASKS" in lines
    assert len({line.index("0007") + 4 for line in lines[:1]}) == 1
    assert not any(row.differs for one in compare(before, before) for row in one.rows)


# ----------------------------------------------------------------------------------------- the page


class Page(HTMLParser):
    """Reads a page, and holds that what is opened is closed, and that nothing is fetched."""

    EMPTY = frozenset({"meta", "br", "path", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        names = {name for name, _ in attrs}
        assert not names & {"src", "href", "xlink:href", "onload", "onclick"}, attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.EMPTY

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


EXPECTED_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "br"),
    *("div", "b", "i", "table", "tr", "th", "td", "svg", "path", "rect", "text"),
}


def test_the_page_tells_what_the_report_tells_and_fetches_nothing() -> None:
    text = page(a_survey(), "0007", "ended")
    read = Page(text)
    assert read.tags <= EXPECTED_TAGS
    for words in ("survey.py", "ValueError: no strand", "workers, 2 in all", "plot", "5 s"):
        assert words in read.words
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "url(" not in text
    assert "@import" not in text


@settings(deadline=None, max_examples=25)
@given(evil=st.text(alphabet=st.characters(codec="utf-16", exclude_categories=()), min_size=1))
def test_whatever_somebody_names_or_says_is_only_shown(evil: str) -> None:
    evil = f"<script>&\"'\x1b[2J</td>{evil}"
    bad = figures(
        a_task(0, evil, 1, f"ValueError: {evil}"),
        a_task(1, evil, 1),
        [Notice(START + 2, "warning", evil, evil)],
        program=evil,
    )
    read = Page(page(bad, evil, "ended"))
    assert read.tags <= EXPECTED_TAGS
    assert "<script>" in read.words
    assert "\x1b" not in read.words
    for line in (*report(bad, "0007", "ended"), *lines_of(compare(bad, bad), ("a", "b"))):
        assert line.isprintable()


def test_the_page_of_very_many_apps_errors_and_long_words_is_small() -> None:
    tasks = [a_task(n, f"app{n}" * 50, n % 7, f"Error{n}: " + "x" * 9999) for n in range(1500)]
    tasks += [a_task(n, f"app{n}" * 50, n % 7) for n in range(1500, 3000)]
    many = figures(*tasks)
    text = page(many, "0007", "ended")
    Page(text)
    assert len(text.encode()) < 300_000
    assert len(report(many, "0007", "ended")) < 100


@given(highest=st.floats(0, 1e15))
def test_an_axis_holds_its_values_and_wastes_less_than_half(highest: float) -> None:
    end, marks = _scale(highest)
    assert end >= highest
    assert len(marks) <= 6
    assert highest < 1e-9 or end <= highest * 2.01


anything = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None, max_examples=100)
@given(numbers=st.lists(st.tuples(anything, anything, anything, anything), max_size=4))
def test_numbers_that_cannot_be_have_a_report_too(
    numbers: list[tuple[float, float, float, float]],
) -> None:
    events: list[Any] = [RunStarted(START, "id", "folder", "x.py", "0.1")]
    for number, (launched, ended, begun, seconds) in enumerate(numbers):
        task = TaskId(number)
        events += [
            TaskMoved(launched, task, "a", S.LAUNCHED, 1, "far"),
            TaskMoved(ended, task, "a", S.DONE, 1, "", "", "w on n", begun, seconds),
        ]
    events.append(FileMoved(START, "file:///a", "in", "far", 1, sum(map(sum, numbers))))
    told = figures_of(RunStory().fold(events), Timeline().fold(events))
    Page(page(told, "0007", "ended"))
    assert report(told, "0007", "ended")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([1500, 500], "2 files moved, 2 kB, in 2 s"),
        ([0], "1 file moved, 0 B, in 1 s"),
        ([1500, None], "2 files moved, 1.5 kB and 1 of unknown size, in 2 s"),
        ([None, None], "2 files moved, of unknown size, in 2 s"),
        ([-5, 2**70], "2 files moved, of unknown size, in 2 s"),
    ],
)
def test_how_much_was_moved_is_told_as_far_as_it_is_known(
    sizes: list[int | None], words: str
) -> None:
    run = figures([FileMoved(START, "far://h/a", "in", "far", 1, 1.0, size) for size in sizes])
    assert f"FILES: {words}" in report(run, "0007", "ended")
    assert f"<p>{words}.</p>" in page(run, "0007", "ended")


def test_how_much_two_runs_moved_is_compared_where_it_is_known_of_both() -> None:
    def moved(*sizes: int | None) -> RunFigures:
        return figures([FileMoved(START, "far://h/a", "in", "f", 1, 1.0, one) for one in sizes])

    def row(before: RunFigures, after: RunFigures) -> Row:
        rows = [row for one in compare(before, after) for row in one.rows]
        return next(row for row in rows if row.name == "data moved")

    assert row(moved(1000), moved(4000)) == Row("data moved", "1 kB", "4 kB", "x 4")
    assert row(moved(None), moved(4000)) == Row("data moved", "unknown", "4 kB")


def test_words_for_numbers() -> None:
    assert [amount(one) for one in (0, 999, 1000, 1.25e9, 3e15)] == [
        "0 B",
        "999 B",
        "1 kB",
        "1.25 GB",
        "3.0 PB",
    ]
    assert [percent(one) for one in (0.0, 0.004, 0.5, 1.0)] == ["0 %", "0.4 %", "50 %", "100 %"]
    assert [span(one) for one in (0.0, 2e-4, 0.25, 3.25, 245, 3723, 2 * 86400 + 5)] == [
        "0 s",
        "200 µs",
        "250 ms",
        "3.25 s",
        "4:05",
        "1:02:03",
        "2 d 0:00:05",
    ]
    assert columns([("a", "1"), ("bcd", "22")]) == ["  a     1", "  bcd  22"]
