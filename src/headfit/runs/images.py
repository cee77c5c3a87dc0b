"""The images of a run."""

from __future__ import annotations

import os
from collections.abc import Callable

from headfit.errors import UsageError
from headfit.images.index import ImageIndex
from headfit.progress import Callback

Images = ImageIndex | str | os.PathLike[str]
"""What a user gives: an index, or a folder to make one of."""


def open_index(
    images: Images, callback: Callback, check: Callable[[ImageIndex], None]
) -> ImageIndex:
    """Give the index of a folder, or the index itself.

    Args:
        images: a folder with a sub-folder for each class, or its index.
        callback: is told how many images there are.
        check: raises a ``DataError`` if they are too few.

    Raises:
        UsageError: if it is neither, or the folder does not exist.
        DataError: if the folder holds no images, one class only, or too few.
    """
    if not images or not isinstance(images, ImageIndex | str | os.PathLike):
        raise UsageError.invalid("images", images, "a folder or a headfit.ImageIndex")
    callback.on_stage_begin("Looking for images", 1)
    index = images if isinstance(images, ImageIndex) else ImageIndex.from_directory(images)
    check(index)
    callback.on_progress(1, f"{len(index)} images, {len(index.classes)} classes")
    return index
