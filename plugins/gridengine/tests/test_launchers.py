"""What qrsh is told on the hosts of a job: a stand-in does what its login shell would do."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from weft_gridengine.launchers import QrshLauncher
from weft_gridengine.settings import Qrsh

BOUND = 60.0
HOSTS = "node1 2 all.q@node1 UNDEFINED\nnode2 2 all.q@node2 UNDEFINED\n"
# The words behind the host, put together and read by a shell; -V is on all that it has.
STANDIN = """#!/bin/sh
echo "$*" | head -n 1 >> '{folder}/calls'
while [ "${{1#-}}" != "$1" ]; do shift; done
host=$1
shift
HOSTNAME=$host exec /bin/sh -c "$*"
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs a text as the script of a job on two hosts would."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "qrsh").write_text(STANDIN.format(folder=tmp_path))
    (programs / "qrsh").chmod(0o700)
    file = tmp_path / "hosts"

    def running(text: str, hosts: str = HOSTS) -> subprocess.CompletedProcess[str]:
        file.write_text(hosts)
        return subprocess.run(
            ["/bin/sh", "-c", text],
            env={
                "PATH": f"{programs}:/usr/bin:/bin",
                "HOSTNAME": "node1",
                "PE_HOSTFILE": str(file),
            },
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    return running


def compose(command: str, nodes: int = 2, **more: Any) -> str:
    return QrshLauncher(Qrsh(**more)).compose(command, nodes=nodes)


def test_each_host_has_a_copy_and_the_first_needs_no_qrsh(run: Any, tmp_path: Path) -> None:
    done = run(compose('echo "two  words" it\\\'s \\\n  on $HOSTNAME', options=["-noshell"]))
    assert sorted(done.stdout.splitlines()) == [
        "two  words it's on node1",
        "two  words it's on node2",
    ]
    assert done.returncode == 0
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("-inherit -nostdin -V -noshell node2 exec /bin/sh")


def test_several_copies_on_each(run: Any) -> None:
    text = QrshLauncher(Qrsh()).compose("echo $HOSTNAME", nodes=2, per_node=3)
    assert sorted(run(text).stdout.split()) == ["node1"] * 3 + ["node2"] * 3


def test_a_host_with_two_queues_is_one_host(run: Any) -> None:
    done = run(compose("echo $HOSTNAME"), f"{HOSTS}node2 1 short.q@node2 UNDEFINED\n")
    assert sorted(done.stdout.split()) == ["node1", "node2"]


def test_it_waits_for_all_and_tells_of_a_failure_anywhere(run: Any) -> None:
    done = run(compose("if [ $HOSTNAME = node1 ]; then sleep 1; echo last; else exit 5; fi"))
    assert (done.returncode, done.stdout) == (5, "last\n")


@pytest.mark.parametrize("hosts", ["node1 4 all.q@node1 UNDEFINED\n", f"{HOSTS}node3 1 q x\n"])
def test_another_number_of_hosts_is_told_and_nothing_starts(run: Any, hosts: str) -> None:
    done = run(compose("echo started"), hosts)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "and 2 were asked for: node1" in done.stderr


@pytest.mark.parametrize(
    ("command", "nodes", "said"),
    [(" ", 1, "no command"), ("a\0", 1, "NUL"), ("true", 0, "at least 1")],
)
def test_what_cannot_be_started_is_refused(command: str, nodes: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compose(command, nodes)


@pytest.mark.parametrize("options", ["-noshell", [""], ["a\0"], [1]])
def test_words_for_qrsh_are_words(options: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="sequence of words"):
        Qrsh(options=options)
