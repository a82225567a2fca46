import weft


@weft.python_app
def simulate(seed: int) -> int:
    return seed * seed


@weft.python_app
def total(values: list[int]) -> int:
    return sum(values)


collector = weft.monitor("opentelemetry", endpoint="http://localhost:4318", service="survey")
with weft.load(weft.Config(monitors=[weft.monitor("log"), collector])):
    assert total([simulate(seed) for seed in range(4)]).result() == 14
