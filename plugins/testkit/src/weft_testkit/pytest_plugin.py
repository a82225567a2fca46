"""The pytest plugin: decides which rules run, turns outcomes round where they must fail, reports.

Only classes that inherit from a kit are touched; every other test of a session is left alone.

    collected ──decide──▶ RUN        passes, or fails
                          SKIP       is skipped, with the reason
                          EXCUSED    has to fail (shown as xfailed); passing is a failure
                          KILL       has to fail (shown as passed); passing is a failure

A rule fails for what it says: a fixture that breaks is never taken for a rule that does not hold,
and a variant dies of an assertion, not of a slip of its own.
"""

import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest

from weft.errors import WeftError
from weft.values.plugin import Component, Level
from weft_testkit.base import Conformance
from weft_testkit.bounded import PATIENCE
from weft_testkit.recording import Recorder
from weft_testkit.rules import Decision, KitError, Rule, Verdict, decide, rules_of

__all__: list[str] = []

_DECIDED: Final = pytest.StashKey[tuple[Rule, Decision]]()
_PROPERTY: Final = "weft-rule"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the kit."""
    group = parser.getgroup("weft", "conformance kits of weft")
    group.addoption(
        "--weft-evidence",
        metavar="FILE",
        help="write how each rule ended, as evidence for the maturity ledger",
    )
    group.addoption(
        "--weft-typecheck",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="check every call within this package against its annotations (typeguard)",
    )
    group.addoption(
        "--weft-sound",
        action="store_true",
        help="leave out the variants that are broken on purpose",
    )
    group.addoption(
        "--weft-variants",
        action="store_true",
        help="of the kits, run the variants that are broken on purpose alone; another session has "
        "the others, with --weft-sound",
    )
    group.addoption(
        "--weft-patience",
        metavar="SECONDS",
        type=float,
        default=PATIENCE,
        help="how long a call or a wait may take before a rule counts as broken, where the kit "
        f"does not say ({PATIENCE:g}); more for a machine that has other things to do",
    )
    group.addoption(
        "--weft-long", action="store_true", help="run the rules that prove endurance, too"
    )
    parser.addini("weft_typecheck", "as --weft-typecheck", type="args", default=[])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Have packages checked as they are imported: so before any conftest imports them."""
    for package in typechecked(early_config):
        if package in sys.modules:
            raise pytest.UsageError(
                f"{package} was imported before its calls could be checked: something that pytest "
                "loads early imports it, such as a plugin. Run without --weft-typecheck, or load "
                "that plugin later."
            )
        from typeguard import install_import_hook

        install_import_hook(package)


def typechecked(config: pytest.Config) -> list[str]:
    """The packages whose calls are to be checked."""
    asked: list[str] = config.known_args_namespace.weft_typecheck
    return list(dict.fromkeys([*asked, *config.getini("weft_typecheck")]))


def pytest_configure(config: pytest.Config) -> None:
    """Make the recorder, if evidence is wanted."""
    if typechecked(config):
        # Annotations that cannot be resolved are not checked; that is no fault of the component.
        config.addinivalue_line("filterwarnings", "ignore::typeguard.TypeHintWarning")
    if config.getoption("--weft-sound") and config.getoption("--weft-variants"):
        raise pytest.UsageError(
            "--weft-sound and --weft-variants leave nothing of the kits together. Give one of them."
        )
    file = config.getoption("--weft-evidence")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(file)), "weft-recorder")


