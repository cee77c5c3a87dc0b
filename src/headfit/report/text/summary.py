"""The summary of a run: the answer, the advice, then at most a line for each subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headfit.report.text.finetune import sizes
from headfit.report.text.numbers import about, enumerated, percent, point_range, points
from headfit.report.text.position import blind_heads
from headfit.report.text.reliability import calibration, suspects, tested
from headfit.report.text.verdict import after_holm, headline
from headfit.study.position.answer import PositionAnswer
from headfit.util.nouns import counted

RARE = 4  # classes named


def answer(verdict: Mapping[str, Any]) -> str:
    """Answer in one line whether Flatten is necessary, or whether fine-tuning pays.

    Args:
        verdict: the ``verdict`` object of ``results.json``.
    """
    if gain := verdict.get("finetune"):
        return f"{gain['headline']} {gain['sentence']}"
    difference = verdict["difference"]
    if difference is None:
        return f"{headline(verdict)} Compare gap and flatten."
    spread = "" if difference["low"] is None else f" ({point_range(difference)})"
    return f"{headline(verdict)} Flatten − gap: {points(difference['mean'], signed=True)}{spread}."


def advice(results: Mapping[str, Any]) -> str:
    """Say in one line which head to use and what to expect.

    Args:
        results: content of ``results.json``.
    """
    name, expected = results["verdict"]["recommended"], results["verdict"]["expected_score"]
    (chosen,) = [each for each in results["candidates"] if each["name"] == name]
    trained = chosen["parameters"].get("trained", chosen["parameters"]["head"])
    tuned = trained > chosen["parameters"]["head"]
    count = f"{trained:,} {'trained ' if tuned else ''}parameters"
    if expected["mean"] is None:
        return f"Use {name}: {count}."
    low, high = percent(expected["low"]), percent(expected["high"])
    score = f"{percent(expected['mean'])} % balanced accuracy ({low} to {high})"
    return f"Use {name}: expect {score}, {count}."


def subjects(results: Mapping[str, Any]) -> dict[str, str]:
    """Give a line for each subject that was measured, by its label.

    Args:
        results: content of ``results.json``.
    """
    verdict, test, int8 = results["verdict"], results["test"], results["precision"]
    lines = {
        **others(results),
        "Backbones": sizes(results["backbones"]) if results.get("finetune") else "",
        "Correction": after_holm(results["backbones"]),
        "Position": results["where"] and position(results["where"], verdict),
        "More images": results["learning_curve"] and _more(results["learning_curve"], verdict),
        **balance_lines(results["images"], results["settings"]["folds"]),
        "Trust": _trust(results["reliability"]),
        "Test split": test and _test(test),
        "No label": results.get("unlabelled") and _unlabelled(results["unlabelled"]),
        "int8": int8 and _int8(int8),
    }
    return {label: line for label, line in lines.items() if line}


def others(results: Mapping[str, Any]) -> dict[str, str]:
    """Say what the other rows of a fine-tuning bring, by the name of the row."""
    gains = results.get("finetune", {}).get("gains", [])
    answered = results["verdict"].get("finetune", {}).get("name")
    return {gain["name"]: gain["sentence"] for gain in gains if gain["name"] != answered}


def balance_lines(images: Mapping[str, Any], folds: int) -> dict[str, str]:
    """Say what does not count alike, by its label: nothing if all does.

    Args:
        images: the ``images`` object of ``results.json``.
        folds: of each repeat.
    """
    lines = {}
    if images.get("effective_images"):
        lines["Weights"] = (
            f"images count by weight in losses and scores; effective number of images: "
            f"{about(images['effective_images'])}"
        )
    if images.get("class_balanced_loss"):
        lines["Loss"] = (
            f"class-balanced (the classes differ in size {images['imbalance']:.0f} to 1); "
            f"probabilities assume classes that are equally common"
        )
    if rare := images.get("rare"):
        named = enumerated([f"{name} ({count})" for name, count in list(rare.items())[:RARE]])
        more = f" and {len(rare) - RARE} more" if len(rare) > RARE else ""
        lines["Rare classes"] = (
            f"{named}{more} have fewer images than the {folds} folds, and are tested only in as "
            f"many folds as they have images: what is said about them rests on these few"
        )
    return lines


def position(where: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say whether position matters, in the metric and by the test of the verdict."""
    answer = PositionAnswer.of(where, verdict)
    if answer.word == "not_needed":
        return f"not needed: {blind_heads(answer, verdict)}"
    if answer.word == "open":
        return f"open: flatten is ahead of gap, but {blind_heads(answer, verdict)}"
    if answer.word == "needed":
        return "matters: flatten is ahead of gap"
    if answer.word == "helps" and answer.lead:
        gain = _lead(answer.lead["ahead_of_gap"])
        return f"improves on gap: {gain} with spatial_prior, τ = {answer.lead['tau']:g}"
    if answer.word == "little":
        return f"little difference: flatten is ahead of gap by {_lead(verdict['difference'])}"
    word = "undecided" if answer.word == "undecided" else "no effect found"
    return f"{word}: nothing between gap and flatten beats gap clearly"


