"""Managers find the interchange, on whatever network, and nobody is asked outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from weft_netns.apps import host
from weft_netns.cluster import BOUND, eventually, managers
from weft_netns.wire import Frame

from weft.errors import ExecutorFailed


def manager_logs(run_dir: Path) -> str:
    return "\n".join(one.read_text() for one in run_dir.rglob("manager-*.log"))


def test_of_several_interfaces_the_one_that_nodes_reach_is_found_without_asking(
    cluster: Any,
) -> None:
    """The way out leads to where no node is, and a bridge of containers has the same address
    everywhere."""
    there = cluster(nodes=1, login=["10.77.0.1/24"])
    network, login = there.network, there.login
    campus = network.wire(login, ["192.0.2.7/24"], lan="campus", interface="eth1")
    login.run("ip", "route", "add", "default", "via", "192.0.2.254")
    for number, one in enumerate([login, *there.nodes]):
        network.link(one, ["172.17.0.1/16"], lan=f"containers{number}", interface="docker0")
    asked: list[Frame] = []

    def heard(frame: Frame, outward: bool) -> float | None:
        if outward and frame[12:14] != b"\x86\xdd":  # IPv6 looks for neighbours by itself
            asked.append(frame)
        return 0.0

    campus.rule = heard
    with there.session() as session:
        assert host().result(BOUND) == "node1"
        addresses = session.status().executors["htex"].details["addresses"]

    offered = [one.removeprefix("tcp://").rpartition(":")[0] for one in addresses]
    assert offered == ["192.0.2.7", "10.77.0.1", "172.17.0.1"]
    assert "reached the interchange at tcp://10.77.0.1:" in manager_logs(there.run_dir)
    assert not asked


def test_a_second_address_of_an_interface_is_offered_too(cluster: Any) -> None:
    there = cluster(nodes=1, login=["192.0.2.7/24", "10.77.0.1/24"])
    with there.session():
        assert host().result(BOUND) == "node1"


def test_a_network_of_ipv6_alone(cluster: Any) -> None:
    there = cluster(nodes=2, login=["fd77::1/64"], address="fd77::{}/64")
    with there.session(nodes_per_block=2) as session:
        eventually(lambda: len(managers(session)) == 2)
        assert {one.result(BOUND) for one in [host() for _ in range(200)]} == {"node1", "node2"}


def test_both_families_and_only_ipv6_leads_there(cluster: Any) -> None:
    there = cluster(nodes=1, login=["10.88.0.1/24", "fd77::1/64"], address="fd77::{}/64")
    with there.session():
        assert host().result(BOUND) == "node1"


def test_an_address_of_ipv6_that_is_named(cluster: Any) -> None:
    there = cluster(nodes=1, login=["fd77::1/64"], address="fd77::{}/64")
    with there.session(addresses=("fd77::1",)):
        assert host().result(BOUND) == "node1"


def test_a_block_whose_nodes_find_nobody_is_told_of_with_the_addresses_tried(cluster: Any) -> None:
    there = cluster(nodes=2)
    nowhere = ("10.99.0.1", "10.99.0.2")
    given = {"addresses": nowhere, "start_timeout": 3.0, "block_failures": 1}
    with there.session(nodes_per_block=2, **given), pytest.raises(ExecutorFailed) as raised:
        host().result(BOUND)

    told = str(raised.value)
    for address in nowhere:
        assert address in told
    assert "did not reach the interchange within 3 s" in told
    assert "HTEX(addresses=...)" in told