# --------------------------------------------------------------------------------------- collection


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Decide what becomes of each rule; leave out what comes after the one a mutant dies of."""
    kits: dict[type[Conformance], _Kit] = {}
    kept, left_out = [], []
    for item in items:
        cls = getattr(item, "cls", None)
        if cls is None or not issubclass(cls, Conformance):
            kept.append(item)
            continue
        if config.getoption("--weft-sound" if cls.killed_by else "--weft-variants"):
            left_out.append(item)
            continue
        if cls not in kits:
            kits[cls] = _Kit(cls, long=config.getoption("--weft-long"))
        decided = kits[cls].decision(item)
        if decided is None:
            left_out.append(item)
            continue
        kept.append(item)
        item.stash[_DECIDED] = decided
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
    # The rules of a kit run in their order, whatever shuffles the others.
    _in_order(items, kits)


class _Kit:
    """One class of tests: its rules, its component, what is decided of each.

    Raises:
        pytest.UsageError: the class is no kit that could prove anything.
    """

    def __init__(self, cls: type[Conformance], *, long: bool) -> None:
        self._cls, self._long = cls, long
        try:
            self._rules = rules_of(cls)
            self._component: Component = cls.component()
        except (KitError, WeftError) as trouble:
            raise pytest.UsageError(f"{cls.__module__}.{cls.__name__}: {trouble}") from trouble
        named: Mapping[str, str] = {**cls.not_supported}
        if cls.killed_by:
            named = {**named, cls.killed_by: "killed_by"}
        for one in named:
            if one not in self._rules:
                raise pytest.UsageError(
                    f"{cls.__name__} names the rule {one!r}, which its kit does not have. "
                    f"Its rules are {', '.join(self._rules)}."
                )
        for one, reason in cls.not_supported.items():
            if not reason.strip():
                raise pytest.UsageError(
                    f"{cls.__name__}.not_supported has no reason for {one}. "
                    "Write why the component need not keep it."
                )
        self._by_method = {method: made for made, method in self._rules.values()}
        self.order = list(self._rules)

    def decision(self, item: pytest.Item) -> tuple[Rule, Decision] | None:
        """What becomes of a test; ``None`` if it is to be left out."""
        name = cast("pytest.Function", item).originalname
        made = self._by_method.get(name)
        killer = self._cls.killed_by
        if made is None:  # a test of the author's own, beside the rules
            return None if killer else (Rule(id="X000", promise=name), Decision(Verdict.RUN))
        if killer and self.order.index(made.id) > self.order.index(killer):
            return None
        if killer and self._cls.killed_alone and made.id != killer:
            return None
        if made.level is Level.PROVEN and not self._long and made.id != killer:
            return made, Decision(Verdict.SKIP, "proves endurance, and runs with --weft-long alone")
        return made, decide(
            made, self._component.capabilities, self._cls.not_supported, self._cls.killed_by
        )

    def place(self, item: pytest.Item) -> int:
        """Where a test stands among those of its class."""
        made = item.stash[_DECIDED][0]
        return self.order.index(made.id) if made.id in self.order else len(self.order)


def _in_order(items: list[pytest.Item], kits: Mapping[type[Conformance], _Kit]) -> None:
    for cls, kit in kits.items():
        places = [n for n, item in enumerate(items) if getattr(item, "cls", None) is cls]
        ordered = sorted((items[n] for n in places), key=kit.place)
        for n, item in zip(places, ordered, strict=True):
            items[n] = item


# ---------------------------------------------------------------------------------------------- run


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is not to be tried."""
    decided = item.stash.get(_DECIDED, None)
    if decided is not None and decided[1].verdict is Verdict.SKIP:
        pytest.skip(f"{decided[0].id}: {decided[1].reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn an outcome round where the rule has to fail, and say which rule it was."""
    report = yield
    decided = item.stash.get(_DECIDED, None)
    if decided is None:
        return report
    made, decision = decided
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        outcome, reason = _judge(report, made, decision, call.excinfo)
        report.user_properties.append((_PROPERTY, _fact(item, made, outcome, reason)))
    return report


def _judge(
    report: pytest.TestReport,
    made: Rule,
    decision: Decision,
    raised: "pytest.ExceptionInfo[BaseException] | None",
) -> tuple[str, str]:
    """How the rule ended, in a word of the evidence, and why; changes the report to match."""
    trouble = raised.value if raised is not None else None
    if report.outcome == "skipped" and raised is not None and not _by_kit(raised):
        # By a mark or a fixture of the author's: nothing was seen of the component.
        if decision.verdict is Verdict.KILL:
            _fail(report, f"The variant was not tried, so it does not show what {made.id} is worth")
        return "absent", f"it was skipped: {trouble}"
    return _ended(report, made, decision, trouble), decision.reason


_KIT: Final = Path(__file__).parent
_PYTEST: Final = Path(pytest.__file__).parent.parent / "_pytest"


def _by_kit(raised: "pytest.ExceptionInfo[BaseException]") -> bool:
    """Whether it is the kit that raised, rather than what an author has added to it."""
    places = [Path(entry.path) for entry in raised.traceback]
    return next(
        (place.is_relative_to(_KIT) for place in reversed(places) if _PYTEST not in place.parents),
        False,
    )


def _ended(
    report: pytest.TestReport, made: Rule, decision: Decision, trouble: BaseException | None
) -> str:
    broke = report.outcome == "failed"
    if broke and report.when == "setup":
        report.sections.append((f"rule {made.id}", "It was not tried, since a fixture broke."))
        return "failed"
    if decision.verdict is Verdict.KILL:
        if broke and isinstance(trouble, AssertionError | pytest.fail.Exception):
            report.outcome, report.longrepr = "passed", None
            return "failed"
        if broke:
            report.sections.append(
                (f"rule {made.id}", "The variant has to break what the rule asserts, not its test.")
            )
            return "passed"
        _fail(report, f"The variant survives rule {made.id}, which it breaks: {made.promise}")
        return "passed"
    if decision.verdict is Verdict.EXCUSED:
        if broke:
            report.outcome, report.wasxfail = "skipped", decision.reason
            return "excused"
        if report.outcome == "passed":
            _fail(
                report,
                f"Rule {made.id} holds, though it need not: {decision.reason}. Declare it as "
                f"supported. The rule: {made.promise}",
            )
            return "failed"
    if broke and made.provisional:
        report.outcome, report.wasxfail = "skipped", f"{made.id} is provisional: {made.promise}"
        return "provisional"
    if broke:
        report.sections.append((f"rule {made.id}", made.promise))
    return report.outcome


def _fail(report: pytest.TestReport, why: str) -> None:
    report.outcome, report.longrepr = "failed", why


def _fact(item: pytest.Item, made: Rule, outcome: str, reason: str) -> dict[str, Any]:
    cls: type[Conformance] = cast("pytest.Function", item).cls
    component = cls.component()
    module = sys.modules.get(component.factory.partition(":")[0])
    return {
        "kit": f"{cls.__module__}.{cls.__qualname__}",
        "kind": component.kind.value,
        "name": component.name,
        "rule": made.id,
        "level": made.level.value,
        "outcome": outcome,
        "reason": reason,
        "killed_by": cls.killed_by,
        "declared": component == cls.registry().component(cls.kind, cls.name),
        "checked": type(getattr(module, "__loader__", None)).__name__ == "TypeguardLoader",
        "all": {one.id: one.level.value for one, _ in rules_of(cls).values()},
    }
