"""Components of former versions of an interface: which are spoken to, and how.

No interface has left its first major yet. So here the interface of monitors does, for the length of
a test: in a module of its own, as the rule is, while plugins of the first major are as they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from weft import compat, interfaces
from weft.cli import main
from weft.cli.doctor import _light
from weft.compat import Step, adaptation, adapted, base, route, speaks
from weft.configuration import registry as registry_module
from weft.configuration.check import problems
from weft.configuration.config import Config
from weft.errors import InterfaceMismatch, PluginBroken
from weft.interfaces.launcher import Launcher
from weft.interfaces.monitor import Monitor
from weft.interfaces.provider import Lasting, Provider
from weft.session import Session
from weft.testing import FakeContext, FakeProvider
from weft.values.plugin import Component, Kind
from weft.values.problem import Severity

if TYPE_CHECKING:
    from core.tests.conftest import Site

UNTIL = dt.date(2031, 5, 1)


def step(kind: Kind, to: str, adapter: str = "somewhere:adapter", **major: Any) -> Step:
    if to.endswith(".0"):
        before = int(to.partition(".")[0]) - 1
        major = {
            "last": f"{before}.4",
            "former": "weft.interfaces.monitor:Monitor",
            "until": UNTIL,
        } | major
    return Step(kind=kind, to=to, adapter=adapter, **major)


# ------------------------------------------------------------------------------------- which steps


@pytest.mark.parametrize(
    ("built", "steps"),
    [
        ("2.3", []),
        ("2.1", ["2.2"]),
        ("2.2", []),
        ("2.0", ["2.2"]),
        ("1.4", ["2.0", "2.2"]),
        ("1.0", ["1.3", "2.0", "2.2"]),
        ("2.4", None),  # newer than what is spoken
        ("3.0", None),
        ("1.5", None),  # there never was such a one
        ("0.9", None),  # two majors ago
    ],
)
def test_all_steps_since_the_version_that_is_declared_the_oldest_first(
    monkeypatch: pytest.MonkeyPatch, built: str, steps: list[str] | None
) -> None:
    there = [step(Kind.MONITOR, to) for to in ("2.2", "1.3", "2.0")]
    monkeypatch.setattr(compat, "STEPS", (*there, step(Kind.STAGER, "2.1")))

    found = route(Kind.MONITOR, built, "2.3")

    assert (None if found is None else [one.to for one in found]) == steps


def test_what_is_spoken_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert speaks(Kind.MONITOR, "1.0") == "1.0"
    assert speaks(Kind.MONITOR, "1.2") == "1.0 to 1.2"
    monkeypatch.setattr(compat, "STEPS", (step(Kind.MONITOR, "2.0"),))
    assert speaks(Kind.MONITOR, "2.1") == "2.0 to 2.1, and 1.0 to 1.4 through an adapter"


def test_only_who_is_of_a_former_major_is_told_of_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "STEPS", (step(Kind.MONITOR, "2.0"), step(Kind.MONITOR, "2.1")))

    assert adaptation(Kind.MONITOR, "2.0", "2.1") == ""
    assert adaptation(Kind.MONITOR, "1.3", "2.1") == (
        "It was built for monitor interface 1.3; this weft speaks 2.1 and adapts it, until "
        "2031-05-01 at least."
    )


@pytest.mark.parametrize(
    ("to", "facts"),
    [
        ("2.0", {"last": ""}),
        ("2.0", {"last": "2.4"}),
        ("2.0", {"former": ""}),
        ("2.0", {"until": None}),
        ("2.1", {"until": UNTIL}),
    ],
)
def test_a_step_to_a_new_major_says_what_it_needs_and_one_within_a_major_does_not(
    to: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=rf"the step to monitor {to}"):
        step(Kind.MONITOR, to, **facts)


def test_every_step_that_there_is_leads_somewhere() -> None:
    for one in compat.STEPS:
        assert callable(compat._loaded(one.adapter)), one
        assert isinstance(base([one], object), type), one


# -------------------------------------------------------------------------------- within one major


class Plain(Launcher):
    """Built for 1.0: it knows no keyword ``gpus``."""

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        return f"{per_node} x {command} on {nodes}"


class WithoutGpus(Launcher):
    """What the step to 1.1 makes of such a one."""

    def __init__(self, plain: Launcher) -> None:
        self._plain = plain

    def compose(self, command: str, *, nodes: int, per_node: int = 1, gpus: int = 0) -> str:
        if gpus:
            raise ValueError("this launcher cannot give GPUs to a command")
        return self._plain.compose(command, nodes=nodes, per_node=per_node)


def test_a_keyword_that_a_minor_brought_never_reaches_a_component_built_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = step(Kind.LAUNCHER, "1.1", f"{__name__}:WithoutGpus")
    monkeypatch.setattr(compat, "STEPS", (one,))
    monkeypatch.setattr(compat, "_loaded", lambda _: WithoutGpus)
    steps = route(Kind.LAUNCHER, "1.0", "1.1")
    assert steps == (one,)
    assert base(steps, Launcher) is Launcher

    made: Any = adapted(Plain(), steps, Launcher)

    assert made.compose("true", nodes=2, gpus=0) == "1 x true on 2"
    with pytest.raises(ValueError, match="cannot give GPUs"):
        made.compose("true", nodes=2, gpus=1)


class Outliving(FakeProvider, Lasting):
    site = "here"

    def listed(self, jobs: Mapping[str, str]) -> Collection[str]:
        return jobs


class Forgetful(Provider):
    """Passes every call on, and hides that jobs outlive their client."""

    def __init__(self, inner: Provider) -> None:
        for name in ("start", "submit", "status", "cancel", "close"):
            setattr(self, name, getattr(inner, name))

    start = submit = status = cancel = close = lambda *_: None  # type: ignore[assignment]  # replaced


def test_a_step_that_hides_an_ability_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_loaded", lambda _: Forgetful)
    steps = [step(Kind.PROVIDER, "1.1")]

    assert isinstance(adapted(FakeProvider(), steps, Provider), Forgetful)
    with pytest.raises(TypeError, match="hide that it is Lasting"):
        adapted(Outliving(), steps, Provider)


# ------------------------------------------------------------------------------ from major to major

NEXT = '''
"""The second major: a monitor says how much it wrote, and what it wants in one value."""

from abc import ABC, abstractmethod

VERSION = "2.1"

class Monitor(ABC):
    @abstractmethod
    def start(self, context): ...
    @abstractmethod
    def interests(self): ...
    def takes_rows(self):
        return False
    @abstractmethod
    def handle(self, events): ...
    @abstractmethod
    def written(self): ...
    @abstractmethod
    def close(self): ...
'''

ADAPTER = """
from weft_next.monitor import Monitor

