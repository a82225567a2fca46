"""The declarations of what this package brings."""

from weft.values.plugin import Component, Kind, Requires, Support

__all__ = ["hosts", "ssh"]

ssh = Component(
    kind=Kind.PROVIDER,
    name="ssh",
    settings="weft_ssh.settings:SSH",
    factory="weft_ssh.provider:build",
    summary="Gets hosts that are named, over OpenSSH: each block has one or more to itself.",
    capabilities={
        "cancel": Support.FULL,
        "nodes": Support.FULL,
        "exit-code": Support.FULL,
    },
    requires=Requires(commands=("ssh",), hint="Install the client of OpenSSH."),
    checks="weft_ssh.checks:checks",
    pairs_with={"launcher": ("*",)},
)

hosts = Component(
    kind=Kind.LAUNCHER,
    name="ssh",
    settings="weft_ssh.settings:SSHHosts",
    factory="weft_ssh.launcher:build",
    summary="Starts on all hosts of a block of the provider ssh.",
    pairs_with={"provider": ("ssh",)},
)
