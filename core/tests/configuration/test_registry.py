import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from weft.configuration.config import Config
from weft.configuration.registry import (
    IN_PROCESS,
    Registry,
    Rules,
    default_registry,
    executor,
    launcher,
    provider,
)
from weft.errors import (
    ConfigurationError,
    InterfaceMismatch,
    PluginBlocked,
    PluginBroken,
    PluginConflict,
    PluginNotFound,
    SettingsError,
    UnknownScheme,
)
from weft.interfaces.executor import Executor
from weft.values.plugin import Component, Level

if TYPE_CHECKING:
    from core.tests.conftest import Site

BOMB = "raise RuntimeError('kaboom')\n"


# -------------------------------------------------------------------------------------------- names


def test_listing_imports_nothing_of_a_package(site: "Site") -> None:
    site.write("bomb/__init__.py", "raise SystemExit('imported')\n")
    site.dist("weft-bomb", components={"executor.bomb": "bomb:it", "command.viz": "bomb:viz"})
    registry = site.registry()

    rows = registry.listing()

    assert [(r.kind, r.name, r.dist, r.level) for r in rows] == [
        ("command", "viz", "weft-bomb", Level.UNRATED),
        ("executor", "bomb", "weft-bomb", Level.UNRATED),
    ]
    assert registry.names("executor") == ("bomb",)
    assert "bomb" not in sys.modules


def test_a_component_is_found_by_name_however_it_is_spelt(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "big-alpha")

    component = site.registry().component("executor", "Big_Alpha")

    assert component.key == "executor.big-alpha"


