"""The launcher keeps what is promised of its text."""

from weft_testkit import LauncherConformance
from weft_testkit.bent import BentLauncher, Broken


class TestSSH(LauncherConformance):
    name = "ssh"


class QuotesOnceMore(BentLauncher):
    """Broken on purpose: blanks are lost, as where a shell more than there is takes the text."""

    def bend(self, text: str) -> str:
        return text.replace("  ", " ")


class TestQuotesOnceMore(Broken, TestSSH):
    killed_by = "L008"
    Bent = QuotesOnceMore
