"""A plain client for any server of the protocol: what it answers, byte for byte."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.tensors import Tensor, decode_binary, tensors_of

HEADER = "Inference-Header-Content-Length"
BINARY = "binary_tensor_data"
SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def header_bytes(self) -> int | None:
        """How many bytes of the body are JSON, if the rest is binary."""
        value = self.headers.get(HEADER.lower())
        return None if value is None else int(value)

    @property
    def json(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body[: self.header_bytes])

    def outputs(self) -> dict[str, np.ndarray]:
        """Values of the outputs by name, whether JSON or binary."""
        found, at = {}, self.header_bytes or 0
        for output in self.json["outputs"]:
            size = (output.get("parameters") or {}).get("binary_data_size")
            if size is None:
                values = np.array(output["data"]).reshape(output["shape"])
            else:
                values = decode_binary(self.body[at : at + size], output["datatype"])
                values = values.reshape(output["shape"])
                at += size
            found[output["name"]] = values
        return found

    def __str__(self) -> str:
        return f"{self.status}: {self.body[:300]!r}"


@dataclass
class Server:
    """A server of the protocol and one of its models.

    Attributes:
        url: of the server, without a path.
        model: name of the model.
        sizes: for inputs with sizes that are variable, by name: the whole shape.
        headers: sent with each request.
    """

    url: str
    model: str
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Ask, on a connection of its own."""
        place = urllib.parse.urlsplit(self.url)
        connect = (
            http.client.HTTPSConnection if place.scheme == "https" else (http.client.HTTPConnection)
        )
        connection = connect(place.netloc, timeout=SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, place.path + path, body, {**self.headers, **named})
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, lower, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def path(self, *, model: str | None = None, version: str | None = None) -> str:
        """Path of a model, or of one of its versions."""
        path = "/v2/models/" + urllib.parse.quote(model or self.model, safe="")
        return path if version is None else f"{path}/versions/{urllib.parse.quote(version)}"

    def infer(
        self,
        request: Any,
        binary: bytes | None = None,
        *,
        path: str | None = None,
        header: str | None = None,
    ) -> Answer:
        """Send an inference request.

        Args:
            request: the JSON object, or the bytes that take its place.
            binary: what follows the JSON.
            path: of the model, if it is another one.
            header: value of the header that tells the length of the JSON.
        """
        text = request if isinstance(request, bytes) else json.dumps(request).encode()
        headers = {"Content_Type": "application/json"}
        if binary is not None or header is not None:
            headers["Content_Type"] = "application/octet-stream"
            headers[HEADER.replace("-", "_")] = header or str(len(text))
        if header == "":  # asked for by tests: none
            del headers[HEADER.replace("-", "_")]
        body = text + (binary or b"")
        return self.request("POST", f"{path or self.path()}/infer", body, **headers)

    def metadata(self) -> dict[str, Any]:
        """Metadata of the model."""
        metadata: dict[str, Any] = self.get(self.path()).json
        return metadata

    def extensions(self) -> list[str]:
        extensions: list[str] = self.get("/v2").json.get("extensions", [])
        return extensions

    def tensors(self, rows: int = 2, seed: int = 0) -> list[Tensor]:
        """Inputs that the model takes, made from its metadata."""
        return tensors_of(self.metadata()["inputs"], rows, seed, self.sizes)
