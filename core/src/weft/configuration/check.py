"""Every problem of a configuration at once: where it is, what it is, and what mends it.

``weft check`` prints the list, and loading a configuration raises it. Nothing is started, and
nothing is changed on disk; of the packages that are named, manifests and settings classes are
imported.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from weft.configuration.config import Config
from weft.configuration.discovery import Offer
from weft.configuration.options import annotations_of, described, misfit, nearest, shown
from weft.configuration.registry import Registry, default_registry
from weft.errors import ConfigFileError, InvalidConfig, WeftError
from weft.values.files import Site
from weft.values.plugin import Component, Kind, Requires, State, Support
from weft.values.problem import Problem, Severity
from weft.values.settings import ExecutorSettings, Settings

__all__ = ["check", "folder_problems", "load_config", "missing", "problems"]

_LISTS: Final[Mapping[str, Kind]] = {
    "executors": Kind.EXECUTOR,
    "monitors": Kind.MONITOR,
    "stagers": Kind.STAGER,
}

_OPTION: Final = "W-CFG-001"
_LABEL: Final = "W-CFG-005"
_PAIR: Final = "W-CFG-006"
_REQUIRES: Final = "W-CFG-007"
_FOLDER: Final = "W-CFG-003"
_SENSE: Final = "W-CFG-008"
_DEPRECATED: Final = "W-CFG-009"


def check(config: object, registry: Registry | None = None) -> tuple[Problem, ...]:
    """Refuse a configuration that has problems.

    Returns:
        What is worth a warning.

    Raises:
        InvalidConfig: there are problems that keep it from running; all of them are in the message.
    """
    found = problems(config, registry)
    errors = [problem for problem in found if problem.is_error]
    if errors:
        raise InvalidConfig([str(problem) for problem in errors])
    return tuple(found)


def problems(config: object, registry: Registry | None = None) -> list[Problem]:
    """Everything that is wrong with a configuration, errors and warnings, field by field."""
    if not isinstance(config, Config):
        what = f"A Config is wanted, not {_a(type(config).__name__)}: {shown(config)}."
        return [Problem(code=_OPTION, place="", what=what, remedy="Write Config(...).")]
    rules_ok = [*_rules(config, registry or default_registry())]
    if any(problem.is_error for problem in rules_ok):
        return rules_ok  # by rules that are wrong themselves nothing else can be judged
    restricted = (registry or default_registry()).restricted(config)
    wrong = [*_options(config)]
    sense = () if wrong else _sense(config)
    return [*rules_ok, *_lists(config, restricted), *wrong, *folder_problems(config), *sense]


# --------------------------------------------------------------------------------------- components


def _lists(config: Config, registry: Registry) -> Iterator[Problem]:
    for name, kind in _LISTS.items():
        given = getattr(config, name)
        if not isinstance(given, (list, tuple)):
            yield _not_a_list(name, kind, given)
            continue
        for index, one in enumerate(given):
            yield from _part(f"{name}[{index}]", one, kind, registry, ())
        if name == "executors":
            yield from _labels(given)
            yield from _sites(given, registry)
            yield from _sandboxes(given, registry)
        if name == "stagers":
            yield from _same_scheme(given, registry)
        if name == "monitors":
            yield from _twice(name, given)
    if config.serializer is not None:
        yield from _part("serializer", config.serializer, Kind.SERIALIZER, registry, ())


def _not_a_list(name: str, kind: Kind, given: object) -> Problem:
    if isinstance(given, Settings):
        what = f"A list belongs here, not a single {_kind_of(given)}."
        remedy = f"Write {name}=[weft.{_kind_of(given)}({_plugin_of(given)!r}, ...)]."
    else:
        what = f"A list of {kind}s belongs here, not {_a(type(given).__name__)}: {shown(given)}."
        remedy = f"Write {name}=[weft.{kind}(...)]."
    return Problem(code=_OPTION, place=name, what=what, remedy=remedy)


def _part(
    place: str,
    given: object,
    kind: Kind,
    registry: Registry,
    above: tuple[Component, ...],
) -> Iterator[Problem]:
    """The problems of one component's settings, and of those nested in them."""
    if not isinstance(given, Settings):
        yield _not_settings(place, given, kind)
        return
    if _kind_of(given) != kind:
        what = f"{_A(kind)} belongs here, not {_a(_kind_of(given))} ({_plugin_of(given)!r})."
        yield Problem(code=_OPTION, place=place, what=what, remedy=f"Use weft.{kind}(...).")
        return
    try:
        offer = registry.offer_of(given)
        component = registry.manifest(offer)
    except WeftError as trouble:
        yield _from_error(place, trouble)
        return
    yield from _level(place, component, registry)
    yield from _age(place, component, offer, registry)
    yield from _fit(place, component, above)
    yield from (
        Problem(code=_REQUIRES, place=place, what=what, remedy=remedy)
        for what, remedy in missing(component.requires, component.key)
    )
    yield from _fields(place, given, registry, (*above, component))


