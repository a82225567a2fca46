"""``weft site``, as it is typed; and every public site, written out and checked."""

import os
import re
import stat
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest

from weft.configuration.check import load_config, problems
from weft.configuration.registry import default_registry
from weft.errors import WeftError
from weft_sites.cli import main
from weft_sites.detect import Facts, matches
from weft_sites.repositories import PUBLIC, Repositories

Run = Callable[..., tuple[int, str, str]]

PUBLIC_SITES = [one.name for one in Repositories(Path("/nowhere")).entries()]


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.setenv("WEFT_SITES", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that providers and launchers want to find, as on the machines that they are for."""
    registry, programs = default_registry(), tmp_path / "programs"
    programs.mkdir()
    for kind in ("provider", "launcher"):
        for name in registry.names(kind):
            for command in registry.component(kind, name).requires.commands:
                (programs / command).write_text("#!/bin/sh\nexit 1\n")
                (programs / command).chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{programs}")


def example_of(name: str) -> list[str]:
    made = Repositories(Path("/nowhere")).site(name)
    return [f"{k}={f.example}" for k, f in made.fill.items() if f.default is None]


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("name", PUBLIC_SITES)
def test_every_public_site_is_a_configuration_that_weft_check_takes(
    site: Run, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.py"

    code, _, err = site("use", name, *example_of(name), "-o", str(file))

    assert code == 0
    assert "Not installed" not in err
    found = problems(load_config(file))
    assert [str(one) for one in found if one.is_error] == []


@pytest.mark.parametrize("name", PUBLIC_SITES)
def test_every_public_site_says_where_its_values_are_from(name: str) -> None:
    made = Repositories(Path("/nowhere")).site(name)

    assert made.source
    assert made.detect.hosts == () or made.source.startswith("https://")
    assert all(one.default is not None or one.example for one in made.fill.values())


def test_the_list_has_all_of_them(site: Run) -> None:
    _, out, _ = site("list")

    lines = out.splitlines()
    assert lines[0].split() == ["SITE", "FROM", "AS", "OF", "WHAT", "IT", "IS"]
    assert {line.split()[0] for line in lines[1:] if f" {PUBLIC} " in line} == set(PUBLIC_SITES)


def test_a_site_is_shown_with_what_to_fill_in_and_what_it_sets(site: Run) -> None:
    _, out, _ = site("show", "ncsa.delta")

    assert out.startswith("Delta, NCSA")
    assert "https://docs.ncsa.illinois.edu/systems/delta/" in out
    assert re.search(r"account +The allocation that pays.*needed, such as", out)
    assert "htex.provider.partition = '{partition}'" in out
    assert "→ weft site use ncsa.delta account=abcd-delta-gpu -o config.py" in out


def test_without_a_file_the_configuration_is_shown(site: Run) -> None:
    code, out, err = site("use", "laptop", "workers=2")

    assert (code, err) == (0, "")
    compile(out, "config.py", "exec")
    assert 'weft.executor("htex", workers_per_node=2, provider=weft.provider("local"))' in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no site 'nowhere'"),
        (["ncsa.delta"], "account must be said"),
        (["ncsa.delta", "account=a b"], "does not match"),
        (["laptop", "workers=all"], "a number is wanted"),
        (["laptop", "worker=1"], "worker is nothing that laptop asks for"),
    ],
)
def test_what_is_not_filled_in_is_said(site: Run, words: list[str], said: str) -> None:
    with pytest.raises(WeftError, match=said):
        site("use", *words)


@pytest.mark.parametrize("words", [["laptop", "two"], ["laptop", "workers=1", "workers=2"]])
def test_what_is_typed_wrong(site: Run, words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        site("use", *words)


def test_a_file_that_is_there_stays(site: Run, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("mine")

    with pytest.raises(WeftError, match="nothing was written"):
        site("use", "laptop", "-o", "config.py")
    assert (tmp_path / "config.py").read_text() == "mine"

    site("use", "laptop", "-o", "config.py", "--force")
    assert "import weft" in (tmp_path / "config.py").read_text()


def test_what_is_not_installed_is_named(site: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "far.toml").write_text(
        '[site]\ntitle = "Far"\nsource = "s"\ndate = 2026-01-31\n'
        'packages = ["weft-htex", "weft-of-nowhere"]\n'
        '[executors.x]\nplugin = "htex"\nprovider = { plugin = "nowhere" }\n'
    )
    site("add", "mine", str(tmp_path / "mine"))

    code, _, err = site("use", "far")

    assert code == 0
    assert "Not installed: weft-of-nowhere" in err
    assert "weft plugin add weft-of-nowhere" in err


def test_a_repository_is_added_listed_and_removed(site: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    good = '[site]\ntitle = "Our Slurm"\nsource = "s"\ndate = 2020-01-31\n'
    (tmp_path / "mine" / "slurm.toml").write_text(good)
    (tmp_path / "mine" / "bad.toml").write_text("[sight]")

    _, out, err = site("add", "mine", str(tmp_path / "mine"))
    assert "Added mine: bad, slurm." in out
    assert "They hide others of the same name: slurm." in out
    assert "mine:bad" in err

    _, out, err = site("list")
    assert "Our Slurm" in out
    assert f"{PUBLIC}:slurm" in out
    assert "mine:bad" in err
    assert "years ago" in site("show", "slurm")[1]

    site("remove", "mine")
    assert "Our Slurm" not in site("list")[1]


# ------------------------------------------------------------------------------------------- detect


def facts(*programs: str, host: str = "login1", **environment: str) -> Facts:
    return Facts(hosts=(host,), environment=environment, has=lambda one: one in programs)


def found(seen: Facts) -> list[str]:
    shelf = Repositories(Path("/nowhere"))
    return [one.site.name for one in matches((e.read() for e in shelf.entries()), seen)]


def test_a_scheduler_is_known_by_its_commands() -> None:
    assert found(facts("sbatch", "squeue")) == ["slurm"]
    assert found(facts("qsub", "qstat", "qconf")) == ["gridengine"]
    assert found(facts("qsub", "qstat", "pbsnodes")) == ["pbs"]
    assert found(facts("bsub", "bjobs", "bqueues")) == ["lsf"]
    assert found(facts("condor_submit", "condor_q")) == ["condor"]
    assert found(facts("flux")) == ["flux"]
    assert found(facts("flux", "sbatch", "squeue")) == ["slurm"]
    assert found(facts("qsub")) == []
    assert found(facts()) == []


def test_a_site_known_by_name_comes_before_its_scheduler() -> None:
    seen = facts("sbatch", "squeue", host="dt-login03")

    assert found(seen) == ["ncsa.delta", "slurm"]


def test_no_two_public_sites_claim_one_machine() -> None:
    shelf = Repositories(Path("/nowhere"))
    patterns = [p for one in shelf.entries() for p in one.read().detect.hosts]

    for pattern in patterns:
        host = pattern.replace("*", "1")
        assert [p for p in patterns if fnmatch(host, p)] == [pattern]


def test_detect_proposes_what_to_type(
    site: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sbatch", "squeue"):
        file = programs / name
        file.write_text("#!/bin/sh\nexit 1\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs))

    code, out, _ = site("detect")
    assert code == 0
    assert "There is sbatch and squeue." in out
    assert "→ weft site use slurm -o config.py" in out

    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, _ = site("detect")
    assert code == 1
    assert "weft site use laptop" in out


def test_the_command_is_a_word_of_weft(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from weft.cli import main as weft

    with pytest.raises(SystemExit) as ended:
        weft(["site", "show", "laptop"])

    assert ended.value.code == 0
    assert "A single machine" in capsys.readouterr().out
