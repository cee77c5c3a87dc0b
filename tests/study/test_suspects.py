from __future__ import annotations

import csv

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from headfit.study.reliability.suspects import expect_suspects, find_suspects, suspects_csv
from headfit.util.csv_cells import unguard


def test_the_rule_of_confident_learning_by_hand() -> None:
    p = np.array(
        [
            [0.9, 0.1, 0.0],
            [0.7, 0.3, 0.0],
            [0.2, 0.6, 0.2],  # labelled 0, and as sure of 1 as those labelled 1 are: suspect
            [0.4, 0.6, 0.0],
            [0.3, 0.5, 0.2],
            [0.1, 0.1, 0.8],
            [0.0, 0.52, 0.48],  # labelled 2, more like 1, but not as sure as those labelled 1
        ]
    )
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    # thresholds: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 0.55, class 2 0.64
    (found,) = find_suspects(p, labels, ["a", "b", "c"], [f"{i}.jpg" for i in range(7)])
    assert (found.path, found.label, found.suggested) == ("2.jpg", "a", "b")
    np.testing.assert_allclose((found.p_label, found.p_suggested, found.score), (0.2, 0.6, 0.4))


def test_flipped_labels_of_real_digits_come_out_on_top() -> None:
    images, true = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    flipped = rng.choice(len(true), 54, replace=False)  # 3 %
    labels = true.copy()
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, 54)) % 10
    head = LogisticRegression(C=0.3, max_iter=500)
    p = cross_val_predict(head, images / 16, labels, cv=5, method="predict_proba")
    found = find_suspects(p, labels, [str(k) for k in range(10)], [str(i) for i in range(len(p))])
    ranked = [int(s.path) for s in found]
    right = np.isin(ranked, flipped)
    assert right[:27].all()
    assert right[:40].mean() >= 0.95
    assert right.sum() >= 54 * 2 / 3
    # and what is suggested is what the digit shows
    assert np.mean([int(s.suggested) == true[int(s.path)] for s in found[:40]]) >= 0.95
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    expected = expect_suspects(p, labels)
    assert expected.mean < len(found) / 2
    assert expected.p_value < 0.001


def count(p: np.ndarray, labels: np.ndarray) -> int:
    return len(find_suspects(p, labels, "abc", [""] * len(p)))


def test_right_labels_look_wrong_as_often_as_expected_and_wrong_ones_more_often() -> None:
    sets, more, planted, apart, beyond = 70, 0, 0, [], []
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 4, (200, 3))
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels = (p.cumsum(axis=1)[:, :-1] <= rng.random((200, 1))).sum(axis=1)
        expected = expect_suspects(p, labels, seed=seed)
        apart.append(count(p, labels) - expected.mean)
        more += expected.p_value <= 0.05
        wrong = labels.copy()
        wrong[:10] = (wrong[:10] + 1) % 3
        expected = expect_suspects(p, wrong, seed=seed)
        beyond.append(count(p, wrong) - expected.mean)
        planted += expected.p_value <= 0.05
    assert abs(np.mean(apart)) <= 3 * np.std(apart) / np.sqrt(sets)
    assert more / sets <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / sets)
    assert planted / sets > 0.8
    assert 5 < np.mean(beyond) <= 10


def test_a_class_without_images_is_never_suggested() -> None:
    p = np.array([[0.1, 0.8, 0.1], [0.3, 0.2, 0.5], [0.2, 0.4, 0.4]])
    found = find_suspects(p, np.array([0, 0, 2]), ["a", "none", "c"], ["x", "y", "z"])
    assert [s.suggested for s in found] == ["c"]


def test_the_csv_holds_paths_of_any_kind() -> None:
    p = np.array([[0.1, 0.9], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    paths = ['=1+1,"x"\n.jpg', "b", "c", "d"]
    found = find_suspects(p, np.array([0, 0, 1, 1]), ["cat", "dog"], paths)
    rows = list(csv.DictReader(suspects_csv(found).splitlines(keepends=True)))
    assert [unguard(row["path"]) for row in rows] == [paths[0]]
    assert rows[0] == {
        **{"path": f"'{paths[0]}", "label": "cat", "suggested": "dog"},
        **{"p_label": "0.100000", "p_suggested": "0.900000", "score": "0.800000"},
    }
    assert suspects_csv([]) == "path,label,suggested,p_label,p_suggested,score\n"
