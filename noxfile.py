"""Every check: `nox` runs them all, `nox -s unit -- plugins/futures` one of them on one thing.

Works with uv where it is installed, and with plain virtual environments where it is not.
No step exists only on a build server: `.ci/run` calls the same tools with the same settings.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["fmt", "lint", "types", "floors", "unit", "journeys", "docs", "pip-install"]

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
CONSTRAINTS = ("-c", "constraints.txt")
RELEASING = ("hatchling", "packaging", "towncrier")


def packages() -> list[Path]:
    """The folders that hold a distribution, core first."""
    found = [ROOT / "core"]
    for shelf in ("plugins", "contrib"):
        found += sorted(path.parent for path in (ROOT / shelf).glob("*/pyproject.toml"))
    return found


def group(name: str) -> list[str]:
    """What the dependency group of that name asks for."""
    return list(nox.project.dependency_groups(PROJECT, name))


def only(requirements: list[str], *names: str) -> list[str]:
    """Those requirements that ask for one of these distributions."""
    return [item for item in requirements if re.split(r"[^\w.-]", item)[0] in names]


def install_tree(session: nox.Session, *requirements: str) -> None:
    """Install every package of the tree, editable, with these requirements beside them."""
    editable = [part for folder in packages() for part in ("-e", str(folder))]
    session.install(*CONSTRAINTS, *requirements, *editable)


@nox.session
def fmt(session: nox.Session) -> None:
    """Format the tree, and mend what the linter can mend safely."""
    session.install(*CONSTRAINTS, *only(group("dev"), "ruff"))
    session.run("ruff", "check", "--fix", ".")
    session.run("ruff", "format", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Lint, and check the format, without changing a file."""
    session.install(*CONSTRAINTS, *only(group("dev"), "ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of core, plugins and tests with mypy strict."""
    install_tree(session, *group("dev"))
    session.run("mypy", *session.posargs)


@nox.session
def floors(session: nox.Session) -> None:
    """Check the import contracts."""
    install_tree(session, *only(group("dev"), "import-linter"))
    session.run("lint-imports")


@nox.session
def unit(session: nox.Session) -> None:
    """Run the tests of the packages and of the house: `nox -s unit -- plugins/futures`."""
    install_tree(session, *group("dev"))
    chosen = session.posargs or ["--ignore=tests/journeys"]
    session.run("pytest", *chosen)


@nox.session
def journeys(session: nox.Session) -> None:
    """Run whole scripts across packages, as users write them."""
    if not list((ROOT / "tests" / "journeys").glob("**/test_*.py")):
        session.skip("no journeys are written yet")
    install_tree(session, *group("dev"))
    session.run("pytest", "tests/journeys", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install_tree(session, *group("docs"))
    target = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-W", "-n", "--keep-going", "-b", "html", "docs", str(target))


@nox.session(name="pip-install", venv_backend="venv")
def pip_install(session: nox.Session) -> None:
    """Install the tree as a user does, with nothing but pip, and run the first example."""
    session.install(*CONSTRAINTS, *(str(folder) for folder in packages()))
    example = ROOT / "docs" / "examples" / "squares.py"
    session.chdir(session.create_tmp())
    ledger = "from weft.configuration.maturity import own_ledger; assert own_ledger().entries"
    session.run("python", "-c", ledger)
    session.run("weft", "plugin", "list")
    session.run("weft", "run", str(example))
    session.run("python", str(example))


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """What `tools/release.py` does: `nox -s release -- prepare weft-htex 1.4.0`."""
    session.install(*CONSTRAINTS, *only(group("dev"), *RELEASING), "attrs")
    session.run("python", "tools/release.py", *(session.posargs or ["check"]))


@nox.session(default=False)
def legs(session: nox.Session) -> None:
    """Test each package against the oldest core that it allows, and the newest that is released."""
    session.install(*CONSTRAINTS, *only(group("dev"), *RELEASING), "attrs")
    session.run("python", "tools/release.py", "legs")


@nox.session(python=False, default=False)
def repin(session: nox.Session) -> None:
    """Move every pin to the newest set, in constraints.txt and in pyproject.toml."""
    uv = shutil.which("uv")
    if uv is None:
        session.error("repin needs uv: pip install uv")
    asked = {*group("dev"), *group("docs"), *group("peers"), "colorama"}
    for folder in packages():
        package = tomllib.loads((folder / "pyproject.toml").read_text())
        asked.update(package["project"]["dependencies"])
        asked.update(package["build-system"]["requires"])
    own = {tomllib.loads((p / "pyproject.toml").read_text())["project"]["name"] for p in packages()}
    wanted = Path(session.create_tmp()) / "wanted.in"
    wanted.write_text("\n".join(sorted(asked - set(only(sorted(asked), *own)))) + "\n")
    # The oldest Python decides: what runs there runs on the newer ones too.
    printed = session.run(
        uv,
        *("pip", "compile", "--quiet", "--upgrade", "--no-config", "--python-version", "3.11"),
        *("--no-header", "--no-annotate", str(wanted)),
        silent=True,
        external=True,
    )
    pins = [line.split(";")[0].strip() for line in str(printed).splitlines() if "==" in line]
    write_pins(pins)


def write_pins(pins: list[str]) -> None:
    """Put the pins where pip reads them, and where uv does."""
    constraints = ROOT / "constraints.txt"
    head = [line for line in constraints.read_text().splitlines() if line.startswith("#")]
    constraints.write_text("\n".join([*head, *pins]) + "\n")
    project = ROOT / "pyproject.toml"
    listed = "".join(f'    "{pin}",\n' for pin in pins)
    text = re.sub(
        r"(?ms)^(constraint-dependencies = \[\n).*?^\]$",
        lambda found: f"{found.group(1)}{listed}]",
        project.read_text(),
    )
    project.write_text(text)