class FromFirst(Monitor):
    def __init__(self, former):
        self.former, self.count = former, 0

    def start(self, context):
        self.former.start(context)

    def interests(self):
        return self.former.interests()

    def handle(self, events):
        self.former.handle(events)
        self.count += len(events)

    def written(self):
        return self.count

    def close(self):
        self.former.close()
"""

PLUGIN = """
from weft.interfaces.monitor import Monitor

told = []

class Old(Monitor):
    def start(self, context):
        told.append("start")

    def handle(self, events):
        told.extend(type(one).__name__ for one in events)

    def close(self):
        told.append("close")

def build(settings):
    return Old()
"""


@pytest.fixture
def bumped(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A weft that speaks monitor 2.1, and 1.0 to 1.4 by a step; and a package built for 1.2."""
    site.write("weft_next/__init__.py", "")
    site.write("weft_next/monitor.py", NEXT)
    site.write("weft_next/monitor_from_1.py", ADAPTER)
    monkeypatch.setitem(interfaces.MODULES, "monitor", "weft_next.monitor")
    one = step(Kind.MONITOR, "2.0", "weft_next.monitor_from_1:FromFirst")
    monkeypatch.setattr(compat, "STEPS", (one,))
    site.plugin("old-mon", "monitor", "old", interface="1.2", factory=PLUGIN, version="0.7")
    return site


def test_a_package_built_for_the_former_major_is_found_and_opened(bumped: Site) -> None:
    registry = bumped.registry()

    made: Any = registry.open(registry.settings("monitor", "old"))

    assert type(made).__name__ == "FromFirst"
    assert isinstance(made.former, Monitor)
    made.start(FakeContext())
    made.handle(["an event", "another"])
    assert made.written() == 2


def test_its_monitor_is_told_of_a_whole_run(bumped: Site) -> None:
    import weft

    registry = bumped.registry(builtin=True)
    old: Any = registry.settings("monitor", "old")
    with Session(Config(monitors=[old]), registry=registry) as session:
        future = weft.python_app(session=session)(lambda: 6 * 7)()
        assert future.result() == 42

    from old_mon_monitor_old.factory import told  # type: ignore[import-not-found]

    assert told[0] == "start"
    assert told[-1] == "close"
    assert "TaskMoved" in told


def test_a_configuration_that_names_it_is_told_until_when_it_is_adapted(bumped: Site) -> None:
    registry = bumped.registry(builtin=True)
    old: Any = registry.settings("monitor", "old")

    (found,) = problems(Config(monitors=[old]), registry)

    assert found.severity is Severity.WARNING
    assert found.place == "monitors[0]"
    assert "monitor interface 1.2; this weft speaks 2.1 and adapts it" in found.what
    assert "until 2031-05-01 at least" in found.what
    assert found.remedy == "Install a newer version of old-mon when there is one."


