"""Futures and files are found wherever they are, and nobody's containers are touched."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.dataflow.arguments import DEEPEST, fill, gather, hold, leaves, path_of, replaced
from weft.errors import CallError
from weft.values.files import File


def future_of(value: Any) -> Future[Any]:
    made: Future[Any] = Future()
    made.set_result(value)
    return made


def value_of(future: Future[Any]) -> Any:
    return future.result(timeout=0)


def seen_by_task(*args: Any, deep: bool = True, **kwargs: Any) -> tuple[tuple[Any, ...], Any]:
    """What a task would be called with."""
    found = gather(args, kwargs, deep=deep)
    return (args, kwargs) if found is None else fill(found.args, found.kwargs, value_of)


class Point(NamedTuple):
    x: Any
    y: Any


class Strict(NamedTuple):
    """Made with keywords alone by those who know it."""

    only: Any


class Stack(list[Any]):
    label = ""


F = future_of("value")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (F, "value"),
        ([F], ["value"]),
        ([1, [2, [F]]], [1, [2, ["value"]]]),
        ((F, 2), ("value", 2)),
        (Point(F, [F]), Point("value", ["value"])),
        (Strict(F), Strict("value")),
        ({F, 1}, {"value", 1}),
        (frozenset({F, 1}), frozenset({"value", 1})),
        ({"k": F}, {"k": "value"}),
        ({F: 1}, {"value": 1}),
        ({(F, 2): [F]}, {("value", 2): ["value"]}),
        ([{"a": ({F},)}], [{"a": ({"value"},)}]),
        ({frozenset({F}): 0}, {frozenset({"value"}): 0}),
        (OrderedDict([("b", F), ("a", 1)]), OrderedDict([("b", "value"), ("a", 1)])),
        (defaultdict(None, k=F), defaultdict(None, k="value")),
        (Counter({"k": F}), Counter({"k": "value"})),
    ],
)
def test_a_future_is_found_wherever_it_is(given: Any, expected: Any) -> None:
    args, kwargs = seen_by_task(given, k=given)

    for seen in (args[0], kwargs["k"]):
        assert seen == expected
        assert type(seen) is type(expected)


def test_a_special_container_keeps_what_it_has_besides() -> None:
    stack = Stack([F, 1])
    stack.label = "mine"

    ((seen, counts), _) = seen_by_task(stack, defaultdict(int, {"k": F}))

    assert (seen, seen.label, type(seen)) == (["value", 1], "mine", Stack)
    assert counts["new"] == 0


def test_arguments_without_futures_are_passed_on_as_they_are() -> None:
    plain, special = [1, [2]], OrderedDict(a=1)

    assert gather((1, "a", None, 2.5), {"k": b""}, deep=True) is None
    assert gather((plain, special), {}, deep=True) is None
    (seen, other, _), _ = seen_by_task(plain, special, F)

    assert seen is plain
    assert other is special


def test_the_containers_of_the_caller_are_never_changed() -> None:
    inner: list[Any] = [F]
    outer: dict[Any, Any] = {"in": inner, F: (F,)}

    seen_by_task(outer, more=inner)

    assert inner == [F]
    assert outer == {"in": inner, F: (F,)}


def test_what_the_caller_changes_later_is_not_seen() -> None:
    inner: list[Any] = [F]
    outer: dict[str, Any] = {"in": inner}
    special = Stack([F])
    found = gather((outer, special), {}, deep=True)
    assert found is not None

    inner.append("later")
    outer["later"] = 1
    special.append("later")

    assert fill(found.args, found.kwargs, value_of)[0] == ({"in": ["value"]}, ["value"])


def test_a_container_that_is_passed_in_two_places_is_filled_in_both() -> None:
    shared: list[Any] = [F]
    left, right = [shared], {"k": shared}

    (a, b, c), kwargs = seen_by_task(left, right, [1, [shared]], k=(shared,))

    assert (a, b, c, kwargs) == (
        [["value"]],
        {"k": ["value"]},
        [1, [["value"]]],
        {"k": (["value"],)},
    )


def test_containers_shared_at_every_level_cost_no_more_than_they_are() -> None:
    """Thirty levels of two would be a thousand million copies."""
    shared: list[Any] = [F]
    for _ in range(30):
        shared = [shared, shared]

    (seen,), _ = seen_by_task(shared)

    for _ in range(30):
        assert seen[0] is seen[1]
        seen = seen[0]
    assert seen == ["value"]


def test_a_list_within_itself_comes_out_within_itself() -> None:
    knot: list[Any] = [F]
    knot += [knot, knot]
    ring: dict[str, Any] = {"value": F}
    ring["self"] = ring

    (seen, turned), _ = seen_by_task(knot, ring)

    assert seen[0] == "value"
    assert seen[1] is seen
    assert seen[2] is seen
    assert turned["value"] == "value"
    assert turned["self"] is turned


def test_a_list_within_itself_and_without_futures_is_passed_as_it_is() -> None:
    knot: list[Any] = []
    knot += [knot, knot]

    assert gather((knot,), {}, deep=True) is None
    (seen, _), _ = seen_by_task(knot, F)

    assert seen is knot


def test_a_tuple_within_itself_cannot_be_copied_and_says_so() -> None:
    inner: list[Any] = [F]
    knot = (inner,)
    inner.append(knot)

    with pytest.raises(CallError, match="contains itself"):
        gather((knot,), {}, deep=True)


def test_depth_without_futures_is_no_matter() -> None:
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]

    assert gather((deep,), {}, deep=True) is None
    (seen, value), _ = seen_by_task(deep, F)

    assert seen is deep
    assert value == "value"


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1, 50_000])
def test_a_future_may_sit_deep_but_not_too_deep(depth: int) -> None:
    nested: Any = F
    for _ in range(depth):
        nested = [nested]

    if depth > DEEPEST:
        with pytest.raises(CallError, match=f"more than {DEEPEST} containers deep"):
            gather((nested,), {}, deep=True)
    else:
        (seen,), _ = seen_by_task(nested)
        for _ in range(depth):
            (seen,) = seen
        assert seen == "value"


def test_each_future_is_waited_for_once() -> None:
    found = gather((F, [F, F]), {"k": {F: F}}, deep=True)

    assert found is not None
    assert found.futures == [F]


def test_files_are_found_too() -> None:
    one, two = File("a.txt"), File("b.txt")

    found = gather(([one],), {"k": {"f": two}}, deep=True)

    assert found is not None
    assert (found.files, found.futures) == ([one, two], [])


def test_an_object_that_pretends_is_not_touched() -> None:
    class Lazy:
        """Stands for something that is fetched when it is looked at."""

        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise AssertionError("it was looked at")

    assert gather((Lazy(), [Lazy()]), {}, deep=True) is None


class TestShallow:
    """The resolver that looks at the arguments themselves, and into ``inputs``."""

    def test_it_finds_arguments_and_inputs(self) -> None:
        args, kwargs = seen_by_task(F, k=F, inputs=[F, 1], deep=False)

        assert (args, kwargs) == (("value",), {"k": "value", "inputs": ["value", 1]})

    def test_it_leaves_what_is_deeper(self) -> None:
        nested = [F]
        args, kwargs = seen_by_task(F, nested, k={"f": F}, inputs=[F, nested], deep=False)

        assert args == ("value", [F])
        assert args[1] is nested
        assert kwargs == {"k": {"f": F}, "inputs": ["value", [F]]}

    def test_it_copies_inputs_at_the_call(self) -> None:
        inputs: list[Any] = [F]
        found = gather((), {"inputs": inputs}, deep=False)
        assert found is not None

        inputs.clear()

        assert fill(found.args, found.kwargs, value_of)[1] == {"inputs": ["value"]}
        assert inputs == []


# ------------------------------------------------------------------------------------------ joins


def test_the_leaves_of_a_join_have_paths() -> None:
    held = hold({"left": [1, (2,)], "right": {"deep": [3]}, 4: 5})

    assert [(path_of(way, "the result"), leaf) for way, leaf in leaves(held)] == [
        ("the result['left'][0]", 1),
        ("the result['left'][1][0]", 2),
        ("the result['right']['deep'][0]", 3),
        ("the result[4]", 5),
    ]


def test_a_result_alone_is_a_leaf() -> None:
    assert [(path_of(way, "the result"), leaf) for way, leaf in leaves(hold(F))] == [
        ("the result", F)
    ]


def test_a_path_survives_a_key_that_cannot_be_shown() -> None:
    class Key:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    ((way, _),) = leaves(hold({Key(): 1}))

    assert path_of(way, "the result") == "the result[a Key]"


def test_leaves_of_a_structure_in_itself_come_once() -> None:
    knot: list[Any] = [1]
    knot += [knot, knot]

    assert [leaf for _, leaf in leaves(hold(knot))] == [1]


# ------------------------------------------------------------------------------------------ files


def test_files_are_replaced_and_containers_without_files_are_left() -> None:
    one, two = File("a.txt"), File("b.txt")
    plain = [1, 2]

    args, kwargs = replaced(
        ([one], plain, F), {"k": Point(two, {"f": one})}, File, lambda file: file.filename
    )

    assert args == (["a.txt"], plain, F)
    assert args[1] is plain
    assert kwargs == {"k": Point("b.txt", {"f": "a.txt"})}


def test_arguments_without_files_are_not_copied() -> None:
    args, kwargs = ([1],), {"k": [2]}

    assert replaced(args, kwargs, File, str) == (args, kwargs)
    assert replaced(args, kwargs, File, str)[0] is args


# ------------------------------------------------------------------------------------------- cost


class Counting(list[Any]):
    """Counts how often its items are looked through."""

    passes = 0

    def __iter__(self) -> Iterator[Any]:
        type(self).passes += 1
        return super().__iter__()


def calls_during(action: Any) -> int:
    """How many Python functions are called."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def test_a_large_fan_in_is_linear() -> None:
    def cost(size: int) -> int:
        futures = [future_of(n) for n in range(size)]
        return calls_during(lambda: seen_by_task(futures))

    small, large = cost(1_000), cost(10_000)

    assert large < 10.5 * small


def test_containers_are_looked_through_a_fixed_number_of_times() -> None:
    Counting.passes = 0

    seen_by_task(*[Counting([F, n]) for n in range(100)])

    assert Counting.passes <= 400


# ---------------------------------------------------------------------------------- any structure


def build(shape: Any, futures: bool) -> Any:
    kind, content = shape
    if kind == "leaf":
        return future_of(content) if futures else content
    if kind == "plain":
        return content
    items = [build(item, futures) for item in content]
    if kind == "list":
        return items
    if kind == "tuple":
        return tuple(items)
    return dict(enumerate(items))


SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.tuples(st.sampled_from(("leaf", "plain")), st.integers()),
    lambda inner: st.tuples(
        st.sampled_from(("list", "tuple", "dict")), st.lists(inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SHAPES, max_size=3), st.dictionaries(st.sampled_from("abc"), SHAPES))
def test_what_a_task_sees_is_what_was_given_with_values_for_futures(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    given = [build(shape, True) for shape in args]
    named = {key: build(shape, True) for key, shape in kwargs.items()}

    seen, seen_named = seen_by_task(*given, **named)

    assert list(seen) == [build(shape, False) for shape in args]
    assert seen_named == {key: build(shape, False) for key, shape in kwargs.items()}
