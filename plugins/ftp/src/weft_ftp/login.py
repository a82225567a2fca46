"""Who one is at a server: by a netrc file, or anonymous."""

import netrc
import os
from pathlib import Path

import attrs

__all__ = ["Login", "LoginUnknown", "login_for"]


class LoginUnknown(Exception):
    """No login can be had. The arguments are why, and what to do."""

    def __init__(self, why: str, todo: str) -> None:
        super().__init__(why)
        self.why, self.todo = why, todo


@attrs.frozen
class Login:
    """A user, and what is never shown of him."""

    user: str
    password: str = attrs.field(repr=False)
    account: str = attrs.field(default="", repr=False)


def login_for(host: str, user: str, named: str | None) -> Login:
    """The login at a host.

    Args:
        host: as in the URL.
        user: as in the URL; empty for whoever the file names.
        named: the file; that of the variable NETRC, or ~/.netrc, when ``None``.

    Raises:
        LoginUnknown: the file cannot be read, or does not know that user.
    """
    path = Path(named or os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        # The standard library refuses ~/.netrc if others can read it; any file is to be like that.
        known = netrc.netrc(path).authenticators(host) if path.exists() else None
        if known is not None and known[2] and path.stat().st_mode & 0o077 and known[0] != _NOBODY:
            raise LoginUnknown(
                f"Others can read {str(path)!r}, which holds a password.", f"chmod 600 {path}"
            )
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
        raise LoginUnknown(
            f"{str(path)!r} cannot be read: {error}.", "Mend it, or name another by option netrc."
        ) from error
    if known is None and named is not None and not path.exists():
        raise LoginUnknown(f"There is no file {str(path)!r}.", "Mend the option netrc.")
    if known is not None and user in {"", known[0]}:
        return Login(known[0], known[2] or "", known[1] or "")
    if user in {"", _NOBODY}:
        return Login(_NOBODY, "anonymous@")
    raise LoginUnknown(
        f"No password is known of the user {user!r} at {host!r}.",
        f"Write 'machine {host} login {user} password WORD' into {path}.",
    )


_NOBODY = "anonymous"
