"""What reproduces a run: settings, versions, and fingerprints of all that went in."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import version
from typing import Any

from headfit import digests
from headfit.backbones.engine import EngineInfo
from headfit.features.extract import Extraction
from headfit.fitting.budget import Schedule, trials_for
from headfit.heads.chain import Head
from headfit.images.contract import Contract
from headfit.options import Options
from headfit.study.problem import PENALTIES

PACKAGES = ("headfit", "keras", "jax", "openvino", "numpy", "scipy", "scikit-learn", "pillow")


def settings(
    options: Options,
    folder: str,
    backbone: str,
    contract: Contract,
    info: EngineInfo,
    heads: list[Head],
) -> dict[str, Any]:
    """Give every setting of a run.

    Args:
        options: as they were given.
        folder: the images.
        backbone: its canonical name.
        contract: the preprocessing in force.
        info: the engine that ran.
        heads: those compared.
    """
    return {
        "protocol": f"{options.rounds}x{options.folds}",
        "folds": options.folds,
        "repeats": options.rounds,
        "seed": options.seed,
        "quick": options.quick,
        "rope": options.rope,
        "backbone": backbone,
        "weights": options.weights,
        "heads": [head.name for head in heads],
        "contract": contract.to_dict(),
        "engine": info.to_dict(),
        "precision": options.precision,
        "feature_dtype": options.feature_dtype,
        "penalties": list(PENALTIES),
        "trials": {
            head.name: [t._asdict() for t in trials_for(head.body, quick=options.quick)]
            for head in heads
            if not head.linear
        },
        "epochs": Schedule().epochs,
        "batch_size": Schedule().batch_size,
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": command(options, folder, backbone, contract, heads),
    }


def command(
    options: Options, folder: str, backbone: str, contract: Contract, heads: list[Head]
) -> str:
    """Write the command line that repeats the run, every choice spelt out."""
    words = ["headfit", "compare", folder, "--backbone", backbone, "--weights", options.weights]
    words += ["--size", str(contract.width), "--heads", ",".join(head.name for head in heads)]
    words += ["--folds", str(options.folds), "--repeats", str(options.rounds)]
    words += ["--seed", str(options.seed), "--rope", str(options.rope), "--engine", options.engine]
    words += ["--precision", options.precision, "--feature-dtype", options.feature_dtype]
    return shlex.join(words + (["--quick"] if options.quick else []))


def fingerprint(found: Extraction, contract: Contract) -> dict[str, str]:
    """Digest the data (names, labels, splits and bytes), the weights and the preprocessing."""
    index = found.index
    rows = zip(index.paths, index.labels.tolist(), index.splits, found.digests, strict=True)
    return {
        "data": digests.of_data([list(index.classes), sorted(rows)]),
        "weights": found.info.weights_digest,
        "preprocessing": digests.of_data(contract.to_dict()),
    }
