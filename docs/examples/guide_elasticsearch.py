"""What happens in a run, as documents of an index that all runs of a survey share."""

import weft
from weft import Config

config = Config(
    monitors=[
        weft.monitor("log"),
        weft.monitor(
            "elasticsearch",
            server="https://search.example.org:9200",
            ca_certs="search-ca.pem",
            index="weft-survey",
        ),
    ]
)
