"""Calls have the same key exactly when nothing tells them apart."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import itertools
import math
import operator
import os
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.dataflow.memo_keys import CallKeys, app_identity, id_for_memo
from weft.errors import UnknownIdentity
from weft.values.files import File


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - the kind without types


class Spot(typing.NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Box:
    size: int
    tags: list[Any] = dataclasses.field(default_factory=list)


@attrs.define
class Case:
    size: int
    tags: list[Any] = attrs.field(factory=list)


class Celsius(float):
    pass


class Labelled(dict[str, Any]):
    def __init__(self, label: Any, **items: Any) -> None:
        super().__init__(**items)
        self.label = label


class BiggerBox(Box):
    pass


class Bare:
    pass


class Known:
    def __init__(self, name: Any) -> None:
        self.name = name

    def __weft_memo__(self) -> Any:
        return self.name, [1]


def function(x: Any, y: Any = 2, *, z: Any = 3) -> Any:
    return x + y + z


def other(x: Any, y: Any = 2, *, z: Any = 3) -> Any:
    return x - y - z


def masked(values: Any, mask: Any) -> Any:
    return np.ma.MaskedArray(values, mask)


DIFFERENT: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    255,
    256,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**4000,
    0.0,
    -0.0,
    1.0,
    math.nan,
    math.inf,
    1e300,
    0j,
    1j,
    complex(0, -0.0),
    "",
    "a",
    "1",
    "None",
    "a" * 64,
    "a" * 65,
    "\udc80",
    b"",
    b"a",
    b"a" * 65,
    bytearray(b"a"),
    memoryview(b"a"),
    memoryview(array.array("i", [1])),
    array.array("b", [97]),
    array.array("d", [1.0]),
    ...,
    NotImplemented,
    (),
    (1,),
    ((1,),),
    (1, (2, 3)),
    ((1, 2), 3),
    (1, 2, 3),
    [],
    [1],
    [1, 2],
    [2, 1],
    {},
    {"a": 1},
    {"a": 1, "b": 2},
    {"a": 2, "b": 1},
    {"a": {"b": 1}},
    {1: "a"},
    {True: "a"},
    {b"a": 1},
    [("a", 1)],
    set(),
    {1},
    {1, 2},
    {1.5, 2},
    frozenset(),
    frozenset({1}),
    collections.deque([1]),
    collections.deque([1], maxlen=3),
    collections.OrderedDict(a=1, b=2),
    collections.OrderedDict(b=2, a=1),
    collections.Counter("ab"),
    collections.defaultdict(int, a=1),
    collections.defaultdict(float, a=1),
    types.MappingProxyType({"a": 1}),
    types.SimpleNamespace(a=1),
    decimal.Decimal("1.0"),
    decimal.Decimal("1.00"),
    decimal.Decimal("NaN"),
    fractions.Fraction(1, 2),
    fractions.Fraction(2, 1),
    range(3),
    range(0, 3, 2),
    slice(3),
    slice(0, 3),
    dt.date(2020, 1, 1),
    dt.datetime(2020, 1, 1),  # noqa: DTZ001 - without a zone
    dt.datetime(2020, 1, 1, fold=1),  # noqa: DTZ001 - without a zone
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    dt.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    dt.time(1),
    dt.timedelta(1),
    dt.timezone.utc,  # noqa: UP017 - the object by its class
    dt.timezone(dt.timedelta(hours=1)),
    dt.timezone(dt.timedelta(hours=1), "name"),
    zoneinfo.ZoneInfo("UTC"),
    uuid.UUID(int=1),
    Colour.RED,
    Colour.BLUE,
    Level.LOW,
    Flags.A,
    Flags.A | Flags.B,
    Point(1, 2),
    Spot(1, 2),
    Box(1),
    Box(1, [1]),
    BiggerBox(1),
    Case(1),
    Case(1, [1]),
    Celsius(1.0),
    Labelled("a", x=1),
    Labelled("b", x=1),
    Known("a"),
    Known("b"),
    pathlib.Path("/nowhere/a"),
    pathlib.PureWindowsPath("a"),
    File("/nowhere/a"),
    File("ftp://nowhere/a"),
    re.compile("a"),
    re.compile("a", re.IGNORECASE),
    re.compile(b"a"),
    function,
    other,
    functools.partial(function, 1),
    functools.partial(function, 2),
    functools.partial(function, y=1),
    functools.lru_cache(function),
    Box,
    Case,
    int,
    len,
    abs,
    [].append,
    [1].append,
    "a".join,
    str.upper,
    str.lower,
    dict.fromkeys,
    Known("a").__weft_memo__,
    Known("b").__weft_memo__,
    operator.itemgetter(1),
    operator.itemgetter(2),
    operator.attrgetter("a"),
    operator.methodcaller("a", 1, b=2),
    os,
    math,
    list[int],
    list[str],
    np,
    np.float32(1),
    np.float64(1),
    np.int64(1),
    np.bool_(True),
    np.str_("a"),
    np.datetime64("2020-01-01"),
    np.datetime64("2020-01-01", "s"),
    np.dtype("f8"),
    np.dtype("f4"),
    np.dtype([("a", "i4")]),
    np.array([1, 2]),
    np.array([2, 1]),
    np.array([[1, 2]]),
    np.array([[1], [2]]),
    np.array([1, 2], "i4"),
    np.array([1, 2], ">i4"),
    np.array([1.0, 2.0]),
    np.array(1),
    np.array([]),
    np.array([], "i4"),
    np.array([""]),
    np.array(["a"]),
    np.array([b"a"]),
    np.array([None, "a"], object),
    np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
    np.array([1, 2], np.longdouble),
    np.array([1j], np.clongdouble),
    np.array(["2020-01-01"], "M8[D]"),
    np.array([1, 2]).view(np.recarray),
    masked([1, 2], [False, True]),
    masked([1, 2], [True, False]),
    np.add,
    np.sum,
    np.mean,
    pd.Series([1, 2]),
    pd.Series([1, 2], name="a"),
    pd.Series([1, 2], index=[1, 2]),
    pd.Series([1, 2], dtype="Int64"),
    pd.Series([1, None], dtype="Int64"),
    pd.Series(["a", "b"]),
    pd.Series(["a", "b"], dtype=object),
    pd.Series(["a", "b"], dtype="category"),
    pd.Series(["a", "b"], dtype=pd.CategoricalDtype(["b", "a"])),
    pd.Series(["a", "b"], dtype=pd.CategoricalDtype(["a", "b"], ordered=True)),
    pd.Series(pd.date_range("2020", periods=2)),
    pd.Series(pd.date_range("2020", periods=2, tz="UTC")),
    pd.Series(pd.period_range("2020", periods=2, freq="D")),
    pd.Series(pd.arrays.SparseArray([0, 1])),
    pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2])),
    pd.DataFrame({"a": [1, 2]}),
    pd.DataFrame({"b": [1, 2]}),
    pd.DataFrame({"a": [1, 2], "b": [1, 2]}),
    pd.DataFrame({"b": [1, 2], "a": [1, 2]}),
    pd.DataFrame({"a": [1, "x"]}),
    pd.Index([1, 2]),
    pd.RangeIndex(2),
    pd.MultiIndex.from_tuples([(1, 2)]),
    pd.MultiIndex.from_tuples([(1, 2)], names=["a", "b"]),
    pd.date_range("2020", periods=2),
    pd.Timestamp("2020-01-01"),
    pd.Timestamp("2020-01-01", tz="UTC"),
    pd.Timedelta("1s"),
    pd.Period("2020", "D"),
    pd.Interval(0, 1),
    pd.NaT,
    pd.NA,
    pd.CategoricalDtype(["a"]),
    pd.Int64Dtype(),
]


def shown(value: Any) -> Any:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def test_values_that_can_be_told_apart_have_different_identities() -> None:
    seen: dict[bytes, Any] = {}
    for value in DIFFERENT:
        identity = id_for_memo(value)
        assert len(identity) == 32
        assert identity not in seen, f"{value!r} and {seen[identity]!r}"
        seen[identity] = value


@pytest.mark.parametrize("value", DIFFERENT, ids=shown)
def test_the_identity_of_a_value_is_the_same_the_next_time_and_inside_something(value: Any) -> None:
    assert id_for_memo(value) == id_for_memo(value)
    assert id_for_memo([value, value]) == id_for_memo([value, value])
    assert id_for_memo([value]) != id_for_memo([[value]])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}),
        ({"b", "a", "c"}, {"c", "b", "a"}),
        ({(1, 2), None}, {None, (1, 2)}),
        (math.nan, -math.nan),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(6)[::2], np.array([0, 2, 4])),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 2]}).copy()),
        (pd.DataFrame({"a": [1, 2], "b": [3, 4]})[["a"]], pd.DataFrame({"a": [1, 2]})),
    ],
)
def test_what_does_not_matter_does_not_count(one: Any, two: Any) -> None:
    assert id_for_memo(one) == id_for_memo(two)


def test_bytes_between_the_fields_of_a_structured_array_do_not_count() -> None:
    layout = np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"], "offsets": [0, 8]})
    one, two = (np.frombuffer(bytes([fill]) * 16, layout).copy() for fill in (0, 255))
    one["a"] = two["a"] = 1
    one["b"] = two["b"] = 2

    assert id_for_memo(one) == id_for_memo(two)


def test_unused_bytes_of_long_doubles_do_not_count() -> None:
    one = np.full(3, 1.1, np.longdouble)
    raw = bytearray(one.tobytes())
    for start in range(0, len(raw), one.itemsize):
        raw[start + 10 : start + one.itemsize] = b"\xab" * (one.itemsize - 10)
    two = np.frombuffer(bytes(raw), np.longdouble)
    assert (one == two).all()

    assert id_for_memo(one) == id_for_memo(two)
    assert id_for_memo(one) != id_for_memo(np.nextafter(one, 2))


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
)
# Sets and dicts are made of lists: strategies of their own draw again what was drawn before, and
# describe themselves each time, at a length that is a warning.
hashable = st.recursive(
    leaves,
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3).map(frozenset),
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.lists(st.tuples(hashable, inner), max_size=3).map(dict)
        | st.lists(hashable, max_size=3).map(set)
    ),
    max_leaves=12,
)


def canonical(value: Any) -> Any:
    """The value as text that tells types apart and knows no order where there is none."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({','.join(sorted(map(canonical, value)))})"
    if isinstance(value, dict):
        return (
            f"dict({','.join(sorted(canonical(k) + ':' + canonical(v) for k, v in value.items()))})"
        )
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({','.join(map(canonical, value))})"
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return f"{type(value).__name__} {value!r}"


