"""The threshold that is chosen, against a search over all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_tasks.metrics.operating_point import choose_threshold

LABELS = [0, 0, 1, 0, 1, 1]
PROBABILITIES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.9]


def shares(labels, probabilities, threshold):
    """Sensitivity and specificity, counted."""
    found = sum(p >= threshold for label, p in zip(labels, probabilities, strict=True) if label)
    left = sum(p < threshold for label, p in zip(labels, probabilities, strict=True) if not label)
    return found / sum(labels), left / (len(labels) - sum(labels))


def drawn(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 40)
    # Rounded, so that several cases share a probability.
    return labels.tolist(), np.round(rng.beta(2 + labels, 3), 1).tolist()


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_has_a_larger_sum(seed):
    labels, probabilities = drawn(seed)
    chosen = choose_threshold(labels, probabilities, "youden")
    assert (chosen.sensitivity, chosen.specificity) == pytest.approx(
        shares(labels, probabilities, chosen.threshold)
    )
    # The more sensitive of equally good ones.
    best = max(
        (round(sum(pair), 9), round(pair[0], 9))
        for pair in (shares(labels, probabilities, threshold) for threshold in probabilities)
    )
    assert (chosen.sensitivity + chosen.specificity, chosen.sensitivity) == pytest.approx(best)


@pytest.mark.parametrize("wanted", [0.05, 0.5, 0.9, 0.95, 1])
@pytest.mark.parametrize("seed", range(5))
def test_the_most_specific_threshold_of_a_sensitivity(seed, wanted):
    labels, probabilities = drawn(seed)
    chosen = choose_threshold(labels, probabilities, f"sensitivity:{wanted}")
    assert chosen.sensitivity >= wanted
    pairs = (shares(labels, probabilities, threshold) for threshold in probabilities)
    assert chosen.specificity == pytest.approx(max(pair[1] for pair in pairs if pair[0] >= wanted))


def test_the_threshold_lies_between_two_cases():
    assert choose_threshold(LABELS, PROBABILITIES, "sensitivity:0.6").threshold == pytest.approx(0.5)
    assert choose_threshold(LABELS, PROBABILITIES, "sensitivity:1").threshold == pytest.approx(0.25)
    assert choose_threshold([1, 0], [0.4, 0.4], "youden").threshold == pytest.approx(0.2)
    below = np.nextafter(0.5, 0)
    for pair in ((0.5, below), (below, np.nextafter(below, 0))):
        assert choose_threshold([1, 0], pair).threshold == pair[0]


def test_a_share_of_cases_is_not_missed_by_its_last_digit():
    labels, probabilities = [1] * 10 + [0], [0.5 + n / 100 for n in range(10)] + [0.1]
    # 0.7 * 10 is 7.000000000000001 or less, depending on the number; seven cases are enough.
    assert choose_threshold(labels, probabilities, "sensitivity:0.7").sensitivity == pytest.approx(0.7)
    assert choose_threshold(labels, probabilities, "sensitivity:0.3").sensitivity == pytest.approx(0.3)


def test_the_file_holds_what_it_was_chosen_by():
    content = choose_threshold(LABELS, PROBABILITIES).content("validation")
    assert json.loads(json.dumps(content)) == content
    assert list(content) == ["threshold", "rule", "part", "n", "positives", "sensitivity", "specificity"]
    assert (content["rule"], content["part"], content["n"], content["positives"]) == (
        "youden",
        "validation",
        6,
        3,
    )


@pytest.mark.parametrize(
    ("labels", "probabilities", "rule", "message"),
    [
        ([0, 1], [0.1, 0.2], "best", "rule 'best'; expected youden, or sensitivity:X"),
        ([0, 1], [0.1, 0.2], "sensitivity:95", "rule 'sensitivity:95'"),
        ([0, 1], [0.1, 0.2], "sensitivity:", "rule 'sensitivity:'"),
        ([0, 1], [0.1, 0.2], "sensitivity:nan", "rule 'sensitivity:nan'"),
        ([1, 1], [0.1, 0.2], "youden", "2 of 2 cases are positive; expected cases of both classes"),
        ([], [], "youden", "0 of 0 cases"),
        ([0, 1, 1], [0.1, 0.2], "youden", "expected one of each a case"),
        ([0, 2], [0.1, 0.2], "youden", "expected 0 and 1"),
        ([0, 1], [0.1, float("nan")], "youden", "from 0 to 1"),
        ([0, 1], [0.1, 1.2], "youden", "from 0 to 1"),
    ],
)
def test_what_cannot_be_chosen_on_is_refused(labels, probabilities, rule, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        choose_threshold(labels, probabilities, rule)
