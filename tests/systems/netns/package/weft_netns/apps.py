"""Apps that several tests use. They carry their imports, for they travel to nodes."""

from weft import python_app

__all__ = ["begin", "host", "recorded"]


@python_app
def host() -> str:
    """On which host it runs."""
    import socket

    return socket.gethostname()


@python_app
def begin(folder: str) -> str:
    """Says on which host it has begun, and waits at the gate."""
    import os
    import socket
    import uuid
    from pathlib import Path

    begun = Path(folder) / f"begun-{uuid.uuid4()}"
    begun.write_text(socket.gethostname())
    begun.rename(begun.with_suffix(".txt"))
    os.close(os.open(Path(folder) / "gate", os.O_RDONLY))
    return socket.gethostname()


@python_app
def recorded(folder: str, number: int) -> int:
    """Leaves a file for each time that it runs."""
    import uuid
    from pathlib import Path

    (Path(folder) / f"{number}-{uuid.uuid4()}").touch()
    return number
