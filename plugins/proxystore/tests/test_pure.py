"""The parts that decide: what is picked, how it lies in a store, when it may go."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_proxystore.keeping import Book
from weft_proxystore.payload import digest_of, joined, opened, parts_of
from weft_proxystore.policy import Policy, size_of
from weft_proxystore.settings import ProxyStore

LARGE = Policy(min_size=1000)


@pytest.mark.parametrize(
    "value",
    [
        b"x" * 1000,
        "x" * 1000,
        bytearray(1000),
        np.zeros(125),
        pd.DataFrame({"a": np.zeros(125)}),
        list(range(125)),
        memoryview(bytes(1000)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_large_is_picked(value: Any) -> None:
    assert LARGE.picks(value)
    assert not Policy(min_size=10**6).picks(value)


@pytest.mark.parametrize(
    "value", [None, True, 7, 10**400, int, len, lambda: 0, array, ValueError("x" * 5000)]
)
def test_what_cannot_be_a_proxy_is_never_picked(value: Any) -> None:
    assert not Policy(min_size=0).picks(value)


class Frame(pd.DataFrame):
    """A class made of another one."""


def test_classes_are_named_with_those_made_of_them() -> None:
    frame = Frame({"a": np.zeros(1000)})
    for name in ("DataFrame", f"{pd.DataFrame.__module__}.DataFrame", "Frame"):
        assert Policy(min_size=1, types=[name]).picks(frame), name
        assert not Policy(min_size=1, not_types=[name]).picks(frame), name
    assert not Policy(min_size=1, types=["numpy.ndarray"]).picks(frame)


def test_an_object_of_unknown_size_is_picked_by_name_alone() -> None:
    class Model:
        pass

    assert size_of(Model()) is None
    assert not Policy(min_size=0).picks(Model())
    assert Policy(min_size=10**9, types=["Model"]).picks(Model())


@given(st.recursive(st.binary() | st.text() | st.integers() | st.none(), st.lists))
def test_a_payload_is_the_object_again(value: Any) -> None:
    assert opened(joined(parts_of(value))) == value


def test_large_parts_are_writable_and_the_task_s_own() -> None:
    data = joined(parts_of(np.arange(1000)))
    one, other = opened(data), opened(data)
    one[0] = 7
    assert other[0] == 0


@pytest.mark.parametrize("cut", [0, 3, 11, 200, -1])
def test_a_payload_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"cut short|bytes are there"):
        opened(joined(parts_of(np.arange(100)))[:cut])


def test_content_is_known_by_its_parts() -> None:
    def known(value: Any) -> str:
        return digest_of(parts_of(value))

    assert known(np.arange(1000)) == known(np.arange(1000))
    assert known(np.arange(1000)) != known(np.arange(1000, dtype=np.int32))
    assert known(["a", "bc"]) != known(["ab", "c"])
    changed = np.arange(1000)
    before = known(changed)
    changed[500] = 0
    assert known(changed) != before


@given(st.data())
def test_what_somebody_needs_never_goes_and_the_rest_does(data: st.DataObject) -> None:
    """Against a plain account of who needs what."""
    book, needs, there = Book(), set[tuple[str, object]](), set[str]()
    proxies = 0
    for _ in range(data.draw(st.integers(1, 40))):
        key = data.draw(st.sampled_from("abc"))
        act = data.draw(st.sampled_from(("need", "end", "hold", "drop")))
        free: list[str] = []
        if act == "need":
            task = data.draw(st.integers(0, 3))
            book.need(key, task)
            needs.add((key, task))
            there.add(key)
        elif act == "hold":
            proxies += 1
            book.hold(key)
            needs.add((key, f"proxy {proxies}"))
            there.add(key)
        elif act == "end":
            task = data.draw(st.integers(0, 3))
            free = book.ended([task])
            touched = {one for one, who in needs if who == task}
            needs -= {(one, task) for one in touched}
        else:
            mine = [pair for pair in needs if pair[0] == key and isinstance(pair[1], str)]
            if not mine:
                continue
            needs.discard(mine[0])
            free = book.let_go(key)
        there -= set(free)
        needed = {one for one, _ in needs}
        assert not needed & set(free)
        assert there == needed == set(book.keys())


@pytest.mark.parametrize("connector", ["", "files", "a b:C", "module:", ":Class"])
def test_a_connector_that_is_none_is_refused(connector: str) -> None:
    with pytest.raises(ValueError, match=r"is no connector: say one of endpoint, file"):
        ProxyStore(connector=connector)
