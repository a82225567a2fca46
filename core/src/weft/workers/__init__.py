"""Worker processes on this machine: started, given calls, watched, replaced, ended.

    whoever has an event loop ──▶ crew ──▶ process ──▶ protocol ──▶ worker, in a process of its own
                                    └──▶ dealing ──▶ packing

``crew``, ``desk`` and ``waiting`` are for plugins, the rest is its own: ``dealing`` decides which
worker gets what, and ``packing`` what a task gets of the machine, both without a process;
``process`` is a worker as its owner sees it, ``worker`` what runs there, ``protocol`` how the two
tell messages apart.
"""
