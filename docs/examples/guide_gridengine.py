"""A configuration for a cluster with Grid Engine: blocks of one node with 4 slots, ten at most."""

import weft
from weft import Config

config = Config(
    executors=[
        weft.executor(
            "htex",
            provider=weft.provider(
                "gridengine",
                queue="all.q",
                parallel_environment="smp",
                slots_per_node=4,
                memory_per_slot=4 << 30,
                walltime="02:00:00",
            ),
            workers_per_node=4,
            max_blocks=10,
            block_walltime=2 * 3600 - 120,
        )
    ]
)
