import weft


@weft.python_app
def simulate(seed: int) -> int:
    return seed * seed


server = weft.monitor(
    "elasticsearch",
    server="https://search.example.org:9200",
    ca_certs="search-ca.pem",
    index="weft-survey",
)
with weft.load(weft.Config(monitors=[weft.monitor("log"), server])):
    assert [simulate(seed).result() for seed in range(4)] == [0, 1, 4, 9]
