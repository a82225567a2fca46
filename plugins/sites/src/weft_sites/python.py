"""Pure: a filled-in site becomes the text of a Python configuration that its user owns."""

import keyword
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from weft_sites.values import Site

__all__ = ["KINDS", "program"]

KINDS: Final = frozenset({"provider", "launcher", "serializer"})
"""Options of an executor that are components of their own."""
_WIDTH: Final = 88


def program(site: Site, config: Mapping[str, Any], executors: Mapping[str, Any]) -> str:
    """A Python file that defines ``config``.

    Args:
        site: where it is from.
        config: options of ``weft.Config``.
        executors: options of each executor by its label.
    """
    made = [
        _Call("weft.executor", str(one["plugin"]), _labelled(label, one))
        for label, one in executors.items()
    ]
    body = _call("weft.Config", None, [*config.items(), ("executors", made)], 0, len("config = "))
    head = [
        f"{site.title}.",
        "",
        f"From the site file {site.name}; its values are those of",
        site.source,
    ]
    head[-1] += f" as of {site.date.isoformat()}."
    if site.packages:
        head += ["", f"It needs: pip install {' '.join(site.packages)}"]
    if site.notes:
        head += ["", *site.notes.splitlines()]
    text = "\n".join(line.replace("\\", "\\\\").replace('"""', "'''") for line in head)
    return f'"""{text}\n"""\n\nimport weft\n\nconfig = {body}\n'


def _labelled(label: str, one: Mapping[str, Any]) -> list[tuple[str, Any]]:
    options = [(key, _component(key, value)) for key, value in one.items() if key != "plugin"]
    return options if label == one["plugin"] else [("label", label), *options]


def _component(key: str, value: Any) -> Any:
    if key in KINDS and isinstance(value, Mapping) and "plugin" in value:
        inner = [(k, _component(k, v)) for k, v in value.items() if k != "plugin"]
        return _Call(f"weft.{key}", str(value["plugin"]), inner)
    return value


class _Call:
    """A call of a function with a name and options, yet to be written."""

    def __init__(self, function: str, name: str, options: Sequence[tuple[str, Any]]) -> None:
        self.function, self.name, self.options = function, name, options


def _call(
    function: str, name: str | None, options: Iterable[tuple[str, Any]], indent: int, before: int
) -> str:
    plain = {key: value for key, value in options if _is_name(key)}
    odd = {key: value for key, value in options if not _is_name(key)}
    first = [] if name is None else [repr_of(name)]
    parts = [
        *first,
        *(f"{key}={_value(value, indent + 4, len(key) + 1)}" for key, value in plain.items()),
    ]
    if odd:
        parts.append(f"**{_value(odd, indent + 4, 2)}")
    line = f"{function}({', '.join(parts)})"
    if "\n" not in line and indent + before + len(line) <= _WIDTH:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{part},\n" for part in parts)
    return f"{function}(\n{inner}{' ' * indent})"


def _is_name(key: str) -> bool:
    return key.isidentifier() and not keyword.iskeyword(key)


def _value(value: Any, indent: int, before: int) -> str:
    if isinstance(value, _Call):
        return _call(value.function, value.name, value.options, indent, before)
    if isinstance(value, Mapping):
        parts = [f"{repr_of(key)}: {_value(one, indent + 4, 0)}" for key, one in value.items()]
        return _bracketed("{", parts, "}", indent, before)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _bracketed("[", [_value(one, indent + 4, 0) for one in value], "]", indent, before)
    return repr_of(value)


def _bracketed(left: str, parts: Sequence[str], right: str, indent: int, before: int) -> str:
    line = f"{left}{', '.join(parts)}{right}"
    if "\n" not in line and indent + before + len(line) <= _WIDTH:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{part},\n" for part in parts)
    return f"{left}\n{inner}{' ' * indent}{right}"


def repr_of(value: object) -> str:
    """A value as source text, with double quotes where that needs no escape."""
    text = repr(value)
    if isinstance(value, str) and text[0] == "'" and '"' not in text:
        return f'"{text[1:-1]}"'
    return text
