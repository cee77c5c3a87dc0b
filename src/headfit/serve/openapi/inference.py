"""The description of ``/v2``, the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

from headfit.serve.inference import schema
from headfit.serve.inference.messages import DATATYPES, MOST
from headfit.serve.openapi.parts import (
    FLAG,
    MODELS,
    PIXEL,
    TEXT,
    WORK,
    Part,
    answer,
    array,
    described,
    json_body,
    operation,
    record,
    ref,
)

GROUP = "Open Inference Protocol"
HEADER = "Inference-Header-Content-Length"
LENGTH: Part = {"type": "integer", "minimum": 0}
TENSOR: Part = {"name": TEXT, "datatype": {"type": "string", "enum": list(DATATYPES)}}
SIZE: Part = {"type": "integer", "minimum": 0, "maximum": MOST - 1}
PARAMETERS = ref("Parameters")
BINARY: Part = {"schema": {"type": "string", "format": "binary"}}

SCHEMAS: dict[str, Part] = {
    "Parameters": {
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    "ServerMetadata": record({"name": TEXT, "version": TEXT, "extensions": array(TEXT)}),
    "TensorMetadata": record(
        {**TENSOR, "shape": array({"type": "integer", "minimum": -1})},
    ),
    "ModelMetadata": record(
        {
            "name": TEXT,
            "versions": array(TEXT),
            "platform": TEXT,
            "inputs": array(ref("TensorMetadata")),
            "outputs": array(ref("TensorMetadata")),
            "alternative_inputs": described(
                array(ref("TensorMetadata")), "One of these may take the place of the input."
            ),
            "classes": described(array(TEXT), "Names, in the order of the probabilities."),
        }
    ),
    "RequestInput": record(
        {**TENSOR, "shape": array(SIZE), "parameters": PARAMETERS, "data": array({})},
        "parameters",
        "data",
    ),
    "RequestOutput": record({"name": TEXT, "parameters": PARAMETERS}, "parameters"),
    "InferenceRequest": record(
        {
            "id": described(TEXT, "Is returned with the answer."),
            "parameters": PARAMETERS,
            "inputs": array(ref("RequestInput"), minItems=1),
            "outputs": described(array(ref("RequestOutput")), "All if there are none."),
        },
        "id",
        "parameters",
        "outputs",
    ),
    "ResponseOutput": record(
        {**TENSOR, "shape": array(LENGTH), "parameters": PARAMETERS, "data": array({})},
        "parameters",
        "data",
    ),
    "InferenceResponse": record(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "id": TEXT,
            "outputs": array(ref("ResponseOutput")),
        },
        "id",
    ),
}
REQUEST: Part = {
    "id": "42",
    "inputs": [
        {
            "name": schema.BYTES,
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"content_type": "base64"},
            "data": [PIXEL],
        }
    ],
    "outputs": [{"name": schema.PROBABILITIES}],
}


def paths(model: str) -> dict[str, Part]:
    """Describe the addresses.

    Args:
        model: a name of a model, for examples.
    """
    server = operation(
        "server_metadata",
        "Say what this server is.",
        GROUP,
        {"200": answer("Name and extensions.", ref("ServerMetadata"), schema.server_metadata())},
    )
    found: dict[str, Part] = {
        "/v2": {"get": server},
        "/v2/": {"get": {**server, "operationId": "server_metadata_"}},
        "/v2/health/live": {"get": _health("live", "Whether the server lives.", {"live": FLAG})},
        "/v2/health/ready": {
            "get": _health("ready", "Whether all models are ready.", {"live": FLAG, "ready": FLAG})
        },
    }
    for address, suffix in (
        ("/v2/models/{name}", ""),
        ("/v2/models/{name}/versions/{version}", "_of_version"),
    ):
        named = {"parameters": _names(model, bool(suffix))}
        found[address] = {"get": _metadata(suffix), **named}
        found[f"{address}/ready"] = {"get": _model_ready(suffix), **named}
        found[f"{address}/infer"] = {"post": _infer(model, suffix), **named}
    return found


def _names(model: str, versioned: bool) -> list[Part]:
    values = {"name": model, **({"version": schema.MODEL_VERSION} if versioned else {})}
    return [
        {"name": key, "in": "path", "required": True, "schema": TEXT, "example": value}
        for key, value in values.items()
    ]


def _health(name: str, text: str, fields: Part) -> Part:
    good = answer("It is.", record(fields), dict.fromkeys(fields, True))
    found = operation(name, text, GROUP, {"200": good}, security=[])
    found["responses"]["400"] = answer("It is not.", record(fields))
    return found


def _metadata(suffix: str) -> Part:
    good = answer("Inputs, outputs and classes.", ref("ModelMetadata"))
    return operation(
        f"model_metadata{suffix}", "Say what a model takes and gives.", GROUP, {"200": good}, MODELS
    )


def _model_ready(suffix: str) -> Part:
    ready = record({"name": TEXT, "ready": FLAG})
    found = operation(
        f"model_ready{suffix}",
        "Whether a model is ready.",
        GROUP,
        {"200": answer("It is.", ready)},
        MODELS,
    )
    found["responses"]["400"] = answer("It is not.", ready)
    return found


def _infer(model: str, suffix: str) -> Part:
    output: dict[str, Any] = {"name": schema.PROBABILITIES, "datatype": "FP32", "shape": [1, 2]}
    example = {
        "model_name": model,
        "model_version": schema.MODEL_VERSION,
        "id": "42",
        "outputs": [{**output, "data": [0.93, 0.07]}],
    }
    good = answer("The outputs.", ref("InferenceResponse"), example)
    good["content"]["application/octet-stream"] = BINARY
    good["headers"] = {
        HEADER: {"description": "Length of the JSON, if binary data follow.", "schema": LENGTH}
    }
    text = (
        f"Predict pixels (`{schema.IMAGES}`) or image files (`{schema.BYTES}`), as JSON or as "
        f"binary data behind it."
    )
    return operation(
        f"infer{suffix}",
        text,
        GROUP,
        {"200": good},
        (*MODELS, *WORK),
        parameters=[
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "schema": LENGTH,
                "description": "Length of the JSON, if binary data follow.",
            }
        ],
        requestBody={
            "required": True,
            "content": {
                **json_body(ref("InferenceRequest"), REQUEST),
                "application/octet-stream": BINARY,
            },
        },
    )
