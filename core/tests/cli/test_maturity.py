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


def test_weft_s_own_claims_are_held_only_against_evidence_that_is_named(
    site: "Site",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(registry_module, "_default", site.registry(builtin=True))

    def said(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["maturity", *words])
        return int(ended.value.code or 0), " ".join(capsys.readouterr().out.split())

    code, out = said("check", "threads", "processes")
    assert code == 0
    assert "2 claims of weft's own ledger: not looked at here." in out
    assert "held" not in out
    assert "The claim is not looked at here." in said("explain", "threads")[1]

    said(
        "record",
        str(tmp_path / "t.json"),
        *["--kind", "types", "--rule", "M10", "--component", "log"],
        "true",
    )
    code, out = said("check", "threads", "--evidence", str(tmp_path))
    assert code == 1
    assert "executor.threads claims tested and has earned unrated" in out


def test_a_claim_of_nothing_holds(weft: Run, ledger: Callable[[str], None]) -> None:
    ledger("unrated")

    code, out, _ = weft("maturity", "check")

    assert (code, "1 claim held" in out) == (0, True)


@pytest.mark.filterwarnings("default::weft.errors.WeftWarning")
def test_an_own_ledger_that_cannot_be_read_is_no_claim_that_holds(
    site: "Site", weft: Run, ledger: Callable[[str], None]
) -> None:
    ledger("gold")

    code, out, err = weft("maturity", "check", "alpha")

    assert code == 1
    assert "the entry 'executor.alpha' is ignored: 'gold' is not a valid Level" in out
    assert "No ledger rates executor.alpha" in out
    assert "held" not in out
    assert err.startswith("! The maturity ledger")
    assert "WeftWarning" not in err


def test_a_claim_of_what_cannot_be_loaded_does_not_hold(
    site: "Site", weft: Run, ledger: Callable[[str], None]
) -> None:
    ledger("unrated")
    site.write("ex_alpha_executor_alpha/manifest.py", "raise RuntimeError('no licence')\n")

    code, out, _ = weft("maturity", "check", "alpha")

    assert code == 1
    assert "RuntimeError: no licence" in out


def test_evidence_of_former_sources_is_told(
    site: "Site", weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("tested")
    weft(*recorded(tmp_path), sys.executable, "-c", "")
    site.write("ex_alpha_executor_alpha/more.py", "x = 1\n")

    code, out, _ = weft("maturity", "check", "--evidence", str(tmp_path))

    assert code == 1
    # A long path goes on in the next line, wherever that falls.
    assert "types.json is stale: the sources have changed since.".replace(" ", "") in out.replace(
        " ", ""
    )


def test_a_folder_without_evidence_is_a_wrong_use(weft: Run, tmp_path: Path) -> None:
    code, _, err = weft("maturity", "check", "--evidence", str(tmp_path))

    assert code == 2
    assert "there is no *.json in" in err


def test_what_is_no_evidence_counts_for_nothing(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")
    (tmp_path / "kit.json").write_text("no json")

    code, out, _ = weft("maturity", "check", "--evidence", str(tmp_path))

    assert code == 1
    assert "counts for nothing: it is no JSON:" in out


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
    reasons = {finding["rule"]: finding["reason"] for finding in told["findings"]}
    assert reasons["M10"].startswith("no kit was run with its calls checked"), "that is half of it"


def test_a_command_that_fails_is_none(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")

    code, _, err = weft(*recorded(tmp_path), sys.executable, "-c", "raise SystemExit(3)")

    assert code == 1
    assert "ended with exit code 3, so it proves nothing" in err
    assert not (tmp_path / "types.json").exists()


def test_a_command_that_cannot_be_run_is_none(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")

    code, _, err = weft(*recorded(tmp_path), str(tmp_path / "no command"))

    assert code == 1
    assert "cannot be run (No such file or directory), so it proves nothing" in err
    assert not (tmp_path / "types.json").exists()


def test_evidence_is_for_rules_that_there_are(
    weft: Run, ledger: Callable[[str], None], tmp_path: Path
) -> None:
    ledger("unrated")
    words = [word.replace("M10", "M77") for word in recorded(tmp_path)]

    code, _, err = weft(*words, sys.executable, "-c", "")

    assert code == 2
    assert "there is no rule 'M77'; the rules are M01, M02, M10" in err
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
