import weft
from weft import Config, File

config = Config(
    stagers=[weft.stager("http", tokens={"data.example.org": "env:DATA_TOKEN"})],
)

table = File("https://data.example.org/files/run%207/table.csv")
lines = File("https://data.example.org/files/run%207/lines.txt")


@weft.bash_app
def count(table: File, outputs: list[File]) -> str:
    return f"wc -l < '{table}' > '{outputs[0]}'"
