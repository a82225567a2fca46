"""URLs: what is asked for, whether a redirect may be followed, and who may be told a secret. Pure.

https://host:8443/run 7/reads.bam?part=2#sha256=9f86d0…
        └ server ┘ └─────── path ──────┘ └ what is expected; never sent
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import attrs

from weft.data.urls import host_of
from weft_http.settings import checked_sum
from weft_http.trouble import Trouble

__all__ = ["Address", "expected_sum", "follow", "parse"]

_PORTS: Final = {"http": 80, "https": 443}
_AS_IT_IS: Final = "!#$%&'()*+,/:;=?@[]~-._"
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


@attrs.frozen
class Address:
    """Where a file is.

    Attributes:
        scheme: ``http`` or ``https``.
        host: in lower case, as it is looked up.
        port: also where the URL says none.
        path: with the query, encoded as it is sent.
        named: whether the port is the scheme's own, or the one that the user wrote; so what the
            user said of the host by its name alone goes for it.
    """

    scheme: str
    host: str
    port: int
    path: str
    named: bool = True

    @property
    def server(self) -> str:
        """The host and, where it is not the scheme's own, the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """As it is asked for."""
        return f"{self.scheme}://{self.server}{self.path}"

    @property
    def shown(self) -> str:
        """For messages: without the query, which may hold a signature."""
        return self.url.partition("?")[0]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whose answer it is."""
        return self.scheme, self.host, self.port


def parse(url: str) -> Address:
    """What a URL asks for.

    Raises:
        Trouble: it is no URL that can be asked for, or it holds a password.
    """
    if any(letter < " " or letter == "\x7f" for letter in url):
        raise Trouble(
            "The URL holds a line break or another control character.",
            "Write it encoded, as %0A, if the name of the file really has one.",
        )
    if "@" in host_of(url):
        raise Trouble(
            "The URL holds a user or a password, which would be seen in logs.",
            "Write them into ~/.netrc, as 'machine HOST login USER password PASSWORD', and the URL "
            "without them.",
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError as error:
        raise Trouble(f"The URL cannot be used: {error}.", "Mend the URL.") from None
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host) or port == 0:
        raise Trouble(
            f"The URL names no host: {host_of(url)!r}.", "Write https://host/path of the file."
        )
    path = quote(parts.path or "/", safe=_AS_IT_IS.replace("?", "").replace("#", ""))
    if parts.query:
        path += "?" + quote(parts.query, safe=_AS_IT_IS.replace("#", ""))
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], path)


def follow(
    at: Address, location: str, *, method: str, status: int, allow_downgrade: bool
) -> Address:
    """Where a redirect leads.

    Args:
        at: what was asked for.
        location: what the answer said, as its header was decoded.
        method: what was asked.
        status: of the answer.
        allow_downgrade: whether it may lead from https to http.

    Raises:
        Trouble: it is not to be followed.
    """
    if method == "PUT" and status == 303:
        raise Trouble(
            f"{at.server} answered a PUT with the address of something else (303).",
            "Look up in the documentation of the service where files are put.",
        )
    # Headers are decoded as Latin-1; names are mostly UTF-8.
    raw = location.strip().encode("latin-1", "replace")
    try:
        to = urljoin(at.url, quote(raw, safe=_AS_IT_IS))
        if not raw or urlsplit(to).scheme.lower() not in _PORTS:
            raise Trouble(f"It names {urlsplit(to).scheme if raw else 'no place'!r}.")
        found = parse(to)
    except (Trouble, ValueError) as error:
        # Not all of the words, which may hold the password of another.
        why = error.reason if isinstance(error, Trouble) else f"{error}."
        raise Trouble(
            f"{at.server} says that the file is elsewhere, where it cannot be looked for. {why}",
            "Ask who runs the server.",
        ) from None
    if at.scheme == "https" and found.scheme == "http" and not allow_downgrade:
        raise Trouble(
            f"{at.server} leads from https to http, to {found.shown!r}, where others can read and "
            "change the file on its way.",
            "Name that URL yourself if it may be so, or set allow_downgrade=True.",
        )
    same = found.host == at.host and found.port == at.port
    return attrs.evolve(found, named=at.named if same else found.port == _PORTS[found.scheme])


def expected_sum(url: str, checksums: Mapping[str, str]) -> tuple[str, str] | None:
    """The checksum that a file must have, as the end of its URL or the settings say.

    Raises:
        Trouble: what stands behind ``#`` looks like one, and is none.
    """
    bare, _, fragment = url.partition("#")
    if "=" in fragment:
        try:
            return checked_sum(fragment)
        except ValueError as error:
            raise Trouble(
                f"What stands behind '#' in the URL is no checksum: {error}.",
                "Write #sha256= and 64 hexadecimal digits; a '#' of the name itself as %23.",
            ) from None
    found = checksums.get(url) or checksums.get(bare)
    return checked_sum(found) if found else None
