"""A cache whose users end at any moment: by a simulated end between two system calls, and by kills.

What has to hold afterwards: whatever is at a target is whole and right; whatever is asked for next
is right; nobody waits; and everything can be removed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.data.cache import Cache

_CHANGES = ("link", "replace", "unlink", "mkdir", "rmdir", "utime", "fchmod", "fsync", "chmod")
"""The calls by which a cache changes something, besides opening a file to make it."""


class CrashError(BaseException):
    """The process has ended here."""


class Crashing:
    """Ends the simulated process before its change number ``at``, counted from 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left, self.crashed = at, False
        for name in _CHANGES:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        opened = os.open
        changing = self._counted(opened)

        def opening(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            make = flags & os.O_CREAT
            descriptor: int = (changing if make else opened)(path, flags, *rest, **more)
            return descriptor

        monkeypatch.setattr(os, "open", opening)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            # A process that has ended changes nothing more: its cleaning up does not happen.
            if self.crashed or self.left == 0:
                self.crashed = True
                raise CrashError
            self.left -= 1
            return function(*args, **kwargs)

        return counted


def content_of(url: str) -> bytes:
    return url.encode() * 50


def fetch(url: str) -> Callable[[Path], None]:
    def fetched(path: Path) -> None:
        whole = content_of(url)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, whole[: len(whole) // 2])
            os.utime(file)  # a place for a crash
            os.write(file, whole[len(whole) // 2 :])
        finally:
            os.close(file)

    return fetched


def life(folder: Path, targets: Path) -> None:
    """All that a process does with a cache."""
    cache = Cache(folder, limit=450)
    for number in range(5):
        cache.get(f"a://{number}", "1", targets / f"first-{number}", fetch(f"a://{number}"))
    for number in range(3, 5):
        cache.get(f"a://{number}", "1", targets / f"first-{number}", fetch(f"a://{number}"))
        cache.get(f"a://{number}", "1", targets / f"again-{number}", fetch(f"a://{number}"))
    spoiled = targets / "first-4"
    spoiled.chmod(0o600)
    for name in ("first-4", "again-4"):  # a task writes into its input
        os.rename(targets / name, targets.parent / name)  # noqa: PTH104 - not one to be counted
    with (targets.parent / "first-4").open("r+b") as file:
        file.write(b"!")
    cache.get("a://4", "1", targets / "first-4", fetch("a://4"))
    cache.prune(limit=200)
    cache.prune(limit=0)


def check(folder: Path, targets: Path) -> None:
    """What has to hold, whatever has happened."""
    for path in targets.glob("[!.]*"):
        assert path.read_bytes() == content_of(f"a://{path.name.partition('-')[2]}")
    cache = Cache(folder, patience=0.0)
    for number in range(5):
        cache.get(f"a://{number}", "1", targets / "next", fetch(f"a://{number}"))
        assert (targets / "next").read_bytes() == content_of(f"a://{number}")
    for one in cache.entries():
        assert one.good
    cache.prune(limit=0)
    assert cache.entries() == []
    assert [path for path in folder.rglob("*") if not path.is_dir()] == []


def test_after_an_end_between_any_two_changes_all_is_well(tmp_path: Path) -> None:
    crashes = 0
    for at in range(1000):
        folder, targets = tmp_path / str(at) / "cache", tmp_path / str(at) / "targets"
        targets.mkdir(parents=True)
        with pytest.MonkeyPatch.context() as monkeypatch:
            crashing = Crashing(monkeypatch, at)
            try:
                life(folder, targets)
            except CrashError:
                crashes += 1
        check(folder, targets)
        if not crashing.crashed:
            break
    else:
        pytest.fail("the life of a process has no end")
    assert crashes > 100


_SCRIPT = """
import os, random, sys
from pathlib import Path
from weft.data.cache import Cache

folder, targets, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
cache = Cache(folder, limit=6000)
print("begun", flush=True)
while True:
    url = f"a://{chance.randrange(12)}"
    whole = url.encode() * 200

    def fetch(path):
        with open(path, "wb", buffering=0) as file:
            for at in range(0, len(whole), 100):
                file.write(whole[at : at + 100])

    target = targets / f"{os.getpid()}-{chance.randrange(5)}"
    cache.get(url, "1", target, fetch)
    if target.read_bytes() != whole:
        print("WRONG", url, flush=True)
        os._exit(3)
    if chance.random() < 0.05:
        cache.prune(limit=chance.choice([0, 2000]))
    if chance.random() < 0.3:
        target.unlink()
"""


def _whole(number: int) -> bytes:
    return f"a://{number}".encode() * 200


def test_processes_that_are_killed_leave_all_well(tmp_path: Path) -> None:
    folder, targets = tmp_path / "cache", tmp_path / "targets"
    targets.mkdir()
    chance = random.Random()  # each run kills at other moments; what has to hold, holds for all

    def start(seed: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _SCRIPT, str(folder), str(targets), str(seed)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    processes: list[subprocess.Popen[str]] = []
    said: list[str] = []
    ends: list[int] = []
    try:
        for kill in range(24):
            while len(processes) < 3:
                processes.append(start(kill * 10 + len(processes)))
            victim = processes.pop(chance.randrange(3))
            assert victim.stdout is not None
            assert victim.stdout.readline() == "begun\n"
            time.sleep(chance.random() * 0.05)  # any moment will do
            victim.kill()
            said.append(victim.communicate(timeout=60)[0])
            ends.append(victim.returncode)
    finally:
        for process in processes:
            process.kill()
            said.append(process.communicate(timeout=60)[0].removeprefix("begun\n"))
            ends.append(process.returncode)
    assert set(said) == {""}
    assert set(ends) == {-9}
    right = {_whole(number) for number in range(12)}
    assert {path.read_bytes() for path in targets.glob("[!.]*")} <= right
    cache = Cache(folder, patience=0.0)
    for number in range(12):
        whole = _whole(number)
        cache.get(f"a://{number}", "1", targets / "next", lambda to, it=whole: to.write_bytes(it))  # type: ignore[misc]
        assert (targets / "next").read_bytes() == whole
    cache.prune(limit=0)
    assert [path for path in folder.rglob("*") if not path.is_dir()] == []
