"""``weft dashboard``: runs in the browser, live and afterwards."""

import resource
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from weft.errors import WeftError
from weft.eventlog.writer import NAME
from weft_dashboard.app import Dashboard, Serving
from weft_dashboard.guard import Access, is_loopback, own_names

__all__ = ["main"]

PORT: Final = 8787
_FILES: Final = 8_192
"""Files that may be open, where the machine allows it: each page that is open is one."""


class CannotServe(WeftError):
    """The dashboard cannot be started as it was asked for."""

    code = "W-DSH-001"


def main(words: Sequence[str]) -> int:
    """The command ``weft dashboard``. Returns its exit code."""
    answer = _dashboard.main(list(words), prog_name="weft dashboard", standalone_mode=False)
    return answer if isinstance(answer, int) else 0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("weft-runs")
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    help=f"Where to listen; 0 for any that is free. [default: {PORT}]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="The address to listen at. Others than loopback need a token. [default: 127.0.0.1]",
)
@click.option(
    "--token",
    envvar="WEFT_DASHBOARD_TOKEN",
    metavar="TEXT",
    help="What a browser has to know; better given in WEFT_DASHBOARD_TOKEN, since all users of a "
    "machine see the words of commands. [default: a new one]",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Let every user of this machine look. Only on loopback.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="One more name by which browsers reach it, such as that of a proxy.",
)
def _dashboard(
    *,
    folder: Path,
    port: int,
    host: str,
    token: str | None,
    no_token: bool,
    names: tuple[str, ...],
) -> int:
    """Show runs in the browser, while they run and afterwards.

    FOLDER is where run folders are, or the folder of one run; weft-runs when left out. The pages
    are read from the event logs there. Nothing here changes a run, and no request leaves the
    machine.
    """
    if no_token and token:
        raise click.UsageError("--no-token contradicts --token and WEFT_DASHBOARD_TOKEN.")
    if token is not None and len(token) < 8:
        raise click.UsageError("A token has to have 8 characters or more.")
    if no_token and not is_loopback(host):
        raise click.UsageError("--no-token is for loopback: others could look at your runs.")
    secret = "" if no_token else token or secrets.token_urlsafe(24)
    known = frozenset(name.lower() for name in names) | (
        frozenset() if is_loopback(host) else own_names()
    )
    _raise_limit()
    listener = _listener(host, port)
    with listener:
        port = listener.getsockname()[1]
        _greet(folder, host, port, secret, made=token is None)
        serving = Serving(Dashboard(folder, Access(host, secret, known)))
        with suppress(KeyboardInterrupt):  # which is how it is ended
            serving.run(sockets=[listener])
    return 0


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise CannotServe(
            f"The dashboard cannot listen at {host}, port {port}.",
            why=f"{error.strerror or error}.",
            todo="Give another --port, or 0 for any that is free; an address of this machine as "
            "--host.",
        ) from error
    return listener


def _greet(folder: Path, host: str, port: int, token: str, *, made: bool) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    if (folder / NAME).exists():
        address += f"runs/{folder.absolute().name}"
    if token and made:
        address += f"?token={token}"
    click.echo(f"Runs in {folder} are shown at\n\n    {address}\n")
    if token and not made:
        click.echo("Add ?token= and the token that you have given.\n")
    if is_loopback(host):
        name = socket.gethostname()
        click.echo(
            "From another machine, open it there too after\n\n"
            f"    ssh -N -L {port}:localhost:{port} {name}\n"
        )
    click.echo("Ctrl-C ends it. Runs do not notice.")


def _raise_limit() -> None:
    """Allow as many open files as are needed, where the machine does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
