"""Claims of the addresses at which a machine may be reached."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from weft_htex import addresses
from weft_htex.addresses import LOOPBACK, candidates, endpoint, is_loopback


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a bridge for containers, a cluster's network, and a way out."""
    found = [("docker0", "172.17.0.1"), ("ib0", "10.1.0.5"), ("eth0", "192.0.2.7")]
    routes = tmp_path / "route"
    routes.write_text("Iface Destination Gateway\nib0 0001010A 0\neth0 00000000 0102\n")
    inet6 = tmp_path / "if_inet6"
    inet6.write_text(
        "00000000000000000000000000000001 01 80 10 80       lo\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
    )
    monkeypatch.setattr(addresses, "_by_interface", lambda: found)
    monkeypatch.setattr(addresses, "_ROUTES", routes)
    monkeypatch.setattr(addresses, "_IF_INET6", inet6)
    monkeypatch.setattr(addresses, "_by_name", lambda: pytest.fail("the resolver was asked"))


@pytest.mark.usefixtures("machine")
def test_who_has_a_way_out_comes_first_and_bridges_last() -> None:
    assert candidates() == ("192.0.2.7", "10.1.0.5", "172.17.0.1", "2001:db8::1")


def test_this_machine_has_addresses_and_each_is_one() -> None:
    found = candidates()

    assert found
    assert len(set(found)) == len(found)
    for one in found:
        assert not ipaddress.ip_address(one).is_link_local


def test_what_the_user_says_is_offered_and_nothing_else() -> None:
    assert candidates(("login", "10.0.0.1", "login")) == ("login", "10.0.0.1")
    assert candidates(("login",), local=True) == ("login",)


def test_managers_on_this_machine_are_told_of_loopback_alone() -> None:
    assert candidates(local=True) == (LOOPBACK,)


def test_nobody_is_asked_over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something was sent")

    for name in ("connect", "connect_ex", "sendto", "send", "sendall"):
        monkeypatch.setattr(socket.socket, name, refuse, raising=False)

    assert candidates()


def test_a_machine_without_any_has_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_by_interface", list)
    monkeypatch.setattr(addresses, "_by_name", list)
    monkeypatch.setattr(addresses, "_by_interface6", list)

    assert candidates() == (LOOPBACK,)


def test_a_machine_that_says_nothing_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(addresses, "_ROUTES", tmp_path / "none")
    monkeypatch.setattr(addresses, "_IF_INET6", tmp_path / "none")
    monkeypatch.setattr(socket, "getaddrinfo", fails)

    assert candidates()


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("login", False),
        ("0.0.0.0", False),
    ],
)
def test_loopback_is_told_from_others(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_endpoints_of_both_families() -> None:
    assert endpoint("10.0.0.1", 5) == "tcp://10.0.0.1:5"
    assert endpoint("::1", 5) == endpoint("[::1]", 5) == "tcp://[::1]:5"
