"""Blocks that do not come up: told in time, with the addresses that are tried and where to look."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from weft.errors import BlockFailed, WeftError
from weft.interfaces.context import Context
from weft.interfaces.provider import Provider
from weft.testing import FakeExecutorContext
from weft.values.jobs import Job, JobId, JobStatus
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft_htex.executor import HTEXExecutor
from weft_htex.settings import HTEX

# How long starts are put off between failures is counted by core/tests/blocks/test_keeper.py; how
# fast a machine starts three Pythons is its own affair.
BOUND = 60.0


class Refusing(Provider):
    """A scheduler whose command says no, or is not there."""

    def __init__(self, trouble: Exception) -> None:
        self._trouble = trouble

    def start(self, context: Context) -> None: ...

    def submit(self, job: Job) -> JobId:
        raise self._trouble

    def status(self, ids: Sequence[JobId]) -> Mapping[JobId, JobStatus]:
        return {}

    def cancel(self, ids: Sequence[JobId]) -> None: ...

    def close(self) -> None: ...


class Given(FakeExecutorContext):
    """A context that hands over a provider of the test's."""

    provider: Provider | None = None

    def part(self, kind: Kind, settings: Settings | None, default: str = "") -> object:
        if kind is Kind.PROVIDER and self.provider is not None:
            return self.provider
        return super().part(kind, settings, default)


Start = Callable[..., Given]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an executor; it is closed with the test."""
    made: list[HTEXExecutor] = []

    def started(provider: Provider | None = None, **options: Any) -> Given:
        context = Given(tmp_path, label="cpu")
        context.provider = provider
        made.append(HTEXExecutor(HTEX(label="cpu", **options)))
        made[-1].start(context)
        return context

    yield started
    for one in made:
        one.close(0.0)


def failure(context: Given) -> BaseException:
    context.wait_until(lambda: context.failures, BOUND)
    return context.failures[0]


def test_a_block_that_runs_and_never_registers_is_told_and_given_up(start: Start) -> None:
    context = start(
        worker_init="sleep 1000",
        register_warning=0.5,
        register_timeout=2.0,
        block_failures=1,
    )
    context.wait_until(lambda: any("registered" in text for _, text in context.notices), BOUND)

    ((level, told),) = [one for one in context.notices if "registered" in one[1]]
    assert level == "warning"
    assert re.search(r"Block cpu-1 \(job local-1\) has run for \d+ s", told)
    assert re.search(r"cannot reach unix:/\S+/managers\.sock", told)
    assert f"Look into {context.folder / 'managers'} and " in told
    assert "given up after 2 s" in told
    logs = re.findall(r"(/\S+job\.err)", told)
    assert [Path(log).exists() for log in logs] == [True]
    error = failure(context)
    assert isinstance(error, BlockFailed)
    assert "no manager has registered" in str(error)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (
            WeftError("sbatch refused the job.", why="Invalid account or partition."),
            "Invalid account or partition",
        ),
        (FileNotFoundError(2, "No such file or directory", "sbatch"), "sbatch"),
    ],
    ids=["refuses", "missing"],
)
def test_a_submit_command_that_is_missing_or_refuses_is_told(
    start: Start, trouble: Exception, words: str
) -> None:
    error = failure(start(Refusing(trouble)))

    assert isinstance(error, BlockFailed)
    assert words in str(error)


def test_a_python_that_is_not_there_is_told(start: Start) -> None:
    error = failure(start(python="/nowhere/python3"))

    assert isinstance(error, BlockFailed)
    assert error.facts["exit code"] == "127"
    assert "/nowhere/python3" in error.facts["stderr"]


def test_workers_that_cannot_start_are_told_with_their_last_words(start: Start) -> None:
    error = failure(start(environment={"PYTHONHOME": "/nowhere"}))

    assert isinstance(error, BlockFailed)
    assert error.starts == 3
    assert "has no worker that starts" in error.why
    assert "ModuleNotFoundError: No module named 'encodings'" in error.why
    assert "ModuleNotFoundError: No module named 'encodings'" in error.facts["stderr"]
    assert "environment and worker_init" in error.todo
