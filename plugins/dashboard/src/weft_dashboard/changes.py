"""What is new in data that is plain: JSON merge patches (RFC 7396), and their text. Pure."""

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["as_json", "patch"]


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What makes one object of another: only what differs, ``None`` for what is there no more.

    Args:
        before: an object of JSON, in which no value is ``None``: a merge patch has no other word
            for what is to be removed.
        after: another one.
    """
    found: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, new in after.items():
        if key not in before:
            found[key] = new
            continue
        old = before[key]
        if old is new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            inner = patch(old, new)
            if inner:
                found[key] = inner
        elif old != new:
            found[key] = new
    return found


def as_json(data: Any) -> bytes:
    """Data as JSON in ASCII. Numbers that JSON does not have, such as infinity, become 0."""
    try:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else 0.0
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
