"""A configuration for a machine with Cobalt: blocks of eight nodes, four at most."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "cobalt",
                account="research",
                walltime="01:00:00",
                attributes="mcdram=cache:numa=quad",
            ),
            launcher=weft.launcher("aprun"),
            nodes_per_block=8,
            max_blocks=4,
            block_walltime=3600 - 120,
            worker_init="module load miniconda-3",
        )
    ]
)
