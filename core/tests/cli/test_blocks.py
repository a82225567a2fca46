"""``weft blocks``: what is on record is shown; what is left behind, and nothing else, is ended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.blocks.leases import Lease, found
from weft.cli import main
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

FACTORY = """\
from pathlib import Path
from weft.interfaces.provider import Lasting, Provider
class Files(Provider, Lasting):
    site = "files:here"
    def __init__(self, settings): self.jobs = Path(settings.partition)
    def start(self, context): assert context.folder.is_dir()
    def submit(self, job): raise AssertionError
    def status(self, ids): raise AssertionError
    def listed(self, jobs): return [job for job in jobs if (self.jobs / job).exists()]
    def cancel(self, ids):
        for job in ids:
            (self.jobs / job).unlink()
    def close(self): (self.jobs / "closed").touch()
def build(settings): return Files(settings)
"""

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEFT_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "jobs"


@pytest.fixture
def run(
    site: "Site", leases: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))
        with pytest.raises(SystemExit) as ended:
            main(["blocks", *words])
        out, err = capsys.readouterr()
        assert err == ""
        return int(ended.value.code or 0), " ".join(out.split())

    return call


@pytest.fixture
def config(site: "Site", tmp_path: Path) -> Path:
    """A configuration whose executor has a provider with jobs that are files."""
    (tmp_path / "jobs").mkdir()
    site.plugin(
        "ex-files",
        "provider",
        "files",
        options="    partition: str = setting('', help='Where jobs are.')",
        factory=FACTORY,
    )
    site.plugin(
        "ex-alpha",
        "executor",
        "alpha",
        options="    provider: ProviderSettings | None = setting(None, help='Where blocks are.')",
    )
    file = tmp_path / "config.py"
    file.write_text(
        "import weft\n"
        f"files = weft.provider('files', partition={str(tmp_path / 'jobs')!r})\n"
        "config = weft.Config(executors=[weft.executor('alpha', provider=files)])\n"
    )
    return file


def leave(leases: Path, job: str, *, gone: bool) -> Lease:
    made = Lease(
        leases,
        site="files:here",
        label="cpu",
        run_id=f"run-{job}",
        run_folder=f"/runs/{job}",
        program="survey.py",
    )
    if gone:
        made._head["client"] = {**made._head["client"], "started": "1"}  # type: ignore[dict-item]
    made.note(job, "weft-cpu-1")
    return made


def test_without_a_record_it_says_so(run: Run) -> None:
    assert run() == (0, "No job is on record.")


def test_jobs_are_shown_with_whose_they_are(run: Run, leases: Path) -> None:
    leave(leases, "1", gone=False)
    leave(leases, "2", gone=True)

    code, out = run()

    assert code == 0
    assert "SCHEDULER EXECUTOR JOBS SCRIPT PROCESS RUN FOLDER" in out
    assert out.count("files:here cpu 1 survey.py") == 2
    assert ", gone /runs/2" in out
    assert ", gone /runs/1" not in out
    assert "1 job of scripts that are gone may still be there." in out


def test_the_same_as_json(run: Run, leases: Path) -> None:
    leave(leases, "2", gone=True)

    (one,) = json.loads(run("--json")[1])

    assert one["jobs"] == {"2": "weft-cpu-1"}
    assert one["gone"] is True
    assert one["client"]["started"] == "1"


def test_what_is_left_behind_is_cancelled_and_what_lives_is_not(
    run: Run, config: Path, leases: Path
) -> None:
    jobs = config.parent / "jobs"
    for job in ("1", "2"):
        (jobs / job).touch()
    leave(leases, "1", gone=False)
    leave(leases, "2", gone=True)

    code, out = run("--cancel", str(config))

    assert code == 0
    assert "✓ Cancelled 2, left behind by: 2 of files:here" in out
    assert sorted(path.name for path in jobs.iterdir()) == ["1", "closed"]
    assert [dict(one.jobs) for one in found(leases)] == [{"1": "weft-cpu-1"}]
    assert "Nothing was left behind" in run("--cancel", str(config))[1]


def test_what_cannot_be_cancelled_is_an_error_and_stays_on_record(
    site: "Site", run: Run, config: Path, leases: Path
) -> None:
    site.write(
        "ex_files_provider_files/factory.py",
        FACTORY.replace("return [job", "raise OSError('down') #"),
    )
    leave(leases, "2", gone=True)

    code, out = run("--cancel", str(config))

    assert code == 1
    assert "✗ Could not be cancelled: 2 of files:here" in out
    assert "OSError: down" in out
    assert len(found(leases)) == 1


def test_a_configuration_without_such_a_provider_has_nothing_to_cancel(
    run: Run, tmp_path: Path, leases: Path
) -> None:
    leave(leases, "2", gone=True)
    file = tmp_path / "config.py"
    file.write_text("import weft\nconfig = weft.Config()\n")
    made: Any = run("--cancel", str(file))

    assert made[0] == 0
    assert "Nothing was left behind" in made[1]
    assert len(found(leases)) == 1
