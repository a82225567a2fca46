"""Options as they are typed: what a word means is the type of its option."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import attrs
import pytest

from weft.configuration.words import options_in, value_in
from weft.values.settings import ProviderSettings, setting


@attrs.frozen(kw_only=True)
class Odd(ProviderSettings):
    plugin: ClassVar[str] = "odd"
    walltime: str = setting("1", help="h")
    memory_per_node: int | None = setting(None, help="h")
    factor: float = setting(1.0, help="h")
    exclusive: bool = setting(True, help="h")
    gpus: int | str | None = setting(None, help="h")
    options: Sequence[str] = setting((), help="h")
    mode: Literal["a", "b"] = setting("a", help="h")


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ([], {}),
        (["--walltime", "30"], {"walltime": "30"}),
        (["--walltime=30"], {"walltime": "30"}),
        (["--walltime", "1-00:00:00"], {"walltime": "1-00:00:00"}),
        (["--walltime", ""], {"walltime": ""}),
        (["--memory-per-node", "0"], {"memory_per_node": 0}),
        (["--memory-per-node", "none"], {"memory_per_node": None}),
        (["--factor", "2"], {"factor": 2}),
        (["--gpus", "4"], {"gpus": 4}),
        (["--gpus", "a100:4"], {"gpus": "a100:4"}),
        (["--exclusive"], {"exclusive": True}),
        (["--no-exclusive"], {"exclusive": False}),
        (["--exclusive", "false", "--mode", "b"], {"exclusive": False, "mode": "b"}),
        (["--exclusive", "--mode", "b"], {"exclusive": True, "mode": "b"}),
        (["--options", "--x=1", "--options=-y"], {"options": ("--x=1", "-y")}),
        (["--unknown", "5"], {"unknown": 5}),
    ],
)
def test_what_is_typed_is_what_the_option_takes(words: list[str], means: dict[str, Any]) -> None:
    assert options_in(words, Odd) == means
    if "unknown" not in means:
        Odd(**options_in(words, Odd))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["debug"], "'debug' is no option"),
        (["-p", "debug"], "'-p' is no option"),
        (["--"], "'--' is no option"),
        (["--walltime"], "--walltime needs a value"),
        (["--walltime", "1", "--walltime", "2"], "--walltime is given twice"),
    ],
)
def test_what_means_nothing_is_said(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        options_in(words, Odd)


def test_what_fits_nothing_stays_what_it_is_so_that_the_settings_can_say_so() -> None:
    assert value_in("many", int) == "many"
    assert value_in("3", Literal["a"]) == "3"