# Hypothesis warns when it shows a strategy to itself that is as long as this one.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@given(values, values)
@settings(max_examples=300, deadline=None)
def test_any_two_values_have_one_identity_exactly_if_they_are_written_alike(
    one: Any, two: Any
) -> None:
    assert (id_for_memo(one) == id_for_memo(two)) == (canonical(one) == canonical(two))


def test_a_structure_nested_a_hundred_thousand_deep_has_an_identity() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    assert id_for_memo(value) != id_for_memo([value])


def test_a_part_that_is_held_many_times_is_visited_once() -> None:
    value: list[Any] = [1]
    for _ in range(200):
        value = [value, value]

    assert len(id_for_memo(value)) == 32


def test_a_structure_that_holds_itself_is_refused_with_the_way_to_the_loop() -> None:
    value: dict[str, list[Any]] = {"a": [1]}
    value["a"].append(value)

    with pytest.raises(UnknownIdentity, match=r"value\['a'\]\[1\]") as caught:
        id_for_memo(value)

    assert "holds itself" in str(caught.value)


def test_a_stand_in_that_is_new_each_time_ends_in_an_error() -> None:
    class Endless:
        def __weft_memo__(self) -> Any:
            return Endless()

    with pytest.raises(UnknownIdentity, match="nested deeper"):
        id_for_memo(Endless())


