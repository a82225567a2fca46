"""Data movement: what stagers and the places of files have in common.

Stagers may use ``names`` and ``made``, which are part of the plugin API.
"""

__all__: list[str] = []
