import weft

tries: list[str] = []


@weft.python_app
def fetch(name: str) -> str:
    tries.append(name)
    if len(tries) < 3:
        raise ConnectionError(f"{name} did not answer")
    return f"the contents of {name}"


config = weft.Config(
    retries=3,
    backoff=weft.Backoff(first=0.01, factor=2, most=1),
)

with weft.load(config):
    future = fetch("archive")
    print(future.result())
    for one in future.tries:
        print(one.number, one.ended.value, repr(one.error), one.charged)
