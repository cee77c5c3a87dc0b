import json
import math
from functools import partial

import numpy as np
import pytest

from headfit.fitting.metrics import balanced_accuracies
from headfit.report.text.verdict import headline, in_words
from headfit.study.comparison.compare import Difference
from headfit.study.comparison.contrast import HeadScores, Rivals, decide
from headfit.study.comparison.proportions import Hits
from headfit.study.comparison.verdict import Verdict, conclude
from numbered import numbered

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 5000)
TARGETS = numbered(LABELS)
NOISE = RNG.normal(0, 1, size=(4, 25))
GAP_HEAD, SIZE = ("gap", 0.0, 2_560, False), 125_440


def study(gap_to_flatten, noise, others=(), rope=0.01, labels=LABELS):
    """Scores on 5×5 folds; others are (name, lead over gap, parameters, position-aware)."""
    base = 0.8 + 0.02 * NOISE[0]
    heads = [GAP_HEAD, ("flatten", gap_to_flatten, SIZE, True), *others]
    centred = NOISE - NOISE.mean(axis=1, keepdims=True)
    scores = np.stack(
        [base + lead + noise * i * centred[i % 4] for i, (_, lead, *_) in enumerate(heads)]
    )
    names, _, parameters, aware = zip(*heads, strict=True)
    leads = [lead for _, lead, *_ in heads]
    right = np.stack([hit(0.8 + lead, labels) for lead in leads])
    return verdict_of(list(names), scores, list(parameters), list(aware), right, rope=rope)


def hit(share, labels=LABELS):
    """This share of each class is right, the first images of it; bool (1, n)."""
    place = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return (place < share * np.bincount(labels)[labels])[None]


def weighted(right, labels):
    return partial(balanced_accuracies, right.mean(axis=1), labels)


def verdict_of(names, scores, parameters, aware, right=None, beside=(), **others):
    if right is None:
        right = np.stack([hit(float(row.mean())) for row in scores])
    if "costs" in others:
        others["costs"] = np.array(others["costs"])
    heads = HeadScores(
        names, scores, np.array(parameters), aware, 5, len(LABELS),
        hits=Hits.of(right, LABELS), weighted=weighted(right, LABELS), **others,
    )  # fmt: skip
    return in_words(conclude(heads, TARGETS, beside=beside))


def difference(**values):
    known = {"mean": 0.03, "low": 0.01, "high": 0.05, "p_value": 0.01, "p_rope": 0.02}
    widths = {"se": 0.01, "df": 24, "below": 0.01, "above": 0.01}
    return Difference(**(known | {"p_better": 0.98} | widths | values))


@pytest.mark.parametrize(
    ("found", "p_value", "rivals", "word"),
    [
        (difference(), 0.049, Rivals(), "necessary"),
        (difference(), 0.05, Rivals(), "undecided"),
        (difference(p_better=0.94), 0.01, Rivals(), "ahead"),
        (difference(), 0.01, Rivals(open=True), "ahead"),
        (difference(), 0.01, Rivals(blind=True), "not_necessary"),
        (difference(), 0.01, Rivals(aware=True), "position_needed"),
        (difference(p_better=0.7), 0.01, Rivals(aware=True), "position_needed"),
        (difference(), 0.01, Rivals(aware=True, open=True), "position_needed"),
        (difference(), 0.01, Rivals(aware=True, blind_open=True, open=True), "ahead"),
        (difference(mean=-0.03, p_better=0.2), 0.01, Rivals(), "undecided"),
        (difference(p_rope=0.95, p_better=0.02), 0.001, Rivals(aware=True), "equivalent"),
        (difference(p_rope=0.04, p_better=0.05), 0.01, Rivals(), "not_necessary"),
        (difference(p_value=math.nan, p_rope=math.nan, p_better=math.nan), math.nan, Rivals(),
         "undecided"),
    ],
)  # fmt: skip
def test_each_word_is_said_only_if_it_was_shown(found, p_value, rivals, word):
    assert decide(found, p_value, 0.01, rivals) == word


SPP, GMP = ("spp", 0.02, 53_760, True), ("gmp", 0.02, 2_560, False)


@pytest.mark.parametrize(
    ("verdict", "word", "recommended", "said"),
    [
        (study(0.1, 0.01), "necessary", "flatten",
         "Flatten is necessary here: it scores 10.0 points above gap (9.0 to 11.0), p"),
        (study(0.1, 0.01), "necessary", "flatten", "such as spp"),
        (study(0.1, 0.01, [SPP, GMP]), "necessary", "flatten", "score lower: gmp and spp."),
        (study(0.1, 0.003, [("spp", 0.1, 53_760, True)]), "position_needed", "spp",
         "with 53,760 parameters instead of 125,440"),
        (study(0.1, 0.003, [("gmp", 0.1, 2_560, False)]), "not_necessary", "gmp",
         "so is a head that ignores position. gmp is as good as flatten"),
        (study(0.1, 0.01, [("gap-1024", 0.1, 999_000, False)]), "necessary", "flatten", "is nec"),
        (study(0.1, 0.02, [("gmp", 0.092, 2_560, False)]), "ahead", "gmp",
         "Whether it is necessary is open: cheaper heads may do as well: gmp."),
        (study(0.012, 0.01), "ahead", "flatten",
         "the probability that it leads by more than 1.0 point is only "),
        (study(0.0, 0.001), "equivalent", "gap", "at most 1.0 point apart"),
        (study(-0.1, 0.01), "not_necessary", "gap", "differs from gap by −10.0 points"),
        (study(0.004, 0.001), "equivalent", "flatten",
         "does not matter to you, gap needs only 2,560"),
        (study(0.01, 0.04), "undecided", "gap",
         "With 10,000 images, four of five repetitions would show a difference of "),
    ],
)  # fmt: skip
def test_a_study_is_put_into_words(verdict, word, recommended, said):
    assert (verdict.flatten, verdict.recommended) == (word, recommended)
    assert said in verdict.sentence
    assert str(verdict) == verdict.sentence
    assert f" Use {recommended}: expect " in verdict.sentence
    assert verdict.sentence.startswith(headline(verdict.to_dict()).rstrip(".").split(";")[0])


