"""Functions become apps, and stay what they were."""

from __future__ import annotations

import asyncio
import functools
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import File, Resources, bash_app, join_app, python_app
from weft.apps import App
from weft.builtin.settings import Threads
from weft.configuration.config import Config
from weft.errors import (
    BashExit,
    BashReturnType,
    CallError,
    MissingOutputs,
    NotUnpackable,
    TaskTimeout,
    UnknownExecutor,
    UnknownScheme,
    UnsupportedRequest,
)
from weft.session import Session
from weft.values.task import TaskView

PATIENCE = 60.0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.chdir(tmp_path)
    config = Config(
        executors=[Threads(max_threads=2, label="cpu"), Threads(max_threads=1, label="io")],
        run_dir=tmp_path / "runs",
    )
    with weft.load(config) as session:
        yield session


@python_app
def add(x: int, y: int = 1) -> int:
    """The sum of two."""
    return x + y


@bash_app
def shell(command: str, **_: Any) -> str:
    return command


# ------------------------------------------------------------------------------------- decorators


def test_an_app_keeps_the_name_the_words_and_the_function() -> None:
    assert isinstance(add, App)
    assert (add.__name__, add.__doc__, add.name) == ("add", "The sum of two.", "add")
    assert add.__module__ == __name__
    assert add.__wrapped__(2, 3) == 5  # type: ignore[attr-defined]
    assert repr(add) == "<app add>"


@pytest.mark.parametrize("decorate", [python_app, bash_app, join_app])
def test_decorators_work_with_and_without_brackets(run: Session, decorate: Any) -> None:
    def body() -> Any:
        return [add(1)] if decorate is join_app else "true"

    expected = {python_app: "true", bash_app: 0, join_app: [2]}[decorate]

    assert decorate(body)().result(PATIENCE) == expected
    assert decorate()(body)().result(PATIENCE) == expected
    assert decorate(version="2")(body)().result(PATIENCE) == expected


@pytest.mark.parametrize("decorate", [python_app, bash_app, join_app])
def test_an_unknown_option_is_told_with_the_nearest(decorate: Any) -> None:
    with pytest.raises(TypeError, match=r"no option 'cash'; did you mean 'cache'\?"):
        decorate(cash=True)
    with pytest.raises(TypeError, match=r"there are: .*cache"):
        decorate(zzz=1)


def test_a_join_app_has_no_executors() -> None:
    with pytest.raises(TypeError, match="join_app has no option 'executors'"):
        join_app(executors=["cpu"])  # type: ignore[call-overload]


@pytest.mark.parametrize("returns", [0, -1, "2", 1.5])
def test_a_number_of_results_is_a_whole_number(returns: Any) -> None:
    with pytest.raises(ValueError, match="returns is the number of results"):
        python_app(returns=returns)


@pytest.mark.parametrize("thing", [42, "text"])
def test_only_functions_become_apps(thing: Any) -> None:
    with pytest.raises(TypeError, match="made of a function"):
        python_app(thing)


# ----------------------------------------------------------------------------- kinds of functions


def test_a_coroutine_function_runs_in_a_loop_of_its_own(run: Session) -> None:
    @python_app
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    futures = [later(n) for n in range(5)]

    assert [future.result(PATIENCE) for future in futures] == [1, 2, 3, 4, 5]


def test_a_method_gets_its_instance(run: Session) -> None:
    class Scale:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        @python_app
        def times(self, x: int) -> int:
            return self.factor * x

        @staticmethod
        @python_app
        def plus(x: int) -> int:
            return x + 1

        @classmethod
        def made(cls) -> str:
            return cls.__name__

    assert Scale(3).times(4).result(PATIENCE) == 12
    assert Scale.times(Scale(2), 4).result(PATIENCE) == 8
    assert Scale.plus(1).result(PATIENCE) == 2


def test_instances_of_a_class_are_apps_by_their_call(run: Session) -> None:
    @python_app
    class Power:
        def __init__(self, exponent: int) -> None:
            self.exponent = exponent

        def __call__(self, x: int) -> int:
            return int(x**self.exponent)

    square = Power(2)

    assert square(5).result(PATIENCE) == 25  # type: ignore[attr-defined]
    assert square(6).app == "Power"  # type: ignore[attr-defined]


def test_a_class_without_a_call_is_no_app() -> None:
    with pytest.raises(TypeError, match="has no __call__ of its own"):

        @python_app
        class Nothing:
            pass


def test_partials_and_callable_objects_are_apps(run: Session) -> None:
    class Adder:
        def __call__(self, x: int) -> int:
            return x + 10

    assert python_app(functools.partial(pow, 2))(5).result(PATIENCE) == 32
    assert python_app(Adder())(1).result(PATIENCE) == 11
    assert python_app(len)("four").result(PATIENCE) == 4


