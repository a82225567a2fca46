"""A real Slurm cluster for the tests; where there is none, they are skipped, or fail in CI."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.systems.needs import absent
from tests.waiting import eventually as _eventually

_SCRIPT = Path(__file__).with_name("cluster")
_ABSENT = 77
_UP, _DOWN, _ASK = 200.0, 90.0, 30.0
BOUND = 60.0


class Cluster:
    """A cluster in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Kept, since a test may change the PATH.
        self._environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    @property
    def conf(self) -> str:
        return str(self.folder / "slurm.conf")

    @property
    def accounts(self) -> bool:
        return "accounts=yes" in (self.folder / "ready").read_text()

    def ask(self, *words: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(
            words,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_ASK,
            check=True,
        ).stdout.strip()

    def jobs(self, *more: str) -> list[str]:
        """The ids of the jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--format=%A", *more).split()

    def restart(self) -> None:
        """Start the controller again, after it was killed."""
        subprocess.run([_SCRIPT, "restart", self.folder], timeout=_DOWN, check=True)

    def kill(self, daemon: str, by: signal.Signals = signal.SIGKILL) -> None:
        """End a daemon of the cluster: for good, as a crash of its machine does, or as asked."""
        pid, _ = (self.folder / "pids" / daemon).read_text().split()
        os.kill(int(pid), by)


def _cluster(folder: Path, **options: str) -> Iterator[Cluster]:
    environment = {**os.environ, **options}
    try:
        done = subprocess.run(
            [_SCRIPT, "up", folder],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_UP,
            check=False,
        )
        if done.returncode == _ABSENT:
            absent(done.stderr.strip())
        assert done.returncode == 0, f"no cluster: {done.stderr}"
        yield Cluster(folder)
    finally:
        subprocess.run([_SCRIPT, "down", folder], timeout=_DOWN, check=True)


@pytest.fixture(scope="session")
def brought_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that tests share."""
    yield from _cluster(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="session")
def brought_up_forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node, no accounts, and ended jobs are forgotten within seconds."""
    yield from _cluster(
        tmp_path_factory.mktemp("forgetful"),
        SLURM_TEST_NODES="1",
        SLURM_TEST_ACCOUNTS="no",
        SLURM_TEST_JOB_AGE="2",
    )


@pytest.fixture
def lonely(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A cluster for one test, which may break it."""
    for one in _cluster(
        tmp_path_factory.mktemp("lonely"), SLURM_TEST_NODES="3", SLURM_TEST_ACCOUNTS="no"
    ):
        monkeypatch.setenv("SLURM_CONF", one.conf)
        yield one


def _used(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    monkeypatch.setenv("SLURM_CONF", cluster.conf)
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    yield cluster
    left = cluster.jobs("--states=PENDING,CONFIGURING,RUNNING,SUSPENDED")
    if left:
        cluster.ask("scancel", *left)
    _eventually(lambda: not cluster.jobs(), "cancelled jobs stay")
    assert not left, f"jobs were left behind: {left}"


@pytest.fixture
def cluster(
    brought_up: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cluster]:
    """The cluster, as the commands find it; after the test no job may be left on it."""
    yield from _used(brought_up, monkeypatch, tmp_path)


@pytest.fixture
def forgetful(
    brought_up_forgetful: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cluster]:
    """The forgetful cluster, as the commands find it."""
    yield from _used(brought_up_forgetful, monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def brought_up_wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes and no accounts."""
    yield from _cluster(
        tmp_path_factory.mktemp("wide"), SLURM_TEST_NODES="4", SLURM_TEST_ACCOUNTS="no"
    )


@pytest.fixture
def wide(
    brought_up_wide: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Cluster]:
    """The cluster of four nodes, as the commands find it."""
    yield from _used(brought_up_wide, monkeypatch, tmp_path)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until something holds, and fails if that takes too long, with what was expected."""
    return _eventually
