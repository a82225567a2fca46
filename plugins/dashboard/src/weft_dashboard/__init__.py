"""Runs of weft in the browser, live and afterwards, by their event logs.

guard                      who may look; pure, before everything else
app                        the pages, and what they ask for
topics                     who watches what, in the loop of the server
watcher                    the one thread that reads logs and owns what they come to
shelf ── book              the runs of a folder; one run
annals ── views ── changes what a run has told; what a page shows; what is new in it: pure
"""

__all__: list[str] = []

__version__ = "0.1.0"
