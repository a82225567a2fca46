"""A session opens, runs and closes, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, as_completed, wait
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import join_app, python_app, session
from weft.builtin.settings import Threads
from weft.configuration.config import Config
from weft.errors import (
    ExecutorFailed,
    ForeignFuture,
    InvalidConfig,
    NoSession,
    RunFolderError,
    SessionActive,
    SessionClosed,
    SessionError,
)
from weft.session import Session
from weft.values.states import TaskState

PATIENCE = 60.0


@python_app
def double(x: Any) -> Any:
    return 2 * x


@python_app
def failing() -> None:
    raise ValueError("bad")


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    said: list[str] = []
    monkeypatch.setattr(session, "say", said.append)
    known = set(threading.enumerate())
    yield
    current = weft.current()
    if current is not None:
        current.close(cancel=True)
    new = [thread for thread in threading.enumerate() if thread not in known]
    ours = [thread for thread in new if thread.name.startswith("weft-")]
    for thread in ours:
        thread.join(PATIENCE)  # one that stood in for another has nothing more to do
    assert [thread.name for thread in ours if thread.is_alive()] == []


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        executors=[Threads(max_threads=2)], run_dir=tmp_path / "runs", close_timeout=PATIENCE
    )


def changed(config: Config, **options: Any) -> Config:
    import attrs

    return attrs.evolve(config, **options)


def test_a_session_runs_tasks_and_leaves_nothing(config: Config) -> None:
    with weft.load(config) as run:
        assert weft.current() is run
        assert [f.result(PATIENCE) for f in [double(n) for n in range(10)]] == [
            2 * n for n in range(10)
        ]
    assert weft.current() is None


def test_the_record_of_a_run_says_who_started_it_where_and_how(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a container, where a user has no name.
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with weft.load(changed(config, monitors=[weft.monitor("log", json=True)])) as run:
        pass
    first = (run.run_folder / "weft.jsonl").read_text().splitlines()[0]
    said = json.loads(first)
    assert said["event"] == "RunStarted"
    assert said["command"] == sys.orig_argv
    assert said["pid"] == os.getpid()
    assert (said["user"], said["cwd"]) == (str(os.getuid()), str(Path.cwd()))
    assert said["host"] == platform.node()
    assert said["python"] == platform.python_version()


def test_leaving_the_block_waits_for_all_tasks(config: Config) -> None:
    with weft.load(config):
        last = double(1)
        for _ in range(200):
            last = double(last)
    assert last.result(0) == 2**201


def test_the_same_configuration_can_be_loaded_again_and_again(config: Config) -> None:
    folders = set()
    for n in range(3):
        with weft.load(config) as run:
            assert double(n).result(PATIENCE) == 2 * n
            folders.add(run.run_folder)
    assert sorted(folder.name for folder in folders) == ["0000", "0001", "0002"]


def test_two_sessions_stand_side_by_side(config: Config) -> None:
    with Session(config) as one, Session(config) as other:
        first = double.options(session=one)(1)
        second = double.options(session=other)(first.result(PATIENCE))
        assert second.result(PATIENCE) == 4
        with pytest.raises(ForeignFuture, match="belongs to another session"):
            _ = double.options(session=other)(first)


def test_a_second_load_names_the_first(config: Config) -> None:
    with weft.load(config) as run, pytest.raises(SessionActive, match=run.run_folder.name):
        weft.load(config)


def test_an_app_without_a_session_says_what_to_do() -> None:
    with pytest.raises(NoSession, match=r"with weft\.load\(\)"):
        _ = double(1)


def test_an_app_called_after_the_close_is_refused(config: Config) -> None:
    with Session(config) as run:
        pass
    with pytest.raises(SessionClosed, match="double"):
        _ = double.options(session=run)(1)


def test_close_may_be_called_twice_and_from_two_threads(config: Config) -> None:
    run = weft.load(config)
    future = double(1)
    closers = [threading.Thread(target=run.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(PATIENCE)
    run.close()

    assert future.result(0) == 2
    assert run.status().closed


def test_waiting_after_the_close_returns_at_once(config: Config) -> None:
    run = weft.load(config)
    run.close()

    assert run.wait(PATIENCE)
    assert list(run.tasks()) == []


def test_an_exception_in_the_block_cancels_what_has_not_begun(config: Config) -> None:
    began, release = threading.Event(), threading.Event()

    @python_app
    def hold() -> str:
        began.set()
        assert release.wait(PATIENCE)
        return "held"

    gate: Future[int] = Future()
    with pytest.raises(RuntimeError, match="mine"), weft.load(config):  # noqa: PT012
        running, waiting = hold(), double(gate)
        assert began.wait(PATIENCE)
        threading.Timer(0.02, release.set).start()
        raise RuntimeError("mine")

    assert running.result(0) == "held"
    assert waiting.cancelled()


def test_on_exit_cancel_does_so_without_an_exception(config: Config) -> None:
    gate: Future[int] = Future()
    with weft.load(changed(config, on_exit="cancel")):
        waiting = double(gate)
    assert waiting.cancelled()


def test_what_does_not_end_in_time_is_told_and_left(config: Config) -> None:
    began, release = threading.Event(), threading.Event()

    @python_app
    def stuck() -> None:
        began.set()
        release.wait(PATIENCE)

    with weft.load(changed(config, on_exit="cancel", close_timeout=0.05)):
        future = stuck()
        assert began.wait(PATIENCE)

    assert isinstance(future.exception(0), SessionClosed)
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("weft-threads"):
            thread.join(PATIENCE)


def test_an_interrupt_while_it_waits_cancels_and_is_raised(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate: Future[int] = Future()
    run = weft.load(config)
    waiting = double(gate)

    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(run._kernel, "wait_idle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.close()

    assert waiting.cancelled()
    assert weft.current() is None


def test_an_executor_that_cannot_start_says_so_and_leaves_nothing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weft.builtin.threads import ThreadExecutor

    def refuse(*_: Any) -> None:
        raise OSError("no such device")

    monkeypatch.setattr(ThreadExecutor, "start", refuse)

    with pytest.raises(ExecutorFailed, match="threads") as caught:
        weft.load(config)

    assert "no such device" in str(caught.value)
    assert weft.current() is None


def test_a_run_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises((RunFolderError, InvalidConfig), match="file"):
        weft.load(Config(run_dir=tmp_path / "file" / "runs"))


def test_every_problem_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    twice = [Threads(label="cpu"), Threads(label="cpu")]

    with pytest.raises(InvalidConfig, match="cpu"):
        weft.load(Config(executors=twice, run_dir=tmp_path))


def test_status_counts_what_happened(config: Config) -> None:
    with weft.load(config) as run:
        futures = [double(n) for n in range(5)]
        bad = failing()
        assert not wait([*futures, bad], PATIENCE).not_done
        assert run.wait(PATIENCE)
        status = run.status()

    assert status.counts[TaskState.DONE] == 5
    assert status.counts[TaskState.FAILED] == 1
    assert status.unfinished == 0
    assert status.apps["double"][TaskState.DONE] == 5
    assert status.executors["threads"].workers == 2
    (group,) = status.failures
    assert (group.app, group.error, group.example) == ("failing", "ValueError", "bad")
    assert run.status().closed


# ---------------------------------------------------------------------- tasks that wait for tasks


@python_app
def nested(depth: int) -> int:
    return nested(depth - 1).result(PATIENCE) + 1 if depth else 0


def test_tasks_that_wait_for_tasks_never_run_dry(config: Config) -> None:
    with weft.load(changed(config, executors=[Threads(max_threads=1)])):
        assert nested(30).result(PATIENCE) == 30


@pytest.mark.parametrize("how", ["wait", "as_completed", "exception", "await", "async for all"])
def test_tasks_may_wait_in_any_way(config: Config, how: str) -> None:
    @python_app
    def outer() -> Any:
        inner = [double(n) for n in range(4)]
        if how == "wait":
            return sorted(f.result(0) for f in wait(inner, PATIENCE).done)
        if how == "as_completed":
            return sorted(f.result(0) for f in as_completed(inner, PATIENCE))
        assert [f.exception(PATIENCE) for f in inner] == [None] * 4
        return [f.result(0) for f in inner]

    @python_app
    async def awaiting() -> Any:
        import asyncio

        if how == "await":
            return [await double(n) for n in range(4)]
        return list(await asyncio.gather(*[asyncio.wrap_future(double(n)) for n in range(4)]))

    app = awaiting if how in ("await", "async for all") else outer
    threads = 3 if how == "async for all" else 1  # a loop's own wait for others is not seen
    with weft.load(changed(config, executors=[Threads(max_threads=threads)])):
        assert app().result(PATIENCE) == [0, 2, 4, 6]


def test_join_bodies_that_wait_never_run_dry(config: Config) -> None:
    @join_app
    def deep(depth: int) -> Any:
        if depth == 0:
            return double(1)
        assert deep(depth - 1).result(PATIENCE) == 2
        return double(1)

    with weft.load(changed(config, work_threads=1)):
        assert deep(20).result(PATIENCE) == 2


def test_a_limit_on_pending_tasks_does_not_stop_those_who_are_waited_for(config: Config) -> None:
    with weft.load(changed(config, max_pending=1, executors=[Threads(max_threads=1)])):
        assert nested(10).result(PATIENCE) == 10
        assert [f.result(PATIENCE) for f in [double(n) for n in range(20)]] == [
            2 * n for n in range(20)
        ]


def test_a_task_cannot_close_the_session_that_it_runs_in(config: Config) -> None:
    """It would wait for itself."""

    @python_app
    def suicidal() -> None:
        run = weft.current()
        assert run is not None
        run.close()

    with weft.load(config):
        error = suicidal().exception(PATIENCE)
        assert isinstance(error, SessionError)
        assert double(1).result(PATIENCE) == 2


def test_a_callback_may_close_the_session(config: Config) -> None:
    closed = threading.Event()
    run = weft.load(config)

    def close(_: Any) -> None:
        run.close()
        closed.set()

    release = threading.Event()

    @python_app
    def hold() -> None:
        release.wait(PATIENCE)

    future = hold()
    future.add_done_callback(close)
    release.set()

    assert closed.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "weft-delivery":
            thread.join(PATIENCE)


def test_a_part_of_a_result_can_be_taken_after_the_session_closed(tmp_path: Path) -> None:
    with weft.Session(weft.Config(run_dir=tmp_path)) as session:
        made = weft.python_app(session=session)(lambda: {"a": [1, 2]})()
        made.result(timeout=60)

    assert made["a"][1].result(timeout=60) == 2
    assert isinstance(made["b"].exception(timeout=60), KeyError)


def test_a_session_by_itself_tells_its_summary_only_where_that_was_asked_for(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wanted, event_log in ((None, True), (False, True), (True, True), (True, False)):
        said: list[str] = []
        monkeypatch.setattr(session, "say", said.append)
        with weft.load(changed(config, summary=wanted, event_log=event_log)) as run:
            failing().exception(60)
        if not wanted:
            assert said == []
        elif event_log:
            assert said[0].startswith(f"{run.run_folder.name} ")
            assert "FAILURES, by what caused them" in said
            assert "WHERE THE TIME OF THE TASKS WENT" in said
        else:
            assert len(said) == 1
            assert "There is no event log" in said[0]
