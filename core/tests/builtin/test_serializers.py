"""Large arrays and tables go through every serializer that promises it without being copied."""

import pickle
from collections.abc import Sequence
from typing import Any

import pytest

import weft
from weft.builtin import manifest
from weft.calls import Packer, calls_message
from weft.configuration.registry import default_registry
from weft.interfaces.serializer import Buffer, Serializer, SerializerContext
from weft.serializers import Serializers
from weft.values.plugin import Component, Kind, Support

numpy = pytest.importorskip("numpy")

SIZE = 500_000


def promising() -> list[str]:
    """The serializers of weft itself that declare that they hand buffers over."""
    return [
        one.name
        for one in vars(manifest).values()
        if isinstance(one, Component)
        and one.kind is Kind.SERIALIZER
        and one.capabilities["buffers"] is Support.FULL
    ]


def opened(name: str) -> Serializer:
    """A serializer, as a session opens it."""
    registry = default_registry()
    made = registry.open(weft.serializer(name))
    made.start(SerializerContext(run_id="test", part=registry.open))
    return made


def place(buffer: Any) -> tuple[int, int]:
    """Where a buffer begins in memory, and how many bytes it has."""
    flat = numpy.frombuffer(buffer, dtype=numpy.uint8)
    return flat.__array_interface__["data"][0], flat.nbytes


def lies_in(part: Any, buffers: Sequence[Any]) -> bool:
    """Whether a buffer is memory of one of these."""
    begin, size = place(part)
    return any(
        start <= begin and begin + size <= start + length
        for start, length in (place(one) for one in buffers if memoryview(one).nbytes)
    )


def an_array() -> tuple[Any, Any]:
    made = numpy.arange(SIZE, dtype=numpy.float64)
    return made, lambda one: [one]


def two_dimensions() -> tuple[Any, Any]:
    made = numpy.asfortranarray(numpy.arange(SIZE, dtype=numpy.float64).reshape(1000, -1))
    return made, lambda one: [one.T]


def a_table() -> tuple[Any, Any]:
    pandas = pytest.importorskip("pandas")
    made = pandas.DataFrame({"a": numpy.arange(SIZE), "b": numpy.arange(SIZE) * 0.5})
    return made, lambda one: [one["a"].to_numpy(), one["b"].to_numpy()]


def an_arrow_table() -> tuple[Any, Any]:
    pyarrow = pytest.importorskip("pyarrow")
    made = pyarrow.table({"a": numpy.arange(SIZE), "b": numpy.arange(SIZE) * 0.5})
    return made, lambda one: [chunk.buffers()[1] for name in "ab" for chunk in one[name].chunks]


KINDS = [an_array, two_dimensions, a_table, an_arrow_table]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", promising())
def test_it_is_handed_over_where_it_lies_and_used_where_it_arrived(name: str, make: Any) -> None:
    serializer = opened(name)
    value, parts_of = make()

    packed = serializer.pack({"in": ["something", value]})
    assert memoryview(packed[0]).nbytes < 65536
    for part in parts_of(value):
        assert lies_in(part, packed[1:]), "copied as it was packed"

    came: list[Buffer] = [bytearray(buffer) for buffer in packed]
    again = serializer.unpack(came)["in"][1]
    for part, sent in zip(parts_of(again), parts_of(value), strict=True):
        assert lies_in(part, came[1:]), "copied as it was unpacked"
        assert bytes(memoryview(part).cast("B")) == bytes(memoryview(sent).cast("B"))
    serializer.close()


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["", *promising()])
def test_in_the_message_that_is_sent_lies_the_callers_own_memory(name: str, make: Any) -> None:
    serializers = Serializers(default_registry(), "run", lambda *_: None)
    chosen = serializers.open(weft.serializer(name)) if name else None
    value, parts_of = make()
    try:
        call = Packer(chunks=True).pack(len, (value,), {}, chosen=chosen)
        message = calls_message([(0, call)], {})
        for part in parts_of(value):
            assert lies_in(part, message[1:])
    finally:
        serializers.close()


def test_what_has_gaps_is_copied_and_comes_back() -> None:
    value = numpy.arange(SIZE * 2)[::2]
    for name in promising():
        serializer = opened(name)
        assert (serializer.unpack(serializer.pack(value)) == value).all()
    assert (pickle.loads(pickle.dumps(value)) == value).all()
