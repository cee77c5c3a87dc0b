"""Images per second of the backbone pass: end to end, and of the engine alone.

python benchmarks/pass.py                                  the embedded backbone
python benchmarks/pass.py --backbone MobileNet --weights random --images 256
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from contestants import photographs
from interleave import Contestant, machine, race, table


def main() -> None:
    """Race, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    model = {"backbone": args.backbone, "weights": args.weights}
    print(machine(), f"\n{args.backbone}, {args.images} images a round, {args.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        photographs(Path(folder), args.images)
        rates = race(_contestants(model, folder, args.images), args.rounds)
    flops = rates.pop("sgemm")
    print(table(rates, "headfit, end to end", "images/s"))
    print(f"\nsgemm: {sorted(flops)[len(flops) // 2] / 1e9:.0f} GFLOP/s (median)")


def _contestants(model: dict[str, str], folder: str, images: int) -> list[Contestant]:
    files, decoded = {**model, "folder": folder}, {**model, "count": images}
    jax, tensorflow = {"KERAS_BACKEND": "jax"}, {"KERAS_BACKEND": "tensorflow"}
    tf = ("tensorflow-cpu",)
    bare = [
        Contestant(
            f"bare OpenVINO, decoded, batch {batch}, {jobs} requests",
            "contestants:bare_openvino",
            {**decoded, "batch": batch, "jobs": jobs},
        )
        for batch, jobs in ((1, 2), (1, 4), (8, 2))
    ]
    return [
        Contestant("headfit, end to end", "contestants:headfit_end_to_end", files),
        Contestant("headfit's engine, decoded", "contestants:headfit_engine", decoded),
        *bare,
        Contestant("Keras on JAX, decoded", "contestants:keras_predict", decoded, jax),
        Contestant(
            "Keras on TensorFlow, decoded", "contestants:keras_predict", decoded, tensorflow, tf
        ),
        Contestant(
            "Keras on TensorFlow, end to end",
            "contestants:keras_end_to_end",
            files,
            tensorflow,
            tf,
        ),
        Contestant("sgemm", "contestants:sgemm", {"size": 2048, "repeats": 4}),
    ]


if __name__ == "__main__":
    main()
