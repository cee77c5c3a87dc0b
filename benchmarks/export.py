"""What exports give and how fast they run: backbones × heads × formats, as a Markdown table.

    python benchmarks/export.py PHOTOS --backbones MobileNet=WEIGHTS.h5,VGG16 --heads gap,flatten

PHOTOS is a folder of class folders. Heads have random weights, since agreement and speed do not
depend on them; backbones have the weights behind their ``=``, else random ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")
FORMATS = ("onnx", "openvino", "keras")
HEADS = ("gap", "flatten", "gem", "attention", "gap-512")
BACKBONES = (
    *("efficientnet_lite0=imagenet", "MobileNet", "VGG16", "ResNet50", "MobileNetV2"),
    *("EfficientNetB0", "ConvNeXtTiny"),
)
BATCH, SECONDS = 16, 3.0


def write_model(spec: Any, backbone: Any, chain: str, size: int, classes: tuple[str, ...]) -> Path:
    """Write a classifier as headfit does, its head with random weights."""
    import keras

    from headfit.backbones.engines.interface import probe_images
    from headfit.heads.chain import parse_head
    from headfit.model.assemble_child import preprocess
    from headfit.model.metadata import ModelRecord

    contract = spec.contract(size)
    images = keras.Input((size, size, 3), name="images")
    maps = backbone(preprocess(images, contract), training=False)
    outputs = parse_head(chain).build(maps, len(classes), None, "channels_last", 1.0)
    model = keras.Model(images, outputs, name="headfit_classifier")
    p = np.asarray(model.predict(probe_images(size, size).astype(np.float32), verbose=0))
    path = Path(tempfile.mkdtemp(prefix="headfit-export-")) / "model.keras"
    model.save(path)
    probe = tuple(tuple(map(float, row)) for row in p)
    ModelRecord(classes, contract, chain, spec.name, probe, "0").append_to(path)
    return path


def speed(format_: Any, path: Path, size: int, threads: int) -> tuple[float, float]:
    """Give images a second, and the seconds from opening to the first answer."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    start = time.perf_counter()
    predict = format_.open(path, threads)
    predict(images[:1])
    opened = time.perf_counter() - start
    predict(images)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - start)
    return BATCH / statistics.median(times), opened


def row(name: str, each: Any, size: int) -> str:
    """Write a row of the table."""
    from headfit.exports.formats import FORMATS as KNOWN

    if each.path is None:
        return f"| {name} | {each.format} | {each.problem} | | | | | |"
    one, opened = speed(KNOWN[each.format], each.path, size, 1)
    two, _ = speed(KNOWN[each.format], each.path, size, 2)
    cells = (
        *(name, each.format, f"{each.max_abs_difference:.0e}", f"{100 * each.top1_agreement:.1f}"),
        *(f"{each.bytes / 1e6:.1f}", f"{one:.0f}", f"{two:.0f}", f"{opened:.2f}"),
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--heads", default=",".join(HEADS))
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--size", type=int, help="the backbone's own if left out")
    arguments = parser.parse_args()

    import headfit as hf
    from headfit.backbones.catalog import find
    from headfit.backbones.cut import build_cut

    classes = tuple(sorted(each.name for each in arguments.photos.iterdir() if each.is_dir()))
    print(
        "| model | format | largest difference | top-1 agreement % | MB | images/s, 1 thread | "
        "2 threads | start s |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for text in arguments.backbones.split(","):
        name, _, weights = text.partition("=")
        spec = find(name)
        size = arguments.size or spec.size
        backbone = build_cut(spec, size, weights or "random", [""])
        for chain in arguments.heads.split(","):
            model = write_model(spec, backbone, chain, size, classes)
            for format_ in arguments.formats.split(","):
                label = f"{spec.name} {size} + {chain}"
                try:
                    export = hf.export(
                        model, format_, precision=arguments.precision, images=arguments.photos
                    )
                except hf.HeadfitError as error:
                    print(f"| {label} | {format_} | {error} | | | | | |", flush=True)
                    continue
                print(row(label, export.exports[0], size), flush=True)


if __name__ == "__main__":
    main()
