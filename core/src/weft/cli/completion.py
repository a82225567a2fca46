"""``weft completion``: a script that makes a shell complete the words of ``weft``."""

import click

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print a script for tab completion.

    \b
    bash:  weft completion bash > ~/.local/share/bash-completion/completions/weft
    zsh:   weft completion zsh > "${fpath[1]}/_weft"
    fish:  weft completion fish > ~/.config/fish/completions/weft.fish
    """
    from click.shell_completion import get_completion_class

    from weft.cli import program

    found = get_completion_class(shell)
    assert found is not None  # click knows all three
    click.echo(found(program, {}, "weft", "_WEFT_COMPLETE").source())
