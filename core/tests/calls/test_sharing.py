"""Objects that many calls share: sent once, read-only, found again after being forgotten."""

import gc
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.calls import Packer, Runner, calls_message, value_of
from weft.calls.batches import opened_calls
from weft.calls.sharing import shared
from weft.errors import SerializationError
from weft.workers import crew, process

BOUND = 60.0
numpy = pytest.importorskip("numpy")


def total(handle: Any, more: int = 0) -> float:
    return float(handle.value.sum()) + more


def size_of(parts: list[Any]) -> int:
    return sum(memoryview(part).nbytes for part in parts)


def test_the_content_travels_with_the_first_call_alone() -> None:
    handle = shared(numpy.ones(1_000_000))
    packer, sent = Packer(), {}  # type: ignore[var-annotated]
    first = calls_message([(1, packer.pack(total, (handle,), {}))], sent)
    second = calls_message([(2, packer.pack(total, ([handle, handle],), {"more": 1}))], sent)

    assert size_of(first) > 8_000_000
    assert size_of(second) < 1000


def test_a_call_that_has_no_handle_asks_for_no_content() -> None:
    handle, packer = shared(numpy.ones(10)), Packer()
    pickle.dumps(handle)  # by somebody else
    assert packer.pack(total, (handle,), {}).needs
    assert packer.pack(total, (Path("x"),), {}).needs == ()


def test_equal_contents_are_one() -> None:
    one, other = shared(numpy.arange(1000)), shared(numpy.arange(1000))
    assert one is other
    assert shared(numpy.arange(1001)).key != one.key


def test_what_is_shared_is_what_it_was() -> None:
    array = numpy.arange(10)
    handle = shared(array)
    array[0] = 99

    digests, sent = Runner(), {}  # type: ignore[var-annotated]
    # As on a worker: nothing of home is known there.
    message = calls_message([(1, Packer().pack(total, (handle,), {}))], sent)
    key = handle.key
    del handle
    gc.collect()
    _, definitions, ((_, function, needs, head, buffers),) = opened_calls(message)
    for name, blob in definitions:
        digests.define(name, blob)
    result = digests.run(function, needs, head, buffers)
    assert value_of(result.head, result.buffers) == 45.0
    assert shared(numpy.arange(10)).key == key


def test_what_cannot_be_shared_is_named() -> None:
    with pytest.raises(SerializationError, match=r"(?s)the object\['lock'\].*A lock holds"):
        shared({"lock": threading.Lock()})


def test_a_handle_without_its_content_says_so() -> None:
    packed = pickle.dumps(shared([1, "of its own"]))
    gc.collect()
    with pytest.raises(SerializationError, match="Keep the handle"):
        pickle.loads(packed)


@pytest.mark.parametrize("name", ["default", "cloudpickle"])
def test_all_calls_of_a_worker_have_one_object_that_none_can_change(
    name: str, tmp_path: Path
) -> None:
    def seen(handle: Any, at: int) -> tuple[float, bool, int]:
        array = handle.value["array"]
        return float(array[at]), bool(array.flags.writeable), id(array)

    def same(handle: Any) -> Any:
        return handle

    chosen = {} if name == "default" else {"serializer": weft.serializer(name)}
    executor = weft.executor("processes", max_workers=1, **chosen)
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        app = weft.python_app(seen)
        handle = weft.shared({"array": numpy.arange(1_000_000)})
        found = [one.result(BOUND) for one in [app(handle, at) for at in range(20)]]
        back = weft.python_app(same)([handle]).result(BOUND)

    assert [value for value, _, _ in found] == list(range(20))
    assert {writeable for _, writeable, _ in found} == {False}
    assert len({which for _, _, which in found}) == 1
    assert back[0] is handle


def test_threads_take_the_object_itself(tmp_path: Path) -> None:
    value = [1, 2]
    with weft.load(weft.Config(run_dir=tmp_path)):
        assert weft.python_app(lambda handle: handle.value)(weft.shared(value)).result(60) is value


def test_what_a_worker_had_to_forget_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (process, crew):
        monkeypatch.setattr(module, "GREAT_ROOM", 10 << 20)
    handles = [weft.shared(numpy.full(1_000_000, float(n))) for n in range(3)]
    executor = weft.executor("processes", max_workers=1)
    with weft.load(weft.Config(executors=[executor], run_dir=tmp_path)):
        app = weft.python_app(total)
        values = [app(handles[n % 3], n).result(BOUND) for n in range(12)]

    assert values == [(n % 3) * 1e6 + n for n in range(12)]


def test_a_cached_app_knows_it_by_its_content(tmp_path: Path) -> None:
    with weft.load(weft.Config(run_dir=tmp_path)) as session:
        app = weft.python_app(cache=True)(total)
        for size in (3, 3, 2):
            assert app(weft.shared(numpy.ones(size))).result(60) == size
        assert session.status().from_memory == {"total": 1}
