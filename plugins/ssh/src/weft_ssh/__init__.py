"""OpenSSH for weft: blocks on hosts that are named, and a launcher for all hosts of a block."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_ssh.provider import SSHProvider
    from weft_ssh.settings import SSH, SSHHosts

__all__ = ["SSH", "SSHHosts", "SSHProvider"]

__version__ = "0.1.0"

_HOMES = {
    "SSH": "weft_ssh.settings",
    "SSHHosts": "weft_ssh.settings",
    "SSHProvider": "weft_ssh.provider",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_ssh' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
