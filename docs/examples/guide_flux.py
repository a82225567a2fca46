"""A configuration for a Flux instance: blocks of four nodes, ten at most."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider("flux", queue="batch", bank="research", walltime="2h"),
            launcher=weft.launcher("flux"),
            nodes_per_block=4,
            max_blocks=10,
            block_walltime=2 * 3600 - 120,
            worker_init="module load python",
        )
    ]
)
