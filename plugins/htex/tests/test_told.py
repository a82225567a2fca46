"""What tasks on nodes log, print and use is told before they end, all the way."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.testing import FakeExecutorContext, make_task
from weft.values.events import LogLine, ResourceSample
from weft.values.task import Ended
from weft.values.watch import Watch
from weft_htex import HTEX
from weft_htex.executor import build

BOUND = 60.0


class Context(FakeExecutorContext):
    def __init__(self, folder: Path, watch: Watch) -> None:
        super().__init__(folder, label="far", watch=watch)
        self.told_before: dict[int, int] = {}

    def report(self, outcomes: Any) -> None:
        for outcome in outcomes:
            self.told_before[outcome.id] = len(self.told)
        super().report(outcomes)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An executor with one worker that tells all that there is to tell."""
    watch = Watch(level=logging.WARNING, prints=True, period=600.0)
    context = Context(tmp_path_factory.mktemp("far"), watch)
    executor = build(HTEX(label="far", workers_per_node=1, max_blocks=1))
    executor.start(context)
    yield context, executor
    executor.close(0.0)


def speaks(go: str) -> None:
    import time

    own = logging.getLogger("of.htex")
    own.addHandler(logging.NullHandler())
    own.propagate = False
    own.warning("begun %s", "\ud800")
    sys.stdout.write("printed\n")
    until = time.monotonic() + 60
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.01)
    own.info("below the level")
    own.error("over")


def test_lines_come_while_a_task_runs_and_the_rest_before_its_end(far: Any, tmp_path: Path) -> None:
    context, executor = far
    executor.submit([make_task(speaks, str(tmp_path / "go"), id=7, attempt=2)])

    def lines() -> list[LogLine]:
        return [one for one in context.told if type(one) is LogLine]

    context.wait_until(lambda: len(lines()) >= 2, BOUND)
    assert 7 not in context.told_before, "it had ended before"
    (tmp_path / "go").touch()
    assert context.outcome_of(7, BOUND).ended is Ended.VALUE

    assert [(one.level, one.text) for one in lines()] == [
        ("WARNING", r"begun \ud800"),
        ("OUT", "printed"),
        ("ERROR", "over"),
    ]
    assert {(one.id, one.attempt, one.executor) for one in lines()} == {(7, 2, "far")}
    (sample,) = [one for one in context.told if type(one) is ResourceSample]
    assert (sample.id, sample.attempt, sample.executor, sample.last) == (7, 2, "far", True)
    assert sample.peak
    told = context.told[: context.told_before[7]]
    assert sum(type(one) in {LogLine, ResourceSample} for one in told) == 4, "told after its end"
