"""Sentences: the result first, numbers as a person writes them, and no contradictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from headfit.report.text import numbers, position, ranking, reliability, summary, titles
from headfit.report.text.verdict import after_holm, evidence, headline
from headfit.study.position.perturbation import PositionUse, VarianceParts
from headfit.study.position.spectrum import GRID, Spectrum

NONE_AHEAD = np.full((len(GRID), 10), 0.8) + 1e-3 * np.random.default_rng(0).normal(
    size=(len(GRID), 10)
)


def where_of(accuracy: np.ndarray = NONE_AHEAD, images: int = 500) -> dict[str, Any]:
    """Results about position; log-loss is least in the middle, whatever the accuracy."""
    losses = np.full(accuracy.shape, 0.4)
    losses[4] = 0.1
    return {
        "images": images,
        "spectrum": Spectrum(GRID, accuracy, losses, images).to_dict(),
        **use_of(0.2, 0.01),
    }


def use_of(drop: float, spread: float) -> dict[str, Any]:
    shuffled = 0.9 - drop + spread * np.linspace(-1, 1, 10)
    parts = VarianceParts(0.75, 1 / 6)
    return PositionUse(np.full(10, 0.9), shuffled, shuffled, parts).to_dict(shuffled)


def ahead(row: int, lead: float) -> np.ndarray:
    accuracy = NONE_AHEAD.copy()
    accuracy[row] += lead
    return accuracy


def verdict_of(
    word: str, p_value: float = 0.001, better: float = 0.99, **cheaper: str
) -> dict[str, Any]:
    """A verdict with cheaper heads, each "as_good", "open" or "worse"; spp alone is aware."""
    difference = {"mean": 0.04, "low": 0.02, "high": 0.06, "p_better": better}
    if word in ("equivalent", "undecided"):
        difference["p_better"] = 0.01
    heads = [
        {"head": name, "position_aware": name == "spp", "against_flatten": how}
        for name, how in cheaper.items()
    ]
    return {
        "flatten": word,
        "difference": difference,
        "holm_p_value": p_value,
        "images_needed": None,
        "cheaper": heads,
    }


NEEDED = "Position matters: flatten scores 4.0 points above gap (2.0 to 6.0)"
NONE = "nothing between gap (80.0 %) and flatten (90"
POSITION = [
    (verdict_of("necessary", gmp="worse", spp="worse"), f"{NEEDED}; gmp, which ignores position,"),
    (verdict_of("position_needed", spp="as_good"), f"{NEEDED}; no other cheaper head that"),
    (
        verdict_of("ahead", gmp="worse", spp="open"),
        f"{NEEDED}; gmp, which ignores position, scores",
    ),
    (
        verdict_of("ahead", gmp="open", spp="worse"),
        "Whether position is needed is open: flatten scores 4.0 points above gap (2.0 to 6.0), but "
        "gmp, which ignores position, may be as good as flatten.",
    ),
    (verdict_of("ahead"), "Whether position is needed is open: flatten scores 4.0 points above g"),
    (
        verdict_of("not_necessary", gmp="as_good", avgmax="as_good", spp="worse"),
        "Position is not needed: flatten scores 4.0 points above gap (2.0 to 6.0), but gmp and "
        "avgmax, which ignore position, are as good as flatten.",
    ),
    (verdict_of("equivalent"), "Position makes little difference: flatten scores 4.0 points ab"),
    (verdict_of("equivalent", 0.2), f"No effect of position was found: {NONE}"),
    (verdict_of("not_necessary", 0.2, 0.01), f"No effect of position was found: {NONE}"),
    (verdict_of("undecided", 0.2), f"Whether position matters is undecided: {NONE}"),
]


@pytest.mark.parametrize(("verdict", "start"), POSITION)
def test_position_is_said_as_the_verdict_and_the_heads_that_ignore_it_allow(
    verdict: dict[str, Any], start: str
) -> None:
    where = where_of(ahead(-1, 0.1))
    assert position.conclusion(where, verdict).startswith(start)
    results = {"verdict": verdict, "where": where}
    line, title = summary.position(where, verdict), titles.spectrum(results)
    # all three say the same
    assert start.startswith("Position matters") == line.startswith("matters")
    assert start.startswith("Position is not needed") == line.startswith("not needed: ")
    assert start.startswith("Whether position is needed") == line.startswith("open: ")
    shown = verdict["holm_p_value"] < 0.05 or verdict["flatten"] in ("necessary", "ahead")
    assert title.startswith("Flatten is 4.0 points above gap (2.0" if shown else "Nothing between")


@pytest.mark.parametrize(
    ("verdict", "end"),
    [
        (verdict_of("equivalent", 0.2), "but flatten was not shown to be ahead."),
        (verdict_of("undecided", 0.2), "but for flatten this is undecided."),
        (verdict_of("equivalent"), "; flatten scores 4.0 points above gap (2.0 to 6.0)."),
    ],
)
def test_a_prior_that_is_ahead_of_gap_is_named_and_needs_nothing(
    verdict: dict[str, Any], end: str
) -> None:
    where = where_of(ahead(4, 0.05))
    text = position.conclusion(where, verdict)
    assert text.startswith(f"Some position improves on gap: spatial_prior with τ = {GRID[4]:g} ")
    assert text.endswith(end)
    results = {"verdict": verdict, "where": where}
    assert titles.spectrum(results).startswith(f"τ = {GRID[4]:g} is 5.")
    assert summary.position(where, verdict).startswith("improves on gap: +5.")


def test_that_nothing_is_ahead_holds_for_every_strength_of_the_prior() -> None:
    rng, said = np.random.default_rng(0), 0
    for _ in range(100):
        level = 0.8 + 0.007 * rng.normal(size=(len(GRID), 1))
        where = where_of(level + 0.01 * rng.normal(size=(len(GRID), 10)))
        text = position.conclusion(where, verdict_of("undecided", 0.2))
        leads = [row["ahead_of_gap"] for row in where["spectrum"]["curve"][1:]]
        # Holm's first step: all as surely as 1 − 0.05 / m, so the ends of 99.4 % reach 0
        wider = stats.t.ppf(1 - 0.025 / len(leads), 9) / stats.t.ppf(0.975, 9)
        apart = any(lead["mean"] > wider * (lead["high"] - lead["mean"]) for lead in leads[:-1])
        assert apart == ("nothing between" not in text)
        said += "nothing between" in text
    assert 20 <= said <= 95


def test_position_is_undecided_where_the_noise_is_unknown() -> None:
    unknown = verdict_of("undecided") | {"holm_p_value": None}
    unknown["difference"] = {"mean": 0.02, "low": None, "high": None, "p_better": None}
    text = position.conclusion(where_of(), unknown)
    assert text.startswith("Whether position matters is undecided")


def test_a_run_before_version_2_does_not_say_what_else_was_compared() -> None:
    old = {key: value for key, value in verdict_of("necessary").items() if key != "cheaper"}
    assert position.conclusion(where_of(), old) == f"{NEEDED}."


def test_position_names_a_prior_between_that_beats_both_ends() -> None:
    accuracy = ahead(4, 0.08)
    accuracy[-1] += 0.05
    text = position.conclusion(where_of(accuracy), verdict_of("necessary", gmp="worse"))
    assert f". Between the two, spatial_prior with τ = {GRID[4]:g} scores 8." in text


@pytest.mark.parametrize(
    ("drop", "spread", "words"),
    [
        (0.3, 0.01, "uses position: shuffling the positions of each map lowers it from 90.0 % to"),
        (0.1, 0.5, "uses position is unclear: shuffling the positions of each map costs +10.0 po"),
        (0.0, 0.001, "hardly uses position: "),
    ],
)
def test_what_shuffling_does_is_claimed_only_beyond_its_noise(
    drop: float, spread: float, words: str
) -> None:
    where = {**where_of(), **use_of(drop, spread)}
    text = position.sentence(where, verdict_of("equivalent"), 500)
    assert words in text and "Measured on" not in text
    assert text != position.sentence(where, verdict_of("equivalent"), 501)
    # what a head uses is not what the task needs
    uses = "flatten head uses position: " in text
    assert uses == ("This says what the head uses, not what the task needs." in text)
    needed = position.sentence(where, verdict_of("necessary", gmp="worse"), 500)
    assert "not what the task needs" not in needed


def test_a_sample_is_named_as_such() -> None:
    text = position.sentence(where_of(images=2000), verdict_of("undecided"), 5000)
    assert text.endswith("(Measured on 2,000 of 5,000 images.)")


def test_shifts_name_the_largest_one() -> None:
    points = [{"pixels": 8, "change": {"mean": 0.1}, "flipped": 0.0}]
    points.append({"pixels": 16, "change": {"mean": 2.0}, "flipped": 1.0})
    assert position.shift({"gap": points, "flatten": points}) == (
        "Moving the image by 16 pixels changes gap's logits by 200 % and 100 % of its predictions "
        "and flatten's logits by 200 % and 100 % of its predictions."
    )


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ({"flatten": "equivalent", "difference": {}}, "Flatten is not necessary here."),
        ({"flatten": "necessary", "difference": {}}, "Flatten is necessary here."),
        ({"flatten": "undecided", "difference": {}}, "These images do not decide whether"),
        ({"flatten": "undecided", "difference": None}, "Whether Flatten is necessary was not te"),
    ],
)
def test_the_headline_answers_the_question(verdict: dict[str, Any], text: str) -> None:
    assert headline(verdict).startswith(text)


def backbone(name: str, mean: float, lead: float, ms: float, noise: bool = True) -> dict[str, Any]:
    return {
        "backbone": name,
        "weights": "imagenet",
        "balanced_accuracy": {"mean": mean, "low": mean - 0.02, "high": mean + 0.02},
        "difference": {"mean": lead},
        "within_noise": noise,
        "latency_ms": ms,
    }


def test_a_ranking_says_who_leads_and_who_may_be_as_good() -> None:
    best, equal = backbone("A", 0.9, 0.0, 20.0), backbone("B", 0.89, -0.01, 5.0)
    worse = backbone("C", 0.7, -0.2, 1.0, noise=False)
    assert ranking.sentence([best]).endswith("No other backbone was ranked.")
    assert ranking.sentence([best, worse]) == (
        "A is best: 90.0 % (88.0 to 92.0) balanced accuracy, 20.0 points above the next, which is "
        "beyond the noise."
    )
    assert ranking.sentence([best, equal, worse]) == (
        "A leads with 90.0 % (88.0 to 92.0) balanced accuracy, but these images cannot tell it "
        "from B. B is faster: 5.0 ms per image instead of 20.0."
    )


def test_suspects_are_counted() -> None:
    def suspects(count: int, mean: float, p_value: float) -> str:
        expected = {"mean": mean, "p_value": p_value}
        return reliability.suspects({"suspects_found": count, "suspects_expected": expected})

    assert suspects(1, 0.42, 0.3) == ("1 label looks wrong, 0.4 expected by chance (suspects.csv)")
    assert suspects(1200, 999.6, 0.01) == (
        "1,200 labels look wrong, more than the 1,000 expected by chance (suspects.csv)"
    )
    assert suspects(0, 3.0, 1.0) == "no label looks wrong"
    old = {"suspects_found": 3}
    assert reliability.suspects(old) == "3 labels look wrong (suspects.csv)"
    assert reliability.expected_suspects(old) == ""


def test_confidence_is_called_off_only_where_it_lies_outside_of_the_interval() -> None:
    temperature = {"value": 1.3, "ece_before": 0.041, "ece_expected": 0.012, "ece_after": 0.013}
    confidence = {"probability": 0.93, "accuracy": 0.9, "low": 0.88, "high": 0.92}
    both = {"temperature": temperature, "confidence": confidence}
    assert reliability.calibration(both) == (
        "overconfident by 3.0 points, calibration error 4.1 % (1.2 % by chance)"
    )
    assert reliability.temperature(temperature) == "1.3 % with temperature 1.30"
    assert reliability.temperature(temperature | {"value": 1.0}) == "no temperature improves it"
    calm = {"temperature": temperature, "confidence": confidence | {"high": 0.94}}
    assert reliability.calibration(calm) == "calibration error 4.1 % (1.2 % by chance)"


def test_prediction_sets_speak_of_what_was_measured() -> None:
    sets = {"level": 0.9, "coverage": 0.912, "mean_size": 1.234}
    ends = {"coverage_low": 0.893, "coverage_high": 0.929}
    assert reliability.prediction_sets({"conformal": sets | ends}) == (
        "Prediction sets that aim at 90 % contain the true class of 91.2 % (89.3 to 92.9) of "
        "held-out images and hold 1.23 classes on average."
    )
    assert "of 91.2 % of held-out" in reliability.prediction_sets({"conformal": sets})


def test_numbers_are_written_as_a_person_does() -> None:
    assert numbers.points(-0.01, signed=True) == "−1.0 point"
    assert numbers.points(-0.00001, signed=True) == "0.0 points"
    assert numbers.score({"mean": 0.5, "low": None, "high": None}) == "50.0 %"
    assert numbers.probability(0.99999) == "above 99.9 %"
    assert numbers.about(2_345) == "2,300"
    assert [numbers.enumerated(list("abc")[:n]) for n in range(4)] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_the_variance_of_logits_is_that_of_two_parts_and_their_covariance() -> None:
    assert position.variance_parts(use_of(0.2, 0.1)["projection"]) == (
        "75.0 % is that of the part that depends on position, 8.3 % that of the rest, 16.7 % their "
        "covariance"
    )


def test_an_old_run_is_not_said_to_be_corrected_over_backbones() -> None:
    difference = {"mean": 0.02, "low": 0.001, "high": 0.04, "p_value": 0.02, "p_better": 0.9}
    old = {"difference": difference, "holm_p_value": 0.08, "minimal_detectable": None}
    assert "After Holm's correction that is p = 0.08." in evidence(old)


def places(*p_values: float | None) -> list[dict[str, Any]]:
    return [
        {"name": f"{size}px", "verdict": {"difference": {"mean": 0.031, "p_value": p}}}
        for size, p in enumerate(p_values, 1)
    ]


@pytest.mark.parametrize(
    ("p_values", "text"),
    [
        ([0.001, 0.03, None], "1 of 3: 1px (+3.1 points). Without it also on 2px."),
        ([0.02, 0.001], "2 of 2: 2px (+3.1 points) and 1px (+3.1 points)."),
        ([0.03, 0.3], "none of 2. Without it on 1px."),
        ([0.3, 0.2], "none of 2."),
        ([1e-4] * 6, f"6 of 6: {', '.join(f'{n}px (+3.1 points)' for n in (1, 2, 3, 4))} "
         "and 2 more."),
    ],
)  # fmt: skip
def test_of_several_backbones_those_are_named_that_survive_the_correction(
    p_values: list[float | None], text: str
) -> None:
    start = "After Holm's correction flatten differs from gap on "
    assert after_holm(places(*p_values)) == f"{start}{text}"


def test_one_backbone_needs_no_correction() -> None:
    assert after_holm(places(0.01)) == ""
    assert after_holm([{"name": "only", "verdict": None}]) == ""
