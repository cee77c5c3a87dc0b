"""Served models for several labels and for numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import classifiers
import headfit as hf
from headfit.images.targets import LABELS, NUMBER
from headfit.serve import create_app


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    return {
        kind: classifiers.corner_predictor("flatten", root / f"{kind}.keras", kind)
        for kind in (LABELS, NUMBER)
    }


@pytest.fixture(scope="module")
def client(models: dict[str, Path]) -> Iterator[TestClient]:
    with TestClient(create_app(list(models.values()))) as client:
        yield client


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch at the top right."""
    path = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(classifiers.corner_images(1, seed=6)[0][3]).save(path)
    return path


def test_labels_are_listed_with_their_probabilities(client, models, file):
    answer = client.post("/v1/predict?model=labels", content=file.read_bytes())
    (record,) = answer.json()["predictions"]
    classifier = hf.Classifier(models[LABELS])
    (p,), (calibrated,) = (
        classifier.predict_proba(file, calibrated=each) for each in (False, True)
    )
    assert record["present"] == list(classifier.predict(file)[0])
    found = {each["label"]: each for each in record["labels"]}
    for place, name in enumerate(("top", "right")):
        assert found[name]["probability"] == pytest.approx(p[place], abs=1e-6)
        assert found[name]["calibrated"] == pytest.approx(calibrated[place], abs=1e-6)
        assert found[name]["present"]
    assert "class" not in record and record["outlier"] is False


def test_numbers_come_with_their_intervals(client, models, file):
    answer = client.post("/v1/predict?model=number", content=file.read_bytes())
    (record,) = answer.json()["predictions"]
    x, y = hf.Classifier(models[NUMBER]).predict(file)[0]
    assert record["numbers"]["x"] == pytest.approx(
        {"value": x, "low": x - 4, "high": x + 4}, rel=1e-5
    )
    assert record["numbers"]["y"]["value"] == pytest.approx(y, rel=1e-5)


def test_a_bad_file_has_an_error_in_its_place(client):
    for kind, missing in ((LABELS, "present"), (NUMBER, "numbers")):
        answer = client.post(f"/v1/predict?model={kind}", content=b"no image")
        (record,) = answer.json()["predictions"]
        assert answer.status_code == 422
        assert record["error"] and record[missing] is None


def test_heat_maps_sum_to_the_number_or_the_logit(client, file):
    for kind, noun, output in ((LABELS, "label", "logit"), (NUMBER, "number", "value")):
        answer = client.post(f"/v1/predict?model={kind}&explain=flatten", content=file.read_bytes())
        (one,) = answer.json()["predictions"][0]["explanations"]
        assert np.sum(one["map"]) + one["bias"] == pytest.approx(one[output], abs=1e-3)
        assert one[noun] in classifiers.NAMES[kind]
        assert ("probability" in one) == (kind == LABELS)


def test_the_models_say_what_they_predict(client):
    labels, numbers = client.get("/v1/models").json()["models"]
    assert (labels["kind"], labels["labels"]) == ("labels", ["top", "right"])
    assert (numbers["kind"], numbers["numbers"]) == ("number", ["x", "y"])
    assert (labels["calibrated"], numbers["calibrated"]) == (True, False)
    assert numbers["interval_level"] == 0.9


def test_the_protocol_names_the_outputs_by_what_they_are(client, models, file):
    pixels = classifiers.corner_images(1, seed=6)[0][3:]
    request = {
        "inputs": [
            {
                "name": "images",
                "datatype": "UINT8",
                "shape": list(pixels.shape),
                "data": pixels.ravel().tolist(),
            }
        ]
    }
    expected = {LABELS: ["probabilities", "labels"], NUMBER: ["values"]}
    for kind, names in expected.items():
        metadata = client.get(f"/v2/models/{kind}").json()
        assert [each["name"] for each in metadata["outputs"]] == [*names, "outlier_score"]
        outputs = client.post(f"/v2/models/{kind}/infer", json=request).json()["outputs"]
        given = {each["name"]: each["data"] for each in outputs}
        wanted = hf.Classifier(models[kind]).outputs(pixels)[0]
        assert given[names[0]] == pytest.approx(wanted, rel=1e-5)
        if kind == LABELS:
            assert set(given["labels"][0].split(";")) == {"top", "right"}


def test_prometheus_counts_labels_and_no_numbers(client):
    text = client.get("/metrics").text
    assert any('model="labels"' in line and '"top"' in line for line in text.splitlines())
    assert '="x"' not in text and '="y"' not in text
