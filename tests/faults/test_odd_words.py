"""What an argument, a result or an error says of itself harms no run, and what is lost is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import weft
from tests.faults.conftest import settings_of
from weft import python_app
from weft.cli import main
from weft.eventlog.runs import open_run
from weft.values.states import TaskState

BOUND = 60.0
GIGABYTE = 2**30


class Raises:
    """Has no words."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Ends:
    """Would end the program that asks."""

    def __repr__(self) -> str:
        raise SystemExit(3)


class Large:
    """Says more than anybody reads."""

    def __repr__(self) -> str:
        return "y" * (GIGABYTE // 64)


class NoWords(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@python_app
def given(value: Any) -> Any:
    return value


@python_app
def refused(value: Any) -> Any:
    raise NoWords(type(value).__name__)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_repr_that_raises_ends_or_is_a_gigabyte_costs_the_words_alone(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knot: list[Any] = []
    knot.append(knot)
    # The words of the last but one would be a gigabyte, of one text that is there a thousand times.
    values = [Raises(), Ends(), Large(), knot, ["x" * 2**20] * (GIGABYTE // 2**20), "\ud800\x1b[2J"]
    config = weft.Config(
        run_dir=tmp_path, task_values="all", executors=[settings_of(kind, 2)], retries=0
    )
    if kind == "processes":  # which would bring the gigabyte there
        values.pop(4)
    with weft.Session(config) as session:
        good = [given.options(session=session)(value) for value in values]
        bad = [refused.options(session=session)(value) for value in values]
        for future in good:
            future.result(BOUND)
        for future in bad:
            assert isinstance(future.exception(BOUND), NoWords)

    with open_run(tmp_path / "0000") as run:
        story = run.story
        assert story.counts[TaskState.DONE] == story.counts[TaskState.FAILED] == len(values)
        told = [story.told[future.task_id] for future in (*good, *bad)]
    assert all(one.arguments and len(one.arguments) < 2_500 for one in told)
    for one in (told[0], told[len(values)]):
        assert one.arguments == "<Raises, whose repr raises>"
    for one in (told[1], told[len(values) + 1]):
        assert one.arguments == "(cannot be shown: SystemExit)"
    assert all(one.result and len(one.result) <= 2_000 for one in told[: len(values)])
    for one in told[len(values) :]:
        (text,) = one.tracebacks.values()
        assert "in refused\n" in text
        assert len(text) <= 16_000
    assert (tmp_path / "0000" / "events.weft").stat().st_size < 100_000

    with pytest.raises(SystemExit) as ended:
        main(["runs", "show", "--task", str(bad[-1].task_id), "--run-dir", str(tmp_path)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert r"refused('\ud800\x1b[2J')" in shown
    assert "\x1b" not in shown
