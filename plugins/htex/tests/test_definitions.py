"""Definitions that are passed on: as many as there is room for, those that were used last."""

from hypothesis import given
from hypothesis import strategies as st

from weft_htex.definitions import Definitions


def test_what_was_used_last_stays() -> None:
    some: Definitions[str] = Definitions(30)
    for name in "abc":
        some.put(name.encode(), name, 10)
    assert not some.trim()
    assert some.get(b"a") == "a"
    some.put(b"d", "d", 10)
    assert some.trim()
    assert (some.get(b"b"), some.get(b"a"), some.size) == (None, "a", 30)


def test_the_last_one_stays_however_large_it_is() -> None:
    some: Definitions[str] = Definitions(30)
    some.put(b"a", "a", 10)
    some.put(b"b", "b", 1000)
    assert some.trim()
    assert (b"a" in some, some.get(b"b")) == (False, "b")
    assert not some.trim()


def test_what_is_spared_stays() -> None:
    some: Definitions[str] = Definitions(30)
    for name in "abcde":
        some.put(name.encode(), name, 10)
    assert some.trim({b"a", b"b"})
    assert [name for name in "abcde" if name.encode() in some] == ["a", "b", "e"]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 40)), max_size=60))
def test_there_are_never_too_many_and_the_sum_is_right(puts: list[tuple[str, int]]) -> None:
    some: Definitions[int] = Definitions(100)
    sizes: dict[str, int] = {}
    for name, size in puts:
        some.put(name.encode(), size, size)
        sizes[name] = size
        some.trim()
        kept = [one for one in sizes if one.encode() in some]
        assert some.size == sum(sizes[one] for one in kept) <= 100
        assert some.get(name.encode()) == size
        assert len(some) == len(kept)
