"""``weft provider``: a provider taken for a walk, before real work depends on it."""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import attrs
import click
from rich.text import Text

from weft.blocks.trial import Trial, probe_command
from weft.cli import Lazy, LazyGroup
from weft.cli.console import console, show_json, show_mark, show_remedy, write
from weft.cli.plugin import complete_name
from weft.configuration.check import load_config
from weft.configuration.config import Config
from weft.configuration.registry import Registry, default_registry
from weft.configuration.words import options_in
from weft.values.events import Event
from weft.values.plugin import Kind
from weft.values.problem import Finding
from weft.values.settings import ExecutorSettings, LauncherSettings, ProviderSettings

__all__ = ["provider", "try_"]


@click.group(
    cls=LazyGroup,
    lazy={"try": Lazy("weft.cli.provider:try_", "Submit one tiny job, and show each step.")},
)
def provider() -> None:
    """Try providers."""


@attrs.frozen(kw_only=True)
class _Wanted:
    """What is to be tried."""

    provider: ProviderSettings
    launcher: LauncherSettings
    nodes: int = 1
    python: str = ""
    init: str = ""


@click.command(
    "try",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True},
)
@click.argument("name", shell_complete=complete_name)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--OPTION VALUE]...")
@click.option("--launcher", metavar="NAME", help="What starts a copy on each node.")
@click.option("--nodes", type=click.IntRange(min=1), help="Nodes for the job. [default: 1]")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may wait and run; then it is cancelled.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weft-runs"),
    show_default=True,
    metavar="DIR",
    help="A folder that the nodes see; the job's own is made in it, and kept if it fails.",
)
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Try what the executor NAME has in this configuration.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the steps as JSON.")
def try_(
    *,
    name: str,
    words: tuple[str, ...],
    launcher: str | None,
    nodes: int | None,
    timeout: float,
    run_dir: Path,
    file: Path | None,
    as_json: bool,
) -> int:
    """Submit one tiny job, show each step, and clean up.

    NAME is that of a provider, and the options of that provider follow it: `weft provider try slurm
    --partition debug`. With --config it is the label of an executor, whose provider, launcher,
    python and worker_init are tried.

    The job says on which machines it runs and with which Python, and ends. Nothing stays in the
    queue, whatever happens.

    Exit code: 0 if all went well, 1 if not.
    """
    registry = default_registry()
    if file is None:
        wanted = _named(registry, name, words, launcher, nodes or 1)
    else:
        if words:
            raise click.UsageError(f"With --config, {words[0]} belongs into the configuration.")
        config = load_config(file)
        registry = registry.restricted(config)
        wanted = _configured(registry, config, name, launcher, nodes)
    provider, launches = registry.open(wanted.provider), registry.open(wanted.launcher)
    run_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="try-", dir=run_dir)).absolute()
    trial = Trial(
        provider=provider,
        launcher=launches,
        context=_Context(folder),
        folder=folder / "job",
        nodes=wanted.nodes,
        command=probe_command(wanted.python, wanted.init),
        timeout=timeout,
    )
    trial.folder.mkdir()
    seen = []
    try:
        with contextlib.closing(trial.steps()) as steps:
            for finding in steps:
                seen.append(finding)
                if not as_json:
                    _show(finding)
    except KeyboardInterrupt:
        console(sys.stderr).print("Interrupted; the job is cancelled.")
        raise
    telling = not trial.well and any(trial.folder.iterdir())
    if not telling:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # that it is not empty
            run_dir.rmdir()
    if as_json:
        show_json({"ok": trial.well, "steps": [attrs.asdict(one) for one in seen]})
    else:
        _last_word(wanted, trial, trial.folder if telling else None)
    return 0 if trial.well else 1


def _named(
    registry: Registry, name: str, words: tuple[str, ...], launcher: str | None, nodes: int
) -> _Wanted:
    cls = registry.settings_class(Kind.PROVIDER, name)
    try:
        options = options_in(words, cls)
    except ValueError as trouble:
        raise click.UsageError(f"{trouble}.") from None
    settings = registry.settings(Kind.PROVIDER, name, **options)
    return _Wanted(
        provider=cast("ProviderSettings", settings),
        launcher=_launcher(registry, launcher, nodes),
        nodes=nodes,
    )


def _launcher(registry: Registry, name: str | None, nodes: int) -> LauncherSettings:
    if name is None and nodes > 1:
        raise click.UsageError(
            "A job on several nodes needs a launcher that starts a copy on each: give --launcher, "
            "such as srun or mpiexec."
        )
    made = registry.settings(Kind.LAUNCHER, name or "simple")
    return cast("LauncherSettings", made)


def _configured(
    registry: Registry, config: Config, label: str, launcher: str | None, nodes: int | None
) -> _Wanted:
    executors: dict[str, ExecutorSettings] = {one.called: one for one in config.executors}
    executor: Any = executors.get(label)
    if executor is None:
        raise click.UsageError(
            f"The configuration has no executor {label!r}; it has {', '.join(executors)}."
        )
    provider = getattr(executor, "provider", None)
    if not isinstance(provider, ProviderSettings):
        raise click.UsageError(f"The executor {label!r} names no provider.")
    nodes = nodes or int(getattr(executor, "nodes_per_block", 1))
    own = getattr(executor, "launcher", None)
    return _Wanted(
        provider=provider,
        launcher=_launcher(registry, launcher, nodes)
        if launcher or not isinstance(own, LauncherSettings)
        else own,
        nodes=nodes,
        python=str(getattr(executor, "python", None) or ""),
        init=str(getattr(executor, "worker_init", "")),
    )


def _show(finding: Finding) -> None:
    out = console()
    why = f" {finding.why}" if finding.why else ""
    show_mark(finding.severity.value if finding.severity else "ok", finding.what + why, out)
    if finding.remedy:
        show_remedy(finding.remedy, out, 2)
    out.file.flush()


def _last_word(wanted: _Wanted, trial: Trial, folder: Path | None) -> None:
    out = console()
    out.print()
    if trial.well:
        text = f"The provider {wanted.provider.plugin!r} works, and nothing is left behind."
        out.print(text, style="bold green")
        return
    out.print("It does not work yet.", style="bold red")
    if folder is not None:
        write(Text(f"The job's script and output are in {folder}."), out)


class _Context:
    """What a provider gets here: there is no run."""

    run_id = "weft-try"
    program = "weft provider try"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, event: Event) -> None:
        """Nobody listens."""

    def notice(self, level: str, text: str) -> None:
        """Show it."""
        show_mark("ok" if level == "info" else level, text, console(sys.stderr))
