"""Whole runs of htex on hosts: several in a block, ways through ssh, loss, a killed script."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil

import weft
from tests.systems.needs import free_port
from tests.systems.ssh.conftest import BOUND, Site, name_of
from tests.waiting import eventually
from weft import Config, python_app
from weft.errors import WeftError


@python_app
def meet(folder: str, name: str, others: int) -> str:
    """Waits until as many are here as are expected, so that no worker takes two of them."""
    place = Path(folder)
    (place / name).touch()
    until = time.monotonic() + BOUND
    while len(list(place.iterdir())) < others and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ["WEFT_SSH_NODE"]


@python_app
def hold(begun: str, go: str) -> str:
    """Says on which host it is, and waits."""
    with Path(begun).open("a") as file:
        file.write(f"{os.environ['WEFT_SSH_HOSTS']}\n")
    until = time.monotonic() + BOUND
    while not Path(go).exists() and time.monotonic() < until:
        time.sleep(0.05)
    return os.environ["WEFT_SSH_HOSTS"]


def config(site: Site, folder: Path, provider: dict[str, Any], **options: Any) -> Config:
    return Config(
        run_dir=folder / "runs",
        executors=[
            weft.executor(
                "htex",
                label="htex",
                provider=weft.provider("ssh", **site.options(**provider)),
                launcher=weft.launcher("ssh"),
                workers_per_node=1,
                # Through the network, as hosts that are other machines come.
                local_sockets=False,
                **options,
            )
        ],
    )


def reached(folder: Path) -> list[str]:
    """Where managers found the interchange."""
    logs = folder.glob("runs/**/manager-*.log")
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return [line.rpartition(" at ")[2] for line in lines if "reached the interchange" in line]


def test_one_block_has_several_hosts(site: Site, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    hosts = {"hosts": ("node1", "node2")}
    with weft.load(config(site, tmp_path, hosts, nodes_per_block=2, addresses=("127.0.0.1",))):
        asked = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        assert sorted(one.result(BOUND) for one in asked) == ["0", "1"]
    found = reached(tmp_path)
    assert len(found) == 2
    assert all(one.startswith("tcp://127.0.0.1:") for one in found), found
    eventually(lambda: not site.inner.sessions(), "a connection stays")


def test_through_the_connection_of_ssh(site: Site, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    options = {"hosts": ("node1", "node2"), "tunnel": True}
    with weft.load(config(site, tmp_path, options, nodes_per_block=2)):
        asked = [meet(str(tmp_path / "here"), str(n), 2) for n in range(2)]
        assert sorted(one.result(BOUND) for one in asked) == ["0", "1"]
    found = reached(tmp_path)
    assert len(set(found)) == 2
    assert all(one.startswith("ipc:///tmp/weft-") for one in found), found
    assert not [one for one in found if Path(one.removeprefix("ipc://")).exists()]


def test_through_another_host_with_a_folder_there(site: Site, tmp_path: Path) -> None:
    options = {
        "hosts": ("inner1",), "jump": "gate", "tunnel": True, "folder": str(tmp_path / "there"),
    }  # fmt: skip
    (tmp_path / "go").touch()
    with weft.load(config(site, tmp_path, options)):
        assert hold(str(tmp_path / "begun"), str(tmp_path / "go")).result(BOUND) == "inner1"
    there = tmp_path / "there"
    eventually(lambda: not list(there.iterdir()), "something is left there")


def test_tasks_of_a_host_that_is_cut_off_run_again_on_another(site: Site, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    options = {"hosts": ("node1", "node2"), "lost_after": 3.0}
    times = {"heartbeat": 1.0, "lost_after": 5.0, "addresses": ("127.0.0.1",)}
    with weft.load(config(site, tmp_path, options, **times)):
        asked = hold(str(begun), str(go))
        eventually(begun.exists, "the task did not begin")
        site.inner.cut()
        eventually(lambda: len(begun.read_text().split()) == 2, "it was not tried again")
        go.touch()
        assert asked.result(BOUND) == "node2"
    assert begun.read_text().split() == ["node1", "node2"]


def test_hosts_that_cannot_be_used_end_the_executor_with_the_reason(
    site: Site, tmp_path: Path
) -> None:
    ssh_config = tmp_path / "config"
    ssh_config.write_text(f"Host node1\n  Port {free_port()}\n{site.config.read_text()}")
    options = {"hosts": ("node1",), "ssh_config": str(ssh_config)}
    with weft.load(config(site, tmp_path, options, block_failures=1)):
        error = hold(str(tmp_path / "begun"), "").exception(BOUND)
    assert isinstance(error, WeftError)
    assert "no ssh server listens there" in str(error)


KILLED = """
import pathlib, sys
sys.path.insert(0, {root!r})
import weft
from tests.systems.ssh.conftest import Site
from tests.systems.ssh.test_sessions import config, hold


if __name__ == "__main__":
    site = Site(
        folder=pathlib.Path({folder!r}), config=pathlib.Path({config!r}),
        key=pathlib.Path({key!r}), known=pathlib.Path({known!r}), inner=None, gate=None,
    )
    options = dict(hosts=("inner1",), jump="gate", tunnel=True, folder={there!r})
    with weft.load(config(site, pathlib.Path({here!r}), options)):
        hold({begun!r}, "/no/such/file").result(600)
"""


def lives(process: psutil.Process) -> bool:
    """Whether a process is more than an entry that nobody has looked at yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_script_that_is_killed_leaves_nothing(site: Site, tmp_path: Path) -> None:
    script, begun, there = tmp_path / "killed.py", tmp_path / "begun", tmp_path / "there"
    script.write_text(
        textwrap.dedent(KILLED).format(
            root=str(Path(__file__).parents[3]), folder=str(site.folder), config=str(site.config),
            key=str(site.key), known=str(site.known), there=str(there), here=str(tmp_path),
            begun=str(begun),
        )
    )  # fmt: skip
    process = subprocess.Popen([sys.executable, script], start_new_session=True)
    try:
        eventually(begun.exists, "its task did not begin")
        started = psutil.Process(process.pid).children(recursive=True)
        for one in site.inner.sessions():
            started += one.children(recursive=True)
        names = {name_of(one) for one in started}
        assert "ssh" in names, names
        process.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(BOUND)
    assert process.returncode == -signal.SIGKILL

    def alive() -> list[psutil.Process]:
        return [one for one in started if lives(one)]

    eventually(lambda: not alive(), f"processes are left of {names}")
    eventually(lambda: not site.inner.sessions(), "a connection stays")
    eventually(lambda: not site.gate.sessions(), "the connection to the jump host stays")
    eventually(lambda: not list(there.iterdir()), "something is left there")


def test_the_doctor_asks_each_host(site: Site, tmp_path: Path) -> None:
    ssh_config = tmp_path / "config"
    ssh_config.write_text(f"Host node2\n  Port {free_port()}\n{site.config.read_text()}")
    given = site.options(("node1", "node2"), ssh_config=str(ssh_config))
    file = tmp_path / "hosts.py"
    file.write_text(
        "import weft\n\nconfig = weft.Config(executors=[weft.executor('htex', "
        f"provider=weft.provider('ssh', **{given!r}))])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "weft", "doctor", "--config", file, "--json"],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)["findings"]
    version = ".".join(map(str, sys.version_info[:3]))
    fine = [one["what"] for one in found if one["status"] != "error"]
    assert [one for one in fine if f"'node1' answers, with Python {version}" in one], fine
    (error,) = [one for one in found if one["status"] == "error" and "host '" in one["what"]]
    assert error["what"].startswith("The host 'node2' cannot be used. No ssh server listens there")
