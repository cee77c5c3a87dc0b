"""What headfit finds on real photographs with real pretrained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headfit as hf
from headfit.explain import faithfulness, gallery
from headfit.images.decode import decode
from headfit.samples.catalog import write_sample
from plain_keras import run_plain

SHARED = Path(__file__).parent.parent.parent / "shared"
HANDS = SHARED / "data" / "sign-language-digits"
MOBILENET = SHARED / "weights" / "mobilenet_1_0_224_no_top.weights.h5"
BARE: dict[str, Any] = {"where": False, "curve": False}  # no part of the verdict on Flatten


@pytest.mark.slow
@pytest.mark.skipif(
    not (HANDS.is_dir() and MOBILENET.is_file()),
    reason="needs photographs of hands and MobileNet weights in ../shared",
)
def test_flatten_is_clearly_ahead_where_position_tells_the_class() -> None:
    index = hf.ImageIndex.from_directory(HANDS)
    index = index.subset(np.arange(0, len(index), 3))
    network = {"backbone": "MobileNet", "weights": str(MOBILENET), "size": 128}
    study = hf.compare(index, heads="gap,flatten", repeats=3, **network, **BARE)
    print(study.verdict)
    difference = study.verdict.difference
    assert difference is not None
    assert difference.low > 0
    assert difference.mean > 0.01
    assert study.verdict.flatten == "necessary"
    assert study.recommended == "flatten"


@pytest.mark.slow
def test_solar_cells_heads_come_out_alike_and_plain_keras_agrees(tmp_path: Path) -> None:
    pytest.importorskip("elpv_dataset")
    folder = write_sample("solar-cells", tmp_path / "cells")
    index = hf.ImageIndex.from_directory(folder)
    index = index.subset(np.arange(0, len(index), 3))
    study = hf.compare(index, heads="gap,flatten", size=128, protocol="quick", **BARE)
    print(study.verdict)
    difference, test = study.verdict.difference, study.results["test"]
    assert difference is not None
    assert abs(difference.mean) < 0.03
    assert study.verdict.flatten != "necessary"
    assert test["accuracy"] > test["majority_accuracy"] + 0.08
    study.save(tmp_path / "run")
    classifier = hf.Classifier.load(tmp_path / "run" / "model.keras")
    paths = sorted((folder / "test" / "defective").glob("*.png"))[:4]
    side = classifier.contract.height
    np.save(tmp_path / "x.npy", [decode(path.read_bytes(), side, side) for path in paths])
    run_plain(
        "import keras, numpy as np;"
        "model = keras.models.load_model('run/model.keras');"
        "np.save('p.npy', model.predict(np.load('x.npy').astype('float32'), verbose=0))",
        tmp_path,
    )
    mine = classifier.predict_proba(paths)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), mine, atol=1e-3)
    found = faithfulness_of(
        tmp_path / "run" / "model.keras", sorted(folder.glob("test/*/*.png"))[::88]
    )
    print(found)
    assert found["deletion"]["map"] < found["deletion"]["random"]


def faithfulness_of(path: Path, images: list[Path]) -> dict[str, Any]:
    model = hf.Classifier(path).explainer
    items = list(gallery.explain_files([model], list(map(str, images))))
    return faithfulness.summary(list(gallery.measure_maps(model, items)), 0)
