"""Each rule of the kit for executors kills the variant that breaks it, and kills it first."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import attrs
import pytest

from weft.errors import SerializationError, TaskTimeout, WeftError
from weft.interfaces.executor import Executor, ExecutorContext, ExecutorStatus
from weft.values.events import Event, LogLine, ResourceSample
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft.values.task import Ended, Outcome, Resources, Task, TaskId, changed
from weft_testkit import ExecutorConformance
from weft_testkit import tasks as work
from weft_testkit.bent import BentExecutor, Broken

pytest_plugins = ["pytester"]

_LONGER = 8.0
"""Seconds for which what leaks stays: longer than any rule looks for it."""


class OnThreads(Broken, ExecutorConformance):
    name = "threads"
    not_supported: ClassVar[Mapping[str, str]] = {"E066": "Python code cannot be stopped."}

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("executor", "threads", max_threads=2)

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self.registry().settings("executor", "threads", max_threads=1)


class OnProcesses(Broken, ExecutorConformance):
    name = "processes"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("executor", "processes", max_workers=2)

    @pytest.fixture
    def one_at_a_time(self) -> Settings:
        return self.registry().settings("executor", "processes", max_workers=1)

    @pytest.fixture
    def soak(self) -> float:
        return 0.0


def _with_function(task: Task, wrapped: Callable[..., Any]) -> Task:
    return changed(task, function=wrapped)


def _asking(task: Task, **needs: Any) -> Task:
    return changed(task, needs=attrs.evolve(task.needs, **needs))


class Rewriting(BentExecutor):
    """Reports each outcome as something else."""

    def rewritten(self, outcome: Outcome) -> Outcome:
        return outcome

    def report(self, outcomes: Sequence[Outcome]) -> None:
        self.context.report([self.rewritten(one) for one in outcomes])

    def app(self, outcome: Outcome) -> str:
        return self.given[outcome.id].app


class Waiting(BentExecutor):
    """Can wait until tasks have been reported."""

    def __init__(self, sound: Executor) -> None:
        super().__init__(sound)
        self.told = threading.Condition()

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report(outcomes)
        with self.told:
            self.told.notify_all()

    def wait(self, most: int = 0, timeout: float = work.LONGEST) -> None:
        with self.told:
            self.told.wait_for(lambda: len(self.open_tasks) <= most, timeout)


# --------------------------------------------------------------------------------------------- life


class TestForgetsKeywords(OnThreads):
    killed_by = "E001"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit([changed(task, kwargs={}) for task in tasks])


class TestMustBeStartedToBeClosed(OnThreads):
    killed_by = "E002"

    class Bent(BentExecutor):
        def close(self, timeout: float) -> None:
            if not hasattr(self, "context"):
                raise RuntimeError("not started")
            super().close(timeout)


class TestIsClosedOnce(OnThreads):
    killed_by = "E003"

    class Bent(BentExecutor):
        closed = False

        def close(self, timeout: float) -> None:
            if hasattr(self, "context") and self.closed:
                raise RuntimeError("closed already")
            self.closed = True
            super().close(timeout)


class TestLeavesAThreadWhenItCannotStart(OnThreads):
    killed_by = "E004"

    class Bent(BentExecutor):
        def start(self, context: ExecutorContext) -> None:
            if not context.folder.is_dir():
                threading.Thread(
                    target=threading.Event().wait, args=(_LONGER,), daemon=True
                ).start()
                raise WeftError("There is no folder.")
            super().start(context)


class TestFailsToStartWithAnyException(OnThreads):
    killed_by = "E004"

    class Bent(BentExecutor):
        def start(self, context: ExecutorContext) -> None:
            list(context.folder.iterdir())
            super().start(context)


class TestLeavesAThread(OnThreads):
    killed_by = "E005"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            threading.Thread(target=threading.Event().wait, args=(_LONGER,), daemon=True).start()
            super().submit(tasks)


class TestLeavesAProcess(OnThreads):
    killed_by = "E005"
    left: ClassVar[list["subprocess.Popen[bytes]"]] = []

    class Bent(BentExecutor):
        def start(self, context: ExecutorContext) -> None:
            TestLeavesAProcess.left.append(
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
            )
            super().start(context)

    @pytest.fixture(autouse=True)
    def _end_them(self) -> Iterator[None]:
        yield
        while self.left:
            one = self.left.pop()
            one.kill()
            one.wait()


class TestLeavesADescriptor(OnThreads):
    killed_by = "E005"
    left: ClassVar[list[int]] = []

    class Bent(BentExecutor):
        def start(self, context: ExecutorContext) -> None:
            TestLeavesADescriptor.left.append(os.open(os.devnull, os.O_RDONLY))
            super().start(context)

    @pytest.fixture(autouse=True)
    def _close_them(self) -> Iterator[None]:
        yield
        while self.left:
            os.close(self.left.pop())


class TestWritesWhereItStands(OnThreads):
    killed_by = "E006"

    class Bent(BentExecutor):
        def close(self, timeout: float) -> None:
            if hasattr(self, "context"):
                (self.context.folder.parent / "executor.log").write_text("closed")
            super().close(timeout)


# ------------------------------------------------------------------------------------------- submit


class TestLosesAResult(OnThreads):
    killed_by = "E010"

    class Bent(BentExecutor):
        seen = 0

        def report(self, outcomes: Sequence[Outcome]) -> None:
            self.seen += len(outcomes)
            super().report(outcomes[1:] if self.seen == 50 else outcomes)


class TestDeliversTwice(OnThreads):
    killed_by = "E010"

    class Bent(BentExecutor):
        seen = 0

        def report(self, outcomes: Sequence[Outcome]) -> None:
            self.seen += len(outcomes)
            super().report([*outcomes, *outcomes] if self.seen == 50 else outcomes)


class TestForgetsTheAttempt(OnThreads):
    killed_by = "E010"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            return changed(outcome, attempt=1)


class TestBlocksWhenItIsFull(OnThreads):
    killed_by = "E011"

    class Bent(Waiting):
        def submit(self, tasks: Sequence[Task]) -> None:
            self.wait(most=300)
            super().submit(tasks)


class TestRaisesForABadTask(OnThreads):
    killed_by = "E012"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            for task in tasks:
                if not callable(task.function):
                    raise TypeError(f"{task.function!r} is not callable")
            super().submit(tasks)


class TestTakesATaskOnce(OnThreads):
    killed_by = "E013"

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.known: dict[TaskId, Outcome] = {}

        def report(self, outcomes: Sequence[Outcome]) -> None:
            self.known.update((one.id, one) for one in outcomes)
            super().report(outcomes)

        def submit(self, tasks: Sequence[Task]) -> None:
            again = [task for task in tasks if task.id in self.known]
            super().submit([task for task in tasks if task not in again])
            for task in again:
                super().report([changed(self.known[task.id], attempt=task.attempt)])


class TestRetriesByItself(OnThreads):
    killed_by = "E014"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit([_with_function(task, _twice(task.function)) for task in tasks])


def _twice(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:  # noqa: BLE001 - what a second try may mend
            return function(*args, **kwargs)

    return run


# ----------------------------------------------------------------------------------------- outcomes


class TestWrapsExceptions(OnThreads):
    killed_by = "E020"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            if outcome.ended is not Ended.ERROR:
                return outcome
            return changed(outcome, value=RuntimeError(f"the task failed: {outcome.value}"))


class TestCatchesExceptionsAlone(OnThreads):
    killed_by = "E021"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            hard = outcome.ended is Ended.ERROR and not isinstance(outcome.value, Exception)
            return changed(outcome, ended=Ended.LOST) if hard else outcome


class TestLosesTheWordsOfAnException(OnProcesses):
    killed_by = "E022"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            if self.app(outcome) != "unsendable":
                return outcome
            return changed(outcome, value=SerializationError("the error", "", "no pickle"))


class TestSaysTypeErrorOfArguments(OnProcesses):
    killed_by = "E023"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            if not isinstance(outcome.value, SerializationError):
                return outcome
            return changed(outcome, value=TypeError(str(outcome.value)))


class TestGivesNothingForAResultItCannotPack(OnProcesses):
    killed_by = "E024"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            if not isinstance(outcome.value, SerializationError) or self.app(outcome) == "echo":
                return outcome
            return changed(outcome, ended=Ended.VALUE, value=None)


class TestIsSilencedByAnExplosion(OnProcesses):
    killed_by = "E025"

    class Bent(BentExecutor):
        silent = False

        def report(self, outcomes: Sequence[Outcome]) -> None:
            self.silent |= any("exploded" in str(one.value) for one in outcomes)
            if not self.silent:
                super().report(outcomes)


class TestTakesAnExceptionForAFailure(OnThreads):
    killed_by = "E026"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            bad = isinstance(outcome.value, Exception)
            return changed(outcome, ended=Ended.ERROR) if bad else outcome


class TestRunsSomeTasksHere(OnProcesses):
    killed_by = "E027"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            here = [task for task in tasks if task.function is work.process]
            super().submit([task for task in tasks if task not in here])
            for task in here:
                value = task.function()
                self.context.report([Outcome(task.id, task.attempt, Ended.VALUE, value)])


# ------------------------------------------------------------------------------------------ reports


class TestReportsWholeBatches(OnThreads):
    killed_by = "E030"

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.lock = threading.Lock()
            self.batches: dict[TaskId, tuple[int, list[Outcome]]] = {}

        def submit(self, tasks: Sequence[Task]) -> None:
            batch: tuple[int, list[Outcome]] = (len(tasks), [])
            self.batches.update((task.id, batch) for task in tasks)
            super().submit(tasks)

        def report(self, outcomes: Sequence[Outcome]) -> None:
            for one in outcomes:
                size, ended = self.batches[one.id]
                with self.lock:
                    ended.append(one)
                    complete = len(ended) == size
                if complete:
                    super().report(ended)


class TestReportsTheSameListAgain(OnThreads):
    killed_by = "E031"

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.lock = threading.Lock()
            self.outcomes: list[Outcome] = []

        def report(self, outcomes: Sequence[Outcome]) -> None:
            with self.lock:
                self.outcomes[:] = outcomes
                super().report(self.outcomes)


class TestTakesErrorsForItsOwn(OnThreads):
    killed_by = "E032"

    class Bent(BentExecutor):
        errors = 0

        def report(self, outcomes: Sequence[Outcome]) -> None:
            self.errors += sum(one.ended is Ended.ERROR for one in outcomes)
            super().report(outcomes)

        def close(self, timeout: float) -> None:
            super().close(timeout)
            if self.errors > 9:
                self.context.failed(WeftError("too many errors"))


class TestReportsAfterClose(OnThreads):
    killed_by = "E033"

    class Bent(BentExecutor):
        def close(self, timeout: float) -> None:
            super().close(timeout)
            left = list(self.open_tasks.values())
            self.open_tasks.clear()
            if left:
                threading.Timer(0.1, self.lose, (left,)).start()

        def lose(self, left: Sequence[Task]) -> None:
            error = WeftError("closed")
            self.context.report([Outcome(t.id, t.attempt, Ended.LOST, error) for t in left])


class TestSaysMillisecondsForSeconds(OnThreads):
    killed_by = "E034"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            return changed(outcome, begun=outcome.begun * 1000)


class TestMeasuresNothing(OnProcesses):
    killed_by = "E034"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            return changed(outcome, seconds=0.0)


# ------------------------------------------------------------------------------------------- status


class TestCountsBelowNothing(OnThreads):
    killed_by = "E040"

    class Bent(BentExecutor):
        def status(self) -> ExecutorStatus:
            return attrs.evolve(super().status(), waiting=-1)


class TestCountsNothing(OnThreads):
    killed_by = "E041"

    class Bent(BentExecutor):
        def status(self) -> ExecutorStatus:
            return attrs.evolve(super().status(), waiting=0)


class TestHasOneLockForAll(OnThreads):
    killed_by = "E042"

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.lock = threading.Lock()

        def status(self) -> ExecutorStatus:
            with self.lock:
                return super().status()

        def close(self, timeout: float) -> None:
            with self.lock:
                super().close(timeout)


# -------------------------------------------------------------------------------------------- order


class TestTurnsLargeBatchesRound(OnThreads):
    killed_by = "E050"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit(tasks[::-1] if len(tasks) > 20 else tasks)


class TestIgnoresPriority(OnThreads):
    killed_by = "E051"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit([_asking(task, priority=0) for task in tasks])


class TestSortsEachBatchAlone(OnThreads):
    killed_by = "E052"

    class Bent(BentExecutor):
        batches = 0

        def submit(self, tasks: Sequence[Task]) -> None:
            self.batches += 100
            super().submit(
                [_asking(task, priority=self.batches + task.needs.priority) for task in tasks]
            )


# ------------------------------------------------------------------------------------------- cancel


class TestCancelsNothing(OnThreads):
    killed_by = "E060"

    class Bent(BentExecutor):
        def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            return list(ids)


class TestHasNoCancel(OnThreads):
    killed_by = "E060"

    class Bent(BentExecutor):
        def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            return ()


class TestDropsNothing(OnThreads):
    killed_by = "E061"

    class Bent(BentExecutor):
        def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            return list(ids)


class TestDropsWhatRuns(OnThreads):
    killed_by = "E062"

    class Bent(BentExecutor):
        def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            dropped = super().drop(ids)
            return [one for one in ids if one in dropped or one in self.open_tasks]


_LATE = """
import threading
import pytest
from weft.values.task import Ended, Outcome
from weft_testkit import ExecutorConformance
from weft_testkit.bent import BentExecutor, Broken

