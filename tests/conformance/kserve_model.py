"""A small model behind KServe's SDK server, to run the suite against a server that is not ours.

In an environment of its own:

    pip install kserve
    python tests/conformance/kserve_model.py --http_port 8080 --enable_grpc false

and then, from the repository:

    python -m pytest tests/conformance --base-url http://localhost:8080 --model Linear
"""

from __future__ import annotations

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid

FEATURES, CLASSES = 8, 3


class Linear(Model):
    """Eight numbers to the probabilities of three classes."""

    def load(self) -> bool:
        self.weights = np.random.default_rng(0).normal(size=(FEATURES, CLASSES))
        self.ready = True
        return self.ready

    def get_input_types(self) -> list[dict[str, object]]:
        return [{"name": "features", "datatype": "FP32", "shape": [-1, FEATURES]}]

    def get_output_types(self) -> list[dict[str, object]]:
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, CLASSES]}]

    def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        features: InferInput = payload.inputs[0]
        logits = features.as_numpy() @ self.weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        output = InferOutput("probabilities", list(p.shape), "FP32")
        output.set_data_from_numpy(p.astype(np.float32), binary_data=False)
        return InferResponse(payload.id or generate_uuid(), self.name, [output])


if __name__ == "__main__":
    model = Linear("Linear")
    model.load()
    ModelServer().start([model])
