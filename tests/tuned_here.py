"""Trainings of the tiny backbone on the Keras backend of this process, which saves what they gave.

::

    KERAS_BACKEND=tensorflow python tuned_here.py tensorflow.npz
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

import tunable
from headfit.backbones.stages import tail
from headfit.features.views import Views
from headfit.finetuning.checkpoint import Checkpoint
from headfit.finetuning.inputs import Pixels
from headfit.finetuning.recipe import Recipe
from headfit.finetuning.task import Task
from headfit.finetuning.training import Trainer
from headfit.heads.chain import parse_head
from headfit.images.augment import Augmentation
from headfit.images.contract import Contract
from numbered import numbered

SIDE, IMAGES, EPOCHS = tunable.SIDE, 40, 4
CONTRACT = Contract(SIDE, SIDE, (1 / 127.5,) * 3, (-1.0,) * 3)
DEPTHS = {f"{kind}{number}": 2 - number for kind in ("conv", "norm") for number in range(3)}
KINDS = ("all", "scratch")


def trainings() -> dict[str, np.ndarray]:
    """Train all layers, from given weights and from scratch; stop and go on."""
    rng = np.random.default_rng(0)
    drawn = np.stack([tunable.draw(number % 3, rng)[:SIDE, :SIDE] for number in range(IMAGES)])
    views = Views(Augmentation.parse("hflip"), 2)
    inputs = Pixels(drawn, list(map(str, range(IMAGES))), views, CONTRACT)
    head = tuple(rng.normal(0, 0.3, shape).astype("f4") for shape in ((12, 3), 3))
    every = np.arange(IMAGES)
    task = Task(inputs, numbered(every % 3), every[:30], head, 1e-2, EPOCHS, (0, 1))
    recipe = Recipe((1e-2,), epochs=EPOCHS, batch_size=10)
    results = {}
    for kind in KINDS:
        frozen, more = tunable.network(), {"scratch": kind == "scratch"}
        frozen.trainable = False
        network = tail(frozen, "")
        trainer = Trainer(network, parse_head("gap"), 3, recipe, depths=DEPTHS, **more)
        results[f"{kind}/losses"] = np.array(trainer.train(task).losses)
        results[f"{kind}/predicted"] = trainer.predict(inputs, every)
        results[f"{kind}/first"] = trainer.layers()["conv0"][0]
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Checkpoint(Path(folder) / "state.npz")
            trainer.train(replace(task, epochs=2), checkpoint=checkpoint)
            trainer.train(task, checkpoint=checkpoint)
        results[f"{kind}/resumed"] = trainer.predict(inputs, every)
    return results


if __name__ == "__main__":
    import keras

    np.savez(sys.argv[1], backend=keras.backend.backend(), **trainings())
