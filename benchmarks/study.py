"""The whole question: seven linear heads, 5×10 folds, nine penalties, against what a user writes.

python benchmarks/study.py                     1,000 handwritten digits that scikit-learn ships
python benchmarks/study.py --folder photos --backbone MobileNet --weights FILE --rounds 3

Peers do a small part, which is timed, and the rest is multiplied; the tables say by what.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from math import prod
from pathlib import Path
from statistics import mean, median

import fresh
from interleave import Contestant, Round, race
from photographs import chosen
from tables import Target, machine, markdown, ratio, targets_table

from headfit.fitting.problem import PENALTIES, inner_pairs

HEADS = fresh.LINEAR_HEADS
FOLDS, REPEATS, QUICK_FOLDS = 10, 5, 5
EPOCHS, BATCH = 20, 32
COLD, WARM = "headfit, 5×10 folds, first run", "headfit, 5×10 folds, repeated"
QUICK_COLD, QUICK_WARM = "headfit, 1×5 folds, first run", "headfit, 1×5 folds, repeated"
QUICK_MAPS = "headfit, 1×5 folds, maps kept but no fits"
LOOP, PASS = "Keras fit, backbone in every epoch", "Keras predict, once"
TF, JAX = {"KERAS_BACKEND": "tensorflow"}, {"KERAS_BACKEND": "jax"}
BACKENDS = {"TensorFlow": (TF, ("tensorflow-cpu",)), "JAX": (JAX, ())}
NEEDS_TF = ("tensorflow-cpu",)
# heads whose fit is timed, and the heads that take as long
TIMED = {"gap": ("gap", "gmp", "avgmax", "gem", "lse"), "spp": ("spp",), "flatten": ("flatten",)}
Rounds = dict[str, list[Round]]


def main() -> None:
    """Race, multiply, and print the tables."""
    args = _arguments()
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        folder = _images(args, Path(place) / "images")
        weights = Path(args.weights)
        model = {
            "backbone": args.backbone,
            "weights": str(weights.resolve()) if weights.exists() else args.weights,
        }
        home = str(Path(place) / "home")
        print(
            f"{args.backbone}, {args.images} images, {args.classes} classes, {args.rounds} rounds; "
            f"heads {', '.join(HEADS)}\n"
        )
        files = _prepare(folder, model, home, place)
        found = race(_contestants(args, folder, model, home, files), args.rounds)
    costs = _costs(found, args.images)
    print("\nheadfit.compare in a fresh process, medians in seconds:\n\n" + _ours(found))
    print("\nEach head, 5×10 folds, first run:\n\n" + _heads(found))
    print("\nWhat a user would write, for the same 5×10 folds:\n\n" + _peers(found, costs))
    print(f"\nBalanced accuracy in %, mean of the outer folds that were run:\n\n{_scores(found)}")
    print("\n" + targets_table(_targets(found, costs)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a sub-folder for each class")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="timed of the Keras loop")
    parser.add_argument("--inner", type=int, default=3, help="inner folds of scikit-learn on gap")
    parser.add_argument("--inner-flatten", type=int, default=1, help="the same on flatten; 0: none")
    return parser.parse_args()


def _images(args: argparse.Namespace, target: Path) -> Path:
    """Gather the images as ``train/CLASS/*``; the digits of scikit-learn if no folder is named."""
    if args.folder:
        chosen(args.folder, target / "train", args.images, args.classes)
        return target
    from headfit.samples.catalog import write_sample

    with tempfile.TemporaryDirectory() as place:
        digits = write_sample("digits", Path(place) / "digits")
        chosen(digits / "train", target / "train", args.images, args.classes)
    return target


def _prepare(folder: Path, model: dict[str, str], home: str, place: str) -> dict[str, str]:
    """Build the graph, write the maps that the peers start from, and the folds that they share."""
    files = {"maps": f"{place}/maps.npy", "splits": f"{place}/splits.npz"}
    setting = {**model, "folder": str(folder), "out": files["maps"]}
    env = {"HEADFIT_HOME": home}
    race([Contestant("features", "peers:features", setting, env, warm_up=False)], 1)
    options = {**model, "heads": "gap", "folds": FOLDS, "repeats": REPEATS}
    fresh.compare({"folder": str(folder), "keep": files["splits"]}, options, home)
    return files


def _contestants(
    args: argparse.Namespace, folder: Path, model: dict[str, str], home: str, files: dict[str, str]
) -> list[Contestant]:
    standard, quick = {"folds": FOLDS, "repeats": REPEATS}, {"folds": QUICK_FOLDS, "repeats": 1}
    ours = [
        (COLD, standard, "all"),
        (WARM, standard, ""),
        (QUICK_COLD, quick, "all"),
        (QUICK_MAPS, quick, "fits"),
        (QUICK_WARM, quick, ""),
    ]
    on_files = {**model, "folder": str(folder)}
    return [
        *(
            Contestant(
                name,
                "fresh:contestant",
                {
                    "folder": str(folder),
                    "options": {**model, **protocol, "heads": ",".join(HEADS)},
                    "home": home,
                    "without": without,
                },
                warm_up=False,
            )
            for name, protocol, without in ours
        ),
        Contestant(PASS, "contestants:keras_end_to_end", on_files, TF, NEEDS_TF),
        Contestant(
            LOOP,
            "peers:keras_every_epoch",
            {**on_files, "steps": args.steps},
            TF,
            NEEDS_TF,
            warm_up=False,
        ),
        *_keras_fits(files),
        *_scikit_learn(args, files),
    ]


def _keras_fits(files: dict[str, str]) -> list[Contestant]:
    return [
        Contestant(
            _fit(head, backend),
            "peers:keras_fit",
            {**files, "head": head, "epochs": EPOCHS},
            env,
            needs,
            warm_up=False,
        )
        for backend, (env, needs) in BACKENDS.items()
        for head in TIMED
    ]


def _scikit_learn(args: argparse.Namespace, files: dict[str, str]) -> list[Contestant]:
    return [
        Contestant(
            _search(head),
            "peers:scikit_learn",
            {
                **files,
                "head": head,
                "inner": [partners[:inner] for partners in _inner_folds()],
                "penalties": PENALTIES,
            },
            warm_up=False,
        )
        for head, inner in (("gap", args.inner), ("flatten", args.inner_flatten))
        if inner
    ]


def _inner_folds() -> list[list[int]]:
    """The folds on which headfit chooses the penalty of each outer fold."""
    pairs = inner_pairs(FOLDS)
    return [[i + j - fold for i, j in pairs if fold in (i, j)] for fold in range(FOLDS)]


def _fit(head: str, backend: str) -> str:
    return f"features once + Keras fit on {backend}, {head}"


def _search(head: str) -> str:
    return f"features once + scikit-learn, {head}"


def _costs(found: Rounds, images: int) -> dict[str, tuple[str, list[float]]]:
    """What each peer would take in all: how it was multiplied, and the seconds in each round."""
    costs: dict[str, tuple[str, list[float]]] = {}
    fits = FOLDS * REPEATS
    if LOOP in found:
        steps = -(-images * (FOLDS - 1) // FOLDS // BATCH) * EPOCHS
        factors = (steps, len(HEADS), fits, len(PENALTIES))
        total = prod(factors)
        costs[LOOP] = (
            "{} steps a fit × {} heads × {} folds × {} penalties".format(*factors),
            [done.details["step"] * total for done in found[LOOP]],
        )
    for backend in BACKENDS:
        names = {_fit(head, backend): len(alike) for head, alike in TIMED.items()}
        if PASS in found and all(name in found for name in names):
            costs[f"features once + Keras fit on {backend}"] = (
                f"the pass + ({' + '.join(f'{n} × {h}' for h, n in _counts())}) × {fits} folds, "
                f"no penalty chosen",
                [
                    found[PASS][r].seconds
                    + fits * sum(n * found[name][r].details["fit"] for name, n in names.items())
                    for r in range(len(found[PASS]))
                ],
            )
    inner = len(_inner_folds()[0])
    for head in TIMED:
        if (name := _search(head)) in found:
            costs[f"{name} alone"] = (
                f"({inner} inner folds × {len(PENALTIES)} penalties + 1 fit) × {fits} folds, "
                f"without the pass",
                [
                    fits * (inner * done.details["inner"] + done.details["outer"])
                    for done in found[name]
                ],
            )
    return costs


def _counts() -> list[tuple[str, int]]:
    return [(head, len(alike)) for head, alike in TIMED.items()]


def _ours(found: Rounds) -> str:
    parts = ("decode_and_extract", "heads", "statistics", "refit")
    rows = []
    for name in (COLD, WARM, QUICK_COLD, QUICK_MAPS, QUICK_WARM):
        spent = [done.details for done in found[name]]
        row = [median(s["timings"].get(part, 0.0) for s in spent) for part in parts]
        wall = median(s["wall"] for s in spent)
        memory = median(s["peak"] for s in spent) / 1e9
        rows.append([name, f"{wall:.1f}", *(f"{seconds:.1f}" for seconds in row), f"{memory:.2f}"])
    return markdown(["", "process", "pass", "heads", "statistics", "refit", "peak GB"], rows)


def _heads(found: Rounds) -> str:
    records = [done.details["heads"] for done in found[COLD]]
    rows = [
        [
            head,
            f"{median(r[head]['seconds'] for r in records):.2f}",
            f"{100 * records[0][head]['score']:.1f}",
        ]
        for head in HEADS
    ]
    return markdown(["head", "seconds", "balanced accuracy %"], rows)


def _peers(found: Rounds, costs: dict[str, tuple[str, list[float]]]) -> str:
    wall = _walls(found, COLD)
    rows = []
    for name, (how, seconds) in costs.items():
        times = median(s / w for s, w in zip(seconds, wall, strict=True))
        rows.append([name, how, f"{median(seconds) / 3600:,.2f}", f"{times:,.0f}"])
    return markdown(["", "seconds timed, multiplied by", "hours", "times headfit, all heads"], rows)


def _scores(found: Rounds) -> str:
    """Headfit's scores beside the peers', on the outer folds of the first repeat that they ran."""
    ours = found[COLD][0].details["heads"]
    rows = []
    for head in TIMED:
        names = [*(_fit(head, backend) for backend in BACKENDS), _search(head)]
        ran = [done.details["fold"] for name in names if name in found for done in found[name]]
        folds = sorted(set(ran))
        if not folds:
            continue
        cells = [_percent([ours[head]["folds"][fold] for fold in folds])]
        for name in names:
            cells.append(_percent([done.details["score"] for done in found.get(name, [])]))
        rows.append([head, ", ".join(str(fold + 1) for fold in folds), *cells])
    head = ["head", "folds", "headfit", *(f"Keras fit, {b}" for b in BACKENDS), "scikit-learn"]
    return markdown(head, rows)


def _percent(scores: list[float]) -> str:
    return f"{100 * mean(scores):.1f}" if scores else ""


def _targets(found: Rounds, costs: dict[str, tuple[str, list[float]]]) -> list[Target]:
    passes = _seconds(found, COLD, "decode_and_extract")
    heads, quick = _seconds(found, COLD, "heads"), _seconds(found, QUICK_COLD, "heads")
    wall, again = _walls(found, COLD), _walls(found, QUICK_COLD)
    targets = [
        ratio("7 linear heads, 5×10 folds / the pass (stretch: 0.5)", heads, passes, "<=", 2),
        ratio("7 linear heads, 1×5 folds / the pass", quick, passes, "<=", 0.2),
        ratio("repeated / first run, 5×10 folds", _walls(found, WARM), wall, "<=", 0.25),
        ratio("repeated / first run, 1×5 folds", _walls(found, QUICK_WARM), again, "<=", 0.25),
        ratio("maps kept but no fits / first run, 1×5 folds", _walls(found, QUICK_MAPS), again),
    ]
    for name, (_, seconds) in costs.items():
        bound = {LOOP: 1000}.get(name, 20 if "Keras fit" in name else None)
        targets.append(ratio(f"{name} / headfit, first run", seconds, wall, ">=", bound))
    return targets


def _seconds(found: Rounds, name: str, part: str) -> list[float]:
    return [done.details["timings"][part] for done in found[name]]


def _walls(found: Rounds, name: str) -> list[float]:
    return [done.details["wall"] for done in found[name]]


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "jax")
    main()
