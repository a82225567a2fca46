"""A package that weft knows nothing of adds an executor, and a script uses it by its name.

Wheels of core and of the package are built and installed into a fresh environment, as a user would
    have them: no path
of the repository is on the way of imports there.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*words: "str | Path", folder: Path, fails: bool = False) -> str:
    """Run a program as a user does, without what this test's own environment adds."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    ran = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=240,
    )
    assert (ran.returncode != 0) == fails, ran.stdout
    return ran.stdout


def needed_by(name: str, found: set[str]) -> set[str]:
    """The installed distributions that a distribution needs, all the way down."""
    for line in importlib.metadata.requires(name) or ():
        if "extra ==" in line:
            continue
        needed = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            importlib.metadata.distribution(needed)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        if needed.lower() not in found:
            found.add(needed.lower())
            needed_by(needed, found)
    return found


def lend(names: set[str], site: Path) -> None:
    """Put what is installed here into the other environment, so that nothing is fetched again."""
    for name in names:
        files = importlib.metadata.files(name) or ()
        tops = {path.parts[0] for path in files if path.parts[0] not in {"..", "__pycache__"}}
        for top in tops:
            source = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    # A copy, since a build may leave files beside the sources.
    source = tmp_path_factory.mktemp("sources")
    for name, path in (("core", ROOT / "core"), ("package", HERE / "package")):
        shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "maturity.toml", source)  # which core's wheel carries
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", *isolation, "--wheel-dir", str(folder)),
        *(source / "core", source / "package"),
        folder=folder,
    )
    return folder


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has weft, and not yet the package."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    program = folder / "bin" / "python"
    site = Path(
        run(program, "-c", "import site; print(site.getsitepackages()[0])", folder=folder).strip()
    )
    (wheel,) = wheels.glob("weft-[0-9]*.whl")
    install(wheel, site)
    said = run(
        *(program, "-c", "import importlib.metadata as m; print(*m.requires('weft'), sep='\\n')"),
        folder=folder,
    )
    direct = {
        re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in said.split("\n") if line
    }
    names = set(direct)
    for name in direct:
        needed_by(name, names)
    lend(names, site)
    return program


def install(wheel: Path, site: Path) -> None:
    """Install a wheel into another environment."""
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-index", "--no-compile", "--target", str(site), str(wheel)),
        folder=site,
    )


@pytest.fixture(scope="module")
def without(python: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a user's script says where the package is not installed."""
    return run(python, HERE / "script.py", folder=tmp_path_factory.mktemp("without"), fails=True)


@pytest.fixture(scope="module")
def site(python: Path, wheels: Path, without: str) -> Path:
    """Where packages lie in the environment, which now has the package too."""
    folder = next(python.parents[1].glob("lib/python*/site-packages"))
    (wheel,) = wheels.glob("weft_echo-*.whl")
    install(wheel, folder)
    return folder


def test_a_script_says_what_is_missing(without: str) -> None:
    assert "No executor named 'echo' is installed." in without
    assert "weft-echo" in without


def test_an_executor_of_another_package_is_used_by_its_name(
    python: Path, site: Path, tmp_path: Path
) -> None:
    assert "all is well" in run(python, HERE / "script.py", folder=tmp_path)
    where = run(python, "-c", "import weft; print(weft.__file__)", folder=tmp_path).strip()
    assert Path(where).is_relative_to(site), "the repository is not on the way of imports"


def test_it_is_listed_beside_the_built_in_ones(python: Path, site: Path, tmp_path: Path) -> None:
    said = run(python, "-m", "weft", "plugin", "list", folder=tmp_path)
    assert "echo" in said
    assert "threads" in said


def test_its_options_are_checked_in_words(python: Path, site: Path, tmp_path: Path) -> None:
    script = "import weft; weft.executor('echo', wurd='x')"
    said = run(python, "-c", script, folder=tmp_path, fails=True)
    assert "wurd" in said
    assert "word" in said
