"""What tasks on worker processes log, print and use is told before they end."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.builtin.processes.executor import build
from weft.builtin.processes.settings import Processes
from weft.testing import FakeExecutorContext, make_task
from weft.values.events import LogLine, ResourceSample
from weft.values.task import Ended, Outcome
from weft.values.watch import Watch

BOUND = 60.0
LOGS = Watch(level=logging.WARNING)
ALL = Watch(level=logging.INFO, prints=True, period=600.0)


class Rig(FakeExecutorContext):
    """Runs tasks on one worker, and keeps what is told."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        super().__init__(folder, label="here", watch=watch)
        self.executor = build(Processes(label="here", max_workers=1))
        self.executor.start(self)
        self._next = 0
        self.told_before: dict[int, int] = {}

    def report(self, outcomes: Any) -> None:
        for outcome in outcomes:
            self.told_before[outcome.id] = len(self.told)
        super().report(outcomes)

    def begin(self, function: Callable[..., Any], *args: Any) -> int:
        self._next += 1
        self.executor.submit([make_task(function, *args, id=self._next)])
        return self._next

    def run(self, function: Callable[..., Any], *args: Any) -> Outcome:
        return self.outcome_of(self.begin(function, *args), BOUND)

    def lines(self, number: int) -> list[LogLine]:
        """Those of a task that were told before it had ended."""
        before = self.told_before.get(number, len(self.told))
        return [one for one in self.told[:before] if type(one) is LogLine and one.id == number]

    def samples(self, number: int) -> list[ResourceSample]:
        before = self.told_before.get(number, len(self.told))
        told = self.told[:before]
        return [one for one in told if type(one) is ResourceSample and one.id == number]


@pytest.fixture(scope="module")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Watch], Rig]]:
    """One executor for each watch; all tests of the module share them."""
    made: dict[str, Rig] = {}

    def rig(watch: Watch) -> Rig:
        key = watch.word()
        if key not in made:
            made[key] = Rig(tmp_path_factory.mktemp("told"), watch)
        return made[key]

    yield rig
    for one in made.values():
        one.executor.close(0.0)


def warn(*messages: Any) -> None:
    import logging

    for message in messages:
        logging.getLogger("a.library").warning(message)


def modules(*names: str) -> list[str]:
    import sys

    return [name for name in names if name in sys.modules]


def test_what_a_task_logs_is_told_with_its_level_and_logger_before_its_end(rigs: Any) -> None:
    rig = rigs(LOGS)
    before = time.time()
    outcome = rig.run(warn, "one", "two")
    assert outcome.ended is Ended.VALUE
    first, second = rig.lines(outcome.id)
    assert (first.level, first.logger, first.text) == ("WARNING", "a.library", "one")
    assert (first.attempt, first.executor, second.text) == (1, "here", "two")
    assert before <= first.time <= second.time <= time.time()


def quiet() -> None:
    import logging

    logging.getLogger("a.library").info("not from this level on")
    logging.getLogger().debug("nor this")


def test_what_is_below_the_level_is_not_told(rigs: Any) -> None:
    assert not rigs(LOGS).lines(rigs(LOGS).run(quiet).id)


def test_a_lower_level_is_told_where_the_task_has_set_none(rigs: Any) -> None:
    assert [one.text for one in rigs(ALL).lines(rigs(ALL).run(quiet).id)] == [
        "not from this level on"
    ]


def configures() -> tuple[int, int]:
    """What basicConfig does, in a process where nobody else has set a handler."""
    import logging

    before = len(logging.getLogger().handlers)
    logging.basicConfig(level=logging.WARNING)
    after = len(logging.getLogger().handlers)
    logging.getLogger().handlers.clear()
    return before, after


def test_logging_looks_as_if_nobody_heard(rigs: Any) -> None:
    assert rigs(LOGS).run(configures).value == (0, 1)


def test_without_anything_to_tell_nothing_is_loaded_and_nothing_runs(tmp_path: Path) -> None:
    rig = Rig(tmp_path, LOGS)
    try:
        assert rig.run(modules, "logging", "psutil").value == []
        own = ("weft.workers.telling", "weft.workers.hearing", "weft.workers.sampling")
        assert rig.run(modules, *own).value == []
        assert rig.run(threads).value == 2  # its main thread, and the one that watches
    finally:
        rig.executor.close(0.0)
    assert not rig.told


