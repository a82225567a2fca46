"""What notebooks show: complete, escaped, bounded, whatever tasks returned or raised."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import python_app
from weft.apps import bash_app
from weft.builtin.settings import Threads
from weft.configuration.config import Config
from weft.dataflow.views import Group
from weft.display import clock, error_line, file_html, short_form, status_html, task_html
from weft.errors import DependencyError
from weft.interfaces.executor import ExecutorStatus
from weft.session import Session
from weft.status import Status
from weft.values.blocks import Block, BlockState
from weft.values.files import File
from weft.values.states import TaskState
from weft.values.task import Ended, Try

PATIENCE = 60.0
VOID = ("br", "img", "input")


class Page(HTMLParser):
    """HTML as a browser reads it: the text, the elements, and whether each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.open, self.elements = "", list[str](), list[str]()
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class NoText:
    def __repr__(self) -> str:
        return 7  # type: ignore[return-value]


class Sly(str):
    """Text whose methods do other things than those of texts."""

    __slots__ = ()

    def replace(self, *_: Any) -> str:
        return "<script>"

    def __getitem__(self, _: Any) -> str:
        return "<script>"


class SaysSlyly:
    def __repr__(self) -> str:
        return Sly("<b>bold</b>")


class Endless:
    def __repr__(self) -> str:
        return "<i>" * 10_000_000


class Sad(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def status(**more: Any) -> Status:
    fields: dict[str, Any] = {
        "counts": dict.fromkeys(TaskState, 0),
        "apps": {},
        "from_memory": {},
        "executors": {},
        "failures": (),
        "elapsed": 83.0,
        "run_folder": Path("/runs/004"),
        "closed": False,
        "program": "survey.py",
    }
    return Status(**{**fields, **more})


# -------------------------------------------------------------------------------------- any values


@settings(max_examples=40, deadline=None)
@given(st.text(), st.text(), st.text(), st.sampled_from(TaskState))
def test_what_others_wrote_is_text_in_the_html_and_nothing_else(
    app: str, message: str, value: str, state: TaskState
) -> None:
    tries = [Try(number=1, executor=message, ended=Ended.VALUE, place=value, seconds=1.0)]
    group = Group(app, value, 2, 7, message)
    pages = [
        task_html(app, 7, state, tries=tries, result=value, error=ValueError(message)),
        file_html(value, message, app, 7, state, error=ValueError(value)),
        status_html(
            status(
                program=value,
                apps={app: {state: 2}},
                failures=[group],
                executors={message: ExecutorStatus(workers=1)},
                run_folder=Path("/runs") / value.replace("\0", ""),
            )
        ),
    ]

    for html in pages:
        page = Page(html)
        assert set(page.elements) <= {"div", "span", "b", "table", "tr", "td"}
        assert page.attributes <= {"class", "style", "title"}
        assert len(html) < 12_000


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    )
)
def test_a_short_form_is_short(value: Any) -> None:
    assert 0 < len(short_form(value)) <= 240


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (42, "42"),
        ([1, 2], "[1, 2]"),
        ({"b": 1, "a": (None,)}, "{'b': 1, 'a': (None,)}"),
        (set(), "set()"),
        ({7}, "{7}"),
        (frozenset(), "frozenset()"),
        (frozenset({7}), "frozenset({7})"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, ...]"),
        (dict.fromkeys(range(1000)), "{0: None, 1: None, 2: None, 3: None, 4: None, 5: None, …}"),
        (b"ab", "b'ab'"),
        (Raises(), "<Raises, whose repr raises>"),
        ([Raises(), 2], "[<Raises, whose repr raises>, 2]"),
        (NoText(), "<NoText, whose repr raises>"),
        (SaysSlyly(), "<b>bold</b>"),
    ],
)
def test_short_forms(value: Any, shown: str) -> None:
    assert short_form(value) == shown


@pytest.mark.parametrize(
    "make",
    [lambda: bytes(10**7), lambda: bytearray(10**7), Endless, lambda: "x" * 10**7],
    ids=["bytes", "bytearray", "repr", "text"],
)
def test_what_is_large_is_cut(make: Callable[[], Any]) -> None:
    shown = short_form(make())

    assert 100 < len(shown) <= 240
    assert "…" in shown or "..." in shown


def test_a_very_large_number_is_not_written_out() -> None:
    assert short_form([1 << 10**7]) == "[<int of 10000001 bits>]"


def test_what_contains_itself_has_a_short_form() -> None:
    knot: list[Any] = []
    knot.append(knot)

    assert short_form(knot) == "[[[[[...]]]]]"


def test_html_of_a_sly_text_is_escaped() -> None:
    html = task_html("app", 1, TaskState.DONE, result=SaysSlyly())

    assert escape("<b>bold</b>") in html
    assert "<script>" not in html


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError("\n\n  late"), "ValueError: late"),
        (KeyError(), "KeyError"),
        (Sad(), "Sad: (its message cannot be shown)"),
    ],
)
def test_an_error_is_one_line(error: Exception, line: str) -> None:
    assert error_line(error) == line


