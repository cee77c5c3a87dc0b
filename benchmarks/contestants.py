"""The contestants of ``pass.py``: ways to get feature maps of JPEG files, or of decoded images.

A *way* is a function that makes a callable from pixels, uint8 (n, h, w, 3), to pieces of their
maps, float32 (m, H, W, C), in order. ``timed`` races it on noise, ``kept`` writes its maps of given
images to a file, to see whether all agree.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graph
from interleave import Work

Way = Callable[[np.ndarray], Iterator[np.ndarray]]
F32 = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}


def timed(way: str, count: int, **setting: Any) -> Work:
    """Race a way on decoded images."""
    forward: Way = globals()[way](**setting)
    side = contract_of(setting["backbone"]).height
    images = np.resize(_noise(side), (count, side, side, 3))
    return lambda: sum(len(maps) for maps in forward(images))


def kept(way: str, images: str, out: str, **setting: Any) -> Work:
    """Write a way's maps of the images in a file to another file."""
    forward: Way = globals()[way](**setting)

    def work() -> int:
        maps = np.concatenate(list(forward(np.load(images))))
        np.save(out, maps.astype(np.float32))
        return len(maps)

    return work


def engine(backbone: str, weights: str) -> Way:
    """Headfit's engine."""
    from headfit.backbones.catalog import find
    from headfit.backbones.engines.engine import open_engine

    opened = open_engine(find(backbone), contract_of(backbone), weights, engine="openvino")

    def forward(images: np.ndarray) -> Iterator[np.ndarray]:
        # the engine may give results in another order
        waiting: dict[int, np.ndarray] = {}
        following = 0
        for number, maps in opened.run((i, images[i, None]) for i in range(len(images))):
            waiting[number] = maps
            while following in waiting:
                yield waiting.pop(following)
                following += 1

    return forward


def openvino(backbone: str, weights: str) -> Way:
    """The same graph on OpenVINO, one image after the other."""
    compiled = _compiled(backbone, weights, 1)
    return lambda images: (np.array(compiled(image)[0]) for image in _pieces(images, 1))


