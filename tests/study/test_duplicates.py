from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse.csgraph import connected_components

from headfit.features.store import FeatureStore
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.images.phash import perceptual_hash
from headfit.study.protocol import duplicates as module
from headfit.study.protocol.duplicates import BITS, CLOSE_BITS, merge_groups, near_duplicates
from headfit.study.protocol.splits import make_splits
from numbered import numbered


def random_images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and features of n images that have nothing in common."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    return hashes, rng.normal(size=(n, 200)).astype(np.float32)


def flipped(value: np.uint64, bits: int) -> np.uint64:
    return value ^ np.uint64((1 << bits) - 1)


def at_cosine(features: np.ndarray, cosine: float) -> np.ndarray:
    """Features that have this cosine with the first image's, both centred."""
    centre = features.mean(axis=0)
    one = features[0] - centre
    across = features[1] - centre
    across -= one * (one @ across) / (one @ one)
    across *= np.linalg.norm(one) / np.linalg.norm(across)
    return centre + cosine * one + np.sqrt(1 - cosine**2) * across


@pytest.mark.parametrize(
    ("bits", "cosine", "together"),
    [
        (0, 0.55, True),
        (CLOSE_BITS, 0.55, True),
        (CLOSE_BITS, 0.45, False),
        (CLOSE_BITS + 1, 0.8, False),
        (CLOSE_BITS + 1, 0.9, True),
        (BITS, 0.9, True),
        (BITS, 0.8, False),
        (BITS + 1, 0.99, False),
    ],
)
def test_both_hash_and_features_must_be_near_and_a_nearer_hash_asks_for_less(
    bits, cosine, together
):
    hashes, features = random_images(400)
    hashes = np.append(hashes, flipped(hashes[0], bits))
    features = np.append(features, at_cosine(features, cosine)[None], axis=0)
    found = near_duplicates(hashes, features)
    assert (found.groups[400] == found.groups[0]) == together
    assert (found.components, found.images) == ((1, 2) if together else (0, 0))
    assert found.largest == (2 if together else 1)


def test_groups_are_joined_by_way_of_others_and_numbered_as_they_come():
    hashes, features = random_images(6)
    hashes[4] = hashes[1] ^ np.uint64(0b111111)
    hashes[2] = hashes[4] ^ np.uint64(0b111111000000)
    features[[2, 4]] = features[1]
    found = near_duplicates(hashes, features)
    assert found.groups.tolist() == [0, 1, 1, 2, 1, 3]
    assert found.to_dict() == {"components": 1, "images": 3, "largest": 3}


def slowly(hashes: np.ndarray, features: np.ndarray) -> np.ndarray:
    """The groups by the definition, pair by pair."""
    centred = features - features.mean(axis=0)
    n = len(hashes)
    near = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            a, b = centred[i], centred[j]
            bits = (int(hashes[i]) ^ int(hashes[j])).bit_count()
            wanted = 0.5 if bits <= 2 else 0.85 if bits <= 6 else 2
            near[i, j] = a @ b >= wanted * np.linalg.norm(a) * np.linalg.norm(b)
    return connected_components(near, directed=False)[1]


@pytest.mark.parametrize("pairs", [1, 150, 10_000])
def test_blocks_of_any_size_give_the_groups_of_the_definition(monkeypatch, pairs):
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", pairs)
    rng = np.random.default_rng(1)
    roots, features = random_images(15)
    which = rng.integers(0, 15, 60)
    noise = np.array([sum(1 << int(b) for b in rng.integers(0, 64, 3)) for _ in which], np.uint64)
    hashes = roots[which] ^ noise
    features = features[which] + rng.normal(size=(60, 200)).astype(np.float32) * 0.38
    found = near_duplicates(hashes, features)
    assert found.groups.tolist() == merge_groups(slowly(hashes, features)).tolist()
    assert 5 < found.groups.max() < 55


def test_equal_files_are_together_even_where_all_pictures_are_alike():
    plain, same = np.zeros(5, np.uint64), np.ones((5, 8), np.float32)
    found = near_duplicates(plain, same)
    assert (found.groups.tolist(), found.largest) == ([0] * 5, 5)


def test_pictures_that_only_the_backbone_tells_apart_stay_apart():
    _, features = random_images(300)
    assert near_duplicates(np.zeros(300, np.uint64), features).largest == 1


def test_no_image_has_no_near_duplicate():
    found = near_duplicates(np.zeros(1, np.uint64), np.ones((1, 8), np.float32))
    assert (found.groups.tolist(), found.components, found.largest) == ([0], 0, 1)


groupings = st.integers(1, 12).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(-2, 5), min_size=n, max_size=n).map(np.array), min_size=1, max_size=3
    )
)


@settings(deadline=None)
@given(groupings)
def test_merged_groups_are_the_finest_that_tear_none_apart(found):
    together = sum((g[:, None] == g for g in found), np.zeros((len(found[0]),) * 2, bool))
    expected = connected_components(together, directed=False)[1]
    merged = merge_groups(*found)
    np.testing.assert_array_equal(merged[:, None] == merged, expected[:, None] == expected)
    assert list(dict.fromkeys(merged.tolist())) == list(range(merged.max() + 1))


def pictures(n: int) -> list[np.ndarray]:
    """Random pictures of 64×64 pixels, each followed by itself as JPEG of quality 60."""
    rng, found = np.random.default_rng(0), []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (10, 10, 3), np.uint8))
        picture = coarse.resize((64, 64), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        found += [np.asarray(picture), np.asarray(Image.open(file))]
    return found


def test_injected_near_duplicates_inflate_the_score_only_if_they_are_not_grouped(tmp_path):
    images = pictures(60)
    maps = np.stack([i.reshape(8, 8, 8, 8, 3).mean(axis=(1, 3)).reshape(1, 1, 192) for i in images])
    maps = (maps / 255).astype(np.float32)
    names = [str(i) for i in range(len(images))]
    store = FeatureStore(tmp_path)
    store.append(names, maps, [perceptual_hash(image) for image in images])
    pooled = PooledFeatures(store.maps(names), (parse_head("gap").pooling,))
    found = near_duplicates(store.hashes(names), maps[:, 0, 0])
    assert found.groups.tolist() == [i // 2 for i in range(120)]

    def accuracy(groups: np.ndarray | None) -> float:
        scores = []
        for seed in range(6):
            # noise, the same for both copies: nothing can be learnt but the picture itself
            labels = np.random.default_rng(seed).permutation(np.arange(60) % 2).repeat(2)
            splits = make_splits(labels, folds=4, repeats=1, seed=seed, groups=groups)
            fits = Exact(parse_head("gap"), pooled).cross_validate(
                Problem(numbered(labels), splits)
            )
            scores.append((fits.probabilities.argmax(axis=2) == labels).mean())
        return float(np.mean(scores))

    assert accuracy(None) > 0.75
    # standard error 0.03
    assert accuracy(found.groups) == pytest.approx(0.5, abs=0.08)
