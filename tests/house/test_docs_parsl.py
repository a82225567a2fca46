"""The page for those who come from Parsl: what it says of htex is what the options are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import weft
from weft.values.settings import options_of
from weft_htex.settings import HTEX

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "start" / "coming-from.md"

EXECUTOR: Final = frozenset(
    [
        "label",
        "provider",
        "launch_cmd",
        "interchange_launch_cmd",
        "address",
        "loopback_address",
        "worker_port",
        "worker_port_range",
        "interchange_port_range",
        "storage_access",
        "working_dir",
        "worker_debug",
        "cores_per_worker",
        "mem_per_worker",
        "max_workers_per_node",
        "cpu_affinity",
        "available_accelerators",
        "prefetch_capacity",
        "heartbeat_threshold",
        "heartbeat_period",
        "drain_period",
        "poll_period",
        "address_probe_timeout",
        "worker_logdir_root",
        "manager_selector",
        "block_error_handler",
        "encrypted",
        "remote_monitoring_radio",
    ]
)
"""Every option of Parsl's HighThroughputExecutor."""

PROVIDER: Final = frozenset(
    [
        "nodes_per_block",
        "launcher",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "parallelism",
        "worker_init",
        "walltime",
        "cmd_timeout",
    ]
)
"""The options that Parsl's providers share."""

OPTIONS: Final = {option.name: option.default for option in options_of(HTEX)}


class Row(NamedTuple):
    theirs: list[str]
    ours: list[str]
    defaults: list[str]
    differs: str


def rows(heading: str) -> Iterator[Row]:
    section = PAGE.read_text().partition(f"### {heading}\n")[2]
    section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            theirs, ours, defaults = (re.findall(r"`([^`]+)`", cell) for cell in cells[:3])
            yield Row(theirs, ours, defaults, cells[3])


def test_every_option_of_the_executor_and_of_providers_has_a_row() -> None:
    assert {name for row in rows("HighThroughputExecutor") for name in row.theirs} >= EXECUTOR
    assert {name for row in rows("Providers") for name in row.theirs} >= PROVIDER


@pytest.mark.parametrize("row", [*rows("HighThroughputExecutor"), *rows("Providers")], ids=str)
def test_each_option_that_is_named_is_there_and_has_that_default(row: Row) -> None:
    assert [OPTIONS[name] for name in row.ours] == row.defaults
    assert row.ours or row.differs


def test_what_is_said_beside_the_tables_is_there() -> None:
    text = PAGE.read_text()
    for name in re.findall(r"`(\w+_per_worker|\w*strategy)`", text):
        assert name in OPTIONS or name == "mem_per_worker"
    for name in re.findall(r'weft\.launcher\("([\w-]+)"\)', text):
        assert weft.launcher(name).plugin == name
    assert weft.launcher("wrapped", prepend="nice").plugin == "wrapped"
    assert weft.provider("local").plugin == "local"
