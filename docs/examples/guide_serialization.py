import threading
from collections import Counter

import weft


class Reads:
    """A class of the script: it travels with its code, and comes back as itself."""

    def __init__(self, *bases: str) -> None:
        self.bases = bases


@weft.python_app
def reverse(reads: Reads) -> Reads:
    return Reads(*reads.bases[::-1])


@weft.python_app(serializer=weft.serializer("cloudpickle"))
def count(reads: Reads) -> Counter[str]:
    return Counter("".join(reads.bases))


@weft.python_app
def find(table: weft.Shared[dict[str, int]], name: str) -> int:
    return table.value[name]


workers = weft.executor("processes", max_workers=2, argument_budget=50_000)

with weft.load(weft.Config(executors=[workers])):
    back = reverse(Reads("AC", "GT")).result()
    print(type(back) is Reads, back.bases)
    print(dict(count(back).result()))

    # Packed once, sent to each worker once, named in each call.
    table = weft.shared({f"gene-{number}": number for number in range(100_000)})
    print([find(table, f"gene-{number}").result() for number in (7, 99_999)])

    # Without it, the table would travel with every call, and weft says so.
    size = weft.python_app(len)
    print(size({"genes": list(table.value)}).result())

    # What cannot travel is named down to the part.
    try:
        size([{"name": "x", "lock": threading.Lock()}]).result()
    except weft.errors.SerializationError as error:
        print(error)
