"""The memory of accelerators in samples: NVIDIA's own client, on a stand-in for the driver."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import weft
from tests.systems.needs import needed
from weft.builtin.processes.settings import Processes
from weft.eventlog.reader import read_events
from weft.values.events import ResourceSample

BOUND = 60.0
UNKNOWN = -1
"""What stands in the table for bytes that the driver does not tell."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library with the name of NVIDIA's."""
    needed("cc")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("driver.c")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source],
        check=True,
        timeout=BOUND,
    )
    return folder


@pytest.fixture
def table(driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What processes have on which device, as workers that start from now on are told."""
    path = tmp_path / "table"
    path.touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver))
    monkeypatch.setenv("STANDIN_NVML", str(path))
    return path


def allocate(table: str, sizes: list[int]) -> None:
    """Have so many bytes on each device, beside somebody else who has some."""
    lines = [f"{device} {os.getpid()} {size}\n" for device, size in enumerate(sizes)]
    Path(table).write_text("".join([*lines, "0 1 999\n", "1 1 999\n"]))


def have_a_child_allocate(table: str, size: int) -> None:
    """Have a child hold so many bytes, which goes on until this process ends."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    _CHILDREN.append(child)
    Path(table).write_text(f"1 {child.pid} {size}\n")


_CHILDREN: list[subprocess.Popen[bytes]] = []


def unload(table: str) -> None:
    """End the driver."""
    Path(table).unlink()


def used(folder: Path, table: Path, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What the last sample of each call says, made one after the other on one worker."""
    config = weft.Config(
        run_dir=folder, executors=[Processes(max_workers=1)], resource_samples=600.0
    )
    with weft.load(config) as session:
        for function, *rest in calls:
            weft.python_app(function)(str(table), *rest).result(BOUND)
        run = session.run_folder
    samples = [one for one in read_events(run) if isinstance(one, ResourceSample) and one.last]
    return [one.gpu_memory for one in sorted(samples, key=lambda one: one.id)]


def test_memory_is_that_of_the_task_on_all_devices(table: Path, tmp_path: Path) -> None:
    assert used(tmp_path, table, [(allocate, [3_000_000_000, 500]), (allocate, [0])]) == [
        3_000_000_500,
        0,
    ]


def test_memory_of_children_is_the_tasks(table: Path, tmp_path: Path) -> None:
    assert used(tmp_path, table, [(have_a_child_allocate, 7_000)]) == [7_000]


def test_what_the_driver_does_not_tell_is_unknown(table: Path, tmp_path: Path) -> None:
    calls = [(allocate, [UNKNOWN]), (allocate, [UNKNOWN, 5]), (allocate, [5])]
    assert used(tmp_path, table, calls) == [None, None, 5]


def test_a_driver_that_goes_leaves_the_rest_of_the_samples(table: Path, tmp_path: Path) -> None:
    assert used(tmp_path, table, [(allocate, [5]), (unload,)]) == [5, None]


def test_without_a_driver_nothing_is_said_of_devices(table: Path, tmp_path: Path) -> None:
    table.unlink()
    assert used(tmp_path, table, [(allocate, [5])]) == [None]
