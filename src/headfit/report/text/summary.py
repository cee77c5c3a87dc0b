"""The summary of a run: the answer, the advice, then at most a line for each subject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headfit.report.text import claims as claims_text
from headfit.report.text import metrics
from headfit.report.text.finetune import sizes
from headfit.report.text.learning_curve import gain_size
from headfit.report.text.metrics import Metric, metric_of
from headfit.report.text.numbers import about, enumerated, percent
from headfit.report.text.position import blind_heads
from headfit.report.text.reliability import trust
from headfit.report.text.targets import NOUNS, kind_of
from headfit.report.text.tested import summary as tested
from headfit.report.text.verdict import after_holm, headline
from headfit.study.comparison.contrast import GAP
from headfit.study.position.answer import PositionAnswer
from headfit.util.nouns import counted

RARE = 4  # classes or labels named


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
    metric = metric_of(verdict)
    spread = "" if difference["low"] is None else f" ({metric.range(difference)})"
    mean = metric.difference(difference["mean"], signed=True)
    return f"{headline(verdict)} Flatten − gap: {mean}{spread}."


def advice(results: Mapping[str, Any]) -> str:
    """Say in one line which head to use and what to expect.

    Args:
        results: content of ``results.json``.
    """
    verdict = results["verdict"]
    name, expected = verdict["recommended"], verdict["expected_score"]
    rows = {each["name"]: each for each in results["candidates"]}
    chosen = rows[name]
    trained = chosen["parameters"].get("trained", chosen["parameters"]["head"])
    tuned = trained > chosen["parameters"]["head"]
    count = f"{trained:,} {'trained ' if tuned else ''}parameters"
    if expected["mean"] is None:
        return f"Use {name}: {count}."
    place = name.removesuffix(chosen["head"])
    gap = rows.get(f"{place}{GAP}") if chosen["head"] != GAP else None
    mean = gap[metrics.primary(verdict)]["mean"] if gap else None
    return f"Use {name}: {metric_of(verdict).expected(expected, mean)}, {count}."


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
        "Mistakes": (claims := results.get("claims")) and claims_text.summary(claims),
        **balance_lines(results["images"], results["settings"]["folds"], kind_of(results)),
        "Trust": trust(results["reliability"]),
        "Test split": test and tested(test, verdict),
        "No label": results.get("unlabelled") and _unlabelled(results["unlabelled"]),
        "int8": int8 and _int8(int8, metric_of(verdict)),
    }
    return {label: line for label, line in lines.items() if line}


def others(results: Mapping[str, Any]) -> dict[str, str]:
    """Say what the other rows of a fine-tuning bring, by the name of the row."""
    gains = results.get("finetune", {}).get("gains", [])
    answered = results["verdict"].get("finetune", {}).get("name")
    return {gain["name"]: gain["sentence"] for gain in gains if gain["name"] != answered}


def balance_lines(images: Mapping[str, Any], folds: int, kind: str = "class") -> dict[str, str]:
    """Say what does not count alike, by its label: nothing if all does.

    Args:
        images: the ``images`` object of ``results.json``.
        folds: of each repeat.
        kind: of the targets.
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
        lines[f"Rare {NOUNS[kind][1]}"] = (
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
        gain = _lead(answer.lead["ahead_of_gap"], metric_of(verdict))
        return f"improves on gap: {gain} with spatial_prior, τ = {answer.lead['tau']:g}"
    if answer.word == "little":
        lead = _lead(verdict["difference"], metric_of(verdict))
        return f"little difference: flatten is ahead of gap by {lead}"
    word = "undecided" if answer.word == "undecided" else "no effect found"
    return f"{word}: nothing between gap and flatten beats gap clearly"


def _lead(lead: Mapping[str, Any], metric: Metric) -> str:
    return f"{metric.difference(lead['mean'], signed=True)} ({metric.range(lead)})"


def _more(curve: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    gains = {head["name"]: head["gain"] for head in curve["heads"] if head["gain"]}
    parts = []
    if gains:
        count = next(iter(gains.values()))["more_images"]
        metric = metric_of(verdict)
        brief = (f"{name} {gain_size(gain, metric)}" for name, gain in gains.items())
        parts.append(f"{count:,} more: {', '.join(brief)}")
    else:
        parts.append("no forecast, see the report")
    if verdict["flatten"] == "undecided" and verdict["images_needed"]:
        parts.append(f"about {about(verdict['images_needed'], up=True)} would decide")
    return "; ".join(parts)


def _unlabelled(unlabelled: Mapping[str, Any]) -> str:
    return f"{counted(unlabelled['predicted'], 'image')} predicted, see {unlabelled['file']}"


def _int8(precision: Mapping[str, Any], metric: Metric) -> str:
    return (
        f"{_lead(precision['difference'], metric)} against float32, "
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
