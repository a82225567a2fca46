"""The serializer with a store of files: what travels, what is stored, and when it goes."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from proxystore.proxy import Proxy, is_resolved

from weft.errors import SerializationError
from weft.interfaces.serializer import Subject
from weft_proxystore.errors import ObjectGone, StoreAway

if TYPE_CHECKING:
    from plugins.proxystore.tests.conftest import Open

BIG = np.arange(10_000.0)


def arguments(task: int) -> Subject:
    return Subject(part="arguments", app="fit", task=task)


def result(task: int) -> Subject:
    return Subject(part="result", app="fit", task=task)


def stored(folder: Path) -> int:
    return len([one for one in folder.rglob("*") if one.suffix == ".ready"])


class Model:
    """Holds something large."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights


def test_what_was_fetched_is_kept_up_to_a_size(opened: Any) -> None:
    content = [bytes([n]) * 100_000 for n in range(3)]
    for keep, expected in ((0, []), (150_000, [2]), (1_000_000, [0, 1, 2])):
        client, worker = opened(keep_size=keep), opened(on_worker=True, keep_size=keep)
        store = client._lender.store
        keys = [store.put(one) for one in content]
        reader = worker._lender.store
        assert [reader.fetch(key) for key in keys] == content
        for key in keys:
            store.evict(key)
        assert [n for n, key in enumerate(keys) if _is_kept(reader, key)] == expected


def _is_kept(store: Any, key: Any) -> bool:
    try:
        store.fetch(key)
    except ObjectGone:
        return False
    return True


def test_large_values_travel_as_notes_wherever_they_lie(opened: Open, folder: Path) -> None:
    client, worker = opened(), opened(on_worker=True)
    sent: list[Any] = [[BIG, 1, {"deep": [BIG * 2]}], {"model": Model(BIG * 3), "text": "t" * 5000}]
    buffers = client.pack_for(sent, arguments(1))

    assert sum(len(memoryview(part)) for part in buffers) < 3000
    assert stored(folder) == 4
    (first, one, deep), kwargs = worker.unpack(buffers)
    for got, factor in ((first, 1), (deep["deep"][0], 2), (kwargs["model"].weights, 3)):
        assert type(got).__mro__[1] is Proxy
        assert not is_resolved(got)
        assert isinstance(got, np.ndarray)
        assert (np.asarray(got) == BIG * factor).all()
    assert one == 1
    assert type(kwargs["text"]) is str, "much code takes nothing but a real text"
    assert sent[0][2]["deep"][0] is not first, "what was given is not changed"
    assert type(sent[1]["text"]) is str


def test_the_same_content_is_stored_once(opened: Open, folder: Path) -> None:
    client = opened()
    text = b"b" * 5000
    for task in range(20):
        client.pack_for([[BIG, BIG.copy(), text], {}], arguments(task))
    assert stored(folder) == 2


def test_what_changed_in_between_is_stored_anew(opened: Open, folder: Path) -> None:
    client, worker = opened(), opened(on_worker=True)
    mine = BIG.copy()
    before = client.pack_for([[mine], {}], arguments(1))
    mine[0] = 7
    after = client.pack_for([[mine], {}], arguments(2))

    assert worker.unpack(before)[0][0][0] == 0
    assert worker.unpack(after)[0][0][0] == 7


def test_objects_go_with_the_last_task_that_needs_them(opened: Open, folder: Path) -> None:
    client = opened()
    for task in (1, 2, 2):  # the second is tried twice
        client.pack_for([[BIG], {}], arguments(task))
    client.pack_for([[BIG * 2], {}], arguments(3))
    client.ended([1])
    assert stored(folder) == 2
    client.ended([2])
    assert stored(folder) == 1
    client.ended([3, 4])
    assert stored(folder) == 0
    client.pack_for([[BIG], {}], arguments(5))
    assert stored(folder) == 1, "the same content again is stored again"


def test_a_result_is_there_for_as_long_as_somebody_has_it(opened: Open, folder: Path) -> None:
    client, worker = opened(), opened(on_worker=True)
    got = client.unpack(worker.pack_for({"a": BIG}, result(1)))
    client.ended([1])
    assert stored(folder) == 1
    client.pack_for([[got["a"]], {}], arguments(2))
    assert not is_resolved(got["a"]), "it goes on without coming here"
    assert stored(folder) == 1
    del got
    gc.collect()
    client.ended([1])
    assert stored(folder) == 1, "task 2 still needs it"
    client.ended([2])
    assert stored(folder) == 0


