"""What is shown of values, calls and errors is short, true and harmless, whatever they are."""

import sys
import traceback
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.calls.failures import error_of, pack_error
from weft.shown import call_text, error_text, middle_left_out, traceback_text, value_text

HUGE = 10**6


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class SaysMuch:
    asked = 0

    def __repr__(self) -> str:
        type(self).asked += 1
        return "y" * HUGE


class NoText:
    def __repr__(self) -> str:
        return 7  # type: ignore[return-value]


class Sly(str):
    """A text with methods of its own."""

    __slots__ = ()

    def __len__(self) -> int:
        raise RuntimeError("no")

    def __getitem__(self, _key: Any) -> str:
        raise RuntimeError("no")


class SlyText:
    def __repr__(self) -> str:
        return Sly("fine")


class Array:
    """As arrays are: a class with these two, whose ``repr`` would read all of it."""

    dtype = "float64"

    def __init__(self, *shape: int) -> None:
        self._shape = shape

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    def __repr__(self) -> str:
        if self._shape:
            raise AssertionError("its repr is not to be called")
        return "1.5"


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Plain:
    text: Any
    hidden: Any = field(default=None, repr=False)


@dataclass
class Own:
    text: str

    def __repr__(self) -> str:
        return "my own words"


@attrs.frozen
class Made:
    one: Any
    secret: str = attrs.field(default="key", repr=False)


Old = namedtuple("Old", "a b")  # noqa: PYI024 - the other kind


class Texts(list[Any]):
    pass


class Loud(list[Any]):
    def __repr__(self) -> str:
        return "loud"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a'b", '"a\'b"'),
        (True, "True"),
        ([Raises(), 1], "[<Raises, whose repr raises>, 1]"),
        (NoText(), "<NoText, whose repr raises>"),
        (SlyText(), "fine"),
        (Array(3, 4), "<test_shown.Array float64 (3, 4)>"),
        (Array(), "1.5"),
        (Pair(1, Array(2)), "Pair(left=1, right=<test_shown.Array float64 (2,)>)"),
        (Old(1, "x"), "Old(a=1, b='x')"),
        (Plain("x", 3), "Plain(text='x')"),
        (Own("x"), "my own words"),
        (Made([1]), "Made(one=[1])"),
        (Texts([1, 2]), "[1, 2]"),
        (Loud([1, 2]), "loud"),
        (OrderedDict(a=1), "OrderedDict({'a': 1})"),
        (defaultdict(list, a=[1]), "defaultdict({'a': [1]})"),
        (Counter("aa"), "Counter({'a': 2})"),
        (deque([1]), "deque([1])"),
        ("\ud800", r"'\ud800'"),
    ],
)
def test_values(value: Any, shown: str) -> None:
    assert value_text(value) == shown.replace("test_shown", __name__.partition(".")[0])


def test_a_text_with_methods_of_its_own_does_no_harm() -> None:
    assert value_text(Sly("ab")) == "<Sly, whose repr raises>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * HUGE,
        lambda: Plain("x" * HUGE),
        lambda: Made("x" * HUGE),
        lambda: Pair("x" * HUGE, b"x" * HUGE),
        lambda: Texts(["x" * HUGE] * 100),
        lambda: [bytes(HUGE)] * 10**6,
        lambda: {"x" * HUGE: dict.fromkeys(range(10**5))},
        lambda: defaultdict(list, a=[0] * HUGE),
        lambda: 1 << 10 * HUGE,
        SaysMuch,
    ],
)
def test_what_is_huge_is_cut_before_it_is_written_out(make: Callable[[], Any]) -> None:
    value = make()
    shown = value_text(value, 500)
    assert 10 < len(shown) <= 500
    assert "…" in shown or "..." in shown or "bits" in shown


def test_a_class_is_asked_once() -> None:
    SaysMuch.asked = 0
    value_text(SaysMuch())
    assert SaysMuch.asked == 1


def test_what_contains_itself_ends() -> None:
    knot: list[Any] = []
    knot.append({"knot": Plain(knot)})
    assert value_text(knot).startswith("[{'knot': Plain(text=[{")


@given(st.recursive(st.text() | st.integers() | st.binary(), st.lists))
def test_short_values_are_shown_as_they_are(value: Any) -> None:
    shown = value_text(value, 100_000)
    if "..." not in shown and "bits" not in shown and "…" not in shown:
        assert shown == repr(value)


def test_a_call_is_shown_as_it_would_be_written() -> None:
    assert call_text(("AB-7", 3), {"depth": 30}) == "'AB-7', 3, depth=30"
    assert call_text((), {}) == ""


