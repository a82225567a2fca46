"""Links that fail: what is lost is told of and tried again, and nobody waits for ever.

That a link is down for some seconds is the fault itself; no claim depends on how long anything
else takes, but for those that name a bound.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from weft_netns.apps import begin, host, recorded
from weft_netns.cluster import BOUND, Gate, eventually, managers
from weft_netns.wire import Frame, each

import weft


def stay(seconds: float) -> None:
    """Let an outage last."""
    threading.Event().wait(seconds)


def lost_notices(run_dir: Path) -> str:
    return "\n".join(one.read_text() for one in run_dir.rglob("interchange.log"))


def test_a_link_that_is_down_for_a_while_costs_nothing(cluster: Any, gate: Gate) -> None:
    """Tasks end, and others are submitted, while nothing gets through."""
    there = cluster(nodes=2)
    with there.session(nodes_per_block=2, lost_after=12.0) as session:
        eventually(lambda: len(managers(session)) == 2)
        before = set(managers(session))
        running = [begin(str(gate.folder)) for _ in range(4)]
        eventually(lambda: len(gate.begun()) == 4)
        with there.network.unplugged(*there.nodes):
            gate.open()
            waiting = [recorded(str(gate.folder), number) for number in range(200)]
            stay(3.0)
        found = Counter(one.result(BOUND) for one in running)
        numbers = [one.result(BOUND) for one in waiting]
        after = set(managers(session))

    assert found == {"node1": 2, "node2": 2}
    assert numbers == list(range(200))
    assert before == after
    assert {len(one.tries) for one in running} == {1}
    assert {len(one.tries) for one in waiting} == {1}
    ran = Counter(one.name.partition("-")[0] for one in gate.folder.glob("[0-9]*"))
    assert ran == {str(number): 1 for number in range(200)}


def test_a_link_that_is_back_just_in_time_costs_no_manager(cluster: Any, gate: Gate) -> None:
    """What was lost on the way is sent again ever more rarely; a new connection is quicker."""
    there = cluster(nodes=1)
    with there.session(workers_per_node=1, lost_after=20.0) as session:
        running = begin(str(gate.folder))
        eventually(gate.begun)
        before = set(managers(session))
        with there.network.unplugged(*there.nodes):
            # TCP asks for the next time after 25 seconds.
            stay(13.5)
        eventually(lambda: [one for one in managers(session).values() if one["silent"] < 1])
        gate.open()
        assert running.result(BOUND) == "node1"
        after = set(managers(session))

    assert before == after
    assert len(running.tries) == 1


def test_a_node_that_is_cut_off_is_lost_by_name_and_ends_by_itself(
    cluster: Any, gate: Gate
) -> None:
    there = cluster(nodes=3)
    lost_after = 3.0
    with there.session(init_blocks=2, max_blocks=2, lost_after=lost_after) as session:
        eventually(lambda: len(managers(session)) == 2)
        running = [begin(str(gate.folder)) for _ in range(4)]
        eventually(lambda: len(gate.begun()) == 4)
        gone = there.node("node2")
        there.network.unplug(gone)
        since = time.monotonic()
        eventually(lambda: not gone.processes(), lost_after + 10.0)
        ended = time.monotonic() - since
        # Its block is replaced by one on the third node, where its tasks begin again.
        eventually(lambda: len(gate.begun()) == 6)
        gate.open()
        found = Counter(one.result(BOUND) for one in running)

    assert ended < lost_after + 10.0
    assert found == {"node1": 2, "node3": 2}
    tried = [one for one in running if len(one.tries) > 1]
    assert len(tried) == 2
    for one in tried:
        assert one.tries[0].charged == 0
    told = lost_notices(there.run_dir)
    assert "on node2" in told
    assert "Nothing was heard of it" in told


def test_frames_that_get_lost_and_come_late_in_one_direction(cluster: Any, gate: Gate) -> None:
    there = cluster(nodes=1, wired=True)
    dropped = each(7)

    def rule(frame: Frame, outward: bool) -> float | None:
        if not outward:
            return 0.0
        return None if dropped() else 0.03

    there.wires[0].rule = rule
    with there.session(lost_after=20.0):
        futures = [recorded(str(gate.folder), number) for number in range(500)]
        assert [one.result(BOUND) for one in futures] == list(range(500))
    ran = Counter(one.name.partition("-")[0] for one in gate.folder.glob("[0-9]*"))
    assert ran == {str(number): 1 for number in range(500)}


def test_a_connection_that_the_way_forgets_is_replaced(cluster: Any, gate: Gate) -> None:
    """As a firewall does that was started anew: neither side is told, and new ones work."""
    there = cluster(nodes=1, wired=True)
    with there.session(workers_per_node=1, lost_after=6.0) as session:
        running = begin(str(gate.folder))
        eventually(gate.begun)
        before = set(managers(session))
        there.wires[0].forget()
        eventually(lambda: "is back" in lost_notices(there.run_dir))
        gate.open()
        assert running.result(BOUND) == "node1"
        assert host().result(BOUND) == "node1"
        assert set(managers(session)) == before

    assert len(running.tries) == 1


SCRIPT = """
import sys
import weft
from weft import Config
from weft_netns.apps import begin
from weft_netns.settings import EachNode, Netns

nodes = tuple(map(int, sys.argv[2].split(",")))
executor = weft.executor(
    "htex", provider=Netns(nodes=nodes), launcher=EachNode(), nodes_per_block=len(nodes),
    workers_per_node=1, heartbeat=0.5, lost_after=3.0, local_sockets=False,
)
if __name__ == "__main__":
    with weft.load(Config(executors=[executor])):
        print([one.result() for one in [begin(sys.argv[1]) for _ in nodes]])
"""


@pytest.mark.parametrize("cut", [True, False])
def test_nodes_end_by_themselves_when_their_client_is_killed(
    cluster: Any, installed: Path, gate: Gate, tmp_path: Path, cut: bool
) -> None:
    """The scheduler would let them run on. Cut off or not, they notice."""
    there = cluster(nodes=2)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    package = str(Path(__file__).with_name("package"))
    path = os.pathsep.join([package, str(installed), os.environ.get("PYTHONPATH", "")])
    pids = ",".join(str(node.pid) for node in there.nodes)
    client = subprocess.Popen(
        there.login.command(sys.executable, str(script), str(gate.folder), pids),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
    )
    try:
        eventually(lambda: len(gate.begun()) == 2 or client.poll() is not None)
        assert client.poll() is None, client.communicate()[1].decode()
        if cut:
            for node in there.nodes:
                there.network.unplug(node)
    finally:
        client.send_signal(signal.SIGKILL)
        client.communicate(timeout=BOUND)
    eventually(lambda: not there.left(), 3.0 + 10.0)


def test_a_login_host_without_its_network_can_still_close(cluster: Any, gate: Gate) -> None:
    """Nobody out there hears that it is over."""
    there = cluster(nodes=2)
    with there.session({"on_exit": "cancel"}, nodes_per_block=2, workers_per_node=1) as session:
        running = [begin(str(gate.folder)) for _ in range(2)]
        eventually(lambda: len(gate.begun()) == 2)
        there.network.unplug(there.login)
        since = time.monotonic()
    closed = time.monotonic() - since

    assert weft.current() is None
    assert all(one.done() for one in running)
    assert closed < 5.0 + 15.0
    assert session is not None
