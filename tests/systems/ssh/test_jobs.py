"""Jobs on hosts: which are used, what is said where none can be, and what is left behind."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.systems.needs import free_port
from tests.systems.ssh.conftest import BOUND, Server, Site, key_in
from tests.waiting import eventually
from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import JOB_ENDED, Job, JobId, JobState, JobStatus
from weft_ssh.launcher import EVERYWHERE
from weft_ssh.provider import SSHProvider
from weft_ssh.settings import SSH

Make = Callable[..., SSHProvider]
AWAY = "Host node1\n  Port {port}\n"


@pytest.fixture
def context(tmp_path: Path) -> FakeContext:
    (tmp_path / "context").mkdir(mode=0o700)
    return FakeContext(tmp_path / "context")


@pytest.fixture
def make(site: Site, context: FakeContext) -> Iterator[Make]:
    made: list[SSHProvider] = []

    def making(*hosts: str, start: bool = True, **more: object) -> SSHProvider:
        given: Any = site.options(hosts or ("node1", "node2"), **more)
        one = SSHProvider(SSH(**given))
        made.append(one)
        if start:
            one.start(context)
        return one

    yield making
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    made: list[Job] = []

    def making(command: str, **more: Any) -> Job:
        folder = tmp_path / f"job-{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(Job(name=f"job-{len(made)}", command=command, folder=folder, **more))
        return made[-1]

    return making


def until(
    provider: SSHProvider, job_id: JobId, holds: Callable[[JobStatus], bool] | None = None
) -> JobStatus:
    """Ask until the job has ended, or this holds."""
    wanted = holds or (lambda one: one.state in JOB_ENDED)
    eventually(lambda: wanted(provider.status([job_id])[job_id]), "the job does not get there")
    return provider.status([job_id])[job_id]


def said(status: JobStatus) -> list[str]:
    assert status.stdout is not None
    return status.stdout.read_text().splitlines()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --------------------------------------------------------------------------------------- hosts


def test_a_host_has_one_job_at_a_time(make: Make, job: Callable[..., Job]) -> None:
    provider = make("node1", "node2")
    first = provider.submit(job("sleep 60"))
    second = provider.submit(job("sleep 60"))
    with pytest.raises(SubmitLater, match="2 of the 2 hosts are in use"):
        provider.submit(job("true"))
    provider.cancel([first])
    until(provider, first)
    third = provider.submit(job("echo $WEFT_SSH_HOSTS $WEFT_SSH_NODE"))
    assert said(until(provider, third)) == ["node1 0"]
    assert provider.status([second])[second].state is JobState.RUNNING


def test_more_hosts_than_there_are_is_a_refusal(make: Make, job: Callable[..., Job]) -> None:
    with pytest.raises(WeftError, match="asks for 3 hosts, and the option hosts names 2"):
        make("node1", "node2").submit(job("true", nodes=3))


def test_a_marked_text_runs_on_all_hosts_another_on_the_first(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("node1", "node2", "node3")
    text = "echo $WEFT_SSH_NODE of $WEFT_SSH_HOSTS"
    everywhere = until(provider, provider.submit(job(f"{EVERYWHERE}{text}", nodes=3)))
    names = "node1 node2 node3"
    assert sorted(said(everywhere)) == [f"{n} of {names}" for n in range(3)]
    assert said(until(provider, provider.submit(job(text, nodes=3)))) == [f"0 of {names}"]


def test_the_code_is_that_of_the_first_host_that_failed(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("node1", "node2", "node3")
    status = until(
        provider, provider.submit(job(f"{EVERYWHERE}exit $((WEFT_SSH_NODE * 5))", nodes=3))
    )
    assert (status.state, status.exit_code) == (JobState.FAILED, 5)
    assert "node2 with exit code 5; ended on node3 with exit code 10" in status.reason


def test_a_host_that_is_down_is_left_alone_while_there_are_others(
    make: Make, job: Callable[..., Job], context: FakeContext, site: Site, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(AWAY.format(port=free_port()) + site.config.read_text())
    provider = make("node1", "node2", "node3", ssh_config=str(config))
    for _ in range(2):
        status = until(provider, provider.submit(job("echo $WEFT_SSH_HOSTS")))
        assert said(status) in (["node2"], ["node3"])
    warnings = [text for level, text in context.notices if level == "warning"]
    assert len(warnings) == 1
    assert "'node1' cannot be used: no ssh server listens there" in warnings[0]


def test_no_host_that_can_be_used_is_a_refusal_with_the_words_of_ssh(
    make: Make, job: Callable[..., Job], site: Site, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(AWAY.format(port=free_port()) + site.config.read_text())
    with pytest.raises(WeftError) as caught:
        make("node1", ssh_config=str(config)).submit(job("true"))
    assert "Connection refused" in caught.value.why
    assert "Start sshd there" in caught.value.todo


# ---------------------------------------------------------------------------------------- keys


def test_a_key_that_is_refused(make: Make, job: Callable[..., Job], tmp_path: Path) -> None:
    provider = make("node1", key=str(key_in(tmp_path, "another")))
    with pytest.raises(WeftError) as caught:
        provider.submit(job("true"))
    assert "Permission denied (publickey)" in caught.value.why
    assert "authorized_keys" in caught.value.todo


def test_a_host_that_is_not_known_is_not_talked_to(
    make: Make, job: Callable[..., Job], tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.touch()
    with pytest.raises(WeftError) as caught:
        make("node1", known_hosts=str(known)).submit(job("true"))
    assert "its key is not known here" in caught.value.why
    assert "compare the fingerprint" in caught.value.todo
    assert str(known) in caught.value.todo
    assert not known.read_text()


def test_a_host_whose_key_has_changed_is_not_talked_to(
    make: Make, job: Callable[..., Job], site: Site, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    other = key_in(tmp_path, "other").with_suffix(".pub").read_text().split()
    known.write_text(f"machines {other[0]} {other[1]}\n")
    with pytest.raises(WeftError) as caught:
        make("node1", known_hosts=str(known)).submit(job("true"))
    assert "its key is not the one that is known" in caught.value.why
    assert "ssh-keygen -R" in caught.value.todo


def test_a_python_that_is_not_there(make: Make, job: Callable[..., Job]) -> None:
    with pytest.raises(WeftError) as caught:
        make("node1", python="/no/such/python3").submit(job("true"))
    assert "there is no such Python on it" in caught.value.why


# ---------------------------------------------------------------------------------------- jump


def test_hosts_behind_another_one_are_reached_over_one_connection_to_it(
    make: Make, job: Callable[..., Job], site: Site
) -> None:
    before = site.gate.accepted()
    provider = make("inner1", "inner2", jump="gate")
    first = provider.submit(job("echo here; sleep 60"))
    second = provider.submit(job("echo here"))
    assert said(until(provider, second)) == ["here"]
    assert site.gate.accepted(before + 1) == before + 1
    control = provider._control
    assert control is not None
    provider.close()
    assert provider.status([first])[first].state is JobState.CANCELLED
    assert not control.exists()
    eventually(lambda: not site.gate.sessions(), "the connection to the jump host stays")


def test_two_hosts_in_a_row_to_go_through(make: Make, job: Callable[..., Job], site: Site) -> None:
    provider = make("inner1", jump="gate,node9")
    assert said(until(provider, provider.submit(job("echo here")))) == ["here"]


def test_a_jump_host_that_is_down(
    make: Make, job: Callable[..., Job], site: Site, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host gate\n  Port {free_port()}\n{site.config.read_text()}")
    with pytest.raises(WeftError, match="Connection refused"):
        make("inner1", jump="gate", ssh_config=str(config)).submit(job("true"))


# ------------------------------------------------------------------------------------- its end


def test_a_connection_that_is_cut_ends_the_job_on_both_sides(
    make: Make, job: Callable[..., Job], site: Site, tmp_path: Path
) -> None:
    provider = make("node1")
    running = provider.submit(job(f"sleep 600 & echo $! > {tmp_path}/pid; wait"))
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "no pid")
    child = int((tmp_path / "pid").read_text())
    site.inner.cut()
    status = until(provider, running)
    assert status.state is JobState.FAILED
    assert "the connection to node1 was lost" in status.reason
    eventually(lambda: gone(child), "what the job had started lives on")


def test_a_client_that_is_silent_loses_its_job(
    make: Make, job: Callable[..., Job], tmp_path: Path
) -> None:
    provider = make("node1", lost_after=3.0)
    running = provider.submit(job(f"sleep 600 & echo $! > {tmp_path}/pid; wait"))
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "no pid")
    child = int((tmp_path / "pid").read_text())
    (ssh,) = [one for one in psutil.Process().children() if one.name() == "ssh"]
    ssh.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: gone(child), "the job outlives the silence of its client")
    finally:
        ssh.send_signal(signal.SIGCONT)
    status = until(provider, running)
    assert status.state is JobState.FAILED
    assert "the connection to node1 was lost" in status.reason


def test_what_a_job_prints_arrives_whole(make: Make, job: Callable[..., Job]) -> None:
    provider = make("node1")
    status = until(provider, provider.submit(job("head -c 3000000 /dev/zero; echo end >&2")))
    assert status.stdout is not None
    assert status.stderr is not None
    assert status.stdout.stat().st_size == 3_000_000
    assert status.stderr.read_text() == "end\n"


def test_nothing_of_a_job_is_in_a_command(make: Make, job: Callable[..., Job]) -> None:
    provider = make("node1")
    running = provider.submit(job(": s3cret-command; sleep 60", environment={"KEY": "s3cret"}))
    commands = [" ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])]
    assert not [one for one in commands if "s3cret" in one]
    provider.cancel([running])
    until(provider, running)


# ------------------------------------------------------------------------------------ its files


def test_files_go_along_and_what_is_written_comes_back(
    make: Make, job: Callable[..., Job], tmp_path: Path
) -> None:
    (tmp_path / "orders").write_text("said")
    there = tmp_path / "there"
    provider = make("node1", folder=str(there))
    command = (
        'cat "$ORDERS"; mkdir logs; echo one > logs/one; head -c 300000 /dev/zero > big; '
        "ls -ld . | cut -c1-10; exit 3"
    )
    one = job(command, environment={"ORDERS": str(tmp_path / "orders")}, files=("ORDERS",))
    status = until(provider, provider.submit(one))
    assert status.exit_code == 3
    assert said(status) == ["saiddrwx------"]
    fetched = one.folder / "from-node1"
    assert (fetched / "logs" / "one").read_text() == "one\n"
    assert (fetched / "big").stat().st_size == 300_000
    assert sorted(path.name for path in fetched.iterdir()) == ["big", "logs"]
    eventually(lambda: not list(there.iterdir()), "the folder there stays")


def test_a_job_that_is_cut_off_leaves_no_folder(
    make: Make, job: Callable[..., Job], site: Site, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    provider = make("node1", folder=str(there))
    running = provider.submit(job("sleep 600"))
    assert list(there.iterdir())
    site.inner.cut()
    until(provider, running)
    eventually(lambda: not list(there.iterdir()), "the folder there stays")


@pytest.fixture
def apart(site: Site, tmp_path: Path) -> Iterator[Server]:
    """A server that does not see the folder ``here``, as on a machine of its own."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can take a folder out of sight")
    here = tmp_path / "here"
    here.mkdir()
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", str(here)]
    if subprocess.run(probe, capture_output=True, timeout=BOUND, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    (tmp_path / "apart").mkdir()
    one = Server(tmp_path / "apart", site.folder / "user.pub", hidden=here)
    one.start()
    yield one
    one.stop()


def apart_options(apart: Server, site: Site, tmp_path: Path) -> dict[str, object]:
    config = tmp_path / "apart-config"
    config.write_text(f"Host node1\n  Port {apart.port}\n{site.config.read_text()}")
    known = tmp_path / "apart-known"
    known.write_text(f"machines {apart.host_key}\n")
    return {"ssh_config": str(config), "known_hosts": str(known)}


def test_a_host_that_does_not_see_the_folder_is_told_of(
    make: Make, site: Site, apart: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "here" / "job"
    folder.mkdir()
    provider = make("node1", **apart_options(apart, site, tmp_path))
    with pytest.raises(WeftError) as caught:
        provider.submit(Job(name="unseen", command="true", folder=folder))
    assert "it does not see the job's files" in caught.value.why
    assert "the option folder" in caught.value.todo


def test_a_host_with_files_of_its_own_does_without_ours(
    make: Make, site: Site, apart: Server, tmp_path: Path
) -> None:
    folder = tmp_path / "here" / "job"
    folder.mkdir()
    (tmp_path / "here" / "orders").write_bytes(base64.b64decode("AP8K"))
    there = tmp_path / "there"
    provider = make("node1", folder=str(there), **apart_options(apart, site, tmp_path))
    job = Job(
        name="apart",
        command='wc -c < "$ORDERS"; echo written > written',
        folder=folder,
        environment={"ORDERS": str(tmp_path / "here" / "orders")},
        files=("ORDERS",),
    )
    assert said(until(provider, provider.submit(job))) == ["3"]
    assert (folder / "from-node1" / "written").read_text() == "written\n"
