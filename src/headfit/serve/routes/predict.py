"""``POST /v1/predict``: image files in; classes, labels or numbers out. ``GET /v1/models``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headfit.images.targets import NOUNS, NUMBER
from headfit.model.prediction import Prediction
from headfit.model.prediction_layout import LAYOUTS
from headfit.serve.bodies import read_files
from headfit.serve.clients import while_connected
from headfit.serve.errors import Refused
from headfit.serve.heat_maps import HeatMap
from headfit.serve.models import ServedModel
from headfit.serve.service import Service
from headfit.study.reliability.model_reliability import NumberReliability, Reliabilities

TOP = 5
"""Classes or labels of each image that are named unless ``top`` says otherwise."""
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
                (content, 0 if each.probabilities is None else int(each.probabilities.argmax()))
                for (_, content), each in zip(files, predictions, strict=True)
                if isinstance(content, bytes) and not each.error
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
                    drawn = None if each.error else [_map(one, model.kind) for one in next(maps)]
                    record["explanations"] = drawn
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
        top: number of classes or labels to name.
    """
    return {
        "name": prediction.path,
        **LAYOUTS[model.kind].record(prediction, model.classes, top),
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


def _map(heat: HeatMap, kind: str) -> dict[str, Any]:
    one = heat.explained
    number = {"value": one.logit}
    return {
        "head": heat.head,
        NOUNS[kind][0]: heat.class_,
        **(number if kind == NUMBER else {"probability": one.probability, "logit": one.logit}),
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
        "kind": model.kind,
        NOUNS[model.kind][1]: list(model.classes),
        "input": {"height": contract.height, "width": contract.width},
        "calibrated": record.reliability is not None and model.kind != NUMBER,
        **_level(record.reliability),
        "explain": list(heads),
    }


def _level(reliability: Reliabilities | None) -> dict[str, float]:
    """Say how many true numbers the intervals are meant to hold; nothing for other models."""
    if not isinstance(reliability, NumberReliability):
        return {}
    return {"interval_level": reliability.level}
