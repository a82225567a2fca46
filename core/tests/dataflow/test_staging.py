"""Files are planned, moved, and put in their place among the arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.builtin.file_stager import FileStager
from weft.builtin.settings import Files
from weft.configuration.config import Backoff
from weft.dataflow.rules import Rules
from weft.dataflow.staging import Staging
from weft.errors import OutputConflict, StagingError, UnknownScheme
from weft.interfaces.stager import Place, Transfer, Way
from weft.testing import FakeMonitor, FakeStager
from weft.values.events import FileMoved, FileNotMoved
from weft.values.files import File
from weft.values.states import TaskState
from weft.values.task import TaskSpec

if TYPE_CHECKING:
    from core.tests.dataflow.conftest import Bench

    Make = Callable[..., Bench]

PATIENCE = 60.0
ONE, TWO, OUT = (File(f"fake://host/{name}") for name in ("one.txt", "two.txt", "out.txt"))


def staging_of(stager: FakeStager, folder: Path) -> Staging:
    return Staging(
        {"fake": stager}.get,
        lambda: ("fake",),
        lambda label: Place(executor=label, folder=folder),
    )


def test_each_file_is_planned_once_wherever_it_stands(tmp_path: Path) -> None:
    stager = FakeStager()
    prepared = staging_of(stager, tmp_path).prepare(
        (ONE, [TWO, {"k": ONE}]), {"inputs": [ONE]}, (), "cpu"
    )

    assert [transfer.file for transfer in prepared.coming] == [ONE, TWO]
    assert prepared.leaving == []
    assert stager.moved == []
    placed: Any = prepared.args[0]
    assert placed.filepath == str(tmp_path / "one.txt")
    assert prepared.args[1][1]["k"] is placed
    assert prepared.kwargs["inputs"][0] is placed


def test_outputs_are_planned_before_and_left_for_after(tmp_path: Path) -> None:
    prepared = staging_of(FakeStager(), tmp_path).prepare((), {"outputs": [OUT]}, (OUT,), "cpu")

    assert prepared.coming == []
    assert [(one.way, one.file) for one in prepared.leaving] == [(Way.OUT, OUT)]
    assert prepared.kwargs["outputs"][0].filepath == str(tmp_path / "out.txt")


def test_arguments_without_files_stay_the_same_objects(tmp_path: Path) -> None:
    plain: list[Any] = [1, {"k": 2}]
    plain.append(plain)

    prepared = staging_of(FakeStager(), tmp_path).prepare((plain, ONE), {}, (), "cpu")

    assert prepared.args[0] is plain


def test_a_file_of_this_machine_is_looked_for_at_once(tmp_path: Path) -> None:
    there, away = tmp_path / "there.txt", tmp_path / "away.txt"
    there.touch()
    staging = Staging(
        {"file": FileStager(Files())}.get,
        lambda: ("file",),
        lambda label: Place(executor=label, folder=tmp_path),
    )

    assert staging.prepare((File(there),), {}, (), "cpu").coming == []
    with pytest.raises(StagingError, match=r"no file .*away\.txt"):
        staging.prepare((File(away),), {}, (), "cpu")


def test_a_scheme_that_nobody_moves_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme, match=r"'gopher'.*fake"):
        staging_of(FakeStager(), tmp_path).check([ONE, File("gopher://host/x")])


@pytest.mark.parametrize(
    ("raised", "again"),
    [
        (PermissionError("no key"), False),
        (ConnectionResetError("gone"), True),
        (SystemExit(), False),
    ],
)
def test_a_stager_that_raises_something_of_its_own_is_named(
    tmp_path: Path, raised: BaseException, again: bool
) -> None:
    class Broken(FakeStager):
        def move(self, transfer: Transfer) -> None:
            raise raised

    staging = staging_of(Broken(), tmp_path)
    (error,) = staging.move(staging.prepare((ONE,), {}, (), "cpu").coming)

    assert isinstance(error, StagingError)
    assert "one.txt" in error.what
    assert type(raised).__name__ in error.reason
    assert error.__cause__ is raised
    assert error.again is again


class Many(FakeStager):
    """Moves several at once; ``answers`` takes the place of what it would say."""

    def __init__(self, answers: Any = None) -> None:
        super().__init__()
        self.answers, self.asked = answers, list[int]()

    def move_all(self, transfers: Sequence[Transfer]) -> Sequence[Exception | None]:
        self.asked.append(len(transfers))
        if self.answers is not None:
            return self.answers(transfers)  # type: ignore[no-any-return]
        return super().move_all(transfers)


def test_several_go_to_a_stager_that_moves_many(tmp_path: Path) -> None:
    stager = Many()
    staging = staging_of(stager, tmp_path)
    coming = staging.prepare((ONE, TWO), {}, (), "cpu").coming

    assert staging.moves_many(coming[0]) is stager
    assert staging.move(coming) == [None, None]
    assert stager.asked == [2]
    assert staging_of(FakeStager(), tmp_path).moves_many(coming[0]) is None


@pytest.mark.parametrize("answers", [lambda several: [None], lambda several: 1 / 0])
def test_a_stager_that_answers_wrongly_for_many_fails_them_all(
    tmp_path: Path, answers: Any
) -> None:
    staging = staging_of(Many(answers), tmp_path)
    errors = staging.move(staging.prepare((ONE, TWO), {}, (), "cpu").coming)

    assert [type(error) for error in errors] == [StagingError, StagingError]


def test_a_decision_takes_the_place_of_the_plan(tmp_path: Path) -> None:
    stager = FakeStager()
    elsewhere = Transfer(
        way=Way.IN,
        file=ONE,
        placed=ONE.placed(tmp_path / "cache" / "one.txt"),
        place=Place(executor="cpu", folder=tmp_path),
    )

    prepared = staging_of(stager, tmp_path).prepare(
        (ONE, TWO), {}, (), "cpu", lambda file: elsewhere if file == ONE else None
    )

    assert prepared.args[0].filepath == str(tmp_path / "cache" / "one.txt")
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


AT_ONCE = Backoff(first=0.0)


class Flaky(FakeStager):
    """Fails some times before each success."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)

    def move(self, transfer: Transfer) -> None:
        super().move(transfer)
        if self.errors:
            raise self.errors.pop(0)


