"""What has failed runs again, with what could not start because of it; nothing else does."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from weft import bash_app, join_app, python_app
from weft.errors import CannotRetry, DependencyError, ForeignFuture, SessionClosed


class Broken(Exception):
    """What the apps here raise."""


class World:
    """What tells apps whether to fail, and counts how often each ran."""

    def __init__(self) -> None:
        self.bad: set[Any] = set()
        self.ran: Counter[Any] = Counter()
        self._lock = threading.Lock()

    def run(self, name: Any) -> None:
        with self._lock:
            self.ran[name] += 1
        if name in self.bad:
            raise Broken(name)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[weft.Session]:
    with weft.load(weft.Config(run_dir=tmp_path)) as opened:
        yield opened


@pytest.fixture
def step(world: World) -> Callable[..., Any]:
    @python_app
    def step(name: Any, *inputs: Any) -> list[Any]:
        world.run(name)
        return [name, *inputs]

    return step


def test_what_failed_and_what_follows_runs_again(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"b"}
    a = step("a")
    b = step("b", a)
    c = step("c", b)
    d = step("d", a)
    assert isinstance(c.exception(), DependencyError)
    world.bad = set()
    again = session.retry()
    assert list(again) == [b, c]
    assert again[c].result() == ["c", ["b", ["a"]]]
    assert d.result() == ["d", ["a"]]
    assert world.ran == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_a_failed_future_stays_failed_and_names_its_successor(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    assert isinstance(a.exception(), Broken)
    world.bad = set()
    again = session.retry()
    assert isinstance(a.exception(), Broken)
    assert a.retried_as is again[a]
    assert again[a].result() == ["a"]
    assert again[a].retried_as is None


def test_what_was_retried_is_not_retried_twice(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    a.exception()
    world.bad = set()
    (new,) = session.retry().values()
    new.result()
    assert session.retry() == {}


def test_a_retry_that_fails_can_be_retried_by_the_first_future_too(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    b = step("b", a)
    b.exception()
    session.retry()
    assert isinstance(b.retried_as.exception(), DependencyError)
    world.bad = set()
    again = session.retry([a])
    assert list(again) == [a.retried_as, b.retried_as]
    assert b.retried_as.retried_as.result() == ["b", ["a"]]


def test_only_the_named_branch_runs_again(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"left", "right"}
    left, right = step("left"), step("right")
    after = step("after", left)
    both = step("both", left, right)
    both.exception()
    world.bad = {"right"}
    again = session.retry([left])
    assert list(again) == [left, after]
    assert again[after].result() == ["after", ["left"]]
    assert both.retried_as is None
    world.bad = set()
    again = session.retry()
    assert list(again) == [right, both]
    assert again[both].result() == ["both", ["left"], ["right"]]
    assert world.ran["left"] == 2


def test_a_task_that_could_not_start_is_named_and_brings_what_it_needs(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    b = step("b", a)
    other = step("other", a)
    b.exception()
    world.bad = set()
    again = session.retry([b])
    assert list(again) == [a, b, other]
    assert again[b].result() == ["b", ["a"]]


def test_another_app_takes_the_place_of_the_one_that_failed(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    @python_app
    def mended(name: Any, *inputs: Any) -> str:
        return f"{name} mended"

    world.bad = {"a"}
    a = step("a")
    b = step("b", a)
    b.exception()
    again = session.retry([a], with_=mended.options(name="step"))
    assert again[a].result() == "a mended"
    assert again[b].app == "step"


def test_one_app_for_the_one_that_failed_may_have_any_name(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    @python_app
    def collect(*inputs: Any) -> list[Any]:
        return list(inputs)

    @python_app
    def second_version(name: Any) -> str:
        return f"{name}, second version"

    world.bad = {"a"}
    a = step("a")
    top = collect(a)
    top.exception()
    again = session.retry([a], with_=second_version)
    assert again[top].result() == ["a, second version"]
    assert (again[a].app, again[top].app) == ("second_version", "collect")


def test_a_mapping_says_which_app_stands_for_which(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    @python_app
    def load(name: Any) -> None:
        raise Broken(name)

    @python_app
    def new_load(name: Any) -> str:
        return f"loaded {name}"

    world.bad = {"a"}
    a, x = step("a"), load("x")
    a.exception(), x.exception()
    world.bad = set()
    again = session.retry(with_={load: new_load})
    assert (again[a].result(), again[x].result()) == (["a"], "loaded x")


def test_other_arguments(session: weft.Session, world: World, step: Callable[..., Any]) -> None:
    world.bad = {"a"}
    a = step("a")
    b = step("b", a)
    b.exception()
    again = session.retry(arguments={a: (["z"], {})})
    assert again[b].result() == ["b", ["z"]]


def test_other_arguments_need_no_value_of_what_failed(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    b = step("b", a)
    b.exception()
    again = session.retry(arguments={b: (("b", 1), {})})
    assert list(again) == [b]
    assert again[b].result() == ["b", 1]


def test_futures_in_containers_and_parts_of_results(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    a = step("a")
    b = step("b", {"deep": [a, (a[0],)]})
    b.exception()
    world.bad = set()
    assert session.retry()[b].result() == ["b", {"deep": [["a"], ("a",)]}]
    assert world.ran["a"] == 2


def test_files_that_a_task_was_to_make(session: weft.Session, tmp_path: Path) -> None:
    ready = tmp_path / "ready"

    @bash_app
    def make(outputs: Any = ()) -> str:
        return f"cat {ready} > {outputs[0]}"

    @python_app
    def read(file: Any) -> str:
        return Path(file).read_text()

    made = make(outputs=[weft.File(tmp_path / "made")])
    text = read(made.outputs[0])
    assert isinstance(text.exception(), DependencyError)
    ready.write_text("it is there")
    again = session.retry()
    assert again[text].result() == "it is there"
    assert again[made].outputs[0].result().filepath == str(tmp_path / "made")


def test_a_join_app_submits_its_own_tasks_anew(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    held: list[Future[Any]] = []

    @join_app
    def both() -> list[Future[Any]]:
        held.extend([step("x"), step("y")])
        return held[-2:]

    world.bad = {"y"}
    joined = both()
    joined.exception()
    world.bad = set()
    again = session.retry()
    assert list(again) == [joined]
    assert again[joined].result() == [["x"], ["y"]]
    assert world.ran["y"] == 2


def test_what_was_cancelled_is_left_unless_it_is_named(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    gate: Future[Any] = Future()
    waiting = step("waiting", gate)
    after = step("after", waiting)
    assert waiting.cancel()
    after.exception()
    assert session.retry() == {}
    gate.set_result("open")
    again = session.retry([waiting])
    assert again[after].result() == ["after", ["waiting", "open"]]


def test_what_nobody_holds_is_forgotten(
    session: weft.Session, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    step("a").exception()
    session.wait()
    assert session.retry() == {}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("done", r"step \(task 1\) cannot be retried"),
        ("running", "it is pending"),
        ("foreign", "another session"),
        ("no future", "A str cannot be retried"),
        ("no app", "builtin_function_or_method, and no app"),
        ("no such app", "'stpe'.*(.|\n)*'step'"),
    ],
)
def test_bad_input(
    session: weft.Session,
    world: World,
    step: Callable[..., Any],
    what: str,
    said: str,
) -> None:
    world.bad = {"bad"}
    bad = step("bad")
    bad.exception()
    gate: Future[Any] = Future()
    good, running = step("good"), step("running", gate)
    good.result()
    with weft.Session(weft.Config(run_dir=session.run_folder.parent / "other")) as other:
        foreign = step.options(session=other)("bad")  # type: ignore[attr-defined]
        foreign.exception()
        ask: Callable[[], object] = {
            "done": lambda: session.retry([bad, good]),
            "running": lambda: session.retry([running]),
            "foreign": lambda: session.retry([foreign]),
            "no future": lambda: session.retry(["bad"]),  # type: ignore[list-item]
            "no app": lambda: session.retry(with_=len),
            "no such app": lambda: session.retry(with_={"stpe": step}),
        }[what]
        with pytest.raises(ForeignFuture if what == "foreign" else CannotRetry, match=said):
            ask()
    gate.set_result(0)
    assert bad.retried_as is None, "nothing was submitted"
    assert world.ran["bad"] == 2, "once here, once in the other session"


def test_what_needs_a_foreign_future_that_failed_says_so(
    session: weft.Session, step: Callable[..., Any]
) -> None:
    gate: Future[Any] = Future()
    gate.set_exception(Broken("from outside"))
    task = step("a", gate)
    task.exception()
    assert session.retry() == {}
    with pytest.raises(CannotRetry, match="a Future from outside"):
        session.retry([task])
    assert session.retry(arguments={task: (["a"], {})})[task].result() == ["a"]


def test_an_app_for_nothing_is_not_called(session: weft.Session, step: Callable[..., Any]) -> None:
    assert session.retry(with_=step) == {}


def test_other_arguments_that_make_fewer_files(session: weft.Session, tmp_path: Path) -> None:
    @bash_app
    def make(outputs: Any = ()) -> str:
        return "false"

    @python_app
    def read(file: Any) -> str:
        return str(file)

    made = make(outputs=[weft.File(tmp_path / "a"), weft.File(tmp_path / "b")])
    text = read(made.outputs[1])
    text.exception()
    fewer = {made: ((), {"outputs": [weft.File(tmp_path / "a")]})}
    with pytest.raises(CannotRetry, match="with another outputs"):
        session.retry(arguments=fewer)
    with pytest.raises(CannotRetry, match="makes no such file"):
        session.retry(arguments=fewer, with_=make)


def test_other_arguments_keep_the_files_of_the_call(session: weft.Session, tmp_path: Path) -> None:
    @bash_app
    def make(text: str, outputs: Any = ()) -> str:
        return f"{text} > {outputs[0]}"

    made = make("false", outputs=[weft.File(tmp_path / "a")])
    made.exception()
    again = session.retry(arguments={made: (["echo good"], {})})
    assert again[made].outputs[0].result().as_path().read_text() == "good\n"


def test_a_closed_session_retries_nothing(
    tmp_path: Path, world: World, step: Callable[..., Any]
) -> None:
    world.bad = {"a"}
    with weft.load(weft.Config(run_dir=tmp_path)) as opened:
        a = step("a")
        a.exception()
    with pytest.raises(SessionClosed):
        opened.retry([a])


def test_arguments_of_tasks_that_ended_with_the_session_are_not_held(
    tmp_path: Path, step: Callable[..., Any]
) -> None:
    gate: Future[Any] = Future()
    opened = weft.load(weft.Config(run_dir=tmp_path))
    waiting = step("waiting", gate)
    opened.close(cancel=True)
    assert waiting.cancelled()
    assert waiting._extra is None


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_graph_ends_as_if_nothing_had_failed(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    count = data.draw(st.integers(1, 12))
    needs = [
        data.draw(st.sets(st.integers(0, n - 1), max_size=3)) if n else set() for n in range(count)
    ]
    world = World()
    world.bad = data.draw(st.sets(st.integers(0, count - 1)))

    @python_app
    def node(name: int, *inputs: Any) -> Any:
        world.run(name)
        return (name, *inputs)

    with weft.load(weft.Config(run_dir=tmp_path_factory.mktemp("runs"))) as session:
        made: list[Any] = []
        for n in range(count):
            made.append(node(n, *(made[m] for m in sorted(needs[n]))))
        session.wait()
        first = {n for n in range(count) if made[n].exception() is None}
        for _ in range(count + 1):
            dead = [one for one in made if _last(one).exception() is not None]
            if not dead:
                break
            # Some are mended, some not yet.
            world.bad -= (
                data.draw(st.sets(st.sampled_from(sorted(world.bad)))) if world.bad else set()
            )
            if data.draw(st.booleans()):
                world.bad = set()
            session.retry()
            session.wait()
        world.bad = set()
        session.retry()

        def whole(n: int) -> Any:
            return (n, *(whole(m) for m in sorted(needs[n])))

        assert [_last(one).result() for one in made] == [whole(n) for n in range(count)]
    assert all(world.ran[n] == 1 for n in first), "what had a value did not run again"


def _last(future: Any) -> Any:
    while future.retried_as is not None:
        future = future.retried_as
    return future
