"""Who acts: the app of the SDK that holds the tokens.

A person logs in once, by ``weft globus login``, and refresh tokens are kept in the SDK's own
storage; a service has an id and a secret in its environment, and keeps nothing. Neither is ever
asked for anything within a run: where tokens are missing, the SDK's error comes out.

An app is used by one thread, since the SDK's are not made for several.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from globus_sdk import (
    ClientApp,
    ConfidentialAppAuthClient,
    GlobusAppConfig,
    NativeAppAuthClient,
    UserApp,
)
from globus_sdk.gare import GlobusAuthorizationParameters
from globus_sdk.login_flows import LoginFlowManager
from globus_sdk.scopes import AuthScopes, TransferScopes
from globus_sdk.token_storage import MemoryTokenStorage, SQLiteTokenStorage
from globus_sdk.transport import RequestsTransport, RetryConfig

from weft.errors import WeftError
from weft_globus.settings import CLIENT_ID, CLIENT_SECRET, Globus
from weft_globus.words import login

__all__ = ["App", "NotLoggedIn", "app_for", "retries", "token_file"]

_NAME: Final = "weft"

_ASKED: Final = {
    TransferScopes.resource_server: [TransferScopes.all],
    # The name of who logs in, for 'weft globus whoami'.
    AuthScopes.resource_server: [AuthScopes.openid, AuthScopes.profile, AuthScopes.email],
}
"""What a login asks for; collections may want more."""

App = UserApp | ClientApp
"""What the SDK calls a ``GlobusApp``: of a person, or of a service."""


class NotLoggedIn(WeftError):
    """There are no tokens, or they may not be used."""

    code = "W-GLB-001"


class _Mute(LoginFlowManager):
    """Stands where the SDK would ask the person at the terminal."""

    def run_login_flow(self, auth_parameters: GlobusAuthorizationParameters) -> NoReturn:
        raise AssertionError("a run never logs in")


def token_file(settings: Globus) -> Path:
    """Where the tokens of ``weft globus login`` are: where the SDK keeps those of other apps."""
    if settings.tokens:
        return Path(settings.tokens)
    return Path.home() / ".globus" / "app" / settings.app / _NAME / "tokens.db"


def retries() -> RetryConfig:
    """Once more, at once, which renews a token; everything else is for who called."""
    return RetryConfig(max_retries=1, max_sleep=1.0)


def app_for(
    settings: Globus, flow: Callable[[NativeAppAuthClient], LoginFlowManager] | None = None
) -> App:
    """The app, with the tokens that there are.

    Args:
        settings: which one.
        flow: how to log in; without one there must be tokens, and nobody is asked.

    Raises:
        NotLoggedIn: no app is known, or there are no tokens that may be used.
    """
    if not settings.app:
        raise NotLoggedIn(
            "No app is known that may act for you at Globus.",
            why=f"Neither the option client_id of the stager nor {CLIENT_ID} is set.",
            todo="Register one at app.globus.org/settings/developers (a native app, for a person), "
            f"and give its id: export {CLIENT_ID}=…",
        )
    transport = RequestsTransport(http_timeout=settings.request_timeout)
    secret = os.environ.get(CLIENT_SECRET, "")
    if secret:
        return ClientApp(
            _NAME,
            login_client=ConfidentialAppAuthClient(
                settings.app,
                secret,
                app_name=_NAME,
                transport=transport,
                retry_config=retries(),
            ),
            config=GlobusAppConfig(
                token_storage=MemoryTokenStorage(), token_validation_error_handler=None
            ),
        )
    path = token_file(settings)
    if flow is None:
        _must_be_private(path, settings)
    else:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = NativeAppAuthClient(
        settings.app, app_name=_NAME, transport=transport, retry_config=retries()
    )
    return UserApp(
        _NAME,
        login_client=client,
        scope_requirements={} if flow is None else _ASKED,
        config=GlobusAppConfig(
            # Not the one that writes JSON: that has two runs which renew a token at the same time
            # write into one another, and changes the umask of the process each time.
            token_storage=SQLiteTokenStorage(path),
            request_refresh_tokens=True,
            token_validation_error_handler=None,
            login_flow_manager=_Mute(client) if flow is None else flow(client),
        ),
    )


def _must_be_private(path: Path, settings: Globus) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise NotLoggedIn(
            "Nobody is logged in to Globus.",
            why=f"{str(path)!r}: {error.strerror}.",
            todo=login(settings.client_id),
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise NotLoggedIn(
            "The tokens of Globus are not used.",
            why=f"Others may read {str(path)!r}, and act for you.",
            todo=f"Run 'chmod 600 {path}', or 'weft globus logout' if others may have read it.",
        )
