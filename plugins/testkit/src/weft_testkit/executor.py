"""The kit for executors: the promises of the interface, then faults, then endurance."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from weft.testing import make_task
from weft.values.plugin import Level, Support
from weft.values.settings import Settings
from weft.values.task import Ended, Task
from weft_testkit import tasks
from weft_testkit.bounded import Caller
from weft_testkit.executor_promises import Begin, ExecutorPromises
from weft_testkit.leftovers import Look
from weft_testkit.rig import Rig, shown, told, until
from weft_testkit.rules import rule

__all__ = ["ExecutorConformance"]

_MEGABYTES = 1 << 20


class ExecutorConformance(ExecutorPromises):
    """Proves that an executor keeps the promises of ``weft.interfaces.executor``.

    Override ``settings``, under which at least two tasks run side by side, and ``one_at_a_time``;
    ``room`` and ``idle`` where resources are counted and machines come and go. Tasks come from
    ``weft_testkit.tasks``, which workers must be able to import, and share a folder with the tests.

    The ids beyond those of :mod:`weft_testkit.executor_promises`: E10 faults of tasks, E11 faults
    of workers, E12 much at once, E20 endurance.
    """

    @pytest.fixture
    def soak(self) -> float:
        """Seconds for which the rule of endurance keeps the executor busy."""
        return 60.0

    # ----------------------------------------------------------------------------- faults of tasks

    @rule("E100", "Recursion without end is an error of its task.", level=Level.SUPPORTED)
    def test_recursion(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        outcome = rig.run(tasks.recurse)
        assert outcome.ended is Ended.ERROR, shown(outcome)
        assert isinstance(outcome.value, RecursionError), shown(outcome)
        assert rig.value(tasks.add, 1, 2) == 3

    @rule("E101", "Values that are nested deep end their task somehow.", level=Level.SUPPORTED)
    def test_deep_values(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        for function, args in ((tasks.nested, (50_000,)), (len, (tasks.nested(50_000),))):
            outcome = rig.run(function, *args)
            assert outcome.ended in {Ended.VALUE, Ended.ERROR}, shown(outcome)
            assert rig.value(tasks.add, 1, 2) == 3

    @rule("E102", "Arguments and results of 32 MB arrive whole.", level=Level.SUPPORTED)
    def test_large_values(self, settings: Settings, begin: Begin) -> None:
        sent = os.urandom(1024) * (32 * 1024)
        got = begin(settings).value(tasks.echo, sent)
        assert len(got) == len(sent), f"{len(got)} of {len(sent)} bytes came back"
        assert got == sent, "other bytes came back"

    @rule("E103", "A task that prints much ends all the same.", level=Level.SUPPORTED)
    def test_prints_much(
        self, settings: Settings, begin: Begin, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert begin(settings).value(tasks.print_much, 2 * _MEGABYTES) == 2 * _MEGABYTES
        capfd.readouterr()

    @rule(
        "E104",
        "A process that a task leaves behind does not keep it from ending, and ends with close.",
        level=Level.SUPPORTED,
        needs=("isolation.process",),
        hazard=True,
    )
    def test_leaves_a_child(
        self, settings: Settings, begin: Begin, caller: Caller, patience: float
    ) -> None:
        rig = begin(settings)
        child = psutil.Process(rig.value(tasks.leave_child))
        rig.close(self._long)
        until(lambda: not _lives(child), patience, f"{child.pid}, the child of a task, lives on")

    # --------------------------------------------------------------------------- faults of workers

    @rule(
        "E110",
        "A task that ends its process ends as KILLED or LOST, and there is room for the next.",
        needs=("isolation.process",),
        hazard=True,
    )
    def test_ends_its_process(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        for code in (0, 3):
            _is_loss(rig, make_task(tasks.end_process, code))
            assert rig.persist(tasks.add, 1, 2) == 3

    @rule(
        "E111",
        "It harms no other task, neither beside it nor after it.",
        needs=("isolation.process",),
        hazard=True,
    )
    def test_harms_no_other(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        held = rig.hold("beside")
        held.begun()
        _is_loss(rig, make_task(tasks.end_process, 1))
        held.release()
        outcome = rig.outcome(held.task)
        assert outcome.ended is Ended.VALUE, f"the task beside it ended as {shown(outcome)}"

    @rule(
        "E112",
        "A task whose worker is killed ends as KILLED or LOST, and another worker takes its place.",
        level=Level.SUPPORTED,
        needs=("isolation.process",),
        hazard=True,
    )
    def test_killed_worker(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        os.kill(held.begun(), signal.SIGKILL)
        outcome = rig.outcome(held.task)
        assert outcome.ended in {Ended.KILLED, Ended.LOST}, shown(outcome)
        assert isinstance(outcome.value, Exception), shown(outcome)
        assert rig.persist(tasks.add, 1, 2) == 3

    @rule(
        "E113",
        "Workers that are killed while they have nothing to do are replaced.",
        level=Level.SUPPORTED,
        needs=("isolation.process",),
        hazard=True,
    )
    def test_killed_idle_workers(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        for _ in range(4):
            _kill(rig.persist(tasks.process))
        assert rig.persist(tasks.add, 1, 2) == 3
        failures = rig.watch.failures
        assert not failures, f"it gave up: {told(failures[0])}"

    @rule(
        "E114",
        "A task that closes every descriptor harms nothing but its own worker.",
        level=Level.SUPPORTED,
        needs=("isolation.process",),
        hazard=True,
    )
    def test_closes_everything(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        rig.run(tasks.close_everything)
        assert rig.persist(tasks.add, 1, 2) == 3

    @rule(
        "E115",
        "Close ends tasks that ignore the request to end.",
        level=Level.SUPPORTED,
        needs=("isolation.process",),
        hazard=True,
    )
    def test_stubborn_task(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        caller.call(int)
        before = Look.now()
        rig = begin(settings)
        held = rig.hold("stubborn", tasks.hold_stubbornly)
        held.begun()
        rig.close(0.0)
        assert not held.runs, "the task still runs"
        left = before.left(caller.threads, rig.patience)
        assert not left, f"left after close: {', '.join(left)}"

    # -------------------------------------------------------------------------------- much at once

    @rule(
        "E120",
        "Nothing is lost or doubled while tasks come, end, are cancelled and are counted at once.",
        level=Level.SUPPORTED,
    )
    def test_much_at_once(
        self, settings: Settings, begin: Begin, other: Caller, patience: float
    ) -> None:
        rig = begin(settings)
        over: list[bool] = []

        def look() -> int:
            looks = 0
            while not over:
                rig.executor.status()
                looks += 1
            return looks

        looking = other.begin(look)
        try:
            given, asked, certain = self._submit_much(rig)
        finally:
            over.append(True)
        assert looking.result(patience) > 0
        counted = rig.watch.counted()
        for task in given:
            count = counted[task.id, task.attempt]
            assert count <= 1, f"task {task.id} was reported {count} times"
            if task.id not in certain:
                outcome = rig.outcome(task)
                dropped = outcome.ended is Ended.CANCELLED and task.id in asked
                assert dropped or outcome.value == 2 * task.args[0], shown(outcome)

    def _submit_much(self, rig: Rig) -> tuple[list[Task], set[int], set[int]]:
        given: list[Task] = []
        asked: set[int] = set()
        certain: set[int] = set()
        for n in range(60):
            batch = [make_task(tasks.add, n + m, n + m) for m in range(10)]
            rig.submit(*batch)
            given += batch
            if n % 3 == 0:
                some = given[-25::5]
                asked |= {task.id for task in some}
                certain |= set(rig.drop(*some))
        rig.all_of([task for task in given if task.id not in certain])
        rig.close(self._long)
        return given, asked, certain

    @rule(
        "E121",
        "Close in the middle of much work is bounded, drops what waits, and leaves nothing.",
        level=Level.SUPPORTED,
    )
    def test_close_under_load(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        caller.call(int)
        before = Look.now()
        rig = begin(settings)
        given = [make_task(tasks.add, n, n) for n in range(3000)]
        for start in range(0, 3000, 100):
            rig.submit(*given[start : start + 100])
        rig.watch.wait(20, rig.patience)
        rig.close(0.1)
        left = before.left(caller.threads, rig.patience)
        assert not left, f"left after close: {', '.join(left)}"
        twice = [key for key, count in rig.watch.counted().items() if count > 1]
        assert not twice, f"reported more than once: {twice[:3]}"

    # ----------------------------------------------------------------------------------- endurance

    @rule(
        "E200",
        "Busy for long, with tasks that fail and workers that are killed, it loses nothing and "
        "does not grow.",
        level=Level.PROVEN,
    )
    def test_soak(self, settings: Settings, begin: Begin, soak: float) -> None:
        rig = begin(settings)
        kills = self.component().capabilities.get("isolation.process") is Support.FULL
        me = psutil.Process()
        rounds, size = 0, 0
        end = time.monotonic() + soak
        while time.monotonic() < end or rounds < 8:
            rounds += 1
            self._round(rig, rounds)
            if kills and rounds % 5 == 0:
                _kill(rig.persist(tasks.process))
            rig.watch.outcomes.clear()
            if rounds == 4:
                size = _size(me)
        grown = _size(me) - size
        assert grown <= 32, f"{grown} threads and descriptors more after {rounds} rounds"
        assert not rig.watch.failures, told(rig.watch.failures[0])

    def _round(self, rig: Rig, number: int) -> None:
        """Some hundred tasks, each until it has ended by itself."""
        left = {n: make_task(*_made(n)) for n in range(200)}
        for _ in range(10):
            rig.submit(*left.values())
            rig.all_of(list(left.values()))
            again = {}
            for n, task in left.items():
                outcomes = rig.watch.of(task)
                assert len(outcomes) == 1, f"reported {len(outcomes)} times in round {number}"
                if outcomes[0].ended in {Ended.LOST, Ended.KILLED}:
                    function, value = _made(n)
                    again[n] = make_task(function, value, id=task.id, attempt=task.attempt + 1)
                    continue
                wanted = Ended.ERROR if n % 10 == 0 else Ended.VALUE
                assert outcomes[0].ended is wanted, shown(outcomes[0])
            left = again
            if not left:
                return
        pytest.fail(f"{len(left)} tasks were lost ten times in round {number}")


def _made(n: int) -> tuple[Callable[..., Any], Any]:
    return (tasks.fail, ValueError(str(n))) if n % 10 == 0 else (tasks.echo, n)


def _size(process: psutil.Process) -> int:
    size: int = process.num_threads() + process.num_fds()
    return size


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may end with its task
        os.kill(process, signal.SIGKILL)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_loss(rig: Rig, task: Task) -> None:
    rig.submit(task)
    outcome = rig.outcome(task)
    assert outcome.ended in {Ended.KILLED, Ended.LOST}, shown(outcome)
    assert isinstance(outcome.value, Exception), shown(outcome)
