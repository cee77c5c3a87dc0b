"""``MODEL_CARD.md``: what a model is, what it was trained on, how good it is, how to run it.

The front matter is that of Hugging Face's model cards. The numbers are those of the run that the
model lies in; without a run the card says what the model file says of itself. Names come from the
user's folders, so they are escaped; no path and no image of the user's is in the card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import DataError
from headfit.exports.card_files import file_table, inputs, instructions
from headfit.exports.card_scores import TASKS, TYPES, each_table, model_index, score_table
from headfit.exports.contents import CARD, ENTRY, Contents
from headfit.exports.markdown import items, plain, table, verbatim
from headfit.exports.record import ExportRecord
from headfit.images.targets import CLASS, NUMBER
from headfit.model.metadata import KEPT
from headfit.report.text import model_card as text
from headfit.report.text.targets import NOUNS, counted_names
from headfit.util import files, records
from headfit.util.html import printable

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
        file_table(contents, record.target),
        instructions(record, contents),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def title(record: ExportRecord) -> str:
    """Name a model."""
    name = plain(" + ".join(filter(None, (record.backbone, record.head))) or "classifier")
    return plain(f"{name}, {counted_names(record.target, list(record.classes))}")


def _front_matter(record: ExportRecord, contents: Contents, run: Run | None) -> str:
    formats, task = [each.format for each in contents.exports], TASKS[record.target]
    library = next((name for key, name in LIBRARIES.items() if key in formats), "tensorflow")
    lines: dict[str, Any] = {
        "license": record.weights.get("licence", "").lower() or "unknown",
        "library_name": library,
        **({"pipeline_tag": task} if record.target != NUMBER else {}),  # it has no such task
        "tags": ["headfit", task, "transfer-learning", *dict.fromkeys(formats)],
    }
    if run:
        lines["metrics"] = list(dict.fromkeys(TYPES[record.target].values()))
        scores = model_index(record.target, run.candidate, run.test)
        lines["model-index"] = [{"name": title(record), "results": scores}]
    # JSON is YAML too
    body = [f"{name}: {_json(entry)}" for name, entry in lines.items()]
    body.append(f"{ENTRY}: {contents.to_json()}")
    return "\n".join(["---", *body, "---"])


def _json(entry: Any) -> str:
    return printable(json.dumps(entry, ensure_ascii=False))


def _of_run(record: ExportRecord, run: Run, *, scored: bool) -> list[str]:
    results, reliability = run.results, run.reliability
    trained = int(results["images"]["used"]) - ((results.get("test") or {}).get("images") or 0)
    parts = ["## Training images", plain(text.data(results, trained))]
    parts += ["## Scores", plain(text.measured(results)), score_table(run.candidate, run.test)]
    if reliability:
        parts += each_table(reliability)
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
        f"{NOUNS[record.target][1].capitalize()}: {listed}.",
        "## Limits",
        items(["No scores are known here.", *_always(record, scored=scored)]),
    ]
    return "\n\n".join(lines)


def _always(record: ExportRecord, *, scored: bool) -> list[str]:
    lines = ["The scores hold for images like the training images, taken and cut in the same way."]
    if record.contract.depth.to_dict():
        lines.append("Images of more than 8 bits are scaled as the training images were.")
    if scored:
        unknown = "a class" if record.target == CLASS else "anything"
        lines.append(
            f"About one in twenty images like the training images has an outlier score above 1. A "
            f"score below 1 does not rule out {unknown} that the model does not know."
        )
    return lines


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
