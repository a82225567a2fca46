"""``weft provider try``: what is typed, what is shown, and what is left behind: nothing."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from weft.cli import main
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weft(
    site: "Site",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))
        with pytest.raises(SystemExit) as ended:
            main(["provider", "try", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_a_provider_that_works_leaves_nothing_behind(weft: Run, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())

    code, out, err = weft("local", "--grace", "1")

    assert (code, err) == (0, "")
    assert re.search(r"✓ Submitted as job local-1, in \d+\.\d s\.", out)
    assert "Python {}.{}.".format(*sys.version_info) in out
    assert "'local' works, and nothing is left behind" in out
    assert set(tmp_path.iterdir()) == before


def test_one_that_does_not_keeps_what_the_job_wrote(
    site: "Site", weft: Run, tmp_path: Path
) -> None:
    site.plugin(
        "ex-blocks",
        "executor",
        "ex",
        options='    provider: object = setting(None, help="h")\n'
        '    worker_init: str = setting("", help="h")\n',
    )
    config = tmp_path / "config.py"
    config.write_text(
        "import weft\n"
        "config = weft.Config(executors=[weft.executor('ex', provider=weft.provider('local'),\n"
        "    worker_init='echo no such module >&2; exit 5')])\n"
    )

    code, out, _ = weft("ex", "--config", str(config), "--run-dir", "kept")

    assert code == 1
    assert "The job ended as failed, exit code 5." in out
    assert "The job wrote: no such module" in out
    [kept] = (tmp_path / "kept").iterdir()
    assert "output are in" in out
    assert str(kept).replace(" ", "") in out.replace("\n", "").replace(" ", "")
    assert (kept / "job" / "job.sh").exists()


def test_what_was_never_submitted_leaves_no_folder(site: "Site", weft: Run, tmp_path: Path) -> None:
    site.plugin(
        "ex-closed",
        "provider",
        "closed",
        factory="from weft.errors import WeftError\n"
        "from weft.testing.provider import FakeProvider\n"
        "class Closed(FakeProvider):\n"
        "    def start(self, context): raise WeftError('It is closed.', todo='Come tomorrow.')\n"
        "def build(settings): return Closed()\n",
    )
    before = set(tmp_path.iterdir())

    code, out, _ = weft("closed")

    assert code == 1
    assert "✗ It is closed." in out
    assert "→ Come tomorrow." in out
    assert "are in" not in out
    assert set(tmp_path.iterdir()) - before <= {site.folder}


def test_the_steps_as_data(weft: Run) -> None:
    code, out, _ = weft("local", "--json")

    told = json.loads(out)
    assert code == 0
    assert told["ok"] is True
    assert [one["severity"] for one in told["steps"]] == [None] * len(told["steps"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 1, "nowhere"),
        (["local", "--grac", "1"], 1, "Did you mean grace?"),
        (["local", "--grace", "-1"], 1, "grace=-1 is not allowed"),
        (["local", "debug"], 2, "'debug' is no option"),
        (["local", "--nodes", "2"], 2, "give --launcher"),
        (["local", "--launcher", "nothing"], 1, "nothing"),
        (["local", "--timeout", "0"], 2, "--timeout"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    weft: Run, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    before = set(tmp_path.iterdir())

    ended, out, err = weft(*words)

    assert ended == code
    assert said in err
    assert out == ""
    assert set(tmp_path.iterdir()) == before


def test_a_configuration_is_asked_for_one_of_its_executors(weft: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("import weft\nconfig = weft.Config(executors=[weft.executor('threads')])\n")

    code, _, err = weft("cpu", "--config", str(config))
    assert (code, "has no executor 'cpu'; it has threads" in err) == (2, True)

    code, _, err = weft("threads", "--config", str(config))
    assert (code, "'threads' names no provider" in err) == (2, True)

    code, _, err = weft("threads", "--config", str(config), "--grace", "1")
    assert (code, "--grace belongs into the configuration" in err) == (2, True)
