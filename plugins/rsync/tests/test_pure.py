"""What URLs name, what rsync is told, and what it says: without it."""

from __future__ import annotations

import shlex

import pytest

from weft_rsync.address import Address, BadAddress, End, understood
from weft_rsync.checks import version_in
from weft_rsync.command import bringing, environment, listing, names, sending
from weft_rsync.settings import Rsync
from weft_rsync.words import bytes_done, lines_about, validator_in
from weft_rsync.words import understood as trouble_of

DAEMON = End(ssh=False, login="host", port="", base="module")
HOST = End(ssh=True, login="me@host", port="2222", base="/")


# -------------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "end", "path"),
    [
        ("rsync://host/module/a/b", DAEMON, "a/b"),
        ("RSYNC://host/module//a///b", DAEMON, "a/b"),
        ("rsync://host/module/a%20b%2Fc?d#e", DAEMON, "a b/c?d#e"),
        ("rsync://host/module/100%.csv", DAEMON, "100%.csv"),
        ("rsync://host/module/%FF", DAEMON, "\udcff"),
        ("rsync+ssh://me@host:2222/a/b", HOST, "a/b"),
        (
            "rsync+ssh://me@host:2222/~/a",
            End(ssh=True, login="me@host", port="2222", base="~"),
            "a",
        ),
        ("rsync://[::1]:8/m/a", End(ssh=False, login="[::1]", port="8", base="m"), "a"),
    ],
)
def test_a_url_names_a_file_of_an_end(url: str, end: End, path: str) -> None:
    assert understood(url) == Address(end, path)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("rsync://me:word@host/module/a", "holds a password"),
        ("rsync:///module/a", "names no host"),
        ("rsync://-oProxyCommand=x/module/a", "no name of a host"),
        ("rsync+ssh://-oProxyCommand=x/a", "no name of a host"),
        ("rsync+ssh://me@-x/a", "no name of a host"),
        ("rsync://host:99999/module/a", "no name of a host"),
        ("rsync://ho st/module/a", "no name of a host"),
        ("rsync://host/module", "names no file"),
        ("rsync://host/module/", "names no file"),
        ("rsync://host/module/a/", "names no file"),
        ("rsync://host/", "names no file"),
        ("rsync+ssh://host/", "names no file"),
        ("rsync+ssh://host/~", "names no file"),
        ("rsync://host/mo*le/a", "no name of a module"),
        ("rsync://host/module/../a", "'..'"),
        ("rsync://host/module/%2e%2e/a", "'..'"),
        ("rsync://host/module/a%2F..%2Fb", "'..'"),
        ("rsync://host/module/a%00b", "zero byte"),
    ],
)
def test_what_names_no_file_is_refused(url: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why) as caught:
        understood(url)
    assert caught.value.todo


# --------------------------------------------------------------------------------------- arguments


def test_names_stand_in_a_file_and_never_among_arguments() -> None:
    harmful = [Address(DAEMON, path) for path in ("#a", "-n", "two\nlines", "\udcff", "[a]*")]

    assert names(harmful) == b"./#a\0./-n\0./two\nlines\0./\xff\0./[a]*\0"


def test_the_two_ends_stand_after_the_options() -> None:
    settings = Rsync()

    assert bringing(settings, DAEMON, "/names", "/to")[-3:] == [
        "--",
        "rsync://host/module/",
        "/to/",
    ]
    assert sending(settings, DAEMON, "/names", "/of")[-3:] == ["--", "/of/", "rsync://host/module/"]
    assert listing(settings, DAEMON, "/names")[-3:-1] == ["--", "rsync://host/module/"]


@pytest.mark.parametrize(("base", "written"), [("/", "me@host:/"), ("~", "me@host:./")])
def test_a_host_is_written_as_rsync_wants_it(base: str, written: str) -> None:
    end = End(ssh=True, login="me@host", port="", base=base)

    assert bringing(Rsync(), end, "/names", "/to")[-2] == written


def test_options_become_arguments() -> None:
    settings = Rsync(
        program="/opt/rsync",
        compress=True,
        bandwidth=7,
        password_file="/secret",
        connect_timeout=3,
        read_timeout=4,
    )
    words = bringing(settings, DAEMON, "/names", "/to")

    assert words[0] == "/opt/rsync"
    assert {"--compress", "--bwlimit=7", "--password-file=/secret"} < set(words)
    assert {"--contimeout=3", "--timeout=4", "--files-from=/names", "-s"} < set(words)


def test_ssh_is_told_to_ask_nothing_and_to_believe_nobody() -> None:
    settings = Rsync(
        ssh="/opt/my ssh",
        ssh_config="it's",
        known_hosts="/a b",
        key="/key",
        remote_program="/opt/rsync",
    )
    words = bringing(settings, HOST, "/names", "/to")
    shell = words[words.index("-e") + 1]

    assert "--rsync-path=/opt/rsync" in words
    assert not any(word.startswith("--contimeout") for word in words)
    assert shell.startswith("'/opt/my ssh' '-F' 'it''s' '-i' '/key'")
    # Of these words a shell understands what rsync does.
    told = shlex.split(shell.replace("'it''s'", "its"))
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no"} < set(told)
    assert 'UserKnownHostsFile="/a b"' in told
    assert told[told.index("-p") + 1] == "2222"


