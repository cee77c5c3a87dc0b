"""Runs of labels, numbers and two classes, from images to the page: what they write and say."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import headfit as hf
from headfit.cli.main import main

SIZE, DISC, COUNT = 64, 9, 36
OPTIONS: dict[str, Any] = {
    **{"heads": "gap,flatten", "weights": "random", "size": SIZE, "protocol": "quick"},
    **{"folds": 3, "curve": False, "engine": "keras"},
}
COLUMNS = {"labels": "tags", "number": "x,y", "class": "side"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs on noise, with their place, what they are near to, and the half that they lie in."""
    root, rng = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    lines = ["path,x,y,tags,side"]
    ys, xs = np.mgrid[:SIZE, :SIZE]
    for number in range(COUNT):
        x, y = rng.uniform(DISC, SIZE - DISC, 2)
        pixels = rng.normal(100, 25, (SIZE, SIZE, 3))
        pixels[(xs - x) ** 2 + (ys - y) ** 2 < DISC**2] = (230, 220, 40)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / f"{number}.png")
        tags = [name for name, has in (("low", y > 32), ("left", x < 32)) if has]
        side = "left" if x < 32 else "right"
        lines.append(f"{number}.png,{x:.1f},{y:.1f},{';'.join(tags)},{side}")
    (root / "discs.csv").write_text("\n".join(lines), "utf-8")
    return root / "discs.csv"


@pytest.fixture(scope="module", params=COLUMNS)
def run(
    request: Any, table: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, hf.Study, Path]:
    column = COLUMNS[request.param]
    study = hf.compare(table, label_column=column, target=request.param, **OPTIONS)
    return request.param, study, study.save(tmp_path_factory.mktemp(request.param) / "run")


def test_predictions_have_the_columns_of_the_kind(run: tuple[str, hf.Study, Path]) -> None:
    kind, study, folder = run
    text = (folder / "predictions.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    heads = {
        "labels": ["path", "label", "fold_1", "right", "p_left", "p_low"],
        "number": ["path", "label", "fold_1", "true_x", "true_y", "predicted_x", "predicted_y"],
        "class": ["path", "label", "fold_1", "right", "predicted", "p_left", "p_right"],
    }
    assert list(rows[0]) == heads[kind] and len(rows) == COUNT
    targets = study.index.targets
    assert [row["label"] for row in rows] == [targets.label(n) for n in range(COUNT)]
    if kind == "number":
        true = [[float(row[name]) for name in ("true_x", "true_y")] for row in rows]
        np.testing.assert_allclose(true, targets.values)


def test_the_page_comes_from_the_files_alone(
    run: tuple[str, hf.Study, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    kind, study, folder = run
    written = (folder / "report.html").read_text("utf-8")
    assert main(["report", str(folder)]) == 0
    again = (folder / "report.html").read_text("utf-8")
    # only the digest of what it was made of differs
    body = re.compile(r"<main.*</main>", re.DOTALL)
    assert body.search(again)[0] == body.search(written)[0]  # type: ignore[index]
    assert study.results["verdict"]["sentence"] in again
    assert {"labels": "2 labels", "number": "numbers x and y", "class": "2 classes"}[kind] in again
    metric = {"labels": "macro average precision", "number": "R²", "class": "balanced accuracy"}
    assert f"Heads, best {metric[kind]} first" in again
    assert metric[kind] in study._repr_html_()


def test_its_plots_are_drawn(run: tuple[str, hf.Study, Path]) -> None:
    kind, study, _ = run
    names = {
        "labels": ("labels", "cooccurrence"),
        "number": ("predicted_true", "residuals"),
        "class": ("roc", "precision_recall"),
    }
    for name in ("scores", "spectrum", *names[kind]):
        assert study.plot(name, Figure().add_subplot()).get_title(loc="left")
    with pytest.raises(hf.UsageError, match="this run predicts"):
        study.plot("classes" if kind != "class" else "labels", Figure().add_subplot())


def test_sentences_are_in_the_metric_of_the_kind(run: tuple[str, hf.Study, Path]) -> None:
    kind, study, _ = run
    results = study.results
    texts = [study.verdict.sentence, results["where"]["sentence"]]
    assert (" in R²" in texts[0]) == (kind == "number")
    assert (" points " in texts[0]) == (kind != "number")
    assert ("of the variance" in texts[0] or "no variance" in texts[0]) == (kind == "number")
    assert ("%" in texts[1]) == (kind != "number")
    assert ("curves" in results["reliability"]) == (kind == "class")


def test_the_page_shows_where_the_heads_look(run: tuple[str, hf.Study, Path]) -> None:
    kind, study, folder = run
    looks = study.results["where"]["looks"]
    assert looks and {look["class"] for look in looks} <= set(study.results["targets"]["names"])
    for look in looks:
        for one in look["heads"].values():
            total = np.sum(one["map"]) + one["bias"]
            assert total == pytest.approx(one["logit"], rel=1e-2, abs=1e-2)
            assert isinstance(one["predicted"], float) == (kind == "number")
    page = (folder / "report.html").read_text("utf-8")
    output = {"labels": "logit of one label", "number": "one number", "class": "logit of one class"}
    assert f"adds to {'' if kind == 'number' else 'the '}{output[kind]}:" in page
    assert "None" not in page[page.index('id="looks"') : page.index('id="images"')]


def test_its_model_predicts_explains_and_exports(
    run: tuple[str, hf.Study, Path], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, study, folder = run
    model, image = folder / "model.keras", table.parent / "0.png"
    classifier = hf.Classifier(model)
    assert classifier.kind == kind
    assert classifier.classes == tuple(study.results["targets"]["names"])
    name = classifier.classes[-1]
    (map_,) = classifier.explain(image, name)
    (one,) = classifier.explainer.explain(
        np.asarray(Image.open(image))[None], classifier.explainer.target(name)
    )
    assert map_.sum() + one.bias == pytest.approx(one.logit, rel=1e-3, abs=1e-3)
    assert main(["predict", str(model), str(image), str(table.parent / "1.png")]) == 0
    shown = capsys.readouterr().out
    assert {"labels": "labels", "number": " to ", "class": "probability"}[kind] in shown
    export = hf.export(model, "onnx", out=folder / "export")
    assert export.agrees and export.exports[0].images == COUNT + 7
    card = (folder / "export" / "MODEL_CARD.md").read_text("utf-8")
    assert f"output `{'values' if kind == 'number' else 'probabilities'}`" in card
