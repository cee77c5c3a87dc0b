import json
import math

import numpy as np
import pytest

from headfit.report.text.verdict import headline, in_words
from headfit.study.comparison.compare import Difference
from headfit.study.comparison.verdict import HeadScores, Verdict, conclude, decide

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 100)
NOISE = RNG.normal(0, 1, size=(4, 25))


def study(gap_to_flatten, noise, others=(), rope=0.01):
    """Scores on 5×5 folds; others are (name, lead over gap, parameters, position-aware)."""
    base = 0.8 + 0.02 * NOISE[0]
    heads = [("gap", 0.0, 2_560, False), ("flatten", gap_to_flatten, 125_440, True), *others]
    centred = NOISE - NOISE.mean(axis=1, keepdims=True)
    scores = np.stack(
        [base + lead + noise * i * centred[i] for i, (_, lead, *_) in enumerate(heads)]
    )
    correct = np.stack([np.arange(200) % 100 < 100 * s.mean() for s in scores]).astype(float)
    names, _, parameters, aware = zip(*heads, strict=True)
    return verdict_of(list(names), scores, list(parameters), list(aware), correct, rope=rope)


def verdict_of(names, scores, parameters, aware, correct=None, **others):
    correct = np.ones((len(names), 200)) if correct is None else correct
    if "costs" in others:
        others["costs"] = np.array(others["costs"])
    heads = HeadScores(names, scores, np.array(parameters), aware, 5, len(LABELS), **others)
    return in_words(conclude(heads, correct, LABELS))


def difference(**values):
    known = {"mean": 0.0, "low": -0.01, "high": 0.01, "p_value": 0.5, "p_rope": 0.5}
    return Difference(**(known | {"p_better": 0.2, "se": 0.01, "df": 24} | values))


@pytest.mark.parametrize(
    ("found", "holm_p", "positional", "word"),
    [
        (difference(mean=0.03, p_rope=0.02, p_better=0.98), 0.049, False, "necessary"),
        (difference(mean=0.03, p_rope=0.02, p_better=0.98), 0.049, True, "position_needed"),
        (difference(mean=0.03, p_rope=0.02, p_better=0.98), 0.05, False, "undecided"),
        (difference(mean=0.009, p_rope=0.7, p_better=0.3), 0.001, False, "undecided"),
        (difference(p_rope=0.95, p_better=0.02), 0.6, True, "equivalent"),
        (difference(mean=-0.03, p_rope=0.04, p_better=0.001), 0.01, True, "not_necessary"),
        (difference(p_rope=0.94, p_better=0.05), 0.6, False, "not_necessary"),
        (difference(p_value=math.nan, p_rope=math.nan, p_better=math.nan, mean=0.2), math.nan,
         False, "undecided"),
    ],
)  # fmt: skip
def test_the_answer_follows_the_rules_of_the_method(found, holm_p, positional, word):
    assert decide(found, holm_p, rope=0.01, positional_as_good=positional) == word


@pytest.mark.parametrize(
    ("verdict", "word", "recommended", "said"),
    [
        (study(0.1, 0.01), "necessary", "flatten",
         "Flatten is necessary here: it scores 10.0 points above gap (9.0 to 11.0), p"),
        (study(0.1, 0.01), "necessary", "flatten", "such as spp, was compared"),
        (study(0.1, 0.01, [("spp", 0.02, 53_760, True)]), "necessary", "flatten",
         "No cheaper head that keeps position does as well."),
        (study(0.1, 0.01, [("spp", 0.099, 53_760, True)]), "position_needed", "spp",
         "spp scores within one standard error of flatten with 53,760 parameters instead of "),
        (study(0.1, 0.01, [("gap-1024", 0.1, 99_000, False)]), "necessary", "gap-1024",
         "gap-1024, which ignores position, scores within one standard error of the best"),
        (study(0.0, 0.001), "equivalent", "gap", "at most 1.0 point apart"),
        (study(-0.1, 0.01), "not_necessary", "gap", "differs from gap by −10.0 points"),
        (study(0.004, 0.001), "equivalent", "flatten",
         "does not matter to you, gap needs only 2,560"),
        (study(0.01, 0.04), "undecided", "gap", "With 200 images only a difference of "),
        (study(0.0099, 0.001), "undecided", "flatten",
         "too close to the limit of 1.0 point to call"),
        (study(0.1, 0.0), "undecided", "flatten", "the noise is unknown"),
    ],
)  # fmt: skip
def test_a_study_is_put_into_words(verdict, word, recommended, said):
    assert (verdict.flatten, verdict.recommended) == (word, recommended)
    assert said in verdict.sentence
    assert str(verdict) == verdict.sentence
    assert f" Use {recommended}: expect " in verdict.sentence
    assert verdict.sentence.startswith(headline(verdict.to_dict()).rstrip("."))


def test_the_same_head_twice_has_no_winner():
    verdict = study(0.0, 0.0)
    assert (verdict.flatten, verdict.recommended) == ("equivalent", "gap")
    assert (verdict.difference.mean, verdict.difference.p_value) == (0, 1)
    assert (verdict.minimal_detectable, verdict.images_needed) == (None, None)
    assert "on 200 images it scores the same as gap in every fold" in verdict.sentence


