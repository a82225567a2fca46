"""What happens in a run, as spans at a collector."""

import weft
from weft import Config

config = Config(
    monitors=[
        weft.monitor("log"),
        weft.monitor("opentelemetry", endpoint="http://localhost:4318", service="survey"),
    ]
)