def test_variables_that_would_change_its_ways_are_left_out() -> None:
    given = {"RSYNC_RSH": "rsh", "RSYNC_PASSWORD": "word", "LC_ALL": "de_DE.UTF-8", "PATH": "/bin"}

    assert environment(given) == {
        "RSYNC_PASSWORD": "word",
        "LC_ALL": "C",
        "TZ": "UTC",
        "PATH": "/bin",
    }


# ------------------------------------------------------------------------------------ what it says


@pytest.mark.parametrize(
    ("piece", "done"),
    [
        (b"", None),
        (b"receiving file list ... done\n", None),
        (b"\r              0   0%    0.00kB/s    0:00:00  ", 0),
        (
            b"\r  32768   0%  1kB/s  0:00:01\r  8388608 100%  9MB/s 0:00:00 (xfr#1, to-chk=0/1)\n",
            8388608,
        ),
        (b"0%    0.00kB/s 0:00:00  \r     1", None),
    ],
)
def test_progress_is_the_last_that_was_said(piece: bytes, done: int | None) -> None:
    assert bytes_done(piece) == done


@pytest.mark.parametrize(
    ("listed", "validator"),
    [
        ("-rw-r--r--             16 2026/11/21 18:19:13 a/b c\n", "2026-11-21T18:19:13-16"),
        ("drwx------          4,096 2026/11/21 18:19:13 a\n", None),
        ("lrwxrwxrwx              4 2026/11/21 18:19:13 a -> b\n", None),
        ("Welcome!\n\n-rwxr-xr-x+ 1234567890123 1999/01/02 03:04:05 x\n",
         "1999-01-02T03:04:05-1234567890123"),
        ("", None),
    ],
)  # fmt: skip
def test_a_listing_is_understood(listed: str, validator: str | None) -> None:
    assert validator_in(listed) == validator


def test_lines_are_found_by_the_path_as_it_is_written() -> None:
    said = 'link_stat "/a/two\\#012lines" (in files) failed\nlink_stat "b" failed\n'

    assert lines_about(said, "/a/two\nlines") == said.splitlines()[0]
    assert lines_about(said, "b") == said.splitlines()[1]
    assert not lines_about(said, "c")


@pytest.mark.parametrize(
    ("code", "said", "again", "why"),
    [
        (5, "@ERROR: Unknown module 'x'", False, "Unknown module 'x'"),
        (5, "@ERROR: max connections (2) reached -- try again later", True, "max connections"),
        (10, "failed to connect to h: Connection refused (111)", True, "Connection refused"),
        (11, 'write failed on "/x": No space left on device (28)', True, "No space left"),
        (11, 'write failed on "/x": File too large (27)', False, "File too large"),
        (12, "connection unexpectedly closed (0 bytes received so far)", True, "too early"),
        (23, 'link_stat "/a" (in m) failed: No such file or directory (2)', False, "No such file"),
        (23, 'send_files failed to open "/a": Permission denied (13)', False, "Permission denied"),
        (23, "WARNING: a failed verification -- update discarded", True, "failed verification"),
        (24, 'file has vanished: "/a"', True, "vanished"),
        (30, "io timeout after 5 seconds -- exiting", True, "silent for too long"),
        (35, "timeout waiting for daemon connection", True, "too long to answer"),
        (127, "bash: line 1: rsync: command not found", False, "not found"),
        (255, "me@h: Permission denied (publickey).", False, "publickey"),
        (255, "Host key verification failed.", False, "Host key"),
        (255, "ssh: connect to host h port 22: Connection timed out", True, "timed out"),
        (-9, "", True, "signal 9"),
        (99, "", False, "exit code 99"),
    ],
)  # fmt: skip
def test_codes_become_sentences(code: int, said: str, again: bool, why: str) -> None:
    trouble = trouble_of(code, f"{said}\nrsync error: some error (code {code}) at main.c(1)\n")

    assert trouble.again == again
    assert why in trouble.why
    assert "main.c" not in trouble.why
    assert trouble.of_all == (code not in {3, 23, 24})


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("rsync  version 3.5.0  protocol version 32\n", (3, 5)),
        ("rsync  version v3.2.7  protocol version 31\n", (3, 2)),
        ("openrsync: protocol version 29\n", None),
    ],
)
def test_versions_are_read(said: str, version: tuple[int, int] | None) -> None:
    assert version_in(said) == version


@pytest.mark.parametrize(
    ("option", "value"),
    [("connect_timeout", 0), ("bandwidth", 0), ("program", ""), ("key", "a\nb"),
     ("remote_program", "rsync; rm"), ("remote_program", "-x")],
)  # fmt: skip
def test_settings_are_looked_at(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=option):
        Rsync(**{option: value})  # type: ignore[arg-type]
