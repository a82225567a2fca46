"""Finds components by name, and builds their settings and themselves.

    "htex" ──Offer──▶ Component ──settings class──▶ settings object ──factory──▶ executor
            (names     (one light    (one light       (what a Config     (heavy; when a
             alone)     manifest)     module)          is made of)        run starts)

Each arrow imports one module more of the one package that was named, and of no other. Lists that
allow or forbid packages are looked at before the first of them. Nothing here is global but one
instance, made when it is first asked for.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

import attrs

from weft.configuration.discovery import Found, Offer, canonical, scan
from weft.configuration.options import build, nearest
from weft.errors import (
    ConfigurationError,
    InterfaceMismatch,
    InvalidConfig,
    PluginBlocked,
    PluginBroken,
    PluginConflict,
    PluginNotFound,
    SettingsError,
    UnknownScheme,
    WeftError,
)
from weft.interfaces import module_of
from weft.values.plugin import Component, Kind, Level, State, normalized
from weft.values.settings import (
    ExecutorSettings,
    LauncherSettings,
    MonitorSettings,
    ProviderSettings,
    SerializerSettings,
    Settings,
    StagerSettings,
)

if TYPE_CHECKING:
    from weft.compat import Step
    from weft.configuration.config import Config
    from weft.configuration.maturity import Rating
    from weft.interfaces.command import Command
    from weft.interfaces.executor import Executor
    from weft.interfaces.launcher import Launcher
    from weft.interfaces.monitor import Monitor
    from weft.interfaces.provider import Provider
    from weft.interfaces.serializer import Serializer
    from weft.interfaces.stager import Stager
    from weft.values.problem import Finding

__all__ = [
    "CORE",
    "IN_PROCESS",
    "Listed",
    "Registry",
    "Rules",
    "default_registry",
    "executor",
    "interface_version",
    "launcher",
    "monitor",
    "provider",
    "serializer",
    "stager",
]

CORE: Final = "weft"
"""The distribution whose names are reserved."""

IN_PROCESS: Final = "in-process"
"""Stands in the place of a distribution for what :meth:`Registry.register` declared."""

_MARKERS: Final[Mapping[Kind, type[Settings]]] = {
    Kind.EXECUTOR: ExecutorSettings,
    Kind.PROVIDER: ProviderSettings,
    Kind.LAUNCHER: LauncherSettings,
    Kind.STAGER: StagerSettings,
    Kind.SERIALIZER: SerializerSettings,
    Kind.MONITOR: MonitorSettings,
}

_S = TypeVar("_S", bound=Settings)


@attrs.frozen(kw_only=True)
class Rules:
    """Whose parts may be loaded, and who wins where two offer one name.

    Attributes:
        allow: the only packages that may be loaded, besides weft itself; ``None`` for all.
        block: packages that may not be loaded.
        prefer: the package that wins, by ``kind.name``.
        require_level: the lowest level that a component may have; ``None`` for any.
    """

    allow: Sequence[str] | None = None
    block: Sequence[str] = ()
    prefer: Mapping[str, str] = attrs.field(factory=dict)
    require_level: Level | None = attrs.field(
        default=None, converter=attrs.converters.optional(Level)
    )

    def forbids(self, dist: str) -> str:
        """Why a package may not be loaded, as a sentence; an empty string if it may."""
        name = canonical(dist)
        if name in {CORE, IN_PROCESS}:
            return ""
        if name in map(canonical, self.block):
            return f"Config(block=...) names {dist}."
        if self.allow is not None and name not in map(canonical, self.allow):
            return f"Config(allow=...) does not name {dist}."
        if name in _env_list("WEFT_PLUGINS_BLOCK"):
            return f"The environment variable WEFT_PLUGINS_BLOCK names {dist}."
        if os.environ.get("WEFT_PLUGINS") is not None and name not in _env_list("WEFT_PLUGINS"):
            return (
                f"The environment variable WEFT_PLUGINS lists all that is allowed, and not {dist}."
            )
        return ""

    def preferred(self, key: str) -> str | None:
        """The package that is preferred for ``kind.name``, if one is."""
        for name, dist in self.prefer.items():
            kind, _, rest = name.partition(".")
            if f"{kind.strip().lower()}.{normalized(rest)}" == key:
                return dist
        return None


def _env_list(variable: str) -> set[str]:
    return {canonical(name) for name in os.environ.get(variable, "").split(",") if name.strip()}


@attrs.frozen(kw_only=True)
class Listed:
    """One row of ``weft plugin list``: all that is known of a component without importing anything.

    Attributes:
        kind, name, dist, version: what is offered, and by whom.
        entry_point: where it leads, as ``module:object``.
        level: what the ledger claims for it.
        state: what its owners decided about it.
        self_reported: whether the level comes from a ledger other than that of weft.
        evidence: how many pieces of evidence that ledger names for it.
        conflicts: other packages that offer the same name.
        chosen: whether the bare name means this one.
        blocked: why it may not be loaded; empty if it may.
    """

    kind: str
    name: str
    dist: str
    version: str
    entry_point: str
    level: Level
    state: State
    self_reported: bool
    evidence: int = 0
    conflicts: tuple[str, ...] = ()
    chosen: bool = True
    blocked: str = ""

    @property
    def in_conflict(self) -> bool:
        """Whether another package offers the same name."""
        return bool(self.conflicts)

    @property
    def key(self) -> str:
        """``kind.name``."""
        return f"{self.kind}.{self.name}"


class _Shelf:
    """What has been found and loaded; shared by a registry and those that restrict it.

    A lock is held only to change a table. Loading happens outside it: importing twice is harmless.
    """

    def __init__(self, path: Sequence[str] | None, *, builtin: bool) -> None:
        self.path = None if path is None else tuple(path)
        self.builtin = builtin
        self.lock = threading.Lock()
        self.declared: dict[Offer, Component] = {}
        self.hook_plugins: dict[str, object] = {}
        self.loaded: dict[Offer, Component] = {}
        self.classes: dict[Offer, type[Settings]] = {}
        self._found: Found | None = None

    @property
    def found(self) -> Found:
        found = self._found
        if found is None:
            found = self._found = self._look()
        return found

    def refresh(self) -> bool:
        """Look again. Returns whether anything is different."""
        before, self._found = self._found, self._look()
        return self._found != before

    def _look(self) -> Found:
        found = scan(self.path)
        if self.builtin and not any(canonical(o.dist) == CORE for o in found.components):
            # Run from a folder of sources, or frozen into an application: there is no metadata to
            # read.
            found = attrs.evolve(found, components=found.components + _own_offers())
        return found

    def offers(self) -> tuple[Offer, ...]:
        return self.found.components + tuple(self.declared)


def _own_offers() -> tuple[Offer, ...]:
    from weft.builtin import manifest

    return tuple(
        Offer(
            c.kind.value, c.name, f"weft.builtin.manifest:{variable}", CORE, "(not installed)", ""
        )
        for variable, c in vars(manifest).items()
        if isinstance(c, Component)
    )


class Registry:
    """All components that can be had by name, and the rules on which of them may be.

    Args:
        path: the folders to look for packages in; ``sys.path`` and custom import finders when left
            out.
        rules: whose parts may be loaded.
        builtin: whether weft's own components are there even if no package of that name is
            installed.
    """

    def __init__(
        self,
        path: Sequence[str] | None = None,
        *,
        rules: Rules | None = None,
        builtin: bool = True,
    ) -> None:
        self.rules = rules if rules is not None else Rules()
        self._shelf = _Shelf(path, builtin=builtin)

    def restricted(self, config: "Config") -> "Registry":
        """The same components under the rules of a configuration.

        Raises:
            InvalidConfig: it is not a Config.
        """
        from weft.configuration.config import Config as Known

        if not isinstance(config, Known):
            # Type checkers know that this cannot be; users find out here.
            given = _a(type(config).__name__)  # type: ignore[unreachable]
            raise InvalidConfig([f"A Config is wanted, not {given}. Write Config(...)."])
        other = Registry.__new__(Registry)
        other._shelf = self._shelf  # noqa: SLF001 - another one of this class
        other.rules = Rules(
            allow=config.allow,
            block=config.block,
            prefer=config.prefer,
            require_level=config.require_level,
        )
        return other

    # ---------------------------------------------------------------------------------------- names

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, sorted; those that may not be loaded are left out.

        Imports nothing.
        """
        return tuple(
            sorted(
                {
                    o.name
                    for o in self._shelf.offers()
                    if o.kind == kind and not self.rules.forbids(o.dist)
                }
            )
        )

    def offers(self, kind: str | None = None, name: str | None = None) -> tuple[Offer, ...]:
        """What is offered, whether it may be loaded or not. Imports nothing."""
        return tuple(
            o
            for o in self._shelf.offers()
            if (kind is None or o.kind == kind) and (name is None or o.name == normalized(name))
        )

    def hook_offers(self) -> tuple[Offer, ...]:
        """The packages that offer hooks, whether they may be loaded or not."""
        return self._shelf.found.hooks

    @property
    def hook_plugins(self) -> Mapping[str, object]:
        """Objects with hooks that were registered in this process, by name."""
        return dict(self._shelf.hook_plugins)

    @property
    def version(self) -> str:
        """The version of weft itself, as installed."""
        return next((o.version for o in self._shelf.found.components if o.dist == CORE), "unknown")

    @property
    def oddities(self) -> tuple[str, ...]:
        """Sentences on what looked wrong while packages were looked for."""
        return self._shelf.found.oddities

    @property
    def path(self) -> tuple[str, ...] | None:
        """The folders that are looked through; ``None`` for ``sys.path``."""
        return self._shelf.path

    def refresh(self) -> bool:
        """Look for packages again, as after an installation.

        Returns whether anything is different.
        """
        return self._shelf.refresh()

    def listing(self) -> tuple[Listed, ...]:
        """Every component as a row, sorted by kind, name and package.

        Imports nothing of any package.
        """
        rows = []
        for offer in sorted(
            self._shelf.offers(), key=lambda o: (o.kind, o.name, canonical(o.dist))
        ):
            others = tuple(
                o.dist
                for o in self._shelf.offers()
                if o.key == offer.key and o != offer and o.target != offer.target
            )
            rating = self.rating(offer)
            rows.append(
                Listed(
                    kind=offer.kind,
                    name=offer.name,
                    dist=offer.dist,
                    version=offer.version,
                    entry_point=offer.target,
                    level=rating.level,
                    state=rating.state,
                    self_reported=rating.self_reported,
                    evidence=rating.evidence,
                    conflicts=others,
                    chosen=self._chosen(offer),
                    blocked=self.rules.forbids(offer.dist),
                )
            )
        return tuple(rows)

    def spelled(self, offer: Offer) -> str:
        """The shortest name that means an offer: its own, or with that of its package."""
        return offer.name if self._chosen(offer) else offer.qualified

    def _chosen(self, offer: Offer) -> bool:
        try:
            return self.offer(offer.kind, offer.name) == offer
        except WeftError:
            return False

    # ------------------------------------------------------------------------------------- choosing

    def offer(self, kind: str, name: str) -> Offer:
        """The one offer that a name means.

        Args:
            kind: such as ``executor``.
            name: a name, an alias, or ``dist:name``.

        Raises:
            PluginNotFound: nobody offers it.
            PluginConflict: several packages do, and nothing says which one is meant.
            PluginBlocked: whoever offers it is not allowed.
        """
        kind = _known_kind(kind)
        found = self._matching(kind, name)
        if not found and self._shelf.refresh():
            found = self._matching(kind, name)  # installed since the first look, as in a notebook
        if not found:
            raise self._not_found(kind, name)
        allowed = [o for o in found if not self.rules.forbids(o.dist)]
        if not allowed:
            first = found[0]
            raise PluginBlocked(kind, first.name, first.dist, self.rules.forbids(first.dist))
        return self._decided(kind, name, allowed)

    def _matching(self, kind: str, name: str) -> list[Offer]:
        dist, qualified, bare = name.rpartition(":")
        offers = [
            o
            for o in self._shelf.offers()
            if o.kind == kind and (not qualified or canonical(o.dist) == canonical(dist))
        ]
        named = [o for o in offers if o.name == normalized(bare)]
        return named or self._by_alias(offers, normalized(bare))

    def _by_alias(self, offers: Iterable[Offer], alias: str) -> list[Offer]:
        """Offers that go by another name too.

        Only their manifests say so, so those are loaded now.
        """
        found = []
        for offer in offers:
            if self.rules.forbids(offer.dist):
                continue
            try:
                component = self._manifest(offer)
            except ConfigurationError:
                continue  # broken, and nobody named it
            if alias in component.aliases:
                found.append(offer)
        return found

    def _decided(self, kind: str, name: str, offers: Sequence[Offer]) -> Offer:
        # Two entry points with one target are one component, such as after a package was renamed.
        distinct = list({o.target: o for o in reversed(offers)}.values())[::-1]
        preferred = None if ":" in name else self.rules.preferred(f"{kind}.{normalized(name)}")
        if preferred is not None:
            for offer in offers:
                if canonical(offer.dist) == canonical(preferred):
                    return offer
            raise SettingsError(
                "Config",
                "prefer",
                f"prefer names {preferred!r} for {kind} {normalized(name)!r}, which that package "
                "does not offer.",
                allowed=f"It is offered by: {', '.join(o.dist for o in offers)}.",
                todo="Name one of these, install that package, or leave the entry out.",
            )
        if len(distinct) == 1:
            return distinct[0]
        for offer in distinct:
            if canonical(offer.dist) == CORE:
                return offer
        raise PluginConflict(kind, normalized(name), [o.dist for o in distinct])

    def _not_found(self, kind: str, name: str) -> PluginNotFound:
        bare = normalized(name.rpartition(":")[2])
        installed = self.names(kind)
        others = sorted(
            {
                o.kind
                for o in self._shelf.offers()
                if o.name == bare and o.kind not in {kind, Kind.COMMAND}
            }
        )
        from weft.configuration.maturity import package_of

        return PluginNotFound(
            kind,
            name,
            installed,
            nearest=nearest(bare, installed),
            other_kinds=others,
            package=package_of(f"{kind}.{bare}"),
        )

    # -------------------------------------------------------------------------------------- loading

    def component(self, kind: str, name: str) -> Component:
        """The declaration that a name leads to. Imports that one light module.

        Raises:
            ConfigurationError: nobody offers it, several do, it may not be loaded, it is broken, or
                it was built for another version of its interface; each has a class of its own.
        """
        return self.manifest(self.offer(kind, name))

    def manifest(self, offer: Offer) -> Component:
        """The declaration of one offer, held against the rules.

        Raises:
            ConfigurationError: as for :meth:`component`.
        """
        forbidden = self.rules.forbids(offer.dist)
        if forbidden:
            raise PluginBlocked(offer.kind, offer.name, offer.dist, forbidden)
        wanted = self.rules.require_level
        if wanted is not None and offer.dist != IN_PROCESS:
            level = self.rating(offer).level
            if level.rank < wanted.rank:
                raise PluginBlocked(
                    offer.kind,
                    offer.name,
                    offer.dist,
                    f"Config(require_level={wanted.value!r}) asks for more than its level, which "
                    f"is {level.value}.",
                )
        return self._manifest(offer)

    def _manifest(self, offer: Offer) -> Component:
        shelf = self._shelf
        component = shelf.declared.get(offer) or shelf.loaded.get(offer)
        if component is None:
            component = _checked(offer, _loaded(offer, offer.target, "its manifest"))
            with shelf.lock:
                shelf.loaded[offer] = component
        return component

    def settings_class(self, kind: str, name: str) -> type[Settings]:
        """The attrs class of a component's settings. Imports one light module more.

        Raises:
            ConfigurationError: as for :meth:`component`.
        """
        return self.class_of(self.offer(kind, name))

    def class_of(self, offer: Offer) -> type[Settings]:
        """The settings class of one offer.

        Raises:
            ConfigurationError: as for :meth:`component`.
        """
        component = self.manifest(offer)
        known = self._shelf.classes.get(offer)
        if known is None:
            known = _settings_class(offer, component)
            with self._shelf.lock:
                self._shelf.classes[offer] = known
        return known

    def settings(self, kind: str, name: str, /, **options: Any) -> Settings:
        """The settings of a component: what ``weft.executor(name, ...)`` and its sisters return.

        Raises:
            SettingsError: an option is unknown, missing, or has a value that is not allowed.
            ConfigurationError: as for :meth:`component`.
        """
        if not isinstance(name, str):
            raise _not_a_name(kind, name)
        return build(self.settings_class(kind, name), f"{kind} {name!r}", options)

    # -------------------------------------------------------------------------------------- opening

    @overload
    def open(self, settings: ExecutorSettings) -> "Executor": ...
    @overload
    def open(self, settings: ProviderSettings) -> "Provider": ...
    @overload
    def open(self, settings: LauncherSettings) -> "Launcher": ...
    @overload
    def open(self, settings: StagerSettings) -> "Stager": ...
    @overload
    def open(self, settings: SerializerSettings) -> "Serializer": ...
    @overload
    def open(self, settings: MonitorSettings) -> "Monitor": ...
    @overload
    def open(self, settings: Settings) -> object: ...
    def open(self, settings: Settings) -> object:
        """The component itself, made of its settings but not started.

        Imports what it needs, however heavy.

        Raises:
            PluginBroken: its factory cannot be imported, raises, or returns something else.
            ConfigurationError: as for :meth:`component`.
        """
        offer = self.offer_of(settings)
        component = self.manifest(offer)
        factory = self.factory_of(offer)
        try:
            made = factory(settings)
        except WeftError:
            raise
        except Exception as trouble:
            raise _broken(
                offer, f"Its factory {component.factory} raised {_said(trouble)}."
            ) from trouble
        interface, steps = _interface_class(component.kind), _route(offer, component)
        if not steps:
            return _of(interface, made, offer, component)
        from weft import compat

        made = _of(compat.base(steps, interface), made, offer, component)
        return compat.adapted(made, steps, interface)

    def adaptation(self, component: Component) -> str:
        """A sentence on a component that was built for the former major of its interface.

        Empty for all others.
        """
        kind = component.kind
        ours = interface_version(kind) if kind.has_interface else component.interface
        if component.interface == ours:
            return ""
        from weft import compat

        return compat.adaptation(kind, component.interface, ours)

    def command(self, name: str) -> "Command":
        """The command of that name that a package brings, imported.

        Raises:
            PluginBroken: it cannot be imported or called.
            ConfigurationError: as for :meth:`component`.
        """
        return cast("Command", self.factory_of(self.offer(Kind.COMMAND, name)))

    def factory_of(self, offer: Offer) -> Callable[..., Any]:
        """What makes the component of an offer, imported, however heavy it is.

        Raises:
            PluginBroken: it cannot be imported or called.
            ConfigurationError: as for :meth:`component`.
        """
        component = self.manifest(offer)
        factory = _loaded(offer, component.factory, "its factory", component.requires.hint)
        if not callable(factory):
            raise _broken(offer, f"Its factory {component.factory} is not callable.")
        return cast("Callable[..., Any]", factory)

    def checks_of(self, offer: Offer) -> "Callable[[Settings, Path], Iterable[Finding]] | None":
        """What an offer's own checks are, imported; ``None`` if it has none.

        Raises:
            PluginBroken: they cannot be imported or called.
            ConfigurationError: as for :meth:`component`.
        """
        component = self.manifest(offer)
        if not component.checks:
            return None
        checks = _loaded(offer, component.checks, "its checks", component.requires.hint)
        if not callable(checks):
            raise _broken(offer, f"Its checks {component.checks} are not callable.")
        return cast("Callable[[Settings, Path], Iterable[Finding]]", checks)

    def offer_of(self, settings: Settings) -> Offer:
        """The offer that a settings object belongs to.

        Raises:
            SettingsError: it is not a settings object, or not one of the plugin it names.
            ConfigurationError: as for :meth:`component`.
        """
        kind, plugin = _identity(settings)
        candidates = [o for o in self._matching(kind, plugin) if self._owns(o, type(settings))]
        if candidates:
            allowed = [o for o in candidates if not self.rules.forbids(o.dist)]
            return (allowed or candidates)[0]
        offer = self.offer(kind, plugin)
        expected = self.class_of(offer)
        if isinstance(settings, expected):
            return offer
        raise SettingsError(
            f"{kind} {plugin!r}",
            "",
            f"a settings object of the class {_named(type(settings))} does not belong to it.",
            allowed=f"The {kind} {plugin!r} of {offer.dist} {offer.version} takes "
            f"{_named(expected)}.",
            todo=f"Use weft.{kind}({plugin!r}, ...), or register a component for that class.",
        )

    def _owns(self, offer: Offer, cls: type[Settings]) -> bool:
        """Whether a settings class is that of an offer; loads nothing that may not be loaded."""
        if self.rules.forbids(offer.dist):
            return False
        try:
            return issubclass(cls, self.class_of(offer))
        except ConfigurationError:
            return False

    # ----------------------------------------------------------------------------------- in process

    def register(self, component: Component) -> None:
        """Declare a component in this process, as tests and notebooks do.

        Declaring it again replaces the former one.

        Raises:
            InterfaceMismatch: it was built for another version of its interface.
        """
        if not isinstance(component, Component):
            raise TypeError(f"register takes a Component, not {_a(type(component).__name__)}")
        offer = Offer(component.kind.value, component.name, component.key, IN_PROCESS, "", "")
        _route(offer, component)
        with self._shelf.lock:
            self._shelf.declared[offer] = component
            self._shelf.classes.pop(offer, None)

    def register_hooks(self, plugin: object, name: str = "") -> None:
        """Add an object or module with hooks, for sessions that open from now on."""
        called = name or getattr(plugin, "__name__", "") or type(plugin).__name__
        with self._shelf.lock:
            self._shelf.hook_plugins[called] = plugin

    # -------------------------------------------------------------------------------------- stagers

    def schemes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the stagers that move each URL scheme.

        Loads the manifests of stagers, and nothing else.

        A stager that cannot be loaded moves nothing here; ``weft doctor`` says why.
        """
        table: dict[str, list[str]] = {}
        for offer in self._shelf.offers():
            if offer.kind != Kind.STAGER:
                continue
            try:
                component = self.manifest(offer)
            except ConfigurationError:
                continue
            for scheme in component.schemes:
                name = offer.name if self._chosen(offer) else offer.qualified
                table.setdefault(scheme.lower(), []).append(name)
        return {scheme: tuple(names) for scheme, names in table.items()}

    def stager_for(
        self, scheme: str, given: Sequence[StagerSettings] = (), *, url: str = ""
    ) -> StagerSettings:
        """The settings of the stager that moves a scheme: one that was given, or the installed one.

        Args:
            scheme: as in ``File.scheme``.
            given: ``Config.stagers``; the first that moves the scheme is taken.
            url: the file it is for, for the message.

        Raises:
            UnknownScheme: no stager moves it.
            PluginConflict: several do, and none of those given.
        """
        scheme = scheme.lower()
        for settings in given:
            if scheme in self.manifest(self.offer_of(settings)).schemes:
                return settings
        if scheme == "file":  # reserved, so no other stager needs to be asked
            return cast("StagerSettings", self.settings(Kind.STAGER, "file"))
        known = self.schemes()
        names = known.get(scheme, ())
        if not names:
            raise UnknownScheme(url or f"{scheme}://", scheme, sorted(known))
        if len(names) > 1:
            raise ConfigurationError(
                f"{len(names)} stagers move {scheme!r} files: {', '.join(names)}.",
                why="weft never chooses between two by the order in which they were found.",
                todo=f"Say which one is meant: Config(stagers=[weft.stager({names[0]!r})]).",
            )
        return cast("StagerSettings", self.settings(Kind.STAGER, names[0]))

    # ------------------------------------------------------------------------------------- maturity

    def rating(self, offer: Offer) -> "Rating":
        """What the ledgers say of an offer. Imports nothing of its package."""
        from weft.configuration.maturity import rating

        return rating(offer.key, package=offer.package, dist=offer.dist, path=self.path)


# ------------------------------------------------------------------------------------------ loading


def _known_kind(kind: str) -> str:
    try:
        return Kind(kind).value
    except ValueError:
        raise ConfigurationError(
            f"There is no kind of component called {kind!r}.",
            why=f"The kinds are: {', '.join(Kind)}.",
        ) from None


def _loaded(offer: Offer, target: str, what: str, hint: str = "") -> Any:
    module, _, name = target.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (
        Exception,
        SystemExit,
    ) as trouble:  # the module is anyone's code, and may even try to end the program
        raise _broken(
            offer, f"Importing {what} {target} raised {_said(trouble)}. {hint}".rstrip()
        ) from trouble
    return found


def _checked(offer: Offer, found: object) -> Component:
    if not isinstance(found, Component):
        raise _broken(
            offer,
            f"Its entry point {offer.target} leads to {_a(type(found).__name__)}, not to a "
            "Component.",
        )
    if (found.kind.value, found.name) != (offer.kind, offer.name):
        raise _broken(
            offer,
            f"Its entry point is called {offer.key}, but leads to a declaration of {found.key}.",
        )
    _route(offer, found)
    return found


def _route(offer: Offer, component: Component) -> "tuple[Step, ...]":
    """What makes of a component one of today's interface; nothing, for most.

    Raises:
        InterfaceMismatch: nothing does.
    """
    kind = component.kind
    ours = interface_version(kind) if kind.has_interface else component.interface
    if component.interface == ours:
        return ()
    from weft import compat

    found = compat.route(kind, component.interface, ours)
    if found is None:
        raise InterfaceMismatch(
            kind,
            component.name,
            dist=offer.dist,
            version=offer.version,
            built_for=component.interface,
            speaks=compat.speaks(kind, ours),
            newer=compat.numbers(component.interface) > compat.numbers(ours),
        )
    return found


def _settings_class(offer: Offer, component: Component) -> type[Settings]:
    if not component.kind.has_interface:
        raise _broken(offer, f"A {component.kind} has no settings.")
    found = _loaded(offer, component.settings, "its settings class", component.requires.hint)
    marker = _MARKERS[component.kind]
    settings_class: type[Settings] = found if isinstance(found, type) else Settings
    if not issubclass(settings_class, marker) or not attrs.has(found):
        raise _broken(
            offer,
            f"Its settings {component.settings} are not an attrs class that inherits "
            f"{marker.__name__}.",
        )
    plugin = getattr(found, "plugin", None)
    if not isinstance(plugin, str) or normalized(plugin) != component.name:
        raise _broken(
            offer,
            f"Its settings class {component.settings} says plugin = {plugin!r}, which should be "
            f"{component.name!r}.",
        )
    return settings_class


def interface_version(kind: Kind) -> str:
    """The version of a kind's interface that this weft speaks."""
    version: str = module_of(kind.value).VERSION
    return version


