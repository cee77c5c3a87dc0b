"""The addresses of the Open Inference Protocol, below ``/v2``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headfit.model.prediction import Prediction
from headfit.serve.clients import while_connected
from headfit.serve.errors import Refused
from headfit.serve.inference import schema
from headfit.serve.inference.document import shown
from headfit.serve.inference.messages import (
    InferenceRequest,
    RequestOutput,
    encode_answer,
    json_bytes_of,
    parse_request,
)
from headfit.serve.models import ServedModel
from headfit.serve.service import Service

HEADER = "Inference-Header-Content-Length"
AT_ONCE = 50_000  # bytes of a request that are read without a thread
NOT_READY = 400  # the protocol asks for a 4xx status


def routes(service: Service) -> list[Route]:
    """Give the addresses of the protocol.

    Args:
        service: the models that they serve.
    """
    protocol = _Protocol(service)
    found = [
        Route("/v2", protocol.server),
        Route("/v2/", protocol.server),
        Route("/v2/health/live", protocol.live),
        Route("/v2/health/ready", protocol.ready),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(model, protocol.model),
            Route(f"{model}/ready", protocol.model_ready),
            Route(f"{model}/infer", protocol.infer, methods=["POST"]),
        ]
    return found


class _Protocol:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def server(self, request: Request) -> Response:
        return JSONResponse(schema.server_metadata())

    async def live(self, request: Request) -> Response:
        live = self._service.live
        return JSONResponse({"live": live}, 200 if live else NOT_READY)

    async def ready(self, request: Request) -> Response:
        # the specification calls the field `live`; everybody else calls it `ready`
        ready = self._service.ready
        return JSONResponse({"live": ready, "ready": ready}, 200 if ready else NOT_READY)

    async def model(self, request: Request) -> Response:
        return JSONResponse(schema.model_metadata(self._model(request)))

    async def model_ready(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._check_version(request)
        if name not in self._service.names:
            self._service.model(name)  # refuses
        ready = self._service.ready and name in self._service.models
        return JSONResponse({"name": name, "ready": ready}, 200 if ready else NOT_READY)

    async def infer(self, request: Request) -> Response:
        model = self._model(request)
        deadline = self._service.deadline()
        _refuse_compressed(request)
        body = await request.body()  # bounded by what stands before this
        json_bytes = json_bytes_of(request.headers.get(HEADER), len(body))
        if len(body) > AT_ONCE:
            read = await asyncio.to_thread(self._read, model, body, json_bytes)
        else:
            read = self._read(model, body, json_bytes)
        asked, outputs, images = read
        work = self._predict(model, images, deadline, _hint(asked))
        predictions = await while_connected(request, work)
        head = {"model_name": model.name, "model_version": model.version}
        if asked.id is not None:
            head["id"] = asked.id
        values = (
            (tensor.name, tensor.datatype, *schema.values_of(tensor, model, predictions), binary)
            for tensor, binary in outputs
        )
        answer, first = encode_answer(head, list(values))
        if first is None:
            return Response(answer, media_type="application/json")
        return Response(answer, 200, {HEADER: str(first)}, "application/octet-stream")

    def _read(
        self, model: ServedModel, body: bytes, json_bytes: int | None
    ) -> tuple[InferenceRequest, list[tuple[schema.Tensor, bool]], np.ndarray | list[bytes]]:
        """Give the request, the outputs that it asks for, and its images."""
        if json_bytes == 0:  # nothing but the pixels
            names = (each.name for each in schema.outputs_of(model))
            asked = InferenceRequest(None, (), tuple(RequestOutput(name, True) for name in names))
            return asked, schema.wanted_outputs(model, asked), schema.read_raw(model, body)
        asked = parse_request(body, json_bytes)
        outputs = schema.wanted_outputs(model, asked)
        return asked, outputs, schema.read_images(model, asked, body, self._service.limits.files)

    async def _predict(
        self, model: ServedModel, images: np.ndarray | list[bytes], deadline: float, hint: str
    ) -> Sequence[Prediction]:
        """Predict all images, or refuse the request: its tensors have no place for an error."""
        if not len(images):
            return []
        if isinstance(images, np.ndarray):
            rows = await self._service.predict_pixels(model, images, deadline=deadline)
            return [model.describe("", row) for row in rows]
        limit = self._service.limits.file_bytes
        for index, data in enumerate(images):
            if len(data) > limit:
                raise Refused(
                    f"Element {index} of '{schema.BYTES}' has {len(data):,} bytes. A file may have "
                    f"{limit:,}.",
                    413,
                )
        files = [(f"element {index}", data) for index, data in enumerate(images)]
        predictions = await self._service.predict_files(model, files, deadline=deadline)
        for index, each in enumerate(predictions):
            if each.error:
                raise Refused(
                    f"Element {index} of '{schema.BYTES}' is not an image that can be read: "
                    f"{each.error}.{hint}"
                )
        return predictions

    def _model(self, request: Request) -> ServedModel:
        model = self._service.model(request.path_params["name"])
        self._check_version(request)
        return model

    def _check_version(self, request: Request) -> None:
        version = request.path_params.get("version", schema.MODEL_VERSION)
        if version != schema.MODEL_VERSION:
            raise Refused(
                f"There is no version {shown(version)} of this model. "
                f"Versions: {schema.MODEL_VERSION}.",
                404,
            )


def _hint(request: InferenceRequest) -> str:
    """Say what else may be wrong where a file cannot be read."""
    if any(each.span is not None and not each.coded for each in request.inputs):
        return ' If its strings are base64, give the input the parameter "content_type": "base64".'
    return ""


def _refuse_compressed(request: Request) -> None:
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise Refused(
            f"The body must not be compressed. Received: Content-Encoding {shown(coding)}.", 415
        )
