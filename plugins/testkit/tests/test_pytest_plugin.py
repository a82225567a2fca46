"""What the plugin makes of rules, seen in sessions of pytest that run within these tests."""

import json
import os
from pathlib import Path

import pytest

from weft.configuration.evidence import Subject, load

pytest_plugins = ["pytester"]

KIT = """
import attrs
import pytest
from weft.configuration.registry import default_registry
from weft.values.plugin import Kind, Level, Support
from weft_testkit import Conformance, LauncherConformance
from weft_testkit.rules import rule

class Site:
    # A registry whose launchers are declared to fly, or not.
    def __init__(self, flies):
        self.flies = flies

    def component(self, kind, name):
        declared = default_registry().component(kind, name)
        return attrs.evolve(declared, capabilities={"flight": self.flies})

    def __getattr__(self, name):
        return getattr(default_registry(), name)

class Kit(Conformance):
    kind = Kind.LAUNCHER
    name = "simple"
    flies = Support.FULL
    broken = ()

    @classmethod
    def registry(cls):
        return Site(cls.flies)

    @rule("Z001", "It stands.")
    def test_z1(self):
        assert "Z001" not in self.broken

    @rule("Z002", "It flies.", needs=("flight",))
    def test_z2(self):
        assert "Z002" not in self.broken

    @rule("Z003", "It sings, since lately.", provisional=True)
    def test_z3(self):
        assert "Z003" not in self.broken

    @rule("Z004", "It lasts.", level=Level.PROVEN)
    def test_z4(self):
        assert "Z004" not in self.broken

    @rule("Z005", "It is quiet.")
    @pytest.mark.parametrize("when", ["day", "night"])
    def test_z5(self, when):
        assert "Z005 " + when not in self.broken
"""


def session(
    pytester: pytest.Pytester, tests: str, *options: str, only: str = "test_z"
) -> pytest.RunResult:
    """Run the rules of the kit above, and not those of every kind, for classes that inherit it."""
    pytester.makepyfile(kit=KIT, test_it=f"from kit import *\n{tests}")
    words = ("-p", "no:cacheprovider", "-p", "no:randomly", "-rA", "-k", only, *options)
    return pytester.runpytest_inprocess(*words)


def said(result: pytest.RunResult) -> str:
    return "\n".join((*result.outlines, *result.errlines))


# ----------------------------------------------------------------------------------------- verdicts


def test_rules_that_hold_pass_and_those_of_endurance_wait_to_be_asked_for(
    pytester: pytest.Pytester,
) -> None:
    result = session(pytester, "class TestIt(Kit): pass")

    result.assert_outcomes(passed=5, skipped=1, deselected=5)
    assert "Z004: proves endurance, and runs with --weft-long alone" in said(result)


def test_variants_and_what_is_sound_can_be_left_out(pytester: pytest.Pytester) -> None:
    classes = "class TestIt(Kit): pass\nclass TestBad(Kit): broken = ('Z001',); killed_by = 'Z001'"

    session(pytester, classes).assert_outcomes(passed=6, skipped=1, deselected=15)
    session(pytester, classes, "--weft-sound").assert_outcomes(passed=5, skipped=1, deselected=16)
    session(pytester, classes, "--weft-variants").assert_outcomes(passed=1, deselected=21)


def test_nothing_of_the_kits_would_be_left(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): pass", "--weft-sound", "--weft-variants")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "leave nothing of the kits together" in said(result)


def test_endurance_is_proven_when_it_is_asked_for(pytester: pytest.Pytester) -> None:
    session(pytester, "class TestIt(Kit): broken = ('Z004',)", "--weft-long").assert_outcomes(
        passed=5, failed=1, deselected=5
    )


def test_more_patience_is_asked_for_where_a_machine_is_busy(pytester: pytest.Pytester) -> None:
    own = "class TestIt(Kit):\n    def test_z_own(self, patience): assert patience == {}"

    session(pytester, own.format(10), only="z_own").assert_outcomes(passed=1, deselected=11)
    session(pytester, own.format(40), "--weft-patience=40", only="z_own").assert_outcomes(
        passed=1, deselected=11
    )


