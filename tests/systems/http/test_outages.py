"""The server is killed and started again while large files come: all of them come, and are right.

The short form runs always; ``-m soak --log-cli-level info`` runs it with 20 files of 1 GB, for
which the folder of temporary files has to have room, and tells what that cost.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import random
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.systems.http.rig import Work
from weft.errors import StagingError
from weft.interfaces.stager import Transfer

if TYPE_CHECKING:
    from tests.systems.http.nginx import Nginx

LOG = logging.getLogger(__name__)
BOUND = 90.0
TRIES = 200
MB = 1024 * 1024
STAMP = 4096
"""Bytes of each megabyte that are not zero."""


def _make(path: Path, megabytes: int, seed: int) -> str:
    """Write bytes in which no megabyte is like another. Returns their checksum.

    Most of each are zeros that take no room on the disk.
    """
    made, found, zeros = random.Random(seed), hashlib.sha256(), bytes(MB - STAMP)
    with path.open("wb") as file:
        for _ in range(megabytes):
            stamp = made.randbytes(STAMP)
            file.write(stamp)
            file.seek(len(zeros), 1)
            found.update(stamp)
            found.update(zeros)
        file.truncate()
    return found.hexdigest()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Caller:
    """Brings files as a run does: again, when that may help, after a moment.

    Args:
        work: the stager.
        plans: what to bring.

    Attributes:
        tries: calls of ``move``.
        kills: how often the server was killed.
        errors: what they said that failed.
        lost: why a file did not come.
        half: files that were seen under their names before they were whole.
    """

    def __init__(self, work: Work, plans: list[Transfer]) -> None:
        self.work, self.plans = work, plans
        self.tries, self.kills = 0, 0
        self.errors: list[str] = []
        self.lost: list[str] = []
        self.half: list[Path] = []
        self.went, self.ended, self.up = 0, 0, threading.Event()
        self.moved = threading.Condition()
        self.up.set()

    def progress(self, transfer: Transfer, done: int, total: int | None) -> None:
        with self.moved:
            self.went += 1
            self.moved.notify_all()

    def bring(self, plan: Transfer) -> None:
        try:
            for _ in range(TRIES):
                self.tries += 1
                try:
                    self.work.stager.move(plan)
                except StagingError as error:
                    self.errors.append(error.reason)
                    if not error.again or not self.up.wait(BOUND):
                        raise
                else:
                    return
            self.lost.append(f"{plan.file.url} did not come in {TRIES} tries")
        except Exception as error:  # noqa: BLE001 - told in the thread of the test
            self.lost.append(repr(error))
        finally:
            with self.moved:
                self.ended += 1
                self.moved.notify_all()

    def all(self, nginx: Nginx, pieces: int, size: int) -> None:
        """Bring all, each of that size, and kill the server after each so many pieces."""
        threads = [
            threading.Thread(target=self.bring, args=(plan,), name="test-caller")
            for plan in self.plans
        ]
        for thread in threads:
            thread.start()
        wanted = pieces
        while True:
            with self.moved:
                self.moved.wait_for(functools.partial(self._is_time, wanted), BOUND)
                over = self.ended == len(threads)
                assert over or self.went >= wanted, "nothing comes any more"
                wanted = self.went + pieces
            if over:
                break
            self.up.clear()
            nginx.kill()
            self.kills += 1
            there = (plan.placed.as_path() for plan in self.plans)
            self.half += [path for path in there if path.exists() and path.stat().st_size != size]
            nginx.start()
            self.up.set()
        for thread in threads:
            thread.join(BOUND)

    def _is_time(self, wanted: int) -> bool:
        return self.went >= wanted or self.ended == len(self.plans)


def _run(nginx: Nginx, work: Work, *, files: int, megabytes: int, pieces: int) -> Caller:
    sums = [_make(nginx.files / f"{n}.bin", megabytes, n) for n in range(files)]
    plans = [work.plan(f"{nginx.https}/files/{n}.bin") for n in range(files)]
    caller = Caller(work, plans)
    work.stager._progress = caller.progress
    caller.all(nginx, pieces, megabytes * MB)
    assert not caller.lost, caller.lost
    assert not caller.half
    for plan, wanted in zip(plans, sums, strict=True):
        assert _sum(plan.placed.as_path()) == wanted
    assert len(work.left()) == files, "parts are left"
    for plan in plans:
        plan.placed.as_path().unlink()
    return caller


def test_files_come_through_outages(nginx: Nginx, trusting: Work) -> None:
    caller = _run(nginx, trusting, files=6, megabytes=30, pieces=3_000)
    assert caller.kills >= 2
    assert caller.errors
    assert nginx.logged(" 206 "), "nothing was gone on with"


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_twenty_large_files_come_through_outages(nginx: Nginx, trusting: Work) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    caller = _run(nginx, trusting, files=20, megabytes=1000, pieces=20_000)
    after = resource.getrusage(resource.RUSAGE_SELF)
    LOG.info(
        "%.0f s, %d kills, %d tries, %d answers to a range that came whole, %.0f s of processor "
        "time; %d MiB of memory before, %d MiB at most",
        *(time.monotonic() - began, caller.kills, caller.tries, nginx.log.count(" 206 ")),
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        *(before.ru_maxrss // 1024, after.ru_maxrss // 1024),
    )
    assert caller.kills >= 5