def test_only_the_package_that_is_named_is_imported(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    site.write("bomb/__init__.py", BOMB)
    site.dist("weft-bomb", components={"executor.bomb": "bomb:it"})

    made = site.registry().settings("executor", "alpha", size=3)

    assert made.size == 3  # type: ignore[attr-defined]
    assert "bomb" not in sys.modules
    assert "ex_alpha_executor_alpha.factory" not in sys.modules


def test_an_unknown_name_gets_the_nearest_ones(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")

    with pytest.raises(PluginNotFound) as caught:
        site.registry().component("executor", "alhpa")

    assert caught.value.nearest == ("alpha",)
    assert "Did you mean 'alpha'?" in str(caught.value)


def test_a_name_of_another_kind_is_said_to_be_that(site: "Site") -> None:
    site.plugin("pro-alpha", "provider", "cloud")

    with pytest.raises(PluginNotFound) as caught:
        site.registry().component("executor", "cloud")

    assert "'cloud' is the name of a provider, not of an executor." in str(caught.value)
    assert "weft.provider('cloud')" in str(caught.value)


def test_a_slip_is_never_answered_with_a_command_that_installs_it(site: "Site") -> None:
    with pytest.raises(PluginNotFound) as caught:
        site.registry(builtin=True).component("executor", "threds")

    assert "pip install" not in str(caught.value)


def test_an_unknown_kind_is_said_to_be_unknown() -> None:
    with pytest.raises(ConfigurationError, match="no kind of component called 'exector'"):
        Registry().component("exector", "threads")


def test_a_package_that_was_installed_meanwhile_is_found(site: "Site") -> None:
    registry = site.registry()
    assert registry.names("executor") == ()
    site.plugin("ex-alpha", "executor", "alpha")

    assert registry.component("executor", "alpha").name == "alpha"


def test_an_alias_leads_to_its_component(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha", aliases=("high-throughput",))

    assert site.registry().component("executor", "high_throughput").name == "alpha"


def test_a_name_comes_before_an_alias(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha", aliases=("beta",))
    site.plugin("ex-beta", "executor", "beta")

    assert site.registry().component("executor", "beta").name == "beta"


def test_an_alias_of_two_components_is_a_conflict(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha", aliases=("fast",))
    site.plugin("ex-beta", "executor", "beta", aliases=("fast",))

    with pytest.raises(PluginConflict):
        site.registry().component("executor", "fast")


def test_a_broken_package_does_not_keep_the_alias_of_another_from_being_found(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha", aliases=("fast",))
    site.write("bomb/__init__.py", BOMB)
    site.dist("weft-bomb", components={"executor.bomb": "bomb:it"})

    assert site.registry().component("executor", "fast").name == "alpha"


# ---------------------------------------------------------------------------------------- conflicts


@pytest.fixture
def two(site: "Site") -> Any:
    site.plugin("ex-one", "executor", "htex", version="1.2")
    site.plugin("ex-two", "executor", "htex")
    return site


def test_two_packages_with_one_name_are_an_error_that_names_both(two: "Site") -> None:
    with pytest.raises(PluginConflict) as caught:
        two.registry().component("executor", "htex")

    assert caught.value.dists == ("ex-one", "ex-two")
    assert "weft.executor('ex-one:htex')" in str(caught.value)


def test_the_qualified_name_means_one_of_them(two: "Site") -> None:
    registry = two.registry()

    made = registry.settings("executor", "Ex_Two:htex")

    assert type(made).__module__.startswith("ex_two")
    assert registry.offer_of(made).dist == "ex-two"


def test_a_preference_decides(two: "Site") -> None:
    registry = two.registry(prefer={"executor.HTEX": "Ex_Two"})

    assert registry.offer("executor", "htex").dist == "ex-two"


def test_a_preference_for_a_package_that_does_not_offer_it_is_an_error(two: "Site") -> None:
    with pytest.raises(SettingsError, match="which that package does not offer"):
        two.registry(prefer={"executor.htex": "ex-three"}).offer("executor", "htex")


def test_the_list_shows_a_conflict(two: "Site") -> None:
    rows = two.registry(prefer={"executor.htex": "ex-two"}).listing()

    assert [(r.dist, r.in_conflict, r.chosen) for r in rows] == [
        ("ex-one", True, False),
        ("ex-two", True, True),
    ]


def test_a_blocked_package_is_no_party_to_a_conflict(two: "Site") -> None:
    assert two.registry(block=["ex-one"]).offer("executor", "htex").dist == "ex-two"


def test_two_packages_with_one_target_are_no_conflict(site: "Site") -> None:
    site.plugin("ex-one", "executor", "htex")
    site.dist("ex-renamed", components={"executor.htex": "ex_one_executor_htex.manifest:it"})

    assert site.registry().component("executor", "htex").name == "htex"
    assert not any(row.in_conflict for row in site.registry().listing())


def test_a_name_of_core_is_reserved(site: "Site") -> None:
    site.plugin("evil", "executor", "threads")
    registry = site.registry(builtin=True)

    assert registry.offer("executor", "threads").dist == "weft"
    assert any(row.in_conflict for row in registry.listing() if row.name == "threads")


def test_a_name_of_core_is_given_away_by_an_explicit_preference(site: "Site") -> None:
    site.plugin("mine", "executor", "threads")
    registry = site.registry(builtin=True, prefer={"executor.threads": "mine"})

    assert registry.offer("executor", "threads").dist == "mine"
    assert registry.offer("executor", "weft:threads").dist == "weft"


# ------------------------------------------------------------------------------------- allow, block


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"block": ["Weft_Bomb"]}, r"Config\(block=...\) names weft-bomb"),
        ({"allow": ["other"]}, r"Config\(allow=...\) does not name weft-bomb"),
        ({"allow": []}, r"Config\(allow=...\) does not name weft-bomb"),
    ],
)
def test_a_forbidden_package_is_not_imported(
    site: "Site", rules: dict[str, Any], said: str
) -> None:
    site.write("bomb/__init__.py", "raise SystemExit('imported')\n")
    site.dist("weft-bomb", components={"executor.bomb": "bomb:it"})
    registry = site.registry(**rules)

    with pytest.raises(PluginBlocked, match=said):
        registry.component("executor", "bomb")

    assert "bomb" not in sys.modules
    assert registry.names("executor") == ()
    assert registry.listing()[0].blocked


@pytest.mark.parametrize(
    ("variable", "value", "blocked"),
    [
        ("WEFT_PLUGINS", "other, more", True),
        ("WEFT_PLUGINS", "", True),
        ("WEFT_PLUGINS", "other,Ex_Alpha", False),
        ("WEFT_PLUGINS_BLOCK", "ex.alpha", True),
        ("WEFT_PLUGINS_BLOCK", "other", False),
    ],
)
def test_the_environment_allows_and_blocks(
    site: "Site", monkeypatch: pytest.MonkeyPatch, variable: str, value: Any, blocked: bool
) -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    monkeypatch.setenv(variable, value)
    registry = site.registry()

    if blocked:
        with pytest.raises(PluginBlocked, match=variable):
            registry.component("executor", "alpha")
    else:
        assert registry.component("executor", "alpha").name == "alpha"


def test_no_list_forbids_core() -> None:
    assert Rules(allow=[], block=["weft"]).forbids("weft") == ""


def test_a_level_can_be_required(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    config = Config(require_level="tested")

    with pytest.raises(PluginBlocked, match=r"its level, which is unrated"):
        site.registry().restricted(config).component("executor", "alpha")


def test_restricting_leaves_the_registry_as_it_was(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    registry = site.registry()

    with pytest.raises(PluginBlocked):
        registry.restricted(Config(block=["ex-alpha"])).component("executor", "alpha")

    assert registry.component("executor", "alpha").name == "alpha"


# ------------------------------------------------------------------------------------------- broken


def broken(
    site: "Site", source: str, target: str = "broken:it", name: str = "executor.broken"
) -> Any:
    site.write("broken.py", source)
    site.dist("weft-broken", "0.7", components={name: target})
    kind, _, rest = name.partition(".")
    with pytest.raises(PluginBroken) as caught:
        site.registry().component(kind, rest)
    assert (caught.value.dist, caught.value.version) == ("weft-broken", "0.7")
    return caught.value


def test_a_manifest_that_raises_is_named_with_its_package_and_cause(site: "Site") -> None:
    error = broken(site, "import not_there_at_all\n")

    assert "weft-broken 0.7" in str(error)
    assert "ModuleNotFoundError: No module named 'not_there_at_all'" in error.reason
    assert isinstance(error.__cause__, ModuleNotFoundError)


def test_a_manifest_that_ends_the_program_does_not(site: "Site") -> None:
    assert "SystemExit: 3" in broken(site, "raise SystemExit(3)\n").reason


def test_a_manifest_without_the_named_object_is_broken(site: "Site") -> None:
    assert "AttributeError" in broken(site, "other = 1\n").reason


def test_a_manifest_that_is_not_a_component_is_broken(site: "Site") -> None:
    assert "leads to a dict, not to a Component" in broken(site, "it = {}\n").reason


@pytest.mark.parametrize("name", ["executor.other", "provider.alpha"])
def test_a_manifest_of_another_name_or_kind_is_broken(site: "Site", name: str) -> None:
    module = site.plugin("ex-alpha", "executor", "alpha")
    error = broken(site, "", f"{module}.manifest:it", name)

    assert "leads to a declaration of executor.alpha" in error.reason


def test_a_manifest_that_was_mended_is_loaded_anew(site: "Site") -> None:
    site.write("mended.py", BOMB)
    site.dist("weft-mended", components={"command.mended": "mended:it"})
    registry = site.registry()
    with pytest.raises(PluginBroken):
        registry.component("command", "mended")

    site.write(
        "mended.py",
        "from weft.values.plugin import Component\n"
        "it = Component(kind='command', name='mended', factory='mended:main', summary='It works "
        "again.')\n",
    )

    assert registry.component("command", "mended").summary == "It works again."


@pytest.mark.parametrize("version", ["0.9", "1.7", "2.0"])
def test_an_interface_that_is_too_old_or_too_new_is_refused_in_a_sentence(
    site: "Site", version: str
) -> None:
    site.plugin("ex-old", "executor", "old", version="3.1", interface=version)

    with pytest.raises(InterfaceMismatch) as caught:
        site.registry().component("executor", "old")

    assert f"(ex-old 3.1) was built for executor interface {version}; this weft speaks 1." in str(
        caught.value
    )


def test_an_older_minor_of_the_interface_is_spoken(
    site: "Site", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weft.interfaces.executor.VERSION", "1.3")
    site.plugin("ex-a", "executor", "a", interface="1.2")
    site.plugin("ex-b", "executor", "b", interface="1.4")

    assert site.registry().component("executor", "a").name == "a"
    with pytest.raises(InterfaceMismatch, match=r"speaks 1\.0 to 1\.3"):
        site.registry().component("executor", "b")


SETTINGS = """
from typing import Any, ClassVar, TYPE_CHECKING
import attrs
from weft.values.settings import {marker}

@attrs.frozen(kw_only=True)
class S({marker}):
    plugin: ClassVar[str] = {name!r}
"""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("S = 3\n", "not an attrs class that inherits ExecutorSettings"),
        ("class S: pass\n", "not an attrs class that inherits ExecutorSettings"),
        ("import nowhere_to_be_found\n", "Importing its settings class"),
        (
            SETTINGS.format(marker="ProviderSettings", name="alpha"),
            "not an attrs class that inherits ExecutorSettings",
        ),
        (
            SETTINGS.format(marker="ExecutorSettings", name="beta"),
            "says plugin = 'beta', which should be 'alpha'",
        ),
    ],
)
def test_a_settings_class_that_is_not_one_is_broken(site: "Site", settings: str, said: str) -> None:
    site.plugin("ex-alpha", "executor", "alpha", settings=settings)

    with pytest.raises(PluginBroken) as caught:
        site.registry().settings("executor", "alpha")

    assert said in caught.value.reason


# ------------------------------------------------------------------------------------------ opening


def test_opening_gives_the_component_made_of_its_settings(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    registry = site.registry()
    settings = registry.settings("executor", "alpha", size=5)

    made = registry.open(settings)

    assert isinstance(made, Executor)
    assert made.settings == settings  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            BOMB,
            "its factory ex_alpha_executor_alpha.factory:build raised RuntimeError: kaboom",
        ),
        ("build = 3\n", "is not callable"),
        ("def build(settings): raise KeyError('x')\n", "raised KeyError: 'x'"),
        (
            "def build(settings): return 3\n",
            "returned an int, which is not a weft.interfaces.executor.Executor",
        ),
    ],
)
def test_a_factory_that_does_not_make_it_is_broken(site: "Site", factory: str, said: str) -> None:
    site.plugin("ex-alpha", "executor", "alpha", factory=factory)
    registry = site.registry()

    with pytest.raises(PluginBroken) as caught:
        registry.open(registry.settings("executor", "alpha"))

    assert said in caught.value.reason


def test_what_a_factory_says_in_weft_s_own_words_is_passed_on(site: "Site") -> None:
    site.plugin(
        "ex-alpha",
        "executor",
        "alpha",
        factory="from weft.errors import RunFolderError\ndef build(settings): raise "
        "RunFolderError('/x', 'full')\n",
    )
    registry = site.registry()

    with pytest.raises(ConfigurationError, match="full"):
        registry.open(registry.settings("executor", "alpha"))


def test_a_missing_library_is_reported_with_the_plugin_s_own_hint(site: "Site") -> None:
    module = site.plugin("ex-alpha", "executor", "alpha", factory="import libgpu_not_here\n")
    site.write(
        f"{module}/manifest.py",
        "from weft.values.plugin import Component, Requires\n"
        f"it = Component(kind='executor', name='alpha', settings='{module}.settings:S', "
        f"factory='{module}.factory:build', summary='x', requires=Requires(hint=\"Run 'module load "
        "gpu'.\"))\n",
    )
    registry = site.registry()

    with pytest.raises(PluginBroken, match="module load gpu"):
        registry.open(registry.settings("executor", "alpha"))


def test_settings_of_a_class_that_was_imported_open_the_package_they_came_from(two: "Site") -> None:
    registry = two.registry()
    registry.settings("executor", "ex-two:htex")
    cls = sys.modules["ex_two_executor_htex.settings"].S

    assert registry.offer_of(cls(size=2)).dist == "ex-two"


def test_settings_of_a_stranger_are_refused(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    registry = site.registry()
    cls = registry.settings_class("executor", "alpha")
    stranger = attrs.make_class("Stranger", {}, bases=cls.__mro__[1:2], frozen=True, kw_only=True)
    stranger.plugin = "alpha"  # type: ignore[attr-defined]

    with pytest.raises(SettingsError, match="does not belong to it"):
        registry.open(stranger())


def test_what_is_no_settings_object_cannot_be_opened() -> None:
    with pytest.raises(SettingsError, match="a str is not a settings object"):
        Registry().open("threads")  # type: ignore[call-overload]


def test_a_forbidden_package_is_not_opened_either(site: "Site") -> None:
    site.plugin("ex-alpha", "executor", "alpha")
    registry = site.registry()
    settings = registry.settings("executor", "alpha")

    with pytest.raises(PluginBlocked):
        registry.restricted(Config(block=["ex-alpha"])).open(settings)


def test_the_command_of_a_package_is_its_factory(site: "Site") -> None:
    module = site.plugin(
        "viz", "command", "viz", settings="", factory="def build(words): return len(words)\n"
    )
    assert module in site.modules

    assert site.registry().command("viz")(["a", "b"]) == 2


# --------------------------------------------------------------------------------------- in process


@pytest.fixture
def declared(site: "Site") -> Any:
    module = site.plugin("ex-alpha", "executor", "alpha")
    return Component(
        kind="executor",
        name="alpha",
        settings=f"{module}.settings:S",
        factory=f"{module}.factory:build",
        summary="Declared here.",
    )


def test_a_component_can_be_declared_in_the_process(
    site: "Site", declared: Component, tmp_path: Path
) -> None:
    registry = Registry([str(tmp_path / "nothing")], builtin=False)

    registry.register(declared)

    assert registry.names("executor") == ("alpha",)
    assert registry.listing()[0].dist == IN_PROCESS
    assert isinstance(registry.open(registry.settings("executor", "alpha", size=4)), Executor)


def test_declaring_again_replaces(site: "Site", declared: Component, tmp_path: Path) -> None:
    registry = Registry([str(tmp_path / "nothing")], builtin=False)
    registry.register(declared)

    registry.register(attrs.evolve(declared, summary="Anew."))

    assert registry.component("executor", "alpha").summary == "Anew."
    assert len(registry.listing()) == 1


def test_a_declaration_never_silently_takes_the_place_of_a_package(
    site: "Site", declared: Component
) -> None:
    registry = site.registry()
    registry.register(declared)

    with pytest.raises(PluginConflict):
        registry.component("executor", "alpha")
    assert registry.component("executor", "in-process:alpha").summary == "Declared here."


def test_only_components_can_be_declared() -> None:
    with pytest.raises(TypeError, match="takes a Component, not a str"):
        Registry().register("alpha")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ stagers


@pytest.fixture
def stagers(site: "Site") -> Any:
    site.plugin("st-http", "stager", "http", schemes=("http", "https"))
    site.plugin("st-web", "stager", "web", schemes=("http",))
    site.write("bomb/__init__.py", BOMB)
    site.dist("weft-bomb", components={"stager.bomb": "bomb:it"})
    return site


def test_schemes_tell_which_stagers_move_them(stagers: "Site") -> None:
    assert stagers.registry().schemes() == {"http": ("http", "web"), "https": ("http",)}


def test_the_only_stager_of_a_scheme_is_taken(stagers: "Site") -> None:
    assert stagers.registry().stager_for("HTTPS").plugin == "http"


def test_several_stagers_of_a_scheme_are_an_error(stagers: "Site") -> None:
    with pytest.raises(ConfigurationError, match="2 stagers move 'http' files: http, web"):
        stagers.registry().stager_for("http")


def test_the_stager_that_was_configured_is_taken(stagers: "Site") -> None:
    registry = stagers.registry()
    given = registry.settings("stager", "web", size=7)

    assert registry.stager_for("http", [given]) is given  # type: ignore[list-item]


def test_an_unknown_scheme_names_the_known_ones(stagers: "Site") -> None:
    with pytest.raises(UnknownScheme, match="http, https"):
        stagers.registry().stager_for("gopher", url="gopher://x/y")


def test_plain_files_need_no_look_at_any_other_stager(stagers: "Site") -> None:
    registry = stagers.registry(builtin=True)

    assert registry.stager_for("file").plugin == "file"
    assert "st_http_stager_http" not in sys.modules


# -------------------------------------------------------------------------------------- public face


def test_weft_s_own_components_are_found_in_this_environment() -> None:
    assert {"threads", "processes"} <= set(default_registry().names("executor"))
    assert executor("threads", max_threads=3).max_threads == 3  # type: ignore[attr-defined]
    assert provider("local").plugin == "local"
    assert launcher("simple").plugin == "simple"


def test_weft_s_own_components_are_there_without_any_metadata(tmp_path: Path) -> None:
    registry = Registry([str(tmp_path)])

    made: Any = registry.settings("executor", "threads", max_threads=2)

    assert made.max_threads == 2


def test_a_name_that_is_no_text_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(SettingsError, match=r"needs no weft\.executor"):
        executor(executor("threads"))  # type: ignore[arg-type]


BUDGET = """
import sys
from weft.configuration.registry import default_registry, executor
executor("threads", max_threads=2, label="cpu")
registry = default_registry()
registry.names("executor")
heavy = {"pluggy", "typeguard", "dill", "asyncio", "importlib.metadata", "multiprocessing",
         "requests", "click", "rich", "tomllib", "difflib", "zipfile"}
print(sorted(heavy & set(sys.modules)))
"""


def test_naming_an_executor_imports_nothing_heavy() -> None:
    ran = subprocess.run([sys.executable, "-c", BUDGET], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
