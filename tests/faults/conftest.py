"""What the tests of faults share: sessions on each built-in executor, and what they leave."""

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from tests.waiting import eventually
from weft import session
from weft.builtin.processes.settings import Processes
from weft.builtin.settings import Threads
from weft.values.settings import ExecutorSettings
from weft_htex.settings import HTEX

BOUND = 60.0
"""Seconds within which anything awaited here must happen; in fact it takes a fraction of one."""

MARK = "WEFT_FAULTS_MARK"

KINDS = ["threads", "processes", "htex", "direct"]


def settings_of(kind: str, workers: int, **options: Any) -> ExecutorSettings:
    """The settings of an executor of that kind."""
    if kind == "threads":
        return Threads(max_threads=workers, **options)
    if kind == "processes":
        return Processes(max_workers=workers, **options)
    mode: Any = "direct" if kind == "direct" else "broker"
    return HTEX(workers_per_node=workers, mode=mode, **options)


class Family:
    """All processes that came from this test, by an environment variable that they inherit."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    def alive(self) -> list[int]:
        entry = f"{MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                # Of a process that has ended the environment is empty, also while it is a zombie.
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # another user's, or gone meanwhile
        return found

    def gone(self) -> None:
        """No process is left, or none is soon."""
        eventually(lambda: not self.alive(), lambda: f"these live on: {self.alive()}")


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    made = Family()
    monkeypatch.setenv(MARK, made.mark)
    yield made
    for pid in made.alive():
        os.kill(pid, signal.SIGKILL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes very long, unless it is asked for."""
    if "soak" in config.option.markexpr:
        return
    left_out = [one for one in items if one.get_closest_marker("soak") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [one for one in items if one.get_closest_marker("soak") is None]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which executor; ``direct`` is htex with its interchange in this process."""
    return str(request.param)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines for the person at the terminal."""
    lines: list[str] = []
    monkeypatch.setattr(session, "say", lines.append)
    return lines


@pytest.fixture
def config(kind: str, tmp_path: Path) -> Callable[..., weft.Config]:
    """Configurations with one executor, of two workers."""

    def make(
        workers: int = 2, executor: dict[str, Any] | None = None, **options: Any
    ) -> weft.Config:
        one = settings_of(kind, workers, **(executor or {}))
        options.setdefault("close_timeout", BOUND)
        return weft.Config(executors=[one], run_dir=tmp_path / "runs", **options)

    return make


@pytest.fixture
def nothing_left(family: Family, said: list[str]) -> Iterator[None]:
    """After the test no session is open, and no thread, process or descriptor of one is left."""
    before, known = set(descriptors()), set(threading.enumerate())
    yield
    current = weft.current()
    if current is not None:
        current.close(cancel=True)
    family.gone()

    def threads() -> list[threading.Thread]:
        every = threading.enumerate()
        return [one for one in every if one.name.startswith("weft-") and one not in known]

    def opened() -> dict[str, int]:
        return {name: number for name, number in descriptors().items() if name not in before}

    eventually(lambda: not threads(), lambda: f"these threads live on: {threads()}")
    eventually(lambda: not opened(), lambda: f"these are still open: {opened()}")


def descriptors() -> dict[str, int]:
    """What this process holds open of what only a running session needs, and the numbers of it."""
    found = {}
    for one in Path("/proc/self/fd").iterdir():
        try:
            name = str(one.readlink())
        except OSError:  # that of the listing itself
            continue
        if name.startswith(("pipe:", "socket:", "/memfd:weft", "anon_inode:[pidfd]")):
            found[name] = int(one.name)
    return found


@pytest.fixture
def run(nothing_left: None, config: Callable[..., weft.Config]) -> Iterator[weft.Session]:
    """An open session with a single worker, so that the next task gets the same one."""
    with weft.load(config(workers=1)) as opened:
        yield opened


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., None]:
    return eventually
