import weft
from weft import Config, File

config = Config(
    stagers=[weft.stager("http", tokens={"data.example.org": "env:DATA_TOKEN"})],
)


@weft.bash_app
def count(table, outputs=()):
    return f"wc -l < '{table}' > '{outputs[0]}'"


if __name__ == "__main__":
    with weft.load(config):
        table = File("https://data.example.org/files/run%207/table.csv")
        lines = File("https://data.example.org/files/run%207/lines.txt")
        count(table, outputs=[lines]).result()
