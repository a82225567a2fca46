"""A configuration for a cluster with PBS: blocks of four nodes, ten at most."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "pbs",
                queue="workq",
                account="research",
                walltime="02:00:00",
                cores_per_node=64,
            ),
            launcher=weft.launcher("mpiexec"),
            nodes_per_block=4,
            max_blocks=10,
            block_walltime=2 * 3600 - 120,
            worker_init="module load python",
        )
    ]
)
