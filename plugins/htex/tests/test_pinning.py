"""Workers are kept to their accelerators and their processors: whole runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import Config, Resources, python_app

BOUND = 60.0
VARIABLES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR")


@python_app
def together(
    folder: str, count: int, names: tuple[str, ...]
) -> tuple[int, list[str | None], list[int]]:
    """Its worker, the values of variables, and its processors; ends when so many have begun."""
    import os
    import threading
    import time
    from pathlib import Path

    (Path(folder) / str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < count and time.monotonic() < until:
        threading.Event().wait(0.01)
    return os.getpid(), [os.environ.get(name) for name in names], sorted(os.sched_getaffinity(0))


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., list[Any]]:
    """Runs as many tasks at once as there are workers. Returns what each of them saw."""

    def run(count: int, names: tuple[str, ...] = VARIABLES, **options: Any) -> list[Any]:
        begun = tmp_path / "begun"
        begun.mkdir()
        config = Config(executors=[weft.executor("htex", **options)], run_dir=tmp_path / "runs")
        with weft.load(config):
            tasks = [together(str(begun), count, names) for _ in range(count)]
            found = [one.result(BOUND) for one in tasks]
        assert len({pid for pid, _, _ in found}) == count
        return found

    return run


@pytest.mark.parametrize(
    ("options", "count", "values"),
    [
        ({"accelerators": 3}, 3, ["0", "1", "2"]),
        ({"accelerators": ("GPU-a", "GPU-b")}, 2, ["GPU-a", "GPU-b"]),
        ({"accelerators": 2, "accelerators_per_worker": 0.5}, 4, ["0", "0", "1", "1"]),
        ({"accelerators": 4, "accelerators_per_worker": 2}, 2, ["0,1", "2,3"]),
    ],
)
def test_each_worker_sees_its_own_accelerators(
    seen: Any, options: dict[str, Any], count: int, values: list[str]
) -> None:
    found = seen(count, accelerator_variables=VARIABLES, cores_per_worker=0.1, **options)

    assert sorted(named[0] for _, named, _ in found) == values
    assert all(len(set(named)) == 1 for _, named, _ in found)


def test_a_task_that_asks_for_several_accelerators_gets_as_many(tmp_path: Path) -> None:
    @python_app
    def named() -> str:
        return os.environ["CUDA_VISIBLE_DEVICES"]

    asked: Any = named
    executor = weft.executor(
        "htex",
        accelerators=("a", "b", "c"),
        accelerator_variables=("CUDA_VISIBLE_DEVICES",),
        cores_per_worker=0.1,
    )
    with weft.load(Config(executors=[executor], run_dir=tmp_path)):
        two = asked(resources=Resources(accelerators=2)).result(BOUND)
        one = asked(resources=Resources(accelerators=1)).result(BOUND)

    assert len(set(two.split(","))) == 2
    assert set(two.split(",")) < {"a", "b", "c"}
    assert one in {"a", "b", "c"}


def test_workers_are_kept_to_their_processors(seen: Any) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("there is one processor")
    first, second = cpus[0], cpus[-1]

    found = seen(2, workers_per_node=2, cpu_affinity=f"list:{first}:{second}")

    assert sorted(own for _, _, own in found) == [[first], [second]]


def test_blocks_of_processors_do_not_overlap(seen: Any) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("there is one processor")

    found = seen(2, workers_per_node=2, cpu_affinity="block")

    one, other = (set(own) for _, _, own in found)
    assert one
    assert other
    assert not one & other
    assert one | other <= set(cpus)
