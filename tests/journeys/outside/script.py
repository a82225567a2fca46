"""A user's script: the executor of another package, by its name."""

from pathlib import Path
from typing import Any

import weft
from weft import Config, python_app


@python_app
def double(x: Any) -> Any:
    return 2 * x


@python_app
def fails() -> None:
    raise ValueError("as it should")


if __name__ == "__main__":
    config = Config(executors=[weft.executor("echo", word="hello")], run_dir=Path("runs"))
    with weft.load(config) as session:
        chain = double(double(double(1)))
        many = [double(n) for n in range(20)]
        bad = fails()
        assert chain.result(20) == 8
        assert [future.result(20) for future in many] == [2 * n for n in range(20)]
        assert isinstance(bad.exception(20), ValueError)
        log = next(session.run_folder.rglob("echo.log"))
    lines = log.read_text().splitlines()
    assert lines.count("hello double") == 23, lines
    assert lines.count("hello fails") == 1, lines
    print("all is well")  # noqa: T201