def test_an_unknown_type_is_named_with_its_path_and_the_way_to_register_it() -> None:
    box = Box(1, [{"handle": Bare()}])

    with pytest.raises(UnknownIdentity) as caught:
        CallKeys(function).key((1,), {"z": box})

    assert caught.value.path == "kwargs['z'].tags[0]['handle']"
    assert caught.value.type_name.endswith("test_memo_keys.Bare")
    assert "weft.id_for_memo.register(Bare" in str(caught.value)


@pytest.mark.parametrize("value", [iter([]), object(), lambda: (yield), open], ids=shown)
def test_what_can_be_passed_on_but_not_compared_is_unknown_or_known_by_its_code(value: Any) -> None:
    if callable(value):
        assert len(id_for_memo(value)) == 32
    else:
        with pytest.raises(UnknownIdentity):
            id_for_memo(value)


def test_a_registered_function_says_what_stands_for_a_class_and_those_derived_from_it() -> None:
    class Handle:
        def __init__(self, name: Any) -> None:
            self.name = name

    class SafeHandle(Handle):
        pass

    @id_for_memo.register(Handle)
    def by_name(handle: Any) -> Any:
        return handle.name

    assert id_for_memo(Handle("a")) == id_for_memo(Handle("a"))
    assert id_for_memo(Handle("a")) != id_for_memo(Handle("b"))
    assert id_for_memo(Handle("a")) != id_for_memo(SafeHandle("a"))
    id_for_memo.register(SafeHandle, lambda handle: "all alike")
    assert id_for_memo(SafeHandle("a")) == id_for_memo(SafeHandle("b"))


