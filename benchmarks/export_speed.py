"""Exports against the bare backbone in the same runtime, and fused heads against plain ones.

    python benchmarks/export_speed.py bare WORK --backbones MobileNet@224=WEIGHTS.h5,VGG16@96
    python benchmarks/export_speed.py fuse WORK --heads gap,flatten
    python benchmarks/export_speed.py table WORK

WORK is the folder of ``export.py work``. *Bare* is the backbone without a head: for ONNX Runtime a
graph written layer by layer, channels first (``onnx_graph.py``), or the exported graph up to its
feature map where that knows a layer not; for OpenVINO the graph of headfit's engine. Both run the
same batches in turn, so that what else the machine does hits both alike; the ratio is the median of
the rounds'. On a busy machine ``--clock processor`` counts processor time: threads that wait for
each other make the time on the wall a lottery there.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graph
from export import BACKBONES, Lines, Subject
from interleave import UnavailableError

BATCH, ROUNDS, SECONDS = 8, 15, 12.0
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
Run = Callable[[np.ndarray], Any]


def bare_onnx(subject: Subject, exported: Path, path: Path) -> str:
    """Write the backbone alone; say how."""
    from headfit.backbones.build import build
    from headfit.backbones.catalog import find

    spec = find(subject.name)
    try:
        model = build(spec, subject.size, subject.weights)
        onnx_graph.write(model, spec.contract(subject.size), path)
    except UnavailableError:
        _cut(exported, path)
        return "the exported graph without its head"
    return "written layer by layer"


def _cut(exported: Path, path: Path) -> None:
    """Leave what makes the last tensor of four axes that is made of images."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(str(exported))).graph
    ranks = {each.name: len(each.type.tensor_type.shape.dim) for each in graph.value_info}
    last = [n.output[0] for n in graph.node if n.input and ranks.get(n.output[0]) == 4][-1]
    onnx.utils.extract_model(str(exported), str(path), ["images"], [last])


def onnx_run(path: Path, threads: int) -> Run:
    """Open a file as the export does."""
    from headfit.exports.formats.onnx import runtime_session

    session = runtime_session(path, threads)
    (pixels,) = session.get_inputs()
    return lambda images: session.run(None, {pixels.name: images})


