import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.cli import main
from weft.configuration import registry as registry_module

if TYPE_CHECKING:
    from core.tests.conftest import Site

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


# ----------------------------------------------------------------------------------------- --here

LOOK = """
from weft.values.problem import Finding, Severity
def look(settings, folder):
    yield Finding(what="The scheduler answers.")
    if settings.size > 3:
        yield Finding(
            what="It has no queue of that size.",
            severity=Severity.ERROR,
            why="The largest has 3.",
            remedy="Take less.",
        )
"""
LARGE = "import weft\nconfig = weft.Config(executors=[weft.executor('alpha', size=4)])\n"
SMALL = LARGE.replace("size=4", "size=3")


@pytest.fixture
def looking(site: "Site", monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a component that looks around."""
    module = site.plugin(
        "ex-alpha", "executor", "alpha", checks="ex_alpha_executor_alpha.checks:look"
    )
    site.write(f"{module}/checks.py", LOOK)
    monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))


@pytest.mark.usefixtures("looking")
def test_what_is_not_there_is_only_found_where_it_is_looked_for(check: Run) -> None:
    code, out, err = check(LARGE)
    assert (code, err) == (0, "")
    assert out.startswith("conf.py can be used.")
    assert "scheduler" not in out

    code, out, err = check(LARGE, "--here")
    assert (code, err) == (1, "")
    assert "can be used." not in out
    assert out.startswith("conf.py is well written, but cannot be used here: see below.")
    said = " ".join(out.split())
    assert "executors alpha" in said
    assert (
        "executor alpha 'alpha' ✓ The scheduler answers. ✗ It has no queue of that size. The "
        "largest has 3. → Take less. 1 problem."
    ) in said


@pytest.mark.usefixtures("looking")
def test_what_is_there_is_said_as_well(check: Run, tmp_path: Path) -> None:
    code, out, _ = check(SMALL, "--here")

    assert code == 0
    assert out.startswith("conf.py can be used.")
    assert "✓ The scheduler answers." in out
    assert out.endswith("All is well.\n")
    assert [p.name for p in tmp_path.glob("*weft*")] == [], "something was left behind"


@pytest.mark.usefixtures("looking")
@pytest.mark.parametrize(("text", "ok"), [(SMALL, True), (LARGE, False)])
def test_what_was_found_here_as_json(check: Run, text: str, ok: bool) -> None:
    code, out, _ = check(text, "--here", "--json")

    told = json.loads(out)
    assert (code, told["ok"], told["problems"]) == (int(not ok), ok, [])
    assert told["findings"][0] == {
        "section": "executor alpha 'alpha'",
        "status": "ok",
        "what": "The scheduler answers.",
        "remedy": "",
    }
    assert [one["what"] for one in told["findings"] if one["status"] == "error"] == (
        [] if ok else ["It has no queue of that size. The largest has 3."]
    )


@pytest.mark.usefixtures("looking")
def test_with_problems_of_its_own_a_file_is_not_taken_around(check: Run) -> None:
    wrong = LARGE.replace(")])", ")], retries=True)")

    code, out, _ = check(wrong, "--here")
    assert code == 1
    assert out.startswith("conf.py has 1 problem:")
    assert "queue" not in out
    assert out.endswith("Once that is mended, --here has the components look around.\n")

    code, out, _ = check(wrong, "--here", "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["findings"]) == (1, False, [])