def test_the_identity_of_a_builtin_leaf_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match="fixed"):
        id_for_memo.register(str, lambda value: "same")
    with pytest.raises(TypeError, match="class first"):
        id_for_memo.register("str", lambda value: "same")  # type: ignore[call-overload]  # wrong


def test_a_stand_in_that_fails_is_an_unknown_identity_with_its_cause() -> None:
    class Broken:
        def __weft_memo__(self) -> None:
            raise ZeroDivisionError("oh")

    with pytest.raises(UnknownIdentity, match="ZeroDivisionError: oh") as caught:
        id_for_memo([Broken()])

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_attributes_added_in_a_derived_class_count() -> None:
    one, two = BiggerBox(1), BiggerBox(1)
    assert id_for_memo(one) == id_for_memo(two)

    two.extra = 5  # type: ignore[attr-defined]  # that is the point

    assert id_for_memo(one) != id_for_memo(two)


# ------------------------------------------------------------------------------------------ files


def test_a_local_file_is_known_by_what_is_on_disk(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    os.utime(path, ns=(0, 10**18))
    first = id_for_memo(File(path))
    assert id_for_memo(File(path)) == first

    os.utime(path, ns=(0, 10**18 + 1))
    later = id_for_memo(File(path))
    path.write_text("other")
    os.utime(path, ns=(0, 10**18 + 1))
    longer = id_for_memo(File(path))
    path.unlink()

    assert len({first, later, longer, id_for_memo(File(path))}) == 4


def test_outputs_are_known_by_name_since_they_will_be_replaced(tmp_path: pathlib.Path) -> None:
    def app(inputs: Any = (), outputs: Any = (), stdout: Any = None) -> None:
        pass

    made = tmp_path / "made"
    keys = CallKeys(app)
    outputs = {"outputs": [File(made)], "stdout": File(made)}
    before = keys.key((), outputs)

    made.write_text("made")

    assert keys.key((), outputs) == before
    assert keys.key(((), [File(made)], File(made)), {}) == before
    assert keys.key((), {"outputs": [File(tmp_path / "other")]}) != before
    assert keys.key((), {"inputs": [File(made)]}) != keys.key((), {"outputs": [File(made)]})


# ------------------------------------------------------------------------------------------ calls


def test_the_spelling_of_a_call_does_not_matter() -> None:
    key = CallKeys(function).key

    assert (
        len(
            {
                key((1,), {}),
                key((1, 2), {}),
                key((1,), {"y": 2}),
                key((), {"y": 2, "x": 1}),
                key((), {"x": 1, "y": 2}),
                key((1,), {"z": 3, "y": 2}),
            }
        )
        == 1
    )


def test_the_arguments_of_a_call_matter() -> None:
    key = CallKeys(function).key
    calls = [
        key((1,), {}),
        key((2,), {}),
        key((1, 1), {}),
        key((1,), {"z": 1}),
        key((1.0,), {}),
        key((), {}),
        key((1, 2, 3), {}),
        key((1, 2, 3, 4), {}),
        key((1,), {"x": 1}),
        key((1,), {"w": 1}),
    ]

    assert len(set(calls)) == len(calls)


def test_further_positions_and_keywords_keep_their_places() -> None:
    def app(a: Any, /, *rest: Any, b: Any = 0, **more: Any) -> None:
        pass

    key = CallKeys(app).key
    calls = [
        key((1,), {}),
        key((1, 2), {}),
        key((1, 2, 3), {}),
        key((1, 3, 2), {}),
        key((1, (2, 3)), {}),
        key((1,), {"a": 1}),
        key((1,), {"b": 1}),
        key((1,), {"c": 1}),
        key((1,), {"c": 1, "d": 2}),
        key((1,), {"c": 2, "d": 1}),
    ]

    assert len(set(calls)) == len(calls)
    assert key((1,), {"c": 1, "d": 2}) == key((1,), {"d": 2, "c": 1})


def test_ignored_arguments_do_not_count_however_they_are_given() -> None:
    def app(x: Any, log: Any, /, verbose: Any = False, **more: Any) -> None:
        pass

    key = CallKeys(app, ignored=("log", "verbose", "note")).key

    assert key((1, Bare()), {}) == key((1, iter([])), {"verbose": True, "note": Bare()})
    assert key((1, None), {"walltime": 1, "priority": 2, "resources": Bare()}) == key((1, None), {})
    assert key((1, None), {}) != key((2, None), {})


def test_a_function_written_in_c_has_keys_too() -> None:
    assert CallKeys(max).key((1, 2), {}) != CallKeys(max).key((2, 1), {})
    assert CallKeys(max).key((1, 2), {}) != CallKeys(min).key((1, 2), {})


def test_a_default_without_identity_refuses_only_the_calls_that_it_makes_unsure() -> None:
    def app(x: Any, log: Any = Bare()) -> None:  # noqa: B008
        pass

    with pytest.raises(UnknownIdentity, match="version"):
        CallKeys(app).key((1,), {})
    key = CallKeys(app, version="1").key
    assert key((1,), {}) == key((1,), {})


# ------------------------------------------------------------------------------------------- apps


def made_by(source: Any, name: Any = "f", module: Any = "made") -> Any:
    space = {"__name__": module}
    exec(compile(source, "<made>", "exec"), space)
    return space[name]


def test_functions_without_source_are_known_by_their_code() -> None:
    one, same, more = (
        made_by(f"def f(x):\n    return [y + {n} for y in x if y in {{1, 'a', 2}}]")
        for n in (1, 1, 2)
    )

    assert app_identity(one) == app_identity(same)
    assert app_identity(one) != app_identity(more)


def test_two_lambdas_on_one_line_are_two_functions() -> None:
    add, take = lambda x: x + 1, lambda x: x - 1

    assert app_identity(add) != app_identity(take)


def test_module_and_name_count() -> None:
    source = "def f(x): return x\ndef g(x): return x"

    assert len({app_identity(made_by(source, n, m)) for n, m in itertools.product("fg", "ab")}) == 4


def test_defaults_count_also_where_the_source_is_the_same() -> None:
    def maker(n: Any) -> Any:
        def app(x: Any = n, *, y: Any = n) -> None:
            pass

        return app

    assert app_identity(maker(1)) == app_identity(maker(1))
    assert app_identity(maker(1)) != app_identity(maker(2))


def test_closed_over_values_count_as_they_are_at_the_call() -> None:
    count = 1

    def app(x: Any) -> Any:
        return x + count

    keys = CallKeys(app)
    before = keys.key((1,), {})
    assert keys.key((1,), {}) == before

    count = 2

    assert keys.key((1,), {}) != before


def test_closed_over_lists_count_by_what_is_in_them_now() -> None:
    items = [1]

    def app() -> Any:
        return items

    keys = CallKeys(app)
    before = keys.identity
    items.append(2)

    assert keys.identity != before


def test_a_wrapper_counts_and_so_does_what_it_wraps() -> None:
    def loud(wrapped: Any) -> Any:
        @functools.wraps(wrapped)
        def call(*args: Any, **kwargs: Any) -> Any:
            return wrapped(*args, **kwargs)

        return call

    assert app_identity(loud(function)) == app_identity(loud(function))
    assert app_identity(loud(function)) != app_identity(function)
    assert app_identity(loud(function)) != app_identity(loud(other))
    key = CallKeys(loud(function)).key
    assert key((1, 2), {}) == key((), {"x": 1, "y": 2})


def test_a_function_that_calls_itself_has_an_identity() -> None:
    def outer() -> Any:
        def even(n: Any) -> Any:
            return n == 0 or odd(n - 1)

        def odd(n: Any) -> Any:
            return n != 0 and even(n - 1)

        return even, odd

    even, odd = outer()
    assert app_identity(even) == app_identity(outer()[0])
    assert app_identity(even) != app_identity(odd)


def test_callable_objects_are_known_by_class_and_state() -> None:
    class Scale:
        def __init__(self, by: Any) -> None:
            self.by = by

        def __call__(self, x: Any) -> Any:
            return x * self.by

    assert app_identity(Scale(2)) == app_identity(Scale(2))
    assert app_identity(Scale(2)) != app_identity(Scale(3))
    with pytest.raises(UnknownIdentity, match=r"The app 'test.*Scale'"):
        app_identity(Scale(Bare()))
    assert app_identity(Scale(Bare()), "1") == app_identity(Scale(Bare()), "1")


def test_a_closed_over_variable_without_identity_is_named() -> None:
    handle = Bare()

    def app() -> Any:
        return handle

    with pytest.raises(UnknownIdentity, match="its variable 'handle'") as caught:
        app_identity(app)

    assert "version='1'" in str(caught.value)
    assert app_identity(app, "1") != app_identity(app, "2")


def test_a_version_replaces_the_source() -> None:
    one, two = made_by("def f(x): return 1"), made_by("def f(x): return 2")

    assert app_identity(one) != app_identity(two)
    assert app_identity(one, "1") == app_identity(two, "1")
    assert app_identity(one, "1") != app_identity(one, "2")
    assert app_identity(one, "") != app_identity(one)


def test_an_error_about_identity_survives_pickling() -> None:
    import pickle

    with pytest.raises(UnknownIdentity) as caught:
        id_for_memo(Bare())
    again = pickle.loads(pickle.dumps(caught.value))

    assert str(again) == str(caught.value)
    assert again.path == "value"
