"""Three hosts that one may log in to, each a block."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider("ssh", hosts=("node1", "node2", "node3")),
            max_blocks=3,
        )
    ]
)
