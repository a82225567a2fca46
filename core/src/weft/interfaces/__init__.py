"""The six things that a plugin can be, each a small class with its contract, and the hooks.

Each module has a ``VERSION`` of its own, ``major.minor``. A minor adds what old plugins need not
know; a major may break them. Core calls these interfaces directly; nothing is ever assigned onto a
plugin, which gets what it needs by ``start``.
"""
