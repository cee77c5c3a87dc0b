"""What follows the pooling, as one matrix where it is affine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headfit.heads.body import BATCH_NORM_EPSILON, BatchNorm, Dense, Dropout, Step

Floats = npt.NDArray[np.float64]


def is_affine(body: Sequence[Step]) -> bool:
    """Tell whether the steps have no activation; dropout does nothing in inference."""
    return all(not isinstance(step, Dense) or step.activation == "linear" for step in body)


def joined(body: Sequence[Step], arrays: Sequence[np.ndarray]) -> tuple[Floats | None, Floats]:
    """Join affine steps and the final layer to logits = v W + b.

    From the last step to the first, so that no matrix is larger than the first step's.

    Args:
        body: steps for which :func:`is_affine` holds.
        arrays: of the steps in turn, then kernel and bias of the final layer, or its bias alone
            where the pooling gives a logit for each class.

    Returns:
        W (width, K), None where the pooling gives the logits; b (K,). float64.
    """
    rest = [np.asarray(array, np.float64) for array in arrays]
    bias = rest.pop()
    if not rest:
        return None, bias
    matrix = rest.pop()
    for step in reversed(body):
        if isinstance(step, Dropout):
            continue
        if isinstance(step, BatchNorm):
            gamma, beta, mean, variance = rest[-4:]
            del rest[-4:]
            scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            bias = (beta - mean * scale) @ matrix + bias
            matrix = scale[:, None] * matrix
        else:
            kernel, offset = rest[-2:]
            del rest[-2:]
            bias, matrix = offset @ matrix + bias, kernel @ matrix
    return matrix, bias
