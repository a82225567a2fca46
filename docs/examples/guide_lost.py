import sys

import weft


@weft.python_app(cache=True)
def simulate(step: int) -> int:
    return step * step


with weft.load() as session:
    known = [simulate(step) for step in range(4)]
    print([future.result() for future in known])
    if "--stop" in sys.argv:
        sys.exit("stopped half-way")
    more = [simulate(step) for step in range(8)]
    print([future.result() for future in more])
