"""What can be said to the launchers, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import weft_launchers
from weft.interfaces.launcher import VERSION
from weft.values.plugin import Component
from weft_launchers import Aprun, Flux, GnuParallel, Ibrun, Jsrun, Mpiexec, Mpirun, manifest


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "-d 8",
        "--label 'two words' \"$HOME\"",
        "-x 'a;b' '>' '#no comment'",
        "a#b",
        "--prefix=/opt/mpi ${MORE}",
    ],
)
def test_extra_words_are_shell_words(overrides: str) -> None:
    assert Aprun(overrides=overrides).overrides == overrides


@pytest.mark.parametrize(
    "overrides",
    ["; rm x", "a && b", "a >b", "$(id)", "a | b", "# comment", "'a", "a\\", "a\nb", "\0"],
)
def test_what_the_shell_would_act_on_is_refused(overrides: str) -> None:
    with pytest.raises(ValueError, match="overrides"):
        Aprun(overrides=overrides)


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        (Aprun, {"ranks_per_node": 0}, "ranks_per_node"),
        (Aprun, {"program": "a\nb"}, "program"),
        (Aprun, {"cpu_bind": "two words"}, "cpu_bind"),
        (Aprun, {"cpu_bind": ""}, "cpu_bind"),
        (Aprun, {"debug": "yes"}, "debug"),
        (Flux, {"exclusive": 1}, "exclusive"),
        (Ibrun, {"offset": -1}, "offset"),
        (Jsrun, {"cpus": "all"}, "cpus"),
        (Jsrun, {"gpus": "-1"}, "gpus"),
        (Mpiexec, {"implementation": "lam"}, "implementation"),
        (Mpiexec, {"environment": ["A B"]}, "'A B'"),
        (Mpiexec, {"environment": "PATH"}, "list of names"),
        (Mpiexec, {"implementation": "mpich", "allow_run_as_root": True}, "Open MPI alone"),
        (Mpirun, {"implementation": "pals", "oversubscribe": True}, "Open MPI alone"),
        (Mpirun, {"implementation": "mpich", "environment": ["A"]}, "Open MPI alone"),
        (GnuParallel, {"ssh": " "}, "ssh"),
        (GnuParallel, {"node_file": "a\nb"}, "node_file"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        settings(**options)


def test_the_entry_points_lead_to_the_declarations() -> None:
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    points = project["project"]["entry-points"]["weft.components"]
    declared = {name: getattr(manifest, name) for name in manifest.__all__}
    assert points == {
        component.key: f"weft_launchers.manifest:{name}" for name, component in declared.items()
    }
    assert all(isinstance(one, Component) and one.interface == VERSION for one in declared.values())


def test_the_public_names_are_the_settings_of_each_launcher() -> None:
    named = {getattr(weft_launchers, name).plugin for name in weft_launchers.__all__}
    assert named == {getattr(manifest, name).name for name in manifest.__all__}
    with pytest.raises(AttributeError, match="Nothing"):
        weft_launchers.Nothing  # noqa: B018 - looking is the test
