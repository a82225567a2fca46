"""Whatever a task raises, its future tells what it was, and the worker goes on."""

import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import weft
from weft import python_app
from weft.errors import RemoteError

BOUND = 60.0


@python_app
def worker() -> tuple[int, int]:
    """Which process and thread this is."""
    return os.getpid(), threading.get_ident()


@python_app
def attempt(function: Callable[[], Any]) -> Any:
    return function()


def type_name(error: BaseException) -> str:
    """The name of the class that the task raised, whether or not its object came back."""
    full = error.type_name if isinstance(error, RemoteError) else type(error).__qualname__
    return full.rpartition(".")[2]


def shown(error: BaseException) -> str:
    """What a person sees of it."""
    return "".join(traceback.format_exception(error))


class OddBase(BaseException):
    pass


class TwoArguments(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class KeywordOnly(Exception):
    def __init__(self, *, name: str) -> None:
        super().__init__()
        self.name = name

    def __str__(self) -> str:
        return f"no {self.name}"


class StrRaises(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class StrExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(5)


class ReprRaises(Exception):
    def __repr__(self) -> str:
        raise ValueError("no representation")


class ReduceRaises(Exception):
    def __reduce__(self) -> Any:
        raise ValueError("no reduction")


class SetstateRaises(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.state = "some"

    def __setstate__(self, state: Any) -> None:
        raise ValueError("no state")


class HoldsALock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class HoldsAFrame(Exception):
    """With an attribute that no serializer takes, deep inside."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.inside = {"deep": list(range(3)), "generator": (n for n in range(3))}


class LockInArguments(Exception):
    def __str__(self) -> str:
        return str(self.args[0])


class NoNotes(Exception):
    def add_note(self, note: str) -> None:
        raise ValueError("no notes")


class NotesExit(Exception):
    def add_note(self, note: str) -> None:
        raise SystemExit(6)


class Slotted(Exception):
    __slots__ = ("extra",)


def raise_system_exit() -> None:
    raise SystemExit(3)


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt("by hand")


def raise_generator_exit() -> None:
    raise GeneratorExit("generated")


def raise_stop_iteration() -> None:
    raise StopIteration("stopped")


def raise_base() -> None:
    raise OddBase("odd base")


def raise_recursion() -> int:
    return raise_recursion() + 1


def raise_two_arguments() -> None:
    raise TwoArguments(3, "lost")


def raise_keyword_only() -> None:
    raise KeywordOnly(name="luck")


def raise_unsayable() -> None:
    raise StrRaises("unsaid")


def raise_exiting_text() -> None:
    raise StrExits("unsaid")


def raise_unshowable() -> None:
    raise ReprRaises("shown")


def raise_irreducible() -> None:
    raise ReduceRaises("reduced")


def raise_stateless() -> None:
    raise SetstateRaises("stated")


def raise_lock() -> None:
    raise HoldsALock("locked")


def raise_frame() -> None:
    raise HoldsAFrame("framed")


def raise_lock_in_arguments() -> None:
    raise LockInArguments("argued", threading.Lock())


def raise_no_notes() -> None:
    raise NoNotes("unnoted")


def raise_exiting_notes() -> None:
    raise NotesExit("unnoted")


def raise_slotted() -> None:
    raise Slotted("slotted")


def raise_local() -> None:
    class Local(Exception):
        pass

    raise Local("only here")


def raise_decode_error() -> None:
    b"\xff".decode("utf-8")


def raise_huge() -> None:
    raise ValueError("begin " + "x" * 5_000_000)


def raise_surrogate() -> None:
    raise ValueError("lone \ud800 half")


def raise_group() -> None:
    inner = ExceptionGroup("inner", [KeyError("second")])
    raise ExceptionGroup("several", [ValueError("first"), inner])


def raise_base_group() -> None:
    raise BaseExceptionGroup("all", [KeyboardInterrupt(), ValueError("first")])


def raise_chain() -> None:
    try:
        try:
            raise KeyError("innermost")
        except KeyError as first:
            raise OSError("between") from first
    except OSError as second:
        error = ValueError("outermost")
        error.add_note("look at the innermost one")
        raise error from second


def raise_own_cause() -> None:
    error = ValueError("in a circle")
    other = KeyError("the other")
    error.__cause__, other.__cause__ = other, error
    raise error


ODD = [
    (raise_system_exit, "SystemExit", "3"),
    (raise_keyboard_interrupt, "KeyboardInterrupt", "by hand"),
    (raise_generator_exit, "GeneratorExit", "generated"),
    (raise_stop_iteration, "StopIteration", "stopped"),
    (raise_base, "OddBase", "odd base"),
    (raise_recursion, "RecursionError", "maximum recursion depth"),
    (raise_two_arguments, "TwoArguments", "3: lost"),
    (raise_keyword_only, "KeywordOnly", "no luck"),
    (raise_unsayable, "StrRaises", ""),
    (raise_exiting_text, "StrExits", ""),
    (raise_unshowable, "ReprRaises", "shown"),
    (raise_irreducible, "ReduceRaises", "reduced"),
    (raise_stateless, "SetstateRaises", "stated"),
    (raise_lock, "HoldsALock", "locked"),
    (raise_frame, "HoldsAFrame", "framed"),
    (raise_lock_in_arguments, "LockInArguments", "argued"),
    (raise_no_notes, "NoNotes", "unnoted"),
    (raise_exiting_notes, "NotesExit", "unnoted"),
    (raise_slotted, "Slotted", "slotted"),
    (raise_local, "Local", "only here"),
    (raise_decode_error, "UnicodeDecodeError", "invalid start byte"),
    (raise_huge, "ValueError", "begin xxx"),
    (raise_surrogate, "ValueError", "half"),
    (raise_group, "ExceptionGroup", "several"),
    (raise_base_group, "BaseExceptionGroup", "all"),
    (raise_chain, "ValueError", "outermost"),
    (raise_own_cause, "ValueError", "in a circle"),
]


def test_whatever_is_raised_is_told_and_costs_no_worker(run: weft.Session) -> None:
    """One session for all of them: each must leave the worker to the next."""
    first = worker().result(BOUND)
    for function, name, message in ODD:
        error = attempt(function).exception(BOUND)
        assert error is not None, function
        assert type_name(error) == name
        if message:
            assert message in str(error)
        if name != "StrExits" or isinstance(error, RemoteError):
            # Python itself cannot show that one, where the object came back.
            text = shown(error)
            assert name in text
            assert f"in {function.__name__}" in text
        assert worker().result(BOUND) == first, function


def test_many_odd_exceptions_at_once_are_told_apart(run: weft.Session) -> None:
    futures = [(attempt(function), name) for _ in range(5) for function, name, _ in ODD]
    for future, name in futures:
        error = future.exception(BOUND)
        assert error is not None
        assert type_name(error) == name
    assert run.wait(BOUND)


def test_attributes_and_arguments_of_an_exception_arrive(run: weft.Session) -> None:
    error = attempt(raise_two_arguments).exception(BOUND)
    assert isinstance(error, TwoArguments)
    assert (error.code, error.detail) == (3, "lost")


def test_what_travels_of_an_exception_with_a_lock_is_all_but_the_lock(run: weft.Session) -> None:
    error = attempt(raise_lock).exception(BOUND)
    assert isinstance(error, HoldsALock)
    assert error.args == ("locked",)


def test_causes_and_notes_are_shown(run: weft.Session) -> None:
    error = attempt(raise_chain).exception(BOUND)
    assert error is not None
    text = shown(error)
    for part in ("KeyError: 'innermost'", "OSError: between", "direct cause", "look at the"):
        assert part in text


def test_every_member_of_a_group_is_shown_and_can_be_told_apart(run: weft.Session) -> None:
    error = attempt(raise_group).exception(BOUND)
    assert isinstance(error, ExceptionGroup)
    matching, rest = error.split(KeyError)
    assert matching is not None
    assert rest is not None
    text = shown(error)
    assert "ValueError: first" in text
    assert "KeyError: 'second'" in text


@pytest.mark.parametrize("function", [raise_system_exit, raise_keyboard_interrupt, raise_unsayable])
def test_a_task_that_needed_it_says_which_task_failed(
    run: weft.Session, function: Callable[[], Any]
) -> None:
    @python_app
    def after(value: Any) -> Any:
        return value

    error = after(attempt(function)).exception(BOUND)
    assert isinstance(error, weft.errors.DependencyError)
    assert "attempt" in str(error)
