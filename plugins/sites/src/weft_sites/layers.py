"""Pure: a site over its bases becomes one site, and what a user says becomes a configuration."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from weft_sites.values import Answer, BadSite, Site

__all__ = ["Unfilled", "filled", "layered"]

_DEEPEST: Final = 8
_BRACED: Final = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[{}]")


class Unfilled(ValueError):
    """What a user said is too little, or wrong. Each argument is a sentence about one thing."""


def layered(site: Site, find: Callable[[str], Site]) -> Site:
    """A site with the values of its bases where it is silent.

    Tables are laid over one another option by option; all else takes the place of what the base
    has. A component in a component whose ``plugin`` is another one takes its place as a whole,
    since the options of one mean nothing to the other.

    Args:
        site: the site.
        find: gives a site by its name.

    Raises:
        BadSite: the bases lead in a circle, or one is not there.
    """
    chain = [site]
    while chain[-1].base:
        names = [one.name for one in chain]
        if chain[-1].base in names or len(chain) > _DEEPEST:
            raise BadSite(f"Its bases lead in a circle: {' over '.join([*names, chain[-1].base])}.")
        chain.append(find(chain[-1].base))
    result = chain.pop()
    while chain:
        result = _over(chain.pop(), result)
    return attrs.evolve(result, base="")


def _over(upper: Site, lower: Site) -> Site:
    return attrs.evolve(
        upper,
        packages=tuple(dict.fromkeys([*lower.packages, *upper.packages])),
        notes=upper.notes or lower.notes,
        fill={**lower.fill, **upper.fill},
        config=_merged(upper.config, lower.config),
        executors=_merged(upper.executors, lower.executors),
    )


def _merged(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    if upper.get("plugin", lower.get("plugin")) != lower.get("plugin"):
        return dict(upper)
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _merged(value, below)  # noqa: PLW2901 - laid over what is below
        merged[key] = value
    return merged


def filled(site: Site, said: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of ``weft.Config`` and of the executors, with what the user says in its place.

    Text that is nothing but ``{name}`` becomes the number, or the truth, that was said. An option
    that stands on something without a default that need not be said is not there.

    Args:
        site: a layered site.
        said: what the user says, by name.

    Raises:
        Unfilled: with a sentence for each thing that is missing, wrong, or not asked for.
    """
    wrong = [
        f"{name} is nothing that {site.name} asks for." for name in said if name not in site.fill
    ]
    answers: dict[str, Answer] = {}
    for name, fill in site.fill.items():
        if name in said:
            try:
                answers[name] = fill.answer(said[name])
            except ValueError as trouble:
                wrong.append(f"{name}: {trouble}. {fill.help}")
        elif fill.default is not None:
            answers[name] = fill.default
        else:
            like = f" Such as {name}={fill.example}." if fill.example else ""
            wrong.append(f"{name} must be said: {fill.help}{like}")
    if wrong:
        raise Unfilled(*wrong)
    if not site.executors:
        raise Unfilled(f"{site.name} has no executor; it is a base for others.")
    return _with(site.config, answers), _with(site.executors, answers)


def _with(value: Any, answers: Mapping[str, Answer]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with(one, answers) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_with(one, answers) for one in value]
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\{([a-z][a-z0-9_]*)\}", value)
    if whole and whole[1] in answers:
        return answers[whole[1]]
    return _BRACED.sub(lambda found: _replaced(found, answers), value)


def _replaced(found: "re.Match[str]", answers: Mapping[str, Answer]) -> str:
    if found[0] in {"{{", "}}"}:
        return found[0][0]
    if found[1] is None:
        raise Unfilled(f"A brace stands alone in {found.string!r}; write it twice.")
    if found[1] not in answers:
        raise Unfilled(f"{found.string!r} asks for {found[1]}, of which [fill] says nothing.")
    return str(answers[found[1]])
