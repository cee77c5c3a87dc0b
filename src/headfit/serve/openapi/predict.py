"""The description of ``/v1``, ``/metrics`` and ``/openapi.json``."""

from __future__ import annotations

from headfit.serve.limits import Limits
from headfit.serve.openapi.parts import (
    FLAG,
    MODELS,
    PROBABILITY,
    TEXT,
    WORK,
    Part,
    answer,
    array,
    described,
    operation,
    or_null,
    record,
    ref,
)
from headfit.serve.routes.predict import NONE_READ

GROUP = "Predictions"
FILE: Part = {"type": "string", "format": "binary"}
NUMBER: Part = {"type": "number"}

SCHEMAS: dict[str, Part] = {
    "Error": record({"error": described(TEXT, "What happened, and what is expected.")}),
    "ClassProbability": record({"class": TEXT, "probability": PROBABILITY}),
    "LabelProbability": record(
        {
            "label": TEXT,
            "probability": PROBABILITY,
            "calibrated": described(
                or_null(PROBABILITY), "The probability after temperature scaling."
            ),
            "present": described(FLAG, "Whether the image is said to have it."),
        }
    ),
    "Number": record(
        {
            "value": NUMBER,
            "low": described(or_null(NUMBER), "Lower end of its interval."),
            "high": or_null(NUMBER),
        }
    ),
    "HeatMap": record(
        {
            "head": TEXT,
            "class": described(TEXT, "The class that is explained: the predicted one."),
            "label": described(TEXT, "Of a model for several labels: the most probable one."),
            "number": described(TEXT, "Of a model for numbers: the first."),
            "probability": PROBABILITY,
            "logit": NUMBER,
            "value": described(NUMBER, "Of a model for numbers: the number itself."),
            "bias": described(NUMBER, "What the map and this add up to: the logit or number."),
            "method": TEXT,
            "scale": described(NUMBER, "The contribution that has the full colour."),
            "map": array(array(NUMBER)),
            "image": described(TEXT, "A picture of the map, as the address of a PNG."),
        },
        *("class", "label", "number", "probability", "logit", "value"),
    ),
    "Prediction": record(
        {
            "name": described(TEXT, "Name of the file."),
            "class": or_null(TEXT),
            "probability": or_null(PROBABILITY),
            "top": array(ref("ClassProbability")),
            "calibrated": described(
                or_null(PROBABILITY), "Probability of the class after temperature scaling."
            ),
            "set": described(
                or_null(array(TEXT)), "Classes among which the true one is nine times in ten."
            ),
            "present": described(
                or_null(array(TEXT)), "Of a model for several labels: those of the image."
            ),
            "labels": described(
                array(ref("LabelProbability")), "Likewise: these, and the most probable ones."
            ),
            "numbers": described(
                or_null({"type": "object", "additionalProperties": ref("Number")}),
                "Of a model for numbers: each by its name, in its own units.",
            ),
            "outlier": described(or_null(FLAG), "Whether it is unlike the training images."),
            "error": described(or_null(TEXT), "Why the file cannot be read."),
            "explanations": or_null(array(ref("HeatMap"))),
        },
        *("class", "probability", "top", "calibrated", "set", "present", "labels", "numbers"),
        "explanations",
    ),
    "Predictions": record({"model": TEXT, "predictions": array(ref("Prediction"))}),
    "NonePredicted": record(
        {"model": TEXT, "predictions": array(ref("Prediction")), "error": TEXT}
    ),
    "AboutModel": record(
        {
            "name": TEXT,
            "version": TEXT,
            "backbone": TEXT,
            "head": TEXT,
            "kind": described(TEXT, "What it predicts: class, labels or number."),
            "classes": described(array(TEXT), "Of a model for classes: their names."),
            "labels": described(array(TEXT), "Of a model for several labels: their names."),
            "numbers": described(array(TEXT), "Of a model for numbers: their names."),
            "input": record({"height": {"type": "integer"}, "width": {"type": "integer"}}),
            "calibrated": FLAG,
            "interval_level": described(
                NUMBER, "Of a model for numbers: share of true numbers within their intervals."
            ),
            "explain": described(array(TEXT), "Heads whose heat maps can be asked for."),
        },
        *("classes", "labels", "numbers", "interval_level"),
    ),
}
PREDICTION: Part = {
    "name": "photo.jpg",
    "class": "cat",
    "probability": 0.93,
    "top": [{"class": "cat", "probability": 0.93}, {"class": "dog", "probability": 0.07}],
    "calibrated": 0.9,
    "set": ["cat"],
    "outlier": False,
    "error": None,
}


def paths(model: str, limits: Limits) -> dict[str, Part]:
    """Describe the addresses.

    Args:
        model: a name of a model, for examples.
        limits: what the server takes at most.
    """
    example = {"model": model, "predictions": [PREDICTION]}
    images = described(
        array(FILE, minItems=1, maxItems=limits.files),
        f"Image files of {limits.file_bytes:,} bytes at most.",
    )
    text = "Predict image files; one that cannot be read has an `error` in its place."
    none: Part = {"name": "photo.jpg", "class": None, "probability": None, "top": []}
    none |= {"calibrated": None, "set": None, "outlier": None, "error": "empty file"}
    unread = {"model": model, "predictions": [none], "error": NONE_READ}
    return {
        "/v1/predict": {
            "post": operation(
                "predict",
                text,
                GROUP,
                {
                    "200": answer("A prediction for each file.", ref("Predictions"), example),
                    "422": answer("No file can be read.", ref("NonePredicted"), unread),
                },
                (*MODELS, *WORK),
                parameters=_options(model),
                requestBody={
                    "required": True,
                    "content": {
                        "multipart/form-data": {"schema": record({"images": images})},
                        "application/octet-stream": {"schema": FILE},
                        "image/*": {"schema": FILE},
                    },
                },
            )
        },
        "/v1/models": {
            "get": operation(
                "models",
                "Say which models there are.",
                GROUP,
                {"200": answer("The open models.", record({"models": array(ref("AboutModel"))}))},
            )
        },
        "/metrics": {
            "get": operation(
                "metrics",
                "Counters in the format of Prometheus.",
                "Server",
                {"200": {"description": "Counters.", "content": {"text/plain": {"schema": TEXT}}}},
            )
        },
        "/openapi.json": {
            "get": operation(
                "description",
                "This description.",
                "Server",
                {"200": answer("OpenAPI 3.1.", {"type": "object"})},
            )
        },
    }


def _options(model: str) -> list[Part]:
    options = {
        "model": (TEXT, model, "Name of the model; may be left out if there is one."),
        "top": (
            {"type": "integer", "minimum": 1, "maximum": 999_999_999, "default": 5},
            3,
            "Number of classes or labels to name for each file.",
        ),
        "explain": (
            TEXT,
            None,
            "Heads whose heat maps are wanted, separated by commas; see `/v1/models`.",
        ),
    }
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": text,
            **({} if example is None else {"example": example}),
        }
        for name, (schema, example, text) in options.items()
    ]
