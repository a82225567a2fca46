import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.configuration.config import Config
from weft.configuration.hooks import MOST_FAILURES, Hooks
from weft.errors import HookBroken, WeftWarning
from weft.interfaces.hookspecs import hookimpl

if TYPE_CHECKING:
    from core.tests.conftest import Site

HOOK = "from weft.interfaces.hookspecs import hookimpl\nseen = []\n"


class Told(list[tuple[str, str]]):
    def __call__(self, level: str, text: str) -> None:
        self.append((level, text))


@pytest.fixture
def told() -> Any:
    return Told()


def opened(site: "Site", told: Told, config: Any = None, **options: Any) -> Any:
    return Hooks.open(config or Config(), site.registry(), notice=told, **options)


def registered(site: "Site", told: Told, *plugins: object, **options: Any) -> Any:
    registry = site.registry()
    for number, plugin in enumerate(plugins, 1):
        registry.register_hooks(plugin, f"p{number}")
    return Hooks.open(Config(), registry, notice=told, **options)


def watcher(site: "Site", body: str = "", dist: str = "weft-watch", module: str = "watch") -> None:
    site.write(f"{module}.py", HOOK + body)
    site.dist(dist, hooks={"watch": module})


class Observer:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def weft_run_started(self, run: object) -> None:
        self.seen.append(run)


class Grumbler:
    calls = 0

    @hookimpl
    def weft_run_started(self) -> None:
        self.calls += 1
        raise RuntimeError("no")


def test_without_hooks_nothing_is_active(site: "Site", told: Told) -> None:
    hooks = opened(site, told)

    assert not hooks.active("weft_run_started")
    hooks.observe("weft_run_started", run=1)
    assert hooks.first("weft_choose_executor", task=1, candidates=["a"]) is None


