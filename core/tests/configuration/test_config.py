import pickle
from typing import Any

import attrs
import pytest

from weft.configuration.config import Backoff, Config
from weft.errors import SettingsError


def refusal(**options: Any) -> Any:
    with pytest.raises(SettingsError) as caught:
        Config(**options)
    assert "Attribute(" not in str(caught.value)
    return caught.value


def test_a_configuration_is_data() -> None:
    config = Config(retries=2, executors=[])

    assert config == Config(retries=2)
    assert attrs.evolve(config, retries=3) == Config(retries=3)
    assert pickle.loads(pickle.dumps(config)) == config
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.retries = 3  # type: ignore[misc]


def test_an_unknown_option_gets_the_nearest() -> None:
    error = refusal(retires=3)

    assert error.what == "Config: there is no option 'retires'."
    assert error.todo.startswith("Did you mean retries")


@pytest.mark.parametrize(
    ("options", "said", "allowed"),
    [
        ({"retries": -1}, "Config: retries=-1 is not allowed.", "retries is a float >= 0"),
        ({"retries": "3"}, "Config: retries='3' is not allowed: it is a str.", "a float >= 0"),
        ({"on_exit": "fly"}, "none of the choices", "on_exit is one of 'wait', 'cancel'"),
        ({"require_level": "great"}, "require_level='great' is not allowed.", "'experimental'"),
        ({"run_dir": 3}, "run_dir=3 is not allowed", "run_dir is a Path"),
    ],
)
def test_a_value_that_is_not_allowed_is_answered_with_what_is(
    options: Any, said: str, allowed: str
) -> None:
    error = refusal(**options)

    assert said in error.what
    assert allowed in error.why


def test_a_backoff_speaks_for_itself() -> None:
    with pytest.raises(SettingsError, match=r"Backoff: jitter=2 is not allowed"):
        Backoff(jitter=2)


def test_waits_grow_to_their_limit_and_are_spread_by_chance() -> None:
    backoff = Backoff(first=1, factor=2, most=5, jitter=0.5)

    assert [backoff.wait(n, 0) for n in (1, 2, 3, 4)] == [1, 2, 4, 5]
    assert backoff.wait(1, 1) == 0.5
