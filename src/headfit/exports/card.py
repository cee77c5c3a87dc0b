"""``MODEL_CARD.md``: what a model is, what it was trained on, how good it is, how to run it.

The front matter is that of Hugging Face's model cards. The numbers are those of the run that the
model lies in; without a run the card says what the model file says of itself. Names come from the
user's folders, so they are escaped; no path and no image of the user's is in the card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import DataError
from headfit.exports.exported import ExportedFile
from headfit.exports.markdown import items, plain, table, verbatim
from headfit.exports.record import OUTLIER_SCORE, ExportRecord
from headfit.exports.snippets.program import WEB, excerpt, programs
from headfit.model.metadata import KEPT
from headfit.report.text import model_card as text
from headfit.report.text.numbers import percent
from headfit.util import files, records
from headfit.util.html import printable
from headfit.util.nouns import counted

NAME = "MODEL_CARD.md"
RESULTS = "results.json"
CLASSES = 50  # classes that have a row
LIBRARIES = {
    "keras": "keras",
    "onnx": "onnx",
    "onnx_bytes": "onnx",
    "openvino": "openvino",
    "litert": "litert",
}
"""Format → what Hugging Face calls its library, the most common first."""
_DATA = {"type": "image-folder", "name": "training images, cross-validated"}
_TEST = {"type": "image-folder", "name": "test split"}


@dataclass(frozen=True)
class Run:
    """What the run of a model says of it.

    Attributes:
        results: content of ``results.json``.
        candidate: the row of the model's head.
        recommended: whether the model is the recommended one, whose reliability was measured.
    """

    results: Mapping[str, Any]
    candidate: Mapping[str, Any]
    recommended: bool

    @property
    def reliability(self) -> Mapping[str, Any] | None:
        """How far the model can be trusted; None if that was not measured."""
        return self.results["reliability"] if self.recommended else None

    @property
    def test(self) -> Mapping[str, Any] | None:
        """Scores on the test split; None if there is none."""
        return self.results.get("test") if self.recommended else None


def find_run(model: Path, record: ExportRecord) -> Run | None:
    """Find the run that a model file lies in.

    Args:
        model: ``RUN/model.keras`` or ``RUN/heads/NAME.keras``.
        record: of the model.

    Returns:
        None if it lies in none, or beside the results of other images or another head.
    """
    kept = model.parent.name == KEPT
    path = (model.parent.parent if kept else model.parent) / RESULTS
    if not path.is_file():
        return None
    try:
        with records.reading(path, "lacks values that the model card shows"):
            results = records.read_json(path)
            chosen = results["verdict"]["recommended"]
            names = (record.head, f"{record.backbone}/{record.head}") if kept else (chosen,)
            row = next((row for row in results["candidates"] if row["name"] in names), None)
            same = set(results["images"]["classes"]) == set(record.classes)
            if record.data and record.data != results["fingerprint"]["data"]:
                same = False
            if not row or not same or row["head"] != record.head:
                return None
            run = Run(results, row, not kept)
            card(record, (), run)  # it may lack what the card shows
            return run
    except DataError:
        return None


def write_card(
    record: ExportRecord, exports: Sequence[ExportedFile], run: Run | None, folder: Path
) -> Path:
    """Write the card into a folder.

    Raises:
        WriteError: if it cannot be written.
    """
    path = folder / NAME
    files.write_text(path, card(record, exports, run))
    return path


def card(record: ExportRecord, exports: Sequence[ExportedFile], run: Run | None) -> str:
    """Give the text of the card, Markdown.

    Args:
        record: of the model.
        exports: what was written.
        run: of the model; None if there is none.

    Example:

    ```python
    card(record, exports, find_run(Path("run/model.keras"), record))
    ```
    """
    parts = [
        _front_matter(record, exports, run),
        f"# {title(record)}",
        plain(record.verdict or (run.results["verdict"]["sentence"] if run else "")),
        _inputs(record),
        *(_of_run(record, run) if run else [_without_run(record)]),
        _origin(record, run),
        _files(exports),
        _programs(record, exports),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(record: ExportRecord) -> str:
    """Name a model."""
    name = plain(" + ".join(filter(None, (record.backbone, record.head))) or "classifier")
    return f"{name}, {counted(len(record.classes), 'class', 'classes')}"


def _front_matter(record: ExportRecord, exports: Sequence[ExportedFile], run: Run | None) -> str:
    formats = [each.format for each in exports if each.path is not None]
    library = next((name for key, name in LIBRARIES.items() if key in formats), "tensorflow")
    lines: dict[str, Any] = {
        "license": record.weights.get("licence", "").lower() or "unknown",
        "library_name": library,
        "pipeline_tag": "image-classification",
        "tags": ["headfit", "image-classification", "transfer-learning", *dict.fromkeys(formats)],
    }
    if run:
        lines["metrics"] = ["accuracy", "f1"]
        lines["model-index"] = [{"name": title(record), "results": _scores(run)}]
    # JSON is YAML too
    body = [f"{name}: {_json(entry)}" for name, entry in lines.items()]
    return "\n".join(["---", *body, "---"])


def _json(entry: Any) -> str:
    return printable(json.dumps(entry, ensure_ascii=False))


def _scores(run: Run) -> list[dict[str, Any]]:
    kinds = {"balanced_accuracy": "accuracy", "accuracy": "accuracy", "macro_f1": "f1"}

    def entry(data: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
        metrics = [
            {"type": kinds[name], "name": text.METRICS[name], "value": round(number, 4)}
            for name, number in values.items()
        ]
        return {"task": {"type": "image-classification"}, "dataset": dict(data), "metrics": metrics}

    entries = [entry(_DATA, {name: run.candidate[name]["mean"] for name in kinds})]
    if run.test:
        entries.append(entry(_TEST, {name: run.test[name] for name in kinds}))
    return entries


def _inputs(record: ExportRecord) -> str:
    height, width = record.contract.height, record.contract.width
    inside = record.from_bytes
    batch, taken = "batch", f"uint8, (batch, {height}, {width}, 3), RGB, 0 to 255"
    if inside:
        batch, taken = "1", f"uint8, (bytes): the content of a file. {inside['reads']}"
    rows = [
        (f"input `{inside['input'] if inside else 'images'}`", taken),
        ("output `probabilities`", f"float32, ({batch}, {len(record.classes)})"),
    ]
    if OUTLIER_SCORE in record.outputs:
        meaning = "above 1 the image is unlike the training images"
        rows.append((f"output `{OUTLIER_SCORE}`", f"float32, ({batch}, 1); {meaning}"))
    if inside:
        rows += [("refused, with an error", inside["refuses"]), ("differs", inside["differs"])]
        return "\n\n".join(["## Input and output", table(("", ""), rows)])
    first = (
        "An image is decoded, turned upright by its EXIF orientation, put over white where it is "
        "transparent, and resized to the size of the input with antialiasing, whatever its aspect "
        "ratio. Everything else happens in the model."
    )
    return "\n\n".join(["## Input and output", table(("", ""), rows), first])


def _of_run(record: ExportRecord, run: Run) -> list[str]:
    results, reliability = run.results, run.reliability
    rows = reliability["classes"] if reliability else []
    trained = round(sum(row["images"] for row in rows)) or int(results["images"]["used"])
    parts = ["## Training images", plain(text.data(results, trained))]
    parts += ["## Scores", plain(text.measured(results)), _score_table(run)]
    if rows:
        parts += ["## Scores by class", _class_table(rows)]
    if reliability:
        parts += ["## Trust", items(text.trust(reliability))]
    return [*parts, "## Limits", items([*text.limits(results, reliability), *_always(record)])]


def _without_run(record: ExportRecord) -> str:
    shown = [f"`{verbatim(name)}`" for name in record.classes[:CLASSES]]
    more = len(record.classes) - CLASSES
    listed = ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    lines = [
        f"Classes: {listed}.",
        "## Limits",
        items(["No scores are known here.", *_always(record)]),
    ]
    return "\n\n".join(lines)


def _always(record: ExportRecord) -> list[str]:
    lines = ["The scores hold for images like the training images, taken and cut in the same way."]
    if record.contract.depth.to_dict():
        lines.append("Images of more than 8 bits are scaled as the training images were.")
    if OUTLIER_SCORE in record.outputs:
        lines.append(
            "About one in twenty images like the training images has an outlier score above 1. A "
            "score below 1 does not rule out a class that the model does not know."
        )
    return lines


def _score_table(run: Run) -> str:
    names = [name for name in text.METRICS if name in run.candidate]
    columns = ["", "cross-validation"] + (["test split"] if run.test else [])
    rows = []
    for name in names:
        cells = [text.METRICS[name], text.metric(name, run.candidate[name])]
        if run.test:
            ends = run.test.get("intervals", {}).get(name, {})
            cells.append(text.metric(name, {"mean": run.test.get(name), **ends}))
        rows.append(cells)
    return table(columns, rows)


def _class_table(classes: Sequence[Mapping[str, Any]]) -> str:
    columns = ("class", "images", "recall", "precision", "F1", "taken for")
    rows = [
        [
            plain(row["name"]),
            f"{row['images']:,}",
            text.metric(
                "accuracy",
                {
                    "mean": row["recall"],
                    "low": row.get("recall_low"),  # not in runs before version 2
                    "high": row.get("recall_high"),
                },
            ),
            f"{percent(row['precision'])} %",
            f"{percent(row['f1'])} %",
            plain(row["confused_with"] or ""),
        ]
        for row in classes[:CLASSES]
    ]
    more = len(classes) - CLASSES
    listed = table(columns, rows)
    return (
        f"{listed}\n\n… and {counted(more, 'more class', 'more classes')}." if more > 0 else listed
    )


def _origin(record: ExportRecord, run: Run | None) -> str:
    weights, data = record.weights, record.data
    if run and not data:
        data = run.results["fingerprint"]["data"]
    rows = [
        ("backbone", plain(record.backbone)),
        ("weights", plain(", ".join(filter(None, (weights.get("name"), weights.get("origin")))))),
        ("licence of the weights", plain(weights.get("licence") or "not known")),
        ("head", plain(record.head)),
        ("digest of the training images", plain(data)),
        ("exported by", f"headfit {plain(record.version)}"),
    ]
    return "\n\n".join(["## Origin", table(("", ""), [row for row in rows if row[1]])])


def _files(exports: Sequence[ExportedFile]) -> str:
    columns = ("file", "format", "precision", "MB", "largest difference", "same class")
    rows = [
        [
            f"`{verbatim(each.path.name)}`",
            each.format,
            each.precision,
            f"{each.bytes / 1e6:.1f}",
            "" if each.max_abs_difference is None else f"{each.max_abs_difference:.1g}",
            f"{percent(each.top1_agreement)} % of {each.images:,}",
        ]
        for each in exports
        if each.path is not None
    ]
    note = (
        "The largest difference of an output from `headfit predict`, and the share of images with "
        "the same most probable class: from the bytes of image files, in the format's own runtime."
    )
    changes = [plain(text.int8(each.accuracy)) for each in exports if each.accuracy]
    changes += [
        plain(text.from_bytes(each.decoding.to_dict())) for each in exports if each.decoding
    ]
    return "\n\n".join(["## Files", table(columns, rows), note, *changes]) if rows else ""


def _programs(record: ExportRecord, exports: Sequence[ExportedFile]) -> str:
    names = {each.format: each.path.name for each in exports if each.path is not None}
    parts = ["## Run it", "These programs need no headfit. They lie beside the model."]
    complete = False
    for name, code in programs(record, names).items():
        web = name == WEB
        if complete and not web:
            parts.append(f"`{name}`, with the same function `pixels`:")
        else:
            parts.append(f"`{name}`:")
        shown = excerpt(code) if complete and not web else code
        parts.append(f"```{'js' if web else 'python'}\n{shown.rstrip()}\n```")
        complete = complete or not web
    return "\n\n".join(parts) if names else ""
