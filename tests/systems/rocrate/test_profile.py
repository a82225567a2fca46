"""Crates of runs, as the validator of Provenance Run Crate 0.5 sees them.

The contexts that it expands names by are on the web. A stand-in with the names that crates of weft
use is put where it looks for them: a name that is not among these is lost, as it would be.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import weft
from weft_provenance.cli import main

BOUND = 120.0

_SCHEMA = "http://schema.org/"
_TERMS = (
    "ComputerLanguage", "ControlAction", "CreateAction", "CreativeWork", "Dataset", "HowTo",
    "HowToStep", "OrganizeAction", "Person", "PropertyValue", "SoftwareApplication",
    "SoftwareSourceCode", "about", "actionStatus", "agent", "author", "datePublished",
    "description", "encodingFormat", "endTime", "error", "hasPart", "identifier",
    "instrument", "license", "mainEntity", "mentions", "name", "object", "position",
    "programmingLanguage", "result", "softwareVersion", "startTime", "step", "url", "version",
    "workExample",
)  # fmt: skip

CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": {
        "@context": {
            **{term: _SCHEMA + term for term in _TERMS},
            "File": _SCHEMA + "MediaObject",
            "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
            "conformsTo": "http://purl.org/dc/terms/conformsTo",
        }
    }
}

WAIVED = {
    # Nobody says it of functions of a script: addresses and versions.
    "process-run-crate-0.5_3.2", "process-run-crate-0.5_4.1", "process-run-crate-0.5_5.1",
    "process-run-crate-0.5_7.1",
    # A task whose result nobody needed has none on record.
    "process-run-crate-0.5_11.1",
    # Not known: formats of files, the licence, publishers, affiliations; nor is there a README.
    "ro-crate-1.1_22.1", "ro-crate-1.1_22.3", "ro-crate-1.1_27.1", "ro-crate-1.1_30.2",
    "ro-crate-1.1_30.3", "workflow-ro-crate-1.0_6.1", "workflow-ro-crate-1.0_6.2",
    "workflow-ro-crate-1.0_8.1",
}  # fmt: skip
"""Recommendations that are not followed."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run is with failures, retries, files, and names with odd characters."""
    folder = tmp_path_factory.mktemp("runs")

    @weft.python_app
    def add(a: int, b: int) -> int:
        return a + b

    @weft.python_app
    def fails(_: int) -> int:
        raise ValueError("told you so — 数据 <b> \0 \x1b[2J \ud800")

    @weft.python_app
    def copy(source: weft.File, outputs: tuple[weft.File, ...]) -> None:
        Path(outputs[0]).write_bytes(Path(source).read_bytes())

    source = folder / "in put – 数据 #1?.txt"
    source.write_text("in")
    with weft.load(weft.Config(run_dir=folder, retries=1)):
        failed = fails(add(add(1, 2), 3))
        made = copy(weft.File(source), outputs=(weft.File(folder / "out.txt"),))
        copy(made.outputs[0], outputs=(weft.File(folder / "again.txt"),)).result(BOUND)
        assert add(failed, 1).exception(BOUND) is not None
    return folder


def checked(python: str, crate: Path, scratch: Path) -> list[dict[str, Any]]:
    """What the validator finds fault with."""
    contexts = scratch / "contexts.json"
    contexts.write_text(json.dumps(CONTEXTS))
    script = Path(__file__).with_name("validate.py")
    words = [python, str(script), str(crate), "provenance-run-crate", str(contexts)]
    done = subprocess.run(
        [*words, str(scratch / "cache")],
        capture_output=True, text=True, timeout=BOUND, check=False, cwd=scratch,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("more", [(), ("--anonymous",)])
def test_the_validator_of_the_profile_is_content(
    rocrate_python: str, run_dir: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    crate = tmp_path / "crate"
    assert main(["latest", str(crate), "--as=ro-crate", f"--run-dir={run_dir}", *more]) == 0
    found = checked(rocrate_python, crate, tmp_path)
    assert [one for one in found if one["severity"] == "REQUIRED"] == []
    if not more:  # who leaves out who ran it goes against some more recommendations
        assert {one["check"] for one in found} - WAIVED == set()


def test_the_validator_has_teeth(rocrate_python: str, run_dir: Path, tmp_path: Path) -> None:
    crate = tmp_path / "crate"
    assert main(["latest", str(crate), "--as=ro-crate", f"--run-dir={run_dir}"]) == 0
    metadata = crate / "ro-crate-metadata.json"
    graph = json.loads(metadata.read_text())
    for entity in graph["@graph"]:
        if entity["@id"] == "#task-0":
            del entity["instrument"]
    metadata.write_text(json.dumps(graph))
    found = checked(rocrate_python, crate, tmp_path)
    assert any(one["severity"] == "REQUIRED" for one in found)
