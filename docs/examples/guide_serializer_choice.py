import guide_serializer_module

import weft

own = weft.serializer("pickle", by_value=["guide_serializer_module"])
workers = weft.executor("processes", max_workers=1, serializer=weft.serializer("dill"))


@weft.python_app(serializer=weft.serializer("cloudpickle"))
def count(reads: list[str]) -> int:
    return len("".join(reads))


with weft.load(weft.Config(executors=[workers])):
    print(count(["AC", "GT"]).result())

    # The module travels: where tasks run, nobody needs to have it.
    complement = weft.python_app(guide_serializer_module.complement)
    print(complement.options(serializer=own)("ACGT").result())
