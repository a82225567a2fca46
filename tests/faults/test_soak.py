"""A hundred thousand tasks while workers and managers are killed all the time.

Every result is right and is delivered once, every try is on record, and no process
and no thread is left. ``pytest -m soak`` runs the same for half an hour.
"""

import contextlib
import os
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import python_app
from weft.values.task import Ended

BOUND = 110.0
FLAWS = 0.01
"""The part of all calls that raise."""
WINDOW = 20_000
"""Tasks that are submitted and not ended, in the long run."""

pytestmark = pytest.mark.usefixtures("nothing_left")

Make = Callable[..., weft.Config]


class Flaw(Exception):
    """Raised at random."""


@python_app
def work(number: int, journal: str) -> tuple[int, int, int]:
    """Leaves a mark for each time that it raises."""
    if random.random() < FLAWS:
        with Path(journal).open("ab", buffering=0) as marks:
            marks.write(b"x")
        raise Flaw(number)
    return number, number * number % 1_000_003, os.getpid()


class Chaos:
    """Kills a worker, or a manager, each time that so many tasks have ended.

    Kills follow the progress and not the time: so there is some on any machine.
    """

    def __init__(
        self, family: Any, managers: Callable[[], list[int]], each: int, manager_each: int
    ) -> None:
        self.killed: Counter[str] = Counter()
        self._family, self._managers = family, managers
        self._each, self._manager_each = each, manager_each
        self._chance = random.Random(7)

    def after(self, count: int, known: set[int]) -> None:
        """So many tasks have ended, on these workers; those that only start are spared."""
        if count % self._each == 0:
            self._kill(
                "worker", [pid for pid in self._family.alive() if pid in known and _is_worker(pid)]
            )
        if count % self._manager_each == 0:
            self._kill("manager", self._managers())

    def _kill(self, what: str, pids: list[int]) -> None:
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._chance.choice(pids), signal.SIGKILL)
                self.killed[what] += 1


def _is_worker(pid: int) -> bool:
    try:
        return b"weft-worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


class Count:
    """What came of all tasks."""

    def __init__(self) -> None:
        self.delivered: Counter[int] = Counter()
        self.ended: Counter[Ended] = Counter()
        self.wrong: list[Any] = []
        self.workers: set[int] = set()

    def take(self, number: int, future: Any) -> None:
        *value, pid = future.result(BOUND)
        self.workers.add(pid)
        tries = future.tries
        self.ended.update([one.ended for one in tries])
        if value != [number, number * number % 1_000_003]:
            self.wrong.append((number, value))
        if [one.number for one in tries] != list(range(1, len(tries) + 1)):
            self.wrong.append((number, tries))
        if tries[-1].ended is not Ended.VALUE or any(t.ended is Ended.VALUE for t in tries[:-1]):
            self.wrong.append((number, tries))


def managers(run: weft.Session) -> list[int]:
    [executor] = run.status().executors.values()
    return [one["pid"] for one in executor.details.get("managers", {}).values()]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    path.touch()
    return path


def soak(
    config: Make, family: Any, numbers: Iterator[int], **how: Any
) -> tuple[Count, Counter[str]]:
    """Run these tasks while workers and managers die."""
    count = Count()
    executor = {} if how["kind"] == "processes" else {"init_blocks": 2, "max_blocks": 2}
    with weft.load(config(workers=2, executor=executor, retries=10)) as run:
        waiting: deque[tuple[int, Any]] = deque()

        def submit(number: int) -> None:
            future = work(number, str(how["journal"]))
            future.add_done_callback(lambda _: count.delivered.update([number]))
            waiting.append((number, future))

        chaos = Chaos(family, lambda: managers(run), how["each"], how["manager_each"])
        ended = 0
        for number in numbers:
            submit(number)
            if len(waiting) > how["window"]:
                count.take(*waiting.popleft())
                chaos.after(ended := ended + 1, count.workers)
        while waiting:
            count.take(*waiting.popleft())
            chaos.after(ended := ended + 1, count.workers)
    return count, chaos.killed


def check(count: Count, killed: Counter[str], tasks: int, journal: Path) -> None:
    assert count.wrong == []
    assert len(count.delivered) == tasks
    assert set(count.delivered.values()) == {1}
    assert count.ended[Ended.VALUE] == tasks
    # Each failure that was told is on record; those of workers that died before they told it are
    # among what was killed or lost.
    told, happened = count.ended[Ended.ERROR], journal.stat().st_size
    assert told > tasks * FLAWS / 2
    assert told <= happened
    assert killed["worker"] >= 3


@pytest.mark.parametrize(
    ("kind", "tasks"), [("processes", 20_000), ("htex", 100_000), ("direct", 20_000)]
)
@pytest.mark.timeout(180)
def test_every_task_ends_rightly_and_once_though_workers_and_managers_die(
    config: Make, family: Any, journal: Path, kind: str, tasks: int
) -> None:
    count, killed = soak(
        config,
        family,
        iter(range(tasks)),
        kind=kind,
        journal=journal,
        # Small, so that what is killed still has work, however fast that is done.
        window=tasks // 50,
        each=tasks // 50,
        manager_each=tasks // 4,
    )
    check(count, killed, tasks, journal)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["processes", "htex", "direct"])
@pytest.mark.timeout(3600)
def test_half_an_hour_of_it(config: Make, family: Any, journal: Path, kind: str) -> None:
    end = time.monotonic() + 1800
    tasks = 0

    def numbers() -> Iterator[int]:
        nonlocal tasks
        while time.monotonic() < end:
            yield tasks
            tasks += 1

    count, killed = soak(
        config,
        family,
        numbers(),
        kind=kind,
        journal=journal,
        window=WINDOW,
        each=2_000,
        manager_each=100_000,
    )
    check(count, killed, tasks, journal)
    assert kind == "processes" or killed["manager"] > 2
