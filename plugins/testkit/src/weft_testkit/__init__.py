"""Conformance kits for the plugins of weft.

    from weft_testkit import ExecutorConformance

    class TestMine(ExecutorConformance):
        name = "mine"

A kit is a class of tests, one for each promise of an interface. ``weft_testkit.rules`` says how
they are chosen, ``weft_testkit.pytest_plugin`` how pytest runs them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weft_testkit.base import Conformance as Conformance
    from weft_testkit.executor import ExecutorConformance as ExecutorConformance
    from weft_testkit.launcher import LauncherConformance as LauncherConformance
    from weft_testkit.monitor import MonitorConformance as MonitorConformance
    from weft_testkit.provider import ProviderConformance as ProviderConformance
    from weft_testkit.serializer import SerializerConformance as SerializerConformance
    from weft_testkit.stager import StagerConformance as StagerConformance

__all__ = [
    "Conformance",
    "ExecutorConformance",
    "LauncherConformance",
    "MonitorConformance",
    "ProviderConformance",
    "SerializerConformance",
    "StagerConformance",
]

_HOMES = {
    "Conformance": "base",
    "ExecutorConformance": "executor",
    "LauncherConformance": "launcher",
    "MonitorConformance": "monitor",
    "ProviderConformance": "provider",
    "SerializerConformance": "serializer",
    "StagerConformance": "stager",
}


# Kits are imported when they are asked for: pytest loads this package in every session.
def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"weft_testkit.{home}"), name)
