"""What exports give and how fast they run: backbones × heads × formats.

    python benchmarks/export.py work PHOTOS WORK --backbones MobileNet@224=WEIGHTS.h5,VGG16@96
    python benchmarks/export.py speed PHOTOS WORK
    python benchmarks/export.py table PHOTOS WORK

``work`` fits heads on PHOTOS, a folder of ``train`` and ``test``, as ``headfit compare`` does,
writes each in each format and proves it on the images of ``test``. ``speed`` runs what was
written, ``table`` prints. Each result is a line of JSON in WORK: all can be stopped and go on where
they were, and several can run at once on different backbones. A backbone is ``NAME@SIZE=WEIGHTS``:
random weights if those are left out, its own size if that is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = ("onnx", "openvino", "litert", "saved_model", "keras")
HEADS = ("gap", "flatten", "gem", "attention", "gap-512")
BACKBONES = (
    *("efficientnet_lite0=imagenet", "MobileNet", "VGG16@96", "ResNet50@96", "MobileNetV2@96"),
    *("EfficientNetB0@96", "ConvNeXtTiny@96"),
)
BATCH, SECONDS = 16, 1.5


@dataclass(frozen=True)
class Subject:
    """A backbone, its weights and its size."""

    name: str
    size: int
    weights: str

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read ``NAME@SIZE=WEIGHTS``."""
        from headfit.backbones.catalog import find

        rest, _, weights = text.partition("=")
        name, _, size = rest.partition("@")
        spec = find(name)
        return cls(spec.name, int(size or spec.size), weights or "random")

    @property
    def label(self) -> str:
        """What the table calls it."""
        return f"{self.name} {self.size}"


class Lines:
    """Results, one line of JSON each; a later line of the same kind and key counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, kind: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Give those of a kind, by backbone, head and format."""
        if not self.path.exists():
            return {}
        rows = [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]
        return {(r["backbone"], r["head"], r["format"]): r for r in rows if r["kind"] == kind}

    def add(self, kind: str, key: tuple[str, str, str], **values: Any) -> None:
        """Add one, and show it."""
        names = dict(zip(("backbone", "head", "format"), key, strict=True))
        line = json.dumps({"kind": kind, **names, **values})
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        print(time.strftime("%H:%M:%S"), line, flush=True)


def fitted(subject: Subject, heads: list[str], photos: Path, folder: Path) -> Callable[[str], Path]:
    """Fit all heads in one run, if that has not been done; give the model file of a head.

    Maps with negative values, those of swish and GELU, have no ``gem``.
    """
    run = folder / "run"
    for names in (heads, [each for each in heads if each != "gem"]):
        if (run / "results.json").is_file():
            break
        command = [sys.executable, "-m", "headfit", "compare", str(photos), "--out", str(run)]
        command += ["--backbone", subject.name, "--weights", subject.weights, "--quick"]
        command += ["--size", str(subject.size), "--heads", ",".join(names)]
        command += ["--keep", ",".join(names), "--no-where", "--no-curve", "--no-near-duplicates"]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    chosen = json.loads((run / "results.json").read_text("utf-8"))["verdict"]["recommended"]

    def model(head: str) -> Path:
        return run / "model.keras" if head == chosen else run / "heads" / f"{head}.keras"

    return model


def work(arguments: argparse.Namespace, lines: Lines) -> None:
    """Export what has no line yet: one head of all backbones, then the next."""
    import headfit as hf
    from headfit.exports import export as module
    from headfit.exports.proof import Reference

    subjects = [Subject.parse(text) for text in arguments.backbones.split(",")]
    for head in arguments.heads.split(","):
        for subject in subjects:
            done = lines.read("proof")
            rest = [f for f in arguments.formats.split(",") if (subject.label, head, f) not in done]
            folder = arguments.work / subject.label.replace(" ", "-")
            if not rest:
                continue
            model = fitted(subject, list(HEADS), arguments.photos, folder)(head)
            if not model.is_file():
                continue
            # what headfit itself predicts is the same for all formats
            module.Reference = Once(Reference.of)  # type: ignore[misc, assignment]
            for format in rest:
                key = (subject.label, head, format)
                facts = {"weights": subject.weights, "size": subject.size}
                try:
                    (each,) = hf.export(model, format, out=folder / head).exports
                except hf.HeadfitError as error:
                    lines.add("proof", key, **facts, problem=str(error))
                    continue
                document = {**each.to_dict(), "path": str(each.path)}
                del document["format"]
                lines.add("proof", key, **facts, **document)


