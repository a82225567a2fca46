"""FTP for weft: files of FTP servers, in and out, with TLS where they have it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_ftp.settings import FTP
    from weft_ftp.stager import FTPStager

__all__ = ["FTP", "FTPStager"]

__version__ = "0.1.0"

_HOMES = {"FTP": "weft_ftp.settings", "FTPStager": "weft_ftp.stager"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'weft_ftp' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
