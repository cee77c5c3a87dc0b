"""Any number of images through a network, in order, those that cannot be read in their places."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from headfit.errors import ImageError
from headfit.images.contract import Contract
from headfit.images.inputs import name_of
from headfit.images.read_ahead import ImageLike, decode_images
from headfit.model.runner import Runner

MOST_WAITING = 256  # images whose names are known, and whose outputs are not


def iter_outputs(
    images: Iterable[ImageLike], runner: Runner, contract: Contract
) -> Iterator[tuple[str, np.ndarray | ImageError]]:
    """Run images as they come; a bounded number is in memory.

    Args:
        images: paths or Pillow images; may be endless.
        runner: the network.
        contract: the size that it takes.

    Yields:
        The name of each image with the outputs of the network, float32, or why it cannot be read.
    """
    # name, error, and whether the network runs it
    begun: deque[tuple[str, ImageError | None, bool]] = deque()
    blank = np.zeros((1, contract.height, contract.width, 3), np.uint8)

    def decoded() -> Iterator[tuple[None, np.ndarray]]:
        for number, (image, pixels) in enumerate(decode_images(images, contract), 1):
            error = pixels if isinstance(pixels, ImageError) else None
            # errors wait for the next output, so a long row of them takes a blank image along
            runs = error is None or len(begun) >= MOST_WAITING
            begun.append((name_of(image, number), error, runs))
            if runs:
                yield None, blank if isinstance(pixels, ImageError) else pixels[None]

    for _, outputs in runner.run(decoded()):
        runs = False
        while not runs:
            name, error, runs = begun.popleft()
            yield name, error or outputs[0]
    for name, error, _ in begun:
        assert error is not None
        yield name, error
