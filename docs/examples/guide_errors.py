import weft
from weft import errors


@weft.python_app
def parse(line: str) -> int:
    return int(line)


@weft.bash_app
def check(name: str) -> str:
    return f"grep --quiet needle {name}"


with weft.load() as session:
    # A task's own exception comes back as itself.
    try:
        parse("twelve").result()
    except ValueError as error:
        print("ValueError:", error)

    # Errors of weft carry facts.
    try:
        check.options(stderr="check.err")("haystack.txt").result()
    except errors.BashExit as error:
        print(error.code, error.exit_code, error.command)

    # All that failed, grouped.
    for group in session.status().failures:
        print(group.count, group.app, group.error)
