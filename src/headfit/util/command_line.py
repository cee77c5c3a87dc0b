"""A call of headfit as a line for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any


def command_line(command: str, argument: str, options: Mapping[str, Any]) -> str:
    """Write the command line of a call.

    Args:
        command: for instance ``"compare"``.
        argument: what it is about, for instance a folder.
        options: arguments by their names in Python. None and True are left out; False switches an
            option off; a list is joined by commas.

    Example:

    >>> command_line("compare", "my photos", {"heads": ["gap", "spp"], "where": False})
    "headfit compare 'my photos' --heads gap,spp --no-where"
    """
    words = ["headfit", command, argument]
    for name, value in options.items():
        option = name.replace("_", "-")
        if value is False:
            words.append(f"--{'no-'}{option}")
        elif value is not None and value is not True:
            listed = isinstance(value, Iterable) and not isinstance(value, str)
            words += [f"--{option}", ",".join(map(str, value)) if listed else str(value)]
    return shlex.join(words)