def _fields(
    place: str, given: Settings, registry: Registry, above: tuple[Component, ...]
) -> Iterator[Problem]:
    hints = annotations_of(type(given))
    for field in attrs.fields(type(given)):
        value = getattr(given, field.name)
        name = f"{place}.{field.alias or field.name}"
        trouble = misfit(value, hints[field.name]) if field.name in hints else None
        if trouble is not None:
            secret = bool(field.metadata.get("secret"))
            what = f"{shown(value, secret=secret)} is not allowed: {trouble}"
            yield Problem(code=_OPTION, place=name, what=what, remedy=described(field, hints))
        elif isinstance(value, Settings):
            yield from _part(name, value, Kind(value.kind), registry, above)
        elif isinstance(value, (list, tuple)):
            for index, one in enumerate(value):
                if isinstance(one, Settings):
                    yield from _part(f"{name}[{index}]", one, Kind(one.kind), registry, above)


def _not_settings(place: str, given: object, kind: Kind) -> Problem:
    if isinstance(given, str):
        what = f"{_A(kind)} belongs here, not its name {given!r} alone."
        remedy = f"Write weft.{kind}({given!r})."
    elif isinstance(given, type) and issubclass(given, Settings):
        what = f"The class {given.__name__} itself stands here, not an object of it."
        remedy = f"Write {given.__name__}(...)."
    else:
        what = f"{_A(kind)} belongs here, not {_a(type(given).__name__)}: {shown(given)}."
        remedy = f"Write weft.{kind}(...)."
    return Problem(code=_OPTION, place=place, what=what, remedy=remedy)


def _from_error(place: str, trouble: WeftError) -> Problem:
    what = f"{trouble.what} {trouble.why}".strip()
    return Problem(code=trouble.code, place=place, what=what, remedy=trouble.todo)


def _level(place: str, component: Component, registry: Registry) -> Iterator[Problem]:
    if component.deprecated:
        yield Problem(
            code=_DEPRECATED,
            place=place,
            what=f"{component.key} is deprecated.",
            remedy=component.deprecated,
            severity=Severity.WARNING,
        )
        return
    for offer in registry.offers(component.kind, component.name):
        rated = registry.rating(offer)
        if rated.state in {State.DEPRECATED, State.REMOVED}:
            yield Problem(
                code=_DEPRECATED,
                place=place,
                what=f"{component.key} is {rated.state.value} by its owners.",
                remedy=f"Use {rated.replacement}." if rated.replacement else "",
                severity=Severity.WARNING,
            )
            return


def _age(place: str, component: Component, offer: Offer, registry: Registry) -> Iterator[Problem]:
    told = registry.adaptation(component)
    if told:
        yield Problem(
            code=_DEPRECATED,
            place=place,
            what=f"{component.key} is of the former major of its interface. {told}",
            remedy=f"Install a newer version of {offer.dist} when there is one.",
            severity=Severity.WARNING,
        )


def _fit(place: str, component: Component, above: tuple[Component, ...]) -> Iterator[Problem]:
    for outer in above:
        for one, other in ((outer, component), (component, outer)):
            names = one.pairs_with.get(other.kind)
            if names is None or "*" in names or other.name in names:
                continue
            listed = ", ".join(repr(name) for name in names) or "none"
            yield Problem(
                code=_PAIR,
                place=place,
                what=f"The {one.kind} {one.name!r} does not work with the {other.kind} "
                f"{other.name!r}.",
                remedy=f"Use one of the {other.kind}s it works with: {listed}.",
            )
            break


