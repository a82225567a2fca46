"""Classes of fields, made without attrs."""

from __future__ import annotations

import pytest

from weft.values.message import as_mapping, changed, fields_of, message


@message
class Plain:
    """Equal to itself alone."""

    name: str
    count: int = 3


@message(eq=True)
class Equal:
    """Equal to what has the same fields."""

    name: str
    count: int = 3


class Shy:
    """With a text of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Shy"


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert as_mapping(Plain("a")) == {"name": "a", "count": 3}
    assert as_mapping(Plain(count=4, name="b")) == {"name": "b", "count": 4}
    assert fields_of(Plain) == ("name", "count")
    with pytest.raises(TypeError, match="name"):
        Plain(count=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="more"):
        Plain("a", more=1)  # type: ignore[call-arg]


def test_objects_have_their_fields_and_nothing_else() -> None:
    with pytest.raises(AttributeError):
        Plain("a").more = 1  # type: ignore[attr-defined]


def test_those_with_equal_fields_are_equal_if_that_is_asked_for() -> None:
    assert Equal("a") == Equal("a", 3)
    assert Equal("a") != Equal("a", 4)
    assert Equal("a") != object()
    assert Plain("a") != Plain("a")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Equal("a"))


def test_they_are_shown_by_their_fields_unless_they_say_how() -> None:
    @message
    class Shown(Shy):
        secret: str

        def __repr__(self) -> str:
            return "Shown()"

    assert repr(Plain("a")) == "Plain(name='a', count=3)"
    assert repr(Shown("x")) == "Shown()"


def test_a_changed_copy_leaves_the_first_as_it_was() -> None:
    first = Equal("a")

    assert changed(first, count=5) == Equal("a", 5)
    assert first == Equal("a")