def _interface_class(kind: Kind) -> type[Any]:
    found: type[Any] = getattr(module_of(kind.value), kind.value.capitalize())
    return found


def _of(interface: type[Any], made: object, offer: Offer, component: Component) -> object:
    """What a factory made, if it is what its kind has to be."""
    if isinstance(made, interface):
        return made
    raise _broken(
        offer,
        f"Its factory {component.factory} returned {_a(type(made).__name__)}, which is not a "
        f"{interface.__module__}.{interface.__name__}.",
    )


def _broken(offer: Offer, reason: str) -> PluginBroken:
    return PluginBroken(
        offer.kind, offer.name, dist=offer.dist, version=offer.version, reason=reason
    )


def _identity(settings: object) -> tuple[str, str]:
    if isinstance(settings, Settings):
        kind, plugin = getattr(settings, "kind", None), getattr(settings, "plugin", None)
        if isinstance(kind, str) and isinstance(plugin, str):
            return _known_kind(kind), plugin
        raise SettingsError(
            type(settings).__name__,
            "",
            "this settings class does not say whose it is.",
            allowed="A settings class inherits the marker of its kind and has a class variable "
            "'plugin'.",
        )
    raise SettingsError("open", "", f"{_a(type(settings).__name__)} is not a settings object.")


def _not_a_name(kind: str, given: object) -> SettingsError:
    return SettingsError(
        f"weft.{kind}",
        "",
        f"the name must be a str, not {_a(type(given).__name__)}.",
        todo=f"A settings object needs no weft.{kind}(...) around it."
        if isinstance(given, Settings)
        else f"Write weft.{kind}('name', option=value).",
    )


