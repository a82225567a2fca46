"""What stagers do with URLs alike: passwords are not shown, and parts are known again. Pure."""

import hashlib

__all__ = ["host_of", "is_secret", "masked", "part_for"]


def part_for(name: str, validator: str) -> str:
    """A name for what has come of a file so far, while its validator is the same.

    Args:
        name: the name under which the file is to lie in the end.
        validator: what the other side says of its content; see ``Stager.validator``.
    """
    mark = hashlib.sha256(f"{name}\0{validator}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f".{mark}.part"


def host_of(url: str) -> str:
    """What stands between ``://`` and the next slash, as it is written: also what was no host."""
    rest = url.partition("://")[2]
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    return rest


def is_secret(url: str) -> bool:
    """Whether a password stands before the host of a URL."""
    user, found, _ = host_of(url).rpartition("@")
    return bool(found) and ":" in user


def masked(url: str) -> str:
    """The URL without a password that stands before its host, for messages."""
    if not is_secret(url):
        return url
    scheme, _, rest = url.partition("://")
    login, _, host = host_of(url).rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}:***@{host}{rest[len(login) + 1 + len(host) :]}"
