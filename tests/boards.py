"""Records of a board as runs leave them, made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headfit.board.record import FOLDER, SCHEMA, write_record
from headfit.study.version import STATISTICS


def record(
    flatten: str = "necessary",
    mean: float = 0.04,
    *,
    data: str = "d1",
    drawn: str = "f1",
    metric: str = "balanced_accuracy",
    folds: int = 3,
    **changes: Any,
) -> dict[str, Any]:
    """Give a record of two heads."""
    loss = {"balanced_accuracy": "log_loss", "r2": "rmse"}.get(metric, "loss")
    ends = {"mean": 0.5, "low": 0.25, "high": 0.75}
    heads = {"gap": (3843, 0.8), "flatten": (15363, 0.8 + mean)}
    found = {
        "schema": SCHEMA,
        "declaration": {"source": "photos"},
        "statistics": STATISTICS,
        "metric": metric,
        "protocol": {"name": "quick", "folds": folds, "repeats": 1, "rope": 0.01, "seed": 0},
        "targets": {"kind": "class", "names": ["a", "b"]},
        "images": {"training": 36, "test": 0, "counts": {"a": 20, "b": 16}},
        "place": {
            **{"backbone": "efficientnet_lite0", "weights": "imagenet", "cut": None},
            **{"input_size": 64, "map_shape": [2, 2, 1280], "parameters": 3413024},
        },
        "verdict": {
            "flatten": flatten,
            "recommended": "flatten",
            "metric": metric,
            "difference": {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "p_value": 0.01},
        },
        "candidates": [
            {
                "head": head,
                "parameters": parameters,
                metric: {"mean": score, "low": score - 0.1, "high": 1.0, "folds": [score] * folds},
                loss: ends,
            }
            for head, (parameters, score) in heads.items()
        ],
        "spectrum": {"best": 0.3},
        "position_share": 0.42,
        "fingerprints": {"data": data, "folds": drawn},
        "versions": {},
    }
    return {**found, **changes}


def write(folder: Path, **records: dict[str, Any]) -> Path:
    """Write records as the folder of a board."""
    for name, each in records.items():
        write_record(folder / FOLDER / f"{name}.json", each)
    return folder
