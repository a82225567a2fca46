"""The fakes do what a test tells them, and say so when nothing comes."""

import threading
from pathlib import Path

import pytest

from weft.errors import ExecutorFailed, StagingError, WeftError
from weft.interfaces.stager import Place, Way
from weft.testing import (
    FakeContext,
    FakeExecutor,
    FakeExecutorContext,
    FakeLauncher,
    FakeMonitor,
    FakeProvider,
    FakeSerializer,
    FakeStager,
    ManualClock,
    NothingHappened,
    make_task,
)
from weft.values.events import Notice
from weft.values.files import File
from weft.values.jobs import Job, JobState
from weft.values.task import Ended


@pytest.fixture
def context() -> FakeExecutorContext:
    return FakeExecutorContext()


@pytest.fixture
def executor(context: FakeExecutorContext) -> FakeExecutor:
    made = FakeExecutor()
    made.start(context)
    return made


def test_a_task_ends_as_the_test_says(executor: FakeExecutor, context: FakeExecutorContext) -> None:
    tasks = [make_task(int, "7") for _ in range(6)]
    executor.submit(tasks)
    assert executor.waiting == tasks
    assert context.outcomes == []

    executor.finish(tasks[0])
    executor.finish(tasks[1], "own")
    executor.fail(tasks[2], ValueError("x"))
    executor.lose(tasks[3])
    executor.kill(tasks[4])
    executor.cancel([tasks[5].id, 10**9])

    assert [(o.ended, type(o.value)) for o in context.wait(6)] == [
        (Ended.VALUE, int),
        (Ended.VALUE, str),
        (Ended.ERROR, ValueError),
        (Ended.LOST, ExecutorFailed),
        (Ended.KILLED, ExecutorFailed),
        (Ended.CANCELLED, type(None)),
    ]
    assert executor.waiting == []
    assert executor.seen == [int] * 6


def test_a_task_whose_function_raises_ends_with_that(
    executor: FakeExecutor, context: FakeExecutorContext
) -> None:
    task = make_task(int, "no number")
    executor.submit([task])
    assert executor.finish_all() == 1
    assert context.outcome_of(task.id).ended is Ended.ERROR


def test_a_task_ends_once(executor: FakeExecutor) -> None:
    task = make_task(int)
    executor.submit([task])
    executor.finish(task)
    with pytest.raises(AssertionError, match="not held"):
        executor.finish(task)


def test_finishing_all_includes_what_comes_of_it(executor: FakeExecutor) -> None:
    second = make_task(int)
    executor.submit([make_task(lambda: executor.submit([second]))])
    assert executor.finish_all() == 2


def test_waits_are_bounded_and_say_what_came_instead(
    executor: FakeExecutor, context: FakeExecutorContext
) -> None:
    with pytest.raises(NothingHappened, match="0 of 1 tasks"):
        executor.wait(1, timeout=0.01)
    with pytest.raises(NothingHappened, match="0 of 1 outcomes"):
        context.wait(1, timeout=0.01)
    with pytest.raises(NothingHappened):
        context.wait_until(lambda: False, timeout=0.01)
    with pytest.raises(NothingHappened):
        FakeProvider().wait(timeout=0.01)
    with pytest.raises(NothingHappened):
        FakeStager().wait(timeout=0.01)
    with pytest.raises(NothingHappened):
        FakeMonitor().wait(1, timeout=0.01)


def test_waits_hear_other_threads(executor: FakeExecutor, context: FakeExecutorContext) -> None:
    task = make_task(int)

    def crank() -> None:
        executor.wait(1)
        executor.finish(task)

    thread = threading.Thread(target=crank)
    thread.start()
    executor.submit([task])
    assert context.wait(1)[0].value == 0
    thread.join()


def test_an_executor_can_break_or_refuse(context: FakeExecutorContext) -> None:
    with pytest.raises(ExecutorFailed):
        FakeExecutor(refuses=ExecutorFailed("x", "y")).start(context)
    executor = FakeExecutor(workers=2)
    executor.start(context)
    executor.submit([make_task(int) for _ in range(3)])
    assert (executor.status().running, executor.status().waiting) == (2, 1)
    executor.break_down()
    assert isinstance(context.failures[0], ExecutorFailed)
    executor.close(0)
    assert executor.waiting == []


