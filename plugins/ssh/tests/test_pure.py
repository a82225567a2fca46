"""Settings, words of ssh, frames, hosts and ends: text by text."""

from __future__ import annotations

import itertools
import shlex
from typing import Any

import pytest

from weft.values.jobs import JobState
from weft_ssh.checks import Answer, Here, judged
from weft_ssh.command import connection, end_of_jump, shown
from weft_ssh.frames import GREETING, NotUnderstood, Reader, file_in, frame
from weft_ssh.hosts import Hosts
from weft_ssh.outcome import End, outcome
from weft_ssh.settings import SSH, Hop, hops
from weft_ssh.words import last_words, refused_there, understood

# ------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hosts": ()}, "a name at least"),
        ({"hosts": "node1"}, "a sequence"),
        ({"hosts": ("-oProxyCommand=id",)}, "no name or address"),
        ({"hosts": ("a b",)}, "no name or address"),
        ({"hosts": ("a@-b",)}, "no name or address"),
        ({"hosts": ("a", "b", "a")}, "names 'a' twice"),
        ({"jump": "a b"}, "is not"),
        ({"jump": "-oX@gate"}, "is not"),
        ({"user": "-l"}, "user"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"python": "-x"}, "python"),
        ({"folder": "here"}, "begins with '/'"),
        ({"lost_after": 1}, "lost_after"),
        ({"key": ""}, "key"),
    ],
)
def test_what_is_no_option_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SSH(**{"hosts": ("node1",), **options})


def test_hosts_on_the_way_are_read() -> None:
    assert hops("me@gate:2222,[::1]:22,last") == (
        Hop("me", "gate", "2222"),
        Hop("", "::1", "22"),
        Hop("", "last", ""),
    )


# ------------------------------------------------------------------------------------- command


def options_of(words: list[str]) -> dict[str, str]:
    found = [option for word, option in itertools.pairwise(words) if word == "-o"]
    return dict(one.split("=", 1) for one in found)


def test_a_host_that_is_not_known_is_never_talked_to() -> None:
    plain = SSH(hosts=("node1",))
    through = SSH(hosts=("node1",), jump="a,b", user="me", port=22, key="~/k", known_hosts="/k")
    for settings in (plain, through):
        words = connection(settings, "node1", control="/c", way=("/tmp/s", 1))
        while words:
            found = options_of(words)
            assert found["StrictHostKeyChecking"] == "yes"
            assert found["BatchMode"] == "yes"
            assert found["PasswordAuthentication"] == "no"
            assert found["ForwardAgent"] == "no"
            words = shlex.split(found.get("ProxyCommand", "").replace("%%", "%"))


def test_the_host_comes_last_and_cannot_be_an_option() -> None:
    words = connection(SSH(hosts=("node1",), python="python3"), "node1")
    assert words[-3:-1] == ["--", "node1"]
    assert words[-1].startswith("exec python3 -I -S -c '")
    assert "ClearAllForwardings=yes" in words


def test_what_a_way_needs() -> None:
    words = connection(SSH(hosts=("n",), tunnel=True), "n", way=("/tmp/s", 4711))
    assert words[words.index("-R") + 1] == "/tmp/s:127.0.0.1:4711"
    assert options_of(words)["ExitOnForwardFailure"] == "yes"
    assert "ClearAllForwardings" not in options_of(words)


def test_hosts_on_the_way_share_one_connection() -> None:
    settings = SSH(hosts=("n",), jump="first,me@last:2222")
    proxy = options_of(connection(settings, "n", control="/run/100%/jump"))["ProxyCommand"]
    words = shlex.split(proxy)
    assert words[-7:] == ["-W", "[%h]:%p", "-l", "me", "-p", "2222", "--", "last"][-7:]
    assert options_of(words)["ControlPath"] == "/run/100%%/jump"
    assert options_of(words)["ControlMaster"] == "auto"
    inner = shlex.split(options_of(words)["ProxyCommand"].replace("%%", "%"))
    assert inner[-2:] == ["--", "first"]
    assert "ControlPath" not in options_of(inner)
    assert end_of_jump(settings, "/c")[-6:] == ["-l", "me", "-p", "2222", "--", "last"]


