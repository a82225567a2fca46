"""Every module can be imported first, and light things stay light."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.house.conftest import Package

# One interpreter for all: each import happens in a fork of it that has imported nothing of ours.
IMPORT_EACH = """
import json, os, sys, traceback
failed = {}
for name in json.load(sys.stdin):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            __import__(name)
        except BaseException:
            os.write(writing, traceback.format_exc()[-4000:].encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        problem = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if problem or code:
        failed[name] = problem or f"ended with {code}"
json.dump(failed, sys.stdout)
"""

HEAVY = ("asyncio", "attr", "click", "dill", "importlib.metadata", "multiprocessing", "pluggy")
FOR_PEOPLE = ("click", "pluggy", "pytest", "rich", "typeguard")


def python(*arguments: str, given: str = "") -> str:
    """What a new interpreter prints, in which every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        check=False,
        input=given,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(module: str) -> set[str]:
    """The names in ``sys.modules`` that one import brings."""
    program = (
        "import sys; before = set(sys.modules);"
        f"import {module}; print(*sorted(set(sys.modules) - before))"
    )
    return set(python("-c", program).split())


def under(names: set[str], *roots: str) -> set[str]:
    """Those names that are one of the roots or inside one."""
    return {name for name in names if any(f"{name}.".startswith(f"{root}.") for root in roots)}


def modules_of(package: Package) -> list[str]:
    """Every module of a package, from its files alone."""
    source = package.folder / "src"
    files = sorted((source / package.module).rglob("*.py"))
    dotted = [".".join(path.relative_to(source).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in dotted if not name.endswith("__main__")]


def test_each_module_can_be_imported_before_any_other(package: Package) -> None:
    failed = json.loads(python("-c", IMPORT_EACH, given=json.dumps(modules_of(package))))

    assert failed == {}, "\n\n".join(f"{name}:\n{problem}" for name, problem in failed.items())


def test_importing_weft_brings_almost_nothing() -> None:
    loaded = loaded_by("weft")

    assert under(loaded, *HEAVY) == set()
    assert len(loaded) <= 15, sorted(loaded)


def test_a_worker_brings_neither_kernel_nor_configuration_nor_anything_for_people() -> None:
    loaded = loaded_by("weft.calls")
    rooms = ("apps", "cli", "configuration", "dataflow", "monitoring", "session")

    assert under(loaded, *(f"weft.{room}" for room in rooms), *FOR_PEOPLE) == set()


def test_a_manifest_brings_nothing_heavy(package: Package) -> None:
    manifests = {target.partition(":")[0] for target in package.components.values()}
    rooms = ("apps", "calls", "cli", "configuration", "dataflow", "session")

    for manifest in manifests:
        loaded = loaded_by(manifest)
        assert under(loaded, *(f"weft.{room}" for room in rooms)) == set(), manifest
        assert under(loaded, "dill", "zmq", "sqlalchemy", *FOR_PEOPLE) == set(), manifest