class Late(BentExecutor):
    # Sound: what it is asked for has a long way to go.
    def cancel(self, ids):
        known = [one for one in ids if one in self.open_tasks]
        threading.Timer(0.5, super().cancel, (known,)).start()
        return known

    def drop(self, ids):
        threading.Timer(0.5, self.drop_now, (ids,)).start()
        return ()

    def drop_now(self, ids):
        ended = [self.given[one] for one in super().drop(ids)]
        self.context.report([Outcome(one.id, one.attempt, Ended.CANCELLED, None) for one in ended])

class TestLate(Broken, ExecutorConformance):
    name = "threads"
    Bent = Late

    @pytest.fixture
    def one_at_a_time(self):
        return self.registry().settings("executor", "threads", max_threads=1)
"""


def test_what_is_cancelled_may_take_its_time_to_hear_of_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_late=_LATE)
    words = ("-p", "no:cacheprovider", "-k", "cancel_waiting or drop_waiting")

    pytester.runpytest_inprocess(*words).assert_outcomes(passed=2)


class TestIsCertainOfAnything(OnThreads):
    killed_by = "E063"

    class Bent(BentExecutor):
        def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            super().cancel(ids)
            return list(ids)


class TestRunsWhatItDropped(OnThreads):
    killed_by = "E064"

    class Bent(BentExecutor):
        def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            dropped = super().drop(ids)
            if len(ids) == 1 and dropped:
                super().submit([self.given[ids[0]]])
            return dropped


class TestForgetsWhatItCancelled(OnThreads):
    killed_by = "E065"

    class Bent(BentExecutor):
        def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            cancelled = super().cancel(ids)
            return () if len(ids) == 1 else cancelled


class TestCancelsInWordsAlone(OnProcesses):
    killed_by = "E066"

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.muted: set[TaskId] = set()

        def cancel(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            if len(ids) != 1:
                return super().cancel(ids)
            waits = super().drop(ids)
            certain = [one for one in ids if one in waits or one in self.open_tasks]
            self.muted.update(certain)
            return certain

        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report([one for one in outcomes if one.id not in self.muted])


# -------------------------------------------------------------------------------------------- close


class TestNeverWaits(OnProcesses):
    killed_by = "E070"

    class Bent(BentExecutor):
        def close(self, timeout: float) -> None:
            super().close(0.0)


class TestFinishesWhatWaits(OnThreads):
    killed_by = "E071"

    class Bent(Waiting):
        def close(self, timeout: float) -> None:
            self.wait(timeout=timeout)
            super().close(timeout)


class TestWaitsForWhatRunsForEver(OnThreads):
    killed_by = "E072"

    class Bent(Waiting):
        def close(self, timeout: float) -> None:
            if timeout:
                self.drop(list(self.open_tasks))
                self.wait()
            super().close(timeout)


class TestLeavesWhatRuns(OnProcesses):
    killed_by = "E073"

    class Bent(BentExecutor):
        muted = False

        def report(self, outcomes: Sequence[Outcome]) -> None:
            if not self.muted:
                super().report(outcomes)

        def close(self, timeout: float) -> None:
            if self.open_tasks and timeout == 0.0 and not self.muted:
                self.muted = True
            else:
                super().close(timeout)


class TestHearsTheFirstCloseAlone(OnThreads):
    killed_by = "E074"

    class Bent(BentExecutor):
        closed = False

        def close(self, timeout: float) -> None:
            if not self.closed:
                self.closed = True
                super().close(timeout)


class TestRaisesAfterClose(OnThreads):
    killed_by = "E075"

    class Bent(BentExecutor):
        closed = False

        def submit(self, tasks: Sequence[Task]) -> None:
            if self.closed:
                raise RuntimeError("closed")
            super().submit(tasks)

        def close(self, timeout: float) -> None:
            self.closed = True
            super().close(timeout)


# ----------------------------------------------------------------------------- limits and resources


class TestKnowsNoWalltime(OnThreads):
    killed_by = "E080"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit([_asking(task, walltime=None) for task in tasks])


class Timing(BentExecutor):
    """Keeps walltimes itself, by telling of their end, from when the task was submitted."""

    def __init__(self, sound: Executor) -> None:
        super().__init__(sound)
        self.timers: list[threading.Timer] = []
        self.late: set[TaskId] = set()

    def times(self, task: Task) -> bool:
        return task.needs.walltime is not None

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if self.times(task):
                self.time(task)
        super().submit(tasks)

    def time(self, task: Task) -> None:
        timer = threading.Timer(task.needs.walltime or 0.0, self.end, (task,))
        self.timers.append(timer)
        timer.start()

    def end(self, task: Task) -> None:
        if task.id in self.open_tasks:
            self.late.add(task.id)
            error = TaskTimeout(task.app, task.needs.walltime or 0.0)
            self.context.report([Outcome(task.id, task.attempt, Ended.ERROR, error)])

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report([one for one in outcomes if one.id not in self.late])

    def close(self, timeout: float) -> None:
        for timer in self.timers:
            timer.cancel()
        super().close(timeout)


class TestCountsTheWait(OnThreads):
    killed_by = "E081"
    Bent = Timing


class TestStopsNoCompiledCode(OnProcesses):
    killed_by = "E082"

    class Bent(Timing):
        def times(self, task: Task) -> bool:
            return task.function is work.hold_in_c and task.needs.walltime is not None

        def submit(self, tasks: Sequence[Task]) -> None:
            for task in tasks:
                if self.times(task):
                    self.time(task)
                    task = _asking(task, walltime=None)  # noqa: PLW2901 - the same but for that
                BentExecutor.submit(self, [task])


class Counting(BentExecutor):
    """Runs tasks one after another that ask for a resource that it counts."""

    counted: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, sound: Executor) -> None:
        super().__init__(sound)
        self.lock = threading.Lock()
        self.turn: list[Task] = []

    def submit(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            asked = task.needs.resources.asked() if task.needs.resources is not None else ()
            if not self.counted.intersection(asked):
                super().submit([task])
                continue
            with self.lock:
                self.turn.append(task)
                first = len(self.turn) == 1
            if first:
                super().submit([task])

    def report(self, outcomes: Sequence[Outcome]) -> None:
        super().report(outcomes)
        ended = {one.id for one in outcomes}
        with self.lock:
            mine = bool(self.turn) and self.turn[0].id in ended
            if mine:
                del self.turn[0]
            following = self.turn[0] if mine and self.turn else None
        if following is not None:
            super().submit([following])


class OnCounted(OnProcesses):
    @classmethod
    def component(cls) -> Component:
        declared = super().component()
        more = {f"resources.{name}": Support.FULL for name in ("cores", "memory", "accelerators")}
        capabilities = {**declared.capabilities, **more, "elastic": Support.FULL}
        return attrs.evolve(declared, capabilities=capabilities)

    @pytest.fixture
    def room(self) -> Resources:
        return Resources(cores=2, memory=1 << 30, accelerators=1)

    @pytest.fixture
    def idle(self, one_at_a_time: Settings) -> Settings:
        return one_at_a_time


class TestCountsNoCores(OnCounted):
    killed_by = "E083"
    Bent = Counting


class TestCountsNoMemory(OnCounted):
    killed_by = "E084"

    class Bent(Counting):
        counted = frozenset({"cores"})


class TestCountsNoAccelerators(OnCounted):
    killed_by = "E085"

    class Bent(Counting):
        counted = frozenset({"cores", "memory"})


class TestKeepsItsMachines(OnCounted):
    killed_by = "E086"

    class Bent(Counting):
        counted = frozenset({"cores", "memory", "accelerators"})


# ------------------------------------------------------------------------------------------- faults


class TestTellsAfterTheEnd(OnProcesses):
    killed_by, killed_alone = "E090", True

    class Bent(BentExecutor):
        def __init__(self, sound: Executor) -> None:
            super().__init__(sound)
            self.kept: list[Event] = []

        def tell(self, event: Event) -> None:
            self.kept.append(event)

        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report(outcomes)
            while self.kept:
                super().tell(self.kept.pop(0))


class TestTellsUnasked(OnProcesses):
    killed_by, killed_alone = "E091", True

    class Bent(BentExecutor):
        def report(self, outcomes: Sequence[Outcome]) -> None:
            if not self.context.watch:
                for one in outcomes:
                    line = LogLine(0.0, one.id, one.attempt, "processes", "DEBUG", "own", "ran")
                    super().tell(line)
            super().report(outcomes)


class Retelling(BentExecutor):
    """Tells each line as something else."""

    def retold(self, line: LogLine) -> LogLine | None:
        return line

    def tell(self, event: Event) -> None:
        told = self.retold(event) if type(event) is LogLine else event
        if told is not None:
            super().tell(told)


class TestHearsOneStream(OnProcesses):
    killed_by, killed_alone = "E092", True

    class Bent(Retelling):
        def retold(self, line: LogLine) -> LogLine | None:
            return None if line.level == "ERR" else line


class TestCutsNothing(OnProcesses):
    killed_by, killed_alone = "E093", True

    class Bent(Retelling):
        def retold(self, line: LogLine) -> LogLine | None:
            return changed(line, text=line.text * 10) if len(line.text) > 5000 else line


class TestDropsLinesInSilence(OnProcesses):
    killed_by, killed_alone = "E094", True

    class Bent(Retelling):
        def retold(self, line: LogLine) -> LogLine | None:
            return changed(line, dropped=0)


class TestHasNoLastSample(OnProcesses):
    killed_by, killed_alone = "E095", True

    class Bent(BentExecutor):
        def tell(self, event: Event) -> None:
            if type(event) is ResourceSample:
                event = changed(event, last=False)
            super().tell(event)


class TestTakesRecursionForALoss(OnProcesses):
    killed_by = "E100"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            deep = isinstance(outcome.value, RecursionError)
            return changed(outcome, ended=Ended.LOST) if deep else outcome


class TestLosesWhatIsNestedDeep(OnProcesses):
    killed_by = "E101"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            deep = self.app(outcome) == "nested"
            return changed(outcome, ended=Ended.LOST, value=WeftError("lost")) if deep else outcome


class TestCutsWhatIsLarge(OnProcesses):
    killed_by = "E102"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            large = isinstance(outcome.value, bytes) and len(outcome.value) > 1 << 20
            return changed(outcome, value=outcome.value[: 1 << 20]) if large else outcome


class TestHasAFullPipeForOutput(OnProcesses):
    killed_by = "E103"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            super().submit(
                [
                    _with_function(task, _raise_for_want_of_room)
                    if task.function is work.print_much
                    else task
                    for task in tasks
                ]
            )


def _raise_for_want_of_room(size: int) -> int:
    hear, say = os.pipe()
    os.set_blocking(say, False)
    try:
        written = 0
        while written < size:
            written += os.write(say, b"x" * 4096)
        return written
    finally:
        os.close(hear)
        os.close(say)


class TestLeavesTheChildrenOfTasks(OnProcesses):
    killed_by = "E104"

    class Bent(BentExecutor):
        def submit(self, tasks: Sequence[Task]) -> None:
            here = [task for task in tasks if task.function is work.leave_child]
            super().submit([task for task in tasks if task not in here])
            for task in here:
                value = task.function()
                self.context.report([Outcome(task.id, task.attempt, Ended.VALUE, value)])


class TestTakesADeathForAnError(OnProcesses):
    killed_by = "E110"

    class Bent(Rewriting):
        def rewritten(self, outcome: Outcome) -> Outcome:
            lost = outcome.ended in {Ended.KILLED, Ended.LOST}
            return changed(outcome, ended=Ended.ERROR) if lost else outcome


class TestLosesAllWithOne(OnProcesses):
    killed_by = "E111"

    class Bent(BentExecutor):
        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report(outcomes)
            for one in outcomes:
                if one.ended is Ended.KILLED:
                    left = list(self.open_tasks.values())
                    super().report([Outcome(t.id, t.attempt, Ended.LOST, one.value) for t in left])


class TestLosesATaskWithItsWorker(OnProcesses):
    killed_by = "E112"

    class Bent(Rewriting):
        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report(
                [
                    one
                    for one in outcomes
                    if one.ended is not Ended.KILLED or self.app(one) != "hold"
                ]
            )


class TestGivesUpAfterSomeDeaths(OnProcesses):
    killed_by = "E113"

    class Bent(Rewriting):
        deaths = -1

        def rewritten(self, outcome: Outcome) -> Outcome:
            # Each worker is killed as soon as it has said which it is.
            self.deaths += self.app(outcome) == "process"
            if self.deaths == 3:
                self.context.failed(WeftError("too many deaths"))
            return outcome


class TestLosesATaskThatClosesEverything(OnProcesses):
    killed_by = "E114"

    class Bent(Rewriting):
        def report(self, outcomes: Sequence[Outcome]) -> None:
            super().report([one for one in outcomes if self.app(one) != "close_everything"])


class TestAsksAndDoesNotKill(OnProcesses):
    killed_by = "E115"

    class Bent(BentExecutor):
        closed = False

        def close(self, timeout: float) -> None:
            first, self.closed = not self.closed, True
            stubborn = any(t.function is work.hold_stubbornly for t in self.open_tasks.values())
            if not (first and stubborn):
                super().close(timeout)


class TestDoublesAfterADrop(OnProcesses):
    killed_by = "E120"

    class Bent(BentExecutor):
        doubles = False

        def drop(self, ids: Sequence[TaskId]) -> Collection[TaskId]:
            self.doubles |= len(ids) == 5
            return super().drop(ids)

        def report(self, outcomes: Sequence[Outcome]) -> None:
            doubled, self.doubles = self.doubles, False
            super().report([*outcomes, *outcomes] if doubled else outcomes)


class TestLeavesAThreadWhenItIsBusy(OnProcesses):
    killed_by = "E121"

    class Bent(BentExecutor):
        def close(self, timeout: float) -> None:
            if len(self.open_tasks) > 500:
                threading.Thread(
                    target=threading.Event().wait, args=(_LONGER,), daemon=True
                ).start()
            super().close(timeout)


class TestGrows(OnProcesses):
    killed_by = "E200"
    left: ClassVar[list[int]] = []

    class Bent(Rewriting):
        echoes = 0

        def rewritten(self, outcome: Outcome) -> Outcome:
            self.echoes += self.app(outcome) == "echo"
            if self.echoes > 20 and self.echoes % 10 == 0:
                TestGrows.left.append(os.open(os.devnull, os.O_RDONLY))
            return outcome

    @pytest.fixture(autouse=True)
    def _close_them(self) -> Iterator[None]:
        yield
        while self.left:
            os.close(self.left.pop())
