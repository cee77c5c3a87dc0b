"""The schedule of the rates, and the order of images and views."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headfit.errors import UsageError
from headfit.finetuning.recipe import WARMUP, Recipe, deal, draw_views


@pytest.mark.parametrize(("epochs", "images", "batch"), [(5, 100, 32), (1, 5, 32), (20, 640, 8)])
def test_the_rate_rises_for_a_tenth_and_then_falls_to_nothing(
    epochs: int, images: int, batch: int
) -> None:
    recipe = Recipe(epochs=epochs, batch_size=batch)
    steps = epochs * recipe.steps(images)
    factors = np.array([recipe.factor(step, images) for step in range(steps)])
    assert factors.min() > 0 and factors.max() <= 1
    peak = int(factors.argmax())
    assert peak <= np.ceil(WARMUP * steps)
    assert (np.diff(factors[: peak + 1]) > 0).all() and (np.diff(factors[peak:]) < 0).all()
    if steps >= 100:
        np.testing.assert_allclose([factors.max(), factors[-1]], [1, 0], atol=0.001)
        assert factors[steps // 20] == pytest.approx(0.505, abs=0.01)  # half of the warm-up


@pytest.mark.parametrize(("images", "batch", "sizes"), [(100, 32, [32] * 3), (10, 10, [10])])
def test_each_epoch_deals_every_image_at_most_once(
    images: int, batch: int, sizes: list[int]
) -> None:
    chosen = np.arange(1000, 1000 + images)
    epochs = [deal(chosen, epoch, batch, (0, 1)) for epoch in range(20)]
    for batches in epochs:
        assert list(map(len, batches)) == sizes
        dealt = np.concatenate(batches)
        assert len(set(dealt)) == len(dealt) and set(dealt) <= set(chosen)
    assert len({tuple(np.concatenate(batches)) for batches in epochs}) == 20
    # those left over are others each time
    assert set(np.concatenate([np.concatenate(batches) for batches in epochs])) == set(chosen)


def test_the_order_depends_on_every_number_of_the_seed_and_on_nothing_else() -> None:
    images = np.arange(50)
    orders = [np.concatenate(deal(images, 2, 10, seed)) for seed in ((0, 1), (0, 2), (1, 1))]
    assert len({tuple(order) for order in orders}) == 3
    again = np.concatenate(deal(images, 2, 10, (0, 1)))
    np.testing.assert_array_equal(again, orders[0])


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    recipe = Recipe(batch_size=32)
    assert (recipe.batch(7), recipe.steps(7)) == (7, 1)
    (batch,) = deal(np.arange(7), 0, recipe.batch(7), (0,))
    assert sorted(batch) == list(range(7))


def test_an_image_shows_each_view_once_before_any_again() -> None:
    shown = np.stack([draw_views(200, 4, epoch, (3, 1)) for epoch in range(8)])
    for rounds in (shown[:4], shown[4:]):
        np.testing.assert_array_equal(np.sort(rounds, axis=0), np.indices((4, 200))[0])
    # the order is each image's own, and another in the second round
    assert len(set(map(tuple, shown[:4].T))) == 24
    assert (shown[:4] != shown[4:]).any(axis=0).mean() > 0.8
    assert (draw_views(200, 1, 5, (0,)) == 0).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rates": ()}, r"`learning_rate` must be one to 3 numbers above 0 and up to 10"),
        ({"learning_rates": (1e-4,) * 4}, r"one to 3 numbers"),
        ({"learning_rates": (0.0,)}, r"above 0"),
        ({"learning_rates": (float("nan"),)}, r"above 0"),
        ({"learning_rates": (1e-4, 11.0)}, r"up to 10\. Received"),
        ({"epochs": 0}, r"`epochs` must be an integer of at least 1\. Received: epochs=0"),
        ({"epochs": 2.5}, r"`epochs`"),
        ({"batch_size": True}, r"`batch_size`"),
        ({"label_smoothing": 1.0}, r"`label_smoothing` must be a number from 0 to 0\.9"),
        ({"mixup": -0.1}, r"`mixup` must be a number from 0 to 10"),
        ({"mixup": float("nan")}, r"`mixup`"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe(**wrong)


def test_only_several_rates_are_chosen_among() -> None:
    assert Recipe(learning_rates=(1e-4, 1e-3)).chooses
    assert not Recipe().chooses
