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
    import select
    import socket
    import uuid
    from pathlib import Path

    begun = Path(folder) / f"begun-{uuid.uuid4()}"
    begun.write_text(socket.gethostname())
    # A gate of its own, at which it is before anybody can know that it has begun.
    os.mkfifo(begun.with_suffix(".gate"))
    gate = os.open(begun.with_suffix(".gate"), os.O_RDONLY | os.O_NONBLOCK)
    begun.rename(begun.with_suffix(".txt"))
    let_through = select.poll()
    let_through.register(gate, select.POLLIN)
    let_through.poll()
    os.close(gate)
    return socket.gethostname()


@python_app
def recorded(folder: str, number: int) -> int:
    """Leaves a file for each time that it runs."""
    import uuid
    from pathlib import Path

    (Path(folder) / f"{number}-{uuid.uuid4()}").touch()
    return number
