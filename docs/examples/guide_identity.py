import weft


class Detector:
    """Something weft knows nothing about."""

    def __init__(self, name: str, gain: float) -> None:
        self.name, self.gain = name, gain
        self.cache: dict[str, float] = {}


@weft.id_for_memo.register(Detector)
def _(detector: Detector) -> object:
    return (detector.name, detector.gain)  # what makes a difference to results


@weft.python_app(cache=True, ignore_for_cache=["verbose"])
def calibrate(detector: Detector, verbose: bool = False) -> float:
    if verbose:
        print("calibrating", detector.name)
    return 2 * detector.gain


with weft.load():
    print(calibrate(Detector("east", 0.5)).result())
    again = calibrate(Detector("east", 0.5), verbose=True)
    print(again.result(), again.from_memory())