def test_what_is_shown_is_what_a_person_types() -> None:
    settings = SSH(hosts=("n",), user="me", port=2222, key="/k", known_hosts="/known")
    assert shown(connection(settings, "n")) == (
        "ssh -i /k -o 'UserKnownHostsFile=\"/known\"' -l me -p 2222 n"
    )


# --------------------------------------------------------------------------------------- words

UNKNOWN = """No ED25519 host key is known for node1 and you have requested strict checking.
Host key verification failed.
"""
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Offending ED25519 key in /home/me/.ssh/known_hosts:3
  remove with:
  ssh-keygen -f "/home/me/.ssh/known_hosts" -R "node1"
Host key for node1 has changed and you have requested strict checking.
Host key verification failed.
"""


@pytest.mark.parametrize(
    ("log", "why", "todo"),
    [
        (CHANGED, "not the one that is known", "ssh-keygen -R"),
        (UNKNOWN, "not known here", "fingerprint"),
        ("me@node1: Permission denied (publickey).", "does not take the key", "authorized_keys"),
        ("ssh: Could not resolve hostname node1: Name or service not known", "name is not known",
         "HostName"),
        ("ssh: connect to host node1 port 22: Connection refused", "no ssh server", "sshd"),
        ("ssh: connect to host node1 port 22: Connection timed out", "does not answer", "jump"),
        ("Error: remote port forwarding failed for listen path /tmp/x", "way back",
         "AllowStreamLocalForwarding"),
        ("kex_exchange_identification: read: Connection reset by peer", "closed the connection",
         "MaxStartups"),
        ("bash: line 1: exec: /opt/python: not found", "no such Python", "option python"),
        ("channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed",
         "the jump host cannot reach it", "AllowTcpForwarding"),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!", "read by others", "chmod"),
        ("Something else", "ssh says: Something else", "TRY"),
        ("", "no answer in time", "TRY"),
    ],
)  # fmt: skip
def test_what_ssh_says_is_understood(log: str, why: str, todo: str) -> None:
    trouble = understood(log, try_it="TRY")
    assert why in trouble.why
    assert todo in trouble.todo
    assert "{" not in trouble.todo


def test_frames_of_signs_are_no_words() -> None:
    assert "@@" not in last_words(CHANGED)
    assert last_words(CHANGED).endswith("Host key verification failed.")


def test_what_a_watcher_refuses_is_understood() -> None:
    assert "does not see" in refused_there("unseen /run/job.sh: No such file").why
    assert "folder" in refused_there("folder /scratch: Permission denied").todo
    assert "could not be started" in refused_there("start /bin/sh: gone").why


# -------------------------------------------------------------------------------------- frames


def test_frames_come_in_any_pieces_and_after_any_noise() -> None:
    said = b"Welcome!\n" + GREETING + b"o\0\0\0\x03abc" + b"v\0\0\0\x02{}"
    for size in (1, 2, 7, len(said)):
        reader, found = Reader(), []
        for at in range(0, len(said), size):
            found += list(reader.take(said[at : at + size]))
        assert found == [(b"o", b"abc"), (b"v", b"{}")]
        assert reader.noise == b"Welcome!\n"


@pytest.mark.parametrize("after", [b"?\0\0\0\0", b"o\xff\xff\xff\xff"])
def test_what_is_no_frame_is_refused(after: bytes) -> None:
    with pytest.raises(NotUnderstood):
        list(Reader().take(GREETING + after))


def test_a_greeting_that_never_comes_is_not_waited_for() -> None:
    with pytest.raises(NotUnderstood):
        list(Reader().take(b"y" * 70_000))


def test_a_sign_of_life_is_an_empty_frame() -> None:
    assert frame() == b"\0\0\0\0"
    assert frame({"stop": True}) == b"\0\0\0\x0e" + b'{"stop": true}'


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b"])
def test_names_of_files_stay_in_their_folder(name: str) -> None:
    with pytest.raises(NotUnderstood):
        file_in(len(name).to_bytes(4, "big") + name.encode() + b"data")
    assert file_in(b"\0\0\0\x03a/bdata") == ("a/b", b"data")


# --------------------------------------------------------------------------------------- hosts


def test_hosts_are_taken_whole_or_not_at_all() -> None:
    hosts = Hosts(("a", "b", "c"))
    assert hosts.take(2, 0.0) == ["a", "b"]
    assert hosts.take(2, 0.0) == []
    hosts.free("a")
    assert hosts.take(2, 0.0) == ["a", "c"]
    assert hosts.used() == 3
    assert hosts.used({"a"}) == 2


def test_hosts_that_do_not_do_come_last_until_their_time_is_over() -> None:
    hosts = Hosts(("a", "b", "c"))
    hosts.put_aside("a", 20.0)
    hosts.put_aside("b", 10.0)
    assert hosts.take(3, 0.0) == ["c", "b", "a"]
    for one in "abc":
        hosts.free(one)
    assert hosts.take(1, 30.0) == ["a"]
    assert hosts.take(2, 0.0, but={"b"}) == []
    hosts.free("a")
    hosts.good("a")
    assert hosts.take(2, 0.0) == ["a", "c"]


# ---------------------------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("ends", "cancelled", "state", "code", "words"),
    [
        ([End(host="a", code=0)], False, JobState.DONE, 0, "exit code 0"),
        ([End(host="a", code=0)], True, JobState.DONE, 0, "exit code 0"),
        ([End(host="a", code=3)], False, JobState.FAILED, 3, "ended with exit code 3"),
        ([End(host="a", code=-9)], False, JobState.FAILED, -9, "ended by SIGKILL"),
        ([End(host="a", code=-15, stopped=True)], True, JobState.CANCELLED, -15, "cancelled"),
        ([End(host="a", lost="gone")], False, JobState.FAILED, None, "connection to a was lost"),
        ([End(host="a", lost="gone")], True, JobState.CANCELLED, None, "cancelled"),
        ([End(host="a", stopped=True)], False, JobState.FAILED, None, "from outside"),
        (
            [End(host="a", code=0), End(host="b", code=4), End(host="c", lost="gone")],
            False, JobState.FAILED, 4, "ended on b with exit code 4; the connection to c was lost",
        ),
        (
            [End(host="a", code=0), End(host="b", runs=False, lost="gone")],
            False, JobState.DONE, 0, "exit code 0",
        ),
        (
            [End(host="a", code=0, left=["big"])],
            False, JobState.DONE, 0, "too large to be fetched from a: big",
        ),
    ],
)  # fmt: skip
def test_how_a_job_ended(
    ends: list[End], cancelled: bool, state: JobState, code: int | None, words: str
) -> None:
    found = outcome(ends, cancelled=cancelled)
    assert (found.state, found.code) == (state, code)
    assert words in found.reason


# -------------------------------------------------------------------------------------- doctor


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(python="3.12.1", weft="0.1", clock=0.0), ["has Python 3.12.1, and here it is"]),
        (Answer(python="3.11.9", weft=None, clock=0.0), ["has no weft"]),
        (Answer(python="3.11.2", weft="0.2", clock=0.0), ["has weft 0.2, and here it is 0.1"]),
        (Answer(python="3.11.2", weft="0.1", clock=-60.0), ["60 s behind ours"]),
        (Answer(python="3.11.2", weft="0.1", clock=4.0), []),
    ],
)
def test_what_the_doctor_says_of_a_host(answer: Answer, words: list[str]) -> None:
    here = Here(python="3.11.4", weft="0.1")
    first, *others = list(judged("node1", answer, here, "python3"))
    assert f"answers, with Python {answer.python}" in first.what
    assert len(others) == len(words)
    for one, said in zip(others, words, strict=True):
        assert said in one.what
        assert one.severity is not None