def test_a_long_call_is_cut_and_says_so() -> None:
    shown = call_text(tuple(range(1000)), {"last": 1})
    assert shown.startswith("0, 1, 2")
    assert shown.endswith("last=1, … 960 more")
    wide = call_text(tuple("x" * 1000 for _ in range(100)), {})
    assert len(wide) < 3_000
    assert wide.endswith(" more")


# ----------------------------------------------------------------------------------------- errors


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - it is what is wanted
        return error
    raise AssertionError("it did not raise")


def inner() -> None:
    raise KeyError("strand")


def outer() -> None:
    try:
        inner()
    except KeyError as error:
        raise ValueError("bad genes") from error


def in_between() -> None:
    try:
        inner()
    except KeyError:
        raise ValueError("bad\ngenes")  # noqa: B904 - a context is what is wanted


def hidden() -> None:
    try:
        inner()
    except KeyError:
        raise ValueError("alone") from None


def noted() -> None:
    error = ValueError("bad genes")
    error.add_note("of the\nthird strand")
    raise error


@pytest.mark.parametrize("function", [inner, outer, in_between, hidden, noted])
def test_a_traceback_is_what_python_prints(function: Callable[[], Any]) -> None:
    error = caught(function)
    assert traceback_text(error, error.__traceback__) == "".join(traceback.format_exception(error))


def test_of_a_worker_it_is_its_own_text() -> None:
    error = caught(outer)
    theirs = "".join(traceback.format_exception(error))
    back = error_of(pack_error(error))
    assert traceback_text(back, back.__traceback__) == theirs


def test_frames_that_are_added_later_are_not_shown() -> None:
    error = caught(inner)
    trace, before = error.__traceback__, "".join(traceback.format_exception(error))

    def again() -> None:
        raise error

    caught(again)
    assert traceback_text(error, trace) == before
    assert "again" in "".join(traceback.format_exception(error))


def test_ten_thousand_frames_are_few_lines() -> None:
    error = caught(inner)
    trace = error.__traceback__
    assert trace is not None
    frame = sys._getframe()
    for line in range(10_000):
        trace = TracebackType(trace, frame, frame.f_lasti, 1 + line % 7)
    text = traceback_text(error, trace)
    assert len(text) <= 16_000
    assert "frames left out ...\n" in text
    assert text.endswith("in inner\n    raise KeyError(\"strand\")\nKeyError: 'strand'\n")


def test_a_long_chain_of_causes_is_cut_at_its_beginning() -> None:
    error: BaseException = ValueError("first")
    for number in range(10_000):
        error, before = ValueError(str(number)), error
        error.__cause__ = before
    text = traceback_text(error, None)
    assert text.startswith("(earlier exceptions are left out)\n\nValueError: 9980\n")
    assert text.endswith("ValueError: 9999\n")


def test_a_chain_that_goes_in_a_circle_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert traceback_text(one, None).count("ValueError") == 2


def test_a_message_of_very_many_letters_is_cut() -> None:
    error = ValueError("x" * HUGE)
    text = traceback_text(error, None)
    assert len(text) < 5_000
    assert "characters left out" in text


class NoWords(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class NoCause(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


def test_an_error_that_cannot_say_anything_is_named() -> None:
    text = traceback_text(NoWords(), None)
    assert text.endswith("NoWords: (its message cannot be shown: RuntimeError)\n")
    assert traceback_text(NoCause("x"), None).endswith("NoCause (shown in part: RuntimeError)\n")


def test_of_a_group_some_errors_are_shown() -> None:
    group = ExceptionGroup("several", [ValueError(str(number)) for number in range(100)])
    text = traceback_text(group, None)
    assert "several (100 sub-exceptions)" in text
    assert "  | ValueError: 4\n" in text
    assert "ValueError: 5" not in text
    assert "and 95 more" in text
    nested: BaseException = group
    for _ in range(50):
        nested = ExceptionGroup("outer", [nested])  # type: ignore[type-var]
    assert len(traceback_text(nested, None)) < 16_000


def test_an_error_alone() -> None:
    assert error_text(caught(outer)) == "ValueError: bad genes\n"


@given(st.text(max_size=300), st.integers(100, 200))
def test_what_is_cut_keeps_both_ends(text: str, most: int) -> None:
    cut = middle_left_out(text, most)
    if len(text) <= most:
        assert cut == text
    else:
        assert len(cut) <= most
        assert cut.startswith(text[:20])
        assert cut.endswith(text[-20:])
        assert "characters left out" in cut
