"""The program ``weft``: one group of commands, each imported when it is called.

``weft --help`` imports click and nothing else of weight; tables and colours come with the commands
that print them. Exit codes: 0 for success, 1 for an error that was reported, 2 for a wrong use, 130
    after Ctrl-C.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from weft.errors import WeftError, WeftWarning

__all__ = ["AllWords", "Lazy", "LazyGroup", "main", "plugin_command", "program"]


class Lazy(NamedTuple):
    """A command that is not imported yet: where it is, and its line in the list of commands."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and not to list it.

    Args:
        lazy: weft's own commands.
        prefix: packages add commands whose names begin with this; none, when left out.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, Lazy] | None = None,
        prefix: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.lazy = dict(lazy or {})
        self.prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands: weft's own in their order, then those that packages add."""
        return [*self.lazy, *(name for name in _added(self.prefix) if name not in self.lazy)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name in self.lazy:
            module, _, name = self.lazy[cmd_name].target.partition(":")
            found = getattr(import_module(module), name)
            assert isinstance(found, click.Command)
            return found
        if cmd_name in _added(self.prefix):
            return plugin_command(f"{self.prefix}{cmd_name}", cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names; for a slip, say which one is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as trouble:
            from weft.configuration.options import nearest

            near = nearest(args[0], self.list_commands(ctx))
            if not near or "Did you mean" in trouble.message:
                raise
            meant = f"{trouble.message} Did you mean {' or '.join(repr(n) for n in near)}?"
            raise click.UsageError(meant, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, from what is known without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy.items()])
        added = _added(self.prefix)
        rows = [(n, f"From {dist}.") for n, dist in added.items() if n not in self.lazy]
        if rows:
            with formatter.section("Commands of installed packages"):
                formatter.write_dl(rows)


_GROUPS: Final = ("plugin-", "runs-")
"""How the names of commands begin that packages add to a group of weft's own."""


def _added(prefix: str | None) -> dict[str, str]:
    """The commands that packages add under a prefix, each with the package it comes from."""
    if prefix is None:
        return {}
    from weft.configuration.registry import default_registry

    found = {}
    registry = default_registry()
    for offer in registry.offers("command"):
        nested = offer.name.startswith(_GROUPS)
        belongs = offer.name.startswith(prefix) and nested == bool(prefix)
        if belongs and not registry.rules.forbids(offer.dist):
            found[offer.name.removeprefix(prefix)] = offer.dist
    return found


def plugin_command(component: str, name: str) -> click.Command:
    """A command that a package brings, as ``weft.interfaces.command`` describes it."""

    def call(words: tuple[str, ...]) -> int:
        from weft.configuration.registry import default_registry

        return default_registry().command(component)(list(words))

    return AllWords(name, callback=call, add_help_option=False)


class AllWords(click.Command):
    """A command that gets every word after its name, untouched, as the argument ``words``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words as they are: options, ``--`` and all."""
        ctx.params["words"] = tuple(args)
        return []


_COMMANDS: Final[Mapping[str, Lazy]] = {
    "run": Lazy("weft.cli.run:run", "Run a script, with live progress."),
    "check": Lazy("weft.cli.check:check", "Say every problem of a configuration file."),
    "doctor": Lazy("weft.cli.doctor:doctor", "Look for what is wrong with this installation."),
    "top": Lazy("weft.cli.top:top", "Watch a run while it goes on."),
    "runs": Lazy("weft.cli.runs:runs", "Show runs, and what became of their tasks."),
    "logs": Lazy("weft.cli.logs:logs", "Show what the tasks of a run have logged and printed."),
    "blocks": Lazy("weft.cli.blocks:blocks", "Show jobs of blocks; cancel those left behind."),
    "cache": Lazy("weft.cli.cache:cache", "Show the files that are kept; remove some."),
    "provider": Lazy("weft.cli.provider:provider", "Try a provider with one tiny job."),
    "plugin": Lazy("weft.cli.plugin:plugin", "List, describe and start plugins."),
    "maturity": Lazy("weft.cli.maturity:maturity", "Say what the levels of parts rest on."),
    "completion": Lazy("weft.cli.completion:completion", "Print a script for tab completion."),
}


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Have weft's own warnings told as commands tell things: without a line of source."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, WeftWarning):
                usual(message, category, *where, **more)
                return
            from weft.cli.console import console, show_mark

            show_mark("warning", str(message), console(sys.stderr))

        warnings.showwarning = show
        yield


def _print_version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from weft import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    click.echo(f"weft {__version__} (Python {python})")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    prefix="",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Set WEFT_DEBUG=1, or give --debug, to see where an error came from. NO_COLOR=1 "
    "switches colours off.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors.")
def program(debug: bool) -> None:
    """Weft: parallel scripting in Python, with every part a plugin."""
    if debug:
        os.environ["WEFT_DEBUG"] = "1"
    context = click.get_current_context()
    if context.invoked_subcommand != "run":  # of a script, it matters which line was warned of
        context.with_resource(_told_plainly())


def main(words: Sequence[str] | None = None) -> None:
    """Run the program ``weft`` and end the process with its exit code."""
    sys.exit(_guarded(lambda: program.main(words, prog_name="weft", standalone_mode=False)))


def _guarded(call: Callable[[], Any]) -> int:
    try:
        answer = call()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as trouble:
        trouble.show()
        return trouble.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone, as 'weft plugin list | head' does: nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as trouble:  # noqa: BLE001 - the outermost wall: a person reads it
        _show(trouble)
        return 1
    return answer if isinstance(answer, int) else 0


def _show(trouble: Exception) -> None:
    if os.environ.get("WEFT_DEBUG", "0") not in {"", "0"}:
        import traceback

        traceback.print_exception(trouble)
        return
    if not isinstance(trouble, WeftError):
        trouble = _Fault(trouble)
    from weft.cli.console import show_error

    show_error(trouble)


class _Fault(WeftError):
    """Something that should not have happened."""

    code = "W-999"

    def __init__(self, trouble: Exception) -> None:
        super().__init__(
            f"weft stumbled over {type(trouble).__name__}: {trouble}",
            why="This is a fault of weft or of one of its plugins, not of what you asked for.",
            todo="Give --debug after 'weft' to see where it happened, and report that.",
        )
