"""What the checkpoint promises when processes are killed and disks are full."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from weft.dataflow.checkpoint import FILE_NAME, CheckpointIndex, earlier_logs, open_checkpoint

WRITER = """
import itertools, os, sys, threading
from pathlib import Path
from weft.dataflow.checkpoint import open_checkpoint

def recorded(ids):
    # One write of whole lines: what the reader sees was acknowledged before.
    os.write(1, b"".join(b"%d\\n" % ticket for ticket in ids))
    room.release(len(ids))

room = threading.Semaphore(500)

run_dir, folder = Path(sys.argv[1]), Path(sys.argv[2])
_, writer = open_checkpoint(run_dir, folder, serializer=None, recorded=recorded, notice=print)
for ticket in itertools.count():
    value = {"number": ticket, "data": bytes(ticket % 7 * 1000)}
    room.acquire()
    writer.keep(ticket, ticket.to_bytes(32, "big"), value)
"""


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir(mode=0o700)
    return folder


def run_folder(run_dir: Path, number: int) -> Path:
    folder = run_dir / f"{number:04d}"
    folder.mkdir(mode=0o700)
    return folder


def known(run_dir: Path, number: int) -> CheckpointIndex:
    """What a run finds of those before it."""
    index, writer = open_checkpoint(
        run_dir,
        run_folder(run_dir, number),
        serializer=None,
        recorded=lambda _: None,
        notice=lambda level, text: None,
    )
    writer.close()
    return index


@pytest.mark.parametrize("seed", range(20))
def test_after_kill_9_every_result_that_was_acknowledged_is_found(run_dir: Path, seed: int) -> None:
    enough = random.Random(seed).choice([1, 10, 100, 1000, 5000]) + seed
    folder = run_folder(run_dir, 0)
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(run_dir), str(folder)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    acknowledged = [int(child.stdout.readline()) for _ in range(enough)]
    os.kill(child.pid, signal.SIGKILL)
    # What was on its way when the process died counts too; only the last line may be torn.
    rest = child.stdout.read()
    acknowledged += [int(line) for line in rest[: rest.rfind(b"\n") + 1].split()]
    child.wait()
    child.stdout.close()

    index = known(run_dir, 1)

    lost = [number for number in acknowledged if key(number) not in index]
    assert lost == []
    for number in random.Random(seed).sample(acknowledged, min(50, len(acknowledged))):
        found = index.read(key(number))
        assert found is not None
        assert found.value["number"] == number
    assert index.report.damaged <= 1
    assert all(damage.torn for file in index.report.files for damage in file.damage)


FULL = """
import queue, resource, signal, sys
from pathlib import Path
from weft.dataflow.checkpoint import open_checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
back, said = queue.SimpleQueue(), []
run_dir, folder = Path(sys.argv[1]), Path(sys.argv[2])
_, writer = open_checkpoint(
    run_dir, folder, serializer=None,
    recorded=lambda ids: [back.put(one) for one in ids],
    notice=lambda level, text: said.append(text),
)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
for ticket in range(100):
    writer.keep(ticket, ticket.to_bytes(32, "big"), bytes(1000))
    assert back.get(timeout=30) == ticket
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.keep(100, (100).to_bytes(32, "big"), "after")
assert back.get(timeout=30) == 100
counts = writer.close()
assert counts.unfinished == 0
print(counts.records, counts.failed, len(said))
"""


def child(program: str, *args: Any, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_when_the_file_can_grow_no_more_every_ticket_comes_back(run_dir: Path) -> None:
    """The system refuses writes beyond a size in the middle of a record, as a full disk does."""
    records, failed, said = map(int, child(FULL, run_dir, run_folder(run_dir, 0)).split())

    index = known(run_dir, 1)

    assert (records, failed, said) == (19, 82, 1)
    assert len(index) == 19
    assert key(100) in index
    assert index.report.lines() == []


def test_a_log_cut_off_anywhere_starts_the_next_run(run_dir: Path) -> None:
    folder = run_folder(run_dir, 0)
    _, writer = open_checkpoint(
        run_dir, folder, serializer=None, recorded=lambda _: None, notice=lambda level, text: None
    )
    for number in range(3):
        writer.keep(number, key(number), number)
    size = writer.close().size
    whole = (folder / FILE_NAME).read_bytes()
    for end in range(size + 1):
        (folder / FILE_NAME).write_bytes(whole[:end])
        index = known(run_dir, end + 1)
        later = run_dir / f"{end + 1:04d}"
        (later / FILE_NAME).unlink()
        later.rmdir()
        assert len(index) == (end > 24) * 3 * (end - 24) // (size - 24)

    assert len(earlier_logs(run_dir)) == 1


KEYS = """
import collections, dataclasses, enum, pathlib, re, types
from weft.dataflow.memo_keys import CallKeys, app_identity, id_for_memo
from weft.values.files import File

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Box:
    tags: set

def app(x, *, names=frozenset({"a", "b", "c"})):
    return x in {"p", "q", "r"}

values = [
    {"x", "y", "z", 1, None, ("t", 2.5)}, {"b": {1, 2}, "a": {"q": frozenset({"m", "n"})}},
    {Colour.RED: 1, "s": 2}, Box({"u", "v"}), re.compile("a"), pathlib.Path("a"), File("a://b"),
    app, Box, Colour, collections.OrderedDict(a=1), types.SimpleNamespace(a={"w", "k"}), len,
]
for value in values:
    print(id_for_memo(value).hex())
print(app_identity(app).hex(), app_identity(lambda x: x in {"a", "b", "c"}).hex())
print(CallKeys(app).key((Box({"u", "v"}),), {"names": {"g", "h"}}).hex())
"""


def test_keys_are_the_same_in_every_process() -> None:
    said = {child(KEYS, PYTHONHASHSEED=seed) for seed in ("0", "1", "12345", "random")}

    assert len(said) == 1
    assert len(said.pop().split()) == 16
