"""Large bytes and texts are pickled without being copied, and come out as they went in."""

import pickle
from typing import Any

import pytest

from weft.calls.chunks import Chunks, chunked, holds_large
from weft.calls.packing import LARGE, Packer
from weft.calls.running import Runner, value_of

BIG = bytes(range(256)) * 1024


def in_line(_: pickle.PickleBuffer) -> bool:
    return True


@pytest.mark.parametrize(
    "value",
    [
        BIG,
        bytearray(BIG),
        "é" * LARGE,
        "x" * LARGE,
        [BIG, BIG, b"small"],
        {"a": (BIG, "x" * LARGE)},
        [BIG, [1] * 100_000, {"deep": [[BIG]]}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_pieces_make_up_an_ordinary_pickle(value: Any) -> None:
    found = chunked(value, in_line)

    assert pickle.loads(bytes(found)) == value
    assert len(found) == len(bytes(found))


def test_large_bytes_are_not_copied_at_any_depth() -> None:
    found = chunked([1, {"deep": (BIG, bytearray(BIG))}], in_line)

    assert any(piece is BIG for piece in found.pieces)
    assert len(found.names) < 200


def test_names_are_found_beside_the_payloads_and_never_in_them() -> None:
    payload = b"__main__\x93" * LARGE
    found = chunked([payload, pickle.PickleError], in_line)

    assert b"PickleError" in found.names
    assert b"__main__" not in found.names


@pytest.mark.parametrize(
    ("values", "large"),
    [
        ((BIG,), True),
        (("x" * LARGE,), True),
        ((1, [BIG]), True),
        (({"k": BIG},), True),
        ((b"x" * (LARGE - 1),), False),
        ((1, "two", [3.0] * 1000, {}), False),
        ((), False),
    ],
)
def test_large_values_are_seen_where_people_put_them(values: tuple[Any, ...], large: bool) -> None:
    assert holds_large(values) is large


def same(value: Any) -> Any:
    return value


@pytest.mark.parametrize("value", [BIG, "é" * LARGE, [BIG, {1: bytearray(BIG)}]])
def test_a_call_and_its_result_travel_in_pieces(value: Any) -> None:
    call = Packer(chunks=True).pack(same, (value,), {})
    assert type(call.head) is Chunks
    assert call.function is not None
    runner = Runner(chunks=True)
    runner.define(call.function.digest, call.function.blob)

    result = runner.run(call.function.digest, (), bytes(call.head))

    assert type(result.head) is Chunks
    assert value_of(bytes(result.head)) == value


def test_who_does_not_ask_for_pieces_gets_bytes() -> None:
    assert type(Packer().pack(same, (BIG,), {}).head) is bytes
