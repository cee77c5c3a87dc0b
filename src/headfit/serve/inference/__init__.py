"""The Open Inference Protocol, version 2, over HTTP: what Triton, KServe and their clients speak.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md, with
Triton's extension of binary tensor data. What headfit adds is in docs/serve.md.
"""

from __future__ import annotations
