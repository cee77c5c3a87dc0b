"""What the marks of the page's plots should say, read off results.json."""

from __future__ import annotations

from typing import Any

SPEAKING = ("scores", "overfit", "spectrum", "learning_curve", "calibration", "classes")


def percents(score: dict[str, Any]) -> str:
    return "{mean:.1f} % ({low:.1f} to {high:.1f})".format(
        **{key: 100 * score[key] for key in ("mean", "low", "high")}
    )


def expected(results: dict[str, Any], plot: str) -> list[str]:
    """The numbers of a plot, read off results.json, in the order of its marks."""
    best = sorted(results["candidates"], key=lambda c: -c["balanced_accuracy"]["mean"])
    if plot == "scores":
        return [f"{c['name']}: balanced accuracy {percents(c['balanced_accuracy'])}" for c in best]
    if plot == "overfit":
        return [
            f"{c['name']}: overfit gap "
            + "{mean:+.1f} points ({low:+.1f} to {high:+.1f})".format(
                **{key: 100 * c["overfit_gap"][key] for key in ("mean", "low", "high")}
            ).replace("-", "−")
            for c in sorted(best, key=lambda c: c["overfit_gap"]["mean"])
        ]
    if plot == "spectrum":
        rows = results["where"]["spectrum"]["curve"]
        ends = [", gap", *[""] * (len(rows) - 2), ", flatten"]
        return [
            f"τ = {row['tau']:g}{end}: balanced accuracy {percents(row['balanced_accuracy'])}, "
            f"log-loss {row['log_loss']['mean']:.3f}"
            for row, end in zip(rows, ends, strict=True)
        ]
    if plot == "learning_curve":
        return [
            f"{head['name']}: {row['images']} images, balanced accuracy {percents(row)}"
            for head in results["learning_curve"]["heads"]
            for row in head["points"]
        ]
    if plot == "calibration":
        return [
            f"probability {100 * b['confidence']:.1f} %: {100 * b['accuracy']:.1f} % right "
            f"({100 * b['low']:.1f} to {100 * b['high']:.1f}), {b['images']:g} images"
            for b in results["reliability"]["bins"]
        ]
    assert plot == "classes"
    return [
        f"{r['name']}: recall {100 * r['recall']:.1f} %, precision {100 * r['precision']:.1f} %, "
        f"F1 {100 * r['f1']:.1f} %; {r['images']} images"
        for r in sorted(results["reliability"]["classes"], key=lambda r: r["f1"])
    ]
