"""The kit for launchers passes sound ones; each rule kills the variant that breaks it, first."""

import itertools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from weft.interfaces.launcher import Launcher
from weft.values.plugin import Component, Support
from weft.values.settings import Settings
from weft_testkit import LauncherConformance


class TestSimple(LauncherConformance):
    name = "simple"


class TestSingleNode(LauncherConformance):
    name = "single-node"


class TestWrapped(LauncherConformance):
    name = "wrapped"

    @pytest.fixture
    def settings(self) -> Settings:
        return self.registry().settings("launcher", "wrapped", prepend="env A=1")


# ------------------------------------------------------------------------ broken on purpose


@attrs.frozen
class Bent(Launcher):
    """A sound launcher whose text is bent."""

    sound: Launcher
    bend: Callable[[str], str]

    def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
        return self.bend(self.sound.compose(command, nodes=nodes, per_node=per_node))


class TestDeclarationImportsMuch(TestSimple):
    killed_by = "C001"

    @classmethod
    def declared_in(cls) -> str:
        return "weft_testkit.launcher"  # imports pytest


class TestInventsACapability(TestSimple):
    killed_by = "C002"

    @classmethod
    def component(cls) -> Component:
        return attrs.evolve(super().component(), capabilities={"levitation": Support.FULL})


@attrs.define
class Loose(Settings):
    """Settings that can be changed."""

    option: int = 1


class TestSettingsThatChange(TestSimple):
    killed_by = "C003"

    @pytest.fixture
    def settings(self) -> Settings:
        return Loose()


class TestStartsAThreadWhenImported(TestSimple):
    killed_by = "C004"

    @pytest.fixture(autouse=True)
    def _eager(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "eager.py").write_text(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    @classmethod
    def component(cls) -> Component:
        return attrs.evolve(super().component(), factory="eager:build")


class ForgetsAParameter(Launcher):
    def compose(self, command: str, *, nodes: int) -> str:  # type: ignore[override]
        return command


class TestForgetsAParameter(TestSimple):
    killed_by = "C005"

    def open(self, settings: Settings) -> Any:
        return ForgetsAParameter()


class TestNumbersItsTexts(TestSimple):
    killed_by = "L001"
    numbers = itertools.count()

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"{text} # {next(self.numbers)}")


class TestSaysNothing(TestSimple):
    killed_by = "L002"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: " ")


class TestAsksTheMachine(TestSimple):
    killed_by = "L003"

    def open(self, settings: Settings) -> Any:
        def bend(text: str) -> str:
            subprocess.run(["true"], check=True)
            return text

        return Bent(super().open(settings), bend)


class TestTakesAnything(TestSimple):
    killed_by = "L004"

    def open(self, settings: Settings) -> Any:
        class Obliging(Launcher):
            def compose(self, command: str, *, nodes: int, per_node: int = 1) -> str:
                return command

        return Obliging()


class TestOpensAQuote(TestSimple):
    killed_by = "L005"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"echo 'start; {text}")


class TestRunsTwice(TestSimple):
    killed_by = "L006"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"({text})\n({text})")


class TestLosesTheExitCode(TestSimple):
    killed_by = "L007"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"({text})\ntrue")


class TestManyThatLoseTheExitCode(TestSingleNode):
    killed_by = "L007"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"({text})\ntrue")


class TestWrappedLosesTheExitCode(TestWrapped):
    killed_by = "L007"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: f"({text})\ntrue")


class TestQuotesCarelessly(TestSimple):
    killed_by = "L008"

    def open(self, settings: Settings) -> Any:
        return Bent(super().open(settings), lambda text: text.replace("  ", " "))


class TestDoesNotWait(TestSimple):
    killed_by = "L009"

    def open(self, settings: Settings) -> Any:
        # What is over at once is waited for, so that nothing but the waiting is broken.
        return Bent(super().open(settings), lambda text: f"({text}) &" if "sleep" in text else text)
