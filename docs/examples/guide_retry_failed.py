import weft
from weft import python_app


@python_app
def measure(sample: str) -> float:
    return float(sample.removesuffix("cm"))


@python_app
def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@python_app
def careful(sample: str) -> float:
    number = sample.removesuffix("mm").removesuffix("cm")
    return float(number) / (10 if sample.endswith("mm") else 1)


with weft.load() as session:
    measured = [measure(sample) for sample in ("12cm", "8cm", "95mm")]
    middle = mean(measured)
    print(type(middle.exception()).__name__)

    again = session.retry(with_=careful)

    print(f"{len(again)} tasks ran again: {', '.join(future.app for future in again.values())}")
    print(f"{again[middle].result():.2f} cm")