def test_an_app_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(shell)) is shell


# ---------------------------------------------------------------------------------------- options


def test_options_change_a_copy(run: Session) -> None:
    named = add.options(name="sum", executors="io", priority=3)

    future = named(1)

    assert (future.app, future.result(PATIENCE)) == ("sum", 2)
    assert [one.executor for one in future.tries] == ["io"]
    assert add.name == "add"


def test_an_app_goes_to_its_executors(run: Session) -> None:
    @python_app(executors=["io"])
    def where() -> str:
        return threading.current_thread().name

    assert where().result(PATIENCE).startswith("weft-io-")
    with pytest.raises(UnknownExecutor, match="'gpu'"):
        _ = add.options(executors=["gpu"])(1)


@pytest.mark.parametrize(
    "asked", [{"walltime": -1}, {"walltime": "long"}, {"resources": {"cores": 0}}]
)
def test_what_cannot_be_asked_for_is_told_at_the_call(run: Session, asked: dict[str, Any]) -> None:
    @python_app
    def task(**_: Any) -> None:
        return None

    with pytest.raises(CallError, match="cannot be asked for"):
        _ = task(**asked)


def test_resources_that_no_executor_can_give_are_refused(run: Session) -> None:
    with pytest.raises(UnsupportedRequest, match="resources"):
        _ = add.options(resources=Resources(memory=1))(1)


# ------------------------------------------------------------------------------- special keywords


def test_special_keywords_reach_a_function_that_accepts_them(run: Session) -> None:
    @python_app
    def told(walltime: float | None = None, priority: int = 0, **kwargs: Any) -> Any:
        return (walltime, priority, sorted(kwargs))

    assert told(walltime=5.0, priority=2, stdout="out.txt").result(PATIENCE) == (5.0, 2, ["stdout"])


def test_special_keywords_do_not_reach_a_function_that_does_not_accept_them(run: Session) -> None:
    app: Any = add
    future = app(1, walltime=30, priority=1)

    assert future.result(PATIENCE) == 2


def test_a_default_in_the_signature_counts_as_given(run: Session, tmp_path: Path) -> None:
    @python_app
    def talk(stdout: str = "default.txt") -> None:
        print("said")  # noqa: T201 - that is what is caught

    assert talk().result(PATIENCE) is None
    assert (tmp_path / "default.txt").read_text() == "said\n"
    assert talk(stdout="other.txt").result(PATIENCE) is None
    assert (tmp_path / "other.txt").read_text() == "said\n"


def test_inputs_are_waited_for(run: Session) -> None:
    @python_app
    def total(inputs: list[int]) -> int:
        return sum(inputs)

    given: list[Any] = [add(1), add(2), 10]

    assert total(inputs=given).result(PATIENCE) == 15
    assert given[2] == 10
    assert len(given) == 3


def test_python_code_that_takes_too_long_is_stopped(run: Session) -> None:
    @python_app
    def for_ever(walltime: float = 0.05) -> None:
        while True:
            sum(range(100))

    future = for_ever()

    with pytest.raises(TaskTimeout, match=r"for_ever .*0\.05 s"):
        future.result(PATIENCE)


def test_results_can_be_unpacked_when_their_number_is_declared(run: Session) -> None:
    @python_app(returns=2)
    def both(x: int) -> tuple[int, int]:
        return x, -x

    plus, minus = both(3)

    assert (plus.result(PATIENCE), minus.result(PATIENCE)) == (3, -3)
    with pytest.raises(NotUnpackable):
        _a, _b = add(1)


# ------------------------------------------------------------------------------------------ files


def test_outputs_feed_other_apps(run: Session, tmp_path: Path) -> None:
    @python_app
    def write(text: str, outputs: list[File]) -> None:
        Path(outputs[0]).write_text(text, encoding="utf-8")

    @python_app
    def upper(inputs: list[File]) -> str:
        return "".join(Path(one).read_text(encoding="utf-8").upper() for one in inputs)

    made = [write(text, outputs=[File(str(tmp_path / text))]) for text in ("one", "two")]
    read = upper(inputs=[future.outputs[0] for future in made])

    assert read.result(PATIENCE) == "ONETWO"
    assert made[0].outputs[0].result(PATIENCE).filepath == str(tmp_path / "one")


def test_outputs_that_are_not_made_fail_the_task(run: Session, tmp_path: Path) -> None:
    @python_app
    def lazy(outputs: list[Any]) -> None:
        return None

    future = lazy(outputs=[str(tmp_path / "missing.txt")])

    with pytest.raises(MissingOutputs, match=r"missing\.txt"):
        future.result(PATIENCE)
    assert isinstance(future.outputs[0].exception(PATIENCE), MissingOutputs)


