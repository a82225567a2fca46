"""What ``weft doctor`` has looked at where files come by http: whom is trusted, the way, logins.

Nothing is asked of any server: which ones there will be, only the files of a script say.
"""

import functools
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from weft.values.problem import Finding, Severity
from weft_http.connections import manager_for, trust
from weft_http.credentials import logins_in, token_from
from weft_http.settings import Http
from weft_http.trouble import Trouble

__all__ = ["checks"]


def checks(settings: Http, _folder: Path) -> Iterator[Finding]:
    """Certificates, proxies, tokens and the file of logins."""
    yield from _certificates(settings)
    if settings.proxies:
        yield from _proxies()
    for host, source in settings.tokens.items():
        # They may be only where tasks fetch for themselves.
        yield from _trouble(functools.partial(token_from, source, host), Severity.WARNING)
    yield from _trouble(functools.partial(logins_in, settings.netrc), Severity.ERROR)


def _trouble(look: Callable[[], object], severity: Severity) -> Iterator[Finding]:
    try:
        look()
    except Trouble as trouble:
        yield Finding(what=trouble.reason, severity=severity, remedy=trouble.todo)


def _certificates(settings: Http) -> Iterator[Finding]:
    try:
        context = trust(settings)
    except Trouble as trouble:
        yield Finding(what=trouble.reason, severity=Severity.ERROR, remedy=trouble.todo)
        return
    if settings.ca_file is None:
        paths = ssl.get_default_verify_paths()
        if not context.get_ca_certs() and not any((paths.cafile, paths.capath)):
            yield Finding(
                what="This system trusts no authority, so no server can be reached by https.",
                severity=Severity.WARNING,
                remedy="Install the system's certificates (ca-certificates), name a file by the "
                "option ca_file, or by SSL_CERT_FILE.",
            )
        return
    now = time.time()
    for one in context.get_ca_certs():
        if ssl.cert_time_to_seconds(str(one["notAfter"])) < now:
            yield Finding(
                what=f"A certificate in {settings.ca_file!r} is good until {one['notAfter']} "
                f"only: that of {_name(one.get('subject', ()))}.",
                severity=Severity.WARNING,
                remedy="Get a newer one of whoever runs the servers.",
            )


def _name(subject: object) -> str:
    """The common name in what ``ssl`` makes of a subject; all of it if there is none."""
    assert isinstance(subject, tuple)
    facts = dict(fact for group in subject for fact in group)
    return repr(facts.get("commonName", facts))


def _proxies() -> Iterator[Finding]:
    found = urllib.request.getproxies_environment()
    for kind in ("http", "https", "all"):
        if proxy := found.get(kind):
            yield from _trouble(functools.partial(manager_for, proxy), Severity.ERROR)
