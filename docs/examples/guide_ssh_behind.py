"""Hosts behind another one, which share no folder with this machine and cannot connect to it."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "ssh",
                hosts=("node1", "node2", "node3", "node4"),
                jump="gate",
                tunnel=True,
                folder="~/weft",
            ),
            launcher=weft.launcher("ssh"),
            nodes_per_block=2,
            max_blocks=2,
        )
    ]
)
