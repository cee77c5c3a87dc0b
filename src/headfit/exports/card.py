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
from headfit.exports.card_files import file_table, inputs, instructions
from headfit.exports.contents import CARD, ENTRY, Contents
from headfit.exports.markdown import items, plain, table, verbatim
from headfit.exports.record import ExportRecord
from headfit.model.metadata import KEPT
from headfit.report.text import model_card as text
from headfit.report.text.metrics import METRICS
from headfit.report.text.numbers import percent
from headfit.util import files, records
from headfit.util.html import printable
from headfit.util.nouns import counted

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
            card(record, Contents(), run)  # it may lack what the card shows
            return run
    except DataError:
        return None


def write_card(record: ExportRecord, contents: Contents, run: Run | None, folder: Path) -> Path:
    """Write the card into a folder.

    Raises:
        WriteError: if it cannot be written.
    """
    path = folder / CARD
    files.write_text(path, card(record, contents, run))
    return path


def card(record: ExportRecord, contents: Contents, run: Run | None) -> str:
    """Give the text of the card, Markdown.

    Args:
        record: of the model.
        contents: what lies in the folder.
        run: of the model; None if there is none.

    Example:

    ```python
    contents = Contents.of(folder, Path("run/model.keras"), exports)
    card(record, contents, find_run(Path("run/model.keras"), record))
    ```
    """
    scored = any(each.outlier_score for each in contents.exports)
    parts = [
        _front_matter(record, contents, run),
        f"# {title(record)}",
        plain(record.verdict or (run.results["verdict"]["sentence"] if run else "")),
        inputs(record, contents),
        *(_of_run(record, run, scored=scored) if run else [_without_run(record, scored=scored)]),
        _origin(record, run),
        file_table(contents),
        instructions(record, contents),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(record: ExportRecord) -> str:
    """Name a model."""
    name = plain(" + ".join(filter(None, (record.backbone, record.head))) or "classifier")
    return f"{name}, {counted(len(record.classes), 'class', 'classes')}"


def _front_matter(record: ExportRecord, contents: Contents, run: Run | None) -> str:
    formats = [each.format for each in contents.exports]
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
    body.append(f"{ENTRY}: {contents.to_json()}")
    return "\n".join(["---", *body, "---"])


def _json(entry: Any) -> str:
    return printable(json.dumps(entry, ensure_ascii=False))


def _scores(run: Run) -> list[dict[str, Any]]:
    kinds = {"balanced_accuracy": "accuracy", "accuracy": "accuracy", "macro_f1": "f1"}

    def entry(data: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
        metrics = [
            {"type": kinds[name], "name": METRICS[name].name, "value": round(number, 4)}
            for name, number in values.items()
        ]
        return {"task": {"type": "image-classification"}, "dataset": dict(data), "metrics": metrics}

    entries = [entry(_DATA, {name: run.candidate[name]["mean"] for name in kinds})]
    if run.test:
        entries.append(entry(_TEST, {name: run.test[name] for name in kinds}))
    return entries


def _of_run(record: ExportRecord, run: Run, *, scored: bool) -> list[str]:
    results, reliability = run.results, run.reliability
    rows = reliability["classes"] if reliability else []
    trained = round(sum(row["images"] for row in rows)) or int(results["images"]["used"])
    parts = ["## Training images", plain(text.data(results, trained))]
    parts += ["## Scores", plain(text.measured(results)), _score_table(run)]
    if rows:
        parts += ["## Scores by class", _class_table(rows)]
    if reliability:
        parts += ["## Trust", items(text.trust(reliability))]
    return [
        *parts,
        "## Limits",
        items([*text.limits(results, reliability), *_always(record, scored=scored)]),
    ]


def _without_run(record: ExportRecord, *, scored: bool) -> str:
    shown = [f"`{verbatim(name)}`" for name in record.classes[:CLASSES]]
    more = len(record.classes) - CLASSES
    listed = ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    lines = [
        f"Classes: {listed}.",
        "## Limits",
        items(["No scores are known here.", *_always(record, scored=scored)]),
    ]
    return "\n\n".join(lines)


def _always(record: ExportRecord, *, scored: bool) -> list[str]:
    lines = ["The scores hold for images like the training images, taken and cut in the same way."]
    if record.contract.depth.to_dict():
        lines.append("Images of more than 8 bits are scaled as the training images were.")
    if scored:
        lines.append(
            "About one in twenty images like the training images has an outlier score above 1. A "
            "score below 1 does not rule out a class that the model does not know."
        )
    return lines


def _score_table(run: Run) -> str:
    names = [name for name in METRICS if name in run.candidate]
    columns = ["", "cross-validation"] + (["test split"] if run.test else [])
    rows = []
    for name in names:
        cells = [METRICS[name].name, text.metric(name, run.candidate[name])]
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
