"""The declarations: what weft knows of this package before it loads anything else of it."""

from weft.values.plugin import Component, Kind

provider = Component(
    kind=Kind.PROVIDER,
    name="netns",
    settings="weft_netns.settings:Netns",
    factory="weft_netns.scheduler:build",
    summary="Gives nodes that are network namespaces of this machine.",
)

launcher = Component(
    kind=Kind.LAUNCHER,
    name="netns",
    settings="weft_netns.settings:EachNode",
    factory="weft_netns.launcher:build",
    summary="Starts a command on each node of a job.",
)
