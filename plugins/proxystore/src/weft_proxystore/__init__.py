"""ProxyStore for weft: large objects travel through a store, and are fetched where they are used.

weft.serializer("proxystore", connector="file", options={"store_dir": "/scratch/me/store"})

settings     the options
policy       which values go through the store: pure
payload      how an object lies in a store, and what its content is known by: pure
keeping      which object is needed by which task, and when it may go: pure
stores       a store of a run: opened, cleaned of what dead runs left, closed
lending      proxies, and how they travel
serializer   the component

weft.stager("proxystore", connector="redis", options={"hostname": "head", "port": 6379})

records      how a file lies in a store, and under which names: pure
trouble      what an error of a store means to who moves a file: pure
shelf        files in a store: put there in pieces, read piece by piece, removed
stager       the component

folder, redis, endpoint    connectors whose objects have names and belong to a run
"""
