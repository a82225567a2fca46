"""Who is told what: logins of ``netrc``, tokens from the environment and from files."""

import base64
import netrc
import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from weft_http.addresses import Address
from weft_http.settings import Http
from weft_http.trouble import Trouble

__all__ = ["Login", "login_for", "logins_in", "token_from"]


@attrs.frozen
class Login:
    """What goes to one server.

    Attributes:
        header: the value of ``Authorization``; empty if none goes.
        told: ``"token"``, ``"password"``, ``"kept"`` for one that does not go by http, or empty.
    """

    header: str = attrs.field(default="", repr=False)
    told: str = ""


def login_for(address: Address, settings: Http) -> Login:
    """What the server of an address is told of who asks.

    It is looked up anew for each server, so that no redirect takes it along to another one. What
    is said of a host by its name alone does not go to another port to which a redirect leads.

    Raises:
        Trouble: it is said where it is, and cannot be read.
    """
    token = _token_source(address, settings)
    entry = None if token or not address.named else _entry(address.host, settings.netrc)
    if token is None and entry is None:
        return Login()
    if address.scheme != "https" and not _among(address, settings.plain_hosts):
        return Login(told="kept")
    if token is not None:
        return Login(f"Bearer {token_from(token, address.server)}", "token")
    assert entry is not None
    user, password = entry
    packed = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return Login(f"Basic {packed}", "password")


def _names(address: Address) -> tuple[str, ...]:
    host = f"[{address.host}]" if ":" in address.host else address.host
    exact = f"{host}:{address.port}"
    return (exact, host) if address.named else (exact,)


def _token_source(address: Address, settings: Http) -> str | None:
    known = {host.lower(): source for host, source in settings.tokens.items()}
    return next((known[name] for name in _names(address) if name in known), None)


def _among(address: Address, hosts: object) -> bool:
    assert isinstance(hosts, tuple)
    return any(name in {host.lower() for host in hosts} for name in _names(address))


def token_from(source: str, server: str) -> str:
    """The token that ``env:NAME`` or ``file:PATH`` leads to.

    Args:
        source: as in the option ``tokens``.
        server: whom it is for, for people.

    Raises:
        Trouble: there is none.
    """
    kind, _, where = source.partition(":")
    if kind == "env":
        token = os.environ.get(where, "").strip()
        if not token:
            raise Trouble(
                f"The token for {server} is to be in the variable {where}, which is not set.",
                "Set it where the file is fetched: on the machine of the script, or, where tasks "
                "fetch for themselves, in the environment of the workers.",
            )
    else:
        path = Path(where).expanduser()
        try:
            token = path.read_text().strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Trouble(
                f"The token for {server} cannot be read from {str(path)!r}: {why}.",
                "Mend the path in the option tokens, or the permissions of the file.",
            ) from None
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise Trouble(
            f"What {source!r} holds is no token for {server}: it is empty, or has spaces or "
            "letters that none has.",
            "Put the token there, and nothing else.",
        )
    return token


def _entry(host: str, named: str | None) -> tuple[str, str] | None:
    found = logins_in(named).get(host)
    return (found[0], found[2] or "") if found is not None and host != "default" else None


def logins_in(named: str | None) -> Mapping[str, tuple[str, str | None, str | None]]:
    """The logins that are known, by host: user, account and password.

    Args:
        named: the option ``netrc``.

    Raises:
        Trouble: the file cannot be read.
    """
    if named == "":
        return {}
    given = named if named is not None else os.environ.get("NETRC", "")
    path = Path(given or "~/.netrc").expanduser()
    try:
        # With its name given, the library does not look at the permissions, which differ between
        # machines that mount one home.
        return netrc.netrc(os.fspath(path)).hosts
    except FileNotFoundError:
        if named is None:
            return {}
        raise Trouble(
            f"The file {str(path)!r} of the option netrc is not there.", "Mend the option."
        ) from None
    except netrc.NetrcParseError as error:
        # Not its words, which hold a piece of the file.
        raise Trouble(f"{str(path)!r} cannot be read at line {error.lineno}.", "Mend it.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Trouble(f"{str(path)!r} cannot be read: {why}.", "Mend its permissions.") from None
