"""What every kit has in common: what is tested, how it is made, and the rules of all kinds."""

import functools
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import pytest

from weft.configuration.registry import Registry, default_registry
from weft.interfaces import module_of
from weft.values.plugin import Component, Kind
from weft.values.settings import Settings, options_of
from weft_testkit.bounded import Caller
from weft_testkit.leftovers import Look
from weft_testkit.rules import KitError, Verdict, decide, rule, rule_of

__all__ = ["Conformance"]

_LIGHT: Final = ("attr", "attrs", "weft")
"""Top-level packages beside the standard library that a declaration may import."""


_IMPATIENCE: Final = 1.5


class Conformance:
    """The base of all kits. Inherit the kit of your kind, name your component, override a fixture.

    Rules are methods that stand in the order in which they are worth knowing: what is cheap and
    basic comes first. A rule makes what it needs itself, by way of ``self.open``, and within a
    bounded time, so that a broken component fails a rule instead of an unrelated fixture.

    Attributes:
        kind: the kind of component that the kit is for.
        name: the component's name, as a configuration has it.
        not_supported: reasons why a rule need not hold, by the rule's id. Such a rule is tried all
            the same, and has to fail.
        killed_by: for a variant that is broken on purpose, the id of the rule that has to fail
            first; those after it are not run.
        killed_alone: that the rules before that one are not run either, for a variant in which
            they look at nothing that was bent.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    not_supported: ClassVar[Mapping[str, str]] = {}
    killed_by: ClassVar[str] = ""
    killed_alone: ClassVar[bool] = False

    # --------------------------------------------------------------------------- what is tested

    @classmethod
    def registry(cls) -> Registry:
        """Where the component is looked up."""
        return default_registry()

    @classmethod
    def component(cls) -> Component:
        """The declaration of what is tested, found by its name as a configuration finds it.

        Raises:
            KitError: the kit names none.
            ConfigurationError: there is none of that name, or it is broken; the message says how.
        """
        if not cls.name:
            raise KitError(
                f"{cls.__name__} does not say what it tests. Write: name = 'the-name-in-the-config'"
            )
        return cls.registry().component(cls.kind, cls.name)

    @classmethod
    def declared_in(cls) -> str:
        """The module that holds the declaration; empty for what was registered in this process."""
        for offer in cls.registry().offers(cls.kind, cls.name):
            return offer.target.partition(":")[0] if ":" in offer.target else ""
        return ""

    @pytest.fixture
    def settings(self) -> Settings:
        """The settings under which it is tested; its defaults unless this is overridden."""
        return self.registry().settings(self.kind, self.name)

    @pytest.fixture
    def patience(self, request: pytest.FixtureRequest) -> float:
        """Seconds that a call or a wait may take at most before a rule counts as broken.

        Few in a rule that has to fail, which often means to wait in vain.
        """
        usual: float = request.config.getoption("--weft-patience")
        judged = rule_of(request.function)
        if judged is None:
            return usual
        decision = decide(judged, self.component().capabilities, self.not_supported, self.killed_by)
        vain = decision.verdict in {Verdict.EXCUSED, Verdict.KILL}
        return _IMPATIENCE if vain else usual

    @pytest.fixture
    def scratch(self, tmp_path: Path) -> Path:
        """A folder of its own, which nobody else can read."""
        tmp_path.chmod(0o700)
        return tmp_path

    @pytest.fixture
    def caller(self, patience: float) -> Iterator[Caller]:
        """Makes the calls into the component."""
        made = Caller(patience)
        before = Look.now()
        yield made
        made.close()
        before.kill_rest()

    def open(self, settings: Settings) -> Any:
        """Make what is tested, as a session does: through its factory, not started."""
        return self.registry().open(settings)

    # ---------------------------------------------------------------------- rules of every kind

    @rule("C001", "The declaration imports the standard library, attrs and weft.values alone.")
    def test_declaration_is_light(self) -> None:
        target = self.declared_in()
        if not target:
            pytest.skip("declared within this process, so no module of it can be looked at")
        own = target.partition(".")[0]
        heavy = [
            name
            for name in _imports_of(target)
            if name.partition(".")[0] not in {*sys.stdlib_module_names, *_LIGHT, own}
        ]
        assert not heavy, f"importing {target} also imports {', '.join(heavy[:5])}"

    @rule("C002", "Every capability of the interface is declared one way or another.")
    def test_capabilities_are_declared(self) -> None:
        interface = module_of(self.kind)
        known = getattr(interface, "CAPABILITIES", {})
        own = getattr(interface, "OWN_CAPABILITIES", None)
        declared = self.component().capabilities
        strange = sorted(
            name for name in set(declared) - set(known) if own is None or not name.startswith(own)
        )
        assert not strange, f"the interface knows no capability {strange[0]!r}"
        # What was built before a word came cannot know it.
        current = self.component().interface == interface.VERSION
        silent = sorted(set(known) - set(declared)) if current else []
        assert not silent, (
            f"nothing is declared of {', '.join(silent)}; write Support.FULL, PARTIAL, "
            "NOT_IMPLEMENTED or UNSUPPORTED"
        )

    @rule("C003", "Settings are frozen, compare by value, and every option has a help text.")
    def test_settings_are_data(self, settings: Settings) -> None:
        cls = type(settings)
        assert "__attrs_attrs__" in vars(cls), f"{cls.__name__} is not an attrs class"
        fields = attrs.fields(cls)
        if fields:
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(settings, fields[0].name, None)
        assert attrs.evolve(settings) == settings, "two equal settings do not compare equal"
        unhelpful = [option.name for option in options_of(cls) if not option.help]
        assert not unhelpful, f"option {unhelpful[0]!r} has no help text"

    @rule("C004", "Importing the factory starts nothing: no thread, no process, no file.")
    def test_importing_starts_nothing(self) -> None:
        module = self.component().factory.partition(":")[0]
        look = json.loads(_python(_LOOK, module))
        assert not look["threads"], f"importing {module} started the thread {look['threads'][0]!r}"
        assert not look["children"], f"importing {module} started a process"

    @rule("C005", "What the factory makes has every method of the interface, with its parameters.")
    def test_signatures_fit(self, settings: Settings) -> None:
        made = self.open(settings)
        interface = _interface_of(self.kind)
        for name, wanted in vars(interface).items():
            if name.startswith("_") or not callable(wanted):
                continue
            asked, given = inspect.signature(wanted), inspect.signature(getattr(type(made), name))
            missing = _not_taken(asked, given)
            assert not missing, f"{type(made).__name__}.{name} does not take {missing}"


_LOOK: Final = """
import importlib, json, os, sys, threading
importlib.import_module(sys.argv[1])
try:
    children = os.waitpid(-1, os.WNOHANG) is not None
