"""An epoch of fine-tuning against plain Keras ``fit`` of the same layers.

python benchmarks/finetune.py                         EfficientNet-Lite0, 224 px, all backends
python benchmarks/finetune.py --rounds 3 --images 128 --size 96

headfit trains the last stage from stored maps of views, or everything from pixels; Keras' ``fit``
passes every image through the whole backbone in every step. Batches of 32, float32, AdamW, batch
normalisation in inference mode. Compiling is not counted: each contestant warms up.
"""

from __future__ import annotations

import argparse

from interleave import Contestant, race
from tables import Target, machine, rates_table, ratio, targets_table

LAST, ALL = "headfit, last stage from stored maps", "headfit, everything"
TF, JAX = {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}
BACKENDS = {"JAX": (JAX, ()), "TensorFlow": (TF, ("tensorflow-cpu",))}


def main() -> None:
    """Race, and print the tables."""
    args = _arguments()
    print(machine())
    shared = {"backbone": args.backbone, "size": args.size, "images": args.images}
    contestants = [
        Contestant(LAST, "tuning:headfit_epoch", {**shared, "unfreeze": "last"}, JAX),
        Contestant(ALL, "tuning:headfit_epoch", {**shared, "unfreeze": "all"}, JAX),
    ]
    for name, (env, needs) in BACKENDS.items():
        for unfreeze, words in (("last", "last stage"), ("all", "everything")):
            setting = {**shared, "unfreeze": unfreeze}
            contestants.append(
                Contestant(f"Keras fit, {words}, {name}", "tuning:keras_epoch", setting, env, needs)
            )
    found = race(contestants, args.rounds)
    rates = {name: [each.rate for each in rounds] for name, rounds in found.items()}
    print("\nImages a second:\n\n" + rates_table(rates, LAST, "images/s"))
    print("\n" + targets_table(_targets(rates)))


def _targets(rates: dict[str, list[float]]) -> list[Target]:
    """Compare with the faster backend for the last stage, with each for everything."""
    names = [f"Keras fit, last stage, {name}" for name in BACKENDS]
    there = [name for name in names if name in rates]
    best = [max(each) for each in zip(*(rates[name] for name in there), strict=True)]
    targets = [ratio("last stage / Keras fit, best backend", rates[LAST], best, ">=", 5.0)]
    for name, bound in (("JAX", 3.0), ("TensorFlow", 1.0)):
        other = f"Keras fit, everything, {name}"
        if other in rates:
            targets.append(ratio(f"everything / {other}", rates[ALL], rates[other], ">=", bound))
    return targets


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
