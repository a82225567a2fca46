"""One call as bytes, and the command that runs it."""

import subprocess
import sys
import threading
from typing import Any

import pytest

from weft.calls import RemoteTraceback, outcome_of, pack_call, run_call
from weft.errors import SerializationError


def elsewhere(packed: bytes, *, code: int = 0) -> "subprocess.CompletedProcess[bytes]":
    done = subprocess.run(
        [sys.executable, "-m", "weft.calls"], input=packed, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done


def there(function: Any, *args: Any, **kwargs: Any) -> Any:
    return outcome_of(elsewhere(pack_call(function, args, kwargs)).stdout)


def test_a_value_comes_back() -> None:
    assert there(divmod, 17, 5) == (3, 2)
    assert there(sorted, [3, 1, 2], reverse=True) == [3, 2, 1]
    assert outcome_of(run_call(pack_call(divmod, (17, 5), {}))) == (3, 2)


def test_what_is_large_comes_back_whole_and_as_open_to_change_as_it_was() -> None:
    fixed, open_ = bytes(range(256)) * 1024, bytearray(200_000)

    assert there(lambda *given: given, fixed, open_) == (fixed, open_)
    assert type(there(lambda given: given, open_)) is bytearray


def test_what_it_raises_is_raised_with_the_traceback_of_there() -> None:
    with pytest.raises(ValueError, match="twelve") as raised:
        there(int, "twelve")
    assert isinstance(raised.value.__cause__, RemoteTraceback)
    with pytest.raises(SystemExit):
        there(sys.exit, 3)


def test_what_cannot_be_packed_is_told_before_it_travels() -> None:
    with pytest.raises(SerializationError):
        pack_call(print, (threading.Lock(),), {})
    with pytest.raises(SerializationError):
        there(threading.Lock)


def test_what_the_task_prints_is_no_part_of_the_outcome() -> None:
    def speak() -> int:
        print("in Python")  # noqa: T201 - what is tested
        return subprocess.call(["echo", "from a command"])

    done = elsewhere(pack_call(speak, (), {}))

    assert outcome_of(done.stdout) == 0
    assert b"in Python" in done.stderr
    assert b"from a command" in done.stderr


@pytest.mark.parametrize("cut", [0, 10])
def test_half_a_call_is_refused_in_a_sentence(cut: int) -> None:
    done = elsewhere(pack_call(divmod, (17, 5), {})[:cut], code=2)

    assert b"is no packed call" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not done.stdout
