"""``python -m weft`` is ``weft``: the same program, for this very interpreter."""

from weft.cli import main

if __name__ == "__main__":
    main()
