"""Which serializer packs what: the app's before the executor's before the default."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import weft
from weft.configuration.registry import Registry
from weft.errors import ConfigurationError, WeftError
from weft.session import Session
from weft.values.plugin import Component, Kind, Requires, Support

MARKING = """
import pickle
from queue import SimpleQueue
from typing import ClassVar

import attrs

from weft.interfaces.serializer import Serializer
from weft.values.settings import SerializerSettings, setting


@attrs.frozen(kw_only=True)
class Marking(SerializerSettings):
    plugin: ClassVar[str] = "marking"
    mark: str = setting("m", help="What is put before each pickle.")
    inner: object = setting(None, help="What packs in its place.")


class Marker(Serializer):
    id = "marking1"
    made = []

    def __init__(self, settings):
        self.settings = settings
        self.inner = None
        self.tasks = []
        self.gone = SimpleQueue()
        self.closed = 0
        Marker.made.append(self)

    def start(self, context):
        if self.settings.inner is not None:
            self.inner = context.part(self.settings.inner)
            self.inner.start(context)

    def pack(self, value):
        mark = self.settings.mark.encode()
        if self.inner is not None:
            return [mark, *self.inner.pack(value)]
        return [mark, pickle.dumps(value, 5)]

    def pack_for(self, value, subject):
        if subject.part == "arguments":
            self.tasks.append(subject.task)
            value[1]["packed_by"] = self.settings.mark
        return self.pack(value)

    def unpack(self, buffers):
        assert bytes(buffers[0]) == self.settings.mark.encode()
        if self.inner is not None:
            return self.inner.unpack(buffers[1:])
        return pickle.loads(buffers[1])

    def ended(self, tasks):
        for task in tasks:
            self.gone.put(task)

    def close(self):
        self.closed += 1


def build(settings):
    return Marker(settings)
"""


def who(number: int, packed_by: str = "") -> tuple[int, str]:
    return number, packed_by


def fails(packed_by: str = "") -> None:
    raise ValueError(packed_by)


@pytest.fixture
def marking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A serializer that puts a mark before each pickle, and says whose in what it packs."""
    (tmp_path / "weft_test_marking.py").write_text(MARKING)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("weft_test_marking")
    del sys.modules["weft_test_marking"]


@pytest.fixture
def registry(marking: Any) -> Registry:
    made = Registry()
    made.register(
        Component(
            kind=Kind.SERIALIZER,
            name="marking",
            interface="1.1",
            settings="weft_test_marking:Marking",
            factory="weft_test_marking:build",
            summary="For tests.",
            capabilities={
                "functions.by-value": Support.UNSUPPORTED,
                "buffers": Support.UNSUPPORTED,
                "data-only": Support.UNSUPPORTED,
            },
        )
    )
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_the_apps_own_comes_before_the_executors_and_that_before_the_default(
    registry: Registry, marking: Any, folder: Path
) -> None:
    config = weft.Config(
        run_dir=folder,
        executors=[
            weft.executor(
                "processes", label="marked", max_workers=1, serializer=marking.Marking(mark="e")
            ),
            weft.executor("processes", label="plain", max_workers=1),
        ],
    )
    with Session(config, registry=registry) as session:
        app = weft.python_app(session=session)(who)
        own = weft.python_app(session=session, serializer=marking.Marking(mark="a"))(who)
        first = [
            app.options(executors="marked")(1),
            app.options(executors="plain")(2),
            own.options(executors="marked")(3),
            own.options(executors="plain")(4),
            app.options(executors="plain", serializer=marking.Marking(mark="o"))(5),
            own(6, packed_by="me"),
        ]
        values = [one.result(60) for one in first]

    assert values == [(1, "e"), (2, ""), (3, "a"), (4, "a"), (5, "o"), (6, "a")]


def test_it_is_made_once_told_of_the_end_of_each_task_and_closed(
    registry: Registry, marking: Any, folder: Path
) -> None:
    config = weft.Config(
        run_dir=folder,
        retries=1,
        executors=[weft.executor("processes", max_workers=1, serializer=marking.Marking())],
    )
    with Session(config, registry=registry) as session:
        app = weft.python_app(session=session, serializer=marking.Marking())(who)
        failing = weft.python_app(session=session)(fails)
        good, bad = app(1), failing()
        assert good.result(60) == (1, "m")
        with pytest.raises(ValueError, match="m"):
            bad.result(60)
        (mine,) = marking.Marker.made
        assert {mine.gone.get(timeout=60) for _ in "ab"} == {good.task_id, bad.task_id}

    assert sorted(mine.tasks, key=str) == [good.task_id, bad.task_id, bad.task_id]
    assert mine.closed == 1


def test_one_that_is_made_of_another_gets_that_on_workers_too(
    registry: Registry, marking: Any, folder: Path
) -> None:
    inner = weft.serializer("cloudpickle")
    config = weft.Config(run_dir=folder, executors=[weft.executor("processes", max_workers=1)])
    with Session(config, registry=registry) as session:
        app = weft.python_app(session=session, serializer=marking.Marking(inner=inner))
        assert app(who)(1).result(60) == (1, "m")


def test_what_does_not_start_is_the_callers_trouble(
    registry: Registry, marking: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(self: Any, context: Any) -> None:
        raise WeftError("The store is not there.")

    monkeypatch.setattr(marking.Marker, "start", start)
    with Session(weft.Config(run_dir=folder), registry=registry) as session:
        app = weft.python_app(session=session, serializer=marking.Marking())(who)
        with pytest.raises(WeftError, match="The store is not there"):
            app(1).result(60)
        assert weft.python_app(session=session)(who)(1).result(60) == (1, "")


def test_what_fails_on_closing_is_told_and_keeps_nobody_from_closing(
    registry: Registry, marking: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def close(self: Any) -> None:
        raise OSError("no store")

    monkeypatch.setattr(marking.Marker, "close", close)
    config = weft.Config(run_dir=folder, executors=[weft.executor("threads")])
    with Session(config, registry=registry) as session:
        app = weft.python_app(session=session, serializer=marking.Marking())(who)
        assert app(1).result(60) == (1, "")  # threads pack nothing

    told = capsys.readouterr().err
    assert "The serializer 'marking' failed while it closed: OSError: no store" in told


def test_an_option_that_is_no_serializer_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"made by weft.serializer\('dill'\), not 'dill'"):
        weft.python_app(serializer="dill")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="join_app has no option 'serializer'"):
        weft.join_app(serializer=weft.serializer("dill"))  # type: ignore[call-overload]


def test_what_it_needs_and_is_not_there_is_the_callers_trouble_too(
    registry: Registry, marking: Any, folder: Path
) -> None:
    component = registry.component(Kind.SERIALIZER, "marking")
    needs = Requires(modules=("weft_no_such_module",), hint="Run 'pip install no-such'.")
    registry.register(attrs.evolve(component, requires=needs))
    with Session(weft.Config(run_dir=folder), registry=registry) as session:
        app = weft.python_app(session=session, serializer=marking.Marking())(who)
        with pytest.raises(ConfigurationError, match=r"(?s)'weft_no_such_module'.*no-such"):
            app(1).result(60)
