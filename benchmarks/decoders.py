"""The contestants of ``decode.py``: ways from a file's bytes to a picture of the network's size.

OpenCV and simplejpeg follow headfit's rule: JPEG at the smallest of its built-in scales that is at
least twice the target, then a resize. Pillow in full and TensorFlow decode every pixel.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

Decoder = Callable[[bytes, int], np.ndarray]
Timed = Callable[[], tuple[int, dict[str, float]]]


def pillow_full() -> Decoder:
    """The reference: every pixel decoded, then an antialiased bilinear resize."""
    from PIL import Image

    def decode(data: bytes, side: int) -> np.ndarray:
        image = Image.open(io.BytesIO(data))
        image = image if image.mode == "RGB" else image.convert("RGB")  # which copies
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))

    return decode


def headfit_decode() -> Decoder:
    """What headfit does: Pillow, its draft mode down to twice the target, the same resize."""
    from headfit.images.decode import decode

    return lambda data, side: decode(data, side, side)


def opencv_reduced() -> Decoder:
    """OpenCV: reduced decoding down to twice the target, resize by area."""
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }

    def decode(data: bytes, side: int) -> np.ndarray:
        shorter = min(Image.open(io.BytesIO(data)).size)  # reads the header only
        scale = max(s for s in flags if s == 1 or shorter // s >= 2 * side)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags[scale])
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    return decode


def simplejpeg_scaled() -> Decoder:
    """simplejpeg: scaled decoding down to twice the target, Pillow's resize."""
    import simplejpeg
    from PIL import Image

    def decode(data: bytes, side: int) -> np.ndarray:
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=2 * side, min_width=2 * side, min_factor=1
        )
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))

    return decode


def tensorflow_full() -> Decoder:
    """TensorFlow as ``image_dataset_from_directory`` does it: full decode, resize as it comes."""
    import tensorflow as tf

    # the threads that are counted are those that call
    tf.config.threading.set_intra_op_parallelism_threads(1)

    def decode(data: bytes, side: int) -> np.ndarray:
        image = tf.io.decode_jpeg(data, channels=3)
        small = tf.image.resize(image, (side, side), method="bilinear")
        return tf.cast(tf.round(small), tf.uint8).numpy()

    return decode


def decode_all(decoder: str, folder: str, side: int, threads: int) -> Callable[[], int]:
    """Decode every file of a folder, its bytes in memory."""
    decode: Decoder = globals()[decoder]()
    files = [path.read_bytes() for path in sorted(Path(folder).rglob("*.jpg"))]

    def work() -> int:
        if threads == 1:
            return sum(1 for data in files if decode(data, side) is not None)
        with ThreadPoolExecutor(threads) as pool:
            return sum(1 for _ in pool.map(lambda data: decode(data, side), files))

    return work


def in_order(folder: str, side: int) -> Timed:
    """Small files one after the other: read, digest, decode; what a plain loop costs."""
    from headfit.images.decode import decode
    from headfit.images.index import ImageIndex
    from headfit.util import digests

    index = ImageIndex.from_directory(folder)

    def images() -> Iterable[tuple[str, np.ndarray]]:
        for number in range(len(index)):
            data = index.read_bytes(number)
            yield digests.of_bytes(data), decode(data, side, side)

    return _counted(images)


def headfit_reader(folder: str, side: int) -> Timed:
    """Small files by the reader of headfit's pass: threads only where a file is worth one."""
    from headfit.features.reader import Reader
    from headfit.features.store import FeatureStore
    from headfit.images.contract import Contract
    from headfit.images.index import ImageIndex

    index = ImageIndex.from_directory(folder)
    contract = Contract(side, side, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    empty = FeatureStore(Path(folder) / "no store")
    return _counted(lambda: Reader(index.paths, index.read_bytes, contract, empty).images())


def _counted(images: Callable[[], Iterable[object]]) -> Timed:
    """Count what passes, and the time of all cores that it takes."""

    def work() -> tuple[int, dict[str, float]]:
        start = time.process_time()
        count = sum(1 for _ in images())
        return count, {"cpu_seconds": time.process_time() - start}

    return work
