"""Who has nothing to do does nothing: no process of a run wakes up but to give a sign of life.

The kernel counts how often each thread was put to sleep. A loop that looks every tenth of a second
whether something happened shows here, whatever the speed of the machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 3.0
MOST = 3.0
"""Wake-ups a second of one process, all its threads together; heartbeats take about one."""

SCRIPT = """
import json, os, sys, time
from pathlib import Path
import weft

@weft.python_app
def short():
    return 1

@weft.python_app
def long(here):
    import time
    from pathlib import Path
    Path(here).touch()
    time.sleep(60)

def family():
    children = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        children.setdefault(int(parent), []).append(int(folder.name))
    waiting, found = [os.getpid()], []
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found

def switches(pid):
    count = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count

def at_rest():
    # What is counted once whatever went on has come to an end, or has gone on for too long.
    end = time.monotonic() + 30
    before = {pid: switches(pid) for pid in family()}
    while True:
        time.sleep(0.5)
        now = {pid: switches(pid) for pid in family()}
        rest = now.keys() == before.keys() and all(now[pid] - before[pid] <= 2 for pid in now)
        if rest or time.monotonic() > end:
            return now
        before = now

def main(options, busy, seconds, folder):
    executor = weft.executor(options.pop("name"), **options)
    config = weft.Config(
        executors=[executor], run_dir=folder, on_exit="cancel", close_timeout=0.2
    )
    with weft.load(config):
        for future in [short() for _ in range(20)]:
            future.result(60)
        if busy:
            here = Path(folder) / "here"
            waiting = [long(str(here)) for _ in range(9)]
            while not here.exists():
                time.sleep(0.05)
        before = at_rest()
        time.sleep(seconds)
        told = {}
        for pid, count in before.items():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\\0", b" ")
            told[f"{pid} {words.decode(errors='replace')[:60]}"] = switches(pid) - count
        print(json.dumps(told))

main(*json.loads(sys.argv[1]))
"""

KINDS = {
    "threads": {"name": "threads", "max_threads": 2},
    "processes": {"name": "processes", "max_workers": 2},
    "htex": {"name": "htex", "workers_per_node": 2},
    "htex-direct": {"name": "htex", "workers_per_node": 2, "mode": "direct"},
}
PROCESSES = {"threads": 1, "processes": 3, "htex": 6, "htex-direct": 5}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts for each thread")
@pytest.mark.parametrize("busy", [False, True], ids=["nothing-to-do", "long-tasks"])
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_wakes_up_to_look_whether_there_is_something_to_do(
    kind: str, busy: bool, tmp_path: Path
) -> None:
    words = json.dumps([KINDS[kind], busy, SECONDS, str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, words],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr

    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])

    assert len(told) == PROCESSES[kind], told
    assert {who: count for who, count in told.items() if count > MOST * SECONDS} == {}
