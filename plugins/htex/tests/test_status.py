"""What a session's status says of htex: blocks, managers, who runs what, what differs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

import weft
from weft import Config, python_app
from weft.interfaces.executor import ExecutorStatus
from weft_htex import versions

BOUND = 60.0


@python_app
def hold(here: str, go: str) -> int:
    """Says that it runs, and ends when it may."""
    import os
    import time
    from pathlib import Path

    Path(here).write_text(str(os.getpid()))
    until = time.monotonic() + 60
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.02)
    return os.getpid()


def eventually(happened: Callable[[], Any]) -> Any:
    until = time.monotonic() + BOUND
    turn = Event()
    while not (found := happened()):
        assert time.monotonic() < until
        turn.wait(0.02)
    return found


def opened(tmp_path: Path, **options: Any) -> weft.Session:
    executor = weft.executor("htex", workers_per_node=2, heartbeat=0.2, **options)
    return weft.load(Config(executors=[executor], run_dir=tmp_path / "runs"))


def status(session: weft.Session) -> ExecutorStatus:
    return session.status().executors["htex"]


def test_status_says_which_worker_runs_which_task(tmp_path: Path) -> None:
    here, go = tmp_path / "here", tmp_path / "go"
    with opened(tmp_path) as session:
        try:
            running = hold(str(here), str(go))
            (manager,) = eventually(
                lambda: [one for one in status(session).managers if one.at_work]
            )
            (at_work,) = manager.at_work
            # Who looks after blocks hears of the manager by itself.
            eventually(lambda: ": ready for" in str(session.status()))
            shown = str(session.status())
            (block,) = status(session).blocks
        finally:
            go.touch()
        worker = running.result(BOUND)

    assert at_work.app == "hold"
    assert f"(pid {worker})" in at_work.worker
    assert (manager.block, manager.workers, manager.held) == (block.id, 2, 1)
    assert manager.pid != os.getpid()
    assert manager.python == versions.python_version()
    assert set(versions.ALWAYS) <= set(manager.packages)
    assert manager.differs == {}
    assert f"block {block.id}: ready for" in shown
    assert f"{at_work.worker}: hold (task 0)" in shown


def test_a_package_that_differs_on_a_node_is_told_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tmp_path / "site" / "weft_test_only_there-2.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: weft-test-only-there\nVersion: 2.0\n"
    )
    init = f'export PYTHONPATH="{tmp_path / "site"}:$PYTHONPATH"'

    named = ("weft-test-only-there", "weft-test-nowhere", "attrs")
    with opened(tmp_path, worker_init=init, packages=named) as session:
        (manager,) = eventually(lambda: status(session).managers)
        shown = str(session.status())

    assert manager.differs == {"weft-test-only-there": ("2.0", "")}
    assert "differs: weft-test-only-there 2.0, here not installed" in shown
    told = [line for line in capsys.readouterr().err.splitlines() if "weft-test" in line]
    assert len(told) == 1
    assert "weft-test-only-there is 2.0 on" in told[0]
    assert "and not installed here" in told[0]


def test_versions_are_compared_by_what_both_sides_know() -> None:
    there = {"a": "1", "b": "2", "c": ""}

    assert versions.differing(there, {"a": "1", "b": "3", "c": "4", "d": "5"}) == {
        "b": ("2", "3"),
        "c": ("", "4"),
    }
    assert versions.versions_of(["weft-test-nowhere"]) == {"weft-test-nowhere": ""}
    assert versions.versions_of(["attrs"])["attrs"]


def test_versions_are_those_that_the_installer_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, version in ((first, "1.0"), (second, "2.0")):
        (folder / f"Weft_Test.Made-{version}.dist-info").mkdir(parents=True)
    (second / "weft_test_egg.egg-info").mkdir()
    (second / "weft_test_egg.egg-info" / "PKG-INFO").write_text("Version: 3.0\n")
    (tmp_path / "a file").touch()
    for entry in (second, first, tmp_path / "a file", tmp_path / "nowhere"):
        monkeypatch.syspath_prepend(entry)
    names = ["weft-test-made", "weft.test_egg", "pytest"]

    found = versions.versions_of(names)

    assert found == {
        "weft-test-made": "1.0",
        "weft.test_egg": "3.0",
        "pytest": pytest.__version__,
    }