except ChildProcessError:
    children = False
threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
print(json.dumps({"threads": threads, "children": children}))
os._exit(0)
"""

_MODULES: Final = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _python(code: str, *words: str) -> str:
    return _said(code, words, os.environ.get("PYTHONPATH", ""))


# What importing a module does is the same for every class of tests that asks.
@functools.cache
def _said(code: str, words: tuple[str, ...], _path: str) -> str:
    # Flushed by hand where the code ends with _exit, which a thread left by an import cannot delay.
    done = subprocess.run(
        [sys.executable, "-u", "-c", code, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _imports_of(module: str) -> list[str]:
    found: list[str] = json.loads(_python(_MODULES, module))
    return found


def _interface_of(kind: Kind) -> type[Any]:
    found: type[Any] = getattr(module_of(kind), kind.value.capitalize())
    return found


def _not_taken(asked: inspect.Signature, given: inspect.Signature) -> str:
    """A parameter that is asked for and cannot be given; empty where all can."""
    takes = given.parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in takes) and any(
        p.kind is p.VAR_KEYWORD for p in takes
    ):
        return ""
    for name, parameter in asked.parameters.items():
        mine = given.parameters.get(name)
        if mine is None:
            return f"the parameter {name!r}"
        if parameter.kind is parameter.KEYWORD_ONLY and mine.kind is mine.POSITIONAL_ONLY:
            return f"the parameter {name!r} by name"
    for name, mine in given.parameters.items():
        known = name in asked.parameters
        variable = mine.kind in {mine.VAR_POSITIONAL, mine.VAR_KEYWORD}
        if not known and not variable and mine.default is mine.empty:
            return f"a call without its own parameter {name!r}"
    return ""
