"""The commands of ``weft``, from what click knows of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from weft.cli import program

__all__ = ["command", "commands"]


def commands() -> list[str]:
    """Every command that weft itself brings, as the words after ``weft``."""
    return list(_walk(program, ()))


def _walk(group: click.Command, words: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(group, info_name=" ".join(("weft", *words)))
    names = getattr(group, "lazy", None)
    for name in names or (group.list_commands(context) if isinstance(group, click.Group) else ()):
        found = group.get_command(context, name) if isinstance(group, click.Group) else None
        if found is None or found.hidden:
            continue
        yield " ".join((*words, name))
        yield from _walk(found, (*words, name))


def _context(words: str) -> click.Context:
    context = click.Context(program, info_name="weft")
    for word in words.split():
        group = context.command
        assert isinstance(group, click.Group), words
        found = group.get_command(context, word)
        assert found is not None, words
        context = click.Context(found, info_name=word, parent=context)
    return context


def command(words: str) -> str:
    """How a command is called, what it does, and its options."""
    context = _context(words)
    made = context.command
    pieces = made.collect_usage_pieces(context)
    parts = [f"```text\n{' '.join([context.command_path, *pieces])}\n```"]
    if made.help:
        parts.append(_help(made.help))
    rows = [_option(given, context) for given in made.params if isinstance(given, click.Option)]
    if rows:
        parts.append("\n".join(["| option | |", "| --- | --- |", *rows]))
    if made.epilog:
        parts.append(_help(made.epilog))
    return "\n\n".join(parts)


def _help(text: str) -> str:
    """A help text as Markdown; a block that click must not rewrap is shown as it stands."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        f"```text\n{block[2:].strip()}\n```" if block.startswith("\b\n") else block
        for block in blocks
    )


def _option(given: click.Option, context: click.Context) -> str:
    record = given.get_help_record(context)
    names, text = record if record is not None else (", ".join(given.opts), given.help or "")
    return f"| `{names.replace('|', chr(92) + '|')}` | {text.replace('|', chr(92) + '|')} |"