def threads() -> int:
    import os

    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - as cheap as can be


def test_messages_that_explode_or_are_huge_harm_nothing(rigs: Any) -> None:
    rig = rigs(LOGS)
    outcome = rig.run(warn_badly)
    assert outcome.ended is Ended.VALUE
    bad, huge, last = rig.lines(outcome.id)
    assert bad.text.startswith("(cannot be shown: RuntimeError)")
    assert "left out here" in huge.text
    assert len(huge.text) < 10_000
    assert last.text == "well"


def warn_badly() -> None:
    import logging

    class Silent(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            """Print nothing."""

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    own = logging.getLogger("bad")
    own.addHandler(Silent())
    own.propagate = False
    own.warning(Bad())
    own.warning("x" * 200_000_000)
    own.warning("well")


def flood(count: int) -> None:
    import logging

    own = logging.getLogger("flood")
    own.addHandler(logging.NullHandler())
    own.propagate = False
    for number in range(count):
        own.warning("%d", number)


def test_a_flood_is_bounded_and_its_loss_is_told_in_a_line(rigs: Any) -> None:
    rig = rigs(LOGS)
    count = 30_000
    lines = rig.lines(rig.run(flood, count).id)
    told = [one for one in lines if one.logger == "flood"]
    assert 1000 <= len(told) < count
    assert len(told) + sum(one.dropped for one in lines) == count
    assert "left out" in lines[-1].text


def prints() -> None:
    print("to be read")  # noqa: T201 - what is tested
    print("aside", file=sys.stderr)  # noqa: T201 - what is tested
    sys.stdout.write("without an end")


def test_prints_are_told_when_asked_for_and_printed_all_the_same(rigs: Any) -> None:
    rig = rigs(ALL)
    for _ in range(2):  # a task after another, between which what tasks changed is put back
        lines = rig.lines(rig.run(prints).id)
        assert sorted((one.level, one.text) for one in lines) == [
            ("ERR", "aside"),
            ("OUT", "to be read"),
            ("OUT", "without an end"),
        ]
    assert not rigs(LOGS).lines(rigs(LOGS).run(prints).id)


def waits(go: str) -> None:
    import logging
    import time
    from pathlib import Path

    logging.getLogger("live").warning("begun")
    until = time.monotonic() + 60
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.01)


def test_lines_are_told_while_the_task_runs(rigs: Any, tmp_path: Path) -> None:
    rig = rigs(LOGS)
    number = rig.begin(waits, str(tmp_path / "go"))
    rig.wait_until(lambda: rig.lines(number), BOUND)
    assert number not in rig.told_before, "it had ended before"
    (tmp_path / "go").touch()
    assert rig.outcome_of(number, BOUND).ended is Ended.VALUE


def logs_and_dies(go: str) -> None:
    import logging
    import os
    import signal

    logging.getLogger("last").warning("the last words")
    waits(go)
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_worker_said_before_is_told_before_its_end(rigs: Any, tmp_path: Path) -> None:
    rig = rigs(LOGS)
    number = rig.begin(logs_and_dies, str(tmp_path / "go"))
    rig.wait_until(lambda: rig.lines(number), BOUND)
    (tmp_path / "go").touch()
    assert rig.outcome_of(number, BOUND).ended is Ended.KILLED
    assert "the last words" in [one.text for one in rig.lines(number)]


def leaves_a_thread(go: str) -> None:
    import threading

    threading.Thread(target=waits, args=(go,), name="left-behind", daemon=True).start()


def ends_what_was_left() -> None:
    import threading

    for one in threading.enumerate():
        if one.name == "left-behind":
            one.join(60)


def test_what_a_thread_logs_that_a_task_left_behind_is_nobodys_or_that_of_who_runs(
    rigs: Any, tmp_path: Path
) -> None:
    rig = rigs(LOGS)
    number = rig.begin(leaves_a_thread, str(tmp_path / "go"))
    rig.outcome_of(number, BOUND)
    (tmp_path / "go").touch()
    assert rig.run(warn, "after").ended is Ended.VALUE
    # What it says from now on would be told of the tasks of other tests.
    assert rig.run(ends_what_was_left).ended is Ended.VALUE


