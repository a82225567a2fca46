"""One name, spelled four ways: folder, distribution, module, entry point; known to every tool."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from weft.values.plugin import Component, Kind

if TYPE_CHECKING:
    from tests.house.conftest import Package, Tree

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def test_a_folder_its_distribution_and_its_module_share_one_name(package: Package) -> None:
    expected = "weft" if package.place == "core" else f"weft-{package.folder.name}"

    assert package.dist == expected
    assert [path.parent.name for path in (package.folder / "src").glob("*/__init__.py")] == [
        package.module
    ]


def test_a_package_is_typed_licensed_and_described(package: Package, tree: Tree) -> None:
    source = package.folder / "src" / package.module

    assert (source / "__init__.py").is_file()
    assert (source / "py.typed").is_file()
    assert (package.folder / "LICENSE").read_text() == tree.text("LICENSE")
    assert (package.folder / "changelog.d").is_dir()
    assert (package.folder / "tests").is_dir()
    assert package.project["license"] == "Apache-2.0"
    assert package.project["requires-python"] == tree.settings["project"]["requires-python"]
    assert f"# {package.dist}\n" in (package.folder / "README.md").read_text()
    assert tree.settings["tool"]["towncrier"]["start_string"] in (
        (package.folder / "CHANGELOG.md").read_text()
    )


def test_an_entry_point_is_named_by_its_kind_and_leads_to_its_own_manifest(
    package: Package,
) -> None:
    manifest = "weft.builtin.manifest" if package.dist == "weft" else f"{package.module}.manifest"

    for key, target in package.components.items():
        kind, _, name = key.partition(".")
        assert kind in set(Kind), key
        assert NAME.fullmatch(name), key
        assert target.partition(":")[0] == manifest, key


def test_a_declaration_says_the_name_of_its_entry_point(package: Package) -> None:
    for key, target in package.components.items():
        declaration = EntryPoint(key, target, "weft.components").load()

        assert isinstance(declaration, Component), key
        assert declaration.key == key


def test_every_tool_knows_every_package(tree: Tree) -> None:
    dists = {package.dist for package in tree.packages}
    modules = {package.module for package in tree.packages}
    sources = {f"{package.place}/src" for package in tree.packages}
    plugins = modules - {"weft"}
    tool = tree.settings["tool"]
    contracts = {entry["id"]: entry for entry in tool["importlinter"]["contracts"]}

    assert set(tree.settings["project"]["dependencies"]) == dists
    assert set(tool["uv"]["sources"]) == dists
    assert sources | {"docs/examples", "docs/_ext", "tests/systems/netns/package"} == {
        part.removeprefix("$MYPY_CONFIG_FILE_DIR/") for part in tool["mypy"]["mypy_path"]
    }
    assert set(tool["ruff"]["lint"]["isort"]["known-first-party"]) == modules
    assert set(tool["coverage"]["run"]["source_pkgs"]) == modules
    assert set(tool["importlinter"]["root_packages"]) == modules
    assert set(contracts["plugins-apart"]["modules"]) == plugins
    # The test kit looks components up as a session does, so it reaches further than they may.
    assert set(contracts["plugin-api"]["source_modules"]) == plugins - {"weft_testkit"}
    assert plugins <= set(contracts["core-stands-alone"]["forbidden_modules"])


def test_each_package_stands_in_the_table_of_distributions(package: Package, tree: Tree) -> None:
    row = f"| `{package.dist}` | `{package.module}` |"

    assert row in tree.text("docs/reference/distributions.md")


def test_nothing_but_packages_lies_among_the_plugins(tree: Tree) -> None:
    """``pip install ./core ./plugins/*`` takes each thing there for a package."""
    packages = {package.folder.name for package in tree.packages}
    seen = {
        path.relative_to(tree.root / "plugins").parts[0] for path in tree.tracked_under("plugins")
    }

    assert seen <= packages
