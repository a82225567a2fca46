"""A launcher whose text a test recognizes."""

from weft.interfaces.launcher import Launcher

__all__ = ["FakeLauncher"]


class FakeLauncher(Launcher):
    """Returns the command with a comment that says what was asked for.

    Attributes:
        asked: what ``compose`` was given: the command, ``nodes`` and ``per_node``.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        """The command, with the comment before it."""
        self.asked.append((command, nodes, per_node))
        return f"# {nodes} nodes, {per_node} on each\n{command}"
