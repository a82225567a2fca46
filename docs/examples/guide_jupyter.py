"""The cells of a notebook."""

# %% the first one
import weft
import weft_jupyter
from weft import python_app


@python_app
def square(x: int) -> int:
    return x * x


run = weft.load(weft.Config())
weft_jupyter.watch(run)

# %% as many as there are
squares = [square(n) for n in range(1000)]

# %% the last one
run.close()
