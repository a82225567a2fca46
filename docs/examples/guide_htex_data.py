import weft
from weft import File


@weft.python_app
def measure(data: bytes) -> int:
    return len(data)


@weft.bash_app
def write(size: int, outputs: list[File]) -> str:
    return f"head -c {size} /dev/zero > {outputs[0]}"


@weft.python_app
def measure_file(file: File) -> int:
    return file.as_path().stat().st_size


pilots = weft.executor("htex", workers_per_node=1, max_message=1 << 20)

with weft.load(weft.Config(executors=[pilots])):
    print(measure(bytes(1_000_000)).result())

    try:
        measure(bytes(2_000_000)).result()
    except weft.errors.SerializationError as error:
        print(error)

    # Of a file, only the name travels.
    written = write(2_000_000, outputs=[File("large.bin")])
    print(measure_file(written.outputs[0]).result())