def test_the_line_of_a_long_error_is_cut() -> None:
    assert len(error_line(ValueError("x" * 10**7))) == 240


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"),
        (0.123, "0.12 s"),
        (7, "7.0 s"),
        (125.9, "2:05 min"),
        (3723, "1:02:03 h"),
        (2 * 86400 + 3 * 3600 + 240, "2 d 3:04 h"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert clock(seconds) == text


# ----------------------------------------------------------------------------------------- a status


def test_a_status_shows_apps_executors_failures_and_the_folder() -> None:
    blocks = [
        Block(id="a", state=BlockState.READY, since=0.0),
        Block(id="b", state=BlockState.FAILED, since=0.0),
    ]
    page = Page(
        status_html(
            status(
                counts={TaskState.DONE: 3, TaskState.FAILED: 2, TaskState.PENDING: 4},
                apps={"align": {TaskState.DONE: 3, TaskState.FAILED: 2, TaskState.PENDING: 4}},
                from_memory={"align": 1},
                executors={"cpu": ExecutorStatus(workers=8, running=5, waiting=2, blocks=blocks)},
                failures=[Group("align", "ValueError", 2, 17, "no\nstrand")],
            )
        )
    )

    for part in (
        "survey.py open · 1:23 min · 9 tasks",
        "3 done, 2 failed, 4 pending (1 from memory)",
        "2 × align: ValueError: no strand (task 17)",
        "cpu 8 workers · 5 busy · 2 tasks in its queue · 1 block, 1 ended",
        "/runs/004",
    ):
        assert part in page.text


def test_of_very_many_apps_the_first_are_shown_and_the_rest_counted() -> None:
    apps = {f"app{number}": {TaskState.DONE: 1} for number in range(500)}
    html = status_html(
        status(
            apps=apps,
            executors={f"e{number}": ExecutorStatus(workers=1) for number in range(500)},
            failures=[Group("app", "E", 1, number, "no") for number in range(500)],
        )
    )

    page = Page(html)
    assert page.elements.count("tr") == 20
    assert "and 480 more apps" in page.text
    assert page.text.count("and 480 more") == 3


# ----------------------------------------------------------------------------- futures of a session


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(executors=[Threads(label="pool", max_threads=2)], run_dir=tmp_path / "runs")


@python_app
def shown(value: Any) -> Any:
    return value


@python_app
def fails() -> None:
    raise ValueError("no <b>strand</b>\nof this name")


@bash_app
def written(outputs: Any = ()) -> str:
    return f"echo there > {outputs[0]}"


def html_of(thing: Any) -> str:
    html: str = thing._repr_html_()
    assert html == html.strip()
    return re.sub(r"\s+", " ", unescape(Page(html).text))


def test_futures_show_what_came_of_them(config: Config, tmp_path: Path) -> None:
    with Session(config) as run:
        good = shown.options(session=run)({"a": 1})
        bad = fails.options(session=run)()
        dead = shown.options(session=run)(bad)
        file = written.options(session=run)(outputs=[File(tmp_path / "made.txt")]).outputs[0]
        good.result(PATIENCE)
        assert isinstance(dead.exception(PATIENCE), DependencyError)
        file.result(PATIENCE)

        assert re.match(
            r"✓ shown done · task \d+ · ran \d\.\d\d s · on pool · .*\{'a': 1\}$", html_of(good)
        )
        assert "✗ fails failed" in html_of(bad)
        assert html_of(bad).endswith("ValueError: no <b>strand</b>")
        assert "✗ shown failed" in html_of(dead)
        assert "DependencyError: " in html_of(dead)
        made = html_of(file)
        assert made.startswith("✓ made.txt done · file of written, task ")
        assert made.endswith(str(tmp_path / "made.txt"))
        assert "open" in html_of(run)
        assert "3 tasks" not in html_of(run)
        assert "2 done, 2 failed" in html_of(run)
    assert "■ " in html_of(run)
    assert "closed" in html_of(run)


def test_nothing_is_waited_for(config: Config) -> None:
    go, began = threading.Event(), threading.Event()

    @python_app
    def held() -> int:
        began.set()
        assert go.wait(PATIENCE)
        return 1

    with Session(config) as run:
        try:
            first = held.options(session=run)()
            then = shown.options(session=run)(first)
            asked = shown.options(session=run)(then)
            assert began.wait(PATIENCE)
            assert "▶ held launched" in html_of(first)
            assert "on pool" in html_of(first)
            assert "shown waits" in html_of(then)
            assert "1 input to come" in html_of(then)
            assert asked.cancel()
            assert "⊘ shown cancelled" in html_of(asked)
            assert "1 launched" in html_of(run)
        finally:
            go.set()
        assert then.result(PATIENCE) == 1


def test_only_what_is_displayed_loads_the_display() -> None:
    program = (
        "import sys, tempfile, weft\n"
        "from weft import python_app\n"
        "@python_app\n"
        "def one(): return 1\n"
        "with tempfile.TemporaryDirectory() as there:\n"
        "    with weft.load(weft.Config(run_dir=there)) as run:\n"
        "        future = one()\n"
        "        assert future.result(60) == 1\n"
        "        repr(future), repr(run), str(run.status())\n"
        "        assert not {'weft.display', 'html'} & set(sys.modules)\n"
        "        future._repr_html_()\n"
        "        assert 'weft.display' in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=100
    )

    assert done.returncode == 0, done.stderr
