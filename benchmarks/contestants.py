"""The contestants of ``pass.py``: ways to get feature maps of JPEG files, or of decoded images."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[], int]


def photographs(folder: Path, count: int) -> Path:
    """Write JPEG files of 500×375, cut from photographs that scikit-image ships, two classes."""
    from PIL import Image
    from skimage import data

    sources = [Image.fromarray(f()) for f in (data.chelsea, data.coffee, data.astronaut)]
    rng = np.random.default_rng(0)
    for number in range(count):
        source = sources[number % len(sources)].resize((640, 480))
        left, top = rng.integers(0, 140), rng.integers(0, 105)
        crop = source.crop((left, top, left + 500, top + 375))
        path = folder / "train" / f"class{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop.save(path, quality=90)
    return folder


def headfit_end_to_end(folder: str, backbone: str, weights: str) -> Work:
    """JPEG files to stored maps, with a new store each time."""
    from headfit.backbones.catalog import find
    from headfit.backbones.engine import open_engine
    from headfit.features.extract import extract
    from headfit.features.store import FeatureStore
    from headfit.images.index import ImageIndex

    spec = find(backbone)
    contract, index = spec.contract(), ImageIndex.from_directory(folder)
    engine = open_engine(spec, contract, weights, engine="openvino")

    def work() -> int:
        place = Path(tempfile.mkdtemp())
        try:
            return extract(index, contract, FeatureStore(place), lambda: engine).computed
        finally:
            shutil.rmtree(place)

    return work


def headfit_engine(backbone: str, weights: str, count: int) -> Work:
    """Decoded images through headfit's engine."""
    from headfit.backbones.catalog import find
    from headfit.backbones.engine import open_engine

    spec = find(backbone)
    contract = spec.contract()
    engine = open_engine(spec, contract, weights, engine="openvino")
    images = _noise(contract.height)
    return lambda: sum(1 for _ in engine.run((i, images[i % 8, None]) for i in range(count)))


def bare_openvino(backbone: str, weights: str, count: int, batch: int, jobs: int) -> Work:
    """Decoded images through the same graph by OpenVINO's own queue, results not taken."""
    import openvino as ov

    from headfit.backbones.catalog import find
    from headfit.backbones.graph_cache import backbone_graph

    spec = find(backbone)
    contract = spec.contract()
    graph = backbone_graph(spec, contract, weights, "jax", print)
    core = ov.Core()
    model = core.read_model(str(graph.path))
    model.reshape([batch, contract.height, contract.width, 3])
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT"}
    queue = ov.AsyncInferQueue(core.compile_model(model, "CPU", hints), jobs)
    images = _noise(contract.height)[:batch]

    def work() -> int:
        for _ in range(count // batch):
            queue.start_async({0: images})
        queue.wait_all()
        return count // batch * batch

    return work


def keras_predict(backbone: str, weights: str, count: int) -> Work:
    """Decoded images through ``model.predict`` on the process's Keras backend."""
    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    spec = find(backbone)
    contract = spec.contract()
    model = build(spec, contract.height, weights)
    images = contract.apply(np.repeat(_noise(contract.height), count // 8 + 1, axis=0)[:count])
    return lambda: len(model.predict(images, batch_size=32, verbose=0))


def keras_end_to_end(folder: str, backbone: str, weights: str) -> Work:
    """What a user writes: ``image_dataset_from_directory`` and ``model.predict``."""
    import keras

    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    spec = find(backbone)
    contract = spec.contract()
    backbone_model = build(spec, contract.height, weights)
    images = keras.Input((contract.height, contract.width, 3))
    scaled = keras.layers.Rescaling(contract.scale[0], contract.offset[0])(images)
    model = keras.Model(images, backbone_model(scaled))
    size = (contract.height, contract.width)

    def work() -> int:
        data: Any = keras.utils.image_dataset_from_directory(
            Path(folder) / "train", image_size=size, shuffle=False, verbose=False
        )
        return len(model.predict(data, verbose=0))

    return work


def sgemm(size: int, repeats: int) -> Work:
    """Float operations of numpy's matrix product."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)

    def work() -> int:
        deque((a @ a for _ in range(repeats)), maxlen=0)
        return 2 * size**3 * repeats

    return work


def _noise(side: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (8, side, side, 3), dtype=np.uint8)
