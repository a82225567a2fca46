"""A widget follows a run to its end, from one thread, and leaves nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from plugins.jupyter.tests.conftest import BOUND, Log, until
from weft.errors import EventLogError
from weft_jupyter import watch
from weft_jupyter.follower import Follower

LIVE = """
import threading
import weft
from weft import python_app
from weft_jupyter import watch

@python_app
def double(x):
    return 2 * x

run = weft.load(weft.Config(run_dir="runs"))
one, two = watch(run), watch(run.run_folder)
assert [f.result(60) for f in [double(n) for n in range(50)]][-1] == 98
print(sum(thread.name == "weft-jupyter" for thread in threading.enumerate()))
run.close()
following = [thread for thread in threading.enumerate() if thread.name == "weft-jupyter"]
for thread in following:
    thread.join(60)
print(one.picture["state"], one.picture["counts"], one.picture == two.picture)
print(sum(thread.name == "weft-jupyter" for thread in threading.enumerate()))
"""
LEFT = """
import weft
from weft_jupyter import watch

widget = watch(weft.load(weft.Config(run_dir="runs")))
print(widget.picture["state"])
"""


def threads() -> int:
    return sum(one.name == "weft-jupyter" for one in threading.enumerate())


def ran(program: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_widget_follows_a_run_to_its_end(log: Log) -> None:
    with_tasks = watch(log)
    assert with_tasks.picture["state"] == "running"
    assert with_tasks.picture["counts"] == {}
    log.tasks("read", 1, 4)
    until(lambda: with_tasks.picture["counts"] == {"done": 4})
    log.end()
    until(lambda: with_tasks.picture["state"] == "ended")
    until(lambda: threads() == 0)
    with_tasks.close()


def test_a_run_that_was_killed_is_said_to_be_broken_off(log: Log) -> None:
    log.tasks("read", 1, 4)
    log.close()
    widget = watch(str(log.folder))

    until(lambda: widget.picture.get("state") == "broken off")
    assert widget.picture["counts"] == {"done": 4}
    widget.close()


def test_widgets_share_one_thread_and_the_last_one_to_close_joins_it(tmp_path: Path) -> None:
    logs = [Log(tmp_path / f"{number}") for number in range(3)]
    widgets = [watch(log) for log in logs for _ in range(2)]

    assert threads() == 1
    for log in logs:
        log.tasks("read", 1, 1)
    until(lambda: all(widget.picture.get("counts") == {"done": 1} for widget in widgets))
    for widget in widgets[:-1]:
        widget.close()
    assert threads() == 1
    widgets[-1].close()
    assert threads() == 0
    widgets[-1].close()
    for log in logs:
        log.close()


def test_a_widget_is_taken_back_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = watch(log)
    widget.close()

    def refused(*_: Any) -> None:
        pytest.fail("garbage collection would take the follower's lock")

    monkeypatch.setattr(Follower, "drop", refused)
    widget.close()
    del widget


def test_nothing_is_sent_when_nothing_has_changed(log: Log) -> None:
    sent: list[Any] = []
    looked = threading.Semaphore(0)

    class Counting(Follower):
        def _look(self, watched: Any) -> None:
            super()._look(watched)
            looked.release()

    following = Counting()
    following.add(log.folder, sent.append)
    for _ in range(3):
        assert looked.acquire(timeout=BOUND)
    assert len(sent) == 1
    log.tasks("read", 1, 1)
    until(lambda: len(sent) == 2)
    following.close()
    assert threads() == 0


def test_a_widget_that_is_gone_keeps_no_other_from_being_drawn(log: Log) -> None:
    def gone(_: Any) -> None:
        raise RuntimeError("no front end")

    sent: list[Any] = []
    following = Follower()
    following.add(log.folder, gone)
    following.add(log.folder, sent.append)

    until(lambda: sent)
    following.close()


def test_what_is_no_run_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="There is no such file"):
        watch(tmp_path)
    assert threads() == 0


def test_a_run_in_this_process_is_followed_and_closes_as_ever(tmp_path: Path) -> None:
    assert ran(LIVE, tmp_path) == ["1", "ended {'done': 50} True", "0"]


def test_a_program_ends_that_closes_neither_session_nor_widget(tmp_path: Path) -> None:
    assert ran(LEFT, tmp_path) == ["running"]


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    source = Path(sys.modules["weft_jupyter"].__file__ or "").parent
    for name in ("widget.js", "widget.css"):
        text = (source / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        for word in ("http:", "https:", "import(", "import ", "fetch(", "innerHTML", "eval("):
            assert word not in text, (name, word)
