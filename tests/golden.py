"""The small run whose results are kept: every kind of head, two backbones, groups, a test split.

``python tests/golden.py FOLDER`` writes its ``results.json`` again, for a change that is meant.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import headfit as hf
from photos import CLASSES, write_folder

STORED = Path(__file__).parent / "data" / "golden_results.json"
HEADS = (
    *("gap", "flatten", "gmp", "avgmax", "gem", "lse", "spp", "spatial_prior", "attention"),
    "low_rank",
)
# what depends on the machine, the clock or the place, and what is prose
VARYING = {
    *("timings", "train_seconds", "latency_ms", "latency", "engine", "command", "versions"),
    *("python", "platform"),
    *(
        "groups",
        "source",
        "sentence",
        "refusal",
        "warnings",
        "path",
        "reason",
        "cached",
        "computed",
    ),
}
# sums of rounding errors where every image is told apart with certainty
NOISE = {
    "secondary",
    "log_loss",
    "brier",
    "ece",
    "reliability",
    "law",
    "heads",
    "shift",
    "overfit_gap",
}


def run(folder: Path) -> dict[str, Any]:
    """Make the run below ``folder`` and give its results."""
    images = folder / "photos"
    write_folder(images, 12, split="train")
    write_folder(images, 4, seed=1, split="test")
    (images / "train" / CLASSES[0] / "broken.jpg").write_bytes(b"no picture")
    rows = [
        f"train/{name}/{number:02}.jpg,{name}{number // 2}"
        for name in CLASSES
        for number in range(12)
    ]
    rows += [f"train/{CLASSES[0]}/broken.jpg,broken"]
    groups = folder / "groups.csv"
    groups.write_text("path,group\n" + "\n".join(rows) + "\n", "utf-8")
    study = hf.compare(
        images,
        backbone="efficientnet_lite0,MobileNet",
        weights="imagenet,random",
        size=128,
        heads=list(HEADS),
        keep=["gap", "flatten"],
        groups=str(groups),
        protocol="quick",
        folds=3,
        seed=3,
    )
    results: dict[str, Any] = json.loads(json.dumps(study.results))
    return results


def comparable(results: Any) -> Any:
    """Leave out what varies from one machine to the next."""
    if isinstance(results, dict):
        return {k: comparable(v) for k, v in results.items() if k not in VARYING | NOISE}
    if isinstance(results, list):
        return [comparable(each) for each in results]
    return results


if __name__ == "__main__":
    STORED.write_text(json.dumps(comparable(run(Path(sys.argv[1]))), indent=1) + "\n", "utf-8")
