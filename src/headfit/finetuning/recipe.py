"""How a part of a backbone is trained: rates, epochs, batches and regularisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headfit.errors import UsageError

Ints = npt.NDArray[np.integer[Any]]
MOST_RATES = 3  # settings among which a fold may choose
WARMUP = 0.1
# Rate of the last stage and factor of the head were chosen by these figures: accuracy in per cent
# (log-loss) of gap and the last stage, EfficientNet-Lite0, 5 epochs, 3 folds.
#                              frozen     1e-4, head × 10      3e-4, head × 1
# 600 hands, 96 px          80.8 (.56)       84.8 (.43)          87.8 (.38)
# 600 of CIFAR-10           65.2 (1.03)      67.7 (1.09)         67.8 (1.10)
# solar cells, avgmax                        86.9                88.0
# 200 hands, 96 px                           97.5                95.5


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; linear probing, then fine-tuning (Kumar et al. 2022).

    Attributes:
        learning_rates: peak rates of the last trained stage. Of several, up to three, each fold
            chooses one on an inner split, and how many epochs; with one all epochs are run.
        epochs: passes over the training images; each shows one view of every image.
        batch_size: images in a step.
        head_factor: rate of the head, relative to that of the last stage.
        decay: rate of each earlier stage, relative to the one after it.
        weight_decay: decoupled, of kernels (Loshchilov & Hutter 2019).
        label_smoothing: share of the probability that is spread over all classes, or over both
            answers of each label; 0 for numbers.
        mixup: α of the Beta distribution by which maps and targets of two images are mixed
            (Zhang et al. 2018); 0 for none.
        clip: largest norm of the gradient.

    Raises:
        UsageError: a value is out of its range.
    """

    learning_rates: tuple[float, ...] = (3e-4,)
    epochs: int = 5
    batch_size: int = 32
    head_factor: float = 1.0
    decay: float = 0.7
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    mixup: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        rates = self.learning_rates
        if not 1 <= len(rates) <= MOST_RATES or not all(0 < rate <= 10 for rate in rates):
            expected = f"one to {MOST_RATES} numbers above 0 and up to 10"
            raise UsageError.invalid("learning_rate", list(rates), expected)
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError.invalid(name, value, "an integer of at least 1")
        for name, most in (("label_smoothing", 0.9), ("mixup", 10.0)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise UsageError.invalid(name, value, f"a number from 0 to {most:g}")

    @property
    def identity(self) -> dict[str, Any]:
        """Plain data that decides a training, for the keys of caches."""
        return asdict(self)

    @property
    def chooses(self) -> bool:
        """Whether rate and number of epochs are chosen on an inner split."""
        return len(self.learning_rates) > 1

    def batch(self, images: int) -> int:
        """Give the images of a step, all steps alike."""
        return min(self.batch_size, images)

    def steps(self, images: int) -> int:
        """Give the steps of an epoch; fewer images than a batch holds are left over."""
        return max(1, images // self.batch(images))

    def factor(self, step: int, images: int) -> float:
        """Give the share of the peak rate: a linear warm-up, then half a cosine.

        Args:
            step: from 0 at the start of training.
            images: to train on.
        """
        done = (step + 0.5) / (self.epochs * self.steps(images))
        if done < WARMUP:
            return done / WARMUP
        return 0.5 + 0.5 * math.cos(math.pi * (done - WARMUP) / (1.0 - WARMUP))


def deal(images: Ints, epoch: int, batch: int, seed: Sequence[int]) -> list[Ints]:
    """Deal images to the batches of an epoch, each at most once.

    Args:
        images: int (m,).
        epoch: from 0.
        batch: images in each batch; those left over differ from epoch to epoch.
        seed: numbers that the order depends on.
    """
    order = np.random.default_rng((*seed, epoch, 0)).permutation(images)
    count = max(1, len(order) // batch)
    return np.split(order[: count * batch], count)


def draw_views(images: int, views: int, epoch: int, seed: Sequence[int]) -> Ints:
    """Choose the view of each image in an epoch, int (images,).

    In ``views`` successive epochs an image shows each of its views once, in an order of its own.

    Args:
        images: their number in all.
        views: how many each has.
        epoch: from 0.
        seed: numbers that the order depends on.
    """
    once, place = divmod(epoch, views)
    rng = np.random.default_rng((*seed, once, 1))
    every = np.broadcast_to(np.arange(views), (images, views))
    chosen: Ints = rng.permuted(every, axis=1)[:, place]
    return chosen
