"""The options of the monitor ``prometheus``. Light."""

import ipaddress
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import ge, gt, in_, instance_of, le

from weft.values.settings import MonitorSettings, setting

__all__ = ["Prometheus"]


# Fields are Any: attrs.Attribute is generic for checkers and not when the program runs, where the
# kit looks at annotations.
def _is_address(_instance: object, field: Any, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(
            f"{field.name} is an address of this machine, such as 127.0.0.1 or ::1, not {value!r}"
        ) from None


def _is_textfile(_instance: object, field: Any, value: str) -> None:
    if value and not (value.isprintable() and value.endswith(".prom")):
        raise ValueError(
            f"{field.name} is the path of a file whose name ends with .prom, since the node "
            f"exporter reads no other, and not {value!r}"
        )


@attrs.frozen(kw_only=True)
class Prometheus(MonitorSettings):
    """Metrics for Prometheus: at a port while the run lasts, or in a file that is replaced.

    Whoever can reach the port can read the metrics: names of apps and executors, and numbers.
    """

    plugin: ClassVar[str] = "prometheus"

    port: int = setting(
        9464,
        help="The port at which the metrics are read; 0 for one that is free, which a notice "
        "tells. Two runs on one machine need two ports.",
        validator=[instance_of(int), ge(0), le(65535)],
    )
    address: str = setting(
        "127.0.0.1",
        help="The address at which the port is opened: the default is for this machine alone, "
        "0.0.0.0 is for every machine that reaches this one.",
        validator=[instance_of(str), _is_address],
    )
    textfile: str = setting(
        "",
        help="A file to write instead of opening a port, for the textfile collector of the node "
        "exporter; by a path that counts from the monitor's folder in the run folder.",
        validator=[instance_of(str), _is_textfile],
    )
    interval: float = setting(
        15.0,
        help="How long the textfile stays before it is replaced.",
        unit="seconds",
        validator=[instance_of((int, float)), gt(0)],
    )
    readers: Literal["owner", "all"] = setting(
        "owner",
        help="Who may read the textfile; the node exporter mostly runs as a user of its own, and "
        "then it is one of 'all'.",
        validator=in_(("owner", "all")),
    )
    max_apps: int = setting(
        200,
        help="How many apps have series of their own; those that are called first after that many "
        "others share the series of the app 'other'.",
        unit="apps",
        validator=[instance_of(int), ge(1)],
    )
