"""Metrics and logs: what was asked, what came out, and how long it took."""

from __future__ import annotations

import io
import json
import logging

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from headfit.serve import create_app
from headfit.serve.logs import JsonLines


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Give the value of each metric by its name and the values of its labels, by their names."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_images_classes_and_seconds(trained):
    bodies = [trained.fresh[0].read_bytes(), trained.strangers[0].read_bytes(), b"no image"]
    with TestClient(create_app({"discs": trained.model})) as client:
        files = [("images", ("x", body)) for body in bodies]
        records = client.post("/v1/predict", files=files).json()["predictions"]
        client.post("/v1/predict", files=[("photos", b"")])
        client.get("/nowhere/1")
        answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found["headfit_requests_total", "/v1/predict", "200"] == 1
    assert found["headfit_requests_total", "/v1/predict", "400"] == 1
    assert found["headfit_requests_total", "other", "404"] == 1
    assert found["headfit_images_total", "discs", "predicted"] == 2
    assert found["headfit_images_total", "discs", "unreadable"] == 1
    assert found["headfit_request_images_sum", "discs"] == 3
    assert found["headfit_inference_seconds_count", "discs"] == 2
    assert found["headfit_decode_seconds_count", "discs"] == 3
    assert found["headfit_outliers_total", "discs"] == sum(bool(r["outlier"]) for r in records)
    assert found["headfit_predicted_total", records[0]["class"], "discs"] >= 1
    assert found["headfit_queue_images",] == found["headfit_held_bytes",] == 0


def test_each_request_is_a_line_of_json(stored_run):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("headfit.serve")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with TestClient(create_app(stored_run.folder)) as client:
            client.post("/v1/predict", content=stored_run.files[0])
            client.get("/line%0Abreak")
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["method"], first["route"], first["status"]) == ("POST", "/v1/predict", 200)
    assert first["bytes"] == len(stored_run.files[0])
    assert 0 < first["seconds"] < 60
    assert (second["route"], second["status"]) == ("other", 404)
