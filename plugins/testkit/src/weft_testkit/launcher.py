"""The kit for launchers: text in, text out, and the text does what it says when a shell runs it."""

import shlex
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import pytest

from weft.interfaces.launcher import Launcher
from weft.values.plugin import Kind
from weft.values.settings import Settings
from weft_testkit.base import Conformance
from weft_testkit.rules import rule

__all__ = ["LauncherConformance"]

_AWKWARD = (
    "two  spaces",
    "it's",
    'say "hello"',
    "$HOME `id` $(id) \\n",
    "a;b&c|d>e<f*?[g]#h!{i}~j",
    "naïve — 数据",
    "-n",
    "line one\nline two",
)
"""Words that come to harm where text is quoted carelessly."""


class LauncherConformance(Conformance):
    """Proves that a launcher keeps the promises of ``weft.interfaces.launcher``.

    Override ``runs_here`` to return false for a launcher whose text starts a program that is not on
    the machine of the tests; then only the text is judged.
    """

    kind: ClassVar[Kind] = Kind.LAUNCHER

    @pytest.fixture
    def runs_here(self) -> bool:
        """Whether the text can be run on this machine: one machine, without a scheduler."""
        return True

    @pytest.fixture
    def nodes(self) -> int:
        """How many machines the launcher can be asked for here."""
        return 1

    @rule("L001", "The same question gets the same text.")
    def test_is_pure(self, settings: Settings, nodes: int) -> None:
        first, second = self._open(settings), self._open(settings)
        once = first.compose("true", nodes=nodes)
        assert once == first.compose("true", nodes=nodes), "asked twice, it says two things"
        assert once == second.compose("true", nodes=nodes), "two of equal settings differ"

    @rule("L002", "The text is text, and is not empty.")
    def test_gives_text(self, settings: Settings, nodes: int) -> None:
        text: Any = self._open(settings).compose("true", nodes=nodes)
        assert isinstance(text, str)
        assert text.strip()

    @rule("L003", "Composing starts nothing, reads nothing and writes nothing.")
    def test_touches_nothing(
        self, settings: Settings, nodes: int, monkeypatch: pytest.MonkeyPatch, scratch: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(scratch))
        monkeypatch.chdir(scratch)
        try:
            self._open(settings).compose("true", nodes=nodes)
        except OSError as trouble:
            pytest.fail(f"composing needs the machine: {trouble}")
        assert not list(scratch.iterdir()), "it wrote into the current folder"

    @rule("L004", "What it cannot do it refuses with a ValueError that says so.")
    def test_refuses_nonsense(self, settings: Settings) -> None:
        launcher = self._open(settings)
        for nodes, per_node in ((0, 1), (-1, 1), (1, 0)):
            with pytest.raises(ValueError, match=r"\S"):
                launcher.compose("true", nodes=nodes, per_node=per_node)

    @rule("L005", "A shell can read the text.")
    def test_is_shell(self, settings: Settings, nodes: int) -> None:
        text = self._open(settings).compose("echo 'two  spaces' \"$HOME\"", nodes=nodes)
        done = subprocess.run(
            ["/bin/sh", "-n", "-c", text], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{done.stderr}\n{text}"

    @rule("L006", "The command runs once where one copy is asked for.")
    def test_runs_once(
        self, settings: Settings, nodes: int, scratch: Path, runs_here: bool
    ) -> None:
        self._only_if(runs_here)
        self._run(settings, f"echo x >> {scratch}/ran", nodes=nodes)
        assert (scratch / "ran").read_text() == "x\n" * nodes

    @rule("L007", "Exit code 0 means that the command ended well, any other that it did not.")
    def test_exit_code(self, settings: Settings, nodes: int, runs_here: bool) -> None:
        self._only_if(runs_here)
        assert self._run(settings, "exit 0", nodes=nodes).returncode == 0
        assert self._run(settings, "exit 3", nodes=nodes).returncode != 0

    @rule("L008", "Quoting within the command survives: spaces, quotes, newlines, any character.")
    def test_quoting(self, settings: Settings, nodes: int, scratch: Path, runs_here: bool) -> None:
        self._only_if(runs_here)
        words = scratch / "words"
        for word in _AWKWARD:
            self._run(settings, f"printf '%s' {shlex.quote(word)} > {words}", nodes=nodes)
            assert words.read_bytes() == word.encode(), (
                f"{word!r} arrived as {words.read_bytes()!r}"
            )

    @rule("L009", "The text waits until the command has ended.")
    def test_waits(self, settings: Settings, nodes: int, scratch: Path, runs_here: bool) -> None:
        self._only_if(runs_here)
        # It goes on after its output is closed, so that nothing else makes the shell wait.
        self._run(settings, f"exec >/dev/null 2>&1; sleep 0.3; echo x > {scratch}/end", nodes=nodes)
        assert (scratch / "end").exists(), "the text ended before the command did"

    # ------------------------------------------------------------------------------------- tools

    def _open(self, settings: Settings) -> Launcher:
        made: Launcher = self.open(settings)
        return made

    def _only_if(self, runs_here: bool) -> None:
        if not runs_here:
            pytest.skip("what the text starts is not on this machine")

    def _run(
        self, settings: Settings, command: str, *, nodes: int
    ) -> subprocess.CompletedProcess[str]:
        text = self._open(settings).compose(command, nodes=nodes)
        return subprocess.run(
            ["/bin/sh", "-c", text],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
