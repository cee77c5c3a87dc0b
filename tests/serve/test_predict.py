"""``POST /v1/predict``: what is sent and what comes back."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import headfit as hf
from headfit.serve import Limits, create_app

PREDICT = "/v1/predict"


@pytest.fixture(scope="module")
def client(stored_run) -> Iterator[TestClient]:
    limits = Limits(files=40, file_bytes=100_000, body_bytes=1_000_000)
    with TestClient(create_app(stored_run.folder, limits=limits)) as client:
        yield client


def form(files: list[bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (f"{number}.png", data)) for number, data in enumerate(files)]


def test_a_form_with_many_files_gives_each_its_own_answer_in_order(client, stored_run):
    files, expected = stored_run.files[:30], stored_run.probabilities
    answer = client.post(PREDICT, params={"top": 4}, files=form(files))
    assert answer.status_code == 200
    assert answer.json()["model"] == "corners"
    for number, record in enumerate(answer.json()["predictions"]):
        assert record["name"] == f"{number}.png"
        p = {each["class"]: each["probability"] for each in record["top"]}
        assert [p[name] for name in stored_run.classes] == expected[number].tolist()
        assert record["class"] == record["top"][0]["class"] == max(p, key=p.get)
        assert record["probability"] == max(p.values())
        assert record["error"] is None


@pytest.mark.parametrize(
    "kind",
    [
        "image/png",
        "image/jpeg",
        "application/octet-stream",
        "",
        "application/x-www-form-urlencoded",
    ],
)
def test_a_file_may_be_the_body_and_its_content_decides_what_it_is(client, stored_run, kind):
    headers = {"Content-Type": kind} if kind else {}
    answer = client.post(PREDICT, content=stored_run.files[0], headers=headers)
    (record,) = answer.json()["predictions"]
    assert record["probability"] == stored_run.probabilities[0].max()


def test_bad_files_among_good_ones_are_errors_in_their_places(client, stored_run):
    good = stored_run.files[0]
    answer = client.post(
        PREDICT, files=form([good, b"no image", b"", bytes(100_001), good[:60], good])
    )
    records = answer.json()["predictions"]
    assert [record["error"] is None for record in records] == [True, *[False] * 4, True]
    assert records[3]["error"] == "too large: more than 100,000 bytes"
    assert all(record["class"] is None and record["top"] == [] for record in records[1:5])
    assert records[5]["probability"] == stored_run.probabilities[0].max()


def test_the_answer_holds_what_predict_says_of_calibration_sets_and_outliers(trained):
    classifier = hf.Classifier(trained.model)
    paths = [trained.fresh[0], trained.strangers[0]]
    with TestClient(create_app(trained.model)) as client:
        records = client.post(PREDICT, files=form([path.read_bytes() for path in paths])).json()
    for record, expected in zip(
        records["predictions"], classifier.iter_predictions(paths), strict=True
    ):
        assert record["calibrated"] == expected.calibrated
        assert record["set"] == list(expected.prediction_set)
        assert record["outlier"] is expected.outlier


def test_heat_maps_of_both_heads_are_those_of_explain(client, stored_run, tmp_path):
    answer = client.post(
        PREDICT, params={"explain": "gap,flatten"}, files=form(stored_run.files[:2])
    )
    path = tmp_path / "0.png"
    path.write_bytes(stored_run.files[0])
    gap, flatten = answer.json()["predictions"][0]["explanations"]
    assert (gap["head"], flatten["head"]) == ("gap", "flatten")
    predicted = answer.json()["predictions"][0]["class"]
    assert gap["class"] == flatten["class"] == predicted
    (expected,) = hf.Classifier(stored_run.model).explain(path, predicted)
    np.testing.assert_array_equal(flatten["map"], expected)
    assert np.sum(flatten["map"]) + flatten["bias"] == pytest.approx(flatten["logit"], abs=1e-3)
    kind, _, data = flatten["image"].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (224, 224)


def test_a_bad_file_has_no_heat_map(client, stored_run):
    answer = client.post(
        PREDICT, params={"explain": "flatten"}, files=form([b"no image", stored_run.files[0]])
    )
    first, second = answer.json()["predictions"]
    assert first["explanations"] is None
    assert len(second["explanations"]) == 1


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("top=0", 400, "`top` must be an integer of at least 1. Received: '0'."),
        ("top=two", 400, "`top` must be"),
        ("top=1&top=2", 400, "`top` is given more than once."),
        ("explain=gem", 400, "no heat maps of head 'gem'. Heads: flatten, gap."),
        ("model=other", 404, "There is no model 'other' here. Models: corners."),
        ("size=3", 400, "Unknown option 'size'. Options: model, top, explain."),
    ],
)
def test_an_invalid_option_is_refused_with_what_is_valid(client, stored_run, query, status, text):
    answer = client.post(f"{PREDICT}?{query}", content=stored_run.files[0])
    assert answer.status_code == status
    assert text in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "text"),
    [
        (b"", "image/png", 400, "The body is empty."),
        (b"{}", "application/json", 415, "Received: Content-Type 'application/json'."),
        (b"x", "multipart/form-data", 400, "its boundary is missing"),
        (b"x", "multipart/form-data; boundary=b", 400, "damaged"),
        (b"", "multipart/form-data; boundary=b", 400, "cut off"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 400, "The form has no file."),
        (
            b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\nabc',
            "multipart/form-data; boundary=b",
            400,
            "The form in the body is cut off.",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\nabc\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
            400,
            "field 'images', once for each file. Received: 'photo'.",
        ),
    ],
    ids=["empty", "json", "no boundary", "no form", "nothing", "no part", "cut off", "other field"],
)
def test_another_body_is_refused_with_what_is_expected(client, body, kind, status, text):
    answer = client.post(PREDICT, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert text in answer.json()["error"]


def test_too_many_files_and_too_large_a_body_are_refused(client, stored_run):
    many = client.post(PREDICT, files=form(41 * stored_run.files[:1]))
    assert (many.status_code, many.json()["error"]) == (413, "A request may have 40 files.")
    large = client.post(PREDICT, files=form(11 * [bytes(99_000)]))
    assert large.status_code == 413
    assert "1,000,000 bytes" in large.json()["error"]


def test_of_several_models_the_request_names_one(run):
    with TestClient(create_app({"a": run.model, "b": run.model})) as client:
        refused = client.post(PREDICT, content=run.files[0])
        assert refused.json()["error"] == "Name the model: this server has a, b."
        assert (
            client.post(PREDICT, params={"model": "b"}, content=run.files[0]).json()["model"] == "b"
        )
        listed = client.get("/v1/models").json()["models"]
    assert [each["name"] for each in listed] == ["a", "b"]
    assert listed[0]["explain"] == ["flatten", "gap"]
    assert listed[0]["classes"] == list(run.classes)
