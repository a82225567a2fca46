"""The options of the monitor ``elasticsearch``. Light."""

import re
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, instance_of

from weft.values.settings import MonitorSettings, setting

__all__ = ["Elasticsearch"]

_INDEX: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_server(_instance: object, field: Any, value: str) -> None:
    try:
        parts = urlsplit(value)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or not value.isprintable():
        raise ValueError(
            f"{field.name} is a URL such as https://search.example.org:9200, not one that begins "
            f"with {value.partition('://')[0]!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        # Settings are shown, logged and kept beside results.
        raise ValueError(
            f"{field.name} has a user, a query or a fragment in it; leave who you are in the "
            "variable ELASTICSEARCH_API_KEY, or in ELASTICSEARCH_USERNAME and "
            "ELASTICSEARCH_PASSWORD, where only the one who needs it sees it"
        )


def _is_index(_instance: object, field: Any, value: str) -> None:
    if not _INDEX.fullmatch(value):
        raise ValueError(
            f"{field.name} is a name of lower-case letters, digits, '.', '_' and '-' that begins "
            f"with a letter or a digit, not {value!r}"
        )


@attrs.frozen(kw_only=True)
class Elasticsearch(MonitorSettings):
    """Documents of what happens: one for each event, in an index that all runs share.

    Who writes is said by the variable ``ELASTICSEARCH_API_KEY``, or by ``ELASTICSEARCH_USERNAME``
    and ``ELASTICSEARCH_PASSWORD``.
    """

    plugin: ClassVar[str] = "elasticsearch"

    server: str = setting(
        "http://localhost:9200",
        help="The server, by its URL.",
        validator=[instance_of(str), _is_server],
    )
    index: str = setting(
        "weft",
        help="The index, or the data stream, that documents are added to; an index of that name "
        "is made if there is nothing.",
        validator=[instance_of(str), _is_index],
    )
    ca_certs: str = setting(
        "",
        help="A file with the certificates that a server with https is believed by; those of the "
        "system when left out.",
        validator=instance_of(str),
    )
    required: bool = setting(
        True,
        help="Whether a run does not start when the server does not answer; with False it is told "
        "of, and tried again while the run goes on.",
        validator=instance_of(bool),
    )
    timeout: float = setting(
        2.5,
        help="How long the server may take to answer.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
    closing: float = setting(
        3.0,
        help="How long the end of the run waits for what is not there yet; a session gives all its "
        "monitors together five seconds, and then ends without them.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
    backlog: int = setting(
        200_000,
        help="How many events may wait for a server that is slow or gone; what comes then is left "
        "out, counted and told of.",
        unit="events",
        validator=[instance_of(int), ge(1000)],
    )
