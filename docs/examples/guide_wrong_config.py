import weft

config = weft.Config(
    executors=[
        weft.executor("threads", max_threads=4),
        weft.executor("threads", max_threads=2),
    ],
    checkpoint=True,
    memoize=False,
)