def _lead(lead: Mapping[str, Any]) -> str:
    return f"{points(lead['mean'], signed=True)} ({point_range(lead)})"


def _more(curve: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    gains = {head["name"]: head["gain"] for head in curve["heads"] if head["gain"]}
    parts = []
    if gains:
        count = next(iter(gains.values()))["more_images"]
        parts.append(f"{count:,} more: {', '.join(map(_gain, gains, gains.values()))}")
    else:
        parts.append("no forecast, see the report")
    if verdict["flatten"] == "undecided" and verdict["images_needed"]:
        parts.append(f"about {about(verdict['images_needed'], up=True)} would decide")
    return "; ".join(parts)


def _gain(name: str, gain: Mapping[str, Any]) -> str:
    mean, low, high = (percent(gain[end]) for end in ("mean", "low", "high"))
    return f"{name} +{mean} points ({low} to {high})"


def _trust(reliability: Mapping[str, Any]) -> str:
    return f"{calibration(reliability)}; {suspects(reliability)}"


def _test(test: Mapping[str, Any]) -> str:
    return (
        f"{tested(test, 'balanced_accuracy')} balanced accuracy on "
        f"{counted(test['images'], 'image')}; accuracy {percent(test['accuracy'])} %"
    )


def _unlabelled(unlabelled: Mapping[str, Any]) -> str:
    return f"{counted(unlabelled['predicted'], 'image')} predicted, see {unlabelled['file']}"


def _int8(precision: Mapping[str, Any]) -> str:
    change = precision["difference"]
    return (
        f"{points(change['mean'], signed=True)} ({point_range(change)}) against float32, "
        f"{precision['speedup']:.2f} times as fast"
    )


def fit_warnings(head: str, notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say why the scores of a head are approximate, or could be better.

    Args:
        head: its name.
        notes: of :class:`headfit.fitting.problem.CrossValidation`.
    """
    return [f"{head}: {_SENTENCES[note['code']](note)}" for note in notes]


def _projected(note: Mapping[str, Any]) -> str:
    images = counted(note["images"], "image")
    each, rows = "", "of them"
    if "views" in note:
        each, rows = f" in {note['views']} views", "of these views"
    return (
        f"for {images}{each} its features are approximated by those of "
        f"{note['spanned_by']:,} {rows}, which keeps {percent(note['variance_share'])} % of their "
        f"variance; its scores are approximate."
    )


def _edge(note: Mapping[str, Any]) -> str:
    return (
        f"the best penalty, {note['penalty']:g}, lies at the edge of the grid; a value beyond it "
        f"may be better."
    )


def _unfinished(note: Mapping[str, Any]) -> str:
    return f"{counted(note['fits'], 'fit')} ran out of steps: the scores are approximate."


def _diverged(note: Mapping[str, Any]) -> str:
    return (
        f"training diverged in {counted(note['folds'], 'fold')}, where the frozen head was kept; "
        f"a lower learning rate may do better."
    )


_SENTENCES = {
    "projected": _projected,
    "edge": _edge,
    "unfinished": _unfinished,
    "diverged": _diverged,
}
