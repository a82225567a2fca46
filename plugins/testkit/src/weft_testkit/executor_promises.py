"""What the interface of executors promises, rule by rule; faults are in ``executor.py``.

The ids, by their first two digits: E00 life, E01 submit, E02 outcomes, E03 reports, E04 status, E05
order, E06 cancel and drop, E07 close, E08 limits and resources, E09 what tasks log, print and use.
"""

import contextlib
import math
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
from typeguard import suppress_type_checks

from weft.errors import SerializationError, TaskTimeout, WeftError
from weft.interfaces.executor import ExecutorStatus
from weft.testing import make_task
from weft.values.events import LogLine, ResourceSample
from weft.values.plugin import Kind, Support
from weft.values.settings import Settings
from weft.values.task import Ended, Needs, Outcome, Resources, Task
from weft.values.watch import NOTHING
from weft.values.watch import Watch as Asked
from weft_testkit import tasks
from weft_testkit.base import Conformance
from weft_testkit.bounded import Caller
from weft_testkit.leftovers import Look
from weft_testkit.rig import Rig, Watch, shown, told, until
from weft_testkit.rules import rule

__all__ = ["Begin", "ExecutorPromises"]

_SKEW: Final = 60.0
"""Seconds by which the clocks of two nodes may differ."""
_BLINK: Final = 0.2
"""Seconds for which something must not happen that would happen at once."""

_IN_HAND: Final = 14
"""Tasks that the one worker may have got in advance, so that they are beyond recall."""

_LOGS: Final = Asked(level=30)
_SAMPLES: Final = Asked(period=600.0)
_LONG_TEXT: Final = 50_000_000
_SHOWN_TEXT: Final = 20_000
"""Characters of one line that may be told."""
_FLOOD: Final = 20_000
_TOLD_LINES: Final = 10_000
"""Lines of that many that may be told."""

_VALUES: Final[tuple[Any, ...]] = (
    None,
    False,
    0,
    "",
    (),
    1 << 200,
    -math.inf,
    "naïve — 数据\n\0",
    b"\0\xff",
    {"a": [1, (2, {3})]},
    Ellipsis,
    ValueError("returned, not raised"),
)

Begin = Callable[..., Rig]
"""Opens an executor and starts it: ``begin(settings)``, or ``begin(settings, start=False)``."""


