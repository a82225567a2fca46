"""The kit for serializers: what is packed comes back, here and elsewhere, or is refused at once."""

import array
import collections
import contextlib
import copy
import datetime as dt
import decimal
import fractions
import functools
import gc
import inspect
import operator
import os
import pickle
import random
import re
import socket
import sys
import threading
import tracemalloc
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final, NamedTuple

import attrs
import pytest

from weft.interfaces.serializer import Buffer, Serializer, SerializerContext, Subject
from weft.values.plugin import Kind, Level, Support
from weft.values.settings import Settings
from weft_testkit.base import Conformance
from weft_testkit.bounded import Caller, all_at_once
from weft_testkit.elsewhere import Ended, run_elsewhere
from weft_testkit.rules import rule

__all__ = ["Block", "SerializerConformance"]


class Point(NamedTuple):
    """A named tuple."""

    x: float
    y: float


@attrs.frozen
class Reading:
    """A value of a class that can be imported."""

    at: dt.datetime
    of: tuple[str, ...]


class Colour(str):
    """A string of a class of its own."""

    __slots__ = ()


class Failure(Exception):
    """An exception with a fact beside its message."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = 7


class Block:
    """A large value whose bytes can be handed over as they lie, as an array's."""

    def __init__(self, data: Buffer) -> None:
        self.data = memoryview(data)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Block, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Block) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]


_PLAIN: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    2**53,
    0.5,
    -0.0,
    1e300,
    "",
    "text",
    "naïve — 数据 \U0001f9ec",
    "zero \0 and newline \n",
    [],
    {},
    [1, [2, [3, None]], "x"],
    {"a": {"b": [1.5, {"c": ""}]}, "": 0},
)
"""What every format knows."""

_BROAD: Final[tuple[Any, ...]] = (
    2**63,
    -(2**63) - 1,
    10**400,
    float("inf"),
    float("nan"),
    1 - 2j,
    "\ud800 alone",
    b"",
    bytes(range(256)),
    bytearray(b"abc"),
    (),
    (1,),
    (1, (2, [3])),
    {1, 2, 3},
    frozenset({"a", ("b", 1)}),
    {1: "int", "1": "text", 1.5: "float", None: "none", (1, 2): "tuple"},
    {"order": 1, "kept": 2, "a": 3},
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.defaultdict(list, {"a": [1]}),
    collections.deque([1, 2], maxlen=5),
    collections.Counter("abca"),
    Point(1.0, 2.0),
    Reading(dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), ("a", "b")),
    Colour("red"),
    dt.datetime(2024, 2, 29, 12, 30, 15, 123456),  # noqa: DTZ001 - without a zone on purpose
    dt.timedelta(days=-1, microseconds=1),
    dt.date(1, 1, 1),
    decimal.Decimal("1.10"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=7),
    PurePosixPath("/a b/c"),
    range(0, 10, 3),
    Ellipsis,
    NotImplemented,
    re.compile("a+", re.IGNORECASE),
    array.array("d", [1.5, -2.5]),
    Kind.EXECUTOR,
    Level,
    len,
    operator.itemgetter(1),
    functools.partial(int, base=2),
    sys.version_info[:3],
    [[[[[[[[[[]]]]]]]]]],
    ["x" * 100_000, b"y" * 100_000],
)
"""What some formats know: each is packed and comes back as it was, or is refused."""


class Packer:
    """A serializer each of whose calls is bounded, and raises only where that is asked for.

    It is made when a rule asks for it: what breaks as it is made fails that rule, and no fixture.
    """

    def __init__(self, make: Callable[[], Serializer], caller: Caller) -> None:
        self._make, self._caller = make, caller
        self._made: Serializer | None = None

    def pack(self, value: Any) -> Sequence[Buffer]:
        return self._caller.well(self._sound().pack, value)

    def unpack(self, buffers: Sequence[Buffer]) -> Any:
        return self._caller.well(self._sound().unpack, buffers)

    def packed(self, value: Any) -> Sequence[Buffer] | None:
        """It packed; ``None`` if that is refused."""
        try:
            return self._caller.call(self._sound().pack, value)
        except Exception:  # noqa: BLE001 - what a format's library raises is its own matter
            return None

    def trouble(self, buffers: Sequence[Buffer]) -> BaseException | None:
        """What unpacking raises."""
        try:
            self._caller.call(self._sound().unpack, buffers)
        except Exception as trouble:  # noqa: BLE001 - which one it is, is looked at
            return trouble
        return None

    def _sound(self) -> Serializer:
        if self._made is None:
            self._made = self._caller.well(self._make)
        return self._made