@pytest.mark.parametrize(
    ("outputs", "match"), [("out.txt", r"outputs is a list"), ([42], "no file"), (7, "a list")]
)
def test_outputs_that_are_no_files_are_refused_at_the_call(
    run: Session, outputs: Any, match: str
) -> None:
    @python_app
    def write(outputs: Any) -> None:
        return None

    with pytest.raises(CallError, match=match):
        _ = write(outputs=outputs)


def test_a_file_of_an_unknown_scheme_is_refused_at_the_call(run: Session) -> None:
    app: Any = add
    with pytest.raises(UnknownScheme, match="gopher"):
        app(File("gopher://host/x"))


# --------------------------------------------------------------------------------------- commands


def test_a_command_runs_and_its_output_goes_to_files(run: Session, tmp_path: Path) -> None:
    out, err = str(tmp_path / "out.txt"), str(tmp_path / "err.txt")

    future = shell("echo said; echo complained >&2", stdout=out, stderr=err)

    assert future.result(PATIENCE) == 0
    assert Path(out).read_text() == "said\n"
    assert Path(err).read_text() == "complained\n"
    assert (future.stdout, future.stderr) == (out, err)


def test_a_list_of_arguments_runs_without_a_shell(run: Session, tmp_path: Path) -> None:
    @bash_app
    def echo(text: str, stdout: str) -> list[str]:
        return ["echo", text]

    assert echo("$HOME; true", stdout="out.txt").result(PATIENCE) == 0
    assert (tmp_path / "out.txt").read_text() == "$HOME; true\n"


def test_a_bad_exit_tells_the_code_the_command_and_the_last_words(
    run: Session, capfd: pytest.CaptureFixture[str]
) -> None:
    future = shell("echo first >&2; echo no such genome >&2; exit 7")

    with pytest.raises(BashExit) as caught:
        future.result(PATIENCE)
    error = caught.value
    assert (error.exit_code, error.app) == (7, "shell")
    assert "no such genome" in error.tail
    assert "exit code 7" in str(error)
    assert "no such genome" in str(error)
    capfd.readouterr()


def test_what_is_no_command_is_told(run: Session) -> None:
    @bash_app
    def wrong() -> Any:
        return 42

    with pytest.raises(BashReturnType, match="42"):
        wrong().result(PATIENCE)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(
    run: Session, tmp_path: Path
) -> None:
    for walltime in (0.3, 3.0, 30.0):  # a shell that took long to start has started nothing yet
        file = tmp_path / f"pid-{walltime}"
        future = shell(f"sleep 60 & echo $! > {file}; wait", walltime=walltime)

        with pytest.raises(TaskTimeout, match="sleep 60"):
            future.result(PATIENCE)
        if file.exists() and file.read_text():
            break
    assert gone(int(file.read_text()))


def test_a_command_that_runs_can_be_cancelled(run: Session, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    future = shell(f"echo $$ > {file}; exec sleep 60")
    wait_for(lambda: file.exists() and file.read_text().strip() != "")

    assert future.cancel()

    assert future.cancelled()
    assert gone(int(file.read_text()))


def gone(pid: int) -> bool:
    """Whether a process ends soon."""

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except OSError:  # it may also end between the opening and the reading
            return True

    wait_for(ended)
    return True


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# --------------------------------------------------------------------------------------- the rest


def test_a_retry_handler_gets_the_error_and_a_view(tmp_path: Path) -> None:
    seen: list[Any] = []

    def handler(error: BaseException, task: TaskView) -> float:
        seen.append((str(error), task.app, task.attempt))
        return 1.0

    @python_app
    def failing() -> None:
        raise ValueError("again")

    config = Config(
        executors=[Threads(max_threads=1)], retries=2, retry_handler=handler, run_dir=tmp_path
    )
    with weft.load(config):
        future = failing()
        with pytest.raises(ValueError, match="again"):
            future.result(PATIENCE)

    assert seen == [("again", "failing", n) for n in (1, 2, 3)]
    assert [one.charged for one in future.tries] == [1.0, 1.0, 1.0]


RUNS: list[int] = []


@python_app(cache=True, ignore_for_cache=["log"])
def slow(x: int, log: Any = None) -> int:
    RUNS.append(x)
    return x


def test_a_cached_app_runs_once_for_equal_arguments(run: Session) -> None:
    assert slow(1, log=object()).result(PATIENCE) == 1
    assert slow(1, log=object()).result(PATIENCE) == 1
    assert slow(2).result(PATIENCE) == 2
    assert RUNS == [1, 2]


def test_a_join_app_gets_values_and_returns_futures(run: Session) -> None:
    @join_app
    def fan(n: int, inputs: list[int]) -> Any:
        assert inputs == [2]
        return [add(k) for k in range(n)]

    assert fan(add(2), inputs=[add(1)]).result(PATIENCE) == [1, 2, 3]