def test_a_rule_that_does_not_hold_fails_and_says_what_it_promises(
    pytester: pytest.Pytester,
) -> None:
    result = session(pytester, "class TestIt(Kit): broken = ('Z001',)")

    result.assert_outcomes(passed=4, failed=1, skipped=1, deselected=5)
    result.stdout.fnmatch_lines(["*rule Z001*", "It stands."])


@pytest.mark.parametrize("support", ["UNKNOWN", "NOT_IMPLEMENTED"])
def test_what_is_not_done_yet_is_not_tried(pytester: pytest.Pytester, support: str) -> None:
    result = session(pytester, f"class TestIt(Kit): flies = Support.{support}; broken = ('Z002',)")

    result.assert_outcomes(passed=4, skipped=2, deselected=5)
    assert "Z002: flight is declared" in said(result)


def test_what_cannot_be_done_is_tried_and_has_to_fail(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): flies = Support.UNSUPPORTED; broken = ('Z002',)")

    result.assert_outcomes(passed=4, skipped=1, xfailed=1, deselected=5)
    assert "flight is declared unsupported" in said(result)


def test_what_is_declared_unsupported_and_works_fails(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): flies = Support.UNSUPPORTED")

    result.assert_outcomes(passed=4, skipped=1, failed=1, deselected=5)
    assert "Rule Z002 holds, though it need not: flight is declared unsupported." in said(result)


def test_a_rule_is_excused_in_words(pytester: pytest.Pytester) -> None:
    tests = "class TestIt(Kit): not_supported = {'Z001': 'has no legs'}; broken = ('Z001',)"

    result = session(pytester, tests)

    result.assert_outcomes(passed=4, skipped=1, xfailed=1, deselected=5)
    assert "has no legs" in said(result)


def test_an_excuse_that_is_not_needed_fails(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): not_supported = {'Z001': 'has no legs'}")

    result.assert_outcomes(passed=4, skipped=1, failed=1, deselected=5)


def test_a_provisional_rule_is_told_and_does_not_fail(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): broken = ('Z003',)")

    result.assert_outcomes(passed=4, skipped=1, xfailed=1, deselected=5)
    assert "Z003 is provisional" in said(result)


def test_a_fixture_that_breaks_is_no_rule_that_fails(pytester: pytest.Pytester) -> None:
    tests = """
class TestIt(Kit):
    not_supported = {'Z001': 'has no legs'}
    @pytest.fixture(autouse=True)
    def slip(self):
        raise RuntimeError("of the test")
"""
    result = session(pytester, tests, only="test_z1")

    result.assert_outcomes(errors=1, deselected=10)
    assert "It was not tried, since a fixture broke." in said(result)


# ----------------------------------------------------------------------------------------- variants


def test_a_variant_dies_of_its_rule_and_later_ones_are_left_out(
    pytester: pytest.Pytester,
) -> None:
    result = session(
        pytester, "class TestIt(Kit): killed_by = 'Z002'; broken = ('Z002', 'Z003', 'Z005 day')"
    )

    result.assert_outcomes(passed=2, deselected=9)


def test_a_variant_that_survives_fails(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): killed_by = 'Z002'")

    result.assert_outcomes(passed=1, failed=1, deselected=9)
    assert "The variant survives rule Z002, which it breaks: It flies." in said(result)


def test_a_variant_that_dies_too_early_fails(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): killed_by = 'Z002'; broken = ('Z001', 'Z002')")

    result.assert_outcomes(passed=1, failed=1, deselected=9)


def test_a_slip_within_a_variant_is_not_its_death(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): killed_by = 'Z001'; broken = None")

    result.assert_outcomes(failed=1, deselected=10)
    assert "The variant has to break what the rule asserts, not its test." in said(result)