class SerializerConformance(Conformance):
    """Proves that a serializer keeps the promises of ``weft.interfaces.serializer``.

    Override ``values`` to add what your format is made for, and ``large`` if it hands over buffers
    of other objects than those that export them to pickle.
    """

    kind: ClassVar[Kind] = Kind.SERIALIZER

    @pytest.fixture
    def values(self) -> Sequence[Any]:
        """What is packed beside plain data; equal to what comes back, or refused."""
        return _BROAD

    @pytest.fixture
    def large(self) -> tuple[Any, memoryview]:
        """A value of a megabyte, and a view of the bytes that it consists of."""
        data = bytearray(bytes(range(256)) * 4096)
        return Block(data), memoryview(data)

    @pytest.fixture
    def packer(self, settings: Settings, caller: Caller) -> Packer:
        """The serializer."""
        return Packer(lambda: self.open(settings), caller)

    def open(self, settings: Settings) -> Any:
        """The serializer of these settings, started. Override it to wrap what it gives."""
        made: Serializer = super().open(settings)
        made.start(SerializerContext(run_id="the kit", part=self.registry().open))
        return made

    # ---------------------------------------------------------------------------------- the format

    @rule("R001", "It has an id: a short name with a version, and always the same.")
    def test_id(self, settings: Settings, caller: Caller) -> None:
        first, second = self.open(settings), self.open(settings)
        known = first.id
        assert isinstance(known, str), f"its id is {known!r}"
        assert re.fullmatch(r"[a-z][a-z0-9._+-]{0,30}", known), f"its id is {known!r}"
        assert re.search(r"\d", known), f"the id {known!r} has no version"
        caller.well(first.pack, 1)
        assert first.id == second.id == known, "its id changes"

    @rule("R002", "What is packed is a sequence of buffers, of which the first is not empty.")
    def test_gives_buffers(self, packer: Packer) -> None:
        for value in _PLAIN:
            packed = packer.packed(value)
            if packed is None:  # what it must not refuse is the next rule's matter
                continue
            assert isinstance(packed, Sequence), f"{value!r} becomes {type(packed).__name__}"
            assert not isinstance(packed, (str, bytes, bytearray, memoryview)), "one bare buffer"
            assert packed, f"{value!r} becomes nothing"
            for buffer in packed:
                assert isinstance(buffer, (bytes, bytearray, memoryview)), f"{type(buffer)} in it"
                assert memoryview(buffer).c_contiguous, "a buffer with gaps"
            assert len(packed[0]), f"{value!r} has an empty head"

    # --------------------------------------------------------------------------------- round trips

    @rule("R101", "Plain data come back: None, numbers, texts, lists, dicts by text.")
    def test_plain_data(self, packer: Packer) -> None:
        for value in _PLAIN:
            again = packer.unpack(packer.pack(value))
            assert _alike(value, again), f"{value!r} comes back as {again!r}"

    @rule("R102", "What it packs comes back equal and of its type; what cannot, it does not pack.")
    def test_comes_back(self, packer: Packer, values: Sequence[Any]) -> None:
        for value in values:
            packed = packer.packed(value)
            if packed is None:
                continue
            again = packer.unpack(packed)
            assert _alike(value, again), f"{_short(value)} comes back as {_short(again)}"

    @rule("R103", "Random nests of all of it come back.")
    def test_nests(self, packer: Packer, values: Sequence[Any]) -> None:
        chance = random.Random(7)
        known = [one for one in (*_PLAIN, *values) if packer.packed(one) is not None]
        for _ in range(100):
            value = _nest(chance, known, 4)
            packed = packer.packed(value)
            if packed is not None:
                assert _alike(value, packer.unpack(packed)), f"{_short(value)} does not come back"

    @rule("R104", "An exception comes back with its arguments and attributes, or is refused.")
    def test_exceptions(self, packer: Packer) -> None:
        for error in (ValueError("x", 1), OSError(2, "none", "file"), Failure("why")):
            packed = packer.packed(error)
            if packed is None:
                continue
            again = packer.unpack(packed)
            assert type(again) is type(error)
            assert again.args == error.args, f"{error!r} comes back as {again!r}"
            assert vars(again) == vars(error), f"of {error!r} some attributes are lost"

    @rule("R105", "What holds itself comes back holding itself, or is refused.")
    def test_cycles(self, packer: Packer) -> None:
        circle: list[Any] = [1]
        circle.append(circle)
        own: dict[str, Any] = {}
        own["own"] = [own]
        packed = packer.packed(circle)
        if packed is not None:
            again = packer.unpack(packed)
            assert again[0] == 1, f"it comes back as {_short(again)}"
            assert again[1] is again, "it comes back as something that does not hold itself"
        packed = packer.packed(own)
        if packed is not None:
            again = packer.unpack(packed)
            assert again["own"][0] is again, "it comes back as something that does not hold itself"

    @rule("R106", "What is in a value twice is one thing there again, unless data alone are known.")
    def test_sharing(self, packer: Packer) -> None:
        if self.component().capabilities.get("data-only") in {Support.FULL, Support.PARTIAL}:
            pytest.skip("a format for data alone may write it twice")
        one = ["in it twice"]
        first, second = packer.unpack(packer.pack([one, {"again": one}]))
        assert first is second["again"], "there are two of it now"

    @rule("R107", "What cannot come back is refused when it is packed, not when it is unpacked.")
    def test_refuses_early(self, packer: Packer, scratch: Path) -> None:
        with _awkward(scratch / "open") as awkward:
            for value in awkward:
                packed = packer.packed(value)
                if packed is None:
                    continue
                again = packer.unpack(packed)  # what it raises now came too late
                if hasattr(again, "close"):  # a file that was opened again
                    again.close()

    @rule("R108", "Refusing one value does not harm the next, nor does packing change a value.")
    def test_harms_nothing(self, packer: Packer, values: Sequence[Any]) -> None:
        plain = copy.deepcopy(_PLAIN)
        for value in (*values, (one for one in "a generator"), threading.Lock()):
            packer.packed(value)
            assert _alike([1, "x"], packer.unpack(packer.pack([1, "x"]))), (
                f"after {_short(value)} other values do not come back"
            )
        mutable = [[3, 1, 2], {"b": [1], "a": 2}]
        packer.pack(mutable)
        assert mutable == [[3, 1, 2], {"b": [1], "a": 2}], "packing changed the value"
        assert list(mutable[1]) == ["b", "a"], "packing changed the order of a dict"
        assert _alike(list(plain), list(_PLAIN)), "packing changed a value"

    @rule("R109", "A value goes by what it was when it was packed.")
    def test_packs_now(self, packer: Packer) -> None:
        value = {"a": [1]}
        packed = packer.pack(value)
        value["a"].append(2)
        assert packer.unpack(packed) == {"a": [1]}, "later changes are in it"
        first, second = packer.unpack(packed), packer.unpack(packed)
        first["a"].append(3)
        assert second == {"a": [1]}, "two that were unpacked share their parts"

    # ----------------------------------------------------------------- whatever it is packed with

    @rule("R201", "What one packs, another of the same settings unpacks.")
    def test_has_no_state(self, settings: Settings, caller: Caller) -> None:
        first, second = self.open(settings), self.open(settings)
        for value in _PLAIN:
            again = caller.well(second.unpack, caller.well(first.pack, value))
            assert _alike(value, again), f"{value!r} comes back as {again!r}"

    @rule("R202", "Buffers may come back as bytes, as bytearrays or as views, read-only or not.")
    def test_takes_any_buffer(self, packer: Packer, large: tuple[Any, memoryview]) -> None:
        forms: tuple[Callable[[Buffer], Buffer], ...] = (
            bytes,
            bytearray,
            lambda buffer: memoryview(bytes(buffer)),
            lambda buffer: memoryview(bytearray(buffer)),
            lambda buffer: memoryview(b"before" + bytes(buffer) + b"after")[6:-5],
        )
        for value in ({"a": [1, "x"]}, large[0]):
            packed = packer.packed(value)
            if packed is None:
                continue
            for form in forms:
                again = packer.unpack([form(buffer) for buffer in packed])
                assert _alike(value, again), f"{_short(value)} does not come back"
            assert _alike(value, packer.unpack(tuple(packed))), "it takes a list alone"

    @rule("R203", "Any thread may use it, several at once.")
    def test_threads(self, settings: Settings, patience: float) -> None:
        shared: Serializer = self.open(settings)

        def use(mine: int) -> None:
            for n in range(50):
                value = {"thread": mine, "round": n, "data": [mine] * 1000}
                again = shared.unpack(shared.pack(value))
                assert again == value, f"thread {mine} got {_short(again)}"

        uses = [functools.partial(use, n) for n in range(4)]
        all_at_once("weft-testkit-packer", uses, patience)

    @rule("R204", "Another process unpacks it.")
    def test_other_process(
        self, settings: Settings, packer: Packer, values: Sequence[Any], patience: float
    ) -> None:
        known = [*_PLAIN, *(one for one in values if packer.packed(one) is not None)]
        packed = [_owned(packer.pack(value)) for value in known]
        ended = _well(run_elsewhere(self, unpack_and_tell, settings, packed, seconds=patience + 10))
        for value, told in zip(known, ended.value, strict=True):
            again = packer.unpack(told)
            assert _alike(value, again), f"{_short(value)} comes back as {_short(again)}"

    # ------------------------------------------------------------------------------------ in a run

    @rule("R205", "The arguments of a task and its result come back, whatever it makes of them.")
    def test_packs_for(self, settings: Settings, caller: Caller, values: Sequence[Any]) -> None:
        first, second = self.open(settings), self.open(settings)
        for value in (*_PLAIN, *values):
            packed = _packed_for(caller, first, value, Subject(part="result", app="a", task=1))
            if packed is None:
                continue
            again = caller.well(second.unpack, _owned(packed))
            assert _alike(value, again), f"{_short(value)} comes back as {_short(again)}"
        call = [[1, "x"], {"key": [2.5]}]
        packed = _packed_for(caller, first, call, Subject(part="arguments", app="a", task=2))
        assert packed is not None, "the plainest of calls is refused"
        again = caller.well(second.unpack, _owned(packed))
        assert _alike(call, again), f"the arguments {call} come back as {_short(again)}"

    @rule("R206", "It may be told of any task that it ended, and be closed twice.")
    def test_life(self, settings: Settings, caller: Caller) -> None:
        mine: Serializer = self.open(settings)
        packed = caller.well(mine.pack_for, [1], Subject(part="result", app="a", task=1))
        caller.well(mine.ended, [])
        caller.well(mine.ended, [7, 8])  # never heard of
        assert caller.well(mine.unpack, packed) == [1], "the end of others harms a value"
        caller.well(mine.ended, [1])
        caller.well(mine.ended, (1,))
        again = caller.well(mine.pack_for, [2], Subject(part="result", app="a", task=2))
        assert caller.well(mine.unpack, again) == [2], "the end of one task harms the next"
        caller.well(mine.close)
        caller.well(mine.close)

    # -------------------------------------------------------------------------------- capabilities

    @rule(
        "R301", "A large buffer is handed over as it lies, beside a small head.", needs=("buffers",)
    )
    def test_hands_buffers_over(self, packer: Packer, large: tuple[Any, memoryview]) -> None:
        value, content = large
        packed = packer.pack(value)
        assert len(packed) > 1, "there is nothing beside the head"
        assert memoryview(packed[0]).nbytes < content.nbytes // 16, "the head holds it"
        content[:4] = b"mark"
        assert any(bytes(memoryview(b).cast("B")[:4]) == b"mark" for b in packed[1:]), (
            "the buffer was copied"
        )

    @rule("R302", "What is unpacked lies in the buffers that came.", needs=("buffers",))
    def test_uses_the_buffers(self, packer: Packer, large: tuple[Any, memoryview]) -> None:
        value, content = large
        came = [bytearray(buffer) for buffer in packer.pack(value)]
        again = packer.unpack(came)
        assert _alike(value, again), "it does not come back"
        for buffer in came[1:]:
            buffer[:4] = b"mark"
        content[:4] = b"mark"
        assert _alike(value, again), "what came was copied"

    @rule("R303", "Lambdas and closures go with their code.", needs=("functions.by-value",))
    def test_closures(self, settings: Settings, packer: Packer, patience: float) -> None:
        start, step = 40, [1]

        def count(more: int = 1) -> int:
            return start + more + step[0]

        functions = [count, lambda: start + 2, functools.partial(lambda a, b: a * b, 6, 7)]
        packed = [_owned(packer.pack(function)) for function in functions]
        ended = _well(run_elsewhere(self, call_each, settings, packed, seconds=patience + 10))
        assert ended.value == [42, 42, 42]

    @rule(
        "R304",
        "Functions and classes of the main script go with their code.",
        needs=("functions.by-value",),
    )
    def test_main_script(self, settings: Settings, patience: float) -> None:
        packed = _well(run_elsewhere(self, pack_of_main, settings, seconds=patience + 10)).value
        ended = _well(run_elsewhere(self, call_each, settings, packed, seconds=patience + 10))
        assert ended.value == [42]

    @rule("R305", "Unpacking never runs code that the bytes ask for.", needs=("data-only",))
    def test_runs_no_code(self, packer: Packer, scratch: Path) -> None:
        proof = scratch / "code has run"
        for planted in (*_planted(proof), *_own_planted(packer, proof)):
            packer.trouble([planted])
            assert not proof.exists(), f"{bytes(planted)[:60]!r} had code run"

    # -------------------------------------------------------------------------------------- faults

    @rule("R401", "Bytes that were cut short raise.", level=Level.SUPPORTED)
    def test_cut_short(self, packer: Packer) -> None:
        head, *rest = _owned(packer.pack({"a": [1, "text", 2.5], "b": None}))
        for end in range(len(head)):
            trouble = packer.trouble([head[:end], *rest])
            assert trouble is not None, f"of {len(head)} bytes {end} were enough"

    @rule(
        "R402",
        "Bytes that were changed raise or give something: no crash, no hang, no flood of memory.",
        level=Level.SUPPORTED,
    )
    def test_changed_bytes(self, settings: Settings, packer: Packer, patience: float) -> None:
        packed = _owned(packer.pack({"a": [1, "text", 2.5], "b": None, "c": "x" * 300}))
        ended = run_elsewhere(self, unpack_changed, settings, packed, seconds=patience + 20)
        assert ended.exit_code == 0, f"it ended with {ended.exit_code}: {ended.said[-500:]}"

    @rule(
        "R403",
        "A value nested 50 000 deep comes back or is refused; the process lives on.",
        level=Level.SUPPORTED,
    )
    def test_deep_nesting(self, settings: Settings, patience: float) -> None:
        ended = run_elsewhere(self, pack_deep, settings, seconds=patience + 20)
        assert ended.exit_code == 0, f"it ended with {ended.exit_code}: {ended.said[-500:]}"

    @rule("R404", "Packing 16 MB takes no more than four times that.", level=Level.SUPPORTED)
    def test_memory(self, packer: Packer) -> None:
        size = 16 * 1024 * 1024
        value = ["x" * size]
        packer.pack(["warm"])
        packed, took = _memory_of(lambda: packer.pack(value))
        assert took <= 4 * size, f"packing took {took / size:.1f} times the value's size"
        _, took = _memory_of(lambda: packer.unpack(packed))
        assert took <= 4 * size, f"unpacking took {took / size:.1f} times the value's size"


