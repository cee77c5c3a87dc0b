"""What reproduces a run: settings, versions, and fingerprints of all that went in."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import version
from typing import Any

from headfit.backbones.engines.interface import JOIN, OWN_END
from headfit.features.extract import Extraction
from headfit.fitting.descent.budget import Schedule, trials_for
from headfit.fitting.problem import PENALTIES, Problem
from headfit.heads.chain import Head
from headfit.images.contract import Contract
from headfit.runs.candidates import Entry
from headfit.runs.options import Options
from headfit.util import digests

PACKAGES = ("headfit", "keras", "jax", "openvino", "numpy", "scipy", "scikit-learn", "pillow")


def settings(
    options: Options, entries: list[Entry], home: Entry, problem: Problem
) -> dict[str, Any]:
    """Give every setting of a run.

    Args:
        options: as they were given.
        entries: the backbones compared.
        home: that of the recommended head.
        problem: labels and folds.
    """
    heads = list({fit.head.name: fit.head for entry in entries for fit in entry.fits}.values())
    splits = problem.splits
    return {
        "protocol": options.protocol,
        "folds": splits.folds,
        "repeats": splits.repeats,
        "seed": options.seed,
        "rope": options.rope,
        "groups": options.groups,
        "near_duplicates": options.near_duplicates,
        "where": options.where,
        "curve": options.curve,
        "backbone": home.source.spec.name,
        "cut": JOIN.join(home.found.info.layers) or home.source.cut or None,
        "backbones": list(dict.fromkeys(entry.name for entry in entries)),
        "weights": home.source.weights,
        "preprocessing": options.preprocessing,
        "heads": [head.name for head in heads],
        "keep": options.kept(heads),
        "contract": home.source.contract.to_dict(),
        "engine": home.found.info.to_dict(),
        "precision": options.precision,
        "feature_dtype": options.feature_dtype,
        "penalties": list(PENALTIES),
        "trials": {
            head.name: [
                t._asdict() for t in trials_for(head.body, quick=options.quick, hidden=head.hidden)
            ]
            for head in heads
            if not head.linear
        },
        "epochs": Schedule().epochs,
        "batch_size": Schedule().batch_size,
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": command(options, entries, heads, splits.folds),
    }


def command(options: Options, entries: list[Entry], heads: list[Head], folds: int) -> str:
    """Write the command line that repeats the run, every choice spelt out."""
    sources = [entry.source for entry in entries]
    words = ["headfit", "compare", str(entries[0].found.index.root)]
    weights = {source.spec.argument: source.weights for source in sources}
    same = len(set(weights.values())) == 1
    words += ["--backbone", ",".join(weights), "--weights"]
    words += [sources[0].weights if same else ",".join(weights.values())]
    words += ["--preprocessing", options.preprocessing] if options.preprocessing else []
    widths = list(dict.fromkeys(source.contract.width for source in sources))
    if len(widths) == 1 or options.size is not None:
        words += ["--size", ",".join(map(str, widths))]
    cuts = list(dict.fromkeys(s.cut or OWN_END for s in sources if not s.extra))
    words += [] if cuts in ([], [OWN_END]) else ["--cut", ",".join(cuts)]
    words += ["--heads", ",".join(head.name for head in heads), "--protocol", options.protocol]
    kept = options.kept(heads)
    words += ["--keep", ",".join(kept)] if kept else []
    words += ["--folds", str(folds), "--repeats", str(options.rounds)]
    words += ["--seed", str(options.seed), "--rope", str(options.rope), "--engine", options.engine]
    words += ["--precision", options.precision, "--feature-dtype", options.feature_dtype]
    words += ["--groups", options.groups] if options.groups is not None else []
    switches = {"near-duplicates": options.near_duplicates, "where": options.where}
    switches["curve"] = options.curve
    return shlex.join(words + [f"--no-{name}" for name, on in switches.items() if not on])


def fingerprint(found: Extraction, contract: Contract) -> dict[str, str]:
    """Digest the data (names, labels, splits and bytes), the weights and the preprocessing."""
    index = found.index
    rows = zip(index.paths, index.labels.tolist(), index.splits, found.digests, strict=True)
    return {
        "data": digests.of_data([list(index.classes), sorted(rows)]),
        "weights": found.info.weights_digest,
        "preprocessing": digests.of_data(contract.to_dict()),
    }
