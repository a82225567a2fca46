"""The serializers of a run: each opened once, whoever names it.

    settings of an executor ──┐
    option of an app ─────────┼──▶ Serializers.open ──▶ Chosen, which Packer takes
    Config.serializer ────────┘                    └──▶ the serializer, for the checkpoint

They are told, from a thread of the session's pool, which tasks have ended for good; those that have
no use for it cost nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from weft.errors import ConfigurationError, SettingsError, WeftError
from weft.values.plugin import Component, Support
from weft.values.settings import SerializerSettings

if TYPE_CHECKING:
    from weft.calls.chosen import Chosen, Maker
    from weft.configuration.discovery import Offer
    from weft.configuration.registry import Registry
    from weft.interfaces.serializer import Serializer
    from weft.values.task import TaskId

__all__ = ["Serializers"]


class Serializers:
    """The serializers of a run. From any thread.

    Args:
        registry: where their factories are found.
        run_id: of the run.
        notice: tells people of trouble.

    Attributes:
        told: whether any of them wants to know which tasks have ended.
    """

    def __init__(
        self, registry: Registry, run_id: str, notice: Callable[[str, str, str], None]
    ) -> None:
        self._registry, self._run_id, self._notice = registry, run_id, notice
        self._lock = threading.Lock()
        # By identity, with the settings themselves so that the identity stays theirs.
        self._known: dict[int, tuple[SerializerSettings, Chosen]] = {}
        self._listeners: tuple[Chosen, ...] = ()
        self.told = False

    def open(self, settings: SerializerSettings) -> Chosen:
        """The serializer of these settings, started; the same one for equal settings.

        Raises:
            ConfigurationError: it cannot be had; the message says why.
            WeftError: it does not start.
        """
        known = self._known.get(id(settings))
        if known is not None:
            return known[1]
        if not isinstance(settings, SerializerSettings):
            # Type checkers know that this cannot be; users find out here.
            raise SettingsError(
                "serializer",
                "",
                f"{settings!r:.80} is no serializer.",
                todo="Write serializer=weft.serializer('name').",
            )
        with self._lock:
            equal = [chosen for other, chosen in self._known.values() if other == settings]
            chosen = equal[0] if equal else self._opened(settings)
            self._known[id(settings)] = (settings, chosen)
            return chosen

    def _opened(self, settings: SerializerSettings) -> Chosen:
        # Most runs choose none, and need none of these.
        from weft.configuration.check import missing
        from weft.interfaces.serializer import Serializer, SerializerContext

        component = self._registry.manifest(self._registry.offer_of(settings))
        for what, todo in missing(component.requires, f"The serializer {component.name!r}"):
            raise ConfigurationError(what, todo=todo)
        made = self._registry.open(settings)
        made.start(SerializerContext(run_id=self._run_id, part=self._registry.open))
        chosen = self._chosen(made, settings)
        if type(made).ended is not Serializer.ended:
            self._listeners = (*self._listeners, chosen)
            self.told = True
        return chosen

    def _chosen(self, made: Serializer, settings: SerializerSettings) -> Chosen:
        from weft.builtin.serializers import Pickle
        from weft.calls.chosen import Chosen

        maker = self._maker(settings)
        if isinstance(made, Pickle):
            return Chosen(made, maker.name, by_value=made.by_value)
        component = self._registry.manifest(self._registry.offer_of(settings))
        functions = component.capabilities.get("functions.by-value", Support.UNSUPPORTED)
        return Chosen.with_recipe(
            made,
            maker,
            whole=functions in {Support.FULL, Support.PARTIAL},
            parts=[self._maker(one) for one in _within(settings)],
            run_id=self._run_id,
        )

    def _maker(self, settings: SerializerSettings) -> Maker:
        from weft.calls.chosen import Maker

        offer = self._registry.offer_of(settings)
        component = self._registry.manifest(offer)
        package, version = _to_install(offer, component)
        return Maker(
            name=component.name,
            settings=settings,
            factory=component.factory,
            modules=tuple(component.requires.modules),
            package=package,
            version=version,
        )

    def ended(self, tasks: Sequence[TaskId]) -> None:
        """Tell those that want to know that tasks have ended for good. May block."""
        for chosen in self._listeners:
            try:
                chosen.serializer.ended(tasks)
            except Exception as error:  # noqa: BLE001 - a plugin's; the others are told too
                self._complain(chosen, "was told of the end of tasks", error)

    def close(self) -> None:
        """Close all of them. Twice is allowed."""
        with self._lock:
            opened = {id(chosen): chosen for _, chosen in self._known.values()}
            self._known, self._listeners, self.told = {}, (), False
        for chosen in opened.values():
            try:
                chosen.close()
            except Exception as error:  # noqa: BLE001 - a plugin's; the others are closed too
                self._complain(chosen, "closed", error)

    def _complain(self, chosen: Chosen, when: str, error: Exception) -> None:
        said = str(error) if isinstance(error, WeftError) else f"{type(error).__name__}: {error}"
        self._notice(
            "error", "session", f"The serializer {chosen.name!r} failed while it {when}: {said}"
        )


def _within(settings: Any) -> Iterator[SerializerSettings]:
    """The serializers that one is made of, at any depth."""
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        if isinstance(value, SerializerSettings):
            yield value
            yield from _within(value)


def _to_install(offer: Offer, component: Component) -> tuple[str, str]:
    """The package that a worker lacks where it cannot open a serializer, and its version here."""
    if not offer.version:  # declared within this process
        return "", ""
    if offer.dist != "weft" or not component.requires.modules:
        return offer.dist, offer.version
    from importlib.metadata import PackageNotFoundError, version

    package = component.requires.modules[0]
    try:
        return package, version(package)
    except PackageNotFoundError:
        return package, ""
