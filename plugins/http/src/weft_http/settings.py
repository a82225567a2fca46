"""The options of the stager ``http``. Light."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
from attrs.validators import ge, gt, instance_of, optional

from weft.values.settings import StagerSettings, setting

__all__ = ["SIZES", "Http", "checked_sum"]

SIZES: Final[Mapping[str, int]] = {"sha512": 128, "sha384": 96, "sha256": 64, "sha1": 40, "md5": 32}
"""Letters of a checksum in hexadecimal, the most trustworthy first."""

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/@:\[\]?#]+)(:\d+)?")
_SOURCE: Final = re.compile(r"env:[A-Za-z_]\w*|file:[^\0\n]+")


def checked_sum(text: str) -> tuple[str, str]:
    """The algorithm and the lower-case digits of a checksum such as ``sha256:9f86d0…``.

    Raises:
        ValueError: it is none.
    """
    name, _, digits = text.replace("=", ":", 1).partition(":")
    name, digits = name.strip().lower().replace("-", ""), digits.strip().lower()
    if name not in SIZES:
        raise ValueError(f"{text!r} does not begin with one of {', '.join(SIZES)}")
    if len(digits) != SIZES[name] or not re.fullmatch(r"[0-9a-f]+", digits):
        raise ValueError(f"{text!r} does not have the {SIZES[name]} hexadecimal digits of {name}")
    return name, digits


# Fields are Any below: attrs.Attribute is generic for checkers and not when the program runs, where
# the kit looks at annotations.
def _are_tokens(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(
            "tokens says for each host where its token is, such as "
            "{'data.example.org': 'env:DATA_TOKEN'}"
        )
    for host, source in value.items():
        if not isinstance(host, str) or not _HOST.fullmatch(host):
            raise ValueError(f"tokens names {host!r}, which is no host such as 'data.example.org'")
        # Without the value: whoever wrote a token there must not find it in a log.
        if not isinstance(source, str) or not _SOURCE.fullmatch(source):
            raise ValueError(
                f"tokens does not say for {host!r} where the token is; write 'env:NAME' for a "
                "variable of the environment or 'file:PATH' for a file, never the token itself"
            )


def _are_hosts(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(host, str) and _HOST.fullmatch(host) for host in value
    ):
        raise ValueError(
            f"{field.name} is a sequence of hosts, such as ('localhost',), not {value!r}"
        )


def _are_sums(_instance: object, _field: Any, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError("checksums says for each URL what is expected, such as 'sha256:9f86d0…'")
    for url, text in value.items():
        if not isinstance(text, str):
            raise TypeError(f"checksums has {text!r} for {url!r}, which is no text")
        try:
            checked_sum(text)
        except ValueError as trouble:
            raise ValueError(f"checksums, for {url!r}: {trouble}") from None


_SECONDS: Final[Any] = [instance_of((int, float)), gt(0)]


@attrs.frozen(kw_only=True)
class Http(StagerSettings):
    """Files of web servers and of what speaks like one.

    No option holds a password or a token: those are in ``~/.netrc``, in variables of the
    environment and in files, on each machine that fetches for itself.
    """

    plugin: ClassVar[str] = "http"

    connect_timeout: float = setting(
        20.0,
        help="How long a server may take to accept a connection, TLS included.",
        unit="seconds",
        validator=_SECONDS,
    )
    read_timeout: float = setting(
        60.0,
        help="How long a server may be silent in the middle of an answer or of what is sent to it.",
        unit="seconds",
        validator=_SECONDS,
    )
    connections: int = setting(
        8,
        help="Connections to one server at once; further transfers wait for one of them.",
        unit="connections",
        validator=[instance_of(int), ge(1)],
    )
    max_redirects: int = setting(
        10,
        help="How often a server may say that a file is elsewhere, for one file.",
        unit="redirects",
        validator=[instance_of(int), ge(0)],
    )
    allow_downgrade: bool = setting(
        False,
        help="Whether a redirect may lead from https to http, where others can read and change "
        "the file on its way.",
        validator=instance_of(bool),
    )
    netrc: str | None = setting(
        None,
        help="The file with logins, by 'machine' lines; $NETRC or ~/.netrc when left out, none "
        "when empty. Its 'default' line is not used, so that no host gets what was not meant for "
        "it.",
        validator=optional(instance_of(str)),
    )
    tokens: Mapping[str, str] = setting(
        factory=dict,
        help="For each host where its bearer token is: 'env:NAME' or 'file:PATH', read anew for "
        "each transfer. A host may have a port, as 'localhost:8443'.",
        validator=_are_tokens,
    )
    plain_hosts: Sequence[str] = setting(
        (),
        help="Hosts to which passwords and tokens may go by http, where others can read them.",
        converter=lambda given: given if isinstance(given, str) else tuple(given),
        validator=_are_hosts,
    )
    ca_file: str | None = setting(
        None,
        help="The file with the certificates of authorities to trust, in place of the system's.",
        validator=optional(instance_of(str)),
    )
    client_certificate: str | None = setting(
        None,
        help="The file with the certificate by which this user is known, and its key unless "
        "client_key names that.",
        validator=optional(instance_of(str)),
    )
    client_key: str | None = setting(
        None,
        help="The file with the key of client_certificate, without a passphrase.",
        validator=optional(instance_of(str)),
    )
    proxies: bool = setting(
        True,
        help="Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment are followed.",
        validator=instance_of(bool),
    )
    resume: bool = setting(
        True,
        help="Whether what has come of a file is kept when the connection breaks, and the next "
        "try goes on there.",
        validator=instance_of(bool),
    )
    unknown_length: bool = setting(
        False,
        help="Whether a file is taken of which the server says neither length nor end, so that "
        "one that was cut short looks whole.",
        validator=instance_of(bool),
    )
    checksums: Mapping[str, str] = setting(
        factory=dict,
        help="For each URL the checksum that its content must have, as 'sha256:…'; the same as "
        "'#sha256=…' at the end of the URL.",
        validator=_are_sums,
    )
    sync: bool = setting(
        False,
        help="Whether a file is on the disk, and not only in the system's memory, before its task "
        "starts.",
        validator=instance_of(bool),
    )