def openvino_timed(backbone: str, weights: str, count: int, batch: int, jobs: int) -> Work:
    """The same graph by OpenVINO's own queue, results not taken: the ceiling."""
    import openvino as ov

    queue = ov.AsyncInferQueue(_compiled(backbone, weights, batch), jobs)
    images = np.resize(_noise(contract_of(backbone).height), (batch, *shape_of(backbone)))

    def work() -> int:
        for _ in range(count // batch):
            queue.start_async({0: images})
        queue.wait_all()
        return count // batch * batch

    return work


def onnx_runtime(backbone: str, weights: str, batch: int, jobs: int) -> Way:
    """The backbone as an ONNX graph on ONNX Runtime, ``jobs`` batches at a time."""
    import onnxruntime

    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    contract = contract_of(backbone)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if jobs > 1 else 0  # 0: as many as there are cores
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.onnx"
        onnx_graph.write(build(find(backbone), contract.height, weights), contract, path)
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    pool = ThreadPoolExecutor(jobs)

    def forward(images: np.ndarray) -> Iterator[np.ndarray]:
        return pool.map(lambda b: session.run(None, {"pixels": b})[0], _pieces(images, batch))

    return forward


def keras_predict(backbone: str, weights: str) -> Way:
    """``model.predict`` on the process's Keras backend."""
    model = from_pixels(backbone, weights)
    return lambda images: iter([model.predict(images, batch_size=32, verbose=0)])


def headfit_end_to_end(folder: str, backbone: str, weights: str, out: str = "") -> Work:
    """JPEG files to stored maps, with a new store each time; ``out`` keeps the maps as well."""
    from headfit.backbones.catalog import find
    from headfit.backbones.engines.engine import Joint, open_engine
    from headfit.features.extract import extract
    from headfit.features.store import FeatureStore
    from headfit.images.index import ImageIndex

    contract, index = contract_of(backbone), ImageIndex.from_directory(folder)
    opened = open_engine(find(backbone), contract, weights, engine="openvino")

    def work() -> int:
        place = Path(tempfile.mkdtemp())
        try:
            joint = Joint.of(opened)
            (found,) = extract(index, contract, [FeatureStore(place)], lambda: joint)
            if out:
                maps = [piece for _, piece in found.maps.chunks()]
                np.save(out, np.concatenate(maps).astype(np.float32))
            return found.computed
        finally:
            shutil.rmtree(place)

    return work


def keras_end_to_end(folder: str, backbone: str, weights: str, out: str = "") -> Work:
    """What a user writes: ``image_dataset_from_directory`` and ``model.predict``."""
    import keras

    model = from_pixels(backbone, weights)
    size = shape_of(backbone)[:2]

    def work() -> int:
        data: Any = keras.utils.image_dataset_from_directory(
            Path(folder) / "train", image_size=size, shuffle=False, verbose=False
        )
        maps = model.predict(data, verbose=0)
        if out:
            np.save(out, maps)
        return len(maps)

    return work


def decoded(folder: str, backbone: str, out: str) -> Work:
    """Write the pixels that headfit makes of a folder's images, uint8 (n, h, w, 3)."""
    from headfit.images.decode import decode
    from headfit.images.index import ImageIndex

    index = ImageIndex.from_directory(folder)
    height, width, _ = shape_of(backbone)

    def work() -> int:
        files = [index.read_bytes(number) for number in range(len(index))]
        np.save(out, np.stack([decode(data, height, width) for data in files]))
        return len(files)

    return work


def arithmetic(backbone: str, weights: str) -> Work:
    """Count the float operations of the convolutions for one image: two for a multiply-add."""
    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    model = build(find(backbone), contract_of(backbone).height, weights)
    total = 0
    for layer in model.layers:
        if "Conv2D" not in type(layer).__name__:
            continue
        _, height, width, channels = layer.output.shape
        kernel_height, kernel_width, inputs, _ = layer.kernel.shape
        each = 1 if type(layer).__name__ == "DepthwiseConv2D" else inputs
        total += 2 * height * width * channels * kernel_height * kernel_width * each
    return lambda: total


def sgemm(size: int, repeats: int) -> Work:
    """Float operations of numpy's matrix product."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)

    def work() -> int:
        deque((a @ a for _ in range(repeats)), maxlen=0)
        return 2 * size**3 * repeats

    return work


def _compiled(backbone: str, weights: str, batch: int) -> Any:
    import openvino as ov

    from headfit.backbones.catalog import find
    from headfit.backbones.graphs.graph import backbone_graph

    graph = backbone_graph(find(backbone), contract_of(backbone), weights, "jax", print)
    core = ov.Core()
    model = core.read_model(str(graph.path))
    model.reshape([batch, *shape_of(backbone)])
    return core.compile_model(model, "CPU", F32)


def from_pixels(backbone: str, weights: str) -> Any:
    """Build a backbone and its preprocessing as one Keras model."""
    import keras

    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    contract = contract_of(backbone)
    pixels = keras.Input(shape_of(backbone))
    x = pixels * np.array(contract.scale, np.float32) + np.array(contract.offset, np.float32)
    x = keras.ops.flip(x, axis=-1) if contract.bgr else x
    return keras.Model(pixels, build(find(backbone), contract.height, weights)(x))


def contract_of(backbone: str) -> Any:
    """Headfit's record of a backbone's preprocessing, at its own size."""
    from headfit.backbones.catalog import find

    return find(backbone).contract()


def shape_of(backbone: str) -> tuple[int, int, int]:
    """Height, width and 3 of the images that a backbone takes."""
    contract = contract_of(backbone)
    return contract.height, contract.width, 3


def _pieces(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _noise(side: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, side, side, 3), dtype=np.uint8)
