"""What the options of htex allow, and what they say of what they do not allow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import weft
from weft.errors import SettingsError
from weft.values.settings import options_of
from weft_htex.settings import HTEX, is_loopback


def test_it_is_had_by_its_name() -> None:
    assert weft.executor("htex", workers_per_node=2) == HTEX(workers_per_node=2)


def test_every_option_says_what_it_is_for() -> None:
    assert [one.name for one in options_of(HTEX) if not one.help.endswith(".")] == []


def test_the_readme_has_every_option_and_no_other() -> None:
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    table = readme.partition("## Options")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]

    assert sorted(named) == sorted(one.name for one in options_of(HTEX))


def test_the_defaults_are_safe_and_local() -> None:
    made = HTEX()
    assert made.encrypted
    assert made.provider is None
    assert (made.init_blocks, made.min_blocks, made.max_blocks) == (1, 0, 1)
    assert (made.heartbeat, made.lost_after) == (5.0, 30.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers_per_node": 0}, "workers_per_node"),
        ({"min_blocks": 3, "max_blocks": 2}, "min_blocks"),
        ({"init_blocks": 3, "max_blocks": 2}, "init_blocks"),
        ({"parallelism": 2.0}, "parallelism"),
        ({"heartbeat": 20.0, "lost_after": 30.0}, "two heartbeats"),
        ({"ports": (6000, 5000)}, "ports"),
        ({"ports": (0, 5000)}, "ports"),
        ({"prefetch": -1}, "prefetch"),
        ({"prefetch": "some"}, "prefetch"),
        ({"selector": "random"}, "selector"),
        ({"mode": "indirect"}, "mode"),
        ({"cpu_affinity": "list:a"}, "cpu_affinity"),
        ({"accelerators": ("0", "0")}, "twice"),
        ({"accelerators": "0,1"}, "accelerators"),
        ({"accelerators_per_worker": 0.3}, "accelerators_per_worker"),
        ({"accelerators_per_worker": 1.5}, "accelerators_per_worker"),
        ({"isolation": "process", "tasks_per_worker": 5}, "tasks_per_worker"),
        ({"encrypted": False, "addresses": ("10.0.0.1",)}, "loopback"),
        ({"addresses": ("a b",)}, "addresses"),
        ({"worker_init": "a\0b"}, "worker_init"),
        ({"environment": {"A": 1}}, "environment"),
        ({"environment": {"A=B": "1"}}, "environment"),
        ({"environment": {"A": "\0"}}, "environment"),
        ({"max_message": 10}, "max_message"),
        ({"max_in_flight": 10}, "max_in_flight"),
        ({"label": "a b"}, "label"),
        ({"walltime": 3}, "walltime"),
    ],
)
def test_what_cannot_be_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        weft.executor("htex", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"accelerators": 4},
        {"accelerators": ("0", "1"), "accelerators_per_worker": 0.5},
        {"accelerators": 8, "accelerators_per_worker": 2},
        {"cpu_affinity": "list:0,1:2-3"},
        {"prefetch": 0},
        {"encrypted": False, "addresses": ("127.0.0.1",)},
        {"addresses": ("login1.example.org", "10.0.0.1")},
        {"ports": (54000, 54000)},
    ],
)
def test_what_can_be_is_taken(options: dict[str, Any]) -> None:
    made = weft.executor("htex", **options)
    assert {name: getattr(made, name) for name in options} == options


def test_a_provider_is_one() -> None:
    with pytest.raises(SettingsError, match="provider"):
        weft.executor("htex", provider="slurm")
    assert HTEX(provider=weft.provider("local")).provider == weft.provider("local")


def test_loopback_is_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("10.0.0.1", "0.0.0.0", "example.org", "127.0.0.1.evil.org")))
