"""Hearing what a process logs and prints takes nothing away, and changes nothing."""

import io
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from weft import bodies
from weft.bodies import hear_records
from weft.workers.hearing import hear_streams


def keeping(heard: list[str]) -> Callable[[logging.LogRecord], bool]:
    def keep(record: logging.LogRecord) -> bool:
        heard.append(record.getMessage())
        return True

    return keep


@pytest.fixture
def logger() -> Any:
    made = logging.Logger("alone")  # noqa: LOG001 - nobody else may have it
    made.addHandler(logging.NullHandler())
    return made


def test_records_are_heard_until_that_is_ended(logger: logging.Logger) -> None:
    heard: list[str] = []
    handle = logging.Logger.callHandlers
    end = hear_records(logging, keeping(heard))
    try:
        logger.warning("one")
        logger.debug("two")
    finally:
        end()
    logger.warning("three")
    assert heard == ["one", "two"]
    assert logging.Logger.callHandlers is handle


def test_who_ends_before_a_later_one_leaves_that_one_listening(logger: logging.Logger) -> None:
    first: list[str] = []
    second: list[str] = []
    handle = logging.Logger.callHandlers
    end_first = hear_records(logging, keeping(first))
    end_second = hear_records(logging, keeping(second))
    try:
        end_first()
        logger.warning("heard by the second")
    finally:
        end_second()
        logging.Logger.callHandlers = handle  # type: ignore[method-assign]
    assert (first, second) == ([], ["heard by the second"])


def test_what_is_filtered_away_is_not_heard(logger: logging.Logger) -> None:
    heard: list[str] = []
    logger.addFilter(lambda _record: False)
    end = hear_records(logging, keeping(heard))
    try:
        logger.error("no")
    finally:
        end()
    assert not heard


def test_prints_are_heard_and_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    heard: list[tuple[str, str]] = []
    end = hear_streams(lambda stream, text: heard.append((stream, text)))
    print("a", "b")  # noqa: T201 - what is tested
    sys.stderr.writelines(["c", "d"])
    assert getattr(sys.stdout, "getvalue")() == "a b\n"  # noqa: B009 - of the stream behind it
    end()
    print("quiet")  # noqa: T201 - what is tested
    assert (out.getvalue(), err.getvalue()) == ("a b\nquiet\n", "cd")
    assert heard == [("OUT", "a"), ("OUT", " "), ("OUT", "b"), ("OUT", "\n"), ("ERR", "c"),
                     ("ERR", "d")]  # fmt: skip
    assert sys.stdout is out


def test_what_a_handler_prints_of_a_record_is_not_heard_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stderr", printed)
    heard: list[str] = []
    end_streams = hear_streams(lambda _stream, text: heard.append(text))
    end = hear_records(logging, keeping(heard))
    made = logging.Logger("aloud")  # noqa: LOG001 - nobody else may have it
    made.addHandler(logging.StreamHandler())
    try:
        made.warning("once")
        sys.stderr.write("more")
    finally:
        end()
        end_streams()
    assert heard == ["once", "more"]
    assert printed.getvalue() == "once\nmore"


_ARRIVES = """
import sys
from weft import bodies
told = []
bodies.on_import("wave", told.append)
stop = bodies.on_import("chunk", told.append)
assert "wave" not in sys.modules and not told
stop()
import importlib.util
assert importlib.util.find_spec("wave").name == "wave" and not told
import wave, json
try:
    import no_such_module
except ModuleNotFoundError:
    pass
assert told == [wave], told
assert type(wave.__loader__).__name__ == type(json.__loader__).__name__
assert wave.__spec__.loader is wave.__loader__
assert not [one for one in sys.meta_path if type(one).__name__ == "_Arrival"]
import importlib
importlib.reload(wave)
assert told == [wave]
bodies.on_import("wave", told.append)
assert told == [wave, wave]
print("well")
"""


def test_the_arrival_of_a_module_is_told_once_and_leaves_no_trace() -> None:
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ARRIVES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.stdout == "well\n", said.stderr


def test_a_module_that_is_there_has_arrived() -> None:
    told: list[Any] = []
    bodies.on_import("logging", told.append)
    assert told == [logging]
