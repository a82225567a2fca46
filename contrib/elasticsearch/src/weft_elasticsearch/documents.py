"""What events are as documents, and what kind of value each field has.

Documents are flat: the fields of all classes of events share one set of names, which is possible
since a name has one kind of value wherever it stands. Two that have not are renamed.

Knows no network, no thread and no clock.
"""

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from weft.values.events import Event, ResourceSample, as_data

__all__ = ["LONGEST", "MAPPINGS", "RENAMED", "document", "size_of"]

LONGEST: Final = 100_000
"""Characters of a text that are kept; of longer ones the rest is left out."""

RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    # RunStarted has a user who is a person.
    ResourceSample.__name__: {"user": "cpu_user", "system": "cpu_system"}
}
"""Names that another class has for something else, by class."""

_KEYWORD: Final = {"type": "keyword", "ignore_above": 8191}
_WORDS: Final = {"type": "text"}
_WHOLE: Final = {"type": "long"}
_NUMBER: Final = {"type": "double"}
_YES_OR_NO: Final = {"type": "boolean"}

MAPPINGS: Final[Mapping[str, Any]] = {
    # A text that looks like a date would make all later ones of its field be refused.
    "date_detection": False,
    "numeric_detection": False,
    "dynamic_templates": [{"other_texts": {"match_mapping_type": "string", "mapping": _KEYWORD}}],
    "properties": {
        "@timestamp": {"type": "date"},
        **dict.fromkeys(
            (
                *("run", "recorder", "event", "run_id", "folder", "program", "weft_version"),
                *("host", "user", "python", "command", "cwd", "label", "plugin", "executor"),
                *("block", "job", "state", "manager", "app", "inputs", "outputs", "place"),
                *("ended", "level", "logger", "url", "way", "source"),
            ),
            _KEYWORD,
        ),
        **dict.fromkeys(
            (
                *("reason", "packages", "detail", "error", "text", "arguments", "result"),
                "traceback",
            ),
            _WORDS,
        ),
        **dict.fromkeys(
            (
                *("seq", "pid", "managers", "exit_code", "workers", "task", "needs", "attempt"),
                *("dropped", "resident", "virtual", "peak", "read", "written", "processes"),
                *("gpu_memory", "size", "done", "total", "failed", "cancelled", "lost_events"),
            ),
            _WHOLE,
        ),
        **dict.fromkeys(("begun", "seconds", "delay", "cpu_user", "cpu_system"), _NUMBER),
        "last": _YES_OR_NO,
    },
}
"""What an index is made with. A field that is not here is mapped by the first value it gets."""


def document(event: Event) -> dict[str, Any]:
    """The fields of an event; those without a value are left out."""
    data = as_data(event)
    kind = data["event"]
    renamed = RENAMED.get(kind, {})
    made: dict[str, Any] = {"@timestamp": _date(data.pop("time", 0.0))}
    for name, value in data.items():
        if value is None or value in ("", ()):
            continue
        if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
            continue
        made["task" if name == "id" else renamed.get(name, name)] = _plain(value)
    return made


def _date(seconds: float) -> str:
    """The moment as ISO 8601, in UTC, to the microsecond."""
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:06}Z"


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        # What is no text, such as half of a pair, no server takes.
        return value[:LONGEST].encode("utf-8", "replace").decode()
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, int | float):
        return value
    # A plugin has put in what is none of its business; one such value must not cost its neighbours.
    return _plain(repr(value))


def size_of(made: Mapping[str, Any]) -> int:
    """About how many bytes a document has on the wire."""
    texts = [one for one in made.values() if isinstance(one, str)]
    lists = [one for one in made.values() if isinstance(one, list)]
    return 200 + 20 * len(made) + 2 * sum(map(len, texts)) + 20 * sum(map(len, lists))