class ExecutorPromises(Conformance):
    """The rules that rest on the text of ``weft.interfaces.executor`` alone."""

    kind: ClassVar[Kind] = Kind.EXECUTOR

    @pytest.fixture
    def one_at_a_time(self, settings: Settings) -> Settings:
        """Settings under which it runs one task at a time, which shows its order."""
        raise NotImplementedError(
            "Override the fixture one_at_a_time: settings under which one task runs at a time, "
            "such as attrs.evolve(settings, max_workers=1)."
        )

    @pytest.fixture
    def unusable(self, settings: Settings) -> Settings | None:
        """Settings with which ``start`` has to raise; the usual ones in a bad folder if None."""
        return None

    @pytest.fixture
    def room(self, settings: Settings) -> Resources:
        """All that there is for tasks at one time, of what the executor counts."""
        self._skip_without("resources.cores", "resources.memory", "resources.accelerators")
        raise NotImplementedError(
            "Override the fixture room: Resources(cores=..., memory=..., accelerators=...), as "
            "much as there is under the fixture settings."
        )

    @pytest.fixture
    def idle(self, settings: Settings) -> Settings:
        """For an elastic executor: settings with no machine at first, soon given back when idle."""
        self._skip_without("elastic")
        raise NotImplementedError(
            "Override the fixture idle: settings with which it has no worker until there is a "
            "task, and gives it back within the patience of the kit."
        )

    @pytest.fixture
    def files(self, scratch: Path) -> Path:
        """A folder that the tests and all tasks can reach."""
        made = scratch / "files"
        made.mkdir()
        return made

    @pytest.fixture
    def begin(self, scratch: Path, files: Path, caller: Caller, patience: float) -> Iterator[Begin]:
        """Makes and starts what is tested, and ends it whatever comes."""
        begun: list[Rig] = []

        def making(
            settings: Settings,
            *,
            start: bool = True,
            folder: Path | None = None,
            asked: Asked = NOTHING,
        ) -> Rig:
            if folder is None:
                folder = scratch / "run" / f"executor-{len(begun)}"
                folder.mkdir(mode=0o700, parents=True)
            watch = Watch(folder, self.registry(), self.name, asked)
            rig = Rig(self.open(settings), watch, caller, patience, files)
            begun.append(rig)
            if start:
                rig.start()
            return rig

        yield making
        for rig in begun:
            rig.end()

    @pytest.fixture
    def other(self, patience: float) -> Iterator[Caller]:
        """Makes calls from another thread."""
        made = Caller(patience)
        yield made
        made.close()

    # --------------------------------------------------------------------------------------- life

    @rule("E001", "Once started, it runs a task with its arguments and reports what it returned.")
    def test_runs_a_task(self, settings: Settings, begin: Begin) -> None:
        assert begin(settings).value(tasks.add, 2, 3, extra=4) == 9

    @rule("E002", "Closing what was never started does nothing.")
    def test_close_before_start(self, settings: Settings, begin: Begin) -> None:
        begin(settings, start=False).close(1.0)

    @rule("E003", "It may be closed twice.")
    def test_close_twice(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        rig.value(tasks.add, 1, 1)
        rig.close(1.0)
        rig.close(1.0)
        rig.close(0.0)

    @rule("E004", "A start that raises leaves nothing running, and close after it does nothing.")
    def test_failed_start(
        self,
        settings: Settings,
        unusable: Settings | None,
        begin: Begin,
        caller: Caller,
        scratch: Path,
    ) -> None:
        (scratch / "no-folder").write_text("")
        folder = scratch / "no-folder" / "executor" if unusable is None else None
        before = Look.now()
        rig = begin(settings if unusable is None else unusable, start=False, folder=folder)
        try:
            caller.call(rig.executor.start, rig.watch)
        except WeftError:
            rig.close()
            left = before.left(caller.threads, rig.patience)
            assert not left, f"a start that raised left {', '.join(left)}"
            return
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            pytest.fail(f"start raised {told(error)}, which is no WeftError")
        pytest.skip("its start does not fail; override the fixture unusable if it can")

    @rule("E005", "Nothing that it started is left after close: thread, process or descriptor.")
    def test_leaves_nothing(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        caller.call(int)  # so that the caller's own thread is there
        before = Look.now()
        rig = begin(settings)
        several = [make_task(tasks.add, n, n, needs=Needs(walltime=60.0)) for n in range(8)]
        rig.submit(*several, make_task(tasks.fail, ValueError("x")))
        rig.all_of(several)
        rig.close(self._long)
        left = before.left(caller.threads, rig.patience)
        assert not left, f"left after close: {', '.join(left)}"

    @rule("E006", "It writes nowhere but into its folder.")
    def test_writes_into_its_folder(
        self, settings: Settings, begin: Begin, scratch: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, temporary = scratch / "here", scratch / "temporary"
        here.mkdir()
        temporary.mkdir()
        monkeypatch.chdir(here)
        monkeypatch.setenv("TMPDIR", str(temporary))
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        rig = begin(settings)
        rig.value(tasks.add, 1, 1)
        rig.close(self._long)
        for folder in (here, temporary):
            found = sorted(one.name for one in folder.iterdir())
            assert not found, f"left in the {folder.name} folder: {', '.join(found)}"
        beside = sorted(one.name for one in (scratch / "run").iterdir())
        assert beside == [rig.watch.folder.name], f"made beside its folder: {', '.join(beside)}"

    # ------------------------------------------------------------------------------------- submit

    @rule("E010", "Each task is reported exactly once, under its own number and attempt.")
    def test_each_once(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        given = []
        for n in range(120):
            bad = n % 7 == 0
            function: Callable[..., Any] = tasks.fail if bad else tasks.add
            args: tuple[Any, ...] = (ValueError(str(n)),) if bad else (n, n)
            given.append(make_task(function, *args, attempt=1 + n % 3))
        for start in range(0, 120, 40):
            rig.submit(*given[start : start + 40])
        rig.all_of(given)
        rig.close(self._long)
        counted = rig.watch.counted()
        strange = counted.keys() - {(task.id, task.attempt) for task in given}
        assert not strange, f"reported, and never submitted: {sorted(strange)[:3]}"
        twice = [key for key, count in counted.items() if count > 1]
        assert not twice, f"reported more than once: {twice[:3]}"
        for n, task in enumerate(given):
            outcome = rig.outcome(task)
            assert isinstance(outcome.ended, Ended)
            assert isinstance(outcome.place, str), f"a place is text, not {outcome.place!r}"
            if n % 7 == 0:
                assert outcome.ended is Ended.ERROR, shown(outcome)
            else:
                assert (outcome.ended, outcome.value) == (Ended.VALUE, 2 * n), shown(outcome)

    @rule("E011", "Submit never blocks: not while every worker is busy, and not for nothing.")
    def test_submit_does_not_block(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        given = [make_task(tasks.add, n, 1) for n in range(1000)]
        rig.submit(*given[:1])
        rig.submit(*given[1:500])
        rig.submit(*given[500:])
        rig.submit()
        assert held.runs, "a task that was to wait has ended"
        held.release()
        rig.all_of([held.task, *given])

    @rule("E012", "What is wrong with a task is reported as its error, and not raised by submit.")
    def test_bad_tasks_are_reported(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        too_many = make_task(tasks.add, 1, 2, 3, 4)
        no_function = Task(make_task(int).id, 1, "none", object(), (), {}, Needs())  # type: ignore[arg-type]
        good = make_task(tasks.add, 1, 2)
        # By its type, one of them is no task at all.
        with suppress_type_checks():
            rig.submit(too_many, no_function, good)
            for task in (too_many, no_function):
                outcome = rig.outcome(task)
                assert outcome.ended is Ended.ERROR, shown(outcome)
                assert isinstance(outcome.value, Exception), shown(outcome)
            assert rig.outcome(good).value == 3

    @rule("E013", "A task that comes again with the next attempt runs again.")
    def test_next_attempt(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        first = make_task(tasks.note_and_fail, rig.path("tries"), "again")
        for attempt in (1, 2, 3):
            task = make_task(
                tasks.note_and_fail, rig.path("tries"), "again", id=first.id, attempt=attempt
            )
            rig.submit(task)
            assert rig.outcome(task).ended is Ended.ERROR
        assert len(rig.lines("tries")) >= 3, "a task that came again was not run again"

    @rule("E014", "It does not retry by itself.")
    def test_does_not_retry(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        outcome = rig.run(tasks.note_and_fail, rig.path("tries"), "once")
        assert outcome.ended is Ended.ERROR, shown(outcome)
        rig.value(tasks.add, 1, 1)
        rig.close(self._long)
        assert rig.lines("tries") == ["once"], "a task that raised was run more than once"

    # ----------------------------------------------------------------------------------- outcomes

    @rule("E020", "A task that raises ends as ERROR with that exception, its words and its facts.")
    def test_exceptions(self, settings: Settings, begin: Begin) -> None:
        outcome = begin(settings).run(tasks.fail, OSError(2, "not there", "file"))
        assert outcome.ended is Ended.ERROR, shown(outcome)
        assert type(outcome.value) is FileNotFoundError, shown(outcome)
        assert (outcome.value.errno, outcome.value.filename) == (2, "file"), shown(outcome)

    @rule("E021", "So does one that raises what is no Exception, such as SystemExit.")
    def test_base_exceptions(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        wanted = {
            "exit": SystemExit,
            "interrupt": KeyboardInterrupt,
            "generator": GeneratorExit,
            "hard": tasks.Hard,
        }
        for how, kind in wanted.items():
            outcome = rig.run(tasks.fail_hard, how)
            assert outcome.ended is Ended.ERROR, f"{kind.__name__}: {shown(outcome)}"
            assert isinstance(outcome.value, kind), f"{kind.__name__}: {shown(outcome)}"
        assert rig.value(tasks.add, 1, 2) == 3

    @rule("E022", "An exception that pickle cannot carry ends its task as ERROR, with its words.")
    def test_odd_exceptions(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        for how, words in (("two", "bread and butter"), ("lock", "held fast")):
            outcome = rig.run(tasks.unsendable, how)
            assert outcome.ended is Ended.ERROR, shown(outcome)
            assert isinstance(outcome.value, BaseException), shown(outcome)
            assert words in str(outcome.value), f"{words!r} is lost: {shown(outcome)}"
        assert rig.value(tasks.add, 1, 2) == 3

    @rule(
        "E023",
        "An argument that cannot be packed ends its task as ERROR with a SerializationError.",
        needs=("remote",),
    )
    def test_odd_arguments(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        outcome = rig.run(tasks.echo, threading.Lock())
        _is_serialization_error(outcome)
        assert rig.value(tasks.add, 1, 2) == 3

    @rule(
        "E024",
        "A result that cannot be packed ends its task as ERROR with a SerializationError.",
        needs=("remote",),
    )
    def test_odd_results(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        _is_serialization_error(rig.run(threading.Lock))
        assert rig.value(tasks.add, 1, 2) == 3

    @rule(
        "E025",
        "What cannot be unpacked, there or here, ends its own task as ERROR and harms no other.",
        needs=("remote",),
    )
    def test_explosive_values(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        there = make_task(tasks.echo, tasks.ExplodesWhenLoaded())
        here = make_task(tasks.explosive)
        good = make_task(tasks.add, 1, 2)
        rig.submit(there, here, good)
        for task in (there, here):
            outcome = rig.outcome(task)
            assert outcome.ended is Ended.ERROR, shown(outcome)
            assert isinstance(outcome.value, BaseException), shown(outcome)
        assert rig.outcome(good).value == 3, shown(rig.outcome(good))

    @rule("E026", "Values arrive as they were, whatever they are; also an exception as a value.")
    def test_values(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        for value in _VALUES:
            outcome = rig.run(tasks.echo, value)
            assert outcome.ended is Ended.VALUE, f"{value!r}: {shown(outcome)}"
            assert type(outcome.value) is type(value), f"{value!r}: {shown(outcome)}"
            same = (
                outcome.value.args == value.args
                if isinstance(value, Exception)
                else outcome.value == value
            )
            assert same, f"{value!r} came back as {outcome.value!r}"

    @rule("E027", "Tasks run outside this process.", needs=("remote",))
    def test_is_remote(self, settings: Settings, begin: Begin) -> None:
        assert begin(settings).value(tasks.process) != os.getpid()

    # ------------------------------------------------------------------------------------ reports

    @rule("E030", "What has ended is reported while others still run.")
    def test_reports_at_once(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        quick = make_task(tasks.add, 1, 2)
        held = rig.hold("after", submit=False)
        rig.submit(quick, held.task)
        assert rig.outcome(quick).value == 3
        held.begun()
        assert not rig.watch.of(held.task), "a task was reported that still runs"

    @rule("E031", "A sequence that was reported is not changed afterwards.")
    def test_reports_stay(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        for n in range(3):
            given = [make_task(tasks.add, n, m) for m in range(10)]
            rig.submit(*given)
            rig.all_of(given)
        rig.close(self._long)
        assert not rig.watch.changed_since(), "a sequence was changed after it was reported"

    @rule("E032", "Tasks that fail, and a close, are no failure of the executor.")
    def test_does_not_fail(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        given = [make_task(tasks.fail, ValueError(str(n))) for n in range(10)]
        rig.submit(*given)
        rig.all_of(given)
        rig.value(tasks.add, 1, 1)
        rig.close(self._long)
        failures = rig.watch.failures
        assert not failures, f"it said that it failed: {told(failures[0])}"

    @rule("E033", "After close has come back, nothing is reported.")
    def test_silent_after_close(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        before = Look.now(caller.threads)
        rig = begin(settings)
        held = rig.hold("late")
        held.begun()
        rig.close(0.0)
        held.release()
        held.ended()
        before.left(caller.threads, rig.patience / 2)  # what reports late has ended by then
        late = rig.watch.late
        assert not late, f"reported after close: {shown(late[0])}"

    @rule("E034", "What it says of when a task began, and of how long it ran, is so.")
    def test_when_it_ran(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        before, clock = time.time(), time.monotonic()
        held = rig.hold("timed")
        held.begun()
        since = time.monotonic()
        assert held.runs, "a task that was to wait has ended"
        least = time.monotonic() - since
        held.release()
        outcome = rig.outcome(held.task)
        most = time.monotonic() - clock
        begun, seconds = outcome.begun, outcome.seconds
        if begun:
            late = begun - before
            assert -_SKEW <= late <= most + _SKEW, f"it began {late:g} s after it was submitted"
        if seconds is not None:
            assert least <= seconds <= most, f"it took {seconds:g} s of {most:g} s"

    # ------------------------------------------------------------------------------------- status

    @rule("E040", "Its status is made of counts, from the start to after the end.")
    def test_status(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        seen = [rig.status()]
        rig.value(tasks.add, 1, 1)
        seen.append(rig.status())
        rig.close(self._long)
        seen.append(rig.status())
        for one in seen:
            assert isinstance(one, ExecutorStatus)
            for name in ("workers", "running", "waiting"):
                count = getattr(one, name)
                unknown = count is None and name == "running"
                assert unknown or (type(count) is int and count >= 0), f"{name} is {count!r}"

    @rule("E041", "Its status counts what waits and what runs, and nothing when all is done.")
    def test_status_counts(self, one_at_a_time: Settings, begin: Begin, patience: float) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        given = [make_task(tasks.add, n, 1) for n in range(5)]
        rig.submit(*given)

        def counts() -> tuple[int | None, int]:
            status = rig.status()
            return status.running, status.waiting

        until(
            lambda: counts() in {(1, 5), (None, 5)},
            patience,
            lambda: f"one task runs and five wait, and the status says {counts()}",
        )
        held.release()
        rig.all_of([held.task, *given])
        until(
            lambda: counts() in {(0, 0), (None, 0)},
            patience,
            lambda: f"all is done, and the status says {counts()}",
        )

    @rule("E042", "Its status may be asked from any thread at any time, also while close blocks.")
    def test_status_from_anywhere(
        self, settings: Settings, begin: Begin, caller: Caller, other: Caller
    ) -> None:
        rig = begin(settings)
        held = rig.hold("busy")
        held.begun()
        self._quietly("status", other, rig.executor.status)
        closing = caller.begin(rig.executor.close, self._long)
        closing.is_back(_BLINK)
        self._quietly("status", other, rig.executor.status)
        held.release()
        closing.result(self._long)

    # -------------------------------------------------------------------------------------- order

    @rule("E050", "Tasks of equal priority start in the order in which they were submitted.")
    def test_order(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        given = self._notes(rig, range(40))
        rig.submit(*given[:25])
        rig.submit(*given[25:26])
        rig.submit(*given[26:])
        rig.all_of(given)
        assert rig.lines("order") == [str(n) for n in range(40)]

    @rule("E051", "Tasks with lower priority numbers start first.", needs=("priority",))
    def test_priority(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        numbers = [5, 0, -3, 5, 9, -3, 0, 1]
        given = [
            make_task(tasks.note, rig.path("order"), f"{number} {n}", needs=Needs(priority=number))
            for n, number in enumerate(numbers)
        ]
        rig.submit(*given)
        held.release()
        rig.all_of(given)
        wanted = [f"{number} {n}" for number, n in sorted(zip(numbers, range(8), strict=True))]
        assert rig.lines("order") == wanted

    @rule("E052", "A more urgent task overtakes those that wait already.", needs=("priority",))
    def test_overtakes(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        # Each takes a while, since the urgent one may still be on its way as they begin to run.
        given = self._notes(rig, range(30), 0.02)
        rig.submit(*given)
        urgent = make_task(tasks.note, rig.path("order"), "urgent", needs=Needs(priority=-1))
        rig.submit(urgent)
        held.release()
        rig.all_of([*given, urgent])
        # A few may have been handed to the worker already.
        place = rig.lines("order").index("urgent")
        assert place <= _IN_HAND, "it came after most that were less urgent"

    # ------------------------------------------------------------------------------------- cancel

    @rule("E060", "Cancel drops tasks that wait: they never begin.")
    def test_cancel_waiting(self, one_at_a_time: Settings, begin: Begin) -> None:
        self._drops_what_waits(begin(one_at_a_time), Rig.cancel)

    @rule("E061", "Drop drops tasks that wait: they never begin.")
    def test_drop_waiting(self, one_at_a_time: Settings, begin: Begin) -> None:
        self._drops_what_waits(begin(one_at_a_time), Rig.drop)

    @rule("E062", "Drop leaves alone what runs.")
    def test_drop_running(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        assert not rig.drop(held.task), "it says that it dropped what runs"
        held.release()
        outcome = rig.outcome(held.task)
        assert outcome.ended is Ended.VALUE, shown(outcome)

    @rule("E063", "Cancel and drop say nothing of ids that are unknown or have ended.")
    def test_cancel_unknown(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        strange = make_task(tasks.add, 1, 1)
        for ask in (rig.cancel, rig.drop):
            ended = make_task(tasks.add, 1, 1)
            rig.submit(ended)
            rig.outcome(ended)
            assert not ask(strange), "it is certain of a task that it never had"
            assert not ask(ended), "it is certain of a task that has ended with a value"
            assert not ask(ended, strange, ended)
            assert not ask()
        assert rig.value(tasks.add, 1, 2) == 3

    @rule("E064", "What it dropped never runs, also if asked just when it would begin.")
    def test_drop_races(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        given, certain = self._storm(rig, rig.drop)
        ran = [int(line) for line in rig.lines("order")]
        both = certain & set(ran)
        assert not both, f"{len(both)} of {len(certain)} tasks that were dropped ran all the same"
        assert len(ran) == len(set(ran)), "a task ran twice"
        self._agree(rig, given, certain, set(ran))

    @rule("E065", "What is not certain to be cancelled runs to its end, whenever it was asked.")
    def test_cancel_races(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        given, certain = self._storm(rig, rig.cancel)
        self._agree(rig, given, certain, {int(line) for line in rig.lines("order")} - certain)

    @rule(
        "E066",
        "Cancel stops a task that runs, and its worker has room for the next.",
        needs=("cancel.running",),
    )
    def test_cancel_running(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        assert list(rig.cancel(held.task)) == [held.task.id], "it is not certain to be stopped"
        held.ended()
        assert rig.value(tasks.add, 1, 2) == 3
        for outcome in rig.watch.of(held.task):
            assert outcome.ended is not Ended.VALUE, shown(outcome)

    # -------------------------------------------------------------------------------------- close

    @rule("E070", "Close gives tasks that run its timeout to come to an end.")
    def test_close_waits(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        rig = begin(settings)
        held = rig.hold("busy")
        held.begun()
        closing = caller.begin(rig.executor.close, self._long)
        assert not closing.is_back(_BLINK), "close did not wait for a task that runs"
        held.release()
        closing.result(self._long)
        outcomes = rig.watch.of(held.task)
        assert outcomes, "the task ended within the timeout, and was not reported"
        assert outcomes[0].ended is Ended.VALUE, shown(outcomes[0])

    @rule("E071", "Close drops tasks that wait, but for what a worker has in its hands already.")
    def test_close_drops(
        self, one_at_a_time: Settings, begin: Begin, caller: Caller, other: Caller
    ) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        rig.submit(*self._notes(rig, range(10)))
        closing = caller.begin(rig.executor.close, self._long)
        with contextlib.suppress(AssertionError):  # its status need not tell; what counts is below
            until(lambda: other.call(rig.executor.status).waiting == 0, 5 * _BLINK, "they wait")
        held.release()
        closing.result(self._long)
        begun = len(rig.lines("order"))
        assert begun <= 2, f"{begun} of 10 tasks that waited were begun while it closed"

    @rule("E072", "Close comes back when its timeout is over, whatever tasks do.")
    def test_close_is_bounded(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings)
        held = rig.hold("busy")
        held.begun()
        rig.submit(*self._notes(rig, range(10)))
        rig.close(_BLINK)

    @rule(
        "E073",
        "Tasks that still run at the end of the timeout are stopped by force; nothing is left.",
        needs=("isolation.process",),
    )
    def test_close_by_force(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        caller.call(int)
        before = Look.now()
        rig = begin(settings)
        held = rig.hold("busy", tasks.hold_in_c)
        held.begun()
        rig.close(0.0)
        assert not held.runs, "the task still runs"
        left = before.left(caller.threads, rig.patience)
        assert not left, f"left after close: {', '.join(left)}"

    @rule("E074", "A second call of close with a shorter timeout cuts the first one short.")
    def test_close_sooner(
        self, settings: Settings, begin: Begin, caller: Caller, other: Caller, patience: float
    ) -> None:
        rig = begin(settings)
        held = rig.hold("busy")
        held.begun()
        closing = caller.begin(rig.executor.close, 10 * patience)
        assert not closing.is_back(_BLINK), "close did not wait for a task that runs"
        self._quietly("the second close", other, rig.executor.close, 0.0)
        assert closing.is_back(patience), "the first close still waits for its own timeout"
        closing.result(0.0)

    @rule("E075", "Submitting, cancelling and dropping after close harms nobody.")
    def test_after_close(self, settings: Settings, begin: Begin, caller: Caller) -> None:
        caller.call(int)
        before = Look.now()
        rig = begin(settings)
        rig.value(tasks.add, 1, 1)
        rig.close(self._long)
        given = self._notes(rig, range(3))
        rig.submit(*given)
        rig.cancel(*given)
        rig.drop(*given)
        rig.close(0.0)
        left = before.left(caller.threads, rig.patience)
        assert not left, f"left after close: {', '.join(left)}"
        assert not rig.lines("order"), "a task ran after close"

    # ------------------------------------------------------------------------- limits and resources

    @rule(
        "E080",
        "A task that takes longer than its walltime ends as ERROR with a TaskTimeout.",
        needs=("walltime",),
    )
    def test_walltime(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("long", needs=Needs(walltime=_BLINK))
        outcome = rig.outcome(held.task)
        assert outcome.ended is Ended.ERROR, shown(outcome)
        assert isinstance(outcome.value, TaskTimeout), shown(outcome)
        held.ended()
        assert rig.value(tasks.add, 1, 2, needs=Needs(walltime=60.0)) == 3

    @rule("E081", "Time spent waiting is not walltime.", needs=("walltime",))
    def test_walltime_of_the_try(
        self, one_at_a_time: Settings, begin: Begin, caller: Caller
    ) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("busy")
        held.begun()
        waits = make_task(tasks.add, 1, 2, needs=Needs(walltime=0.5))
        rig.submit(waits)
        threading.Event().wait(0.6)  # as long as it may take, and a little more
        held.release()
        outcome = rig.outcome(waits)
        assert outcome.ended is Ended.VALUE, shown(outcome)

    @rule(
        "E082",
        "A task that overruns its walltime is stopped even while compiled code runs.",
        needs=("walltime", "walltime.compiled"),
    )
    def test_walltime_in_c(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time)
        held = rig.hold("long", tasks.hold_in_c, needs=Needs(walltime=_BLINK))
        outcome = rig.outcome(held.task)
        assert isinstance(outcome.value, TaskTimeout), shown(outcome)
        held.ended()
        assert rig.value(tasks.add, 1, 2) == 3

    @rule("E083", "It counts cores.", needs=("resources.cores",))
    def test_cores(self, settings: Settings, begin: Begin, room: Resources) -> None:
        self._counts(begin(settings), Resources(cores=room.cores))

    @rule("E084", "It counts memory.", needs=("resources.memory",))
    def test_memory(self, settings: Settings, begin: Begin, room: Resources) -> None:
        self._counts(begin(settings), Resources(memory=room.memory))

    @rule("E085", "It counts accelerators.", needs=("resources.accelerators",))
    def test_accelerators(self, settings: Settings, begin: Begin, room: Resources) -> None:
        self._counts(begin(settings), Resources(accelerators=room.accelerators))

    @rule("E086", "It gets machines when there are tasks, and gives them back.", needs=("elastic",))
    def test_elastic(self, idle: Settings, begin: Begin, patience: float) -> None:
        rig = begin(idle)
        assert rig.status().workers == 0, "it has workers before there are tasks"
        assert rig.value(tasks.add, 1, 2) == 3
        until(lambda: rig.status().workers == 0, patience, "it keeps machines that have no task")
        assert rig.value(tasks.add, 2, 2) == 4

    # -------------------------------------------------------------------------------------- tools

    @property
    def _long(self) -> float:
        """A timeout for close that no task here needs."""
        return 10.0

    def _skip_without(self, *needs: str) -> None:
        declared = self.component().capabilities
        if all(declared.get(need) is Support.UNSUPPORTED for need in needs):
            pytest.skip(f"{', '.join(needs)}: declared unsupported")

    def _notes(self, rig: Rig, numbers: Sequence[int], seconds: float = 0.0) -> list[Task]:
        return [make_task(tasks.note, rig.path("order"), str(n), seconds) for n in numbers]

    def _quietly(self, name: str, caller: Caller, function: Callable[..., Any], *args: Any) -> None:
        try:
            caller.call(function, *args)
        except Exception as error:  # noqa: BLE001 - a component may raise anything
            pytest.fail(f"{name} raised {told(error)}")

    def _drops_what_waits(self, rig: Rig, ask: Callable[..., Any]) -> None:
        held = rig.hold("busy")
        held.begun()
        given = self._notes(rig, range(40))
        rig.submit(*given)
        certain = set(ask(rig, *given))
        assert certain <= {task.id for task in given}, "it is certain of tasks never asked about"
        # Its word may have a way to go, to a thread or a machine, on which a task could begin.
        most = min(len(given) - len(certain), _IN_HAND)
        until(
            lambda: rig.status().waiting <= most,
            rig.patience,
            lambda: f"{rig.status().waiting} of {len(given)} tasks still wait that were dropped",
        )
        held.release()
        rig.all_of([held.task, *(task for task in given if task.id not in certain)])
        assert rig.value(tasks.add, 1, 2) == 3
        rig.close(self._long)
        ran = rig.lines("order")
        # It need not be certain at once of tasks that are on their way, but it drops them.
        assert "39" not in ran, "of 40 tasks that waited for one worker, the last was not dropped"
        begun = [n for n, task in enumerate(given) if task.id in certain and str(n) in ran]
        assert not begun, f"{len(begun)} tasks ran that were certain not to"
        self._agree(rig, given, certain, {task.id for n, task in enumerate(given) if str(n) in ran})

    def _agree(self, rig: Rig, given: Sequence[Task], certain: set[int], ran: set[int]) -> None:
        """What was reported fits what ran: a value if it did, cancelled if it was dropped."""
        for task in given:
            outcomes = rig.watch.of(task)
            assert len(outcomes) <= 1, f"reported twice: {[shown(one) for one in outcomes]}"
            for outcome in outcomes:
                if task.id in ran:
                    assert outcome.ended is Ended.VALUE, f"it ran, and ended as {shown(outcome)}"
                elif task.id not in certain:
                    assert outcome.ended is Ended.CANCELLED, f"it ended as {shown(outcome)}"

    def _storm(self, rig: Rig, ask: Callable[..., Any]) -> tuple[list[Task], set[int]]:
        """Submit, and ask at once, many times. Returns what was submitted, and what is certain."""
        chance = random.Random(1)
        given: list[Task] = []
        certain: set[int] = set()
        # At first two workers are busy, so that some wait for sure; then any of them may begin.
        held = [rig.hold(f"storm-{n}") for n in range(2)]
        for one in held:
            one.begun()
        for turn in range(12):
            if turn == 2:
                for one in held:
                    one.release()
            batch = [make_task(tasks.note, rig.path("order"), "") for _ in range(30)]
            batch = [_noting(rig, task) for task in batch]
            rig.submit(*batch)
            given += batch
            # The last of them still wait, most likely; any of the others may just begin.
            for task in (*batch[:-5:-1], *chance.sample(given, 6)):
                reported = bool(rig.watch.of(task))
                sure = set(ask(task))
                assert not (reported and sure), "it is certain of a task that has ended"
                certain |= sure
        rig.all_of([task for task in given if task.id not in certain])
        assert rig.value(tasks.add, 1, 2) == 3
        rig.close(self._long)
        return given, certain

    def _counts(self, rig: Rig, resources: Resources) -> None:
        def pair(one: str, other: str, needs: Needs, seconds: float) -> list[Any]:
            path = str(rig.files)
            given = [
                make_task(tasks.meet, path, one, other, seconds, needs=needs),
                make_task(tasks.meet, path, other, one, seconds, needs=needs),
            ]
            rig.submit(*given)
            for task in given:
                assert rig.outcome(task).ended is Ended.VALUE, shown(rig.outcome(task))
            return [rig.outcome(task).value for task in given]

        assert pair("a", "b", Needs(), rig.patience / 2) == [True, True], (
            "two tasks that ask for nothing do not run side by side, so nothing can be shown"
        )
        together = pair("c", "d", Needs(resources=resources), 3 * _BLINK)
        assert together == [False, False], (
            f"two tasks ran side by side that each ask for all there is: {resources}"
        )

    # ------------------------------------------------------------ what tasks log, print and use

    @rule(
        "E090",
        "What a task logs, from the level on that is asked for, is told of its try before its end.",
        needs=("logs",),
    )
    def test_tells_what_is_logged(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings, asked=_LOGS)
        before = time.time()
        given = [make_task(tasks.log, f"mark {n}", attempt=1 + n) for n in range(4)]
        rig.submit(*given)
        rig.all_of(given)
        for n, task in enumerate(given):
            lines = rig.watch.lines(task)
            said = [(line.level, line.text) for line in lines]
            assert said == [("WARNING", f"mark {n} warning"), ("ERROR", f"mark {n} error")], (
                f"before the end of {task.id} it was told that it said {said}"
            )
            for line in lines:
                assert line.executor == rig.watch.label, f"it is told of {line.executor!r}"
                assert line.logger == "weft_testkit.of_a_task", f"the logger is {line.logger!r}"
                assert abs(line.time - before) < _SKEW, "the time is not that of the line"

    @rule("E091", "Nothing is told of tasks that was not asked for.")
    def test_tells_nothing_unasked(
        self, settings: Settings, begin: Begin, capfd: pytest.CaptureFixture[str]
    ) -> None:
        rig = begin(settings)
        rig.value(tasks.log, "mark")
        rig.value(tasks.print_some, "mark")
        told = [one for one in rig.watch.told if type(one) in {LogLine, ResourceSample}]
        assert not told, f"nobody asked for {told[0]!r}"
        capfd.readouterr()

    @rule("E092", "What a task prints is told when that is asked for.", needs=("logs",))
    def test_tells_what_is_printed(
        self, settings: Settings, begin: Begin, capfd: pytest.CaptureFixture[str]
    ) -> None:
        rig = begin(settings, asked=Asked(prints=True))
        task = make_task(tasks.print_some, "mark")
        rig.submit(task)
        rig.outcome(task)
        said = sorted((line.level, line.text) for line in rig.watch.lines(task))
        assert said == [("ERR", "mark err"), ("OUT", "mark out")], f"told was {said}"
        capfd.readouterr()

    @rule(
        "E093",
        "A message that cannot be shown, or has no bound, harms nothing; what is told is bounded.",
        needs=("logs",),
    )
    def test_bad_messages(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings, asked=_LOGS)
        task = make_task(tasks.log_badly, _LONG_TEXT)
        rig.submit(task)
        outcome = rig.outcome(task)
        assert outcome.value == "ended", shown(outcome)
        lines = rig.watch.lines(task)
        assert lines, "nothing was told"
        assert lines[-1].text == "the last", f"the last line that was told is {lines[-1].text:.200}"
        longest = max(len(line.text) for line in lines)
        assert longest <= _SHOWN_TEXT, f"a line of {longest:,} characters was told"

    @rule(
        "E094",
        "A task that logs without end does not flood: a bounded part is told, the rest counted.",
        needs=("logs",),
    )
    def test_flood_is_bounded(self, settings: Settings, begin: Begin) -> None:
        rig = begin(settings, asked=_LOGS)
        task = make_task(tasks.log_much, _FLOOD)
        rig.submit(task)
        outcome = rig.outcome(task)
        assert outcome.value == _FLOOD, shown(outcome)
        lines = rig.watch.lines(task)
        own = sum(line.logger == "weft_testkit.of_a_task" for line in lines)
        assert own <= _TOLD_LINES, f"{own:,} of {_FLOOD:,} lines were told"
        counted = own + sum(line.dropped for line in lines)
        assert counted == _FLOOD, f"{own:,} lines were told, and {counted - own:,} counted"

    @rule(
        "E095",
        "What a task used is told before its end, once as the last, and of its own try.",
        needs=("samples",),
    )
    def test_samples(self, one_at_a_time: Settings, begin: Begin) -> None:
        rig = begin(one_at_a_time, asked=_SAMPLES)
        small, large = make_task(tasks.add, 1, 2), make_task(tasks.use_memory, 64 << 20, attempt=2)
        rig.submit(small)
        rig.outcome(small)
        rig.submit(large)
        rig.outcome(large)
        for task in (small, large):
            samples = rig.watch.samples(task)
            lasts = [one.last for one in samples]
            assert lasts == [True], f"of task {task.id} the samples were {lasts}"
            assert samples[0].executor == rig.watch.label, f"it is of {samples[0].executor!r}"
            assert samples[0].processes >= 1
        (much,) = rig.watch.samples(large)
        used = None if much.user is None or much.system is None else much.user + much.system
        assert used is None or 0.05 <= used < _SKEW, f"{used} s are not what it used"
        for amount in (much.resident, much.peak, much.read, much.written):
            assert amount is None or amount >= 0
        if much.peak is not None and much.resident is not None:
            assert much.peak >= much.resident, "the peak is less than what there is now"


def _noting(rig: Rig, task: Task) -> Task:
    """The task, with its own number as what it notes."""
    return make_task(tasks.note, rig.path("order"), str(task.id), id=task.id)


def _is_serialization_error(outcome: Outcome) -> None:
    assert outcome.ended is Ended.ERROR, shown(outcome)
    assert isinstance(outcome.value, SerializationError), shown(outcome)
