"""What people write by hand: a FastAPI route with Keras ``predict``.

    MODEL=model.keras KERAS_BACKEND=tensorflow uvicorn plain_route:threads

``threads`` runs the route in FastAPI's thread pool, ``loop`` in its event loop. Needs fastapi and
tensorflow-cpu.
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, File, UploadFile
from PIL import Image

import headfit as hf

classifier = hf.Classifier(os.environ["MODEL"])
model, size = classifier.model, (classifier.contract.width, classifier.contract.height)
threads, loop = FastAPI(), FastAPI()
Files = Annotated[list[UploadFile], File()]


def answer(images: list[UploadFile]) -> dict[str, Any]:
    """Decode, predict, name the class."""
    pixels = [np.asarray(Image.open(each.file).convert("RGB").resize(size)) for each in images]
    rows = model.predict(np.stack(pixels), verbose=0)
    best = rows.argmax(axis=1)
    named = [(classifier.classes[k], float(row[k])) for k, row in zip(best, rows, strict=True)]
    return {"predictions": [{"class": name, "probability": p} for name, p in named]}


@threads.post("/v1/predict")
def in_threads(images: Files) -> dict[str, Any]:
    """Answer in a thread of the pool."""
    return answer(images)


@loop.post("/v1/predict")
async def in_loop(images: Files) -> dict[str, Any]:
    """Answer in the event loop."""
    return answer(images)
