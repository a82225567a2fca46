"""Blocks follow the load: how many there are, which are given back, and which task goes where."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import Counter
from typing import Any

import pytest
from weft_netns.apps import begin, host
from weft_netns.cluster import BOUND, Gate, eventually, managers

from weft_htex.errors import DoesNotFit


def blocks(session: Any) -> list[dict[str, Any]]:
    """All blocks there are, and those that there were."""
    return list(session.status().executors["htex"].details.get("blocks", []))


def states(session: Any) -> Counter[str]:
    return Counter(one["state"] for one in blocks(session))


def settled(session: Any) -> bool:
    """Whether no block is about to become anything else."""
    return set(states(session)) <= {"ready", "ended"}


def test_blocks_come_with_the_load_and_go_without_it(cluster: Any, gate: Gate) -> None:
    there = cluster(nodes=3)
    with there.session(init_blocks=0, max_blocks=3, max_idle=0.5) as session:
        eventually(lambda: session.status().executors["htex"].details.get("addresses"))
        assert not blocks(session)
        running = [begin(str(gate.folder)) for _ in range(6)]
        eventually(lambda: len(gate.begun()) == 6)
        eventually(lambda: states(session) == {"ready": 3})
        gate.open()
        assert Counter(one.result(BOUND) for one in running) == {
            "node1": 2,
            "node2": 2,
            "node3": 2,
        }
        eventually(lambda: states(session) == {"ended": 3})
        eventually(lambda: not [one for node in there.nodes for one in node.processes()])
        # And they come again.
        assert host().result(BOUND).startswith("node")
        assert len(blocks(session)) == 4


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ({"parallelism": 1.0}, 3),
        ({"parallelism": 0.5}, 2),
        ({"parallelism": 0.0}, 1),
        ({"parallelism": 0.0, "min_blocks": 2}, 2),
        ({"strategy": "none", "init_blocks": 2}, 2),
    ],
)
def test_how_many_blocks_eight_tasks_get(
    cluster: Any, gate: Gate, options: dict[str, Any], held: int
) -> None:
    there = cluster(nodes=3)
    with there.session(
        **{"init_blocks": 0, "max_blocks": 3, "max_idle": 60.0, **options}
    ) as session:
        tasks = [begin(str(gate.folder)) for _ in range(8)]
        done = 0
        while done < len(tasks):
            at_once = min(2 * held, len(tasks) - done)
            eventually(lambda: len(gate.begun()) == done + at_once)  # noqa: B023 - called at once
            done += at_once
            gate.open()
        places = {one.result(BOUND) for one in tasks}
        ever = len(blocks(session))

    assert len(places) == held
    assert ever == held


def test_the_least_blocks_stay_when_there_is_nothing_to_do(cluster: Any, gate: Gate) -> None:
    there = cluster(nodes=2)
    with there.session(min_blocks=1, init_blocks=2, max_blocks=2, max_idle=0.3) as session:
        eventually(lambda: states(session) == {"ready": 1, "ended": 1})
        # Three times as long as it takes to give one back.
        threading.Event().wait(0.9)
        assert states(session) == {"ready": 1, "ended": 1}
        assert host().result(BOUND).startswith("node")


def test_the_empty_block_is_given_back_and_the_busy_one_stays(cluster: Any, gate: Gate) -> None:
    there = cluster(nodes=3)
    with there.session(init_blocks=3, max_blocks=3, max_idle=2.0, workers_per_node=1) as session:
        eventually(lambda: states(session)["ready"] + states(session)["ended"] >= 3)
        running = begin(str(gate.folder))
        eventually(gate.begun)
        eventually(lambda: states(session)["ready"] == 1 and settled(session))
        busy = [one["host"] for one in managers(session).values()]
        gate.open()
        assert [running.result(BOUND)] == busy == gate.begun()

    assert len(running.tries) == 1


def test_a_block_that_is_lost_is_replaced_and_its_tasks_run_elsewhere(
    cluster: Any, gate: Gate
) -> None:
    there = cluster(nodes=2)
    with there.session(workers_per_node=1) as session:
        running = begin(str(gate.folder))
        [first] = eventually(gate.begun)
        for pid in there.node(first).processes():
            with contextlib.suppress(ProcessLookupError):  # it has ended with another of them
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(gate.begun()) == 2)
        gate.open()
        assert running.result(BOUND).startswith("node")
        eventually(lambda: states(session) == {"lost": 1, "ready": 1})

    assert [one.charged for one in running.tries] == [0, 0]


def test_a_task_goes_to_a_block_that_lives_long_enough(cluster: Any, gate: Gate) -> None:
    """The first block is free, but too old; another is asked for, and gets it."""
    there = cluster(nodes=2)
    with there.session(
        init_blocks=1, max_blocks=2, workers_per_node=1, block_walltime=40.0
    ) as session:
        short: Any = host
        assert short(walltime=5.0).result(BOUND) == "node1"
        eventually(lambda: [one for one in managers(session).values() if one["left"] < 36.0])
        long = short(walltime=36.5)
        assert long.result(BOUND) == "node2"
        assert short(walltime=5.0).result(BOUND) in {"node1", "node2"}
        eventually(lambda: states(session) == {"ready": 2})

    assert len(long.tries) == 1


def test_an_idle_block_that_is_too_old_makes_room_for_one_that_is_not(cluster: Any) -> None:
    there = cluster(nodes=2)
    with there.session(
        init_blocks=1, max_blocks=1, workers_per_node=1, block_walltime=60.0, max_idle=5.0
    ) as session:
        short: Any = host
        assert short(walltime=5.0).result(BOUND) == "node1"

        def is_too_old_or_gone() -> bool:
            return all(one["left"] < 56.5 for one in managers(session).values())

        eventually(is_too_old_or_gone)
        assert short(walltime=57.0).result(BOUND).startswith("node")
        eventually(lambda: states(session) == {"ended": 1, "ready": 1})


def test_what_not_even_a_fresh_block_has_time_for_fails(cluster: Any) -> None:
    """Starting takes some of a block's time; who asks for all of it would wait for ever."""
    there = cluster(nodes=2)
    with there.session(init_blocks=0, max_blocks=1, block_walltime=40.0, max_idle=1.0):
        asked: Any = host
        with pytest.raises(DoesNotFit, match="fresh"):
            asked(walltime=39.999999).result(BOUND)
        assert asked(walltime=5.0).result(BOUND).startswith("node")