def _named(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _said(trouble: BaseException) -> str:
    try:
        text = str(trouble).strip()
    except Exception:  # noqa: BLE001 - the error is a plugin's
        text = ""
    return f"{type(trouble).__name__}: {text}".rstrip(".") if text else type(trouble).__name__


# ------------------------------------------------------------------------------------- default face

_default: Registry | None = None
_making = threading.Lock()


def default_registry() -> Registry:
    """The registry of what is installed in this environment; made when it is first asked for."""
    global _default
    if _default is None:
        with _making:
            if _default is None:
                _default = Registry()
    return _default


def _made(marker: type[_S], kind: Kind, name: str, options: Mapping[str, Any]) -> _S:
    made = default_registry().settings(kind.value, name, **options)
    assert isinstance(made, marker)  # settings_class has seen to it
    return made


def executor(name: str, /, **options: Any) -> ExecutorSettings:
    """The settings of the executor of that name.

    Args:
        name: such as ``"threads"``; ``weft plugin list --kind executor`` shows all.
        options: as ``weft plugin info NAME`` describes them.

    Raises:
        SettingsError: an option is unknown, missing, or has a value that is not allowed.
        ConfigurationError: the name leads to no component that can be used; the message says why.
    """
    return _made(ExecutorSettings, Kind.EXECUTOR, name, options)


def provider(name: str, /, **options: Any) -> ProviderSettings:
    """The settings of the provider of that name; otherwise as :func:`executor`."""
    return _made(ProviderSettings, Kind.PROVIDER, name, options)


def launcher(name: str, /, **options: Any) -> LauncherSettings:
    """The settings of the launcher of that name; otherwise as :func:`executor`."""
    return _made(LauncherSettings, Kind.LAUNCHER, name, options)


def stager(name: str, /, **options: Any) -> StagerSettings:
    """The settings of the stager of that name; otherwise as :func:`executor`."""
    return _made(StagerSettings, Kind.STAGER, name, options)


def serializer(name: str, /, **options: Any) -> SerializerSettings:
    """The settings of the serializer of that name; otherwise as :func:`executor`."""
    return _made(SerializerSettings, Kind.SERIALIZER, name, options)


def monitor(name: str, /, **options: Any) -> MonitorSettings:
    """The settings of the monitor of that name; otherwise as :func:`executor`."""
    return _made(MonitorSettings, Kind.MONITOR, name, options)
