"""``weft plugin new``: each kind, from nothing to a package that others use by its name.

A person walks the same way in ten minutes: make the package, install it, run its kit, use it. Here
every step is done in a fresh environment with wheels, so that templates, kits and guide stay true.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.journeys.conftest import PATIENCE

if TYPE_CHECKING:
    from tests.journeys.conftest import Fresh, Wheels

ROOT = Path(__file__).resolve().parents[2]

KINDS = ("executor", "provider", "launcher", "stager", "serializer", "monitor")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPTS = {
    "executor": """
config = Config(executors=[weft.executor("my-executor", workers=2)])
with weft.load(config):
    assert [f.result(20) for f in [double(n) for n in range(10)]] == [2 * n for n in range(10)]
""",
    "provider": """
executor = weft.executor("htex", provider=weft.provider("my-provider"), workers_per_node=1)
with weft.load(Config(executors=[executor])):
    assert double(21).result(60) == 42
""",
    "launcher": """
executor = weft.executor("htex", launcher=weft.launcher("my-launcher"), workers_per_node=1)
with weft.load(Config(executors=[executor])):
    assert double(21).result(60) == 42
""",
    "stager": """
from pathlib import Path
from weft import File
Path("there").mkdir()
Path("there/words.txt").write_text("a b c")
root = str(Path("there").absolute())

@python_app
def count(file: File) -> int:
    return len(file.as_path().read_text().split())

with weft.load(Config(executors=[weft.executor("threads")],
                      stagers=[weft.stager("my-stager", root=root)])):
    assert count(File("my-stager:///words.txt")).result(20) == 3
""",
    "serializer": """
from weft.configuration.registry import default_registry
packer = default_registry().open(weft.serializer("my-serializer"))
assert packer.unpack(packer.pack({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}
""",
    "monitor": """
from pathlib import Path
config = Config(executors=[weft.executor("threads")], monitors=[weft.monitor("my-monitor")])
with weft.load(config) as session:
    double(1).result(20)
lines = next(session.run_folder.rglob("my-monitor.jsonl")).read_text().splitlines()
assert any("TaskMoved" in line for line in lines), lines
""",
}

HEAD = """
import weft
from weft import Config, python_app

@python_app
def double(x: int) -> int:
    return 2 * x

if __name__ == "__main__":
"""


@pytest.fixture(scope="module")
def workshop(fresh: Fresh, wheels: Wheels) -> Fresh:
    """An environment with weft, the kit, htex, and what a package's own tests need."""
    for name in ("futures", "htex", "testkit"):
        fresh.install(wheels.of(ROOT / "plugins" / name))
    fresh.lend(["pytest-timeout", "mypy", "types-psutil"])
    return fresh


@pytest.fixture(scope="module", params=KINDS)
def package(
    request: pytest.FixtureRequest,
    workshop: Fresh,
    wheels: Wheels,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a package made a moment ago, of each kind, installed from its wheel."""
    kind = str(request.param)
    folder = tmp_path_factory.mktemp(f"new-{kind}")
    said = workshop.run("-m", "weft", "plugin", "new", kind, f"my-{kind}", folder=folder)
    assert f"holds the {kind} 'my-{kind}', complete and working" in said
    made = folder / f"weft-my-{kind}"
    workshop.install(wheels.of(made))
    return made


def kind_of(package: Path) -> str:
    return package.name.removeprefix("weft-my-")


def test_its_kit_is_green_and_its_variant_dies(workshop: Fresh, package: Path) -> None:
    kit = ["-m", "pytest", *PATIENCE, "--weft-evidence", "kit.json"]
    said = workshop.run(*kit, folder=package)

    ended = said.splitlines()[-1]
    assert " passed" in ended
    assert not re.search(r"\d (failed|error)", ended), ended
    explain = ["-m", "weft", "maturity", "explain", f"my-{kind_of(package)}"]
    explained = workshop.run(*explain, "--evidence", package / "kit.json", folder=package)
    assert "has earned experimental" in explained, explained
    assert "✗ M11" not in explained
    assert "✗ M12" not in explained


def test_it_is_typed(workshop: Fresh, package: Path) -> None:
    # What mypy knows of weft from one kind serves the next.
    cache = workshop.folder / "mypy"
    assert "Success" in workshop.run("-m", "mypy", "--cache-dir", cache, folder=package)


def test_it_is_used_by_its_name(workshop: Fresh, package: Path, tmp_path: Path) -> None:
    body = SCRIPTS[kind_of(package)].strip().replace("\n", "\n    ")
    (tmp_path / "script.py").write_text(f"{HEAD}    {body}\n    print('all is well')\n")

    assert "all is well" in workshop.run("script.py", folder=tmp_path)


def test_what_it_declares_is_in_order(workshop: Fresh, package: Path) -> None:
    name = f"my-{kind_of(package)}"

    assert "All is well." in workshop.run("-m", "weft", "plugin", "check", name, folder=package)
    assert "self-reported" in workshop.run("-m", "weft", "plugin", "list", folder=package)


def test_its_files_are_formatted_and_say_nothing_of_templates(package: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    done = subprocess.run(
        [
            ruff,
            "check",
            "--isolated",
            "--select",
            "E,F,I,B,UP,SIM,RUF",
            "--line-length",
            "100",
            ".",
        ],
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for file in package.rglob("*"):
        if file.suffix in {".py", ".toml", ".md", ".yml"}:
            assert not re.findall("@[A-Z]+@", file.read_text()), file
