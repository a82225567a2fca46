"""ProxyStore for weft: large objects travel through a store, and are fetched where they are used.

weft.serializer("proxystore", connector="file", options={"store_dir": "/scratch/me/store"})

settings     the options
policy       which values go through the store: pure
payload      how an object lies in a store, and what its content is known by: pure
keeping      which object is needed by which task, and when it may go: pure
stores       a store of a run: opened, cleaned of what dead runs left, closed
lending      proxies, and how they travel
serializer   the component
"""
