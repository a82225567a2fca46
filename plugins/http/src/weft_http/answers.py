"""What the headers of an answer say of a file. Pure."""

import base64
import binascii
import datetime as dt
import email.utils
import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from weft_http.settings import SIZES
from weft_http.trouble import Trouble

__all__ = ["Facts", "facts_of", "of_status", "sums_of"]

_RANGE: Final = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", re.IGNORECASE)
_STRONG: Final = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_WEAK: Final = re.compile(r'W/"[\x21\x23-\x7e\x80-\xff]*"')
_STEADY: Final = dt.timedelta(seconds=1)
_MEMBER: Final = re.compile(r"([A-Za-z0-9-]+)\s*=\s*(:?)([A-Za-z0-9+/=_-]+)(:?)")


@attrs.frozen(kw_only=True)
class Facts:
    """What an answer says of the file.

    Attributes:
        total: bytes of the whole file; ``None`` if it does not say.
        start: where what it sends begins.
        ends: whether one can tell from the answer itself where it ends.
        condition: what goes into ``If-Range`` to go on with this very content; empty if nothing
            that is sure enough.
        validator: see ``Stager.validator``.
        encoding: how the content is packed; empty if it is not.
        sums: checksums of the whole file, by algorithm.
    """

    total: int | None
    start: int
    ends: bool
    condition: str
    validator: str | None
    encoding: str
    sums: Mapping[str, str]


def facts_of(status: int, headers: Mapping[str, str]) -> Facts:
    """Read the headers of an answer, whose names are looked up in any case.

    Raises:
        Trouble: they contradict themselves.
    """
    length = _length_of(headers)
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding == "identity":
        encoding = ""
    start, total = 0, None if chunked else length
    if status == 206:
        start, total = _range_of(headers.get("Content-Range", ""), length)
    tag, modified = headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()
    strong = tag if _STRONG.fullmatch(tag) else ""
    steady = modified if _is_steady(modified, headers.get("Date", "")) else ""
    sums = {} if encoding else sums_of(headers, whole=status != 206)
    return Facts(
        total=None if encoding else total,
        start=start,
        ends=chunked or length is not None,
        condition="" if encoding else strong or steady,
        validator=_validator(strong, tag if _WEAK.fullmatch(tag) else "", steady, sums, total),
        encoding=encoding,
        sums=sums,
    )


def _length_of(headers: Mapping[str, str]) -> int | None:
    said = {one.strip() for one in headers.get("Content-Length", "").split(",") if one.strip()}
    if not said:
        return None
    if len(said) > 1 or not all(one.isascii() and one.isdigit() for one in said):
        raise Trouble(
            f"The server says that the file has {' and '.join(sorted(said))!r} bytes.",
            "Ask who runs the server.",
            again=True,
        )
    return int(said.pop())


def _range_of(text: str, length: int | None) -> tuple[int, int | None]:
    found = _RANGE.fullmatch(text.strip())
    if found is None or found[1] is None:
        raise Trouble(
            f"The server sends a part of the file, and does not say which: {text[:80]!r}.",
            "Set resume=False if it happens again.",
            again=True,
        )
    start, last = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    if last < start or (total is not None and last >= total):
        raise Trouble(f"The server sends a part that cannot be: {text!r}.", again=True)
    if length is not None and length != last - start + 1:
        raise Trouble(
            f"The server says that it sends {text!r}, and that this is {length:,} bytes.",
            again=True,
        )
    return start, total


def _is_steady(modified: str, date: str) -> bool:
    """Whether a file that changed again would have another time by now (RFC 9110, 8.8.2.2)."""
    then, now = _time_of(modified), _time_of(date)
    return then is not None and now is not None and now - then > _STEADY


def _time_of(text: str) -> dt.datetime | None:
    try:
        found = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _validator(
    strong: str, weak: str, steady: str, sums: Mapping[str, str], total: int | None
) -> str | None:
    if strong:
        return strong
    if sums:
        name = next(iter(sums))
        return f"{name}:{sums[name]}"
    if not steady or total is None:
        # A weak tag alone says only that the content means the same, not that it is the same.
        return None
    return f"{steady}; {total}; {weak}" if weak else f"{steady}; {total}"


# ---------------------------------------------------------------------------------------- checksums