def test_the_undecided_are_told_what_would_decide():
    verdict = study(0.01, 0.04)
    spread = verdict.difference.se
    assert verdict.minimal_detectable == pytest.approx((2.0639 + 0.8569) * spread, rel=1e-4)
    assert verdict.images_needed == math.ceil(200 * (verdict.minimal_detectable / 0.01) ** 2)
    assert verdict.images_needed > 200
    assert "images would decide" in verdict.sentence


def test_every_further_head_makes_the_test_stricter():
    alone = study(0.02, 0.018)
    crowd = study(0.02, 0.018, [(f"gap-{i}", 0.0, 5_000, False) for i in range(2)])
    assert alone.difference.p_value == crowd.difference.p_value < 0.05
    assert (alone.flatten, crowd.flatten) == ("necessary", "undecided")
    assert "after Holm's correction" in crowd.sentence
    assert "Holm" not in alone.sentence


@pytest.mark.parametrize("names", [["gap", "spp"], ["flatten", "spp"], ["spp", "gem"]])
def test_without_gap_or_flatten_the_question_is_not_asked(names):
    verdict = verdict_of(names, 0.8 + 0.02 * NOISE[:2], [10, 20], [True, True])
    absent = [n for n in ("gap", "flatten") if n not in names]
    assert f"was not tested: compare {' and '.join(absent)} as well" in verdict.sentence
    assert verdict.flatten == "undecided"
    assert verdict.to_dict()["difference"] is None


def test_the_expected_score_of_the_cheaper_choice_is_its_own():
    verdict = study(0.002, 0.02)
    assert verdict.recommended == "gap"
    assert verdict.expected_score[0] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("verdict", [study(0.01, 0.04), study(0.1, 0.0)])
def test_the_dictionary_has_the_names_of_the_results_file_and_no_nan(verdict):
    written = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    interval, tests = ["mean", "low", "high"], ["p_value", "p_rope", "p_better"]
    planned = ["minimal_detectable", "images_needed"]
    assert list(written) == [
        *("flatten", "sentence", "recommended", "difference", "holm_p_value"),
        *("secondary", *planned, "expected_score"),
    ]
    assert list(written["difference"]) == interval + tests
    assert list(written["expected_score"]) == interval


def test_log_loss_and_brier_are_secondary_evidence_that_decides_nothing():
    scores = 0.8 + np.stack([0.03 * NOISE[0], 0.03 * NOISE[1]])
    losses = np.stack([0.5 + 0.01 * NOISE[2], 0.4 + 0.01 * NOISE[3]])
    heads = (["gap", "flatten"], scores, [10, 20], [False, True])
    plain = verdict_of(*heads)
    verdict = verdict_of(*heads, secondary={"log_loss": losses, "brier": losses[::-1]})
    assert verdict.flatten == plain.flatten == "undecided"
    found = verdict.to_dict()["secondary"]
    assert found["log_loss"]["mean"] == pytest.approx(np.mean(losses[1] - losses[0]))
    assert found["brier"]["mean"] == pytest.approx(-found["log_loss"]["mean"])
    assert found["log_loss"]["p_value"] < 0.001
    assert "flatten's log-loss is 0.1" in verdict.sentence and "lower" in verdict.sentence
    assert "log-loss" not in plain.sentence


def test_of_several_backbones_the_recommended_one_answers_for_flatten():
    families = ["small", "small", "large", "large"]
    leads = np.array([0.0, 0.0, 0.1, 0.2])[:, None]
    scores = 0.7 + leads + 0.01 * NOISE
    names = [f"{f}/{h}" for f, h in zip(families, ["gap", "flatten"] * 2, strict=True)]
    verdict = verdict_of(
        names, scores, [10, 20, 10, 20], [False, True] * 2,
        families=families, costs=[1010, 1020, 5010, 5020],
    )  # fmt: skip
    assert verdict.recommended == "large/flatten"
    assert verdict.flatten == "necessary"
    assert verdict.difference.mean == pytest.approx(np.mean(scores[3] - scores[2]))
    assert " Use large/flatten:" in verdict.sentence


def test_the_cheaper_backbone_is_taken_where_two_are_alike():
    scores = 0.8 + 0.02 * NOISE[:2] - 0.02 * NOISE[:2].mean(axis=1, keepdims=True)
    verdict = verdict_of(
        ["small/gap", "large/gap"], scores, [90, 10], [False] * 2,
        families=["small", "large"], costs=[190, 5010],
    )  # fmt: skip
    assert verdict.recommended == "small/gap"


def test_notebooks_get_escaped_text():
    verdict = Verdict("undecided", "p < 0.001 & <b>", "gap", None, None, None, (0.8, 0.7, 0.9))
    assert verdict._repr_html_() == "<p>p &lt; 0.001 &amp; &lt;b&gt;</p>"


@pytest.mark.parametrize(
    "change", [{"names": ["gap", "gap"]}, {"labels": LABELS[1:]}, {"scores": NOISE[:2] * np.nan}]
)
def test_tables_that_do_not_match_are_refused(change):
    names, scores, labels = ["gap", "flatten"], NOISE[:2], LABELS
    table = {"names": names, "scores": scores, "labels": labels} | change
    heads = HeadScores(
        table["names"], table["scores"], np.array([1, 2]), [False, True], folds=5, images=200
    )
    with pytest.raises(ValueError, match="must"):
        conclude(heads, np.ones((2, 200)), table["labels"])
