"""Where the files of a task lie in its working folder, and what is put there in their place. Pure.

Each file has the last part of its URL as its name, if no other one has it. Files of one folder stay
together, so that ``reads.bam`` is beside ``reads.bam.bai``: where a name is taken, all of that
folder go into a folder of the working folder, ``2`` and so on. Outputs come first: what a task
writes by a name is never an input that it did not mean.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from weft.data.names import NameLeadsOut, name_for_url, relative_name
from weft.values.files import File

__all__ = ["SANDBOXES", "laid_out", "put_in"]

SANDBOXES: Final = ".sandboxes"
"""The folder in which working folders are made."""


def laid_out(outputs: Sequence[File], inputs: Sequence[File]) -> Mapping[File, str]:
    """The path of each file in the working folder; no two have one, and none is in another."""
    found: dict[File, str] = {}
    groups: dict[tuple[bool, str], list[File]] = {}
    for made, files in ((True, outputs), (False, inputs)):
        for file in files:
            if file not in found:
                found[file] = ""
                folder = file.url.rpartition("/")[0]
                groups.setdefault((made, folder), []).append(file)
    taken: set[str] = set()
    rooms = 1
    for files in groups.values():
        names = [_name(file) for file in files]
        if len(set(names)) < len(names):  # such as of one path, with other queries
            names = [name_for_url(file.url) for file in files]
        room = ""
        if taken.intersection(names):
            rooms += 1
            while str(rooms) in taken or str(rooms) in names:
                rooms += 1
            room = f"{rooms}/"
            taken.add(str(rooms))
        else:
            taken.update(names)
        found.update((file, room + name) for file, name in zip(files, names, strict=True))
    return found


def _name(file: File) -> str:
    try:
        name = relative_name(file.filename)
    except NameLeadsOut:
        return name_for_url(file.url)
    # A name of digits could be that of a folder.
    return name_for_url(file.url) if name.isdigit() else name


def put_in(value: Any, put: Callable[[File], File]) -> Any:
    """The same value, with each ``File`` in it replaced, through lists, tuples, sets and dicts."""
    if isinstance(value, File):
        return put(value)
    kind = type(value)
    if kind in {list, tuple, set, frozenset}:
        return kind([put_in(one, put) for one in value])
    if kind is dict:
        return {key: put_in(one, put) for key, one in value.items()}
    return value
