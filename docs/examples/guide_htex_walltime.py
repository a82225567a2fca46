import weft


@weft.python_app
def compute(seconds: float) -> str:
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:  # in compiled code it would be no different
        pass
    return "done"


blocks_of_an_hour = weft.executor("htex", workers_per_node=1, block_walltime=3600)

with weft.load(weft.Config(executors=[blocks_of_an_hour])):
    try:
        compute.options(walltime=0.5)(1000).result()
    except weft.errors.TaskTimeout as error:
        print(error.what)

    print(compute.options(walltime=60)(0.01).result())

    try:
        compute.options(walltime=7200)(1).result()
    except weft.errors.WeftError as error:
        print(error.what)
        print(error.why)
