"""What reproduces a run: settings, versions, and fingerprints of all that went in."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from headfit.backbones.engines.interface import JOIN, OWN_END
from headfit.features.extract import Extraction
from headfit.fitting.descent.budget import Schedule, trials_for
from headfit.fitting.problem import PENALTIES, SQUARED, Problem
from headfit.heads.chain import Head
from headfit.images.contract import Contract
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.options import Options
from headfit.util import digests

REPEATED = (
    *("seed", "rope", "class_weight", "engine", "precision", "feature_dtype", "groups"),
    *("near_duplicates", "where", "curve"),
)
PACKAGES = ("headfit", "keras", "jax", "openvino", "numpy", "scipy", "scikit-learn", "pillow")


def settings(
    options: Options,
    backbones: list[CandidateBackbone],
    chosen: CandidateBackbone,
    problem: Problem,
) -> dict[str, Any]:
    """Give every setting of a run; ``chosen`` is the backbone of the recommended head."""
    heads = list({fit.head.name: fit.head for each in backbones for fit in each.fits}.values())
    splits = problem.splits
    return {
        "source": chosen.extraction.index.source.to_dict(),
        "protocol": options.protocol,
        "folds": splits.folds,
        "repeats": splits.repeats,
        "seed": options.seed,
        "rope": options.rope,
        "class_weight": options.class_weight,
        "number_loss": options.number_loss,
        "groups": options.groups,
        "near_duplicates": options.near_duplicates,
        "where": options.where,
        "curve": options.curve,
        "claims": options.claims,
        "backbone": chosen.source.spec.name,
        "cut": JOIN.join(chosen.extraction.info.layers) or chosen.source.cut or None,
        "backbones": list(dict.fromkeys(each.name for each in backbones)),
        "weights": chosen.source.weights,
        "preprocessing": options.preprocessing,
        "heads": [head.name for head in heads],
        "keep": options.heads_to_keep(heads),
        "contract": chosen.source.contract.to_dict(),
        "engine": chosen.extraction.info.to_dict(),
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
        "versions": versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": command(options, backbones, heads, splits.folds),
    }


def versions() -> dict[str, str]:
    """Give the versions of the packages that results depend on."""
    return {name: version(name) for name in PACKAGES}


def command(
    options: Options, backbones: list[CandidateBackbone], heads: list[Head], folds: int
) -> str:
    """Write the command line that repeats the run, with every setting."""
    sources = [each.source for each in backbones]
    weights = {source.spec.argument: source.weights for source in sources}
    same = len(set(weights.values())) == 1
    widths = list(dict.fromkeys(source.contract.width for source in sources))
    cuts = list(dict.fromkeys(s.cut or OWN_END for s in sources if not s.extra))
    settings: dict[str, Any] = {
        "backbone": list(weights),
        "weights": sources[0].weights if same else list(weights.values()),
        "preprocessing": options.preprocessing,
        "size": widths if len(widths) == 1 or options.size is not None else None,
        "cut": None if cuts in ([], [OWN_END]) else cuts,
        "heads": [head.name for head in heads],
        "protocol": options.protocol,
        "keep": options.heads_to_keep(heads) or None,
        "folds": folds,
        "repeats": options.rounds,
        **{name: None if (v := getattr(options, name)) is True else v for name in REPEATED},
        "number_loss": None if options.number_loss == SQUARED else options.number_loss,
        "skip_empty_classes": options.skip_empty_classes or None,
        "claims": options.claims or None,
    }
    images = backbones[0].extraction.index.source
    return command_line("compare", images.argument, {**settings, **images.options})


def fingerprint(extraction: Extraction, contract: Contract) -> dict[str, str]:
    """Digest the data (names, labels, splits and bytes), the weights and the preprocessing."""
    index = extraction.index
    rows = zip(index.paths, index.labels.tolist(), index.splits, extraction.digests, strict=True)
    return {
        "data": digests.of_data([list(index.classes), sorted(rows)]),
        "weights": extraction.info.weights_digest,
        "preprocessing": digests.of_data(contract.to_dict()),
    }


def command_line(command: str, argument: str, options: Mapping[str, Any]) -> str:
    """Write the command line of a call.

    Args:
        command: for instance ``"compare"``.
        argument: what it is about, for instance a folder.
        options: arguments by their names in Python. None is left out; True switches an option on,
            False off; a list is joined by commas.

    Example:

    >>> command_line("compare", "my photos", {"heads": ["gap", "spp"], "where": False})
    "headfit compare 'my photos' --heads gap,spp --no-where"
    """
    words = ["headfit", command, argument]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{option}")
        elif value is not None:
            listed = isinstance(value, Iterable) and not isinstance(value, str)
            words += [f"--{option}", ",".join(map(str, value)) if listed else str(value)]
    return shlex.join(words)