# ----------------------------------------------------------------------------- in another process


def unpack_and_tell(
    kit: SerializerConformance, settings: Settings, packed: Sequence[Sequence[Buffer]]
) -> list[list[bytes]]:
    """Unpack and pack again what another process packed."""
    mine: Serializer = kit.open(settings)
    return [_owned(mine.pack(mine.unpack(one))) for one in packed]


def call_each(
    kit: SerializerConformance, settings: Settings, packed: Sequence[Sequence[Buffer]]
) -> list[Any]:
    """Unpack functions and call them."""
    mine: Serializer = kit.open(settings)
    return [mine.unpack(one)() for one in packed]


def pack_of_main(kit: SerializerConformance, settings: Settings) -> list[list[bytes]]:
    """Pack a function that a main script defines."""
    main = sys.modules["__main__"]
    exec(_SCRIPT, vars(main))  # noqa: S102 - a script of this kit
    mine: Serializer = kit.open(settings)
    return [_owned(mine.pack(vars(main)["answer"]))]


_SCRIPT: Final = """
import math
base = 36
class Holder:
    def __init__(self, value):
        self.value = value
def helper():
    return Holder(base + math.isqrt(36))
def answer():
    return helper().value
"""


def unpack_changed(kit: SerializerConformance, settings: Settings, packed: Sequence[bytes]) -> None:
    """Unpack it with every byte changed in several ways, under a limit of memory."""
    import resource

    mine: Serializer = kit.open(settings)
    mine.unpack(packed)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    head, *rest = packed
    for at in range(len(head)):
        for change in (0x01, 0x80, 0xFF):
            changed = bytearray(head)
            changed[at] ^= change
            with contextlib.suppress(Exception):
                mine.unpack([bytes(changed), *rest])


