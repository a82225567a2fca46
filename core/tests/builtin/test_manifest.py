"""The declarations of the built-in parts agree with what they lead to."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from weft.builtin import manifest
from weft.builtin.settings import Threads, usable_cores
from weft.interfaces import executor, launcher, monitor, provider, serializer, stager
from weft.values.plugin import Component, Kind
from weft.values.settings import Settings, options_of

ALL = [getattr(manifest, name) for name in manifest.__all__]
INTERFACES = {
    Kind.EXECUTOR: (executor, executor.Executor),
    Kind.PROVIDER: (provider, provider.Provider),
    Kind.LAUNCHER: (launcher, launcher.Launcher),
    Kind.STAGER: (stager, stager.Stager),
    Kind.SERIALIZER: (serializer, serializer.Serializer),
    Kind.MONITOR: (monitor, monitor.Monitor),
}
REQUIRED = {"wrapped": {"prepend": "env"}}


def led_to(place: str) -> object:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.key)
def test_a_declaration_leads_to_what_it_says(component: Component) -> None:
    made = led_to(component.settings)
    assert isinstance(made, type)
    assert issubclass(made, Settings)
    assert (made.kind, made.plugin) == (component.kind, component.name)
    assert callable(led_to(component.factory))


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.key)
def test_a_factory_makes_a_component_of_its_kind_from_the_defaults(component: Component) -> None:
    settings = led_to(component.settings)
    factory = led_to(component.factory)
    assert callable(settings)
    assert callable(factory)
    made = factory(settings(**REQUIRED.get(component.name, {})))
    assert isinstance(made, INTERFACES[component.kind][1])


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.key)
def test_a_declaration_uses_the_words_of_its_interface(component: Component) -> None:
    module = INTERFACES[component.kind][0]
    assert component.interface == module.VERSION
    known = getattr(module, "CAPABILITIES", {})
    assert set(component.capabilities) <= set(known)
    if component.kind is Kind.EXECUTOR:
        assert set(component.capabilities) == set(known), "an executor says of each what it can do"


@pytest.mark.parametrize("component", ALL, ids=lambda component: component.key)
def test_every_option_is_explained(component: Component) -> None:
    settings = led_to(component.settings)
    assert isinstance(settings, type)
    assert settings.__doc__
    for option in options_of(settings):
        assert option.help.endswith((".", "?")) or option.name == "label", option


def test_the_entry_points_are_these_declarations() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    points = project["project"]["entry-points"]["weft.components"]
    assert {key: led_to(place) for key, place in points.items()} == {one.key: one for one in ALL}


def test_reading_the_declarations_loads_nothing_heavy() -> None:
    code = (
        "import sys\nimport weft.builtin.manifest\n"
        "print(*sorted(name for name in sys.modules if name.startswith('weft')))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert ran.stdout.split() == [
        "weft",
        "weft.builtin",
        "weft.builtin.manifest",
        "weft.values",
        "weft.values.plugin",
    ]


def test_threads_are_as_many_as_cores_and_at_least_two() -> None:
    assert Threads().max_threads == max(2, usable_cores())
    with pytest.raises(ValueError, match="max_threads"):
        Threads(max_threads=0)
