"""A session with a stager of its own: what it is told of transfers, and what it is told to end."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from weft import python_app
from weft.builtin.settings import Threads
from weft.configuration.config import Backoff, Config
from weft.errors import StagingError
from weft.session import Session
from weft.values.events import Event, FileMoved, FileMoving, FileNotMoved
from weft.values.files import File
from weft.values.plugin import Kind
from weft.values.settings import MonitorSettings
from weft.values.states import TaskState

if TYPE_CHECKING:
    from core.tests.conftest import Site

PATIENCE = 60.0

STAGER = """
from pathlib import Path
from weft.interfaces.stager import Stager, Transfer

class Slow(Stager):
    def start(self, context):
        self.context = context
    def plan(self, way, file, place):
        placed = file.placed(Path(place.folder) / file.filename)
        return Transfer(way=way, file=file, placed=placed, place=place)
    def move(self, transfer):
        from {helper} import asked
        asked(self, transfer)
    def close(self):
        pass

def build(settings):
    return Slow()
"""


class Other:
    """The other side of the stager: what it does is what the test says."""

    def __init__(self, steps: Any) -> None:
        self.steps = steps
        self.began = threading.Event()
        self.ended: list[BaseException | None] = []

    def asked(self, stager: Any, transfer: Any) -> None:
        try:
            self.steps(self, stager, transfer)
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def open_with(
    site: Site, tmp_path: Path, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> Any:
    def opened(steps: Any, **options: Any) -> tuple[Session, Other]:
        other = Other(steps)
        monkeypatch.setitem(sys.modules, "the_other_side", other)
        site.plugin(
            "weft-slow",
            "stager",
            "slow",
            schemes=("slow",),
            factory=STAGER.format(helper="the_other_side"),
        )
        site.plugin("weft-ear", "monitor", "ear", factory=EAR)
        monkeypatch.setitem(sys.modules, "the_ear", type(sys)("the_ear"))
        sys.modules["the_ear"].told = told  # type: ignore[attr-defined]
        registry = site.registry(builtin=True)
        config = Config(
            executors=[Threads(max_threads=1)],
            monitors=[cast("MonitorSettings", registry.settings(Kind.MONITOR, "ear"))],
            run_dir=tmp_path / "runs",
            transfer_backoff=Backoff(first=0.0),
            **options,
        )
        return Session(config, registry=registry), other

    return opened


EAR = """
from weft.testing.monitor import FakeMonitor

class Ear(FakeMonitor):
    def handle(self, events):
        from the_ear import told
        told += events

def build(settings):
    return Ear()
"""


@python_app
def name(file: File) -> str:
    return Path(file).name


def test_how_far_a_transfer_is_reaches_the_monitors(
    open_with: Any, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.session._BETWEEN", 3600.0)

    def steps(other: Other, stager: Any, transfer: Any) -> None:
        for done in (1, 2, 3, 10):
            stager.context.progress(transfer, done, 10)

    session, _ = open_with(steps)
    with session:
        found = name.options(session=session)(File("slow://host/a.txt")).result(PATIENCE)

    assert found == "a.txt"
    went = [event for event in told if isinstance(event, FileMoving)]
    assert [(event.done, event.total) for event in went] == [(1, 10), (10, 10)], "seldom, and last"
    assert went[0].url == "slow://host/a.txt"
    assert [event.size for event in told if isinstance(event, FileMoved)] == [10]


def test_a_transfer_that_takes_too_long_is_told_so(open_with: Any, told: list[Event]) -> None:
    let_go = threading.Event()

    def steps(other: Other, stager: Any, transfer: Any) -> None:
        # Goes on for as long as it is let, as one does that gets a byte now and then.
        while not let_go.wait(0.01):
            stager.context.progress(transfer, 1)

    session, other = open_with(steps, transfer_timeout=0.2, transfer_retries=1)
    with session:
        error = name.options(session=session)(File("slow://host/a.txt")).exception(PATIENCE)

    assert isinstance(error, StagingError)
    assert "longer than 0.2 s" in error.reason
    assert "tried 2 times" in error.reason
    assert len(other.ended) == 2
    assert all("Nobody waits" in str(one) for one in other.ended)
    assert [event.delay for event in told if isinstance(event, FileNotMoved)] == [0.0, None]


def test_a_transfer_of_a_cancelled_task_ends(open_with: Any) -> None:
    def steps(other: Other, stager: Any, transfer: Any) -> None:
        other.began.set()
        over = threading.Event()
        while not over.wait(0.01):
            stager.context.progress(transfer, 1)

    session, other = open_with(steps)
    with session:
        future = name.options(session=session)(File("slow://host/a.txt"))
        assert other.began.wait(PATIENCE)
        assert [view.state for view in session.tasks()] == [TaskState.STAGING_IN]
        assert future.cancel()

    assert len(other.ended) == 1
    assert isinstance(other.ended[0], StagingError)
    assert not [
        thread.name for thread in threading.enumerate() if thread.name.startswith("weft-transfer")
    ]


def test_a_session_that_is_cancelled_waits_for_no_transfer(open_with: Any) -> None:
    def steps(other: Other, stager: Any, transfer: Any) -> None:
        other.began.set()
        over = threading.Event()
        while not over.wait(0.01):
            stager.context.progress(transfer, 1)

    session, other = open_with(steps)
    future = name.options(session=session)(File("slow://host/a.txt"))
    assert other.began.wait(PATIENCE)
    session.close(cancel=True)

    assert future.cancelled()
    assert len(other.ended) == 1
