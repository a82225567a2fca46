"""``weft provider try`` as a user types it on a login node."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.systems.slurm.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def tried(folder: Path, *words: str) -> tuple[int, str]:
    """What the command says, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "weft", "provider", "try", "slurm", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_two_nodes_say_who_they_are(cluster: Cluster, tmp_path: Path) -> None:
    code, said = tried(tmp_path, "--partition", "normal", "--launcher", "srun", "--nodes", "2")

    assert code == 0, said
    assert re.search(r"✓ Submitted as job \d+, in \d+\.\d s\.", said)
    assert len(re.findall(r"✓ node\d: \d+ cores, Python 3\.\d+", said)) == 2
    assert "works, and nothing is left behind" in said
    assert not cluster.jobs()


def test_a_launcher_for_one_node_is_found_out(cluster: Cluster, tmp_path: Path) -> None:
    code, said = tried(tmp_path, "--launcher", "simple", "--nodes", "2")

    assert code == 1
    assert "node" in said
    assert not cluster.jobs()


def test_a_wrong_partition_costs_no_job(cluster: Cluster, tmp_path: Path) -> None:
    code, said = tried(tmp_path, "--partition", "norma")

    assert code == 1
    assert "has no partition 'norma'" in said
    assert "normal" in said


def test_a_partition_that_starts_nothing_is_given_up(cluster: Cluster, tmp_path: Path) -> None:
    code, said = tried(tmp_path, "--partition", "closed", "--timeout", "5", "--poll-interval", "1")

    assert code == 1
    assert "it is queued (" in said
    assert "has not ended within 5 s" in said
    assert re.search(r"Job \d+ is cancelled\.", said)
    assert not cluster.jobs()


@pytest.mark.parametrize(("partition", "code"), [("normal", 0), ("norma", 1)])
def test_weft_check_finds_a_wrong_partition_before_there_is_a_job(
    cluster: Cluster, tmp_path: Path, partition: str, code: int
) -> None:
    config = tmp_path / "config.py"
    config.write_text(
        "import weft\n"
        "config = weft.Config(executors=[weft.executor('htex', local_sockets=False,\n"
        f"    provider=weft.provider('slurm', partition={partition!r}))])\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "weft", "check", "--here", config.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == code, done.stdout + done.stderr
    assert ("has no partition 'norma'" in done.stdout) == bool(code)
    assert not cluster.jobs()
