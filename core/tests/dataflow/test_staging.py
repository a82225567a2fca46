"""Files are planned, moved, and put in their place among the arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.dataflow.staging import Staging
from weft.errors import StagingError, UnknownScheme
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeStager
from weft.values.files import File
from weft.values.states import TaskState
from weft.values.task import TaskSpec

if TYPE_CHECKING:
    from core.tests.dataflow.conftest import Bench

    Make = Callable[..., Bench]

PATIENCE = 20.0
ONE, TWO, OUT = (File(f"fake://host/{name}") for name in ("one.txt", "two.txt", "out.txt"))


def staging_of(stager: FakeStager, folder: Path) -> Staging:
    return Staging(
        {"fake": stager}.get,
        lambda: ("fake",),
        lambda label: Place(executor=label, folder=folder),
    )


def test_each_file_is_moved_once_wherever_it_stands(tmp_path: Path) -> None:
    stager = FakeStager()
    args, kwargs, leaving = staging_of(stager, tmp_path).bring(
        (ONE, [TWO, {"k": ONE}]), {"inputs": [ONE]}, (), "cpu"
    )

    assert [transfer.file for transfer in stager.moved] == [ONE, TWO]
    assert leaving == []
    placed: Any = args[0]
    assert placed.filepath == str(tmp_path / "one.txt")
    assert args[1][1]["k"] is placed
    assert kwargs["inputs"][0] is placed


def test_outputs_are_planned_before_and_moved_after(tmp_path: Path) -> None:
    stager = FakeStager()
    staging = staging_of(stager, tmp_path)
    _args, kwargs, leaving = staging.bring((), {"outputs": [OUT]}, (OUT,), "cpu")

    assert stager.moved == []
    assert [(one.way, one.file) for one in leaving] == [(Way.OUT, OUT)]
    assert kwargs["outputs"][0].filepath == str(tmp_path / "out.txt")
    staging.take(leaving)
    assert stager.moved == list(leaving)


def test_arguments_without_files_stay_the_same_objects(tmp_path: Path) -> None:
    plain: list[Any] = [1, {"k": 2}]
    plain.append(plain)

    args, _, _ = staging_of(FakeStager(), tmp_path).bring((plain, ONE), {}, (), "cpu")

    assert args[0] is plain


def test_a_scheme_that_nobody_moves_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme, match=r"'gopher'.*fake"):
        staging_of(FakeStager(), tmp_path).check([ONE, File("gopher://host/x")])


def test_a_stager_that_raises_something_of_its_own_is_named(tmp_path: Path) -> None:
    class Broken(FakeStager):
        def move(self, transfer: Transfer) -> None:
            raise PermissionError("no key")

    with pytest.raises(StagingError, match=r"one\.txt.*in") as caught:
        staging_of(Broken(), tmp_path).bring((ONE,), {}, (), "cpu")
    assert "PermissionError: no key" in str(caught.value)
    assert isinstance(caught.value.__cause__, PermissionError)


def test_a_decision_takes_the_place_of_the_plan(tmp_path: Path) -> None:
    stager = FakeStager()
    elsewhere = Transfer(
        way=Way.IN,
        file=ONE,
        placed=ONE.placed(tmp_path / "cache" / "one.txt"),
        place=Place(executor="cpu", folder=tmp_path),
    )

    args, _, _ = staging_of(stager, tmp_path).bring(
        (ONE, TWO), {}, (), "cpu", lambda file: elsewhere if file == ONE else None
    )

    assert args[0].filepath == str(tmp_path / "cache" / "one.txt")
    assert [one.file for one in stager.planned] == [TWO]


# -------------------------------------------------------------------------------- within a kernel


def size(file: File) -> str:
    return file.filepath


def test_a_task_waits_for_its_files_and_is_launched_with_them(make_bench: Make) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    future = bench.call(size, ONE)
    stager.wait(1)
    assert bench.view(future).state is TaskState.STAGING_IN
    assert bench.executor.tasks == []

    stager.finish(ONE)
    bench.executor.finish(bench.executor.wait(1)[0])

    assert future.result(PATIENCE).endswith("one.txt")


def test_a_file_that_does_not_come_fails_its_task_without_a_try(make_bench: Make) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    stager.fail(ONE, "host is down")
    future = bench.call(size, ONE)

    error = future.exception(PATIENCE)

    assert isinstance(error, StagingError)
    assert "host is down" in str(error)
    assert future.tries == ()
    assert bench.executor.tasks == []


@pytest.mark.parametrize("trouble", [RuntimeError("odd"), SystemExit(1)])
def test_whatever_a_stager_raises_ends_the_task_and_no_thread(
    make_bench: Make, trouble: BaseException
) -> None:
    class Broken(FakeStager):
        def plan(self, way: Way, file: File, place: Place) -> Transfer:
            raise trouble

    bench = make_bench(stagers={"fake": Broken()})

    for _ in range(4):  # more often than there are threads
        assert bench.call(size, ONE).exception(PATIENCE) is trouble


def test_the_task_ends_when_its_outputs_are_away(make_bench: Make) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    future = bench.ask(TaskSpec(name="write", function=len, outputs=(OUT,)), "abc")
    bench.executor.finish(bench.executor.wait(1)[0])
    stager.wait(1)

    assert bench.view(future).state is TaskState.STAGING_OUT
    assert not future.outputs[0].done()
    stager.finish(OUT, Way.OUT)

    assert future.result(PATIENCE) == 3
    assert future.outputs[0].result(PATIENCE) == OUT


def test_outputs_that_cannot_be_taken_away_fail_the_task_after_a_good_try(
    make_bench: Make,
) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    stager.fail(OUT, "disk full", Way.OUT)
    future = bench.ask(TaskSpec(name="write", function=len, outputs=(OUT,)), "abc")
    bench.crank(future.done)

    assert isinstance(future.exception(PATIENCE), StagingError)
    assert isinstance(future.outputs[0].exception(PATIENCE), StagingError)
    assert len(future.tries) == 1


def test_a_task_can_be_cancelled_while_its_files_come(make_bench: Make) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    future = bench.call(size, ONE)
    stager.wait(1)

    assert future.cancel()
    stager.finish(ONE)
    bench.settle()

    assert bench.executor.tasks == []
