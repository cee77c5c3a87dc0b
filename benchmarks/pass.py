"""Images per second of the backbone pass, end to end and of the engine alone; do all agree?

python benchmarks/pass.py                                  the embedded backbone
python benchmarks/pass.py --backbone MobileNet --weights random --images 800
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from interleave import Contestant, race
from photographs import photographs
from tables import Target, machine, markdown, rates_table, ratio, targets_table

TF, JAX = {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}
OURS, ENGINE = "headfit, end to end", "headfit's engine, decoded"
TF_FILES, TF_DECODED = "Keras on TensorFlow, end to end", "Keras on TensorFlow, decoded"
JAX_DECODED = "Keras on JAX, decoded"
NEEDS_TF, NEEDS_ONNX = ("tensorflow-cpu",), ("onnx", "onnxruntime")
COMPARED = 8


def main() -> None:
    """Race, compare the maps, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--images", type=int, default=400, help="in a round")
    parser.add_argument("--slow", type=int, default=64, help="the same for Keras on JAX")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    weights = Path(args.weights)
    model = {
        "backbone": args.backbone,
        "weights": str(weights.resolve()) if weights.exists() else args.weights,
    }
    print(machine(), f"\n{args.backbone}, {args.images} images a round, {args.rounds} rounds")
    print(f"(Keras on JAX: {args.slow} images)\n")
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder), args.images)
        found = race(_contestants(model, folder, args.images, args.slow), args.rounds)
    rates = {name: [done.rate for done in rounds] for name, rounds in found.items()}
    flops = rates.pop("sgemm")
    each = _once(Contestant("operations", "contestants:arithmetic", model, JAX)).items
    print("\n" + rates_table(rates, OURS, "images/s"))
    print(f"\nsgemm: {median(flops) / 1e9:.0f} GFLOP/s (median); {each / 1e9:.2f} GFLOP an image\n")
    print(targets_table(_targets(rates, flops, each)))
    print(f"\nAgreement with Keras on JAX, maps of the same {COMPARED} photographs:\n")
    print(_agreement(model))


def _contestants(model: dict[str, str], folder: str, images: int, slow: int) -> list[Contestant]:
    files = {**model, "folder": folder}
    bare = [
        Contestant(
            f"bare OpenVINO, decoded, batch {batch}, {jobs} requests",
            "contestants:openvino_timed",
            {**model, "count": images, "batch": batch, "jobs": jobs},
        )
        for batch, jobs in ((1, 2), (1, 4), (4, 2), (8, 2))
    ]
    ways = [
        _timed(way, slow if way.name == JAX_DECODED else images) for way in _ways(model, ours=False)
    ]
    return [
        Contestant(OURS, "contestants:headfit_end_to_end", files),
        _timed(Contestant(ENGINE, "engine", model), images),
        *bare,
        *ways,
        Contestant(TF_FILES, "contestants:keras_end_to_end", files, TF, NEEDS_TF),
        Contestant("sgemm", "contestants:sgemm", {"size": 2048, "repeats": 4}),
    ]


def _ways(model: dict[str, str], *, ours: bool) -> list[Contestant]:
    """Ways from pixels to maps; their ``function`` is yet to be wrapped."""
    own = [Contestant(ENGINE, "engine", model), Contestant("bare OpenVINO", "openvino", model)]
    return [
        *(own if ours else []),
        *(
            Contestant(
                f"ONNX Runtime, decoded, batch {batch}, {jobs} at a time",
                "onnx_runtime",
                {**model, "batch": batch, "jobs": jobs},
                JAX,
                NEEDS_ONNX,
            )
            for batch, jobs in ((1, 2), (8, 1))
        ),
        Contestant(TF_DECODED, "keras_predict", model, TF, NEEDS_TF),
        Contestant(JAX_DECODED, "keras_predict", model, JAX),
    ]


def _timed(way: Contestant, count: int) -> Contestant:
    setting = {**way.setting, "way": way.function, "count": count}
    return replace(way, function="contestants:timed", setting=setting)


def _targets(rates: dict[str, list[float]], flops: list[float], each: float) -> list[Target]:
    bare = [name for name in rates if name.startswith("bare")]
    best = max(bare, key=lambda name: median(rates[name]))
    onnx = [name for name in rates if name.startswith("ONNX")]
    engine, whole = rates[ENGINE], rates[OURS]
    targets = [
        ratio("end to end / headfit's engine on decoded images", whole, engine, ">=", 0.85),
        ratio(f"end to end / {best}", whole, rates[best], ">=", 0.85),
        ratio(f"headfit's engine / {best}", engine, rates[best], ">=", 0.97),
    ]
    if TF_FILES in rates:
        targets.append(ratio(f"end to end / {TF_FILES}", whole, rates[TF_FILES], ">=", 3))
    targets += [ratio(f"headfit's engine / {name}", engine, rates[name]) for name in onnx]
    operations = [rate * each for rate in engine]
    return [*targets, ratio("headfit's engine, FLOP/s / sgemm", operations, flops)]


def _agreement(model: dict[str, str]) -> str:
    """Compare everybody's maps of a few photographs with those of Keras on JAX."""
    with tempfile.TemporaryDirectory() as place:
        folder = photographs(Path(place), COMPARED)
        pixels, files = str(folder / "pixels.npy"), {"folder": str(folder)}
        setting = {**files, "backbone": model["backbone"], "out": pixels}
        _once(Contestant("decoding", "contestants:decoded", setting))
        maps = {}
        for number, way in enumerate(_ways(model, ours=True)):
            out = str(folder / f"{number}.npy")
            setting = {**way.setting, "way": way.function, "images": pixels, "out": out}
            if _once(replace(way, function="contestants:kept", setting=setting)):
                maps[way.name] = np.load(out)
        ends = (
            Contestant(f"{OURS} (stored)", "contestants:headfit_end_to_end"),
            Contestant(f"{TF_FILES} (own decoding)", "contestants:keras_end_to_end", {}, TF),
        )
        for end in ends:
            out = str(folder / "end.npy")
            needs = NEEDS_TF if end.env else ()
            if _once(replace(end, setting={**model, **files, "out": out}, needs=needs)):
                maps[end.name] = np.load(out)
    reference = maps.pop(JAX_DECODED)
    return markdown(
        ["contestant", "lowest cosine", "largest difference", "of the largest value"],
        [[name, *_difference(found, reference)] for name, found in maps.items()],
    )


def _difference(found: np.ndarray, reference: np.ndarray) -> list[str]:
    a, b = (maps.reshape(len(maps), -1).astype(np.float64) for maps in (found, reference))
    cosine = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    largest = float(np.abs(a - b).max())
    return [f"{cosine.min():.9f}", f"{largest:.2g}", f"{largest / np.abs(b).max():.2g}"]


def _once(contestant: Contestant) -> Any:
    """Let one contestant work once; None if it is left out."""
    found = race([replace(contestant, warm_up=False)], 1)
    return found[contestant.name][0] if found else None


if __name__ == "__main__":
    main()
