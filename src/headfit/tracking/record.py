"""What is recorded of a run: plain numbers and files, the same for every library.

No image is among them, and no table of images: ``report.html`` shows some, so it stays where it is.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import UsageError
from headfit.model.metadata import kept_models
from headfit.report.figures import pngs
from headfit.runs.study import READABLE
from headfit.util import records

RESULTS, MODEL = "results.json", "model.keras"
FOLD, IMAGES = "fold", "images"
"""What a series runs over: folds of the cross-validation, or numbers of training images."""
Point = tuple[int, float]
Value = str | int | float | bool
LONGEST = 200  # characters of a name
_SETTINGS = (
    *("protocol", "folds", "repeats", "seed", "rope", "class_weight", "weights", "preprocessing"),
    *("near_duplicates", "precision", "feature_dtype", "heads", "unfreeze", "augment", "views"),
    *("tta", "python", "platform"),
)
_ENDS = ("low", "high")


@dataclass(frozen=True)
class RunRecord:
    """A run as the libraries take it.

    Attributes:
        name: of the run, that of its folder.
        kind: ``compare`` or ``finetune``.
        verdict: the answer in a sentence.
        command: the command line that repeats the run.
        parameters: what decides the result: protocol, backbone, heads, seed, versions and so on.
        metrics: numbers by their names, such as ``balanced_accuracy/gap``.
        series: by what they run over, values in order, such as ``balanced_accuracy_folds/gap``.
        figures: plots as PNG files, by name.
        files: the models, and ``results.json``.
        folder: the folder of the run.
    """

    name: str
    kind: str
    verdict: str
    command: str
    parameters: dict[str, Value]
    metrics: dict[str, float]
    series: dict[str, dict[str, list[Point]]]
    figures: dict[str, bytes]
    files: tuple[Path, ...]
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read the folder that a comparison or a fine-tuning wrote.

        Raises:
            UsageError: it holds no run.
            DataError: its results are damaged, or of another version.
        """
        file = folder / RESULTS
        if not file.is_file() or not (folder / MODEL).is_file():
            raise UsageError(
                f"'{folder}' must be the folder of a run: it has no {RESULTS} or no {MODEL}."
            )
        with records.reading(file, "lacks values that are recorded"):
            results = records.read_json(file)
            if results["schema"] not in READABLE:
                raise ValueError(f"its schema is {str(results['schema'])[:40]!r}")
            curve = (results["learning_curve"] or {"heads": ()})["heads"]
            unique = _Names(row["name"] for row in (*results["candidates"], *curve))
            return cls(
                name=folder.resolve().name or "headfit",
                kind="finetune" if results.get("finetune") else "compare",
                verdict=str(results["verdict"]["sentence"]),
                command=str(results["settings"]["command"]),
                parameters=parameters(results),
                metrics=dict(_metrics(results, unique)),
                series={FOLD: dict(_folds(results, unique)), IMAGES: dict(_curve(curve, unique))},
                figures=pngs(results),
                files=(folder / MODEL, *kept_models(folder), file),
                folder=folder,
            )


def parameters(results: Mapping[str, Any]) -> dict[str, Value]:
    """Give what decides the results of a run, in a flat form; lists are joined by commas."""
    settings, places, images = (results[name] for name in ("settings", "backbones", "images"))
    several = {
        "backbone": [place["backbone"] for place in places],
        "size": [place["input_size"] for place in places],
        "cut": [place["cut"] for place in places if place["cut"]],
    }
    flat: dict[str, Any] = {name: list(dict.fromkeys(many)) for name, many in several.items()}
    flat |= {name: settings.get(name) for name in _SETTINGS}
    flat |= {"recommended": results["verdict"]["recommended"]}
    flat |= {"images": images["used"], "classes": len(images["classes"])}
    flat |= {f"recipe_{name}": each for name, each in settings.get("recipe", {}).items()}
    flat |= {f"fingerprint_{name}": each for name, each in results["fingerprint"].items()}
    flat |= {f"version_{name}": each for name, each in settings["versions"].items()}
    return {name: _plain(value) for name, value in flat.items() if value not in (None, [])}


def _plain(value: Any) -> Value:
    if isinstance(value, str | int | float):
        return value
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class _Names:
    """Names of heads that every library takes: letters, digits and ``_.-/``, none twice."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names: dict[str, str] = {}
        for name in dict.fromkeys(names):
            # a path of plain parts, as MLflow wants it
            parts = re.sub(r"[^\w.\-/]", "_", name, flags=re.ASCII).split("/")
            plain = "/".join(part.strip(".") or "_" for part in parts)[:LONGEST].rstrip("/")
            spellings = (f"{plain}_{n}" if n > 1 else plain for n in itertools.count(1))
            self._names[name] = next(s for s in spellings if s not in self._names.values())

    def __getitem__(self, name: str) -> str:
        return self._names[name]


def _metrics(results: Mapping[str, Any], names: _Names) -> Iterator[tuple[str, float]]:
    recommended = results["verdict"]["recommended"]
    for row in results["candidates"]:
        for metric, value in _of_row(row):
            yield f"{metric}/{names[row['name']]}", value
            if row["name"] == recommended:
                yield f"recommended/{metric}", value
    for gain in (results.get("finetune") or {"gains": ()})["gains"]:
        for end, value in _interval("gain", gain["difference"]):
            yield f"{end}/{names[gain['name']]}", value
    test = results["test"] or {}
    for metric, value in _numbers(test):
        yield f"test/{metric}", value
    for metric, ends in (test.get("intervals") or {}).items():
        yield from ((f"test/{metric}_{end}", v) for end, v in _numbers(ends))
    difference = results["verdict"].get("difference") or {}
    yield from ((f"flatten_minus_gap/{name}", value) for name, value in _numbers(difference))
    yield from ((f"seconds/{stage}", value) for stage, value in _numbers(results["timings"]))


def _of_row(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Give the numbers of a head: scores with their intervals, size, time."""
    for metric, score in row.items():
        if isinstance(score, dict) and "mean" in score:
            yield from _interval(metric, score)
    for part, count in _numbers(row["parameters"]):
        yield f"parameters_{part}", count
    for name in ("train_seconds", "latency_ms"):
        yield from _numbers({name: row[name]})


def _interval(metric: str, score: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((metric, value) for _, value in _numbers({"mean": score["mean"]}))
    ends = {end: score.get(end) for end in _ENDS}
    yield from ((f"{metric}_{end}", value) for end, value in _numbers(ends))


def _folds(results: Mapping[str, Any], names: _Names) -> Iterator[tuple[str, list[Point]]]:
    for row in results["candidates"]:
        for metric, score in row.items():
            if isinstance(score, dict) and "folds" in score:
                points = [(n, v) for n, v in enumerate(score["folds"]) if _finite(v)]
                yield f"{metric}_folds/{names[row['name']]}", points


def _curve(heads: Sequence[Mapping[str, Any]], names: _Names) -> Iterator[tuple[str, list[Point]]]:
    for head in heads:
        for end in ("mean", *_ENDS):
            name = "learning_curve" if end == "mean" else f"learning_curve_{end}"
            points = [(int(p["images"]), p[end]) for p in head["points"] if _finite(p[end])]
            yield f"{name}/{names[head['name']]}", points


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    yield from ((name, float(value)) for name, value in values.items() if _finite(value))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
