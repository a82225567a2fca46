"""Pure: what ``ssh`` says of a connection that did not come about, and what is to be done."""

import re
from typing import Final

import attrs

__all__ = ["Trouble", "last_words", "refused_there", "understood"]


@attrs.frozen(kw_only=True)
class Trouble:
    """Why a host could not be used.

    Attributes:
        why: what ssh or the host says, and what that means.
        todo: what to do.
    """

    why: str
    todo: str


@attrs.frozen
class _Sign:
    """What a pattern in ssh's words means; ``{try_it}`` stands for a command to be typed."""

    pattern: str
    why: str
    todo: str


_SIGNS: Final[tuple[_Sign, ...]] = (
    _Sign(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its key is not the one that is known: it was set up anew, or somebody else answers in its "
        "place",
        "Ask whoever runs the host for the fingerprint of its key. If it has a new one, remove the "
        "old one with 'ssh-keygen -R' and the name and file that ssh tells below, and connect once "
        "by hand: {try_it}",
    ),
    _Sign(
        r"host key is known for|Host key verification failed",
        "its key is not known here, and no unknown host is talked to",
        "Connect once by hand, compare the fingerprint with the one that whoever runs the host "
        "gives, and accept it: {try_it}",
    ),
    _Sign(
        r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        "the private key can be read by others, so ssh does not use it",
        "Close it with 'chmod go= FILE'.",
    ),
    _Sign(
        r"Identity file .* not accessible",
        "there is no such file with a private key",
        "Name the key in the option key by its path.",
    ),
    _Sign(
        r"Too many authentication failures",
        "the agent offers more keys than the server looks at",
        "Name the one to use in the option key.",
    ),
    _Sign(
        r"Permission denied",
        "it does not take the key, or there is none; a password is never asked for",
        "Put the public key into ~/.ssh/authorized_keys there ('ssh-copy-id'), load a key that has "
        "a passphrase into the agent ('ssh-add'), or name another one in the option key. Then this "
        "has to work without a question: {try_it}",
    ),
    _Sign(
        r"remote port forwarding failed",
        "its server does not allow the way back that tunnel=True asks for",
        "Have AllowStreamLocalForwarding set to yes in its sshd_config, or do without tunnel=True "
        "where the host can reach this machine by the network.",
    ),
    _Sign(
        r"Could not resolve hostname",
        "its name is not known",
        "Look at how it is written in hosts or jump, or give it a HostName in an ssh_config file.",
    ),
    _Sign(
        r"stdio forwarding failed|open failed: (connect failed|administratively)",
        "the jump host cannot reach it, or does not allow that",
        "Try it from the jump host; its sshd_config needs AllowTcpForwarding.",
    ),
    _Sign(
        r"Connection refused",
        "no ssh server listens there",
        "Start sshd there, or name its port in the option port.",
    ),
    _Sign(
        r"timed out|No route to host|Network is unreachable|not responding",
        "it does not answer",
        "See whether it is up and can be reached from here; name the host to go through in the "
        "option jump: {try_it}",
    ),
    _Sign(
        r"Bad configuration option|terminating, \d+ bad configuration|Can't open user config",
        "ssh cannot use its configuration",
        "Mend the file that is named.",
    ),
    _Sign(
        r"Connection (closed|reset)|kex_exchange_identification",
        "its server closed the connection",
        "Look into the server's log; MaxStartups in its sshd_config may be too low for as many "
        "hosts behind one address.",
    ),
    _Sign(
        r"not found|No such file or directory",
        "there is no such Python on it",
        "Name the host's own in the option python, such as python='python3'.",
    ),
    _Sign(
        r"SyntaxError|No module named|ModuleNotFoundError",
        "its Python is too old to watch over a job",
        "Name one from 3.7 on in the option python; workers of weft need 3.11.",
    ),
)
_FRAME: Final = re.compile(r"^[@\s]*$")
_LINES: Final = 6
_LONGEST: Final = 300


def last_words(log: str) -> str:
    """The last lines that say something."""
    lines = [line.strip().strip("@ ") for line in log.splitlines() if not _FRAME.match(line)]
    return "; ".join(line[:_LONGEST] for line in lines[-_LINES:])


def understood(log: str, *, try_it: str, odd: str = "") -> Trouble:
    """The reason that is in ssh's words.

    Args:
        log: all that was said.
        try_it: a command for people to see for themselves.
        odd: what is wrong with what the host said, where ssh itself did all that it should.
    """
    words = last_words(log)
    if odd:
        return Trouble(
            why=f"{odd} ({words})" if words else odd,
            todo=f"What its login shell prints may be in the way; see what this says: {try_it}",
        )
    for sign in _SIGNS:
        if re.search(sign.pattern, log):
            return Trouble(
                why=f"{sign.why} (ssh says: {words})", todo=sign.todo.replace("{try_it}", try_it)
            )
    if not words:
        return Trouble(
            why="it gave no answer in time, and ssh no reason",
            todo=f"See what this says: {try_it}",
        )
    return Trouble(why=f"ssh says: {words}", todo=f"See what this says: {try_it}")


def refused_there(why: str) -> Trouble:
    """The reason for which a watcher did not begin a job."""
    about, _, what = why.partition(" ")
    if about == "unseen":
        return Trouble(
            why=f"it does not see the job's files: {what}",
            todo="Put the run folder where the hosts see it (Config(run_dir=...)), or name a "
            "folder on the hosts in the option folder.",
        )
    if about == "folder":
        return Trouble(
            why=f"a folder cannot be made there: {what}",
            todo="Name one in the option folder that the user can write there.",
        )
    return Trouble(why=f"the job could not be started there: {why}", todo="Look at the host.")