# -------------------------------------------------------------------------------------------- order


SKIPPING = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name != "test_z2":
            item.add_marker(pytest.mark.skip(reason="not today"))
"""


def test_a_rule_that_its_author_has_skipped_was_not_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SKIPPING)
    file = pytester.path / "evidence.json"

    result = session(pytester, "class TestIt(Kit): pass", "--weft-evidence", str(file))

    result.assert_outcomes(passed=1, skipped=5, deselected=5)
    rules = load(file.read_text(), "it").subjects["launcher.simple"].rules
    assert rules["Z001"].outcome == "absent"
    assert "not today" in rules["Z001"].reason
    assert rules["Z002"].outcome == "passed"
    assert rules["Z004"].outcome == "skipped"  # by the kit itself, which has its reasons


def test_a_variant_that_is_skipped_did_not_die(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SKIPPING)
    file = pytester.path / "evidence.json"

    result = session(
        pytester,
        "class TestBad(Kit): broken = ('Z001',); killed_by = 'Z001'",
        "--weft-evidence",
        str(file),
    )

    result.assert_outcomes(errors=1, deselected=10)
    assert "The variant was not tried" in said(result)
    mutants = load(file.read_text(), "it").subjects["launcher.simple"].mutants
    assert [one.killed for one in mutants.values()] == [False]


def test_rules_run_in_their_order_whatever_shuffles_the_rest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")

    result = session(
        pytester, "class TestIt(Kit):\n    def test_own_z(self): pass\n", "-v", only="_z"
    )

    ran = [line.split("::")[2].split()[0] for line in result.outlines if "%]" in line]
    assert ran == [
        *("test_z1", "test_z2", "test_z3", "test_z4"),
        *("test_z5[night]", "test_z5[day]", "test_own_z"),
    ]


def test_rules_run_in_their_order_under_pytest_randomly(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_randomly")
    pytester.makepyfile(kit=KIT, test_it="from kit import *\nclass TestIt(Kit): pass")

    for seed in ("1", "2"):
        words = ("-v", "-k", "test_z", "-p", "no:cacheprovider", f"--randomly-seed={seed}")
        result = pytester.runpytest_subprocess(*words)
        ran = [line.split("::")[2][:7] for line in result.outlines if "%]" in line]
        assert ran == ["test_z1", "test_z2", "test_z3", "test_z4", "test_z5", "test_z5"]


def test_tests_that_are_no_rules_are_left_alone(pytester: pytest.Pytester) -> None:
    tests = """
class TestIt(Kit): pass
class TestOther:
    def test_z2(self): assert False
def test_z1(): pass
"""
    session(pytester, tests).assert_outcomes(passed=6, failed=1, skipped=1, deselected=5)


# ------------------------------------------------------------------------- kits that prove nothing


@pytest.mark.parametrize(
    ("tests", "sentence"),
    [
        ("class TestIt(Kit): not_supported = {'Z999': 'x'}", "the rule 'Z999', which its kit does"),
        ("class TestIt(Kit): killed_by = 'Z999'", "the rule 'Z999', which its kit does"),
        ("class TestIt(Kit): not_supported = {'Z001': ' '}", "has no reason for Z001"),
        (
            "class TestIt(Kit):\n    def test_z1(self): pass",
            "TestIt.test_z1 replaces the proof of rule Z001, so nothing would prove it",
        ),
        ("class TestIt(LauncherConformance): pass", "does not say what it tests. Write: name ="),
        ("class TestIt(LauncherConformance): name = 'simpel'", "simple"),
        (
            "class TestIt(Kit):\n    @rule('Z001', 'Again.')\n    def test_z9(self): pass",
            "test_z1 and test_z9 both prove rule Z001",
        ),
    ],
)
def test_a_kit_that_would_prove_nothing_stops_the_session_with_a_sentence(
    pytester: pytest.Pytester, tests: str, sentence: str
) -> None:
    result = session(pytester, f"{tests}\ndef test_z_other(): pass", only="test_")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert sentence in said(result)
    assert "Traceback" not in said(result)
    result.assert_outcomes()


def offered(folder: Path, manifest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a package installed that offers ``launcher.odd``."""
    package, facts = folder / "odd_package", folder / "odd_package-1.0.dist-info"
    package.mkdir()
    facts.mkdir()
    (package / "__init__.py").touch()
    (package / "manifest.py").write_text(manifest)
    (package / "made.py").write_text(
        "from weft.interfaces.launcher import Launcher\n"
        "class Odd(Launcher):\n"
        "    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:\n"
        "        return 7 if nodes else command\n"
        "def build(settings) -> Odd:\n    return Odd()\n"
    )
    (package / "settings.py").write_text(
        "from typing import ClassVar\n"
        "import attrs\n"
        "from weft.values.settings import LauncherSettings\n"
        "@attrs.frozen(kw_only=True)\n"
        "class Odd(LauncherSettings):\n"
        "    plugin: ClassVar[str] = 'odd'\n"
    )
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-package\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[weft.components]\nlauncher.odd = odd_package.manifest:odd\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


