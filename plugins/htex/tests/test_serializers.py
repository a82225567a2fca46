"""Serializers that were chosen, on the way through interchange and manager."""

import os
import sys
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

import weft
from weft.builtin.serializers import Pickle
from weft.calls.chosen import Chosen, Maker
from weft.errors import SerializerMissing
from weft.values.settings import SerializerSettings
from weft_htex.definitions import GREAT, Definitions

BOUND = 60.0


def echo(value: Any, where: str = "") -> tuple[Any, int]:
    return value, os.getpid()


@pytest.mark.parametrize("mode", ["broker", "direct"])
def test_two_apps_of_one_executor_each_with_its_own(mode: Any, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    big = numpy.arange(200_000)
    executor = weft.executor(
        "htex", mode=mode, workers_per_node=1, serializer=weft.serializer("cloudpickle")
    )
    own = [weft.serializer("dill"), weft.serializer("pickle")]
    apps = [weft.python_app(serializer=one)(echo) for one in (None, *own)]
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        futures = [app(value) for value in (1, big, lambda: 7) for app in apps]
        values = [future.result(BOUND) for future in futures]

    assert len({pid for _, pid in values} - {os.getpid()}) == 1
    back = [value for value, _ in values]
    assert back[:3] == [1, 1, 1]
    assert all((one == big).all() and one.flags.writeable for one in back[3:6])
    assert [one() for one in back[6:]] == [7, 7, 7]


@attrs.frozen(kw_only=True)
class Private(SerializerSettings):
    plugin: ClassVar[str] = "private"


def test_a_worker_without_it_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = weft.python_app(echo)
    executor = weft.executor("htex", workers_per_node=1)
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)) as session:
        maker = Maker(
            name="private", settings=Private(), factory="weft_private:build", package="weft-private"
        )
        chosen = Chosen.with_recipe(Pickle(), maker)
        settings = Private()
        session._serializers._known[id(settings)] = (settings, chosen)
        lost = app.options(serializer=settings)(1)
        with pytest.raises(SerializerMissing) as raised:
            lost.result(BOUND)
        assert app(2).result(BOUND)[0] == 2

    assert f"'{sys.executable}' -m pip install 'weft-private'" in raised.value.todo


def total(handle: Any) -> tuple[float, int]:
    return float(handle.value.sum()), id(handle.value)


@pytest.mark.parametrize("mode", ["broker", "direct"])
def test_what_calls_share_is_sent_to_a_manager_once(mode: Any, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    executor = weft.executor("htex", mode=mode, workers_per_node=1)
    handles = [weft.shared(numpy.full(2_000_000, n)) for n in (1.0, 2.0)]
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        app = weft.python_app(total)
        futures = [app(handles[n % 2]) for n in range(20)]
        values = [future.result(BOUND) for future in futures]

    assert [value for value, _ in values] == [2e6, 4e6] * 10
    assert len({which for _, which in values}) == 2


def test_great_definitions_do_not_drive_small_ones_out() -> None:
    known: Definitions[bytes] = Definitions(100, great=2 * GREAT)
    known.put(b"function", b"", 90)
    for name in (b"a", b"b", b"c"):
        known.put(name, b"", GREAT)
        known.trim()
    assert b"function" in known
    assert [name for name in (b"a", b"b", b"c") if name in known] == [b"b", b"c"]
    known.put(b"another", b"", 20)
    assert known.trim()
    assert b"function" not in known
    assert known.size == 20 + 2 * GREAT
