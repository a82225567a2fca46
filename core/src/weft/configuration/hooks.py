"""Calls the hooks of packages that watch a run, so that none of them can harm it.

pluggy registers, validates and calls; every implementation is called by itself, so that one which
raises takes nothing from the others, and after three failures in a run it is called no more. Where
nobody has a hook, pluggy is not imported and a question costs one look into an empty table.

    entry points of the group weft.hooks ─┐
    Registry.register_hooks(object) ──────┴─▶ Hooks.open ──▶ active / observe / first (name, …)
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from weft.configuration.options import nearest
from weft.errors import HookBroken, WeftWarning
from weft.values.plugin import Component
from weft.values.problem import Problem, Severity

if TYPE_CHECKING:
    import pluggy

    from weft.configuration.registry import Registry

__all__ = ["MOST_FAILURES", "Hooks"]

MOST_FAILURES: Final = 3
"""How often the hooks of one package may raise in a run before they are called no more."""

_BROKEN: Final = HookBroken.code
_UNKNOWN: Final = "W-PLG-007"
_BLOCKED: Final = "W-PLG-004"


class Hooks:
    """The hooks of one session. Made by :meth:`open`; an instance made directly has none.

    Attributes:
        plugins: who takes part, by name, in the order in which they were registered.
        problems: what kept others from taking part.
    """

    def __init__(
        self, notice: Callable[[str, str], None] | None = None, *, strict: bool = False
    ) -> None:
        self.plugins: tuple[str, ...] = ()
        self.problems: list[Problem] = []
        self._notice = notice if notice is not None else _warn
        self._strict = strict
        self._manager: pluggy.PluginManager | None = None
        self._callers: Mapping[str, tuple[tuple[str, Callable[..., Any]], ...]] = {}
        self._failures: dict[str, int] = {}

    @classmethod
    def open(
        cls,
        config: Any,  # the Config, or None for `weft doctor` without one
        registry: "Registry",
        *,
        notice: Callable[[str, str], None] | None = None,
        strict: bool | None = None,
    ) -> "Hooks":
        """Load the hooks of every package that has some and is allowed to.

        Args:
            config: handed to ``weft_config_ready``; its ``hooks=False`` switches all of them off.
            registry: knows the packages, the rules, and what was registered in this process.
            notice: called with a level and a text for what a person should see; a warning when left
                out.
            strict: whether trouble is raised instead of reported; ``WEFT_HOOKS_STRICT=1`` when left
                out.

        Raises:
            HookBroken: only if strict.
        """
        hooks = cls(notice, strict=_flag("WEFT_HOOKS_STRICT") if strict is None else strict)
        if os.environ.get("WEFT_HOOKS") == "0" or getattr(config, "hooks", True) is False:
            return hooks
        wanted = dict(hooks._wanted(registry))
        if wanted:
            hooks._register(wanted, config)
            hooks._declare(registry)
        return hooks

    # -------------------------------------------------------------------------------------- calling

    def active(self, name: str) -> bool:
        """Whether anybody has the hook of that name. Ask before gathering what it would be told."""
        return name in self._callers

    def observe(self, name: str, /, **arguments: Any) -> None:
        """Tell everybody who has the hook. Never raises, unless strict."""
        for plugin, call in self._callers.get(name, ()):
            self._guarded(name, plugin, call, arguments)

    def first(self, name: str, /, **arguments: Any) -> Any:
        """The first answer that is not ``None``, or ``None``. Never raises, unless strict."""
        for plugin, call in self._callers.get(name, ()):
            answer = self._guarded(name, plugin, call, arguments)
            if answer is not None:
                return answer
        return None

    def gather(self, name: str, /, **arguments: Any) -> list[tuple[str, Any]]:
        """Every answer that is not ``None``, each with the name of who gave it.

        Never raises, unless strict.
        """
        answers = (
            (plugin, self._guarded(name, plugin, call, arguments))
            for plugin, call in self._callers.get(name, ())
        )
        return [(plugin, answer) for plugin, answer in answers if answer is not None]

    def close(self) -> None:
        """Call nobody any more. May be called twice."""
        self._callers = {}

    def _guarded(
        self, name: str, plugin: str, call: Callable[..., Any], arguments: Mapping[str, Any]
    ) -> Any:
        try:
            return call(**arguments)
        except Exception as trouble:  # a package's code
            if self._strict:
                raise HookBroken(plugin, f"{name} raised {_said(trouble)}.") from trouble
            self._failed(name, plugin, trouble)
            return None

    def _failed(self, name: str, plugin: str, trouble: BaseException) -> None:
        import logging

        count = self._failures[plugin] = self._failures.get(plugin, 0) + 1
        logging.getLogger("weft.hooks").warning(
            "%s of %s raised %s", name, plugin, _said(trouble), exc_info=trouble
        )
        if count == MOST_FAILURES:
            self._silence(plugin)
            self._notice(
                "warning",
                f"The hooks of {plugin} failed {count} times and are switched off for the rest of "
                f"this run; the last was {name}: {_said(trouble)}.",
            )

    def _silence(self, plugin: str) -> None:
        self._callers = {
            name: rest
            for name, calls in self._callers.items()
            if (rest := tuple(c for c in calls if c[0] != plugin))
        }

    # -------------------------------------------------------------------------------------- opening

    def _wanted(self, registry: "Registry") -> Iterable[tuple[str, object]]:
        for offer in registry.hook_offers():
            plugin = offer.qualified if offer.dist != offer.name else offer.dist
            forbidden = registry.rules.forbids(offer.dist)
            if forbidden:
                self.problems.append(
                    Problem(
                        code=_BLOCKED,
                        place=f"hooks of {plugin}",
                        what=f"They are not loaded. {forbidden}",
                        severity=Severity.WARNING,
                    )
                )
                continue
            try:
                yield plugin, _load(offer.target)
            except (Exception, SystemExit) as trouble:  # noqa: BLE001 - importing runs its code
                self._refuse(plugin, f"{offer.target} raised {_said(trouble)}.", trouble)
        yield from registry.hook_plugins.items()

    def _register(self, wanted: Mapping[str, object], config: Any) -> None:
        import pluggy

        from weft.interfaces import hookspecs

        manager = self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        if _flag("WEFT_TRACE_HOOKS"):
            manager.trace.root.setwriter(sys.stderr.write)
            manager.enable_tracing()
        # Historic hooks are replayed to each plugin as it is registered, so its trouble is its own.
        manager.hook.weft_add_hookspecs.call_historic(kwargs={"pm": manager})
        if config is not None:
            manager.hook.weft_config_ready.call_historic(kwargs={"config": config})
        for name, plugin in wanted.items():
            try:
                manager.register(plugin, name)
            except Exception as trouble:  # noqa: BLE001 - its hooks run
                if manager.has_plugin(name):
                    manager.unregister(name=name)
                self._refuse(name, f"It raised {_said(trouble)} when it was registered.", trouble)
        self._refuse_unknown(manager)
        self.plugins = tuple(name for name, _ in manager.list_name_plugin())
        self._callers = _callers_of(manager)

    def _refuse_unknown(self, manager: "pluggy.PluginManager") -> None:
        import pluggy

        while True:
            try:
                manager.check_pending()
            except pluggy.PluginValidationError as trouble:
                name = manager.get_name(trouble.plugin) or repr(trouble.plugin)
                manager.unregister(trouble.plugin)
                self._refuse(name, _unknown_hook(manager, trouble), trouble, code=_UNKNOWN)
            else:
                return

    def _declare(self, registry: "Registry") -> None:
        for plugin, components in self.gather("weft_components"):
            for component in components if isinstance(components, Iterable) else [components]:
                if isinstance(component, Component):
                    registry.register(component)
                else:
                    self._refuse(
                        plugin,
                        f"weft_components gave a {type(component).__name__}, not a Component.",
                        None,
                    )

    def _refuse(
        self, plugin: str, reason: str, cause: BaseException | None, *, code: str = _BROKEN
    ) -> None:
        if self._strict:
            raise HookBroken(plugin, reason) from cause
        self.problems.append(
            Problem(
                code=code,
                place=f"hooks of {plugin}",
                what=f"They take no part in this run. {reason}",
                remedy=f"Update or remove {plugin.partition(':')[0]}.",
                severity=Severity.WARNING,
            )
        )
        self._notice("warning", f"The hooks of {plugin} take no part in this run. {reason}")


def _load(target: str) -> object:
    module, _, name = target.partition(":")
    found: object = import_module(module)
    for part in filter(None, name.split(".")):
        found = getattr(found, part)
    return found


def _callers_of(
    manager: "pluggy.PluginManager",
) -> dict[str, tuple[tuple[str, Callable[..., Any]], ...]]:
    """How to call each implementation of each hook by itself, in pluggy's order."""
    plugins = [plugin for _, plugin in manager.list_name_plugin() if plugin is not None]
    callers: dict[str, tuple[tuple[str, Callable[..., Any]], ...]] = {}
    for hook in {c.name: c for plugin in plugins for c in manager.get_hookcallers(plugin) or ()}:
        caller = getattr(manager.hook, hook)
        if caller.is_historic():
            continue  # replayed already
        single = bool(caller.spec is not None and caller.spec.opts.get("firstresult"))
        callers[hook] = tuple(
            (
                impl.plugin_name,
                _alone(
                    manager.subset_hook_caller(hook, [p for p in plugins if p is not impl.plugin]),
                    single=single,
                ),
            )
            for impl in reversed(caller.get_hookimpls())
        )
    return callers


def _alone(caller: Callable[..., Any], *, single: bool) -> Callable[..., Any]:
    """A caller that has one implementation, so that it gives an answer and not a list of one."""
    if single:
        return caller

    def call(**arguments: Any) -> Any:
        answers = caller(**arguments)
        return answers[0] if answers else None

    return call


def _unknown_hook(manager: "pluggy.PluginManager", trouble: Any) -> str:
    known = [name for name in vars(manager.hook) if getattr(manager.hook, name).has_spec()]
    for name in vars(trouble.plugin) if hasattr(trouble.plugin, "__dict__") else ():
        near = nearest(name, known)
        if name.startswith("weft_") and name not in known:
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            return f"It implements {name}, which is no hook of this weft.{meant}"
    return f"{trouble}."


def _flag(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


def _said(trouble: BaseException) -> str:
    try:
        text = str(trouble).strip()
    except Exception:  # noqa: BLE001 - the error is a plugin's
        text = ""
    return f"{type(trouble).__name__}: {text}".rstrip(".") if text else type(trouble).__name__


def _warn(level: str, text: str) -> None:
    del level
    warnings.warn(text, WeftWarning, stacklevel=4)