def _labels(executors: Sequence[object]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, one in enumerate(executors):
        label = getattr(one, "called", None)
        if not isinstance(label, str):
            continue
        if label in first:
            yield Problem(
                code=_LABEL,
                place=f"executors[{index}].label",
                what=f"executors[{first[label]}] is called {label!r} already; apps could not tell "
                "the two apart.",
                remedy=f"Give one of them another label, as in label={label + '-2'!r}.",
            )
        else:
            first[label] = index


def _sites(executors: Sequence[object], registry: Registry) -> Iterator[Problem]:
    """The places that executors declare: each by itself, and those with one name."""
    first: dict[str, tuple[int, Site]] = {}
    for index, one in enumerate(executors):
        site = getattr(one, "site", None)
        if not isinstance(site, Site):
            continue
        place = f"executors[{index}].site"
        for what, remedy in _site_problems(site, registry):
            yield Problem(code=_OPTION, place=place, what=what, remedy=remedy)
        if not site.name:
            continue
        number, other = first.setdefault(site.name, (index, site))
        if other != site:
            yield Problem(
                code=_LABEL,
                place=place,
                what=f"executors[{number}] has a site named {site.name!r} as well, which is "
                f"another one: {other}.",
                remedy="Give both executors the same Site, or give the two sites two names.",
            )


def _sandboxes(executors: Sequence[object], registry: Registry) -> Iterator[Problem]:
    """A working folder for each task needs processes that run one task at a time."""
    for index, one in enumerate(executors):
        if not isinstance(one, ExecutorSettings) or one.sandbox == "off":
            continue
        try:
            component = registry.manifest(registry.offer_of(one))
        except WeftError:  # said where the part itself is looked at
            continue
        if component.capabilities.get("isolation.process") is not Support.FULL:
            yield Problem(
                code=_PAIR,
                place=f"executors[{index}].sandbox",
                what=f"{one.sandbox!r} gives each task a working folder of its own, and tasks of "
                f"{component.name!r} share a process, which has one working folder for all.",
                remedy="Use processes or htex for these tasks, or set sandbox='off'.",
            )


def _site_problems(site: Site, registry: Registry) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(r"[A-Za-z0-9_.-]*", site.name):
        yield (
            f"{site.name!r} is no name of a site: it stands in URLs, as in site://NAME/path.",
            "Use letters, digits, '.', '-' and '_'.",
        )
    for option in ("folder", "node_folder"):
        given = getattr(site, option)
        if given == "" and option == "node_folder":
            continue
        if not given.startswith("/") or "\0" in given or ".." in given.split("/"):
            yield (
                (
                    f"{option}={given!r} is not the absolute path of a folder: the machines of the "
                    "executor have no folder from which a relative one would start."
                ),
                (
                    f"Write {option} as a path from the root of those machines, such as "
                    "'/scratch/me/weft'."
                ),
            )
    schemes = registry.schemes() if site.urls else {}
    for scheme, url in site.urls.items():
        yield from _site_url(scheme, url, schemes)


def _site_url(
    scheme: str, url: str, schemes: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    from urllib.parse import urlsplit

    example = f"Write urls={{{scheme!r}: '{scheme}://HOST/path/of/the/folder'}}."
    try:
        parts = urlsplit(url)
    except ValueError as trouble:
        yield f"The URL for {scheme!r} cannot be read: {trouble}.", example
        return
    if parts.scheme != scheme.lower():
        yield f"The URL for {scheme!r} has another scheme, {parts.scheme!r}.", example
    elif parts.password:
        yield (
            f"The URL for {scheme!r} holds a password, which would be logged.",
            "Leave it out; stagers get it from the environment, as their pages say.",
        )
    elif parts.query or parts.fragment:
        yield f"The URL for {scheme!r} has something after its path.", example
    elif scheme.lower() not in schemes:
        known = ", ".join(map(repr, sorted(schemes)))
        yield (
            (
                f"No installed stager moves {scheme!r} files, so nobody can use that URL; those "
                f"that are moved: {known}."
            ),
            f"Install the stager of {scheme!r} files, or leave the URL out.",
        )


def _same_scheme(stagers: Sequence[object], registry: Registry) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, one in enumerate(stagers):
        try:
            # What is no settings object at all has been reported above.
            offer = registry.offer_of(one)  # type: ignore[arg-type]
            schemes = registry.manifest(offer).schemes
        except WeftError:
            continue
        for scheme in schemes:
            if scheme in first:
                yield Problem(
                    code=_LABEL,
                    place=f"stagers[{index}]",
                    what=f"stagers[{first[scheme]}] moves files of the scheme {scheme!r} already.",
                    remedy="Leave one of the two out.",
                )
            else:
                first[scheme] = index


def _twice(name: str, given: Sequence[object]) -> Iterator[Problem]:
    for index, one in enumerate(given):
        if isinstance(one, Settings) and one in given[:index]:
            yield Problem(
                code=_LABEL,
                place=f"{name}[{index}]",
                what=f"It is the same as {name}[{given.index(one)}].",
                remedy="Leave one of the two out.",
                severity=Severity.WARNING,
            )


def missing(requires: Requires, owner: str) -> Iterator[tuple[str, str]]:
    """What a component needs and this machine does not have, each with what to do about it."""
    if requires.platforms and sys.platform not in requires.platforms:
        wanted = ", ".join(requires.platforms)
        yield f"{owner} works on {wanted}; this is {sys.platform}.", requires.hint
    if requires.commands:
        from shutil import which

        for command in requires.commands:
            if which(command) is None:
                hint = (
                    requires.hint
                    or f"Install {command}, or load the environment module that has it."
                )
                yield f"{owner} needs the command {command!r}, which is not on the PATH.", hint
    for module in requires.modules:
        if not _importable(module):
            hint = requires.hint or f"Install the package that brings {module}."
            yield f"{owner} needs the module {module!r}, which is not installed.", hint


def _importable(module: str) -> bool:
    """Whether a module could be imported; it is not, though packages above it are."""
    from importlib.util import find_spec

    if module in sys.modules:
        return True
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


# --------------------------------------------------------------------------------- the Config's own


def _rules(config: Config, registry: Registry) -> Iterator[Problem]:
    """Whether the options that say which packages may be used can be used themselves."""
    hints = annotations_of(Config)
    for name in ("allow", "block", "prefer", "require_level"):
        trouble = misfit(getattr(config, name), hints[name])
        if trouble is not None:
            what = f"{shown(getattr(config, name))} is not allowed: {trouble}"
            yield Problem(
                code=_OPTION,
                place=name,
                what=what,
                remedy=described(getattr(attrs.fields(Config), name), hints),
            )
            return
    yield from _preferences(config.prefer, registry)
    yield from _packages("block", config.block, registry)
    yield from _packages("allow", config.allow or (), registry)


def _preferences(prefer: Mapping[str, str], registry: Registry) -> Iterator[Problem]:
    for key, dist in prefer.items():
        kind, found, name = key.partition(".")
        if not found or kind not in set(Kind):
            yield Problem(
                code=_OPTION,
                place=f"prefer[{key!r}]",
                what="A key is of the form 'kind.name'.",
                remedy="Write it as in prefer={'executor.htex': 'weft-htex'}.",
            )
            continue
        from weft.configuration.discovery import canonical

        dists = [offer.dist for offer in registry.offers(kind, name)]
        if canonical(dist) not in map(canonical, dists):
            offered = f"It is offered by: {', '.join(dists)}." if dists else "Nobody offers it."
            yield Problem(
                code="W-PLG-001",
                place=f"prefer[{key!r}]",
                what=f"The package {dist!r} offers no {kind} {name!r}. {offered}",
                remedy=f"Install {dist}, name another package, or leave the entry out.",
            )


def _packages(place: str, names: Sequence[str], registry: Registry) -> Iterator[Problem]:
    from weft.configuration.discovery import canonical

    known = {canonical(o.dist): o.dist for o in (*registry.offers(), *registry.hook_offers())}
    for name in names:
        near = nearest(canonical(name), known)
        # A package that is simply not installed is no reason to speak; one that is nearly there may
        # be a slip.
        if canonical(name) not in known and near:
            yield Problem(
                code=_SENSE,
                place=place,
                what=f"No installed package with plugins is called {name!r}.",
                remedy=f"Did you mean {' or '.join(repr(known[n]) for n in near)}?",
                severity=Severity.WARNING,
            )


def _options(config: Config) -> Iterator[Problem]:
    """The types of the Config's own options; those that were left out are right."""
    hints = annotations_of(Config)
    for field in attrs.fields(Config):
        value = getattr(config, field.name)
        if field.name in {*_LISTS, "serializer", "allow", "block", "prefer", "require_level"}:
            continue
        if field.name == "retry_handler":
            trouble = None if value is None or callable(value) else "it cannot be called."
        else:
            trouble = misfit(value, hints[field.name]) if field.name in hints else None
        if trouble is not None:
            what = f"{shown(value)} is not allowed: {trouble}"
            yield Problem(code=_OPTION, place=field.name, what=what, remedy=described(field, hints))


def folder_problems(config: Config) -> Iterator[Problem]:
    """Whether run folders can be made where they are to be made; nothing is made."""
    folder = config.run_dir.absolute()
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        what = f"{folder} cannot be made: {there} is a file."
    elif not os.access(there, os.W_OK | os.X_OK):
        what = (
            f"{folder} cannot be written."
            if there == folder
            else f"{folder} cannot be made: {there} cannot be written."
        )
    else:
        return
    yield Problem(
        code=_FOLDER,
        place="run_dir",
        what=what,
        remedy="Give Config(run_dir=...) a folder that you own and can write.",
    )


def _sense(config: Config) -> Iterator[Problem]:
    """Options that are right each by itself and make little sense together."""

    def warn(place: str, what: str, remedy: str) -> Problem:
        return Problem(
            code=_SENSE, place=place, what=what, remedy=remedy, severity=Severity.WARNING
        )

    if config.checkpoint and not config.memoize:
        yield warn(
            "checkpoint",
            "Results are written, but with memoize=False none of them is ever used.",
            "Leave memoize at True, or checkpoint at False.",
        )
    if config.backoff.first > config.backoff.most:
        yield warn(
            "backoff",
            f"The first wait ({config.backoff.first} s) is longer than the longest "
            f"({config.backoff.most} s).",
            "Raise backoff.most.",
        )
    if config.backoff.first and not config.retries:
        yield warn(
            "backoff",
            "With retries=0 nothing is tried again.",
            "Set retries, or leave backoff out.",
        )
    if config.when_full == "raise" and config.max_pending is None:
        yield warn("when_full", "Without max_pending nothing is ever full.", "Set max_pending.")


# ----------------------------------------------------------------------------- a file with a Config


def load_config(path: str | Path) -> Config:
    """The Config that a Python file makes: its variable ``config``, or what ``config()`` returns.

    The file runs as a module of its own, with its folder first on ``sys.path``.

    Raises:
        ConfigFileError: it cannot be read or run, or leaves no Config behind; with the line, where
            there is one.
    """
    file = Path(path)
    names = _run(file)
    found = names.get("config")
    if callable(found) and not isinstance(found, type):
        found = _guarded(file, found)
    if isinstance(found, Config):
        return found
    others = [name for name, value in names.items() if isinstance(value, Config)]
    if found is None and others:
        raise ConfigFileError(
            str(file),
            None,
            "it has no variable named 'config'.",
            why=f"It has a Config named {others[0]!r}.",
            todo=f"Rename {others[0]} to config.",
        )
    if found is None:
        raise ConfigFileError(
            str(file),
            None,
            "it has no variable named 'config'.",
            todo="End the file with config = Config(...), or define config() to return one.",
        )
    raise ConfigFileError(
        str(file),
        None,
        f"its 'config' is {_a(type(found).__name__)}, not a Config.",
        todo="Write config = weft.Config(executors=[...])."
        if isinstance(found, (Settings, list, tuple, dict))
        else "End the file with config = Config(...), or define config() to return one.",
    )


def _run(file: Path) -> dict[str, Any]:
    from types import ModuleType

    try:
        source = file.read_bytes()
    except OSError as trouble:
        raise ConfigFileError(
            str(file),
            None,
            f"it cannot be read: {trouble.strerror or trouble}.",
            todo="Mend the path.",
        ) from trouble
    module = ModuleType("__weft_config__")
    module.__file__ = str(file)
    # Classes and functions made by the file look their module up by name.
    sys.modules[module.__name__] = module
    folder = str(file.absolute().parent)
    sys.path.insert(0, folder)
    try:
        # Code that is run is what a configuration file is.
        _guarded(file, lambda: exec(compile(source, str(file), "exec"), vars(module)))  # noqa: S102
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    return module.__dict__


def _guarded(file: Path, call: Any) -> Any:
    try:
        return call()
    except ConfigFileError:
        raise
    except (Exception, SystemExit) as trouble:  # the file is the user's code
        raise _told(file, trouble) from trouble


def _told(file: Path, trouble: BaseException) -> ConfigFileError:
    if isinstance(trouble, SyntaxError) and trouble.filename == str(file):
        text = (trouble.text or "").strip()
        return ConfigFileError(
            str(file), trouble.lineno, f"{trouble.msg}.", why=f"The line is: {text}" if text else ""
        )
    line = _line_of(str(file), trouble)
    if isinstance(trouble, WeftError):
        return ConfigFileError(str(file), line, trouble.what, why=trouble.why, todo=trouble.todo)
    said = str(trouble.args[0]) if trouble.args else ""
    what = f"{type(trouble).__name__}: {said}" if said else type(trouble).__name__
    return ConfigFileError(str(file), line, f"{what.rstrip('.')}.", todo="Mend that line.")


def _line_of(name: str, trouble: BaseException) -> int | None:
    """The deepest line of the file that was being run."""
    line = None
    step = trouble.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == name:
            line = step.tb_lineno
        step = step.tb_next
    return line


# ------------------------------------------------------------------------------------------ wording


def _kind_of(settings: Settings) -> str:
    return str(getattr(settings, "kind", "component"))


def _plugin_of(settings: Settings) -> str:
    return str(getattr(settings, "plugin", "?"))


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _A(noun: str) -> str:  # noqa: N802 - the same, at the start of a sentence
    return _a(noun).capitalize()
