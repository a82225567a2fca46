"""Of a run of which only some is wanted, just that is executed, and what follows from it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import join_app, python_app
from weft.configuration.config import Config
from weft.dataflow.choice import Chooser
from weft.dataflow.memo_keys import CallKeys
from weft.errors import DependencyError, LeftOut
from weft.eventlog.runs import open_run
from weft.session import Session, set_ambient
from weft.values.choice import Choice, choice_of
from weft.values.files import File
from weft.values.task import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATIENCE = 60.0
APPS = "abc"


def test_words_make_a_choice() -> None:
    call = "0123456789abcdef" * 2
    assert choice_of(["fit", f"call:{call}", "fit"]) == Choice(
        frozenset({"fit"}), frozenset({call})
    )
    was = choice_of([f"was:{call}{call}:a:b", f"was:{call}{call}:a:b"])
    assert was.formerly("a:b") == [bytes.fromhex(call * 2)]
    assert was.formerly("a") == []
    for wrong in ("", "call:", "call:12", f"call:{call.upper()}", "was:", f"was:{call * 2}:"):
        with pytest.raises(ValueError, match=r"call|name|function"):
            choice_of([wrong])


# Tasks in the order of their numbers: an app, those before that each needs, whether memory knows
# it, and whether it is a step of the session's own.
TASKS = st.lists(
    st.tuples(
        st.sampled_from(APPS), st.sets(st.integers(0, 11), max_size=3), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=12,
)


@given(TASKS, st.sets(st.sampled_from(APPS)), st.sets(st.integers(0, 11)))
def test_what_is_executed_can_be_reached_from_what_was_chosen(
    tasks: list[tuple[str, set[int], bool, bool]], apps: set[str], numbers: set[int]
) -> None:
    chooser = Chooser(Choice(frozenset(apps), frozenset(f"call {number}" for number in numbers)))
    ended_well, executed, left_out = set[int](), set[int](), set[int]()
    edges: dict[int, set[int]] = {}
    for number, (app, asked, known, step) in enumerate(tasks):
        edges[number] = needs = {need for need in asked if need < number}
        task, needed = TaskId(number), [TaskId(need) for need in needs]
        if not needs <= ended_well:
            continue  # it fails by dependency, and nobody asks
        if step:
            chooser.stepped(task, needed)
        elif not known:
            follows = chooser.follows(task, needed)
            if not chooser.admits(task, app, f"call {number}", follows=follows):
                left_out.add(number)
                continue
            executed.add(number)
        ended_well.add(number)

    steps = {number for number, (*_, step) in enumerate(tasks) if step}
    begun = {one for one in executed if tasks[one][0] in apps or one in numbers}
    reached, pending = set[int](), list(begun)
    while pending:
        here = pending.pop()
        reached.add(here)
        # From what was executed, and from the steps that are made of it; memory ends the way.
        pending += [one for one in executed | steps if here in edges[one] and one not in reached]
    assert executed <= reached
    for number in left_out:
        assert tasks[number][0] not in apps
        assert number not in numbers
        assert not edges[number] & reached
    assert chooser.left_out == len(left_out)


def test_calls_that_a_body_makes_belong_to_it_and_to_its_thread_alone() -> None:
    chooser = Chooser(Choice())
    numbers = count()

    def called() -> TaskId:
        return chooser.numbered(lambda: TaskId(next(numbers)))

    with chooser.within():
        inner = called()
        other: list[TaskId] = []
        thread = threading.Thread(target=lambda: other.append(called()))
        thread.start()
        thread.join(PATIENCE)
    after = called()
    assert [chooser.follows(one, ()) for one in (inner, *other, after)] == [True, False, False]


# ------------------------------------------------------------------------------- the names of calls


def named(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    return CallKeys(function, ignored=("quiet",)).names("fit", args, kwargs)[0]


def before(x: object, quiet: bool = False) -> object:
    return x


def mended(x: object, quiet: bool = False, more: int = 5) -> object:
    return x, more


def test_a_call_keeps_its_name_when_its_function_is_mended(tmp_path: Path) -> None:
    one = named(before, [1, "a"])
    assert named(mended, [1, "a"]) == one
    assert named(before, [1, "a"], quiet=True) == one
    assert named(before, [1, "b"]) != one
    assert named(before, x=[1, "a"]) == named(mended, x=[1, "a"])
    assert CallKeys(before).names("other", ([1, "a"],), {})[0] != one
    assert choice_of([f"call:{one}"]).calls == {one}

    (tmp_path / "data").write_text("wrong")
    there = named(before, File(tmp_path / "data"))
    (tmp_path / "data").write_text("as it should be")
    assert named(before, File(tmp_path / "data")) == there, "what is in a file may be mended, too"


@given(st.lists(st.integers() | st.text() | st.none(), max_size=4), st.data())
def test_calls_with_other_arguments_have_other_names(args: list[Any], data: st.DataObject) -> None:
    def anything(*args: object, **kwargs: object) -> None:
        """A function that takes what it gets."""

    place = data.draw(st.integers(0, len(args)))
    more = [*args[:place], "one more", *args[place:]]
    assert named(anything, *args) == named(anything, *args)
    assert named(anything, *args) != named(anything, *more)
    assert named(anything, *args, k=1) != named(anything, *args)


# ------------------------------------------------------------------------------------ in a session


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    def session(only: Choice | None = None) -> Session:
        set_ambient(None, only=only)
        return Session(Config(run_dir=tmp_path / "runs", checkpoint=True))

    yield session
    set_ambient(None)


@python_app(cache=True)
def add(name: str, *values: int) -> int:
    if name in BROKEN:
        raise ValueError(name)
    RAN.append(name)
    return len(values)


@python_app
def uncached(value: int) -> int:
    RAN.append("uncached")
    return value


@join_app
def several(names: list[str]) -> list[Future[int]]:
    return [add.options(session=SESSION[-1])(name) for name in names]


BROKEN: set[str] = set()
RAN: list[str] = []
SESSION: list[Session] = []


@pytest.fixture(autouse=True)
def clean() -> None:
    BROKEN.clear()
    RAN.clear()
    SESSION.clear()


def graph(session: Session, needs: Mapping[str, list[str]]) -> dict[str, Any]:
    futures: dict[str, Any] = {}
    for name, others in needs.items():
        futures[name] = add.options(session=session)(name, *(futures[one] for one in others))
    for future in futures.values():
        future.exception(PATIENCE)
    return futures


def test_failed_calls_are_chosen_by_the_names_that_their_log_tells(
    opened: Callable[..., Session],
) -> None:
    chance = Random(7)
    names = [f"n{number}" for number in range(60)]
    needs = {
        name: chance.sample(names[:number], min(number, chance.randrange(3)))
        for number, name in enumerate(names)
    }
    BROKEN.update(chance.sample(names, 8))
    with opened() as session:
        futures = graph(session, needs)
    with open_run(session.run_folder) as run:
        calls = {number: one.call for number, one in run.story.calls.items()}
    own = [name for name, future in futures.items() if type(future.exception()) is ValueError]
    assert set(calls) == {futures[name].task_id for name in own}, "of those that were tried"

    wanted = set(own[:2])
    RAN.clear()
    BROKEN.clear()
    with opened(Choice(calls=frozenset(calls[futures[name].task_id] for name in wanted))) as again:
        then = graph(again, needs)
    for name in names:
        error = then[name].exception()
        if name in own and name not in wanted:
            assert type(error) is LeftOut, name
        elif any(then[need].exception() for need in needs[name]):
            assert type(error) is DependencyError, name
        else:
            assert error is None, name
    good = {name for name in names if futures[name].exception() is None}
    assert sorted(RAN) == sorted(
        name for name in names if name not in good and not then[name].exception()
    )
    assert wanted <= set(RAN)


def test_a_join_app_is_executed_with_the_calls_it_makes(opened: Callable[..., Session]) -> None:
    with opened(Choice(frozenset({"several"}))) as session:
        SESSION.append(session)
        joined = several.options(session=session)(["x", "y"])
        assert joined.result(PATIENCE) == [0, 0]
        part = joined[0]
        assert uncached.options(session=session)(part).result(PATIENCE) == 0, "it needs a part"
        left = uncached.options(session=session)(1)
        assert isinstance(left.exception(PATIENCE), LeftOut)
        assert "no cache=True" in str(left.exception())
        alone = add.options(session=session)("z")
        assert isinstance(alone.exception(PATIENCE), LeftOut)
    assert sorted(RAN) == ["uncached", "x", "y"]


def test_calls_that_were_chosen_and_not_made_are_told(
    opened: Callable[..., Session], capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(Choice(calls=frozenset({"0" * 32}))) as session:
        assert isinstance(add.options(session=session)("a").exception(PATIENCE), LeftOut)
    assert "1 of the calls chosen by --only were not made" in capsys.readouterr().err


def test_what_a_mended_function_makes_is_not_kept_as_what_the_former_made(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    def write(text: str, outputs: list[File]) -> str:
        Path(outputs[0]).write_text(text)
        return "former"

    former = python_app(cache=True)(write)

    def mended(text: str, outputs: list[File]) -> str:
        Path(outputs[0]).write_text(f"{text}, mended")
        return "mended"

    mended.__name__ = "write"
    made = [File(tmp_path / "made")]
    with opened() as session:
        assert former.options(session=session)("a", outputs=made).result(PATIENCE) == "former"
    was = (("write", CallKeys(write).identity),)
    only = Choice(frozenset({"write"}), former=was)
    with opened(only) as again:
        found = python_app(cache=True)(mended).options(session=again)
        assert found("a", outputs=made).result(PATIENCE) == "former"
    (tmp_path / "made").unlink()
    with opened(only) as third:
        found = python_app(cache=True)(mended).options(session=third)
        assert found("a", outputs=made).result(PATIENCE) == "mended"
    sizes = [(one / "checkpoint.weft").stat().st_size for one in sorted(tmp_path.glob("runs/*"))]
    assert sizes[0] > sizes[1] == sizes[2], "there is no record but the first"