class Once:
    """A function that is called once; later calls give what it gave."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.results = function, list[Any]()

    def of(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        self.results = self.results or [self.function(*args, **kwargs)]
        return self.results[0]


def speed(lines: Lines) -> None:
    """Run each file with one thread and with two."""
    from headfit.exports.formats import FORMATS as KNOWN

    done = lines.read("speed")
    for key, row in lines.read("proof").items():
        if key in done or row.get("problem"):
            continue
        path, shape = Path(row["path"]), (BATCH, row["size"], row["size"], 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        start = time.perf_counter()
        predict = KNOWN[key[2]].open(path, 2)
        predict(images[:1])
        opened = time.perf_counter() - start
        rates = {"two": rate(predict, images), "one": rate(KNOWN[key[2]].open(path, 1), images)}
        lines.add("speed", key, start=opened, **rates)


def rate(predict: Callable[[np.ndarray], Any], images: np.ndarray) -> float:
    """Give images a second, the median of some batches."""
    predict(images)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - start)
    return len(images) / statistics.median(times)


def table(lines: Lines) -> None:
    """Print the largest differences, then size and speed."""
    proofs, speeds = lines.read("proof"), lines.read("speed")
    models = dict.fromkeys((key[0], key[1]) for key in proofs)
    print(f"| backbone | head | {' | '.join(FORMATS)} |\n|---|---|{'---|' * len(FORMATS)}")
    for backbone, head in sorted(models, key=lambda each: (each[0], HEADS.index(each[1]))):
        cells = [_difference(proofs.get((backbone, head, each))) for each in FORMATS]
        print(f"| {backbone} | `{head}` | {' | '.join(cells)} |")
    print("\n| backbone | format | MB | images/s, 1 thread | 2 threads | start s |")
    print("|---|---|---|---|---|---|")
    for backbone in dict.fromkeys(key[0] for key in sorted(proofs)):
        for format in FORMATS:
            keys = [k for k in proofs if k[0] == backbone and k[2] == format and k in speeds]
            if keys:
                print(f"| {backbone} | {format} | {' | '.join(_speeds(keys, proofs, speeds))} |")
    agreements = [row["top1_agreement"] for row in proofs.values() if not row.get("problem")]
    images = [row["images"] for row in proofs.values() if not row.get("problem")]
    if agreements:
        print(f"\n{len(agreements)} files; lowest top-1 agreement {min(agreements):.4%}; ", end="")
        print(f"images {min(images)} to {max(images)}")


def _difference(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    if row.get("problem"):
        return "not kept"
    same = row["top1_agreement"]
    return f"{row['max_abs_difference']:.0e}{'' if same == 1 else f' ({same:.2%})'}"


def _speeds(keys: list[Any], proofs: dict[Any, Any], speeds: dict[Any, Any]) -> Iterator[str]:
    """Medians over the heads; of the size the least and the largest."""
    sizes = [proofs[key]["bytes"] / 1e6 for key in keys]
    ends = f"{min(sizes):.1f}", f"{max(sizes):.1f}"
    yield ends[0] if ends[0] == ends[1] else "–".join(ends)
    for name, form in (("one", ".0f"), ("two", ".0f"), ("start", ".1f")):
        yield format(statistics.median(speeds[key][name] for key in keys), form)


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["work", "speed", "table"])
    parser.add_argument("photos", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--heads", default=",".join(HEADS))
    parser.add_argument("--formats", default=",".join(FORMATS))
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    arguments.work.mkdir(parents=True, exist_ok=True)
    lines = Lines(arguments.work / "export.jsonl")
    if arguments.what == "work":
        work(arguments, lines)
    elif arguments.what == "speed":
        speed(lines)
    else:
        table(lines)


if __name__ == "__main__":
    main()
