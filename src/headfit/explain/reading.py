"""Image files to the pixels that a classifier takes, some at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from headfit.errors import ImageError
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.util.processors import usable_cores

PathLike = str | os.PathLike[str]


def read(path: PathLike, contract: Contract) -> np.ndarray | ImageError:
    """Decode a file to uint8 (height, width, 3), or say why it cannot be."""
    try:
        return decode(read_bytes(path), contract.height, contract.width)
    except ImageError as error:
        return error


def in_chunks(
    paths: Sequence[PathLike], contract: Contract, size: int
) -> Iterator[list[np.ndarray | ImageError]]:
    """Decode files in order, ``size`` at a time."""
    with ThreadPoolExecutor(max(2, usable_cores()), "headfit-decode") as pool:
        for start in range(0, len(paths), size):
            part = paths[start : start + size]
            yield list(pool.map(lambda path: read(path, contract), part))