def test_one_built_for_what_is_spoken_is_not_adapted(bumped: Site) -> None:
    factory = PLUGIN.replace("weft.interfaces.monitor", "weft_next.monitor").replace(
        "    def close", "    interests = written = lambda self: None\n\n    def close"
    )
    bumped.plugin("new-mon", "monitor", "new", interface="2.1", factory=factory)
    registry = bumped.registry()

    made = registry.open(registry.settings("monitor", "new"))

    assert type(made).__name__ == "Old"
    assert registry.adaptation(registry.component("monitor", "new")) == ""


@pytest.mark.parametrize(
    ("interface", "why", "todo"),
    [
        ("2.2", "after this weft", "Install a newer weft"),
        ("3.0", "after this weft", "Install a newer weft"),
        ("0.9", "until a year after", "Install a newer version of odd-mon"),
        ("1.5", "until a year after", "Install a newer version of odd-mon"),
    ],
)
def test_what_no_steps_lead_from_is_refused_at_lookup(
    bumped: Site, interface: str, why: str, todo: str
) -> None:
    bumped.plugin("odd-mon", "monitor", "odd", interface=interface, factory="1 / 0\n")

    with pytest.raises(InterfaceMismatch) as caught:
        bumped.registry().settings("monitor", "odd")

    assert (
        f"(odd-mon 1.0) was built for monitor interface {interface}; this weft speaks 2.0 to 2.1, "
        "and 1.0 to 1.4 through an adapter." in caught.value.what
    )
    assert why in caught.value.why
    assert todo in caught.value.todo


def test_without_its_step_the_former_major_is_refused(
    bumped: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compat, "STEPS", ())

    with pytest.raises(InterfaceMismatch, match=r"this weft speaks 2\.0 to 2\.1\."):
        bumped.registry().component("monitor", "old")


def test_one_that_claims_the_former_major_must_be_of_its_class(bumped: Site) -> None:
    bumped.plugin(
        "liar", "monitor", "liar", interface="1.0", factory="def build(settings):\n    return 7\n"
    )
    registry = bumped.registry()

    with pytest.raises(PluginBroken, match=r"int, which is not a weft\.interfaces\.monitor\.Mon"):
        registry.open(registry.settings("monitor", "liar"))


def test_a_step_that_ends_nowhere_is_said_to_be_wrong(bumped: Site) -> None:
    bumped.write("weft_next/monitor_from_1.py", "def FromFirst(former):\n    return former\n")
    registry = bumped.registry()

    with pytest.raises(TypeError, match=r"end with Old, which is no weft_next\.monitor\.Monitor"):
        registry.open(registry.settings("monitor", "old"))


def test_what_is_declared_in_this_process_is_held_against_the_version_too(bumped: Site) -> None:
    component = Component(
        kind=Kind.MONITOR,
        name="here",
        interface="0.3",
        settings="x:S",
        factory="x:f",
        summary="Here.",
    )

    with pytest.raises(InterfaceMismatch, match=r"monitor interface 0\.3"):
        bumped.registry().register(component)


# ---------------------------------------------------------------------------------- what people see


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("info", "old"), "1.2 (this weft speaks 2.1). It was built for monitor interface 1.2"),
        (("why", "old"), "It was built for monitor interface 1.2; this weft speaks 2.1"),
        (("check", "old"), "monitor.old of old-mon is of the former major of its interface."),
    ],
)
def test_the_commands_say_that_it_is_adapted_and_until_when(
    bumped: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    shown: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(registry_module, "_default", bumped.registry(builtin=True))

    with pytest.raises(SystemExit):
        main(["plugin", *words])

    out = " ".join(capsys.readouterr().out.split())
    assert shown in out
    assert "until 2031-05-01 at least." in out


def test_the_doctor_warns_of_it(bumped: Site) -> None:
    lines = list(_light(bumped.registry().offer("monitor", "old"), bumped.registry()))

    assert [line.status for line in lines] == ["warning"]
    assert "is of the former major of its interface" in lines[0].what


def test_why_says_that_the_chosen_one_cannot_be_spoken_to(
    bumped: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bumped.plugin("odd-mon", "monitor", "odd", interface="7.0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(registry_module, "_default", bumped.registry(builtin=True))

    with pytest.raises(SystemExit):
        main(["plugin", "why", "odd"])

    assert "was built for monitor interface 7.0" in " ".join(capsys.readouterr().out.split())
