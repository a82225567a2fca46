"""What ``weft doctor`` has looked at where Slurm is used."""

import getpass
from collections.abc import Iterator
from pathlib import Path

from weft.batch.commands import Commands, Line, NoAnswer
from weft.batch.provider import commands_of, met
from weft.errors import WeftError
from weft.values.problem import Finding, Severity
from weft_slurm.dialect import SlurmDialect
from weft_slurm.settings import Slurm
from weft_slurm.site import Site

__all__ = ["checks"]


def checks(settings: Slurm, _folder: Path) -> Iterator[Finding]:
    """Look whether the cluster answers, and has the partition, account and quality of service."""
    dialect = SlurmDialect(settings)
    commands = commands_of(dialect, settings)
    try:
        found = met(dialect, commands)
    except WeftError as trouble:
        yield Finding(
            what=trouble.what, severity=Severity.ERROR, why=trouble.why, remedy=trouble.todo
        )
        return
    site = dialect.cluster
    assert site is not None  # it was met
    yield Finding(what=f"The cluster {site.name!r} answers, with Slurm {site.version}.")
    yield from found.findings
    yield from _accounts(settings, site, commands)


def _accounts(settings: Slurm, site: Site, commands: Commands) -> Iterator[Finding]:
    if not site.accounts:
        yield Finding(
            what="The cluster keeps no accounts, so an ended job is known for minutes only.",
            severity=Severity.WARNING if settings.account or settings.qos else None,
            why="The options account and qos mean nothing here."
            if settings.account or settings.qos
            else "",
        )
        return
    words = (
        *("sacctmgr", "--noheader", "--parsable2", "show", "associations"),
        *(f"user={getpass.getuser()}", f"cluster={settings.cluster or site.name}"),
        "format=account,partition,qos",
    )
    try:
        out = commands.ask(Line(words)).good()
    except NoAnswer as error:
        yield _unasked(str(error))
        return
    rows = [line.split("|") for line in out.splitlines() if line.count("|") == 2]
    accounts = sorted({account for account, _, _ in rows})
    if not rows:
        yield Finding(
            what="Accounts do not know this user; whether jobs are taken is the site's rule.",
        )
        return
    if settings.account and settings.account.lower() not in accounts:
        yield Finding(
            what=f"You have no account {settings.account!r} on the cluster {site.name!r}.",
            severity=Severity.ERROR,
            why=f"Your accounts are: {', '.join(accounts)}.",
            remedy="Name one of them in the option account, or leave it out.",
        )
        return
    yield Finding(what=f"You may use the accounts {', '.join(accounts)}.")
    used = [row for row in rows if not settings.account or row[0] == settings.account.lower()]
    qualities = sorted({name for _, _, qos in used for name in qos.split(",") if name})
    if settings.qos and settings.qos.lower() not in qualities:
        yield Finding(
            what=f"You may not use the quality of service {settings.qos!r}"
            + (f" with the account {settings.account!r}." if settings.account else "."),
            severity=Severity.ERROR,
            why=f"You may use: {', '.join(qualities) or 'none'}.",
            remedy="Name one of them in the option qos, or leave it out.",
        )
    elif qualities:
        yield Finding(what=f"You may use the qualities of service {', '.join(qualities)}.")


def _unasked(why: str) -> Finding:
    return Finding(
        what="Whether account and qos are yours could not be found out.",
        severity=Severity.WARNING,
        why=why,
        remedy="Some sites keep it from users. The first job tells.",
    )