def pack_deep(kit: SerializerConformance, settings: Settings) -> None:
    """Pack a value of lists in lists, and then an ordinary one."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    mine: Serializer = kit.open(settings)
    try:
        packed = mine.pack(deep)
    except Exception:  # noqa: BLE001 - refused, which is as good
        packed = None
    if packed is not None:
        again, depth = mine.unpack(packed), 0
        while again:
            again, depth = again[0], depth + 1
        assert depth == 50_000
    assert mine.unpack(mine.pack([1])) == [1]


# ------------------------------------------------------------------------------------------- tools


def _packed_for(
    caller: Caller, mine: Serializer, value: Any, subject: Subject
) -> Sequence[Buffer] | None:
    try:
        packed: Sequence[Buffer] = caller.call(mine.pack_for, value, subject)
    except Exception:  # noqa: BLE001 - what a format's library raises is its own matter
        return None
    return packed


def _owned(packed: Sequence[Buffer]) -> list[bytes]:
    return [bytes(buffer) for buffer in packed]


def _well(ended: Ended) -> Ended:
    assert ended.exit_code == 0, f"another process could not do it:\n{ended.said[-2000:]}"
    return ended


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}…"


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are of one type and equal, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)  # nan is nan, and -0.0 is not 0.0
    if isinstance(one, dict):
        return list(map(_key, one)) == list(map(_key, other)) and all(
            _alike(a, b) for a, b in zip(one.values(), other.values(), strict=True)
        )
    if isinstance(one, (list, tuple, collections.deque)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, functools.partial):
        return _alike([one.func, one.args, one.keywords], [other.func, other.args, other.keywords])
    if isinstance(one, operator.itemgetter):
        return repr(one) == repr(other)
    return bool(one == other)


def _key(key: Any) -> tuple[type, Any]:
    return type(key), key


def _nest(chance: random.Random, leaves: Sequence[Any], depth: int) -> Any:
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(leaves)
    parts = [_nest(chance, leaves, depth - 1) for _ in range(chance.randrange(4))]
    if chance.random() < 0.5:
        return parts
    return {f"key {n}": part for n, part in enumerate(parts)}


class _awkward:  # noqa: N801 - used as a function
    """Values that mean nothing elsewhere."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("w+b")
        self._socket = socket.socket()

    def __enter__(self) -> Sequence[Any]:
        local: dict[str, Any] = {}
        exec("class Local: pass\nlocal = Local()", local)  # noqa: S102 - a class of no module
        return (
            (n for n in range(3)),
            iter([1, 2]),
            threading.Lock(),
            threading.local(),
            self._file,
            self._socket,
            inspect.currentframe(),
            memoryview(b"abc"),
            os.environ,
            gc,
            lambda: 1,
            local["local"],
            {"deep": [{"inside": threading.Event()}]},
        )

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


def _touch(path: str) -> None:
    Path(path).touch()


@attrs.frozen
class _Evil:
    """Asks whoever unpacks it to call something."""

    path: str

    def __reduce__(self) -> tuple[Any, ...]:
        return _touch, (self.path,)


def _planted(proof: Path) -> Iterator[bytes]:
    """Bytes of common formats that ask for code to be run."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.dumps(_Evil(str(proof)), protocol)
    yield f"!!python/object/apply:pathlib.Path.touch [{str(proof)!r}]".encode()
    yield b'{"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": ["%b"]}]}' % bytes(proof)
    yield b"__import__('os').mkdir(%r)" % bytes(proof)


def _own_planted(packer: Packer, proof: Path) -> Iterator[Buffer]:
    """The same in the format itself, if it packs such a thing."""
    packed = packer.packed(_Evil(str(proof)))
    if packed is not None:
        yield packed[0]


def _memory_of(function: Callable[[], Any]) -> tuple[Any, int]:
    """What a call returns, and how much memory it had at most beyond what was there before."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        value = function()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return value, peak - before
