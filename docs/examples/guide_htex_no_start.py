import weft


@weft.python_app
def square(number: int) -> int:
    return number * number


init = "test -d /opt/site/python || { echo 'there is no /opt/site/python' >&2; exit 7; }"
pilots = weft.executor("htex", worker_init=init, block_failures=1)

with weft.load(weft.Config(executors=[pilots])):
    try:
        square(7).result()
    except weft.errors.ExecutorFailed as error:
        print(error)