def test_a_context_has_a_folder_of_its_own_until_it_is_closed() -> None:
    with FakeContext() as context:
        folder = context.folder
        assert folder.is_dir()
        context.notice("info", "x")
        context.tell(Notice(1.0, "info", "a", "b"))
    assert not folder.exists()
    assert context.notices == [("info", "x")]
    assert len(context.told) == 1


def test_a_job_goes_the_way_the_test_says(tmp_path: Path) -> None:
    provider = FakeProvider()
    provider.start(FakeContext(tmp_path))
    job = Job(name="j", command="true", folder=tmp_path)
    first, second, third, fourth = (provider.submit(job) for _ in range(4))

    assert provider.wait(4) == [first, second, third, fourth]
    assert provider.status([first])[first].state is JobState.QUEUED
    provider.begin(first)
    assert provider.status([first])[first].state is JobState.RUNNING
    provider.finish(first, 3)
    provider.lose(second)
    provider.expire(third)
    states = {job_id: s.state for job_id, s in provider.status([first, second, third]).items()}
    assert list(states.values()) == [JobState.FAILED, JobState.FAILED, JobState.EXPIRED]

    provider.cancel([first])
    provider.close()
    assert provider.status([first])[first].exit_code == 3, "an end is an end"
    assert provider.status([fourth])[fourth].state is JobState.CANCELLED
    provider.silent = True
    assert provider.status([first])[first].state is JobState.UNKNOWN
    provider.refuses = WeftError("no quota")
    with pytest.raises(WeftError, match="no quota"):
        provider.submit(job)


def test_a_transfer_ends_as_the_test_says(tmp_path: Path) -> None:
    stager = FakeStager(by_hand=True)
    stager.start(FakeContext(tmp_path))
    place = Place(executor="e", folder=tmp_path)
    good, bad = (stager.plan(Way.IN, File(f"x://host/{name}"), place) for name in ("good", "bad"))
    assert good.placed.filepath == str(tmp_path / "good")
    moving = threading.Thread(target=stager.move, args=(good,))
    moving.start()
    stager.wait(1)
    stager.finish(good.file)
    moving.join(60)
    assert not moving.is_alive()

    stager.fail(bad.file, "404")
    with pytest.raises(StagingError, match="could not be staged in"):
        stager.move(bad)
    hasty = FakeStager(by_hand=True, patience=0.01)
    with pytest.raises(StagingError, match="never ended it"):
        hasty.move(good)


def test_a_monitor_collects_until_it_is_broken(tmp_path: Path) -> None:
    monitor = FakeMonitor(interests=(Notice,))
    monitor.start(FakeContext(tmp_path))
    monitor.handle([Notice(1.0, "info", "a", "b")])
    assert monitor.of(Notice) == monitor.wait(1)
    assert monitor.interests() == (Notice,)
    monitor.breaks = OSError("x")
    with pytest.raises(OSError, match="x"):
        monitor.handle([])
    monitor.close()
    assert (monitor.started, monitor.closed, monitor.batches) == (1, 1, [1])


def test_a_serializer_refuses_what_it_is_told_to() -> None:
    serializer = FakeSerializer(refuses=(set,), breaks=(dict,))
    assert serializer.unpack(serializer.pack([1])) == [1]
    with pytest.raises(TypeError, match="set"):
        serializer.pack({1})
    with pytest.raises(ValueError, match="cannot be unpacked"):
        serializer.unpack(serializer.pack({}))


def test_a_launcher_remembers_what_it_was_asked() -> None:
    launcher = FakeLauncher()
    assert launcher.compose("run", nodes=2).endswith("\nrun")
    assert launcher.asked == [("run", 2, 1)]


def test_time_passes_only_by_hand_and_in_order() -> None:
    clock = ManualClock(100.0)
    seen: list[tuple[str, float]] = []
    clock.after(5, lambda: seen.append(("b", clock())))
    clock.after(2, lambda: seen.append(("a", clock())))
    clock.after(2, lambda: clock.after(1, lambda: seen.append(("nested", clock()))))
    clock.after(50, lambda: seen.append(("later", clock())))
    assert clock() == 100.0
    clock.advance(10)
    assert seen == [("a", 102.0), ("nested", 103.0), ("b", 105.0)]
    assert clock() == 110.0
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_the_fakes_need_no_pytest() -> None:
    folder = Path(__file__).parents[2] / "src" / "weft" / "testing"
    assert not [path.name for path in folder.glob("*.py") if "import pytest" in path.read_text()]
