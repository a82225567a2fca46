import weft


@weft.python_app
def where() -> tuple[str, str, str]:
    import os

    names = ("WEFT_BLOCK", "WEFT_WORKERS", "CUDA_VISIBLE_DEVICES")
    block, workers, accelerators = (os.environ[name] for name in names)
    return block, workers, accelerators


def shown(**options: object) -> None:
    executor = weft.executor("htex", **options)
    with weft.load(weft.Config(executors=[executor])):
        block, workers, accelerators = where().result()
        print(f"{block}: {workers} workers; accelerators of each: {len(accelerators.split(','))}")


# One worker to an accelerator, as far as there are cores for them.
shown(accelerators=4, cores_per_worker=0.25)

# Two accelerators for each worker, by their names.
shown(accelerators=("4", "5", "6", "7"), accelerators_per_worker=2, cores_per_worker=0.25)

# Three workers share one.
shown(accelerators=1, accelerators_per_worker=1 / 3, workers_per_node=3)
