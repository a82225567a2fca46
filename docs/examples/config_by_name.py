"""A configuration, made of parts by their names: `weft run --config config_by_name.py SCRIPT`.

`weft check config_by_name.py` says what is wrong with it, if anything is, and starts nothing.
"""

import weft

config = weft.Config(
    executors=[
        weft.executor("threads", label="light", max_threads=4),
        weft.executor("processes", label="heavy", max_workers=2),
    ],
    retries=1,
)
