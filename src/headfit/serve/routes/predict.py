"""``POST /v1/predict``: image files in, classes and probabilities out. ``GET /v1/models``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headfit.model.prediction import Prediction
from headfit.serve.bodies import read_files
from headfit.serve.clients import while_connected
from headfit.serve.errors import Refused
from headfit.serve.heat_maps import HeatMap
from headfit.serve.models import ServedModel
from headfit.serve.service import Service

TOP = 5
"""Classes of each image that are named unless ``top`` says otherwise."""
MOST_EXPLAINED = 16
"""Images of a request whose heat maps are computed."""
NONE_READ = "No file of this request can be read as an image: see `predictions`."
OPTIONS = ("model", "top", "explain")


def routes(service: Service) -> list[Route]:
    """Give the addresses ``/v1/predict`` and ``/v1/models``."""

    async def predict(request: Request) -> Response:
        deadline = service.deadline()
        top, heads = _options(request)
        model = service.model(request.query_params.get("model"))
        service.heat_maps(model).check(heads)
        service.admission.check()
        files = await read_files(request, service.limits)
        if heads and len(files) > MOST_EXPLAINED:
            raise Refused(f"With `explain`, a request may have {MOST_EXPLAINED} files.", 413)

        async def work() -> list[dict[str, Any]]:
            predictions = await service.predict_files(model, files, deadline=deadline)
            good = [
                (content, int(each.probabilities.argmax()))
                for (_, content), each in zip(files, predictions, strict=True)
                if isinstance(content, bytes) and each.probabilities is not None
            ]
            maps = iter(
                await service.explain(model, good, heads, deadline=deadline)
                if heads and good
                else ()
            )
            records = []
            for each in predictions:
                record = record_of(model, each, top)
                if heads:
                    record["explanations"] = None if each.error else list(map(_map, next(maps)))
                records.append(record)
            return records

        records = await while_connected(request, work())
        answer: dict[str, Any] = {"model": model.name, "predictions": records}
        if all(record["error"] for record in records):
            return JSONResponse(answer | {"error": NONE_READ}, 422)
        return JSONResponse(answer)

    async def models(request: Request) -> Response:
        listed = [_about(model, service.heat_maps(model).heads) for model in _open(service)]
        return JSONResponse({"models": listed})

    return [Route("/v1/predict", predict, methods=["POST"]), Route("/v1/models", models)]


def record_of(model: ServedModel, prediction: Prediction, top: int) -> dict[str, Any]:
    """Write a prediction as plain data.

    Args:
        model: what predicted.
        prediction: of one file.
        top: number of classes to name.
    """
    p = prediction.probabilities
    most: list[dict[str, Any]] = []
    if p is not None:
        order = np.argsort(-p, kind="stable")[:top]
        most = [{"class": model.classes[k], "probability": float(p[k])} for k in order]
    first = most[0] if most else {"class": None, "probability": None}
    members = prediction.prediction_set
    return {
        "name": prediction.path,
        **first,
        "top": most,
        "calibrated": prediction.calibrated,
        "set": None if members is None else list(members),
        "outlier": prediction.outlier,
        "error": prediction.error or None,
    }


def _options(request: Request) -> tuple[int, list[str]]:
    """Give ``top`` and the heads to explain."""
    asked = request.query_params
    for name in asked:
        if name not in OPTIONS:
            raise Refused(f"Unknown option {name[:100]!r}. Options: {', '.join(OPTIONS)}.")
        if len(asked.getlist(name)) > 1:
            raise Refused(f"`{name}` is given more than once.")
    text = asked.get("top", str(TOP))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise Refused(f"`top` must be an integer of at least 1. Received: {text[:100]!r}.")
    heads = [head.strip() for head in asked.get("explain", "").split(",") if head.strip()]
    return int(text), list(dict.fromkeys(heads))


def _map(heat: HeatMap) -> dict[str, Any]:
    one = heat.explained
    return {
        "head": heat.head,
        "class": heat.class_,
        "probability": one.probability,
        "logit": one.logit,
        "bias": one.bias,
        "method": one.method,
        "scale": heat.scale,
        "map": one.map.tolist(),
        "image": heat.picture(),
    }


def _open(service: Service) -> list[ServedModel]:
    return list(service.models.values())


def _about(model: ServedModel, heads: Sequence[str]) -> dict[str, Any]:
    record, contract = model.classifier.record, model.contract
    return {
        "name": model.name,
        "version": model.version,
        "backbone": record.backbone,
        "head": record.head,
        "classes": list(model.classes),
        "input": {"height": contract.height, "width": contract.width},
        "calibrated": record.reliability is not None,
        "explain": list(heads),
    }