def test_an_argument_that_is_returned_is_a_result_of_its_own(opened: Open, folder: Path) -> None:
    client, worker = opened(), opened(on_worker=True)
    (array,), _ = worker.unpack(client.pack_for([[BIG], {}], arguments(1)))
    got = client.unpack(worker.pack_for([array], result(1)))
    client.ended([1])
    assert (np.asarray(got[0]) == BIG).all()


def test_by_anything_else_a_proxy_is_pickled_as_its_object(opened: Open) -> None:
    client, worker = opened(), opened(on_worker=True)
    got = client.unpack(worker.pack_for(BIG, result(1)))
    client.close()
    again = pickle.loads(pickle.dumps(got)) if is_resolved(got) else None
    assert again is None
    other = opened("run-2")
    second = other.unpack(opened("run-2", on_worker=True).pack_for(BIG, result(1)))
    assert type(pickle.loads(pickle.dumps(second))) is np.ndarray


def test_what_a_task_does_to_its_object_is_its_own(opened: Open) -> None:
    client, worker = opened(), opened(on_worker=True)
    buffers = client.pack_for([[BIG], {}], arguments(1))
    first, second = worker.unpack(buffers)[0][0], worker.unpack(buffers)[0][0]
    first += 1
    assert second[0] == 0


def test_only_what_is_named_goes_through_the_store(opened: Open, folder: Path) -> None:
    client, worker = opened(names=["data"]), opened(names=["data"], on_worker=True)
    args, kwargs = worker.unpack(
        client.pack_for([[BIG], {"data": [BIG * 2], "other": BIG * 3}], arguments(1))
    )
    assert stored(folder) == 1
    assert type(args[0]) is np.ndarray
    assert type(kwargs["other"]) is np.ndarray
    assert isinstance(kwargs["data"][0], np.ndarray)
    assert type(kwargs["data"][0]) is not np.ndarray


def test_without_proxies_tasks_get_the_objects(opened: Open, folder: Path) -> None:
    client, worker = opened(lazy=False), opened(lazy=False, on_worker=True)
    (got,), _ = worker.unpack(client.pack_for([[BIG], {}], arguments(1)))
    assert stored(folder) == 1
    assert type(got) is np.ndarray


def test_results_can_stay_out_of_the_store(opened: Open, folder: Path) -> None:
    client, worker = opened(results=False), opened(results=False, on_worker=True)
    assert type(client.unpack(worker.pack_for(BIG, result(1)))) is np.ndarray
    assert stored(folder) == 0


def test_a_container_within_itself_is_left_as_it_is(opened: Open) -> None:
    client, worker = opened(), opened(on_worker=True)
    ring: list[Any] = [1]
    ring.append(ring)
    got = worker.unpack(client.pack_for([[ring], {}], arguments(1)))[0][0]
    assert got[1] is got


# ------------------------------------------------------------------------------ what can go wrong


def test_an_object_that_is_gone_is_named(opened: Open, folder: Path) -> None:
    client, worker = opened(), opened(on_worker=True)
    (got,), _ = worker.unpack(client.pack_for([[BIG], {}], arguments(1)))
    client.ended([1])
    with pytest.raises(ObjectGone, match=rf"not in the store file \({folder}\) any more"):
        got.sum()


def test_a_store_that_cannot_be_written_is_named(opened: Open, folder: Path) -> None:
    client = opened()
    for one in folder.iterdir():
        one.rename(folder.parent / "moved")
    with pytest.raises(StoreAway, match=r"could not take an object of \d+,\d+ bytes"):
        client.pack_for([[BIG], {}], arguments(1))


def test_a_proxy_of_a_store_that_is_closed_says_so(opened: Open) -> None:
    client, worker = opened(), opened(on_worker=True)
    packed = worker.pack_for(BIG, result(1))
    client.close()
    worker.close()
    del client, worker
    gc.collect()
    with pytest.raises((SerializationError, ObjectGone)):
        opened("run-2").unpack(packed).sum()


def test_the_end_of_a_run_leaves_nothing(opened: Open, folder: Path) -> None:
    client = opened()
    client.pack_for([[BIG], {}], arguments(1))
    client.close()
    assert list(folder.iterdir()) == []


def test_a_run_removes_what_a_dead_one_left(opened: Open, folder: Path) -> None:
    opened("run-1").pack_for([[BIG], {}], arguments(1))
    note = folder / "run-1" / "weft-run.json"
    note.write_text(note.read_text().replace('"began": "', '"began": "1'))
    (folder / "not of ours").mkdir()
    opened("run-2")
    assert sorted(one.name for one in folder.iterdir()) == ["not of ours", "run-2"]
