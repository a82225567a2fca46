"""``weft maturity`` on sites of its own: what it says, what it writes, how it exits."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from weft.cli import main
from weft.configuration import registry as registry_module
from weft.configuration.evidence import load

if TYPE_CHECKING:
    from core.tests.conftest import Site

Run = Callable[..., tuple[int, str, str]]

LEDGER = """
schema = 1

[levels]
experimental = ["M01", "M02"]
tested = ["M10"]

[rules]
M01 = "The manifest loads."
M02 = "It has a licence, an owner and a page."
M10 = "It is typed."

[component."executor.alpha"]
claim = "{claim}"
state = "active"
owner = "the alpha group"
"""


@pytest.fixture
def weft(site: "Site", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("WEFT_DEBUG", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(registry_module, "_default", site.registry(builtin=False))
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(out.split()), " ".join(err.split())

    return run


@pytest.fixture
def ledger(site: "Site") -> Callable[[str], None]:
    """Gives the package of the component executor.alpha a ledger that claims a level."""
    site.plugin("ex-alpha", "executor", "alpha")

    def claim(level: str) -> None:
        (site.folder / "ex_alpha_executor_alpha" / "maturity.toml").write_text(
            LEDGER.format(claim=level)
        )

    return claim


def test_a_claim_above_the_evidence_fails_and_says_what_is_missing(
    weft: Run, ledger: Callable[[str], None]
) -> None:
    ledger("tested")

    code, out, _ = weft("maturity", "check")

    assert code == 1
    assert "executor.alpha tested unrated self-reported" in out
    assert "executor.alpha claims tested and has earned unrated" in out
    assert "M10 It is typed. no evidence says that it is met" in out


def test_an_author_can_ask_for_the_own_components_alone(
    weft: Run, ledger: Callable[[str], None]
) -> None:
    ledger("unrated")

    code, out, _ = weft("maturity", "check", "alpha")

    assert code == 0
    assert "executor.alpha" in out
    assert "executor.threads" not in out


def test_a_claim_of_nothing_holds(weft: Run, ledger: Callable[[str], None]) -> None:
    ledger("unrated")

    code, out, _ = weft("maturity", "check")

    assert (code, "1 claim held" in out) == (0, True)


def test_explain_says_what_each_rule_rests_on_up_to_the_first_level_not_reached(
    weft: Run, ledger: Callable[[str], None]
) -> None:
    ledger("experimental")

    code, out, _ = weft("maturity", "explain", "alpha")

    assert code == 0
    assert "claims experimental and has earned unrated, as ex-alpha itself reports." in out
    assert "M01 The manifest loads. no kit has been run" in out
    assert "M10" not in out


def test_a_ledger_without_levels_has_those_of_weft(
    site: "Site", weft: Run, ledger: Callable[[str], None]
) -> None:
    text = 'schema = 1\n[component."executor.alpha"]\nclaim = "proven"\n'
    (site.folder / "ex_alpha_executor_alpha" / "maturity.toml").write_text(text)

    _, out, _ = weft("maturity", "check")

    assert "M31 It reached the task rate" in out


def test_explain_of_a_component_without_an_entry_says_so(site: "Site", weft: Run) -> None:
    site.plugin("ex-beta", "executor", "beta")

    code, out, _ = weft("maturity", "explain", "beta")

    assert code == 0
    assert "executor.beta of ex-beta is unrated" in out


def recorded(folder: Path) -> list[str]:
    file = str(folder / "types.json")
    given = ["--kind", "types", "--rule", "M10", "--component", "executor.alpha"]
    return ["maturity", "record", file, *given, "--"]


def test_a_command_that_succeeds_is_evidence(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")

    code, out, _ = weft(*recorded(tmp_path), sys.executable, "-c", "")

    assert code == 0
    assert "says that M10 hold for executor.alpha" in out
    evidence = load((tmp_path / "types.json").read_text(), "types.json")
    assert evidence.subjects["executor.alpha"].rules["M10"].outcome == "passed"
    (told,) = json.loads(weft("maturity", "check", "--json", "--evidence", str(tmp_path))[1])
    met = {finding["rule"] for finding in told["findings"] if finding["met"]}
    assert "M10" in met


def test_a_command_that_fails_is_none(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")

    code, _, err = weft(*recorded(tmp_path), sys.executable, "-c", "raise SystemExit(3)")

    assert code == 1
    assert "ended with exit code 3, so it proves nothing" in err
    assert not (tmp_path / "types.json").exists()


def test_a_command_that_changes_the_sources_is_none(
    site: "Site", weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")
    source = site.folder / "ex_alpha_executor_alpha" / "more.py"

    code, _, err = weft(
        *recorded(tmp_path), sys.executable, "-c", f"open({str(source)!r}, 'w').write('x = 1')"
    )

    assert code == 1
    assert "The sources changed while" in err
    assert not (tmp_path / "types.json").exists()
