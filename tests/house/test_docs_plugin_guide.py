"""The tests that the guide for plugin authors shows, run on the package that it shows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1] / "journeys" / "outside" / "package"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(PACKAGE / "src")
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "weft_echo"]:
        del sys.modules[name]


# shown: tests of an executor
def executor(**options: Any) -> Any:
    from weft_echo.executor import build  # type: ignore[import-not-found,unused-ignore]
    from weft_echo.settings import Echo  # type: ignore[import-not-found,unused-ignore]

    return build(Echo(**options))


def test_a_task_ends_with_its_value() -> None:
    from weft.testing import FakeExecutorContext, make_task

    with FakeExecutorContext() as context:
        echo = executor(word="hello")
        echo.start(context)
        echo.submit([make_task(divmod, 17, 5)])

        outcome = context.wait(1)[0]  # waits for the report; no sleep
        echo.close(10)

        assert outcome.value == (3, 2)
        assert (context.folder / "echo.log").read_text() == "hello divmod\n"


def test_what_a_task_raises_is_reported_as_its_error() -> None:
    from weft.testing import FakeExecutorContext, make_task
    from weft.values.task import Ended

    with FakeExecutorContext() as context:
        echo = executor()
        echo.start(context)
        echo.submit([make_task(int, "twelve")])

        outcome = context.wait(1)[0]
        echo.close(10)

        assert outcome.ended is Ended.ERROR
        assert isinstance(outcome.value, ValueError)


def test_closing_twice_is_allowed() -> None:
    from weft.testing import FakeExecutorContext

    with FakeExecutorContext() as context:
        echo = executor()
        echo.start(context)
        echo.close(10)
        echo.close(10)


# shown until here


# shown: test of a declaration
def test_the_declaration_agrees_with_the_settings() -> None:
    from weft_echo.manifest import echo  # type: ignore[import-not-found,unused-ignore]
    from weft_echo.settings import Echo  # type: ignore[import-not-found,unused-ignore]

    from weft.configuration.registry import Registry

    registry = Registry()
    registry.register(echo)

    assert registry.settings("executor", "echo", word="hello") == Echo(word="hello")
    assert Echo.plugin == echo.name


# shown down to this line
