"""A widget for Jupyter that shows a run of weft, live and afterwards.

widget      what the notebook gets: one traitlet that holds a picture, and the page that draws it
follower    one thread, which reads the event logs of all runs that are watched
picture     a run's story becomes a picture: plain data, bounded; pure
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weft_jupyter.widget import RunWidget, watch

__all__ = ["RunWidget", "watch"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'weft_jupyter' has no attribute {name!r}")
    from weft_jupyter import widget

    return getattr(widget, name)