def broken(again: bool = True) -> StagingError:
    return StagingError(ONE.url, "in", "503 Service Unavailable.", "Ask its owner.", again=again)


def test_what_may_pass_is_tried_again_and_told(make_bench: Make) -> None:
    stager, monitor = Flaky(broken(), ConnectionResetError("gone")), FakeMonitor()
    bench = make_bench(Rules(transfer_backoff=AT_ONCE), stagers={"fake": stager}, monitor=monitor)
    future = bench.call(size, ONE)
    bench.crank(future.done)
    bench.monitoring.close()

    assert future.exception(PATIENCE) is None
    assert len(stager.moved) == 3
    assert len({id(one) for one in stager.moved}) == 3
    failed = [event for event in monitor.events if isinstance(event, FileNotMoved)]
    assert [(one.attempt, one.delay) for one in failed] == [(1, 0.0), (2, 0.0)]
    assert failed[0].error == "503 Service Unavailable."
    (moved,) = (event for event in monitor.events if isinstance(event, FileMoved))
    assert (moved.url, moved.way, moved.executor, moved.attempt) == (ONE.url, "in", "fake", 3)


@pytest.mark.parametrize(("again", "tries"), [(True, 3), (False, 1)])
def test_a_transfer_is_given_up_with_its_own_reason(
    make_bench: Make, again: bool, tries: int
) -> None:
    stager = Flaky(*(broken(again) for _ in range(9)))
    bench = make_bench(
        Rules(transfer_backoff=AT_ONCE, transfer_retries=2), stagers={"fake": stager}
    )
    error = bench.call(size, ONE).exception(PATIENCE)

    assert isinstance(error, StagingError)
    assert error.reason.startswith("503 Service Unavailable.")
    assert ("tried 3 times" in error.reason) == again
    assert error.todo == "Ask its owner."
    assert len(stager.moved) == tries
    assert bench.executor.tasks == []


def test_a_late_try_is_given_up_and_leaves_its_thread_to_another(make_bench: Make) -> None:
    for seconds in (0.05, 0.5, 5.0):  # of which a thread may take some to begin
        stager = FakeStager(by_hand=True)
        bench = make_bench(
            Rules(transfer_backoff=AT_ONCE, transfer_timeout=seconds, transfer_retries=4),
            stagers={"fake": stager},
        )
        # More tries than there are threads, and none of them comes back before the end.
        error = bench.call(size, ONE).exception(PATIENCE)

        assert isinstance(error, StagingError)
        assert f"longer than {seconds:g} s" in error.reason
        begun = len(stager.moved)
        stager.finish(ONE)
        if begun == 5:
            return
    pytest.fail(f"{begun} of 5 tries have begun")


def test_tasks_that_want_one_file_wait_for_one_transfer(make_bench: Make) -> None:
    stager = FakeStager(by_hand=True)
    bench = make_bench(stagers={"fake": stager})
    futures = [bench.call(size, ONE) for _ in range(20)]
    stager.wait(1)
    for future in futures:
        while bench.view(future).state is not TaskState.STAGING_IN:
            bench.settle()
    futures[0].cancel()
    stager.finish(ONE)
    bench.crank(lambda: all(future.done() for future in futures))

    assert len(stager.moved) < 20
    assert futures[0].cancelled()
    assert [one.exception(PATIENCE) for one in futures[1:]] == [None] * 19


def test_many_files_go_together_to_a_stager_that_moves_many(make_bench: Make) -> None:
    stager = Many()
    bench = make_bench(stagers={"fake": stager})
    files = [File(f"fake://host/{n}") for n in range(50)]
    future = bench.call(len, files)
    bench.crank(future.done)

    assert stager.asked == [50]
    assert future.exception(PATIENCE) is None


# -------------------------------------------------------------------------- two that write one file


def write(bench: Bench, *args: Any, to: File = OUT, **options: Any) -> Any:
    return bench.ask(TaskSpec(name="write", function=len, outputs=(to,), **options), *args)


def test_two_tasks_that_write_one_file_at_the_same_time_are_refused(make_bench: Make) -> None:
    bench = make_bench(stagers={"fake": FakeStager()})
    first, second = write(bench, "abc"), write(bench, "abcd")

    error = second.exception(PATIENCE)
    assert isinstance(error, OutputConflict)
    assert OUT.url in str(error)
    bench.crank(first.done)
    assert first.exception() is None
    third = write(bench, "abc")
    bench.crank(third.done)
    assert third.exception() is None, "the file is nobody's when its writer has ended"


def test_a_local_file_is_one_file_however_it_is_named(
    make_bench: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = make_bench(stagers={"file": FakeStager()})
    first = write(bench, "abc", to=File("out.txt"))
    second = write(bench, "abc", to=File(f"file://{tmp_path}/x/../out.txt"))

    assert isinstance(second.exception(PATIENCE), OutputConflict)
    bench.crank(first.done)


def test_a_task_may_write_what_one_it_waits_for_has_written(make_bench: Make) -> None:
    bench = make_bench(stagers={"fake": FakeStager()})
    first = write(bench, "abc")
    between = bench.call(str, first)
    last = write(bench, between)
    bench.crank(last.done)

    assert last.exception(PATIENCE) is None
