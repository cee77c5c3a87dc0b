"""What a type checker makes of the public API; mypy checks this file, nothing runs it."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import headfit as hf


class Report(hf.Callback):
    def on_message(self, message: str) -> None:
        print(message)


def compare_and_predict(folder: str) -> None:
    index = assert_type(hf.ImageIndex.from_directory(folder), hf.ImageIndex)
    study = assert_type(
        hf.compare(
            index,
            backbone=["efficientnet_lite0", "MobileNet"],
            heads="gap,flatten",
            size=[96, 160],
            folds=5,
            near_duplicates=False,
            callbacks=[Report()],
        ),
        hf.Study,
    )
    assert_type(study.verdict, hf.Verdict)
    assert_type(study.recommended, str)
    assert_type(study.table(), list[dict[str, Any]])
    assert_type(study.results, dict[str, Any])
    assert_type(study.folds, np.ndarray)
    classifier = assert_type(study.classifier(), hf.Classifier)
    assert_type(classifier.predict([f"{folder}/new.jpg"]), np.ndarray)
    assert_type(classifier.predict_proba([f"{folder}/new.jpg"]), np.ndarray)
    assert_type(hf.Classifier.load("model.keras"), hf.Classifier)


def rank(folder: str) -> None:
    ranking = assert_type(hf.rank(folder, "MobileNet", callbacks=Report()), hf.Ranking)
    assert_type(ranking.best, str)
    assert_type(ranking.within_noise, list[str])
    assert_type(ranking.table(), list[dict[str, Any]])


def other_functions(paths: list[str]) -> None:
    assert_type(hf.inspect("VGG16", classes=3).to_dict(), dict[str, Any])
    assert_type(hf.convert("model.keras", "gap").to_dict(), dict[str, Any])
    assert_type(hf.diagram(map_shape=(7, 7, 1280), classes=3).svg, str)
    index = assert_type(hf.ImageIndex.from_paths(paths, ["cat", "dog"]), hf.ImageIndex)
    assert_type(index.classes, tuple[str, ...])
    assert_type(hf.FeatureExtractor("MobileNet").transform(paths), np.ndarray)
    hf.layers.SPP()


def wrong_calls_are_seen(folder: str) -> None:
    hf.compare(folder, backbnoe="MobileNet")  # type: ignore[call-arg]
    hf.compare(folder, "MobileNet")  # type: ignore[call-arg]
    hf.compare(folder, folds="5")  # type: ignore[arg-type]
    hf.compare(folder, callbacks=print)  # type: ignore[arg-type]
    hf.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def put_side_by_side(declared: str) -> None:
    board = assert_type(hf.board.run(declared, "board", group=True), hf.board.Board)
    board.save("copy")
    assert_type(hf.board.render("board"), hf.board.Board)
