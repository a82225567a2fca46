"""The provider over hosts that hang, talk nonsense, lie, or die; tests/systems/ssh has real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weft.errors import SubmitLater, WeftError
from weft.testing import FakeContext
from weft.values.jobs import Job, JobState
from weft_ssh.provider import WAY, SSHProvider
from weft_ssh.settings import SSH
from weft_testkit.rig import come_to

BOUND = 60.0
Make = Callable[..., SSHProvider]


@pytest.fixture
def make(ssh: Path, tmp_path: Path) -> Iterator[Make]:
    made: list[SSHProvider] = []

    def making(*hosts: str, **more: Any) -> SSHProvider:
        one = SSHProvider(SSH(hosts=hosts, **{"connect_timeout": 3.0, **more}))
        made.append(one)
        folder = tmp_path / f"context-{len(made)}"
        folder.mkdir(mode=0o700)
        one.start(FakeContext(folder))
        return one

    yield making
    for one in made:
        one.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    made: list[Job] = []

    def making(command: str = "true", **more: Any) -> Job:
        folder = tmp_path / f"job-{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(Job(name=f"job-{len(made)}", command=command, folder=folder, **more))
        return made[-1]

    return making


def test_what_a_login_shell_prints_is_no_part_of_the_job(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("chatty")
    status = come_to(provider, provider.submit(job("echo said")))
    assert status.stdout is not None
    assert status.stdout.read_text() == "said\n"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("silent", "it gave no answer in time"),
        ("odd", "it said what is not understood"),
        ("wordy", "it said what is not understood"),
        ("down", "it does not answer"),
    ],
)
def test_a_host_that_does_not_do_is_named_with_the_reason(
    make: Make, job: Callable[..., Job], host: str, why: str
) -> None:
    patience = 1.0 if host == "silent" else BOUND
    with pytest.raises(WeftError) as caught:
        make(host, connect_timeout=patience).submit(job())
    assert f"{host}: {why}" in caught.value.why


def test_another_host_is_taken_in_the_place_of_one_that_does_not_do(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("down", "odd", "good")
    status = come_to(provider, provider.submit(job("echo $WEFT_SSH_HOSTS")))
    assert status.stdout is not None
    assert status.stdout.read_text() == "good\n"


def test_hosts_that_are_in_use_are_waited_for_where_others_do_not_do(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("good", "down")
    provider.submit(job("sleep 60"))
    with pytest.raises(SubmitLater, match="1 of the 2 hosts are in use, and down cannot be used"):
        provider.submit(job())


def test_a_file_whose_name_leads_out_is_not_taken(
    make: Make, job: Callable[..., Job], tmp_path: Path
) -> None:
    provider = make("liar")
    try:
        words = come_to(provider, provider.submit(job())).reason
    except WeftError as refusal:  # it lied before the job had begun
        words = refusal.why
    assert "not understood: a file of the name '../outside'" in words
    assert not list(tmp_path.rglob("outside"))


def test_a_connection_that_breaks_is_a_failure_with_words(
    make: Make, job: Callable[..., Job]
) -> None:
    provider = make("dying")
    status = come_to(provider, provider.submit(job("sleep 600")))
    assert status.state is JobState.FAILED
    assert status.reason == "the connection to dying was lost: ssh ended with exit code 255"
    assert status.exit_code is None


def test_ends_are_told(make: Make, job: Callable[..., Job]) -> None:
    provider = make("good")
    told: list[JobState] = []
    running: list[str] = []
    provider.watch(lambda: told.extend(provider.status([one])[one].state for one in running))
    running.append(provider.submit(job("sleep 0.5")))
    come_to(provider, running[0])
    until = time.monotonic() + BOUND
    while JobState.DONE not in told:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_way_is_led_only_where_it_was_asked_for(make: Make) -> None:
    assert not make("good").forward(4711)
    provider = make("good", tunnel=True)
    assert provider.forward(4711) == WAY


def test_what_no_shell_can_have_is_refused(make: Make, job: Callable[..., Job]) -> None:
    provider = make("good")
    with pytest.raises(WeftError, match="NUL"):
        provider.submit(job("true\0"))
    with pytest.raises(WeftError, match="'A=B'"):
        provider.submit(job(environment={"A=B": ""}))
    with pytest.raises(WeftError, match="'ORDERS' is not in its environment"):
        make("good", folder="/tmp/there").submit(job(files=("ORDERS",)))


def test_a_provider_that_is_closed_takes_no_job(make: Make, job: Callable[..., Job]) -> None:
    provider = make("good")
    provider.close()
    with pytest.raises(WeftError, match="closed"):
        provider.submit(job())


def test_files_that_are_not_there_are_told_at_the_start(ssh: Path, tmp_path: Path) -> None:
    provider = SSHProvider(SSH(hosts=("good",), key=str(tmp_path / "no")))
    (tmp_path / "context").mkdir(mode=0o700)
    with pytest.raises(WeftError, match="its option key"):
        provider.start(FakeContext(tmp_path / "context"))


def test_a_machine_without_ssh_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "context").mkdir(mode=0o700)
    with pytest.raises(WeftError, match="no program ssh"):
        SSHProvider(SSH(hosts=("good",))).start(FakeContext(tmp_path / "context"))
