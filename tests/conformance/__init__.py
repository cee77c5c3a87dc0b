"""Requirements of the Open Inference Protocol, version 2, over HTTP: a test for each.

Run them against any server:

    python -m pytest tests/conformance --base-url http://localhost:8080 --model resnet

Without an address they run against headfit's own server with a small model. Each docstring
paraphrases a requirement and names its section and level:

- ``must``: the specification demands it;
- ``should``: it follows from an example, or from what the specification calls typical;
- ``extension``: the binary tensor data extension of Triton demands it of servers that announce it.

The specification is https://github.com/kserve/open-inference-protocol, inference_rest.md, or where
the docstring says V2, the older text of KServe, docs/predict-api/v2/required_api.md. The tensors
are made from the metadata of the model, so that any model of numbers will do; where a model needs
sizes that its metadata leave open, ``--shape NAME=2,8,8,3`` tells them.
"""