def test_the_same_head_twice_has_no_winner():
    verdict = study(0.0, 0.0)
    assert (verdict.flatten, verdict.recommended) == ("equivalent", "gap")
    assert (verdict.difference.mean, verdict.difference.p_value) == (0, 1)


@pytest.mark.parametrize(
    ("images", "word"), [(12, "undecided"), (150, "undecided"), (800, "equivalent")]
)
def test_at_the_ceiling_equivalence_needs_hundreds_of_images(images, word):
    labels, scores = np.repeat([0, 1], images // 2), np.ones((2, 25))
    right = np.ones((2, 5, images), bool)
    heads = HeadScores(
        ["gap", "flatten"], scores, np.array([1, 2]), [False, True], 5, images,
        hits=Hits.of(right, labels), weighted=weighted(right, labels),
    )  # fmt: skip
    verdict = in_words(conclude(heads, numbered(labels)))
    assert verdict.flatten == word
    mean, low, high = verdict.expected_score
    assert mean == pytest.approx(1.0)
    assert high == 1.0
    assert low == pytest.approx(0.025 ** (1 / images))


def test_the_undecided_are_told_what_would_decide():
    verdict = study(0.01, 0.04)
    spread = verdict.difference.se
    assert verdict.minimal_detectable == pytest.approx((2.0639 + 0.8569) * spread, rel=1e-4)
    assert verdict.images_needed > 10_000
    assert "images would decide with a probability of 80 %" in verdict.sentence


def test_a_class_that_limits_what_can_be_said_is_named():
    labels = np.repeat([0, 1], [300, 15])
    right = np.stack([hit(0.8, labels), hit(0.82, labels)])
    heads = HeadScores(
        ["gap", "flatten"], 0.8 + 0.03 * NOISE[:2], np.array([1, 2]), [False, True], 5, 315,
        hits=Hits.of(right, labels), weighted=weighted(right, labels),
    )  # fmt: skip
    verdict = in_words(conclude(heads, numbered(labels)))
    assert verdict.to_dict()["limited_by"] == {"class": "1", "images": 15}
    assert "The class '1' limits what can be said, with 15 independent images" in verdict.sentence


def test_further_heads_leave_the_question_about_flatten_as_it_is():
    alone = study(0.02, 0.01)
    crowd = study(0.02, 0.01, [(f"gap-{i}", 0.0, 5_000, False) for i in range(2)])
    assert alone.difference == crowd.difference
    assert alone.holm_p == crowd.holm_p == alone.difference.p_value


def test_further_backbones_make_the_test_stricter():
    plain = verdict_of(["gap", "flatten"], study_scores(0.02), [1, 2], [False, True])
    asked = verdict_of(
        ["gap", "flatten"], study_scores(0.02), [1, 2], [False, True], beside=[0.5] * 9
    )
    assert (plain.flatten, asked.flatten) == ("ahead", "undecided")
    assert asked.holm_p == pytest.approx(10 * plain.holm_p)
    assert "(Holm, 10 backbones)" in asked.sentence


def study_scores(lead):
    centred = NOISE - NOISE.mean(axis=1, keepdims=True)
    return np.stack([0.8 + 0.02 * NOISE[0], 0.8 + 0.02 * NOISE[0] + lead + 0.018 * centred[1]])


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
    planned = ["minimal_detectable", "images_needed", "limited_by"]
    assert list(written) == [
        "metric",
        *("flatten", "sentence", "recommended", "difference", "holm_p_value"),
        *("secondary", *planned, "cheaper", "expected_score"),
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
    "change", [{"names": ["gap", "gap"]}, {"targets": numbered(LABELS[1:])}, {"weighted": None},
               {"scores": NOISE[:2] * np.nan}]
)  # fmt: skip
def test_tables_that_do_not_match_are_refused(change):
    table = {
        "names": ["gap", "flatten"],
        "scores": NOISE[:2],
        "hits": Hits.of(np.stack([hit(0.5)] * 2), LABELS),
        "weighted": weighted(np.stack([hit(0.5)] * 2), LABELS),
    }
    targets = change.pop("targets", TARGETS)
    heads = HeadScores(
        **(table | change),
        parameters=np.array([1, 2]),
        position_aware=[False, True],
        folds=5,
        images=len(LABELS),
    )
    with pytest.raises(ValueError, match="must"):
        conclude(heads, targets)


def test_cheaper_heads_are_compared_with_flatten_only_where_it_is_ahead():
    others = [("gmp", 0.1, 2_561, False), ("spp", 0.02, 53_760, True), ("big", 0.1, 2 * SIZE, True)]
    ahead = study(0.1, 0.003, others).to_dict()
    assert ahead["cheaper"] == [
        {"head": "gmp", "position_aware": False, "against_flatten": "as_good"},
        {"head": "spp", "position_aware": True, "against_flatten": "worse"},
    ]
    assert study(0.0, 0.003, others).to_dict()["cheaper"] == []
