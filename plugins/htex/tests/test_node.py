"""What a node is found to have."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_htex.node import (
    Node,
    accelerator_names,
    accelerator_variables,
    affinity_of,
    looked_at,
    workers_of,
)

NODE = Node(cpus=tuple(range(8)), cores=8.0, memory=16 << 30)


def test_the_environment_overrules_what_the_system_says() -> None:
    found = looked_at({"WEFT_CORES": "2.5", "WEFT_MEMORY": "1024"})
    assert (found.cores, found.memory) == (2.5, 1024)
    assert looked_at({"WEFT_CORES": "many"}).cores == len(looked_at({}).cpus)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 8),
        ({"workers": 3}, 3),
        ({"cores_per_worker": 3.0}, 2),
        ({"cores_per_worker": 0.5}, 16),
        ({"cores_per_worker": 100.0}, 1),
        ({"memory_per_worker": 4 << 30}, 4),
        ({"accelerators": 4}, 4),
        ({"accelerators": 4, "accelerators_each": 2}, 2),
    ],
)
def test_how_many_workers_a_node_gets(options: dict[str, int], count: int) -> None:
    asked = {
        "workers": None,
        "cores_per_worker": 1.0,
        "memory_per_worker": None,
        "accelerators": 0,
        "accelerators_each": 1,
        **options,
    }
    assert workers_of(NODE, **asked) == count  # type: ignore[arg-type]  # each as it should be


def test_accelerators_are_named_and_shared() -> None:
    assert accelerator_names(2, 1.0) == ("0", "1")
    assert accelerator_names(["a", "b"], 0.5) == ("a", "a", "b", "b")
    assert accelerator_names(None, 1.0) == ()
    assert accelerator_names(4, 2.0) == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("drivers", "named"),
    [
        (["kfd"], {"ROCR_VISIBLE_DEVICES"}),
        (["nvidiactl"], {"CUDA_VISIBLE_DEVICES"}),
        ([], {"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"}),
    ],
)
def test_accelerators_are_named_to_their_own_driver_once(
    tmp_path: Path, drivers: list[str], named: set[str]
) -> None:
    for driver in drivers:
        (tmp_path / driver).touch()

    assert set(accelerator_variables((), tmp_path)) == named
    assert accelerator_variables(["MINE"], tmp_path) == ("MINE",)


def test_processors_can_be_listed() -> None:
    assert affinity_of("block") == "block"
    assert affinity_of("list:0,1:2-4,7") == [[0, 1], [2, 3, 4, 7]]
