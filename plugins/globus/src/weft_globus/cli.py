"""``weft globus``: log in, out, and see who is logged in.

Runs never ask for anything; what they lack, they say with the command of this module that gets it.
"""

import uuid
import webbrowser
from collections.abc import Sequence
from typing import Final

import click
import globus_sdk
from globus_sdk import AuthClient, NativeAppAuthClient
from globus_sdk.login_flows import CommandLineLoginFlowManager

from weft.errors import WeftError
from weft_globus.apps import App, app_for, retries, token_file
from weft_globus.service import Refused, Service
from weft_globus.settings import CLIENT_ID, CLIENT_SECRET, Globus

__all__ = ["main"]

_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
_TIMES: Final = 3
"""How often a collection may ask for something more before it is taken for a defect."""


def _is_id(_context: click.Context, _option: click.Parameter, given: str) -> str:
    try:
        return str(uuid.UUID(given)) if given else ""
    except ValueError:
        raise click.BadParameter(f"{given!r} is not the id of an app.") from None


_client_id = click.option(
    "--client-id",
    default="",
    metavar="ID",
    callback=_is_id,
    help=f"The app; {CLIENT_ID} when left out.",
)


def main(words: Sequence[str]) -> int:
    """The command ``weft globus``. Returns its exit code."""
    try:
        answer = _group.main(list(words), prog_name="weft globus", standalone_mode=False)
    except Refused as refused:
        said = refused.refusal
        raise WeftError("Globus refused.", why=said.reason, todo=said.todo) from refused
    except globus_sdk.GlobusAPIError as error:
        why = error.message or error.text or error.http_reason
        raise WeftError("Globus refused.", why=f"{error.http_status}: {why}") from error
    except globus_sdk.GlobusError as error:
        raise WeftError("Globus could not be asked.", why=f"{error}") from error
    return answer if isinstance(answer, int) else 0


@click.group(context_settings=_SETTINGS)
def _group() -> None:
    """Let runs move files by Globus in your name.

    Tokens are kept for you alone in ~/.globus, and renewed by runs as long as they are used at
    least every six months. A service that has the id and the secret of its app in the environment
    (WEFT_GLOBUS_CLIENT_ID, WEFT_GLOBUS_CLIENT_SECRET) needs none of this.
    """


class _Console(CommandLineLoginFlowManager):
    """Shows the address, opens it where there is a browser, and asks for the code."""

    def __init__(self, client: NativeAppAuthClient, *, browser: bool) -> None:
        super().__init__(client, request_refresh_tokens=True, native_prefill_named_grant="weft")
        self._browser = browser

    def print_authorize_url(self, authorize_url: str) -> None:
        click.echo(f"Log in, and agree, at\n\n  {authorize_url}\n")
        if self._browser and webbrowser.open(authorize_url):
            click.echo("A browser should show it by now.")

    def prompt_for_code(self) -> str:
        return str(click.prompt("The code that you get there")).strip()


@_group.command("login")
@_client_id
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="ID",
    help="A collection that runs will use, by its id or a globus:// URL; may be given several "
    "times.",
)
@click.option("--no-browser", is_flag=True, help="Show the address only.")
@click.option("--force", is_flag=True, help="Log in even if somebody is.")
def _login(client_id: str, collections: tuple[str, ...], *, no_browser: bool, force: bool) -> None:
    """Log in, and allow runs the use of collections.

    Mapped collections want to be agreed to one by one; which ones do is asked of Globus.
    """
    settings = Globus(client_id=client_id)
    ids = [_collection(one) for one in collections]
    app = app_for(settings, lambda client: _Console(client, browser=not no_browser))
    service = Service(settings, app)
    try:
        if isinstance(app, globus_sdk.ClientApp):
            click.echo(f"{CLIENT_SECRET} is set: the app logs in by itself.")
        elif force or not _works(service, app):
            app.login(force=True)
        for collection in ids:
            _agree(service, app, collection)
        click.echo(f"Logged in: {_who(settings, app)}.")
        for collection in ids:
            name = service.describe(collection).get("display_name")
            click.echo(f"May be used: {name} ({collection}).")
    finally:
        service.close()


@_group.command("logout")
@_client_id
def _logout(client_id: str) -> None:
    """Revoke all tokens of the app, and forget them."""
    settings = Globus(client_id=client_id)
    if not settings.app or not token_file(settings).exists():
        click.echo("Nobody was logged in.")
        return
    # Also where others may read them: that is a reason to revoke them.
    token_file(settings).chmod(0o600)
    app = app_for(settings)
    service = Service(settings, app)
    try:
        app.logout(sweep=True)
    finally:
        service.close()
    token_file(settings).unlink(missing_ok=True)
    click.echo("Logged out; the tokens are revoked.")


@_group.command("whoami")
@_client_id
def _whoami(client_id: str) -> None:
    """Say in whose name files are moved."""
    settings = Globus(client_id=client_id)
    app = app_for(settings)
    service = Service(settings, app)
    try:
        service.submission_id()  # which tells whether the tokens are any good
        click.echo(_who(settings, app))
    finally:
        service.close()
    click.echo(f"  app     {settings.app}")
    if not isinstance(app, globus_sdk.ClientApp):
        click.echo(f"  tokens  {token_file(settings)}")


def _works(service: Service, app: App) -> bool:
    """Whether the tokens that there are will do."""
    if app.login_required():
        return False
    try:
        service.submission_id()
    except Refused as refused:
        if refused.refusal.again:
            raise
        return False
    return True


def _agree(service: Service, app: App, collection: str) -> None:
    """Log in once more for each thing that a collection asks for."""
    for _ in range(_TIMES):
        asked = service.lacking(collection)
        if asked is None:
            return
        click.echo(f"The collection {collection} asks for more: {asked.session_message or ''}")
        app.login(auth_params=asked)
    raise WeftError(
        f"The collection {collection} still asks for more.",
        why=f"It was agreed to {_TIMES} times.",
        todo="Try --force; the collection may want a login with another account.",
    )


def _who(settings: Globus, app: App) -> str:
    if isinstance(app, globus_sdk.ClientApp):
        return f"the app {settings.app}"
    with AuthClient(app=app, retry_config=retries()) as auth:
        person = auth.userinfo()
    name, user = person.get("name"), person.get("preferred_username")
    return f"{name} ({user})" if name else str(user or person["sub"])


def _collection(given: str) -> str:
    try:
        return str(uuid.UUID(given.removeprefix("globus://").partition("/")[0]))
    except ValueError:
        raise click.UsageError(
            f"{given!r} is not the id of a collection, which the web app of Globus shows."
        ) from None
