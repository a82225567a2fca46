"""The view of a run: one picture, whether a session or an event log tells of it."""

import io
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from weft.cli.view import Pace, View, plain_line, table, view_of_story
from weft.eventlog.story import RunStory
from weft.eventlog.text import harmless
from weft.values.blocks import BlockState
from weft.values.events import (
    BlockChanged,
    ExecutorStarted,
    ManagerChanged,
    RunStarted,
    TaskMoved,
    TaskSubmitted,
)
from weft.values.states import TaskState as S
from weft.values.task import TaskId

START = 1_700_000_000.0
PICTURE = Path(__file__).parents[3] / "docs" / "_static" / "top.svg"
"""What the guide shows; made anew with ``WEFT_TEST_SCREENSHOTS=1``."""

TERMINAL = """\
<svg class="weft-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px monospace; white-space: pre; }}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""A picture that needs no font from elsewhere, for ``rich.console.Console.export_svg``."""


def text_of(view: View, width: int, pace: Pace | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True, highlight=False)
    console.print(table(view, pace, width))
    return [line.rstrip() for line in console.export_text().splitlines()]


def picture_of(view: View, width: int) -> str:
    """What a terminal with colours is given, as an SVG."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, record=True, highlight=False, force_terminal=True)
    console.print(table(view, None, width))
    return console.export_svg(title="weft top", code_format=TERMINAL, unique_id="top")


def words_in(picture: str) -> list[str]:
    """What stands in a picture, from its title to its end."""
    texts = ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    return "".join(one.text or "" for one in texts).split()


def task(number: int, app: str, *moves: tuple[float, S, str], needs: tuple[int, ...] = ()) -> Any:
    yield TaskSubmitted(START + moves[0][0], TaskId(number), app, tuple(map(TaskId, needs)))
    attempt = 0
    for time, state, detail in moves[1:]:
        attempt += state is S.LAUNCHED
        executor = "far" if state is S.LAUNCHED else ""
        yield TaskMoved(START + time, TaskId(number), app, state, attempt, executor, detail)


def a_story() -> RunStory:
    called = (1.0, S.PENDING, "")
    events: list[Any] = [
        RunStarted(START, "id", "folder", "survey.py", "0.1"),
        ExecutorStarted(START, "far", "htex"),
        BlockChanged(START, "far", "b1", "77", BlockState.READY, "", 1),
        BlockChanged(START, "far", "b2", "78", BlockState.QUEUED, "Priority"),
        ManagerChanged(START, "far", "b1", "m1", "node1", "working", workers=8),
        ManagerChanged(START, "far", "b1", "m2", "node2", "lost", workers=8),
        *task(0, "measure", called, (2, S.LAUNCHED, ""), (5, S.DONE, "")),
        *task(1, "measure", called, (2, S.LAUNCHED, ""), (6, S.FAILED, "ValueError: no strand")),
        *task(2, "measure", called, (3, S.LAUNCHED, "")),
        *task(3, "merge", called, (6, S.FAILED, "DependencyError: an input failed"), needs=(1,)),
        *task(4, "merge", called, needs=(2,)),
    ]
    return RunStory().fold(events)


def test_a_story_is_drawn_with_blocks_what_runs_longest_and_the_cause_of_the_last_failure() -> None:
    view = view_of_story(a_story(), "0007 survey.py", "running", START + 63)
    assert text_of(view, 104) == [
        "0007 survey.py  running 1:03  far 1 launched, 8 workers",
        "measure ━━━━━━━━━━━━━        2/3 1 launched, 1 failed",
        "merge   ━━━━━━━━━━           1/2 1 waiting, 1 failed",
        "all     ━━━━━━━━━━━━         3/5 1 launched, 1 waiting, 2 failed",
        "far: blocks 1 ready, 1 queued; managers 1 working, 1 lost; queued: Priority",
        "longest: measure (task 2) for 1:00 on far",
        "failed: merge (task 3), because of measure (task 1): ValueError: no strand",
    ]


def test_the_picture_of_the_guide_is_what_is_drawn() -> None:
    view = view_of_story(a_story(), "0007 survey.py", "running", START + 63)
    picture = picture_of(view, 104)
    if os.environ.get("WEFT_TEST_SCREENSHOTS") == "1":
        PICTURE.write_text(picture)
    assert words_in(PICTURE.read_text()) == words_in(picture)
    assert words_in(picture)[-2:] == ["no", "strand"]


def test_of_a_run_that_has_ended_nothing_grows() -> None:
    ended = view_of_story(a_story(), "x", "broken off", START + 1e6)
    assert ended.elapsed == 6.0
    assert not ended.longest
    assert view_of_story(RunStory(), "x", "unknown", START).elapsed == 0.0


def test_the_same_counts_come_of_a_story_in_one_line() -> None:
    view = view_of_story(a_story(), "0007 survey.py", "running", START + 63)
    assert plain_line(view) == (
        "0007 survey.py 1:03 | done 1 of 5 | launched 1 | waiting 1 | failed 2 | "
        "unfinished: 1 of measure, 1 of merge"
    )


def test_all_apps_together_have_a_pace_and_a_time_left() -> None:
    pace, story = Pace(), a_story()
    pace.look(view_of_story(story, "x", "running", START + 10))
    story.fold([TaskMoved(START + 20, TaskId(2), "measure", S.DONE, 1)])
    later = view_of_story(story, "x", "running", START + 20)
    pace.look(later)
    assert pace.rate() == 0.1
    (line,) = [line for line in text_of(later, 120, pace) if line.startswith("all ")]
    assert line.endswith("6.0/min ETA 0:10")


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.characters(codec="utf-16", exclude_categories=())))
def test_whatever_somebody_says_is_one_bounded_line_that_a_terminal_only_shows(text: str) -> None:
    shown = harmless(text, 50)
    assert shown.isprintable()
    assert len(shown) <= 50 * len(r"\U0010ffff")
    if text.isprintable() and len(text) <= 50:
        assert shown == text


def test_names_and_errors_give_a_terminal_no_orders() -> None:
    evil = "\x1b[2J\x1b]0;mine\x07\r\u202e\x9b31m" + "x" * 100_000
    story = RunStory().fold(
        [
            RunStarted(START, "id", "folder", evil, "0.1"),
            *task(0, evil, (1, S.PENDING, ""), (2, S.LAUNCHED, "")),
            *task(1, evil, (1, S.PENDING, ""), (2, S.LAUNCHED, ""), (3, S.FAILED, evil)),
        ]
    )
    view = view_of_story(story, evil, "running", START + 30)
    for line in (*text_of(view, 100), plain_line(view)):
        assert line.isprintable()
        assert len(line) < 1000
