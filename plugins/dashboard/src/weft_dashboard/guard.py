"""Who may look: decided for each request before anything else sees it.

- Only ``GET`` and ``HEAD``: nothing here changes a run.
- The name in ``Host`` has to be one of this server, so that no page of another site can reach it by
  a name that leads here (DNS rebinding).
- What pages of other origins ask for is refused.
- With a token: it comes once in the address, and after that in a cookie that scripts cannot read
  and that other sites' pages do not send. The cookie is made from the token, and is not the token.
"""

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "Access", "Guard", "Refused", "is_loopback", "own_names"]

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""What every answer says to browsers."""

_WELCOME = """<!doctype html><html lang="en"><meta charset="utf-8"><title>weft</title>
<meta http-equiv="refresh" content="0; url={path}"><p><a href="{path}">Go on to the dashboard.</a>
"""
_PATH_TEXT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_.")


@attrs.frozen
class Refused:
    """A request that is refused.

    Attributes:
        status: as in HTTP.
        text: why, and what to do.
    """

    status: int
    text: str


@attrs.frozen
class Access:
    """Who may look.

    Attributes:
        host: the address that the server is bound to.
        token: which a client has to know; empty for none.
        names: more names of this server, in small letters.
    """

    host: str
    token: str = attrs.field(default="", repr=False)
    names: frozenset[str] = frozenset()

    @property
    def cookie(self) -> str:
        """The name of the cookie: servers of one host, at different ports, share its cookies."""
        return f"weft-{hashlib.sha256(self.token.encode()).hexdigest()[:12]}"

    @property
    def pass_(self) -> str:
        """The value of the cookie."""
        return hmac.new(self.token.encode(), b"weft-dashboard", hashlib.sha256).hexdigest()

    def refuses(self, method: str, headers: Headers) -> Refused | None:
        """Why a request is refused, whoever it comes from; ``None`` if it is not."""
        if method not in ("GET", "HEAD"):
            return Refused(405, "The dashboard only shows runs: it answers GET and HEAD.")
        host = headers.get("host", "")
        if not self.knows(host):
            return Refused(
                421,
                f"This server does not go by the name {_short(host)}. Use the address that "
                "'weft dashboard' printed, or start it with --name for one more name.",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return Refused(403, "Pages of other origins may not ask for anything here.")
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate":
            return Refused(403, "Pages of other sites may not ask for anything here.")
        return None

    def knows(self, host: str) -> bool:
        """Whether what a request says in ``Host`` means this server, at whatever port."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name == "localhost" or name in self.names:
            return True
        if is_loopback(self.host):
            return is_loopback(name)
        # No name leads to a number, so nobody can make a name of his lead here by one.
        return _is_address(name) or name == self.host.lower()

    def admits(self, headers: Headers) -> bool:
        """Whether a request carries the cookie."""
        if not self.token:
            return True
        try:
            cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        given = cookies[self.cookie].value if self.cookie in cookies else ""
        return _equal(given, self.pass_)

    def opens(self, query: str) -> bool | None:
        """Whether the token in an address is right; ``None`` if there is none in it."""
        given = parse_qs(query, max_num_fields=20).get("token")
        return None if given is None else bool(self.token) and _equal(given[-1], self.token)


class Guard:
    """Lets through what may look, and gives every answer its headers.

    Args:
        app: what it stands before.
        access: who may look.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What to answer in place of the page; ``None`` if the page may be seen."""
        access, headers = self._access, Headers(scope=scope)
        refused = access.refuses(scope["method"], headers)
        if refused is not None:
            return PlainTextResponse(refused.text + "\n", refused.status)
        try:
            opens = access.opens(scope["query_string"].decode("ascii"))
        except ValueError:
            return PlainTextResponse("The address is not right.\n", 400)
        if opens:
            return self._welcome(scope)
        if opens is None and access.admits(headers):
            return None
        what = "The token is wrong" if opens is False else "A token is needed"
        return PlainTextResponse(
            f"{what}. Open the address that 'weft dashboard' printed, with all that follows "
            "'?token='.\n",
            403,
        )

    def _welcome(self, scope: Scope) -> Response:
        """Set the cookie and go on to the same page.

        A page that goes on by itself, not a redirect: whoever comes from another site would not
        send the cookie with the request that follows a redirect.
        """
        path = scope["path"]
        safe = path if _PATH_TEXT.issuperset(path) and not path.startswith("//") else "/"
        answer = HTMLResponse(_WELCOME.format(path=safe))
        answer.set_cookie(
            self._access.cookie, self._access.pass_, httponly=True, samesite="strict", path="/"
        )
        return answer


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_names() -> frozenset[str]:
    """The names of this machine, as far as it knows them without asking anybody."""
    return frozenset({socket.gethostname().lower()})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _equal(given: str, right: str) -> bool:
    """In a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _short(text: str) -> str:
    return ascii(text[:80])