def openvino_run(path: Path, threads: int) -> Run:
    """Compile a graph as the export does."""
    import openvino

    config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    core = openvino.Core()
    config["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = core.compile_model(core.read_model(str(path)), "CPU", config)
    return lambda images: np.asarray(compiled(images)[0])


def race(one: Run, other: Run, size: int, clock: str = "wall") -> tuple[float, float, float]:
    """Run both in turn; give the median ratio of their speeds and its quartiles, one to other."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    ratios: list[float] = []
    end = time.perf_counter() + SECONDS
    for number in range(1000):
        order = (one, other) if number % 2 else (other, one)
        pair = [_seconds(run, images, CLOCKS[clock]) for run in order]
        mine, theirs = pair if number % 2 else pair[::-1]
        if number >= 2:  # the first only warm up
            ratios.append(theirs / mine)
        if len(ratios) >= ROUNDS and (time.perf_counter() > end or len(ratios) >= 200):
            break
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def _seconds(run: Run, images: np.ndarray, clock: Callable[[], float]) -> float:
    start = clock()
    run(images)
    return clock() - start


def bare(subjects: list[Subject], work: Path, clock: str, lines: Lines) -> None:
    """Race the exported ``gap`` of each backbone against the backbone alone."""
    from headfit.backbones.catalog import find
    from headfit.backbones.graphs.graph import backbone_graph

    done = lines.read("bare")
    for subject in subjects:
        made = work / subject.label.replace(" ", "-") / "gap"
        for format in ("onnx", "openvino"):
            key = (subject.label, "gap", format)
            exported = made / ("model.onnx" if format == "onnx" else "openvino/model.xml")
            if key in done or not exported.exists():
                continue
            ratios: dict[str, Any] = {}
            with tempfile.TemporaryDirectory(prefix="headfit-export-") as folder:
                if format == "onnx":
                    path, open_ = Path(folder) / "bare.onnx", onnx_run
                    how = bare_onnx(subject, exported, path)
                else:
                    spec = find(subject.name)
                    contract = spec.contract(subject.size)
                    graph = backbone_graph(spec, contract, subject.weights, "jax", print, [""])
                    path, open_, how = graph.path, openvino_run, "the graph of the engine"
                for threads in (1, 2):
                    pair = (open_(exported, threads), open_(path, threads))
                    ratios[str(threads)] = race(*pair, subject.size, clock)
            lines.add("bare", key, how=how, clock=clock, ratios=ratios)


def fuse(subjects: list[Subject], work: Path, heads: list[str], lines: Lines) -> None:
    """Export each linear head both ways, choose as ``--fuse`` does, and race the choice again."""
    from headfit.exports.formats import FORMATS
    from headfit.exports.formats.format import FLOAT32
    from headfit.exports.formats.format import Subject as Exported
    from headfit.exports.record import ExportRecord
    from headfit.exports.speed import quicker
    from headfit.model.metadata import ModelRecord

    done = lines.read("fuse")
    for subject in subjects:
        run = work / subject.label.replace(" ", "-") / "run"
        if not run.exists():
            continue
        chosen = json.loads((run / "results.json").read_text("utf-8"))["verdict"]["recommended"]
        for head in heads:
            model = run / "model.keras" if head == chosen else run / "heads" / f"{head}.keras"
            record = ExportRecord.of(ModelRecord.read(model))
            plain = Exported(model, record, False, FLOAT32, False, lambda: np.empty(0), print)
            for name in ("onnx", "openvino"):
                key = (subject.label, head, name)
                if key in done:
                    continue
                with tempfile.TemporaryDirectory(prefix="headfit-export-") as folder:
                    runs = []
                    for fused in (False, True):
                        path = Path(folder) / f"{fused}-{FORMATS[name].file}"
                        FORMATS[name].write(replace(plain, fuse=fused), path)
                        runs.append(FORMATS[name].open(path))
                    ratio = quicker(*runs, record.contract)
                    again = race(runs[1], runs[0], subject.size)
                lines.add("fuse", key, ratio=ratio, kept=ratio > 1, again=again)


def table(lines: Lines) -> None:
    """Print both."""
    print("| backbone | runtime | bare | 1 thread | 2 threads |\n|---|---|---|---|---|")
    for (backbone, _, format), row in lines.read("bare").items():
        cells = [_ratio(row["ratios"][threads]) for threads in ("1", "2")]
        print(f"| {backbone} | {format} | {row['how']} | {' | '.join(cells)} |")
    print(
        "\n| backbone | head | runtime | fused / plain | kept | again |\n|---|---|---|---|---|---|"
    )
    for (backbone, head, format), row in lines.read("fuse").items():
        kept = "yes" if row["kept"] else "no"
        cells = (backbone, f"`{head}`", format, f"{row['ratio']:.2f}", kept, _ratio(row["again"]))
        print(f"| {' | '.join(cells)} |")


def _ratio(numbers: list[float]) -> str:
    return f"{numbers[0]:.2f} ({numbers[1]:.2f} to {numbers[2]:.2f})"


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["bare", "fuse", "table"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--backbones", default=",".join(BACKBONES))
    parser.add_argument("--heads", default="gap,flatten")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="of bare")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    lines = Lines(arguments.work / "export.jsonl")
    subjects = [Subject.parse(text) for text in arguments.backbones.split(",")]
    if arguments.what == "bare":
        bare(subjects, arguments.work, arguments.clock, lines)
    elif arguments.what == "fuse":
        fuse(subjects, arguments.work, arguments.heads.split(","), lines)
    else:
        table(lines)


if __name__ == "__main__":
    main()
