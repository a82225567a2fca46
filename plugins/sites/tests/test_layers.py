"""Sites over sites, and what a user says in the place of names."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from weft_sites.layers import Unfilled, filled, layered
from weft_sites.python import program
from weft_sites.values import BadSite, Fill, Site


def site(name: str = "here", **more: Any) -> Site:
    date = dt.date(2026, 1, 31)
    return Site(**{"name": name, "title": "T", "source": "S", "date": date, **more})


def among(*sites: Site) -> Callable[[str], Site]:
    return {one.name: one for one in sites}.__getitem__


BASE = site(
    "base",
    packages=("weft-slurm",),
    notes="below",
    fill={"nodes": Fill(help="h", type="int", default=1)},
    config={"retries": 1},
    executors={
        "htex": {
            "plugin": "htex",
            "nodes_per_block": "{nodes}",
            "provider": {"plugin": "slurm", "walltime": "1:00:00"},
        }
    },
)


def test_what_a_site_does_not_say_its_base_says() -> None:
    above = site(
        base="base",
        packages=("weft-htex", "weft-slurm"),
        notes="above",
        fill={"account": Fill(help="h")},
        executors={"htex": {"provider": {"account": "{account}"}}},
    )

    made = layered(above, among(BASE))

    assert made.packages == ("weft-slurm", "weft-htex")
    assert made.notes == "above"
    assert list(made.fill) == ["nodes", "account"]
    assert made.executors["htex"]["provider"] == {
        "plugin": "slurm",
        "walltime": "1:00:00",
        "account": "{account}",
    }
    assert (made.name, made.base) == ("here", "")


def test_another_plugin_takes_the_place_of_the_whole_component() -> None:
    above = site(base="base", executors={"htex": {"provider": {"plugin": "pbs", "queue": "q"}}})

    made = layered(above, among(BASE))

    assert made.executors["htex"]["provider"] == {"plugin": "pbs", "queue": "q"}
    assert made.executors["htex"]["nodes_per_block"] == "{nodes}"


def test_bases_in_a_circle_are_named() -> None:
    one, two = site("one", base="two"), site("two", base="one")

    with pytest.raises(BadSite, match="one over two over one"):
        layered(one, among(one, two))


def test_what_is_said_takes_its_place_with_its_type() -> None:
    config, executors = filled(BASE, {"nodes": "4"})

    assert config == {"retries": 1}
    assert executors["htex"]["nodes_per_block"] == 4


def test_names_within_text_and_braces() -> None:
    made = site(
        fill={"a": Fill(help="h"), "n": Fill(help="h", type="int", default=3)},
        executors={"x": {"plugin": "x", "o": ["-l {a}={n}", "${{HOME}}"]}},
    )

    assert filled(made, {"a": "fs"})[1]["x"]["o"] == ["-l fs=3", "${HOME}"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, ["account must be said: Who pays. Such as account=m1."]),
        ({"acount": "m1"}, ["acount is nothing that here asks for", "account must be said"]),
        ({"account": "M1"}, ["account: 'M1' does not match"]),
    ],
)
def test_what_is_not_said_or_wrong(said: dict[str, str], words: list[str]) -> None:
    made = site(
        fill={"account": Fill(help="Who pays.", pattern="[a-z0-9]+", example="m1")},
        executors={"x": {"plugin": "x"}},
    )

    with pytest.raises(Unfilled) as raised:
        filled(made, said)

    for line, word in zip(raised.value.args, words, strict=True):
        assert word in line


@pytest.mark.parametrize("text", ["{who}", "a {who}", "a } b", "{", "{a b}"])
def test_braces_that_mean_nothing(text: str) -> None:
    with pytest.raises(Unfilled):
        filled(site(executors={"x": {"plugin": "x", "o": text}}), {})


def test_a_base_alone_is_no_configuration() -> None:
    with pytest.raises(Unfilled, match="no executor"):
        filled(site(), {})


# ------------------------------------------------------------------------------------------- Python


def test_the_program_is_python_that_says_where_it_is_from() -> None:
    text = program(BASE, *filled(BASE, {}))

    assert text == (
        '"""T.\n\nFrom the site file base; its values are those of\nS as of 2026-01-31.\n\n'
        "It needs: pip install weft-slurm\n\nbelow\n"
        '"""\n\nimport weft\n\n'
        "config = weft.Config(\n"
        "    retries=1,\n"
        "    executors=[\n"
        "        weft.executor(\n"
        '            "htex",\n'
        "            nodes_per_block=1,\n"
        '            provider=weft.provider("slurm", walltime="1:00:00"),\n'
        "        ),\n"
        "    ],\n"
        ")\n"
    )


class Recorder:
    """Stands for weft: calls become tuples."""

    def __getattr__(self, function: str) -> Any:
        return lambda *names, **options: (function, *names, options)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "it's",
        'a "b"',
        "'\"",
        "back\\slash",
        "\u00e9\n\t",
        1,
        1.5,
        True,
        [],
        ["a" * 99],
        {},
    ],
)
def test_every_value_comes_back_as_it_was(value: object) -> None:
    made = site(
        title='Quo"""te \\ ',
        notes='"""',
        executors={"my-ex": {"plugin": "x", "o": value, "p": {"class": value, "a-b": [value]}}},
    )

    space: dict[str, Any] = {}
    text = program(made, made.config, made.executors).replace("import weft\n", "")
    exec(text, {"weft": Recorder()}, space)  # the text under test

    options = {"label": "my-ex", "o": value, "p": {"class": value, "a-b": [value]}}
    assert space["config"] == ("Config", {"executors": [("executor", "x", options)]})
