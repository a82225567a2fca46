"""Claims of what a small script does not pay for: modules that its processes never load.

Everything is counted while a session on this machine runs; no clock is looked at.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

BOUND = 60.0

# In this order, and each in a process of its own: the client, the interchange, a manager.
CLIENT = """
import sys
import weft

def loaded():
    import sys
    return sorted(sys.modules)

def main():
    htex = weft.executor("htex", max_blocks=1, workers_per_node=1)
    with weft.load(weft.Config(run_dir=sys.argv[1], executors=[htex])) as session:
        worker = weft.python_app(loaded)().result(timeout=60)
        client = sorted(sys.modules)
    print(" ".join(client))
    print(" ".join(worker))

main()
"""
OPEN = """
import sys
import weft

def nothing():
    pass

def main():
    htex = weft.executor("htex", max_blocks=1, workers_per_node=2)
    with weft.load(weft.Config(run_dir=sys.argv[1], executors=[htex])):
        weft.python_app(nothing)().result(timeout=60)
        print("open", flush=True)
        sys.stdin.readline()

main()
"""
# Without what the environment loads into every interpreter, such as a tool that measures.
PARTS = (
    "import sys; before = set(sys.modules); import weft_htex.{part}; "
    "print(*sorted(set(sys.modules) - before))"
)

HEAVY = {"zmq", "asyncio", "argparse", "concurrent.futures.process", "multiprocessing"}
"""What none of them needs where all managers are on one machine."""

SLOW = {"attr", "ast", "dataclasses", "dis", "hashlib", "inspect", "pickle", "random", "secrets"}
"""What takes longer to load than all that interchange and manager do before they say hello."""


def _lines(*command: str) -> list[set[str]]:
    said = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    return [set(line.split()) for line in said.stdout.splitlines()]


def test_client_and_workers_of_one_machine_load_nothing_heavy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(CLIENT)
    client, worker = _lines(str(script), str(tmp_path / "runs"))

    assert client & HEAVY == set()
    assert not any(name.startswith("weft_htex") for name in worker)
    assert worker & (HEAVY | {"attrs", "attr", "json", "pathlib", "subprocess"}) == set()


@pytest.mark.parametrize(("part", "most"), [("interchange", 95), ("manager", 115)])
def test_interchange_and_manager_load_nothing_heavy_to_begin_with(part: str, most: int) -> None:
    (loaded,) = _lines("-c", PARTS.format(part=part))

    assert loaded & (HEAVY | SLOW) == set()
    assert not any(name.startswith(("weft.dataflow", "weft.session")) for name in loaded)
    # Their number says how long it takes: half of it is the standard library's, and differs a
    # little from one version of Python to the next.
    assert len(loaded) <= most, sorted(loaded)


def test_the_interchange_loads_no_part_of_the_kernel() -> None:
    (loaded,) = _lines("-c", PARTS.format(part="interchange"))
    own = {name for name in loaded if name.partition(".")[0] == "weft"}

    assert {name.split(".")[1] for name in own if "." in name} <= {"calls", "values", "workers"}
    assert {name for name in own if name.startswith("weft.calls.")} <= {"weft.calls.chunks"}


SIX = ["local_guard", "weft-worker", "weft-worker", "weft_htex.interchange", "weft_htex.manager"]
"""What there is besides the client."""


def test_a_session_is_six_interpreters_with_two_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(OPEN)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "runs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "open\n"
        # A process that is just being started still goes by its parent's name.
        until = time.monotonic() + BOUND
        while (kinds := _kinds(client.pid)) != SIX and time.monotonic() < until:
            time.sleep(0.05)
        client.stdin.close()
        assert client.wait(BOUND) == 0

    assert kinds == SIX


def _kinds(client: int) -> list[str]:
    """What the processes below this one are, by their commands."""
    found = []
    for one in psutil.Process(client).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            words = " ".join(one.cmdline())
            found.append(next((mark for mark in SIX if mark in words), words))
    return sorted(found)
