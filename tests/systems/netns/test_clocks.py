"""What clocks say on nodes does not matter."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from weft_netns.cluster import BOUND, Gate, eventually, managers

from weft import python_app

SHIFTED = """
import socket, time

_real = time.time
_years = {"node1": -20, "node2": 10}.get(socket.gethostname(), 0)
time.time = lambda: _real() + _years * 31_536_000
"""


@python_app
def clocks() -> tuple[str, float, float]:
    """What its host calls itself, and what its clocks say."""
    import socket
    import time

    return socket.gethostname(), time.time(), time.monotonic()


def test_nodes_whose_clocks_are_days_and_years_apart(
    cluster: Any, gate: Gate, tmp_path: Path
) -> None:
    site = tmp_path / "shifted"
    site.mkdir()
    (site / "sitecustomize.py").write_text(textwrap.dedent(SHIFTED))
    there = cluster(nodes=2, ahead=1_000_000.0)
    init = f'export PYTHONPATH="{site}:$PYTHONPATH"'
    timed: Any = clocks
    with there.session(
        nodes_per_block=2, block_walltime=600.0, worker_init=init, workers_per_node=1
    ) as session:
        eventually(lambda: len(managers(session)) == 2)
        said = [one.result(BOUND) for one in [timed(walltime=30.0) for _ in range(300)]]
        left = [one["left"] for one in managers(session).values()]
        silent = [one["silent"] for one in managers(session).values()]

    by_host = {name: (wall, ticks) for name, wall, ticks in said}
    assert set(by_host) == {"node1", "node2"}
    assert abs(by_host["node2"][0] - by_host["node1"][0]) > 29 * 31_536_000
    assert by_host["node2"][1] - by_host["node1"][1] > 900_000
    assert all(500 < one <= 600 for one in left)
    assert all(one < 60 for one in silent)
