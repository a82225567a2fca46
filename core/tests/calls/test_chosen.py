"""Serializers that were chosen: what they pack travels as any call does, and names them."""

import importlib
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.builtin.serializers import (
    Cloudpickle,
    CloudpickleSettings,
    Dill,
    DillSettings,
    Pickle,
    PickleSettings,
)
from weft.calls import Packer, Runner, calls_message, outcome_of, pack_call, value_of
from weft.calls.batches import opened_calls
from weft.calls.chosen import Chosen, Maker
from weft.errors import RemoteError, SerializationError, SerializerMissing
from weft.interfaces.serializer import Buffer, Serializer, SerializerContext, Subject
from weft.values.settings import SerializerSettings

numpy = pytest.importorskip("numpy")


def elsewhere(packed: bytes) -> bytes:
    """Run a call in a process of its own, which knows nothing of this one."""
    done = subprocess.run(
        [sys.executable, "-m", "weft.calls"],
        input=packed,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def chosen(name: str) -> Chosen:
    made, settings = {
        "cloudpickle": (Cloudpickle(), CloudpickleSettings()),
        "dill": (Dill(), DillSettings()),
    }[name]
    maker = Maker(name=name, settings=settings, factory=f"weft.builtin.serializers:build_{name}")
    return Chosen.with_recipe(made, maker, whole=True)


@attrs.frozen(kw_only=True)
class NotedSettings(SerializerSettings):
    plugin = "noted"


class Noted(Serializer):
    """Pickle, which notes what it was asked to do; of this process alone."""

    id = "noted1"

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.opened = 0
        self.started: list[SerializerContext] = []

    def start(self, context: SerializerContext) -> None:
        self.started.append(context)

    def pack(self, value: Any) -> Sequence[Buffer]:
        return [b"noted" + pickle.dumps(value, 5)]

    def pack_for(self, value: Any, subject: Subject) -> Sequence[Buffer]:
        self.subjects.append(subject)
        return self.pack(value)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        head = bytes(buffers[0])
        assert head.startswith(b"noted")
        self.opened += 1
        return pickle.loads(head[5:])


class Forth(Noted):
    one_way = True


@pytest.fixture
def noted() -> Iterator[Callable[[Noted], Chosen]]:
    """Chooses a serializer of this process, until the end of the test."""
    made: list[Chosen] = []

    def choose(serializer: Noted) -> Chosen:
        maker = Maker(name="noted", settings=NotedSettings(), factory="nowhere_at_all:build")
        made.append(Chosen.with_recipe(serializer, maker))
        return made[-1]

    yield choose
    for one in made:
        one.close()


def run(call: Any) -> Any:
    """Run a packed call by a runner in this process; its result, packed."""
    _, definitions, ((_, digest, needs, head, buffers),) = opened_calls(
        calls_message([(0, call)], {})
    )
    runner = Runner()
    for name, blob in definitions:
        runner.define(name, blob)
    return runner.run(digest, needs, head, buffers)


def test_the_call_and_its_result_are_packed_by_it(noted: Callable[[Noted], Chosen]) -> None:
    mine = Noted()
    result = run(Packer().pack(divmod, (17, 5), {}, "share", chosen=noted(mine), task=7))

    assert value_of(result.head, result.buffers) == (3, 2)
    assert mine.subjects == [
        Subject(part="arguments", app="share", task=7),
        Subject(part="result", app="share", task=7),
    ]
    assert mine.opened == 2


def test_of_one_that_goes_one_way_the_result_does_not_know(
    noted: Callable[[Noted], Chosen],
) -> None:
    mine = Forth()
    result = run(Packer().pack(divmod, (17, 5), {}, "share", chosen=noted(mine), task=7))

    assert value_of(result.head, result.buffers) == (3, 2)
    assert [one.part for one in mine.subjects] == ["arguments"]


def test_two_of_one_packer_do_not_mix(noted: Callable[[Noted], Chosen]) -> None:
    first, second, packer = Noted(), Noted(), Packer()
    one, other = noted(first), noted(Forth())
    for choice in (one, None, other, one, None):
        result = run(packer.pack(sorted, ([2, 1],), {"reverse": True}, chosen=choice))
        assert value_of(result.head, result.buffers) == [2, 1]

    assert first.opened == 4
    assert second.opened == 0


@pytest.mark.parametrize("name", ["cloudpickle", "dill"])
def test_another_process_makes_its_own_by_the_recipe(name: str) -> None:
    def iter_of(value: int) -> Iterator[int]:
        yield value

    step, choice = 40, chosen(name)
    try:
        big = numpy.arange(100_000)

        def add(more: Any, *, also: int = 0) -> Any:
            return step + more + also

        packed = pack_call(add, (big,), {"also": 1}, chosen=choice)
        assert (outcome_of(elsewhere(packed)) == big + 41).all()

        with pytest.raises(SerializationError, match=rf"(?s)args\[0\]\['k'\].*'{name}' refuses it"):
            pack_call(add, ({"k": iter_of(1)},), {}, chosen=choice)
        with pytest.raises(SerializationError, match=rf"(?s)brought back.*'{name}' refuses it"):
            outcome_of(elsewhere(pack_call(lambda: (one for one in "ab"), (), {}, chosen=choice)))
    finally:
        choice.close()


def test_a_callable_that_may_change_goes_with_each_call(
    noted: Callable[[Noted], Chosen],
) -> None:
    from functools import partial

    choice = noted(Noted())
    for base in (2, 16):
        result = run(Packer().pack(partial(int, base=base), ("11",), {}, chosen=choice))
        assert value_of(result.head, result.buffers) == base + 1


def test_where_it_is_missing_the_error_says_what_to_install_and_where(
    noted: Callable[[Noted], Chosen],
) -> None:
    maker = Maker(
        name="noted",
        settings=NotedSettings(),
        factory="nowhere_at_all:build",
        package="weft-noted",
        version="1.2",
    )
    choice = Chosen.with_recipe(Noted(), maker)
    try:
        with pytest.raises(SerializerMissing) as raised:
            outcome_of(elsewhere(pack_call(divmod, (17, 5), {}, chosen=choice)))
    finally:
        choice.close()
    error = raised.value
    assert "'noted' (noted1)" in error.what
    assert sys.executable in error.what
    assert "ModuleNotFoundError: No module named 'nowhere_at_all'" in error.why
    assert f"'{sys.executable}' -m pip install 'weft-noted==1.2'" in error.todo


def test_another_format_under_the_same_name_is_refused() -> None:
    class Older(Cloudpickle):
        id = "cloudpickle2"

    maker = Maker(
        name="cloudpickle",
        settings=CloudpickleSettings(),
        factory="weft.builtin.serializers:build_cloudpickle",
    )
    choice = Chosen.with_recipe(Older(), maker)
    try:
        with pytest.raises(SerializerMissing, match="speaks another format, 'cloudpickle3'"):
            outcome_of(elsewhere(pack_call(divmod, (17, 5), {}, chosen=choice)))
    finally:
        choice.close()


def test_settings_that_do_not_travel_are_refused_when_it_is_chosen() -> None:
    @attrs.frozen(kw_only=True)
    class Local(SerializerSettings):
        plugin = "local"

    maker = Maker(name="local", settings=Local(), factory="nowhere_at_all:build")
    with pytest.raises(SerializationError, match="settings of the serializer 'local'"):
        Chosen.with_recipe(Noted(), maker)


# ----------------------------------------------------------------------- modules that workers lack


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package that this process can import, and no other."""
    folder = tmp_path / "weft_test_private"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        textwrap.dedent(
            """
            import enum
            from weft_test_private import deep

            class Point:
                def __init__(self, x):
                    self.x = x

                def doubled(self):
                    return type(self)(deep.twice(self.x))

            class Colour(enum.Enum):
                RED = 1

            def moved(point, by=1):
                return Point(point.doubled().x + by)
            """
        )
    )
    (folder / "deep.py").write_text("FACTOR = 2\ndef twice(x):\n    return FACTOR * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("weft_test_private")
    for name in ("weft_test_private.deep", "weft_test_private"):
        sys.modules.pop(name, None)


def by_value(*names: str) -> Chosen:
    return Chosen(Pickle(by_value=names), "pickle", by_value=frozenset(names))


def test_a_module_that_workers_lack_travels_by_value(private: Any) -> None:
    choice = by_value("weft_test_private")

    back = outcome_of(elsewhere(pack_call(private.moved, (private.Point(3),), {}, chosen=choice)))
    assert type(back) is private.Point
    assert back.x == 7

    def through_the_module(point: Any, colour: Any) -> Any:
        assert colour is private.Colour.RED
        return [private.deep.twice(point.x), colour, private.Point]

    given = (private.Point(5), private.Colour.RED)
    packed = pack_call(through_the_module, given, {}, chosen=choice)
    assert outcome_of(elsewhere(packed)) == [10, private.Colour.RED, private.Point]


def test_without_being_named_it_is_looked_for_and_not_found(private: Any) -> None:
    with pytest.raises((SerializationError, RemoteError), match="weft_test_private"):
        outcome_of(elsewhere(pack_call(private.moved, (private.Point(3),), {})))


def test_a_package_stands_for_all_that_is_in_it(private: Any) -> None:
    packed = pack_call(private.deep.twice, (4,), {}, chosen=by_value("weft_test_private"))
    assert outcome_of(elsewhere(packed)) == 8


def test_the_serializer_alone_packs_it_by_value_too(private: Any) -> None:
    plain, named = Pickle(), Pickle(by_value=["weft_test_private"])

    def opened_elsewhere(buffers: Sequence[Buffer]) -> Any:
        code = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[0](4))"
        (head,) = buffers
        return subprocess.run(
            [sys.executable, "-c", code], input=bytes(head), capture_output=True, check=False
        )

    assert opened_elsewhere(named.pack([private.deep.twice])).stdout.strip() == b"8"
    assert b"weft_test_private" in opened_elsewhere(plain.pack([private.deep.twice])).stderr


@pytest.mark.parametrize("names", ["not a name", [""], ["a..b"], [7]])
def test_a_name_that_is_none_is_refused(names: Any) -> None:
    with pytest.raises(ValueError, match="is no name of a module"):
        PickleSettings(by_value=names)


def test_one_name_alone_is_taken_for_a_list_of_one() -> None:
    assert PickleSettings(by_value="package.module").by_value == ("package.module",)
