"""What tasks on threads log and print is told, and what others of the process do is not."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from weft.builtin.settings import Threads
from weft.builtin.threads import build
from weft.testing import FakeExecutorContext, make_task
from weft.values.events import LogLine
from weft.values.task import Ended, Needs
from weft.values.watch import Watch

BOUND = 60.0


class Rig(FakeExecutorContext):
    def __init__(self, watch: Watch, label: str = "here") -> None:
        super().__init__(label=label, watch=watch)
        self.executor = build(Threads(max_threads=2))
        self.executor.start(self)
        self.told_before: dict[int, int] = {}

    def report(self, outcomes: Any) -> None:
        for outcome in outcomes:
            self.told_before[outcome.id] = len(self.told)
        super().report(outcomes)

    def run(self, function: Callable[..., Any], *args: Any, **more: Any) -> list[LogLine]:
        """The lines that a task has told before its end."""
        task = make_task(function, *args, **more)
        self.executor.submit([task])
        assert self.outcome_of(task.id, BOUND).ended is Ended.VALUE
        told = self.told[: self.told_before[task.id]]
        return [one for one in told if type(one) is LogLine and one.id == task.id]


@pytest.fixture
def begin() -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []
    before = logging.Logger.callHandlers, sys.stdout, sys.stderr

    def rig(**watch: Any) -> Rig:
        made.append(Rig(Watch(**watch), f"here-{len(made)}"))
        return made[-1]

    yield rig
    for one in reversed(made):
        one.executor.close(BOUND)
        one.close()
    assert (logging.Logger.callHandlers, sys.stdout, sys.stderr) == before


def silent(name: str) -> logging.Logger:
    """A logger that prints nothing."""
    own = logging.getLogger(name)
    own.propagate = False
    if not own.handlers:
        own.addHandler(logging.NullHandler())
    return own


def warn(text: str, level: int = logging.WARNING) -> None:
    silent("of.threads").log(level, text)


def test_what_a_task_logs_is_told_before_its_end(begin: Any) -> None:
    (line,) = begin(level=30).run(warn, "attention", attempt=3)
    assert (line.level, line.logger, line.text) == ("WARNING", "of.threads", "attention")
    assert (line.attempt, line.executor, line.dropped) == (3, "here-0", 0)


def test_a_task_with_a_walltime_is_heard_too(begin: Any) -> None:
    (line,) = begin(level=30).run(warn, "timed", needs=Needs(walltime=600.0))
    assert line.text == "timed"


def test_levels_and_those_who_run_no_task_are_left_out(begin: Any) -> None:
    rig = begin(level=30)
    assert rig.run(warn, "too low", logging.INFO) == []
    warn("of the script")
    assert rig.told == []


def in_a_thread() -> None:
    thread = threading.Thread(target=warn, args=("whose?",))
    thread.start()
    thread.join()
    warn("mine")


def test_only_the_tasks_own_thread_is_heard(begin: Any) -> None:
    assert [line.text for line in begin(level=30).run(in_a_thread)] == ["mine"]


def test_two_executors_hear_their_own_tasks(begin: Any) -> None:
    one, two = begin(level=30), begin(level=30)
    assert [line.executor for line in one.run(warn, "a")] == ["here-0"]
    assert [line.executor for line in two.run(warn, "b")] == ["here-1"]
    assert len(one.told) == len(two.told) == 1


class Nested:
    def __str__(self) -> str:
        warn("while it is shown")
        return "shown"


def test_a_message_that_logs_while_it_is_shown_harms_nothing(begin: Any) -> None:
    texts = [line.text for line in begin(level=30).run(warn, Nested())]
    assert texts.count("shown") == 1
    assert texts[0] == "while it is shown"


def flood(count: int) -> None:
    own = silent("of.threads.flood")
    for number in range(count):
        own.warning("%d", number)


def test_a_flood_is_bounded_and_counted(begin: Any) -> None:
    lines = begin(level=30).run(flood, 5000)
    assert 1000 <= sum(line.logger != "weft" for line in lines) < 5000
    assert sum(line.logger != "weft" for line in lines) + sum(one.dropped for one in lines) == 5000


def prints() -> None:
    sys.stdout.write("one\ntwo")
    sys.stderr.write("aside\n")


def test_prints_are_told_when_asked_for(begin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    rig = begin(prints=True)
    try:
        lines = rig.run(prints)
        assert [(line.level, line.text) for line in lines] == [
            ("OUT", "one"),
            ("ERR", "aside"),
            ("OUT", "two"),
        ]
        sys.stdout.write(" and of the script\n")
        assert len(rig.told) == 3
    finally:
        rig.executor.close(BOUND)
    assert out.getvalue() == "one\ntwo and of the script\n"
    assert sys.stdout is out
    monkeypatch.undo()


_NOTHING = """
import sys, threading
import weft
from weft.builtin.settings import Threads

@weft.python_app
def add(a, b):
    return a + b

finders = len(sys.meta_path)
with weft.load(weft.Config(executors=[Threads(max_threads=1)], run_dir=sys.argv[1])):
    assert add(1, 2).result(60) == 3
    own = ("psutil", "weft.workers.hearing", "weft.workers.lines", "weft.builtin.thread_lines")
    print([name for name in own if name in sys.modules])
print(len(sys.meta_path) - finders)
"""


def test_with_nothing_to_tell_nothing_is_loaded(tmp_path: Any) -> None:
    said = subprocess.run(
        [sys.executable, "-c", _NOTHING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.stdout.split("\n")[:2] == ["[]", "0"], said.stderr