def sums_of(headers: Mapping[str, str], *, whole: bool) -> dict[str, str]:
    """The checksums of the whole file that headers give, the most trustworthy first.

    Read are ``Repr-Digest`` and ``Content-Digest`` (RFC 9530), ``Digest`` (RFC 3230),
    ``Content-MD5`` (RFC 1864), ``X-Checksum-*`` of artifact stores, and those of Google and Amazon.
    What cannot be read says nothing.

    Args:
        headers: of the answer.
        whole: whether its content is the whole file, and not a part of it.
    """
    found: dict[str, str] = {}
    for name, digits in _said(headers, whole=whole):
        if name in SIZES and len(digits) == SIZES[name]:
            found.setdefault(name, digits)
    return {name: found[name] for name in SIZES if name in found}


def _said(headers: Mapping[str, str], *, whole: bool) -> Iterator[tuple[str, str]]:
    lists = ["Repr-Digest", "Digest", "X-Goog-Hash"]
    if whole:
        lists.append("Content-Digest")
    for header in lists:
        for member in _MEMBER.finditer(headers.get(header, "")):
            name = member[1].lower().replace("-", "")
            yield {"sha": "sha1"}.get(name, name), _from_base64(member[3])
    if whole:
        yield "md5", _from_base64(headers.get("Content-MD5", ""))
    for name in SIZES:
        yield name, headers.get(f"X-Checksum-{name}", "").strip().lower()
        yield name, _from_base64(headers.get(f"X-Amz-Checksum-{name}", ""))


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text.strip(), validate=True).hex()
    except (binascii.Error, ValueError):
        return ""


# ----------------------------------------------------------------------------------------- refusals

_AGAIN: Final = frozenset({408, 421, 423, 425, 429, 500, 502, 503, 504, 507, 509})


def of_status(
    status: int,
    said: str,
    headers: Mapping[str, str],
    *,
    server: str,
    sending: bool,
    told: str = "",
) -> Trouble:
    """What an answer means that is no success.

    Args:
        status: of the answer.
        said: the server's own words, one line.
        headers: of the answer.
        server: the host and port, for people.
        sending: whether a file was to go there.
        told: what it was told of who asks: ``""``, ``"token"`` or ``"password"``; or ``"kept"``
            where there is one that does not go by http.
    """
    words = f"{server} answered {status}" + (f" {said}" if said else "")
    again = status in _AGAIN or status >= 520
    if status in {401, 403} and told == "kept":
        return Trouble(
            f"{words}. There is a login for it, which is not sent by http, where others could "
            "read it.",
            "Write https://, or name the host in the option plain_hosts.",
        )
    wait = _wait(headers.get("Retry-After", ""), headers.get("Date", ""))
    if again and wait is not None:
        return Trouble(
            f"{words}. It asks to come back in {wait:,} seconds.",
            _todo(status, told),
            again=True,
            retry_after=min(wait, _LONGEST_WAIT),
        )
    return Trouble(f"{words}.", _todo(status, told, sending=sending), again=again)


_LONGEST_WAIT: Final = 3600
"""Seconds to leave a server alone for, even if it asks for more: a try costs it little."""


def _wait(text: str, date: str) -> int | None:
    """Seconds that ``Retry-After`` asks for, which gives a number or a time."""
    if text.strip().isdecimal():
        return int(text.strip())
    then, now = _time_of(text), _time_of(date)
    if then is None:
        return None
    now = now or dt.datetime.now(dt.UTC)
    return max(0, round((then - now).total_seconds()))


def _todo(status: int, told: str, *, sending: bool = False) -> str:
    if status == 401 and not told:
        return (
            "Write a login into ~/.netrc, as 'machine HOST login USER password PASSWORD', or say "
            "by the option tokens where the token is."
        )
    if status in {401, 403} and told:
        return f"The {told} was sent; see whether it is the right one, and has not expired."
    if status == 409 and sending:
        return "Often the folder is not there: make it, or let the server make folders."
    if status in {405, 501} and sending:
        return "The server takes no files by PUT here; look up where it does."
    return _TODO.get(status, "")


_TODO: Final[Mapping[int, str]] = {
    403: "You may not have it; ask who keeps the file.",
    404: "Look at the spelling of the URL, in a browser for example.",
    407: "The proxy wants a login: put it into HTTPS_PROXY, as http://USER:PASSWORD@host:port.",
    410: "The file was taken away for good; ask who kept it.",
    413: "The server takes no files of that size; ask who runs it.",
    429: "Too much is asked at once: set a smaller number by the option connections.",
    507: "Make room on the server.",
}
