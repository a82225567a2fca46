import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weft.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)

    def run(text: str | None, *words: str) -> tuple[int, str, str]:
        if text is not None:
            (tmp_path / "conf.py").write_text(text)
        with pytest.raises(SystemExit) as ended:
            main(["check", "conf.py", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


GOOD = "import weft\nconfig = weft.Config(executors=[weft.executor('threads', label='cpu')])\n"
BAD = """
import weft
config = weft.Config(executors=weft.executor('threads'), retries=True, when_full='raise')
"""


def test_a_good_configuration_is_summed_up(check: Run) -> None:
    code, out, err = check(GOOD)

    assert (code, err) == (0, "")
    assert out.startswith("conf.py can be used.")
    assert "executors  cpu (threads)" in out


def test_every_problem_has_its_place_and_its_remedy(check: Run) -> None:
    code, out, _ = check(BAD)

    assert code == 1
    assert out.startswith("conf.py has 2 problems:")
    assert "✗ executors  W-CFG-001" in out
    assert "→ Write executors=[weft.executor('threads', ...)]." in out
    assert "✗ retries  W-CFG-001" in out


def test_warnings_alone_are_no_failure(check: Run) -> None:
    code, out, _ = check("import weft\nconfig = weft.Config(when_full='raise')\n")

    assert code == 0
    assert "Worth a look:" in out
    assert "! when_full  W-CFG-008" in out


def test_problems_as_json(check: Run) -> None:
    code, out, _ = check(BAD, "--json")

    told = json.loads(out)
    assert code == 1
    assert told["ok"] is False
    assert [p["place"] for p in told["problems"]] == ["executors", "retries"]
    assert set(told["problems"][0]) == {"code", "place", "what", "remedy", "severity"}


def test_a_file_that_cannot_be_run_is_told_with_its_line(check: Run) -> None:
    code, out, err = check("import weft\nconfig = weft.Config(retires=3)\n")

    assert (code, out) == (2, "")
    assert err.startswith("Error: conf.py, line 2: Config: there is no option 'retires'.")
    assert "Did you mean retries" in err
    assert "Traceback" not in err


def test_a_file_that_cannot_be_run_as_json(check: Run) -> None:
    code, out, _ = check("x = = 1\n", "--json")

    told = json.loads(out)
    assert code == 2
    assert told["problems"][0]["place"] == "line 1"


def test_a_file_that_is_not_there_is_a_wrong_use(check: Run) -> None:
    code, _, err = check(None)

    assert code == 2
    assert "conf.py" in err


def test_a_check_starts_nothing_and_leaves_nothing(check: Run, tmp_path: Path) -> None:
    check(GOOD)

    assert [p.name for p in tmp_path.iterdir()] == ["conf.py"]
