"""What goes wrong with a store.

WeftError
├── StoreAway       the store cannot be used
└── ObjectGone      an object is not in the store any more
"""

from weft.errors import WeftError

__all__ = ["ObjectGone", "StoreAway"]


class StoreAway(WeftError):
    """The store cannot be reached, or refuses what it is asked."""

    code = "W-PXS-001"

    def __init__(self, store: str, doing: str, reason: str) -> None:
        super().__init__(
            f"The store {store} could not {doing}.",
            why=reason,
            todo="See that it runs, has room, and can be reached from here and from where tasks "
            "run; without the serializer 'proxystore' objects travel with their tasks.",
        )
        self.store, self.doing, self.reason = store, doing, reason


class ObjectGone(WeftError):
    """An object that a proxy stands for is not in the store any more."""

    code = "W-PXS-002"

    def __init__(self, store: str, key: str) -> None:
        super().__init__(
            f"The object {key} is not in the store {store} any more.",
            why="An object is there until the tasks that got it have ended and its run is over, "
            "unless the store lost it, as one without a disk does when it is restarted.",
            todo="Use what a proxy stands for while its session is open, and keep the object "
            "itself with proxystore.proxy.extract(it) for afterwards.",
        )
        self.store, self.key = store, key
