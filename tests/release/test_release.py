"""tools/release.py, on a repository of its own with packages that do nothing."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "release.py"

if TYPE_CHECKING:
    from tools import release
else:
    spec = importlib.util.spec_from_file_location("weft_release", TOOL)
    release = importlib.util.module_from_spec(spec)
    sys.modules["weft_release"] = release
    spec.loader.exec_module(release)

WHO = {
    "GIT_AUTHOR_NAME": "tests",
    "GIT_AUTHOR_EMAIL": "tests@example.org",
    "GIT_COMMITTER_NAME": "tests",
    "GIT_COMMITTER_EMAIL": "tests@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{dist}"
version = "{version}"
requires-python = ">=3.11"
dependencies = {needs}

[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]
"""


class Repo:
    """A tree of packages, as ours is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        ours = (ROOT / "pyproject.toml").read_text()
        # The settings of the changelogs are those of the real tree.
        found = re.search(r"(?ms)^\[tool\.towncrier\].*?(?=^\[tool\.(?!towncrier))", ours)
        assert found
        self.write("pyproject.toml", found[0])
        self.write("constraints.txt", "# made by hand\nattrs==26.1.0\n")
        self.write("maturity.toml", "schema = 1\n")
        self.package("core", "weft", "0.1.0")
        self.package("plugins/htex", "weft-htex", "0.1.0", "weft>=0.1")
        self.package("plugins/slurm", "weft-slurm", "0.1.0", "weft>=0.1")
        self.commit("the first")

    def git(self, *words: str) -> str:
        return release.git(self.root, *words)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def package(self, folder: str, dist: str, version: str, *needs: str) -> None:
        module = dist.replace("-", "_")
        listed = str(list(needs)).replace("'", '"')
        self.write(
            f"{folder}/pyproject.toml",
            PROJECT.format(dist=dist, version=version, needs=listed, module=module),
        )
        self.write(f"{folder}/src/{module}/__init__.py", f'__version__ = "{version}"\n')
        self.write(f"{folder}/CHANGELOG.md", f"# Changes in {dist}\n\n{release._START}\n")
        self.write(f"{folder}/changelog.d/.gitkeep", "")

    def needs(self, folder: str, old: str, new: str) -> None:
        file = self.root / folder / "pyproject.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.commit("another requirement")

    def commit(self, text: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", text)

    def release(self, dist: str, version: str) -> None:
        """All of a release, as the page on it says."""
        folder = release.named(self.root, dist).folder
        self.write(f"{folder}/changelog.d/{version.replace('.', '-')}.feature.md", "Something.\n")
        release.prepare(self.root, dist, version)
        self.commit(f"{dist} {version}")
        assert f"{dist}/{version}" in release.tag(self.root, write=True)

    def states(self) -> dict[str, str]:
        return {one.dist: release.state(self.root, one).name for one in release.packages(self.root)}

    def problems(self) -> list[str]:
        return list(release.problems(self.root))

    def run(self, *words: str) -> int:
        return release.main(["--root", str(self.root), *words])


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "tree"
    root.mkdir()
    return Repo(root)


# --------------------------------------------------------------------------------- what has changed


def test_a_package_stands_to_its_own_tag_and_not_to_its_siblings(repo: Repo) -> None:
    for dist in ("weft", "weft-htex", "weft-slurm"):
        repo.release(dist, "0.1.0")
    assert set(repo.states().values()) == {"UNCHANGED"}

    repo.write("plugins/htex/src/weft_htex/more.py", "")
    repo.commit("a change")

    assert repo.states() == {"weft": "UNCHANGED", "weft-htex": "CHANGED", "weft-slurm": "UNCHANGED"}
    repo.release("weft-htex", "0.2.0")
    assert set(repo.states().values()) == {"UNCHANGED"}


def test_what_lies_beside_a_package_and_goes_into_it_counts(repo: Repo) -> None:
    repo.release("weft", "0.1.0")
    repo.write("maturity.toml", "schema = 2\n")
    repo.write("README.md", "of the tree, in no package\n")
    repo.commit("a change")

    assert release.changes(repo.root, release.named(repo.root, "weft")) == ["maturity.toml"]


def test_a_tag_of_another_branch_is_not_before_this_commit(repo: Repo) -> None:
    repo.release("weft", "0.1.0")
    repo.git("switch", "--quiet", "--create", "other")
    repo.release("weft", "0.2.0")
    repo.git("switch", "--quiet", "main")

    assert repo.states()["weft"] == "UNCHANGED"
    assert release.releases(repo.root, "weft", merged=False)[-1] == Version("0.2.0")


def test_a_tag_that_names_no_version_is_refused(repo: Repo) -> None:
    repo.git("tag", "weft/latest")

    with pytest.raises(release.Refused, match="weft/latest names no version"):
        repo.states()


# ------------------------------------------------------------------------------------ what is amiss


def test_a_sound_tree_has_no_problem(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert repo.run("check") == 0
    assert "Nothing keeps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("need", "told"),
    [
        ("weft==0.1.0", "ties it to some releases of weft"),
        ("weft>=0.1,<0.2", "ties it to some releases of weft"),
        ("weft~=0.1", "ties it to some releases of weft"),
        ("weft", "has no lower bound"),
        ("weft>=0.3", "shuts out weft 0.1.0 of this tree"),
    ],
)
def test_a_package_asks_its_sibling_for_a_lower_bound_alone(
    repo: Repo, need: str, told: str
) -> None:
    repo.needs("plugins/htex", "weft>=0.1", need)

    assert repo.run("check") == 1
    assert any(told in one and one.startswith("weft-htex: ") for one in repo.problems())


def test_a_bound_at_the_next_major_is_allowed(repo: Repo) -> None:
    repo.needs("plugins/htex", "weft>=0.1", "weft>=0.1,<1")

    assert repo.problems() == []


def test_what_changed_since_a_release_is_told_in_a_fragment(repo: Repo) -> None:
    repo.release("weft-htex", "0.1.0")
    repo.write("plugins/htex/tests/test_more.py", "")
    repo.commit("a test alone needs none")
    assert repo.problems() == []

    repo.write("plugins/htex/src/weft_htex/more.py", "")
    repo.commit("a change")
    (told,) = repo.problems()
    assert "src/weft_htex/more.py and others changed since weft-htex/0.1.0" in told

    repo.write("plugins/htex/changelog.d/more.fix.md", "More.\n")
    repo.commit("its fragment")
    assert repo.problems() == []


@pytest.mark.parametrize("name", ["more.md", "more.new.md", "more.fix.txt", "More Things.fix.md"])
def test_a_fragment_that_towncrier_would_pass_over_is_a_problem(repo: Repo, name: str) -> None:
    repo.write(f"core/changelog.d/{name}", "More.\n")

    (told,) = repo.problems()

    assert told.startswith(f"weft: {name} is no fragment")


def test_a_version_below_its_own_tag_is_a_problem(repo: Repo) -> None:
    repo.release("weft", "0.2.0")
    repo.needs("core", 'version = "0.2.0"', 'version = "0.1.5"')

    assert repo.states()["weft"] == "BEHIND"
    assert "weft: its version is 0.1.5, and 0.2.0 is released already." in repo.problems()


# ---------------------------------------------------------------------------------------- preparing


def test_preparing_moves_the_version_and_the_fragments(repo: Repo) -> None:
    repo.write("plugins/htex/changelog.d/fast.feature.md", "It is faster.\n")
    repo.write("plugins/htex/changelog.d/lost.fix.md", "Nothing is lost.\n")
    repo.commit("two fragments")

    assert repo.run("prepare", "weft-htex", "0.2.0") == 0

    folder = repo.root / "plugins/htex"
    assert 'version = "0.2.0"' in (folder / "pyproject.toml").read_text()
    assert '__version__ = "0.2.0"' in (folder / "src/weft_htex/__init__.py").read_text()
    changelog = (folder / "CHANGELOG.md").read_text()
    assert re.search(r"## 0\.2\.0 \(\d{4}-\d\d-\d\d\)", changelog)
    assert changelog.index("It is faster.") < changelog.index("Nothing is lost.")
    assert changelog.index("# Changes in weft-htex") < changelog.index("## 0.2.0")
    assert [one.name for one in (folder / "changelog.d").iterdir()] == [".gitkeep"]
    assert 'version = "0.1.0"' in (repo.root / "core/pyproject.toml").read_text()


def test_a_release_of_core_has_its_constraints(repo: Repo) -> None:
    repo.release("weft-htex", "0.3.0")
    repo.release("weft-slurm", "0.1.0")
    repo.package("plugins/later", "weft-later", "0.1.0", "weft>=0.1")
    repo.write("plugins/slurm/src/weft_slurm/more.py", "")
    repo.commit("slurm goes on, and is not released")
    repo.release("weft", "0.2.0")

    lines = (repo.root / "constraints/weft-0.2.0.txt").read_text().splitlines()

    assert lines[0].startswith("# What weft 0.2.0 was tested with")
    assert lines[1:] == ["weft==0.2.0", "weft-htex==0.3.0", "weft-slurm==0.1.0", "attrs==26.1.0"]


@pytest.mark.parametrize(
    ("version", "why"),
    [("0.2.0", "0.2.0 is released already"), ("0.1.9", "released already")],
)
def test_a_version_is_not_given_twice(repo: Repo, version: str, why: str) -> None:
    repo.release("weft", "0.2.0")
    repo.write("core/changelog.d/more.fix.md", "More.\n")

    with pytest.raises(release.Refused, match=why):
        release.prepare(repo.root, "weft", version)


def test_a_release_that_has_nothing_to_tell_is_refused(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert repo.run("prepare", "weft-htex", "0.2.0") == 2
    assert "plugins/htex/changelog.d is empty" in capsys.readouterr().err
    assert repo.git("status", "--porcelain") == ""


# -------------------------------------------------------------------------------- tags and building


def test_only_what_is_prepared_is_tagged(repo: Repo) -> None:
    repo.release("weft", "0.1.0")

    assert release.tag(repo.root, write=True) == []  # two were never released, nor prepared
    repo.needs("core", 'version = "0.1.0"', 'version = "0.2.0"')
    with pytest.raises(release.Refused, match=r"weft 0\.2\.0 is not prepared: .* no section 0\.2"):
        release.tag(repo.root, write=True)
    assert repo.git("tag", "--list").split() == ["weft/0.1.0"]


def test_a_tag_is_of_what_is_committed(repo: Repo) -> None:
    repo.write("core/changelog.d/more.fix.md", "More.\n")
    release.prepare(repo.root, "weft", "0.2.0")

    assert release.tag(repo.root, write=False) == ["weft/0.2.0"]
    with pytest.raises(release.Refused, match="Commit first"):
        release.tag(repo.root, write=True)


def test_only_versions_that_are_not_released_are_built(
    repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.release("weft", "0.1.0")
    repo.release("weft-slurm", "0.1.0")
    repo.write("plugins/slurm/src/weft_slurm/more.py", "")  # changed, of a version that is out
    repo.write("plugins/htex/changelog.d/first.feature.md", "The first.\n")
    release.prepare(repo.root, "weft-htex", "0.1.0")
    repo.package(
        "plugins/later", "weft-later", "0.1.0", "weft>=0.1"
    )  # never released, nor prepared
    repo.commit("a change")
    out = tmp_path / "dist"

    assert repo.run("build", "--out", str(out)) == 0

    assert sorted(one.name for one in out.iterdir()) == [
        "weft_htex-0.1.0-py3-none-any.whl",
        "weft_htex-0.1.0.tar.gz",
    ]
    assert "built weft_htex-0.1.0.tar.gz" in capsys.readouterr().out


def test_what_is_built_is_what_is_committed_and_always_the_same(repo: Repo, tmp_path: Path) -> None:
    repo.write("plugins/htex/src/weft_htex/secret.py", "not committed")

    first, second = (
        next(
            one
            for one in release.build(repo.root, "HEAD", "weft-htex", tmp_path / name)
            if one.suffix == ".whl"
        )
        for name in ("one", "two")
    )

    with zipfile.ZipFile(first) as wheel:
        assert "weft_htex/secret.py" not in wheel.namelist()
        assert "weft_htex/__init__.py" in wheel.namelist()
    assert first.read_bytes() == second.read_bytes()


# --------------------------------------------------------------------------------------------- legs


def plan(repo: Repo, dist: str, leg: str) -> Any:
    return release.plan(repo.root, release.named(repo.root, dist), release.Leg(leg))


def test_without_a_release_of_core_there_is_only_head(
    repo: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(repo, "weft-htex", "head").ref == "HEAD"
    assert plan(repo, "weft-htex", "oldest").ref == ""
    assert repo.run("legs") == 0
    told = capsys.readouterr().out
    assert "weft-htex, oldest: no release of weft is tagged that weft>=0.1 lets in" in told
    assert "weft-slurm, newest: no release" in told


def test_the_oldest_core_is_the_declared_lower_bound_and_the_newest_the_last_release(
    repo: Repo,
) -> None:
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        repo.release("weft", version)
    repo.needs("plugins/htex", "weft>=0.1", "weft>=0.2")

    assert plan(repo, "weft-htex", "oldest").ref == "weft/0.2.0"
    assert "is the lower bound of weft>=0.2" in plan(repo, "weft-htex", "oldest").told
    assert plan(repo, "weft-slurm", "oldest").ref == "weft/0.1.0"
    assert plan(repo, "weft-htex", "newest").ref == "weft/0.3.0"
    assert plan(repo, "weft", "oldest").ref == ""


def test_a_lower_bound_that_never_was_released_is_told(repo: Repo) -> None:
    for version in ("0.1.0", "0.3.0"):
        repo.release("weft", version)
    repo.needs("plugins/htex", "weft>=0.1", "weft>=0.2")

    chosen = plan(repo, "weft-htex", "oldest")

    assert chosen.ref == "weft/0.3.0"
    assert chosen.told.startswith("weft 0.2 never was released; 0.3.0 is the first")


def test_the_kit_is_the_newest_that_goes_with_that_core(repo: Repo) -> None:
    repo.release("weft", "0.1.0")
    repo.package("plugins/testkit", "weft-testkit", "0.1.0", "weft>=0.1")
    repo.commit("a kit")
    repo.release("weft-testkit", "0.1.0")
    repo.release("weft", "0.2.0")
    repo.needs("plugins/testkit", "weft>=0.1", "weft>=0.2")

    assert release.kit_for(repo.root, Version("0.2.0")) == "HEAD"
    assert release.kit_for(repo.root, Version("0.1.0")) == "weft-testkit/0.1.0"
    assert release.kit_for(repo.root, Version("0.0.1")) == ""


def test_a_leg_runs_the_package_as_committed_against_that_very_core(
    repo: Repo, tmp_path: Path
) -> None:
    repo.write("constraints.txt", "")
    repo.release("weft", "0.1.0")
    repo.release("weft", "0.2.0")
    said = tmp_path / "said"
    script = (
        "import pathlib, weft, weft_htex;"
        f"pathlib.Path({str(said)!r}).write_text(weft.__version__ + ' ' + weft.__file__)"
    )
    options: dict[str, Any] = {"tools": (), "offline": True}

    for leg, version in (("oldest", "0.1.0"), ("newest", "0.2.0")):
        code = release.run_leg(
            repo.root, "weft-htex", release.Leg(leg), ["python", "-c", script], **options
        )
        assert code == 0
        core, file = said.read_text().split()
        assert core == version
        assert "site-packages" in file
    failing = ["python", "-c", "raise SystemExit(3)"]
    assert release.run_leg(repo.root, "weft-htex", release.Leg.OLDEST, failing, **options) == 3


def test_the_program_says_its_refusals_in_a_line(repo: Repo) -> None:
    ran = subprocess.run(
        [sys.executable, TOOL, "--root", repo.root, "prepare", "weft-nothing", "1.0"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert ran.stderr == (
        "There is no package 'weft-nothing'; there are weft, weft-htex, weft-slurm.\n"
    )


def test_our_own_tree_has_nothing_that_keeps_a_release_from_being_made() -> None:
    assert list(release.problems(ROOT)) == []
