"""The launcher keeps what is promised of its text."""

from weft_testkit import LauncherConformance


class TestSSH(LauncherConformance):
    name = "ssh"