MANIFEST = """
from weft.values.plugin import Component
odd = Component(
    kind="launcher", name="odd", interface="1.0", summary="Odd.",
    settings="odd_package.settings:Odd", factory="odd_package.made:build",
)
"""


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ("raise RuntimeError('it explodes')", "it explodes"),
        (MANIFEST.replace('"launcher"', '"provider"'), "provider.odd"),
        (MANIFEST.replace('"1.0"', '"9.0"'), "9.0"),
    ],
)
def test_a_component_that_is_broken_stops_the_session_with_a_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, manifest: str, sentence: str
) -> None:
    offered(pytester.path, manifest, monkeypatch)
    pytester.makepyfile(
        "from weft_testkit import LauncherConformance\n"
        "class TestIt(LauncherConformance): name = 'odd'\n"
    )

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "TestIt" in said(result)
    assert "odd" in said(result)
    assert sentence in said(result)


# ---------------------------------------------------------------------------------------- the types


ODD = """
from weft_testkit import LauncherConformance
class TestIt(LauncherConformance):
    name = 'odd'
    def test_own(self, settings):
        self.open(settings).compose("true", nodes=1)
"""


def test_a_wrong_type_within_the_package_is_found_when_that_is_asked_for(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(pytester.path, MANIFEST, monkeypatch)
    pytester.makepyfile(ODD)
    words = ("-k", "test_own", "-p", "no:cacheprovider")

    pytester.runpytest_subprocess(*words).assert_outcomes(passed=1, deselected=14)
    result = pytester.runpytest_subprocess(*words, "--weft-typecheck", "odd_package")

    result.assert_outcomes(failed=1, deselected=14)
    assert "TypeCheckError" in said(result)


def test_a_package_is_not_checked_if_it_was_imported_before(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered(pytester.path, MANIFEST, monkeypatch)
    pytester.makepyfile(ODD, early="import odd_package.made")

    result = pytester.runpytest_subprocess("-p", "early", "--weft-typecheck", "odd_package")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "odd_package was imported before its calls could be checked" in said(result)


# --------------------------------------------------------------------------------------- the record

ALL = """
class TestSound(Kit): pass
class TestExcused(Kit): not_supported = {'Z001': 'has no legs'}; broken = ('Z001',)
class TestProvisional(Kit): broken = ('Z003',)
class TestNight(Kit): broken = ('Z005 night',)
class TestDies(Kit): killed_by = 'Z002'; broken = ('Z002',)
class TestSurvives(Kit): killed_by = 'Z001'
class TestDiesEarly(Kit): killed_by = 'Z002'; broken = ('Z001', 'Z002')
"""


def evidence(pytester: pytest.Pytester, *options: str) -> tuple[pytest.RunResult, Subject]:
    file = pytester.path / "made" / "evidence.json"
    result = session(pytester, ALL, "--weft-evidence", str(file), *options)
    assert f"written to {file}" in said(result)
    found = load(file.read_text(), str(file))
    assert found.kind == "kit"
    assert found.kit["name"] == "weft-testkit"
    assert list(found.subjects) == ["launcher.simple"]
    return result, found.subjects["launcher.simple"]


def test_the_evidence_has_how_each_rule_ended_and_of_several_classes_the_worst(
    pytester: pytest.Pytester,
) -> None:
    _, subject = evidence(pytester)

    ended = {key: (one.outcome, one.reason) for key, one in subject.rules.items() if key > "Z"}
    assert ended == {
        "Z001": ("excused", "has no legs"),
        "Z002": ("passed", ""),
        "Z003": ("provisional", ""),
        "Z004": ("skipped", "proves endurance, and runs with --weft-long alone"),
        "Z005": ("failed", ""),
    }
    assert subject.rules["C001"].outcome == "absent", "what was left out does not count as proven"


def test_the_evidence_has_which_variants_were_told_from_sound_ones(
    pytester: pytest.Pytester,
) -> None:
    _, subject = evidence(pytester)

    assert {name: (one.rule, one.killed) for name, one in subject.mutants.items()} == {
        "test_it.TestDies": ("Z002", True),
        "test_it.TestSurvives": ("Z001", False),
        "test_it.TestDiesEarly": ("Z002", False),
    }


def test_the_evidence_names_what_it_holds_for(pytester: pytest.Pytester) -> None:
    _, subject = evidence(pytester)

    assert (subject.dist, subject.package) == ("weft", "weft")
    assert subject.digest.startswith("sha256:")
    assert subject.interface == subject.spoken == "1.0"
    assert not subject.typechecked


def test_what_declares_something_else_is_no_evidence(pytester: pytest.Pytester) -> None:
    file = pytester.path / "evidence.json"
    classes = """
class TestSound(Kit): pass
class TestOther(Kit):
    broken = ("Z001",)
    @classmethod
    def component(cls): return attrs.evolve(super().component(), capabilities={})
"""

    session(pytester, classes, "--weft-evidence", str(file)).assert_outcomes(
        passed=8, failed=1, skipped=3, deselected=10
    )

    rules = load(file.read_text(), "it").subjects["launcher.simple"].rules
    assert rules["Z001"].outcome == "passed"


def test_where_no_rule_ran_the_evidence_of_before_stays(pytester: pytest.Pytester) -> None:
    evidence(pytester)
    file = pytester.path / "made" / "evidence.json"
    before = file.read_bytes()
    pytester.makepyfile(test_other="import not_there")

    result = session(pytester, "", "--weft-evidence", str(file), "test_other.py")

    assert "no rule of a kit was run, so" in said(result)
    assert file.read_bytes() == before


def test_evidence_that_was_edited_is_told(pytester: pytest.Pytester) -> None:
    evidence(pytester)
    file = pytester.path / "made" / "evidence.json"
    table = json.loads(file.read_text())
    table["subjects"]["launcher.simple"]["rules"]["Z005"]["outcome"] = "passed"

    with pytest.raises(Exception, match="edited"):
        load(json.dumps(table), str(file))


def test_the_evidence_is_the_same_where_several_processes_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist")
    _, alone = evidence(pytester)
    file = pytester.path / "many.json"

    pytester.runpytest_subprocess(
        "-k", "test_z", "-n", "2", "-p", "no:cacheprovider", "-p", "no:randomly",
        "--weft-evidence", str(file),
    )  # fmt: skip

    assert load(file.read_text(), str(file)).subjects["launcher.simple"] == alone


def test_without_the_option_nothing_is_written(pytester: pytest.Pytester) -> None:
    result = session(pytester, "class TestIt(Kit): pass")

    assert "evidence" not in said(result)
    assert not list(pytester.path.glob("**/*.json"))
