"""The checks of ``weft doctor``: each finds what it is for, and is quiet otherwise."""

import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from weft.values.problem import Finding, Severity
from weft.values.settings import ProviderSettings
from weft_htex import checks
from weft_htex.settings import HTEX


@attrs.frozen(kw_only=True)
class Far(ProviderSettings):
    """A provider of other machines."""

    plugin: ClassVar[str] = "far"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "scratch"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens."""
    with socket.create_server(("", 0)) as listener:
        yield listener.getsockname()[1]


def bad(findings: Iterable[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity is not None]


def told(findings: Iterable[Finding]) -> str:
    return "\n".join(one.what for one in findings)


def test_all_is_well_on_a_machine_that_is_as_it_should_be(folder: Path) -> None:
    settings = HTEX(encrypted=True, addresses=("127.0.0.1",))

    found = list(checks.checks(settings, folder))

    assert [one for one in found if one.severity is Severity.ERROR] == []
    assert "127.0.0.1:" in told(found)
    assert " answers, in " in told(found)


@pytest.mark.parametrize("encrypted", [True, False])
def test_what_knocks_is_let_in(folder: Path, encrypted: bool) -> None:
    knocks = checks.knocked(HTEX(encrypted=encrypted, addresses=("127.0.0.1",)), folder / "one")

    (knock,) = knocks.values()
    assert knock.seconds is not None


def test_the_door_of_this_machine_is_knocked_at_where_there_is_no_other(folder: Path) -> None:
    ((address, knock),) = checks.knocked(HTEX(), folder / "one").items()

    assert address.startswith("unix:")
    assert knock.seconds is not None


def test_nothing_is_left_of_a_knock(folder: Path) -> None:
    import threading

    before = set(threading.enumerate())
    knocks = checks.knocked(HTEX(addresses=("127.0.0.1",)), folder / "one")

    assert set(threading.enumerate()) <= before
    (address,) = knocks
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_old_library_and_one_that_cannot_encrypt_are_errors() -> None:
    old, mute = (
        bad(checks.library(HTEX(), (4, 3, 4), curve=True)),
        bad(checks.library(HTEX(), (4, 3, 5), curve=False)),
    )

    assert [one.severity for one in (*old, *mute)] == [Severity.ERROR] * 2
    assert "older than 4.3.5" in told(old)
    assert "without CURVE" in told(mute)
    assert all("pip install" in one.remedy for one in (*old, *mute))
    assert bad(checks.library(HTEX(), (4, 3, 5), curve=True)) == []


def test_the_library_that_is_installed_is_looked_at() -> None:
    assert bad(checks.library(HTEX())) == []


def test_a_file_system_that_keeps_no_modes_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bad(checks.private_files(folder)) == []
    again = folder / "again"
    again.mkdir()
    (again / "keys").mkdir()
    (again / "keys").chmod(0o755)

    (finding,) = checks.private_files(again)

    assert finding.severity is Severity.ERROR
    assert "open to others (mode 0755)" in finding.what
    assert "run_dir" in finding.remedy


def test_a_range_without_a_free_port_is_an_error(taken: int, folder: Path) -> None:
    settings = HTEX(ports=(taken, taken))

    (finding,) = checks.port_range(settings)
    assert finding.severity is Severity.ERROR
    assert f"{taken}: Address already in use" in finding.what

    found = bad(checks.ways(settings, folder))
    assert "The interchange cannot be started" in found[0].what
    assert f"No port from {taken} to {taken}" in found[0].what


def test_a_range_with_free_ports_is_counted(taken: int) -> None:
    first = min(taken, 65533)
    (finding,) = checks.port_range(HTEX(ports=(first, first + 2)))

    assert finding.severity in {None, Severity.WARNING}
    assert "of the 3 ports" in finding.what


def test_an_address_that_nobody_answers_at_is_told(folder: Path) -> None:
    settings = HTEX(addresses=("127.0.0.1", "no-such-host.invalid"))

    found = bad(checks.ways(settings, folder))

    assert [one.severity for one in found] == [Severity.WARNING]
    assert "no-such-host.invalid" in found[0].what
    assert "addresses=" in found[0].remedy


def test_without_any_address_that_answers_it_is_an_error(folder: Path) -> None:
    found = bad(checks.ways(HTEX(provider=Far(), addresses=("no-such-host.invalid",)), folder))

    assert [one.severity for one in found] == [Severity.ERROR]


def test_another_listener_at_the_address_is_not_taken_for_the_interchange(taken: int) -> None:
    from weft_htex.keys import BlockKeys, make_pair

    public, secret = make_pair()
    server, _ = make_pair()
    address = f"tcp://127.0.0.1:{taken}"
    keys = BlockKeys(block="b", public=public, secret=secret, server=server, addresses=(address,))

    for patience in (0.3, 3.0, 30.0):  # it is told of connections by a thread of its own
        knock = checks._knock_at(keys, patience)[address]
        assert knock.seconds is None
        if knock.connected:
            break

    assert knock.connected
    assert "not this interchange" in checks._told(address, knock, any_good=False).what


def test_loopback_alone_is_an_error_where_nodes_are_elsewhere(folder: Path) -> None:
    here = HTEX(addresses=("127.0.0.1",))
    assert bad(checks.ways(here, folder / "a")) == []

    found = bad(checks.ways(attrs.evolve(here, provider=Far()), folder / "b"))

    assert "loopback addresses alone" in found[-1].what
    assert found[-1].severity is Severity.ERROR


def test_a_name_that_leads_nowhere_matters_where_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "gethostname", lambda: "nameless")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    (by_itself,) = checks.host_name(HTEX())
    (given,) = checks.host_name(HTEX(addresses=("nameless",)))

    assert (by_itself.severity, given.severity) == (Severity.WARNING, Severity.ERROR)
    assert "'nameless', leads nowhere" in given.what


def test_a_machine_without_ipv6_is_an_error_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NoSix(socket.socket):
        def __init__(self, family: int = -1, *more: Any, **others: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *more, **others)

    monkeypatch.setattr(socket, "socket", NoSix)

    (without,) = checks.ipv6(HTEX())
    (asked,) = checks.ipv6(HTEX(addresses=("fd00::7",)))

    assert without.severity is None
    assert asked.severity is Severity.ERROR
    assert "fd00::7" in asked.why
