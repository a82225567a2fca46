"""Rules: what a kit proves, rule by rule, and which of them a component has to keep.

A rule is a test of a kit with an id, a sentence that says which promise it proves, the level of
maturity that rests on it, and the capabilities without which it makes no sense. Whether it has to
hold for a component is decided here, before anything runs, from what the component declares.
"""

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from weft.values.plugin import Level, Support

__all__ = ["Decision", "KitError", "Rule", "Verdict", "decide", "rule", "rule_of", "rules_of"]

_F = TypeVar("_F", bound=Callable[..., Any])

_MARK: Final = "__weft_rule__"


class KitError(Exception):
    """A kit is used wrongly: nothing is proven, so nothing is run."""


@attrs.frozen(kw_only=True)
class Rule:
    """One promise, and what proving it takes.

    Attributes:
        id: a letter for the kind and three digits; never comes to mean another promise.
        promise: one sentence: what holds of every component that keeps the rule.
        level: the level of maturity that rests on it: ``tested`` for the promises of the interface,
            ``supported`` for faults, ``proven`` for endurance.
        needs: the capabilities that it is about, all of them; none means that it is for everyone.
        provisional: whether a failure is told but does not fail the kit, as for rules that are new
            within a minor version of the interface.
        hazard: whether a component without the capability would harm the process that tests it, so
            that the rule is not even tried there.
        may_hold: whether it may hold of a component without the capability as well, so that trying
            it there would prove nothing: all that a kit has is one machine.
    """

    id: str = attrs.field(validator=attrs.validators.matches_re(r"[A-Z]\d{3}"))
    promise: str = attrs.field(validator=attrs.validators.min_len(1))
    level: Level = Level.TESTED
    needs: tuple[str, ...] = ()
    provisional: bool = False
    hazard: bool = False
    may_hold: bool = False


def rule(
    id: str,  # noqa: A002 - the field's own name
    promise: str,
    *,
    level: Level = Level.TESTED,
    needs: tuple[str, ...] = (),
    provisional: bool = False,
    hazard: bool = False,
    may_hold: bool = False,
) -> Callable[[_F], _F]:
    """Make a method of a kit the proof of a rule. Arguments are the fields of :class:`Rule`."""
    made = Rule(
        id=id,
        promise=promise,
        level=level,
        needs=needs,
        provisional=provisional,
        hazard=hazard,
        may_hold=may_hold,
    )

    def marked(function: _F) -> _F:
        setattr(function, _MARK, made)
        return function

    return marked


def rule_of(function: Callable[..., Any]) -> Rule | None:
    """The rule that a method proves, if it proves one."""
    found: Rule | None = getattr(function, _MARK, None)
    return found


def rules_of(kit: type[Any]) -> Mapping[str, tuple[Rule, str]]:
    """The rules of a kit with the names of the methods that prove them, by id, in their order.

    Rules that a kit inherits come first, so that what is cheap and common fails first.

    Raises:
        KitError: two methods prove the same rule, or one that proves a rule was overridden by one
            that does not.
    """
    found: dict[str, tuple[Rule, str]] = {}
    for cls in reversed(kit.__mro__):
        for name, member in vars(cls).items():
            made = getattr(member, _MARK, None)
            if made is None:
                continue
            if made.id in found and found[made.id][1] != name:
                raise KitError(
                    f"{kit.__name__}: {found[made.id][1]} and {name} both prove rule {made.id}."
                )
            now = getattr(getattr(kit, name), _MARK, None)
            if now != made:
                raise KitError(
                    f"{kit.__name__}.{name} replaces the proof of rule {made.id}, so nothing would "
                    f"prove it. Leave the method as it is; a rule that cannot hold is excused with "
                    f"a reason, in not_supported = {{{made.id!r}: '...'}}."
                )
            found[made.id] = (made, name)
    return found


class Verdict(enum.StrEnum):
    """What is to become of a rule."""

    RUN = "run"
    """It has to hold."""
    SKIP = "skip"
    """It is not tried: the component does not do that yet, or trying would do harm."""
    EXCUSED = "excused"
    """It is tried and has to fail, since the component is declared not to keep it."""
    KILL = "kill"
    """It is tried and has to fail, since the component is broken on purpose to show it."""


@attrs.frozen
class Decision:
    """What is to become of a rule, and why; the reason is empty where it simply has to hold."""

    verdict: Verdict
    reason: str = ""


def decide(
    rule: Rule,
    capabilities: Mapping[str, Support],
    not_supported: Mapping[str, str],
    killed_by: str = "",
) -> Decision:
    """Whether a rule has to hold for a component.

    Args:
        rule: the rule.
        capabilities: what the component declares.
        not_supported: reasons why it need not keep a rule, by id.
        killed_by: the rule that a component which is broken on purpose must fail.
    """
    if killed_by == rule.id:
        return Decision(Verdict.KILL, "the component is broken in this very point")
    if rule.id in not_supported:
        return Decision(Verdict.EXCUSED, not_supported[rule.id])
    for need in rule.needs:
        support = capabilities.get(need, Support.UNKNOWN)
        if support is Support.UNSUPPORTED and not (rule.hazard or rule.may_hold):
            return Decision(Verdict.EXCUSED, f"{need} is declared unsupported")
        if support in {Support.UNSUPPORTED, Support.NOT_IMPLEMENTED, Support.UNKNOWN}:
            return Decision(Verdict.SKIP, f"{need} is declared {support.value}")
    return Decision(Verdict.RUN)