def test_without_hooks_pluggy_is_not_imported(tmp_path: Path) -> None:
    source = (
        "import sys\nfrom weft.configuration.hooks import Hooks\nfrom weft.configuration.config "
        "import Config\n"
        "from weft.configuration.registry import Registry\n"
        f"Hooks.open(Config(), Registry([{str(tmp_path)!r}])).observe('weft_run_started', run=1)\n"
        "print('pluggy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"


def test_a_package_is_told_what_it_asked_for(site: "Site", told: Told) -> None:
    watcher(site, "@hookimpl\ndef weft_run_finished(summary): seen.append(summary)\n")
    hooks = opened(site, told)

    assert hooks.active("weft_run_finished")
    assert not hooks.active("weft_run_started")
    hooks.observe("weft_run_finished", run="r", summary="s")

    assert sys.modules["watch"].seen == ["s"]
    assert hooks.plugins == ("weft-watch:watch",)
    assert told == []


def test_set_up_is_called_once_with_the_configuration(site: "Site", told: Told) -> None:
    watcher(site, "@hookimpl\ndef weft_config_ready(config): seen.append(config)\n")
    config = Config(retries=2)

    opened(site, told, config)

    assert sys.modules["watch"].seen == [config]


def test_one_that_raises_takes_nothing_from_the_others(site: "Site", told: Told) -> None:
    good, bad, late = Observer(), Grumbler(), Observer()
    hooks = registered(site, told, good, bad, late)

    hooks.observe("weft_run_started", run=7)

    assert good.seen == late.seen == [7]


def test_after_three_failures_it_is_called_no_more_and_said_once(site: "Site", told: Told) -> None:
    bad, good = Grumbler(), Observer()
    hooks = registered(site, told, bad, good)

    for number in range(5):
        hooks.observe("weft_run_started", run=number)

    assert bad.calls == MOST_FAILURES
    assert good.seen == [0, 1, 2, 3, 4]
    assert [level for level, _ in told] == ["warning"]
    assert "p1 failed 3 times and are switched off" in told[0][1]
    assert "weft_run_started: RuntimeError: no" in told[0][1]


def test_each_failure_is_logged_with_the_name_of_the_package(
    site: "Site", told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = registered(site, told, Grumbler())

    hooks.observe("weft_run_started", run=1)

    assert "weft_run_started of p1 raised RuntimeError: no" in caplog.text


def test_the_first_answer_decides(site: "Site", told: Told) -> Any:
    class Says:
        def __init__(self, answer: object) -> None:
            self.answer = answer

        @hookimpl
        def weft_retry_decision(self, attempt: int) -> object:
            return self.answer

    hooks = registered(site, told, Says(5), Says(0.0), Says(None))

    assert hooks.first("weft_retry_decision", task=1, error=ValueError(), attempt=1) == 0.0


def test_an_answer_that_raises_is_no_answer(site: "Site", told: Told) -> None:
    class Bad:
        @hookimpl
        def weft_result_key(self) -> str:
            raise KeyError

    hooks = registered(site, told, Bad())

    assert hooks.first("weft_result_key", task=1) is None


def test_a_module_that_cannot_be_imported_is_reported_and_left_out(
    site: "Site", told: Told
) -> None:
    watcher(site, "raise SystemExit('bye')\n", "weft-bad", "bad_hooks")
    watcher(site, "@hookimpl\ndef weft_run_started(run): seen.append(run)\n")
    hooks = opened(site, told)

    hooks.observe("weft_run_started", run=1)

    assert sys.modules["watch"].seen == [1]
    assert len(told) == 1
    assert "weft-bad:watch" in told[0][1]
    assert "SystemExit: bye" in hooks.problems[0].what


def test_an_unknown_hook_is_answered_with_the_nearest(site: "Site", told: Told) -> None:
    watcher(site, "@hookimpl\ndef weft_run_startd(run): pass\n")
    hooks = opened(site, told)

    assert hooks.plugins == ()
    assert (
        "weft_run_startd, which is no hook of this weft. Did you mean weft_run_started"
        in told[0][1]
    )


def test_an_argument_that_a_hook_does_not_have_is_reported(site: "Site", told: Told) -> None:
    watcher(site, "@hookimpl\ndef weft_run_started(run, colour): pass\n")
    hooks = opened(site, told)

    assert hooks.plugins == ()
    assert "colour" in told[0][1]


def test_a_package_that_refuses_the_configuration_takes_no_part(site: "Site", told: Told) -> None:
    watcher(
        site,
        "@hookimpl\ndef weft_config_ready(config): raise ValueError('too big')\n"
        "@hookimpl\ndef weft_run_started(run): seen.append(run)\n",
    )
    hooks = opened(site, told)

    assert not hooks.active("weft_run_started")
    assert "too big" in told[0][1]


def test_strict_raises_with_the_name_of_the_package(site: "Site", told: Told) -> None:
    hooks = registered(site, told, Grumbler(), strict=True)

    with pytest.raises(HookBroken, match="hooks of p1"):
        hooks.observe("weft_run_started", run=1)


def test_strict_raises_at_the_start_too(
    site: "Site", told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFT_HOOKS_STRICT", "1")
    watcher(site, "import nothing_of_that_name\n")

    with pytest.raises(HookBroken, match="nothing_of_that_name"):
        opened(site, told)


@pytest.mark.parametrize("how", ["environment", "config"])
def test_hooks_can_be_switched_off_before_anything_is_imported(
    site: "Site", told: Told, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    watcher(site, "raise SystemExit\n")
    if how == "environment":
        monkeypatch.setenv("WEFT_HOOKS", "0")

    hooks = opened(site, told, Config(hooks=how != "config"))

    assert hooks.plugins == ()
    assert told == []
    assert "watch" not in sys.modules


def test_a_forbidden_package_is_not_imported(
    site: "Site", told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher(site, "raise SystemExit\n")
    monkeypatch.setenv("WEFT_PLUGINS_BLOCK", "weft-watch")

    hooks = opened(site, told)

    assert "watch" not in sys.modules
    assert "WEFT_PLUGINS_BLOCK" in hooks.problems[0].what
    assert told == []


def test_hooks_of_packages_may_be_implemented_by_others(site: "Site", told: Told) -> None:
    class Specs:
        @staticmethod
        def weft_tea_time(cups: int) -> None: ...

    import pluggy

    pluggy.HookspecMarker("weft")(Specs.weft_tea_time)

    class Defines:
        @hookimpl
        def weft_add_hookspecs(self, pm: pluggy.PluginManager) -> None:
            pm.add_hookspecs(Specs)

    class Drinks:
        cups = 0

        @hookimpl
        def weft_tea_time(self, cups: int) -> None:
            self.cups += cups

    drinks = Drinks()
    hooks = registered(site, told, drinks, Defines())
    hooks.observe("weft_tea_time", cups=2)

    assert told == []
    assert drinks.cups == 2


def test_components_can_be_declared_through_a_hook(site: "Site", told: Told) -> None:
    module = site.plugin("ex-alpha", "executor", "alpha")
    site.write("site_file.py", "")
    watcher(
        site,
        f"from {module}.manifest import it\nimport attrs\n"
        "@hookimpl\ndef weft_components(): return [attrs.evolve(it, name='here')]\n",
    )
    registry = site.registry()

    Hooks.open(Config(), registry, notice=told)

    assert registry.names("executor") == ("alpha", "here")


def test_what_is_declared_must_be_a_component(site: "Site", told: Told) -> None:
    watcher(site, "@hookimpl\ndef weft_components(): return ['threads']\n")

    opened(site, told)

    assert "weft_components gave a str, not a Component" in told[0][1]


def test_calls_can_be_traced(
    site: "Site", told: Told, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEFT_TRACE_HOOKS", "1")
    hooks = registered(site, told, Observer())

    hooks.observe("weft_run_started", run="the run")

    assert "weft_run_started [hook]" in capsys.readouterr().err


def test_after_close_nobody_is_called(site: "Site", told: Told) -> None:
    good = Observer()
    hooks = registered(site, told, good)

    hooks.close()
    hooks.close()
    hooks.observe("weft_run_started", run=1)

    assert good.seen == []


def test_without_anyone_to_tell_a_notice_is_a_warning(site: "Site") -> None:
    watcher(site, "import nothing_of_that_name\n")

    with pytest.warns(WeftWarning, match="take no part in this run"):
        Hooks.open(Config(), site.registry())
