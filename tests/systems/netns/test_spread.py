"""Many nodes and blocks: work goes everywhere, and blocks come and go with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from weft_netns.apps import begin, host
from weft_netns.cluster import BOUND, Gate, eventually, managers


def test_work_spreads_over_all_nodes_of_all_blocks(cluster: Any, gate: Gate) -> None:
    there = cluster(nodes=6)
    with there.session(nodes_per_block=2, init_blocks=3, max_blocks=3) as session:
        eventually(lambda: len(managers(session)) == 6)
        futures = [begin(str(gate.folder)) for _ in range(12)]
        eventually(lambda: len(gate.begun()) == 12)
        gate.open()
        found = Counter(future.result(BOUND) for future in futures)
        blocks = Counter(one["block"] for one in managers(session).values())

    assert found == {f"node{at}": 2 for at in range(1, 7)}
    assert sorted(blocks.values()) == [2, 2, 2]


def test_thousands_of_tasks_over_the_network(cluster: Any) -> None:
    there = cluster(nodes=3)
    with there.session(nodes_per_block=3) as session:
        eventually(lambda: len(managers(session)) == 3)
        found = Counter(one.result(BOUND) for one in [host() for _ in range(3000)])

    assert set(found) == {"node1", "node2", "node3"}
    assert sum(found.values()) == 3000