def forks() -> int:
    import logging
    import os

    logging.getLogger("parent").warning("before")
    child = os.fork()
    if not child:
        logging.getLogger("child").warning("nobody hears this")
        os._exit(0)
    return os.waitpid(child, 0)[1]


def test_a_child_that_a_task_forks_tells_nothing(rigs: Any) -> None:
    rig = rigs(LOGS)
    outcome = rig.run(forks)
    assert outcome.value == 0
    assert [one.logger for one in rig.lines(outcome.id)] == ["parent"]


def forks_before_it_logs(file: str) -> tuple[int, str]:
    """A child that logs first, and has opened a file under the number of the worker's pipe."""
    import os
    import sys

    assert "logging" not in sys.modules
    child = os.fork()
    if not child:
        files = [open(file, "w") for _ in range(20)]  # noqa: PTH123, SIM115 - which number, nobody knows
        import logging

        logging.getLogger("child").warning("nobody hears this")
        for one in files:
            one.close()
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    with open(file) as written:  # noqa: PTH123 - nothing more is to be loaded here
        return ended, written.read()


def test_a_child_that_is_the_first_to_log_writes_nowhere(tmp_path: Path) -> None:
    rig = Rig(tmp_path, LOGS)
    try:
        assert rig.run(forks_before_it_logs, str(tmp_path / "file")).value == (0, "")
    finally:
        rig.executor.close(0.0)
    assert not rig.told


def resets() -> bool:
    """Whether the system forgets a process's peak when it is asked to."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def uses_much() -> int:
    import time

    data = bytearray(70_000_000)
    begin = time.process_time()
    while time.process_time() - begin < 0.1:
        pass
    return len(data)


def test_a_short_task_has_one_sample_with_its_peak(rigs: Any) -> None:
    rig = rigs(ALL)
    (sample,) = rig.samples(rig.run(uses_much).id)
    assert sample.last
    assert sample.executor == "here"
    assert sample.user is not None
    assert sample.system is not None
    assert 0.08 <= sample.user + sample.system < 30.0
    assert sample.resident is not None
    assert sample.peak is not None
    assert sample.peak >= sample.resident
    if resets():
        assert sample.peak >= 70_000_000
    assert sample.processes == 1
    (other,) = rig.samples(rig.run(quiet).id)
    assert other.user is not None
    assert other.system is not None
    # Their sum is exact; which of the two it was, the system guesses from a few ticks.
    assert other.user + other.system < sample.user + sample.system
    if resets():
        assert other.peak is not None
        assert other.peak <= sample.peak - 50_000_000, "the peak of another task"


def test_a_long_task_is_sampled_while_it_runs(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Watch(period=0.1))
    try:
        number = rig.begin(waits, str(tmp_path / "go"))
        rig.wait_until(lambda: len(rig.samples(number)) >= 3, BOUND)
        assert number not in rig.told_before
        (tmp_path / "go").touch()
        rig.outcome_of(number, BOUND)
        assert [one.last for one in rig.samples(number)].count(True) == 1
        assert rig.samples(number)[-1].last
        assert not rig.lines(number)
    finally:
        rig.executor.close(0.0)


def test_workers_without_psutil_say_so_once_and_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "psutil.py").write_text("raise ImportError('psutil is not here')\n")
    monkeypatch.syspath_prepend(str(blocked))
    rig = Rig(tmp_path, Watch(period=1.0))
    try:
        assert rig.run(os.getpid).ended is Ended.VALUE
        (line,) = rig.lines(1)
        assert line.text == "No samples are taken on this worker: psutil is not here."
        assert rig.lines(rig.run(os.getpid).id) == []
    finally:
        rig.executor.close(0.0)


# What is imported in workers is asked by functions that go there by value: this module imports
# logging, and can be imported there where tests are run from the folder that has them.
for _one in (modules, threads, forks_before_it_logs):
    _one.__module__ = "__main__"
